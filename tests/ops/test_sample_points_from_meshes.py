# SPDX-License-Identifier: Apache-2.0
"""Points on surfaces: on the surface, uniform, differentiable, at every size."""

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from patina3d.ops import interpolate_face_attributes, sample_points_from_meshes
from patina3d.ops.sample_points_from_meshes import _rand_barycentric_coords
from patina3d.structures import Meshes
from patina3d.utils import ico_sphere

TRIANGLE = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 2, 0]])
FACE = torch.tensor([[0, 1, 2]])


class Colors:
    """Textures that give each vertex of the batch a row of features."""

    def __init__(self, features: Tensor) -> None:
        self.features = features

    def check_shapes(self, *_: int) -> bool:
        return True

    def sample_textures(self, fragments: object, faces_packed: Tensor) -> Tensor:
        return interpolate_face_attributes(fragments.pix_to_face, fragments.bary_coords, self.features[faces_packed])


def test_points_lie_on_the_triangle(device):
    points = sample_points_from_meshes(Meshes([TRIANGLE], [FACE]).to(device), 500)
    assert points.shape == (1, 500, 3)
    x, y, z = points[0].unbind(1)
    assert (x >= 0).all()
    assert (y >= 0).all()
    assert (x + y / 2 <= 1 + 1e-6).all()
    assert not z.any()


def test_uniform_by_area(device):
    # A large and a small triangle, and one without area that is never drawn.
    verts = torch.tensor([[0.0, 0, 0], [3, 0, 0], [0, 2, 0], [10, 0, 0], [11, 0, 0], [10, 2, 0], [99, 99, 99]])
    faces = torch.tensor([[0, 1, 2], [6, 6, 6], [3, 4, 5]])
    count = 20_000
    points = sample_points_from_meshes(Meshes([verts], [faces]).to(device), count)[0]
    small = points[:, 0] >= 10
    assert (points < 50).all()
    # 1/4 of them, within five standard deviations.
    assert abs(small.sum().item() / count - 0.25) < 5 * (0.25 * 0.75 / count) ** 0.5
    # Within a triangle: the mean is the centroid, and half of the area lies beyond 1 - sqrt(1/2) of the way.
    large = points[~small]
    torch.testing.assert_close(large.mean(0), torch.tensor([1.0, 2 / 3, 0], device=device), atol=0.05, rtol=0)
    beyond = (large[:, 0] / 3 > 1 - 0.5**0.5).double().mean().item()
    assert abs(beyond - 0.5) < 5 * 0.5 / len(large) ** 0.5


def test_normals_and_textures(device):
    features = torch.tensor([[0.0, 1], [1, 1], [0, 1]], device=device)
    meshes = Meshes([TRIANGLE.to(device)], [FACE.to(device)], textures=Colors(features))
    points, normals, textures = sample_points_from_meshes(meshes, 50, return_normals=True, return_textures=True)
    assert torch.equal(normals, torch.tensor([0.0, 0, 1], device=device).expand(1, 50, 3))
    # The first channel is 1 at the corner (1, 0, 0) and 0 at the others: the x of the point.
    torch.testing.assert_close(textures[..., 0], points[..., 0])
    torch.testing.assert_close(textures[..., 1], torch.ones_like(points[..., 0]))
    only = sample_points_from_meshes(meshes, 50, return_textures=True)
    assert len(only) == 2
    assert only[1].shape == (1, 50, 2)


def test_textures_in_a_batch_with_an_empty_mesh():
    features = torch.tensor([[1.0], [2.0], [3.0], [4.0], [4.0], [4.0]])
    none = torch.zeros(0, 3)
    meshes = Meshes([none, TRIANGLE, none, TRIANGLE], [none.long(), FACE, none.long(), FACE], textures=Colors(features))
    points, normals, textures = sample_points_from_meshes(meshes, 20, return_normals=True, return_textures=True)
    for values in (points, normals, textures):
        assert not values[[0, 2]].any()
    assert (normals[[1, 3], :, 2] == 1).all()
    torch.testing.assert_close(textures[3], torch.full((20, 1), 4.0))
    assert textures[1].min() > 1
    assert textures[1].max() < 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_tiny_mesh_beside_a_huge_one(dtype):
    tiny, huge = ico_sphere(1).scale_verts(1e-6), ico_sphere(1).scale_verts(1e6)
    lists = [m.verts_packed().to(dtype) for m in (huge, tiny)], [huge.faces_packed(), tiny.faces_packed()]
    # Three of its vertices are pulled out, so that few faces have most of the area.
    lists[0][1][:3] = 10 * lists[0][1][:3]
    meshes = Meshes(*lists)
    points, normals = sample_points_from_meshes(meshes, 2000, return_normals=True)
    assert points.dtype == normals.dtype == dtype
    assert (points[0].norm(dim=1) > 0.8e6).all()
    # Where faces are drawn by area the mean distance from the centre is that of the areas' centroids.
    corners = meshes.verts_list()[1][meshes.faces_list()[1]]
    areas = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).norm(dim=1)
    centre = (areas[:, None] * corners.mean(1)).sum(0) / areas.sum()
    torch.testing.assert_close(points[1].mean(0) * 1e6, centre * 1e6, atol=0.35, rtol=0)
    torch.testing.assert_close(normals.norm(dim=2), torch.ones(2, 2000, dtype=dtype))


def test_a_mesh_without_area():
    line = torch.tensor([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]], requires_grad=True)
    meshes = Meshes([line, TRIANGLE], [torch.cat([FACE, FACE]), FACE])
    points, normals = sample_points_from_meshes(meshes, 30, return_normals=True)
    assert not normals[0].any()
    assert not points[0, :, 1:].any()
    assert (points[0, :, 0] <= 2).all()
    assert points[0, :, 0].std() > 0.1
    (points.sum() + normals.sum()).backward()
    assert torch.isfinite(line.grad).all()


def test_gradcheck():
    verts = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 2, 0.5], [1, 1, 1]], dtype=torch.float64, requires_grad=True)
    faces = torch.tensor([[0, 1, 2]])

    def sample(v: Tensor) -> tuple[Tensor, Tensor]:
        torch.manual_seed(3)
        return sample_points_from_meshes(Meshes([v], [faces]), 4, return_normals=True)

    assert gradcheck(sample, verts)


def test_a_point_moves_with_its_corners():
    verts = TRIANGLE.clone().requires_grad_()
    sample_points_from_meshes(Meshes([verts], [FACE]), 100).sum().backward()
    # The weights of the corners sum to one for each of the 100 points.
    torch.testing.assert_close(verts.grad.sum(0), torch.full((3,), 100.0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_random_barycentrics_are_uniform_on_the_triangle(dtype, device):
    weights = torch.stack(_rand_barycentric_coords(3, 4000, dtype, device))
    assert weights.shape == (3, 3, 4000)
    assert weights.dtype == dtype
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(0), torch.ones_like(weights[0]))
    # Moments of the uniform distribution: 1/3 and 1/6.
    torch.testing.assert_close(weights.mean((1, 2)), weights.new_full((3,), 1 / 3), atol=0.02, rtol=0)
    torch.testing.assert_close(weights.square().mean((1, 2)), weights.new_full((3,), 1 / 6), atol=0.02, rtol=0)


def test_a_seed_repeats():
    sphere = ico_sphere(2)
    torch.manual_seed(5)
    first = sample_points_from_meshes(sphere, 100)
    torch.manual_seed(5)
    assert torch.equal(first, sample_points_from_meshes(sphere, 100))
    assert not torch.equal(first, sample_points_from_meshes(sphere, 100))


def test_no_samples():
    assert sample_points_from_meshes(ico_sphere(0), 0).shape == (1, 0, 3)


def test_errors():
    none = torch.zeros(0, 3)
    with pytest.raises(ValueError, match="sample_points_from_meshes: Meshes are empty"):
        sample_points_from_meshes(Meshes([none], [none.long()]))
    for bad in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="Meshes contain nan or inf"):
            sample_points_from_meshes(Meshes([TRIANGLE + torch.tensor([0, 0, bad])], [FACE]))
    with pytest.raises(ValueError, match="Meshes do not contain textures"):
        sample_points_from_meshes(Meshes([TRIANGLE], [FACE]), return_textures=True)
