# SPDX-License-Identifier: Apache-2.0
"""Edge lengths as a loss."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck

from patina3d.loss import mesh_edge_loss
from patina3d.structures import Meshes
from patina3d.utils import ico_sphere
from support.random_meshes import SIZES, batch_sizes, random_lists

TRIANGLE = torch.tensor([[0.0, 0, 0], [3, 0, 0], [0, 4, 0]])
FACE = torch.tensor([[0, 1, 2]])


def definition(verts: list[Tensor], faces: list[Tensor], target: float) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for v, f in zip(verts, faces, strict=True):
        edges = {tuple(sorted((face[k], face[k - 1]))) for face in f.tolist() for k in range(3)}
        terms = [((v[a] - v[b]).double().norm() - target) ** 2 for a, b in edges]
        total = total + sum(terms) / max(len(terms), 1)
    return total / max(len(verts), 1)


@pytest.mark.parametrize("target", [0.0, 1.5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_definition(dtype, target, device):
    verts, faces = random_lists(SIZES, dtype=dtype, device=device)
    loss = mesh_edge_loss(Meshes(verts, faces), target)
    assert loss.dtype == dtype
    assert loss.shape == ()
    torch.testing.assert_close(
        loss.cpu().double(), definition([v.cpu() for v in verts], faces, target), rtol=1e-5, atol=0
    )


def test_known_values(device):
    none = torch.zeros(0, 3)
    triangle = Meshes([TRIANGLE], [FACE]).to(device)
    assert mesh_edge_loss(triangle).item() == pytest.approx((9 + 16 + 25) / 3)
    assert mesh_edge_loss(triangle, target_length=4).item() == pytest.approx((1 + 0 + 1) / 3)
    # Empty meshes count in the mean.
    assert mesh_edge_loss(Meshes([none, TRIANGLE], [none.long(), FACE])).item() == pytest.approx(50 / 6)


def test_gradcheck(device):
    verts, faces = random_lists(SIZES, device=device)
    # Edges from a vertex to itself have no derivative.
    faces = [f[(f[:, 0] != f[:, 1]) & (f[:, 1] != f[:, 2]) & (f[:, 0] != f[:, 2])] for f in faces]
    packed = torch.cat(verts).requires_grad_()

    def loss(v: Tensor) -> Tensor:
        return mesh_edge_loss(Meshes(list(v.split([len(x) for x in verts])), faces), 0.7)

    assert gradcheck(loss, packed)


@settings(max_examples=15, deadline=None)
@given(batch_sizes(), st.integers(0, 1000), st.integers(-20, 20))
def test_laws(sizes, seed, exponent):
    verts, faces = random_lists(sizes, seed=seed)
    loss = mesh_edge_loss(Meshes(verts, faces), 0.5)
    alone = [mesh_edge_loss(Meshes([v], [f]), 0.5) for v, f in zip(verts, faces, strict=True)]
    torch.testing.assert_close(loss, sum(alone, torch.zeros_like(loss)) / max(len(sizes), 1))
    scale = 2.0**exponent
    scaled = mesh_edge_loss(Meshes([scale * v for v in verts], faces), scale * 0.5)
    torch.testing.assert_close(scaled, scale**2 * loss, rtol=1e-12, atol=0)
    moved = mesh_edge_loss(Meshes([v + 3 for v in verts], [f.flip(1) for f in faces]), 0.5)
    torch.testing.assert_close(moved, loss)


def test_an_edge_of_length_zero_has_gradient_zero():
    for target in (0.0, 1.0):
        verts = torch.zeros(3, 3, requires_grad=True)
        loss = mesh_edge_loss(Meshes([verts], [FACE]), target)
        loss.backward()
        assert loss.item() == target**2
        assert not verts.grad.any()


def test_nothing_to_measure_is_a_scalar_zero():
    none = torch.zeros(0, 3, requires_grad=True)
    loose = torch.rand(4, 3, requires_grad=True)
    for verts in ([none], [none, none], [loose], [loose, none]):
        loss = mesh_edge_loss(Meshes(verts, [torch.zeros(0, 3, dtype=torch.int64)] * len(verts)))
        assert loss.shape == ()
        assert loss.item() == 0
        loss.backward()
    assert not loose.grad.any()
    assert mesh_edge_loss(Meshes([], [])).shape == ()


def test_descent_brings_edges_to_the_target():
    verts = ico_sphere(0).verts_packed().double().requires_grad_()
    for _ in range(50):
        loss = mesh_edge_loss(Meshes([verts], [ico_sphere(0).faces_packed()]), 0.5)
        (gradient,) = torch.autograd.grad(loss, verts)
        verts = (verts - 2.0 * gradient).detach().requires_grad_()
    assert loss.item() < 1e-3


@pytest.mark.parametrize("verts", [[], [torch.zeros(0, 3)], [torch.rand(4, 3)], [torch.rand(4, 3), torch.zeros(0, 3)]])
def test_nothing_to_measure_backpropagates_without_a_leaf(verts):
    loss = mesh_edge_loss(Meshes(verts, [torch.zeros(0, 3, dtype=torch.int64)] * len(verts)))
    assert loss.requires_grad
    loss.backward()
    assert loss.item() == 0
