# SPDX-License-Identifier: Apache-2.0
"""Normals of vertices, and what meshes say of the normals and areas of their faces."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from patina3d.structures import Meshes
from patina3d.structures.meshes.vertex_normals import vertex_normals
from patina3d.transforms import random_rotation
from patina3d.utils import ico_sphere
from support.random_meshes import SIZES, random_lists

TRIANGLE = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
FACE = torch.tensor([[0, 1, 2]])


def by_definition(verts, faces):
    sums = torch.zeros_like(verts)
    for a, b, c in faces.tolist():
        for corner in (a, b, c):
            sums[corner] += torch.linalg.cross(verts[b] - verts[a], verts[c] - verts[a])
    lengths = sums.norm(dim=1, keepdim=True)
    return torch.where(lengths > 1e-12, sums / lengths, 0.0)


def test_anchor_triangle():
    mesh = Meshes([TRIANGLE], [FACE])
    assert mesh.faces_areas_packed().tolist() == [0.5]
    assert mesh.faces_normals_packed().tolist() == [[0, 0, 1]]
    assert mesh.verts_normals_packed().tolist() == [[0, 0, 1]] * 3


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 1e-5), (torch.float16, 1e-2)])
def test_equals_definition(dtype, tolerance, device):
    (verts,), (faces,) = random_lists([(12, 30)], dtype=dtype, device=device)
    got = vertex_normals(verts, faces)
    assert got.dtype == dtype
    want = by_definition(verts.double().cpu(), faces.cpu())
    torch.testing.assert_close(got.double().cpu(), want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-6, 1e-4, 1e-2, 1.0, 1e3, 1e6])
def test_normals_are_unit_at_every_scale(scale, dtype):
    mesh = ico_sphere(2)
    mesh = Meshes([scale * mesh.verts_packed().to(dtype)], mesh.faces_list())
    for normals in (mesh.faces_normals_packed(), mesh.verts_normals_packed()):
        torch.testing.assert_close(normals.norm(dim=1), torch.ones(len(normals), dtype=dtype))
    torch.testing.assert_close(
        mesh.faces_areas_packed().sum() / scale**2, torch.tensor(12.33, dtype=dtype), rtol=1e-2, atol=0
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_half_precision_neither_overflows_nor_underflows(dtype, scale):
    verts = (scale * TRIANGLE).to(dtype).requires_grad_()
    normals = vertex_normals(verts, FACE)
    assert normals.dtype == dtype
    assert normals.tolist() == [[0, 0, 1]] * 3
    normals[:, 2].sum().backward()
    assert verts.grad.isfinite().all()


def test_normals_of_a_sphere_point_outwards():
    mesh = ico_sphere(3)
    torch.testing.assert_close(mesh.verts_normals_packed(), mesh.verts_packed(), rtol=0, atol=2e-2)


def test_vertex_normals_weigh_by_area():
    verts = torch.tensor([[0.0, 0, 0], [2, 0, 0], [0, 3, 0], [0, 0, 1]])
    mesh = Meshes([verts], [torch.tensor([[0, 1, 2], [0, 3, 1]])])  # crosses (0, 0, 6) and (0, 2, 0)
    expected = torch.tensor([0, 2.0, 6.0]) / 40**0.5
    torch.testing.assert_close(mesh.verts_normals_packed()[0], expected)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize(
    "corners",
    [
        [[0.0, 0, 0]] * 3,
        [[0, 0, 0], [1, 1, 1], [2, 2, 2]],
        [[0.1, 0.1, 0.1], [0.2, 0.2, 0.2], [0.3, 0.3, 0.3]],
        [[0.3, 0.1, 0.7], [0.3, 0.1, 0.7], [0.5, 0.2, 0.9]],
    ],
)
def test_degenerate_faces_give_zero_normals_and_finite_gradients(corners, scale):
    verts = (scale * torch.tensor(corners)).requires_grad_()
    normals = vertex_normals(verts, FACE)
    assert not normals.any()
    normals.sum().backward()
    assert not verts.grad.any()


def test_opposite_faces_cancel():
    verts = torch.rand(3, 3, requires_grad=True)
    normals = vertex_normals(verts, torch.tensor([[0, 1, 2], [2, 1, 0]]))
    assert not normals.any()
    normals.sum().backward()
    assert not verts.grad.any()


def test_loose_vertices_have_zero_normals():
    normals = vertex_normals(torch.rand(5, 3), FACE)
    assert not normals[3:].any()
    torch.testing.assert_close(normals[:3].norm(dim=1), torch.ones(3))


def test_gradcheck():
    (verts,), (faces,) = random_lists([(6, 7)])
    faces = faces[(faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])]
    verts.requires_grad_()
    assert torch.autograd.gradcheck(lambda v: vertex_normals(v, faces), verts)
    assert torch.autograd.gradgradcheck(lambda v: vertex_normals(v, faces), verts)


@settings(deadline=None)
@given(st.integers(0, 1000), st.floats(-6, 6))
def test_rigid_motion_and_scale(seed, exponent):
    torch.manual_seed(seed)
    (verts,), (faces,) = random_lists([(8, 12)], seed=seed)
    rotation, shift, scale = random_rotation(torch.float64), torch.randn(3, dtype=torch.float64), 10**exponent
    moved = scale * (verts @ rotation.T + shift)
    normals = vertex_normals(verts, faces)
    torch.testing.assert_close(vertex_normals(moved, faces), normals @ rotation.T, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(vertex_normals(verts, faces.flip(1)), -normals)


def test_a_mesh_in_a_batch_is_itself_alone(device):
    verts, faces = random_lists(SIZES, device=device)
    meshes = Meshes(verts, faces)
    for n, alone in enumerate(meshes):
        assert torch.equal(alone.verts_normals_packed(), meshes.verts_normals_list()[n])
        assert torch.equal(alone.faces_normals_packed(), meshes.faces_normals_list()[n])
        assert torch.equal(meshes.faces_normals_padded()[n, : len(faces[n])], meshes.faces_normals_list()[n])
        assert not meshes.faces_normals_padded()[n, len(faces[n]) :].any()


def test_deterministic(device):
    mesh = ico_sphere(4, device=device)
    first = mesh.verts_normals_packed()
    for _ in range(5):
        assert torch.equal(vertex_normals(mesh.verts_packed(), mesh.faces_packed()), first)
