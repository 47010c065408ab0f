# SPDX-License-Identifier: Apache-2.0
"""Areas and normals of triangles, as an operator."""

import re

import pytest
import torch
from torch.autograd import gradcheck

from patina3d.ops import mesh_face_areas_normals
from patina3d.structures import Meshes
from patina3d.utils import ico_sphere

FACES = torch.tensor([[0, 1, 2]])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_definition(dtype, device):
    verts = torch.randn(5, 3, dtype=dtype, device=device)
    faces = torch.tensor([[0, 1, 2], [4, 3, 1], [2, 2, 3]], device=device)
    areas, normals = mesh_face_areas_normals(verts, faces)
    a, b, c = verts.double()[faces].unbind(1)
    cross = torch.linalg.cross(b - a, c - a)
    tolerance = {"rtol": 1e-4, "atol": 1e-6} if dtype == torch.float32 else {"rtol": 1e-10, "atol": 1e-12}
    torch.testing.assert_close(areas, (cross.norm(dim=1) / 2).to(dtype), **tolerance)
    torch.testing.assert_close(normals[:2], torch.nn.functional.normalize(cross[:2]).to(dtype), **tolerance)
    assert not normals[2].any()


def test_that_of_meshes():
    mesh = ico_sphere(1)
    areas, normals = mesh_face_areas_normals(mesh.verts_packed(), mesh.faces_packed())
    assert torch.equal(areas, mesh.faces_areas_packed())
    assert torch.equal(normals, mesh.faces_normals_packed())


def test_gradcheck():
    verts = torch.tensor([[0.1, 0, 0.3], [1, 0.2, 0], [0, 1.5, 0.4]], dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda v: mesh_face_areas_normals(v, FACES), verts)


def test_no_faces():
    verts = torch.rand(3, 3, requires_grad=True)
    areas, normals = mesh_face_areas_normals(verts, FACES[:0])
    assert areas.shape == (0,)
    assert normals.shape == (0, 3)
    (areas.sum() + normals.sum()).backward()
    assert not verts.grad.any()
    assert Meshes([verts], [FACES[:0]]).faces_areas_packed().shape == (0,)


@pytest.mark.parametrize(
    ("verts", "faces", "error", "message"),
    [
        (torch.zeros(3, 2), FACES, ValueError, "verts must be of shape (V, 3), got (3, 2)"),
        (torch.zeros(3, 3), FACES[0], ValueError, "faces must be of shape (F, 3), got (3,)"),
        (torch.zeros(3, 3), FACES.int(), ValueError, "faces must be int64, got int32"),
        (torch.zeros(3, 3, dtype=torch.int64), FACES, TypeError, "verts must be floating, got int64"),
    ],
)
def test_errors(verts, faces, error, message):
    with pytest.raises(error, match=re.escape(f"mesh_face_areas_normals: {message}")):
        mesh_face_areas_normals(verts, faces)
