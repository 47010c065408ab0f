# SPDX-License-Identifier: Apache-2.0
"""The Laplacian of the vertices as a loss."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck

from patina3d.loss import mesh_laplacian_smoothing
from patina3d.ops import cot_laplacian, laplacian
from patina3d.structures import Meshes
from patina3d.utils import ico_sphere

METHODS = ["uniform", "cot", "cotcurv"]
FACE = torch.tensor([[0, 1, 2]])


def bumpy(level: int, seed: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """A sphere with moved vertices."""
    sphere = ico_sphere(level)
    noise = torch.randn(sphere.verts_packed().shape, generator=torch.Generator().manual_seed(seed))
    return (sphere.verts_packed() + 0.1 * noise).to(dtype), sphere.faces_packed()


def definition(verts: Tensor, faces: Tensor, method: str) -> Tensor:
    """Of one mesh, by dense matrices."""
    if method == "uniform":
        matrix = laplacian(verts, Meshes([verts], [faces]).edges_packed()).to_dense()
        return (matrix @ verts).norm(dim=1).mean()
    matrix, inverse = cot_laplacian(verts, faces)
    weights = matrix.to_dense()
    total = weights.sum(1, keepdim=True)
    residual = weights @ verts / total - verts if method == "cot" else (weights @ verts - total * verts) * inverse / 4
    return residual.norm(dim=1).mean()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_definition(dtype, method, device):
    shapes = [bumpy(0, 1), bumpy(1, 2)]
    none = torch.zeros((0, 3), device=device, dtype=dtype)
    verts, faces = [[x.to(device) for x in column] for column in zip(*shapes, strict=True)]
    meshes = Meshes([verts[0].to(dtype), none, verts[1].to(dtype)], [faces[0], none.long(), faces[1]])
    loss = mesh_laplacian_smoothing(meshes, method)
    assert loss.dtype == dtype
    assert loss.shape == ()
    want = sum(definition(v, f, method) for v, f in zip(verts, faces, strict=True)) / 3
    torch.testing.assert_close(loss.double(), want, rtol=1e-4 if dtype == torch.float32 else 1e-10, atol=0)


def test_the_mean_curvature_of_a_sphere():
    # Half the normal's curvature sum: |H n| = 1 / r, and cotcurv counts a third of the area of the faces at a vertex.
    sphere = ico_sphere(4)
    for radius in (1.0, 10.0):
        loss = mesh_laplacian_smoothing(sphere.scale_verts(radius), "cotcurv")
        assert loss.item() * radius == pytest.approx(1 / 3 * 1.0, rel=0.02)


@pytest.mark.parametrize("method", METHODS)
def test_the_gradient_holds_the_weights_fixed(method, device):
    verts, faces = (x.to(device) for x in bumpy(0, 3))
    edges = Meshes([verts], [faces]).edges_packed()
    uniform = laplacian(verts, edges).to_dense()
    weights, inverse = (x.to_dense() if x.is_sparse else x for x in cot_laplacian(verts, faces))
    total = weights.sum(1, keepdim=True)

    def with_fixed_weights(v: Tensor) -> Tensor:
        if method == "uniform":
            residual = uniform @ v
        elif method == "cot":
            residual = weights @ v / total - v
        else:
            residual = (weights @ v - total * v) * inverse / 4
        return residual.norm(dim=1).mean()

    leaf = verts.requires_grad_()
    (got,) = torch.autograd.grad(mesh_laplacian_smoothing(Meshes([leaf], [faces]), method), leaf)
    (want,) = torch.autograd.grad(with_fixed_weights(leaf), leaf)
    torch.testing.assert_close(got, want)
    if method == "uniform":
        assert gradcheck(lambda v: mesh_laplacian_smoothing(Meshes([v], [faces])), leaf)


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), exponent=st.integers(-20, 20), dtype=st.sampled_from([torch.float32, torch.float64]))
def test_laws(method, seed, exponent, dtype):
    verts, faces = bumpy(0, seed, dtype)
    loss = mesh_laplacian_smoothing(Meshes([verts], [faces]), method)
    tolerance = {"rtol": 1e-3 if dtype == torch.float32 else 1e-8, "atol": 0}
    scale = 2.0**exponent
    scaled = mesh_laplacian_smoothing(Meshes([scale * verts], [faces]), method)
    torch.testing.assert_close(scaled, loss / scale if method == "cotcurv" else scale * loss, **tolerance)
    order = torch.randperm(len(verts), generator=torch.Generator().manual_seed(seed))
    renamed = mesh_laplacian_smoothing(Meshes([verts[order]], [order.argsort()[faces].flip(0)]), method)
    torch.testing.assert_close(renamed, loss, **tolerance)
    rotation, _ = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(seed), dtype=dtype))
    moved = mesh_laplacian_smoothing(Meshes([verts @ rotation + 1], [faces]), method)
    torch.testing.assert_close(moved, loss, **tolerance)
    pair = mesh_laplacian_smoothing(Meshes([verts, 2 * verts], [faces, faces]), method)
    alone = mesh_laplacian_smoothing(Meshes([2 * verts], [faces]), method)
    torch.testing.assert_close(pair, (loss + alone) / 2, **tolerance)


def test_far_from_the_origin_no_digits_are_lost():
    # Vertices on a grid of 1/256, so that moving them is exact.
    verts, faces = bumpy(1, 0, torch.float32)
    verts = (256 * verts).round() / 256
    for method in METHODS:
        here, there = (mesh_laplacian_smoothing(Meshes([v], [faces]), method) for v in (verts, verts + 1024))
        assert torch.equal(here, there)


def test_a_loose_vertex_adds_nothing():
    verts, faces = bumpy(0, 0)
    loose = torch.cat([verts, torch.full((4, 3), 1e3, dtype=torch.float64)]).requires_grad_()
    for method in METHODS:
        with_loose = mesh_laplacian_smoothing(Meshes([loose], [faces]), method)
        torch.testing.assert_close(with_loose, mesh_laplacian_smoothing(Meshes([verts], [faces]), method) * 12 / 16)
        (gradient,) = torch.autograd.grad(with_loose, loose)
        assert torch.isfinite(gradient).all()
        assert not gradient[12:].any()


@pytest.mark.parametrize("method", METHODS)
def test_degenerate_meshes_stay_finite(method):
    for verts in (torch.zeros(3, 3), torch.tensor([[0.0, 0, 0], [0, 0, 0], [1, 0, 0]])):
        leaf = verts.requires_grad_()
        loss = mesh_laplacian_smoothing(Meshes([leaf], [FACE]), method)
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(leaf.grad).all()


@pytest.mark.parametrize("method", METHODS)
def test_empty(method):
    none = torch.zeros(0, 3, requires_grad=True)
    loose = Meshes([torch.rand(4, 3)], [none.long()])
    for meshes in (Meshes([], []), Meshes([none, none], [none.long(), none.long()]), loose):
        loss = mesh_laplacian_smoothing(meshes, method)
        assert loss.shape == ()
        assert loss.item() == 0
        loss.backward()


def test_errors():
    with pytest.raises(ValueError, match=r"mesh_laplacian_smoothing: method must be .*, got \'cotangent\'"):
        mesh_laplacian_smoothing(ico_sphere(0), "cotangent")
