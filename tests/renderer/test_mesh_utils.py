# SPDX-License-Identifier: Apache-2.0
"""Barycentrics clipped to their face, and the depth they mean."""

import pytest
import torch
from torch.autograd import gradcheck

from patina3d.renderer.cameras import FoVPerspectiveCameras
from patina3d.renderer.mesh import MeshRasterizer, RasterizationSettings, rasterize_meshes
from patina3d.renderer.mesh.utils import _clip_barycentric_coordinates, _interpolate_zbuf
from patina3d.structures import Meshes
from patina3d.utils import ico_sphere


def test_clipping_known_rows():
    rows = torch.tensor([[0.2, 0.3, 0.5], [-1.0, 1.0, 1.0], [-0.5, -0.5, 2.0], [-1.0, -1.0, -1.0], [0.0, 0.0, 1e-6]])
    want = torch.tensor([[0.2, 0.3, 0.5], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0], [-1.0, -1.0, -1.0], [0.0, 0.0, 0.1]])
    torch.testing.assert_close(_clip_barycentric_coordinates(rows), want)
    torch.testing.assert_close(_clip_barycentric_coordinates(rows.expand(2, 4, 5, 3)), want.expand(2, 4, 5, 3))
    assert _clip_barycentric_coordinates(rows[:0]).shape == (0, 3)


def test_clipping_afterwards_is_clipping_in_the_rasterizer():
    verts = torch.tensor([[-0.5, -0.4, 1.0], [0.6, -0.3, 2.0], [0.0, 0.7, 3.0]])
    mesh = Meshes([verts], [torch.tensor([[0, 1, 2]])])
    faces, _, bary, _ = rasterize_meshes(mesh, 16, blur_radius=0.05, faces_per_pixel=1)
    _, zbuf, clipped, _ = rasterize_meshes(mesh, 16, blur_radius=0.05, faces_per_pixel=1, clip_barycentric_coords=True)
    assert (bary < -0.01).logical_and(faces[..., None] >= 0).any()
    after = _clip_barycentric_coordinates(bary)
    torch.testing.assert_close(after, clipped)
    torch.testing.assert_close(_interpolate_zbuf(faces, after, mesh), zbuf)


def test_clipping_gradcheck():
    rows = torch.tensor([[0.2, 0.3, 0.5], [-0.3, 0.6, 0.9]], dtype=torch.float64, requires_grad=True)
    assert gradcheck(_clip_barycentric_coordinates, rows)


@pytest.mark.parametrize("shape", [(3, 2), (), (3, 4)])
def test_clipping_needs_three(shape):
    with pytest.raises(ValueError, match=r"_clip_barycentric_coordinates: bary must be \(..., 3\)"):
        _clip_barycentric_coordinates(torch.zeros(shape))


def test_depth_of_a_batch():
    meshes = ico_sphere(1).extend(2)
    cameras = FoVPerspectiveCameras(T=torch.tensor([[0.0, 0, 3], [0, 0, 4]]))
    rasterizer = MeshRasterizer(cameras, RasterizationSettings(image_size=12, faces_per_pixel=2))
    found = rasterizer(meshes)
    view = rasterizer.transform(meshes)
    depth = _interpolate_zbuf(found.pix_to_face, found.bary_coords, view)
    assert (found.pix_to_face >= 0).any()
    torch.testing.assert_close(depth, found.zbuf)


def test_depth_gradcheck():
    verts = torch.rand(3, 3, dtype=torch.float64, requires_grad=True)
    bary = torch.rand(1, 1, 2, 1, 3, dtype=torch.float64, requires_grad=True)
    pix_to_face = torch.tensor([[[[0], [-1]]]])

    def depth(v: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return _interpolate_zbuf(pix_to_face, b, Meshes([v], [torch.tensor([[0, 1, 2]])]))

    assert gradcheck(depth, (verts, bary))
    assert depth(verts, bary)[0, 0, 1, 0] == -1
