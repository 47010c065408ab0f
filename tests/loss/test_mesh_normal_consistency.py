# SPDX-License-Identifier: Apache-2.0
"""The angle between neighbouring faces as a loss."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck

from patina3d.loss import mesh_normal_consistency
from patina3d.structures import Meshes
from patina3d.utils import ico_sphere

# Two faces at the edge (0, 1) of the x axis; the second is turned about it by an angle.
HINGE = torch.tensor([[0, 1, 2], [1, 0, 3]])


def hinge(angle: float) -> Tensor:
    """0 is flat, pi is folded."""
    return torch.tensor(
        [[0, 0, 0], [1, 0, 0], [0.3, 1, 0], [0.6, -math.cos(angle), math.sin(angle)]], dtype=torch.float64
    )


def definition(verts: Tensor, faces: Tensor) -> Tensor:
    """Of one mesh: pairs of faces at each edge."""
    opposite: dict[tuple, list[int]] = {}
    for face in faces.tolist():
        for k in range(3):
            a, b = face[k - 1], face[k - 2]
            opposite.setdefault((min(a, b), max(a, b)), []).append(face[k])
    terms = []
    for (i, j), corners in opposite.items():
        for a, b in itertools.combinations(corners, 2):
            axis = verts[j] - verts[i]
            n0, n1 = torch.linalg.cross(axis, verts[a] - verts[i]), -torch.linalg.cross(axis, verts[b] - verts[i])
            terms.append(1 - torch.nn.functional.cosine_similarity(n0, n1, dim=0))
    return torch.stack(terms).mean() if terms else verts.new_zeros(())


def bumpy(seed: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    sphere = ico_sphere(0)
    noise = torch.randn(sphere.verts_packed().shape, generator=torch.Generator().manual_seed(seed))
    return (sphere.verts_packed() + 0.2 * noise).to(dtype), sphere.faces_packed()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_definition(dtype, device):
    # A closed surface, an edge of four faces, a mesh without a pair, an empty one.
    fan = torch.tensor([[0, 1, 2], [1, 0, 3], [0, 1, 4], [0, 5, 1]])
    verts = [bumpy(0)[0], torch.randn(6, 3).double(), torch.randn(3, 3).double(), torch.zeros(0, 3).double()]
    faces = [bumpy(0)[1], fan, torch.tensor([[0, 1, 2]]), torch.zeros(0, 3, dtype=torch.int64)]
    meshes = Meshes([v.to(device, dtype) for v in verts], [f.to(device) for f in faces])
    loss = mesh_normal_consistency(meshes)
    assert loss.dtype == dtype
    assert loss.shape == ()
    want = sum(definition(v, f) for v, f in zip(verts, faces, strict=True)) / 4
    torch.testing.assert_close(loss.cpu().double(), want, rtol=1e-4 if dtype == torch.float32 else 1e-10, atol=0)


@pytest.mark.parametrize("angle", [0, 0.3, math.pi / 2, 2.5, math.pi])
def test_one_minus_the_cosine_of_the_angle(angle, device):
    verts = hinge(angle).to(device)
    for faces in (HINGE, HINGE.flip(1), torch.stack([HINGE[0], HINGE[1].flip(0)])):
        loss = mesh_normal_consistency(Meshes([verts], [faces.to(device)]))
        assert loss.item() == pytest.approx(1 - math.cos(angle), abs=1e-12)


def test_gradcheck(device):
    verts, faces = (x.to(device) for x in bumpy(1))
    assert gradcheck(lambda v: mesh_normal_consistency(Meshes([v], [faces])), verts.requires_grad_())


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), exponent=st.integers(-20, 20), dtype=st.sampled_from([torch.float32, torch.float64]))
def test_laws(seed, exponent, dtype):
    verts, faces = bumpy(seed, dtype)
    tolerance = {"rtol": 1e-3 if dtype == torch.float32 else 1e-9, "atol": 0}
    loss = mesh_normal_consistency(Meshes([verts], [faces]))
    assert torch.equal(mesh_normal_consistency(Meshes([2.0**exponent * verts], [faces])), loss)
    rotation, _ = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(seed), dtype=dtype))
    torch.testing.assert_close(mesh_normal_consistency(Meshes([verts @ rotation + 1], [faces])), loss, **tolerance)
    order = torch.randperm(len(verts), generator=torch.Generator().manual_seed(seed))
    renamed = mesh_normal_consistency(Meshes([verts[order]], [order.argsort()[faces].flip(0)]))
    torch.testing.assert_close(renamed, loss, **tolerance)
    pair = mesh_normal_consistency(Meshes([verts, hinge(1).to(dtype)], [faces, HINGE]))
    torch.testing.assert_close(pair, (loss + 1 - math.cos(1)) / 2, **tolerance)


def test_a_face_without_area_counts_one_and_has_no_gradient():
    verts = hinge(0.5)
    verts[2] = verts[1]
    leaf = verts.requires_grad_()
    loss = mesh_normal_consistency(Meshes([leaf], [HINGE]))
    loss.backward()
    assert loss.item() == 1
    assert not leaf.grad.any()


def test_nothing_to_compare_is_a_scalar_zero():
    none = torch.zeros(0, 3, requires_grad=True)
    alone = torch.rand(3, 3, requires_grad=True)
    for verts, faces in (([none], [none.long()]), ([alone], [HINGE[:1]]), ([alone, none], [HINGE[:1], none.long()])):
        loss = mesh_normal_consistency(Meshes(verts, faces))
        assert loss.shape == ()
        assert loss.item() == 0
        loss.backward()
    assert not alone.grad.any()
    assert mesh_normal_consistency(Meshes([], [])).shape == ()


@pytest.mark.parametrize("verts", [[], [torch.zeros(0, 3)], [torch.rand(4, 3)], [torch.rand(4, 3), torch.zeros(0, 3)]])
def test_nothing_to_compare_backpropagates_without_a_leaf(verts):
    loss = mesh_normal_consistency(Meshes(verts, [torch.zeros(0, 3, dtype=torch.int64)] * len(verts)))
    assert loss.requires_grad
    loss.backward()
    assert loss.item() == 0


def test_faces_without_a_pair_backpropagate_without_a_leaf():
    loss = mesh_normal_consistency(Meshes([hinge(0.5)], [HINGE[:1]]))
    assert loss.dtype == torch.float64
    loss.backward()
    assert loss.item() == 0
