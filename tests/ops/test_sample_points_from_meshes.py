# SPDX-License-Identifier: Apache-2.0
"""Points on surfaces: the definition, uniform by area, gradients, laws, edges, errors, torch's machinery."""

import re
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from patina3d.core import _native
from patina3d.io import load_obj
from patina3d.ops import interpolate_face_attributes, mesh_face_areas_normals, sample_points_from_meshes
from patina3d.ops._reference.sample_points_from_meshes import sample_points_from_meshes as reference
from patina3d.ops.sample_points_from_meshes import _backward, _forward, _rand_barycentric_coords, _Sample
from patina3d.structures import Meshes
from patina3d.transforms import random_rotation
from patina3d.utils import ico_sphere
from support.emulator import needs_emulator, on_cpu_and_emulated
from support.meshes import real_mesh
from support.random_meshes import SIZES, batch_sizes, random_lists

emulated = pytest.mark.emulated
# Torch's own machinery uses what torch deprecates.
torch_warns = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
seeds = st.integers(-(2**63), 2**63 - 1)

TRIANGLE = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 2, 0]])
FACE = torch.tensor([[0, 1, 2]])


def packed(lists: tuple[list[Tensor], list[Tensor]], device: str | torch.device = "cpu") -> tuple[Tensor, ...]:
    """Vertices, faces and first faces of a batch."""
    meshes = Meshes(*lists).to(device)
    return meshes.verts_packed(), meshes.faces_packed(), meshes.mesh_to_faces_packed_first_idx()


def draw(meshes: tuple[Tensor, ...], seed: int, num_samples: int) -> tuple[Tensor, Tensor, Tensor]:
    """Points, faces and weights for a seed."""
    return _forward(*meshes, torch.tensor([seed], device=meshes[0].device), num_samples)


def chi_square(counts: Tensor, shares: Tensor) -> float:
    """How many standard deviations the statistic is above its mean, for counts of cells with these shares."""
    expected = shares / shares.sum() * counts.sum()
    freedom = len(counts) - 1
    return (((counts - expected).square() / expected).sum().item() - freedom) / (2 * freedom) ** 0.5


# The definition.


@emulated
@pytest.mark.parametrize("seed", [0, 1, -1, 2**40 + 7, -(2**63)])
def test_definition(seed, device):
    meshes = packed(random_lists([*SIZES, (30, 60)], seed=seed % 1000))
    points, faces, weights = draw([x.to(device) for x in meshes], seed, 70)
    want_points, want_faces, want_weights = reference(*meshes, seed, 70)
    assert torch.equal(faces.cpu(), want_faces)
    assert torch.equal(weights.cpu(), want_weights)
    torch.testing.assert_close(points.cpu(), want_points, rtol=1e-14, atol=1e-14)
    assert (want_faces >= 0).sum() == 4 * 70


@emulated
def test_definition_in_float32(device):
    # Its area and numbers are rounded, the choice is that of float64 but for a hair's breadth.
    meshes = packed(random_lists([(30, 60), (9, 4)]), device)
    points, faces, weights = draw(meshes, 5, 300)
    points32, faces32, weights32 = draw((meshes[0].float(), *meshes[1:]), 5, 300)
    assert points32.dtype == weights32.dtype == torch.float32
    assert torch.equal(faces32, faces)
    torch.testing.assert_close(weights32.double(), weights, rtol=0, atol=1e-3)
    torch.testing.assert_close(points32.double(), points, rtol=0, atol=4e-3)


@needs_emulator
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_kernels_give_the_bits_of_the_cpu(dtype):
    meshes = packed(random_lists([*SIZES, (400, 900)], dtype=dtype))
    for here, there in zip(*on_cpu_and_emulated(lambda: draw(meshes, 11, 400)), strict=True):
        assert torch.equal(here, there)


# The distribution.


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


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_faces_are_chosen_by_area(dtype, device):
    # Areas over six orders of magnitude, in a batch of unlike meshes.
    verts, faces = random_lists([(40, 60), (0, 0), (10, 7), (300, 500)], dtype=dtype)
    verts[0][:10] *= 0.03
    verts[3][:100] *= 10
    meshes = packed((verts, faces), device)
    _, sampled, _ = draw(meshes, 1, 200_000)
    areas, _ = mesh_face_areas_normals(*meshes[:2])
    bounds = [*meshes[2].tolist(), len(areas)]
    for n, (first, end) in enumerate(pairwise(bounds)):
        if first == end:
            assert (sampled[n] == -1).all()
            continue
        counts, shares = torch.bincount(sampled[n] - first, minlength=end - first).double(), areas[first:end].double()
        assert not counts[shares == 0].any()
        often = shares / shares.sum() * 200_000 > 10
        rest = torch.stack([counts[~often].sum(), shares[~often].sum()])[:, None]
        both = torch.cat([torch.stack([counts[often], shares[often]]), rest], dim=1)
        both = both[:, both[1] > 0]
        assert abs(chi_square(*both)) < 5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_positions_are_uniform_in_a_face(dtype, device):
    meshes = packed(([TRIANGLE.to(dtype)], [FACE]), device)
    points, _, weights = draw(meshes, 2, 200_000)
    # Rows of parallelograms halved by a diagonal: 16 x 16 triangles of equal area.
    x, y = (16 * points[0, :, 0]).double(), (8 * points[0, :, 1]).double()
    column, row = x.long().clamp(max=15), y.long().clamp(max=15)
    upper = ((x - column) + (y - row) > 1).long()
    cell = (row * 16 + column) * 2 + upper
    counts = torch.bincount(cell, minlength=512).double()
    inside = torch.tensor([r + c + u < 16 for r in range(16) for c in range(16) for u in range(2)], device=device)
    assert inside.sum() == 256
    assert counts[~inside].sum() < 5
    assert abs(chi_square(counts[inside], torch.ones(256, dtype=torch.float64, device=device))) < 5
    # All bits of the numbers are in use.
    assert len(weights[0, :, 1].unique()) > 190_000


def test_meshes_and_seeds_do_not_repeat_each_other():
    meshes = packed(([TRIANGLE.double()] * 3, [FACE] * 3))
    points = torch.cat([draw(meshes, 3, 5000)[2], draw(meshes, 4, 5000)[2]])[..., 1]
    correlations = torch.corrcoef(torch.cat([points, points.roll(1, 1)]))
    assert (correlations - torch.eye(12)).abs().max() < 5 / 5000**0.5


@emulated
@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_areas_beyond_float32_still_count(scale, device):
    verts = scale * torch.tensor([[0.0, 0, 0], [3, 0, 0], [0, 1, 0], [0, 0, 1]])
    meshes = packed(([verts], [torch.tensor([[0, 1, 2], [0, 2, 3]])]), device)
    areas, _ = mesh_face_areas_normals(*meshes[:2])
    assert ((areas == 0) | (areas == torch.inf)).all()
    _, faces, _ = draw(meshes, 0, 20_000)
    assert abs(chi_square(torch.bincount(faces[0]).double(), torch.tensor([3.0, 1.0], device=device))) < 5


@emulated
@pytest.mark.parametrize(
    ("dtype", "scale", "by_area"),
    [
        (torch.float64, 1e-161, True),
        (torch.float64, 1e154, True),
        (torch.float64, 1e-165, False),
        (torch.float64, 1e160, False),
        (torch.float32, 1e-44, True),
        (torch.float32, 1e38, True),
    ],
)
def test_where_areas_end(dtype, scale, by_area, device):
    # Beyond what float64 holds faces that vanish, or overflow, count alike.
    verts = torch.tensor([[0.0, 0, 0], [3, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=torch.float64) * scale
    meshes = packed(([verts.to(dtype)], [torch.tensor([[0, 1, 2], [0, 2, 3]])]), device)
    _, faces, _ = draw(meshes, 0, 20_000)
    shares = torch.tensor([3.0, 1.0] if by_area else [1.0, 1.0], device=device)
    assert abs(chi_square(torch.bincount(faces[0]).double(), shares)) < 5


@emulated
def test_an_edge_beyond_float32_is_not_drawn_beside_others(device):
    verts = torch.tensor([[-3e38, 0, 0], [3e38, 0, 0], [0, 3e38, 0], [0, 0, 1.0]])
    _, faces, _ = draw(packed(([verts], [torch.tensor([[0, 1, 2], [0, 2, 3]])]), device), 0, 100)
    assert (faces == 1).all()


@emulated
def test_a_face_without_area_is_never_drawn(device):
    # The first, the last and those between two others.
    verts = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [2, 0, 0]], device=device)
    flat = [0, 1, 3]
    faces = torch.tensor([flat, [0, 1, 2], flat, flat, [1, 2, 3], flat], device=device)
    _, sampled, _ = draw((verts, faces, torch.tensor([0], device=device)), 0, 2000)
    assert set(sampled.flatten().tolist()) == {1, 4}


@emulated
def test_faces_without_area_are_alike_where_none_has_one(device):
    line = torch.tensor([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]])
    meshes = packed(([line, TRIANGLE, line], [FACE.repeat(5, 1), FACE, FACE]), device)
    _, sampled, _ = draw(meshes, 0, 3000)
    assert abs(chi_square(torch.bincount(sampled[0]).double(), torch.ones(5, device=device))) < 5
    assert torch.equal(sampled[1:, 0], torch.tensor([5, 6], device=device))


@emulated
def test_a_tiny_face_beside_a_huge_one_counts():
    # The ratio of their areas is beyond what a whole number of 64 bits tells apart: at least it is not 0.
    verts = torch.tensor([[0.0, 0, 0], [1e15, 0, 0], [0, 1e15, 0], [1e-15, 0, 0], [0, 1e-15, 0]], dtype=torch.float64)
    meshes = packed(([verts], [torch.tensor([[0, 1, 2], [0, 3, 4]])]))
    assert not draw(meshes, 0, 1000)[1].any()


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


# Gradients.


@emulated
@pytest.mark.parametrize("normals", [False, True])
def test_gradcheck(normals, device):
    # A mesh of several faces, one of them without area, an empty one, and vertices of no face.
    verts, faces = random_lists([(5, 6), (0, 0), (4, 3)], seed=2, device=device)
    faces[0][2] = torch.tensor([1, 1, 2])

    def sample(packed_verts: Tensor) -> tuple[Tensor, ...]:
        torch.manual_seed(3)
        meshes = Meshes(list(packed_verts.split([5, 0, 4])), faces)
        found = sample_points_from_meshes(meshes, 6, return_normals=normals)
        return found if normals else (found,)

    leaf = torch.cat(verts).requires_grad_()
    assert gradcheck(sample, leaf)
    assert gradgradcheck(sample, leaf)


@emulated
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradient_is_the_sum_of_weights(dtype, device):
    verts, faces, first = packed(random_lists([*SIZES, (300, 500)], dtype=dtype), device)
    leaf, seed = verts.requires_grad_(), torch.tensor([4], device=device)
    points, sampled, weights = _Sample.apply(leaf, faces, first, seed, 500)
    assert not sampled.requires_grad
    assert not weights.requires_grad
    grad = torch.randn_like(points)
    (got,) = torch.autograd.grad(points, leaf, grad, retain_graph=True)
    want = torch.zeros_like(verts, dtype=torch.float64)
    filled = sampled >= 0
    for corner in range(3):
        brought = (weights[..., corner, None].double() * grad)[filled]
        want.index_put_((faces[sampled[filled], corner],), brought, accumulate=True)
    tolerance = 1e-4 if dtype == torch.float32 else 1e-12
    torch.testing.assert_close(got.double(), want.detach(), rtol=tolerance, atol=tolerance)
    for _ in range(3):
        assert torch.equal(got, torch.autograd.grad(points, leaf, grad, retain_graph=True)[0])


def test_areas_that_the_meshes_keep_stay_differentiable():
    verts = TRIANGLE.clone().requires_grad_()
    meshes = Meshes([verts], [FACE])
    sample_points_from_meshes(meshes, 3)
    (grad,) = torch.autograd.grad(meshes.faces_areas_packed().sum(), verts)
    assert grad.any()


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


# Laws.


def test_a_seed_repeats(device):
    sphere = ico_sphere(2).to(device)
    torch.manual_seed(5)
    first = sample_points_from_meshes(sphere, 100)
    torch.manual_seed(5)
    assert torch.equal(first, sample_points_from_meshes(sphere, 100))
    assert not torch.equal(first, sample_points_from_meshes(sphere, 100))


@emulated
@given(batch_sizes(), batch_sizes(), seeds, st.integers(0, 40))
def test_neighbours_and_the_number_of_samples_do_not_matter(sizes, others, seed, num_samples):
    verts, faces = random_lists(sizes)
    other_verts, other_faces = random_lists(others, seed=1)
    alone = draw(packed((verts, faces)), seed, num_samples)
    among = draw(packed((verts + other_verts, faces + other_faces)), seed, 40)
    for ours, theirs in zip(alone, among, strict=True):
        assert torch.equal(ours, theirs[: len(verts), :num_samples])


@emulated
@given(st.integers(-20, 20), st.sampled_from([torch.float32, torch.float64]), seeds)
def test_powers_of_two_only_scale_the_points(power, dtype, seed):
    verts, faces, first = packed(random_lists([(20, 40), (5, 3)], dtype=dtype))
    points, sampled, weights = draw((verts, faces, first), seed, 50)
    scaled = draw((2.0**power * verts, faces, first), seed, 50)
    assert torch.equal(scaled[0], 2.0**power * points)
    assert torch.equal(scaled[1], sampled)
    assert torch.equal(scaled[2], weights)


@given(st.integers(0, 2**31 - 1))
def test_points_follow_a_rigid_motion(seed):
    torch.manual_seed(seed)
    verts, faces, first = packed(random_lists([(20, 40), (5, 3)], seed=seed))
    rotation, shift = random_rotation(dtype=torch.float64), torch.randn(3, dtype=torch.float64)
    points, sampled, _ = draw((verts, faces, first), seed, 50)
    moved, moved_sampled, _ = draw((verts @ rotation.T + shift, faces, first), seed, 50)
    assert torch.equal(moved_sampled, sampled)
    torch.testing.assert_close(moved, points @ rotation.T + shift)


@given(st.permutations(range(20)), seeds)
def test_the_numbering_of_vertices_does_not_matter(order, seed):
    verts, faces, first = packed(random_lists([(20, 40)]))
    order = torch.tensor(order)
    points, sampled, _ = draw((verts, faces, first), seed, 50)
    again, again_sampled, _ = draw((verts[order], order.argsort()[faces], first), seed, 50)
    assert torch.equal(points, again)
    assert torch.equal(sampled, again_sampled)


def test_same_bits_for_every_number_of_threads():
    verts, faces, first = packed(random_lists([(2000, 30_000), (0, 0), (500, 9000)], dtype=torch.float32))
    leaf, seed = verts.requires_grad_(), torch.tensor([8])

    def everything() -> tuple[Tensor, ...]:
        points, sampled, weights = _Sample.apply(leaf, faces, first, seed, 9000)
        return points, sampled, weights, *torch.autograd.grad(points.square().sum(), leaf)

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        want = everything()
        for threads in (2, 5):
            torch.set_num_threads(threads)
            assert all(torch.equal(a, b) for a, b in zip(everything(), want, strict=True))
    finally:
        torch.set_num_threads(before)


# Sizes and types.


@emulated
@pytest.mark.parametrize("name", ["spot.obj", "stanford-bunny.obj"])
def test_real_meshes(name, device):
    verts, faces, _ = load_obj(real_mesh(name), load_textures=False)
    meshes = packed(([verts], [faces.verts_idx]), device)
    points, sampled, weights = draw(meshes, 0, 5000)
    corners = meshes[0][meshes[1][sampled]]
    torch.testing.assert_close((weights[..., None] * corners).sum(2), points)
    areas, normals = mesh_face_areas_normals(*meshes[:2])
    assert areas[sampled].min() > 0
    off_plane = ((points - corners[:, :, 0]) * normals[sampled]).sum(-1).abs()
    assert off_plane.max() < 1e-5 * meshes[0].abs().max()
    # By area: eight octants of the bounding box, against the faces' centroids, to which faces are small.
    middle = (meshes[0].amax(0) + meshes[0].amin(0)) / 2
    powers = torch.tensor([1, 2, 4], device=device)
    octant = ((points[0] > middle) * powers).sum(1)
    of_faces = ((meshes[0][meshes[1]].mean(1) > middle) * powers).sum(1)
    shares = torch.zeros(8, dtype=torch.float64, device=device).index_put((of_faces,), areas.double(), accumulate=True)
    counts = torch.bincount(octant, minlength=8).double()
    torch.testing.assert_close(counts / 5000, shares / shares.sum(), rtol=0, atol=0.04)


@pytest.mark.slow
def test_more_faces_than_a_float_can_count():
    # A grid of 20 million faces, all alike: past the 2^24 categories of torch.multinomial.
    side = 3163
    x, y = torch.meshgrid(torch.arange(side + 1.0), torch.arange(side + 1.0), indexing="ij")
    verts = torch.stack([x, y, torch.zeros_like(x)], dim=-1).reshape(-1, 3)
    corner = (torch.arange(side)[:, None] * (side + 1) + torch.arange(side)).reshape(-1)
    steps = torch.tensor([[0, 1, side + 2], [0, side + 2, side + 1]])
    faces = (corner[:, None, None] + steps).reshape(-1, 3)
    assert len(faces) > 20e6
    points, sampled, _ = draw((verts, faces, torch.tensor([0])), 1, 200_000)
    counts = torch.bincount(sampled[0] * 100 // len(faces), minlength=100).double()
    assert abs(chi_square(counts, torch.ones(100))) < 5
    assert abs(sampled[0].remainder(2).double().mean() - 0.5) < 5 * 0.5 / 200_000**0.5
    # The face is the one that the point lies in.
    column, row = points[0, :, :2].floor().long().clamp(max=side - 1).unbind(1)
    assert (sampled[0] // 2 == column * side + row).double().mean() > 0.995


@emulated
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 2e-3), (torch.bfloat16, 1e-2)])
def test_half(dtype, tolerance, device):
    verts = ico_sphere(1).verts_packed().to(dtype)
    meshes = Meshes([verts, torch.zeros(0, 3, dtype=dtype)], [ico_sphere(1).faces_packed(), torch.zeros(0, 3).long()])
    meshes = meshes.to(device)
    torch.manual_seed(0)
    points, normals = sample_points_from_meshes(meshes, 50, return_normals=True)
    torch.manual_seed(0)
    want_points, want_normals = sample_points_from_meshes(
        Meshes([v.float() for v in meshes.verts_list()], meshes.faces_list()), 50, return_normals=True
    )
    assert points.dtype == normals.dtype == dtype
    torch.testing.assert_close(points.float(), want_points, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(normals.float(), want_normals, rtol=tolerance, atol=tolerance)


@emulated
def test_strides_do_not_matter():
    verts, faces, first = packed(random_lists([(20, 40), (5, 3)]))
    want = draw((verts, faces, first), 1, 20)
    wide = torch.stack([verts, verts], dim=2)[:, :, 1]
    got = draw((wide, faces.T.contiguous().T, torch.stack([first, first], 1)[:, 0]), 1, 20)
    for a, b in zip(got, want, strict=True):
        assert torch.equal(a, b)
    grad = _backward(faces, want[1], want[2], torch.ones(3, dtype=torch.float64).expand(2, 20, 3), 25)
    assert torch.equal(grad, _backward(faces, want[1], want[2], torch.ones(2, 20, 3, dtype=torch.float64), 25))


@emulated
def test_nothing_to_draw(device):
    none = torch.zeros(0, 3, device=device)
    points, faces, weights = draw((none, none.long(), torch.zeros(2, dtype=torch.int64, device=device)), 0, 4)
    assert not points.any()
    assert not weights.any()
    assert (faces == -1).all()
    assert draw((none, none.long(), torch.zeros(0, dtype=torch.int64, device=device)), 0, 4)[0].shape == (0, 4, 3)
    assert _backward(none.long(), faces, weights, points, 0).shape == (0, 3)


def test_integers_of_numpy():
    assert sample_points_from_meshes(ico_sphere(0), np.int64(4)).shape == (1, 4, 3)


def test_no_samples():
    assert sample_points_from_meshes(ico_sphere(0), 0).shape == (1, 0, 3)


# Errors.


def test_errors():
    none = torch.zeros(0, 3)
    with pytest.raises(ValueError, match="sample_points_from_meshes: Meshes are empty"):
        sample_points_from_meshes(Meshes([none], [none.long()]))
    for bad in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="Meshes contain nan or inf"):
            sample_points_from_meshes(Meshes([TRIANGLE + torch.tensor([0, 0, bad])], [FACE]))
    with pytest.raises(ValueError, match="Meshes do not contain textures"):
        sample_points_from_meshes(Meshes([TRIANGLE], [FACE]), return_textures=True)
    with pytest.raises(TypeError, match="sample_points_from_meshes: meshes must be Meshes, got Tensor"):
        sample_points_from_meshes(TRIANGLE)
    with pytest.raises(TypeError, match="sample_points_from_meshes: num_samples must be an int, got float"):
        sample_points_from_meshes(Meshes([TRIANGLE], [FACE]), 10.0)
    with pytest.raises(TypeError, match="sample_points_from_meshes: num_samples must be an int, got bool"):
        sample_points_from_meshes(Meshes([TRIANGLE], [FACE]), True)
    for number, message in ((-1, "at least 0, got -1"), (2**62, "so small that the result can be addressed, got")):
        with pytest.raises(ValueError, match=f"sample_points_from_meshes: num_samples must be {message}"):
            sample_points_from_meshes(Meshes([TRIANGLE], [FACE]), number)


FIRST, SEED = torch.tensor([0]), torch.tensor([0])


@emulated
@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (TypeError, "verts must be float32 or float64, got int64", {"verts": TRIANGLE.long()}),
        (ValueError, "verts must be of shape (V, 3) = (_, 3), got (3, 2)", {"verts": TRIANGLE[:, :2]}),
        (TypeError, "faces must be int64, got int32", {"faces": FACE.int()}),
        (ValueError, "faces must be of shape (F, 3) = (_, 3), got (3,)", {"faces": FACE[0]}),
        (TypeError, "first_idxs must be int64, got int32", {"first_idxs": FIRST.int()}),
        (ValueError, "first_idxs must be of shape (N,), got (1, 1)", {"first_idxs": FIRST[None]}),
        (TypeError, "seed must be int64, got float32", {"seed": SEED.float()}),
        (ValueError, "seed must be of shape (1,) = (1,), got (2,)", {"seed": SEED.repeat(2)}),
    ],
)
def test_errors_of_the_operator(error, message, arguments):
    given = {"verts": TRIANGLE, "faces": FACE, "first_idxs": FIRST, "seed": SEED, "num_samples": 2, **arguments}
    with pytest.raises(error, match=re.escape(f"sample_points_from_meshes: {message}")):
        _forward(*given.values())


@pytest.mark.parametrize("index", [-1, 3, 2**40])
def test_a_corner_out_of_range(index):
    faces = torch.tensor([[0, 1, 2], [0, index, 2]])
    message = f"faces must be indices of 3 vertices, in [0, 3), got [0, {index}, 2] at 1"
    with pytest.raises(ValueError, match=re.escape(f"sample_points_from_meshes: {message}")):
        draw((TRIANGLE, faces, FIRST), 0, 2)


@pytest.mark.parametrize(("first", "got"), [([-1], "-1 at 0"), ([0, 1, 0], "0 at 2"), ([0, 2], "2 at 1")])
def test_first_faces_out_of_order(first, got):
    with pytest.raises(ValueError, match=re.escape(f"first_idxs must be ascending in [0, 1], got {got}")):
        draw((TRIANGLE, FACE, torch.tensor(first)), 0, 2)


def strangers_are_never_drawn(device: str) -> None:
    verts = TRIANGLE.to(device)
    faces = torch.tensor([[0, -1, 2], [0, 1, 2], [3, 1, 2], [2**40, 0, -(2**40)]], device=device)
    points, sampled, weights = draw((verts, faces, torch.tensor([0, 2], device=device)), 0, 200)
    assert (sampled[0] == 1).all()
    assert (sampled[1] == -1).all()
    assert not points[1].any()
    # Vertices that are not finite count as no area.
    _, sampled, _ = draw((verts * torch.tensor([1, torch.nan, 1]), faces[1:2], faces.new_zeros(1)), 0, 5)
    assert not sampled.any()
    for first in ([5, 1], [-7, 2**62], [3, 0]):
        draw((verts, faces, torch.tensor(first, device=device)), 0, 200)
    # Those of the backward pass are skipped.
    strange = torch.tensor([[-1, 4, 2**40, 3, 0]], device=device)
    grad = _backward(faces, strange, weights[:1, :5], torch.ones(1, 5, 3, device=device), 3)
    assert torch.isfinite(grad).all()


@pytest.mark.gpu
def test_strangers_are_never_drawn_on_cuda():
    strangers_are_never_drawn("cuda")


@emulated
@pytest.mark.skipif(not _native.is_emulating(), reason="on the CPU they are an error: run with PATINA3D_EMULATE_CUDA=1")
def test_strangers_are_never_drawn_emulated():
    strangers_are_never_drawn("cpu")


@pytest.mark.gpu
def test_devices_must_agree():
    with pytest.raises((ValueError, RuntimeError), match=r"faces|device"):
        _forward(TRIANGLE.cuda(), FACE, FIRST, SEED, 2)


# Torch's machinery.


@torch_warns
@emulated
def test_opcheck(device):
    verts, faces, first = packed(random_lists([(6, 9), (0, 0)], dtype=torch.float32), device)
    seed = torch.tensor([1], device=device)
    torch.library.opcheck(torch.ops.patina3d.sample_points_from_meshes_forward.default, (verts, faces, first, seed, 5))
    points, sampled, weights = _forward(verts, faces, first, seed, 5)
    backward = torch.ops.patina3d.sample_points_from_meshes_backward.default
    torch.library.opcheck(backward, (faces, sampled, weights, points, 6))


@torch_warns
@pytest.mark.parametrize("dynamic", [False, True])
def test_compile(dynamic, device):
    verts, faces, first = packed(random_lists([(6, 9), (0, 0)]), device)
    leaf, seed = verts.requires_grad_(), torch.tensor([1], device=device)

    def loss(verts: Tensor, faces: Tensor) -> Tensor:
        points, _, weights = _Sample.apply(verts, faces, first, seed, 2 * faces.shape[0])
        return (points * weights).square().sum()

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    want, got = loss(leaf, faces), compiled(leaf, faces)
    torch.testing.assert_close(got, want)
    torch.testing.assert_close(torch.autograd.grad(got, leaf), torch.autograd.grad(want, leaf))


@torch_warns
@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("form", ["update_padded", "offset_verts"])
def test_the_public_function_compiles_in_one_graph(form, dynamic, device):
    sphere = ico_sphere(1, device=device)
    verts = sphere.verts_packed()

    def loss(x: Tensor) -> Tensor:
        meshes = sphere.update_padded(x[None]) if form == "update_padded" else sphere.offset_verts(x - verts)
        points, normals = sample_points_from_meshes(meshes, 20, return_normals=True)
        return points.square().sum() + (points * normals).sum() + normals[..., 0].sum()

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    leaf, results = verts.clone().requires_grad_(), []
    for f in (loss, compiled):
        torch.manual_seed(4)
        value = f(leaf)
        results.append((value, *torch.autograd.grad(value, leaf)))
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b)
    assert results[0][1].any()
    # A graph does not look at values: faces without a number for an area are not drawn.
    strange = verts.clone()
    strange[0] = torch.nan
    assert torch.isfinite(compiled(strange))


def test_functional_gradient(device):
    verts, faces, first = packed(random_lists([(6, 9)]), device)
    seed = torch.tensor([1], device=device)

    def loss(verts: Tensor) -> Tensor:
        return _Sample.apply(verts, faces, first, seed, 5)[0].square().sum()

    leaf = verts.clone().requires_grad_()
    torch.testing.assert_close(torch.func.grad(loss)(verts), torch.autograd.grad(loss(leaf), leaf)[0])


def test_the_bare_operators_have_no_derivative():
    leaf = TRIANGLE.clone().requires_grad_()
    with pytest.raises(RuntimeError, match="patina3d::sample_points_from_meshes_forward has no derivative of its own"):
        _forward(leaf, FACE, FIRST, SEED, 2)[0].sum().backward()
    points, sampled, weights = _forward(TRIANGLE, FACE, FIRST, SEED, 2)
    with pytest.raises(RuntimeError, match="patina3d::sample_points_from_meshes_backward has no derivative of its own"):
        _backward(FACE, sampled, weights, points.requires_grad_(), 3).sum().backward()


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cuda_gives_the_bits_of_the_cpu_and_waits_for_nothing(dtype):
    meshes = packed(random_lists([*SIZES, (3000, 200_000)], dtype=dtype))
    there = [x.cuda() for x in meshes]
    leaf, seed = there[0].requires_grad_(), torch.tensor([6], device="cuda")
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        on_gpu = _Sample.apply(leaf, *there[1:], seed, 5000)
        grads = [torch.autograd.grad(on_gpu[0].sum(), leaf, retain_graph=True)[0] for _ in range(20)]
    finally:
        torch.cuda.set_sync_debug_mode(before)
    for here, result in zip(draw(meshes, 6, 5000), on_gpu, strict=True):
        assert torch.equal(here, result.cpu())
    assert all(torch.equal(grad, grads[0]) for grad in grads)


@pytest.mark.gpu
def test_cuda_graph():
    meshes = ico_sphere(3).to("cuda")
    leaf = meshes.verts_packed().clone().requires_grad_()

    def step() -> tuple[Tensor, ...]:
        points, normals = sample_points_from_meshes(meshes.update_padded(leaf[None]), 500, return_normals=True)
        return points, normals, *torch.autograd.grad(points.square().sum() + normals.sum(), leaf)

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        points, _, grad = step()
    seen = []
    for _ in range(2):
        graph.replay()
        assert torch.isfinite(grad).all()
        assert (points.norm(dim=-1) > 0.9).all()
        seen.append(points.clone())
    assert not torch.equal(*seen)
