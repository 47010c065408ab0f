# SPDX-License-Identifier: Apache-2.0
"""The sphere and the torus."""

import math

import pytest
import torch

import patina3d.utils
from patina3d.utils import ico_sphere, torus
from patina3d.utils.ico_sphere import ico_sphere as ico_sphere_of_module
from patina3d.utils.torus import torus as torus_of_module


def test_functions_and_modules_share_names():
    assert ico_sphere is ico_sphere_of_module
    assert torus is torus_of_module
    assert patina3d.utils.ico_sphere is ico_sphere


def enclosed_volume(mesh):
    corners = mesh.verts_packed()[mesh.faces_packed()].double()
    return torch.linalg.det(corners).sum() / 6


@pytest.mark.parametrize("level", [0, 1, 2, 4])
def test_ico_sphere(level, device):
    mesh = ico_sphere(level, device)
    verts, faces = mesh.verts_packed(), mesh.faces_packed()
    assert verts.shape == (10 * 4**level + 2, 3)
    assert faces.shape == (20 * 4**level, 3)
    assert verts.dtype == torch.float32
    assert verts.device.type == device.type
    torch.testing.assert_close(verts.norm(dim=1), torch.ones_like(verts[:, 0]))
    assert verts.shape[0] - mesh.edges_packed().shape[0] + faces.shape[0] == 2
    assert (mesh.faces_normals_packed() * verts[faces].mean(1)).sum(1).min() > 0.7
    volumes = {0: 2.536, 1: 3.659, 2: 4.047, 4: 4.180}
    assert enclosed_volume(mesh) == pytest.approx(volumes[level], abs=2e-3)
    assert mesh.textures is None


def test_ico_sphere_order():
    coarse, fine = ico_sphere(0), ico_sphere(1)
    assert coarse.verts_packed()[0].tolist() == pytest.approx([-0.5257, 0.8507, 0], abs=1e-4)
    assert coarse.faces_packed()[[0, 19]].tolist() == [[0, 11, 5], [9, 8, 1]]
    assert torch.equal(fine.verts_packed()[:12], coarse.verts_packed())
    middles = coarse.verts_packed()[coarse.edges_packed()].mean(1)
    torch.testing.assert_close(fine.verts_packed()[12:], middles / middles.norm(dim=1, keepdim=True))
    m0, m1, m2 = (12 + coarse.faces_packed_to_edges_packed()).unbind(1)
    v0, v1, v2 = coarse.faces_packed().unbind(1)
    blocks = fine.faces_packed().reshape(4, 20, 3)
    for block, expected in zip(blocks, [(v0, m2, m1), (v1, m0, m2), (v2, m1, m0), (m0, m1, m2)], strict=True):
        assert torch.equal(block, torch.stack(expected, 1))


def test_ico_sphere_error():
    with pytest.raises(ValueError, match="level must be >= 0, got -1"):
        ico_sphere(-1)


def test_torus(device):
    mesh = torus(r=0.5, R=2.0, sides=40, rings=60, device=device)
    verts = mesh.verts_packed()
    assert mesh.num_verts_per_mesh().tolist() == [2400]
    assert mesh.num_faces_per_mesh().tolist() == [4800]
    assert verts.device.type == device.type
    from_axis = verts[:, :2].norm(dim=1)
    tube = torch.stack([from_axis - 2, verts[:, 2]], 1).norm(dim=1)
    torch.testing.assert_close(tube, torch.full_like(tube, 0.5), rtol=0, atol=1e-6)
    assert 2400 - mesh.edges_packed().shape[0] + 4800 == 0
    assert enclosed_volume(mesh) == pytest.approx(2 * math.pi**2 * 2 * 0.25, rel=1e-2)


def test_torus_order():
    mesh = torus(r=1, R=3, sides=4, rings=5)
    verts = mesh.verts_packed()
    phi, theta = 2 * math.pi * 3 / 5, 2 * math.pi * 1 / 4
    expected = [(3 + math.cos(theta)) * math.cos(phi), (3 + math.cos(theta)) * math.sin(phi), math.sin(theta)]
    assert verts[3 * 4 + 1].tolist() == pytest.approx(expected, abs=1e-6)
    faces = mesh.faces_packed().tolist()
    # The first pair of rings is (-1, 0), of sides (-1, 0), modulo 5 and 4.
    assert faces[:3] == [[19, 3, 0], [0, 16, 19], [16, 0, 1]]


@pytest.mark.parametrize(("sides", "rings", "name"), [(0, 3, "sides"), (3, 0, "rings")])
def test_torus_errors(sides, rings, name):
    with pytest.raises(ValueError, match=f"{name} must be >= 1, got 0"):
        torus(1.0, 2.0, sides, rings)


@pytest.mark.parametrize(("sides", "rings"), [(1, 1), (2, 5), (5, 1)])
def test_degenerate_tori_have_their_counts(sides, rings):
    mesh = torus(1.0, 2.0, sides, rings)
    assert mesh.num_verts_per_mesh().item() == sides * rings
    assert mesh.num_faces_per_mesh().item() == 2 * sides * rings
    assert mesh.verts_normals_packed().isfinite().all()
