# SPDX-License-Identifier: Apache-2.0
"""Mesh rasterization: the definition, gradients, laws, edges, errors."""

import math
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import forward_ad, gradcheck

from patina3d.core import _native
from patina3d.io import load_obj
from patina3d.renderer.mesh.rasterize_meshes import (
    barycentric_coordinates,
    barycentric_coordinates_clip,
    edge_function,
    non_square_ndc_range,
    pix_to_non_square_ndc,
    point_line_distance,
    point_triangle_distance,
    rasterize_meshes,
    rasterize_meshes_python,
)
from patina3d.structures import Meshes
from support.meshes import real_mesh

# Cheap ones that reach each kernel.
emulated = pytest.mark.emulated
# Torch's own machinery uses what torch deprecates.
torch_warns = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")

FLAGS = [
    {"perspective_correct": False, "clip_barycentric_coords": False, "cull_backfaces": False},
    {"perspective_correct": True, "clip_barycentric_coords": False, "cull_backfaces": False},
    {"perspective_correct": False, "clip_barycentric_coords": True, "cull_backfaces": True},
    {"perspective_correct": True, "clip_barycentric_coords": True, "cull_backfaces": False},
]


def soup(*counts: int, size: float = 0.8, dtype: torch.dtype = torch.float64, seed: int = 0) -> Meshes:
    """For each count a mesh of that many separate triangles about the image, some of them behind the camera."""
    generator = torch.Generator().manual_seed(seed)
    verts = []
    for count in counts:
        centre = torch.rand((count, 1, 3), generator=generator, dtype=torch.float64) * 2 - 1
        centre[..., 2] += 2
        corner = centre + size * (torch.rand((count, 3, 3), generator=generator, dtype=torch.float64) - 0.5)
        corner[::9, 0, 2] = -0.2
        verts.append(corner.reshape(-1, 3).to(dtype))
    return Meshes(verts, [torch.arange(len(v)).reshape(-1, 3) for v in verts])


def with_verts(meshes: Meshes, verts: Tensor) -> Meshes:
    """The same faces over other packed vertices."""
    faces = [
        meshes.faces_packed()[meshes.mesh_to_faces_packed_first_idx()[n] :][:count]
        for n, count in enumerate(meshes.num_faces_per_mesh())
    ]
    first = meshes.mesh_to_verts_packed_first_idx()
    return Meshes(list(verts.split(meshes.num_verts_per_mesh().tolist())), [f - first[n] for n, f in enumerate(faces)])


def one(*corners: tuple[float, float, float], dtype: torch.dtype = torch.float64) -> Meshes:
    """One mesh of one triangle."""
    return Meshes([torch.tensor(corners, dtype=dtype)], [torch.tensor([[0, 1, 2]])])


@emulated
@pytest.mark.parametrize("flags", FLAGS)
@pytest.mark.parametrize("blur_radius", [0.0, 1e-3, 0.2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_definition(dtype: torch.dtype, blur_radius: float, flags: dict):
    meshes = soup(40, 0, 25, dtype=dtype)
    for size, k in [((17, 24), 4), ((23, 9), 1), (11, 70)]:
        got = rasterize_meshes(meshes, size, blur_radius, k, **flags)
        want = rasterize_meshes_python(meshes, size, blur_radius, k, **flags, cull_to_frustum=False)
        assert (got[0] >= 0).any()
        for a, b in zip(got, want, strict=True):
            assert a.dtype == b.dtype
            assert torch.equal(a, b)


@emulated
@pytest.mark.parametrize("flags", FLAGS)
def test_clipping_and_culling_agree_with_the_definition(flags: dict):
    meshes = soup(40, 3, 25, size=1.6)
    for size in [(12, 31), (31, 12)]:
        for z_clip_value, cull in [(1.5, False), (None, True), (1.5, True)]:
            got = rasterize_meshes(meshes, size, 1e-3, 5, **flags, z_clip_value=z_clip_value, cull_to_frustum=cull)
            want = rasterize_meshes_python(
                meshes, size, 1e-3, 5, **flags, z_clip_value=z_clip_value, cull_to_frustum=cull
            )
            assert (got[0] >= 0).any()
            assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))


@pytest.mark.parametrize("name", ["suzanne", "teapot"])
def test_real_meshes_agree_with_the_definition(name: str):
    """Thousands of small faces that share vertices and edges, many of them in each pixel."""
    verts, faces, _ = load_obj(real_mesh(f"{name}.obj"), load_textures=False)
    verts = (verts - verts.mean(dim=0)) / verts.abs().max() + torch.tensor([0.0, 0.0, 3.0])
    meshes = Meshes([verts], [faces.verts_idx])
    got = rasterize_meshes(meshes, (12, 16), 1e-3, 20, perspective_correct=True, clip_barycentric_coords=True)
    want = rasterize_meshes_python(
        meshes, (12, 16), 1e-3, 20, perspective_correct=True, clip_barycentric_coords=True, cull_to_frustum=False
    )
    assert (got[0][..., 8] >= 0).any()
    assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))


def weighted(fragments: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
    """A random linear function of the fragments that are there."""
    used = fragments[0] >= 0
    return sum(
        (value[used] * torch.rand(value[used].shape, generator=generator, dtype=torch.float64).to(value)).sum()
        for value in fragments[1:]
    )


@emulated
@pytest.mark.parametrize("flags", FLAGS)
@pytest.mark.parametrize("z_clip_value", [None, 1.5])
def test_gradient_is_that_of_the_definition(flags: dict, z_clip_value: float | None):
    meshes = soup(30, 0, 20)
    grads = []
    for rasterize in (rasterize_meshes, rasterize_meshes_python):
        verts = meshes.verts_packed().clone().requires_grad_()
        fragments = rasterize(
            with_verts(meshes, verts), (14, 20), 0.02, 6, **flags, z_clip_value=z_clip_value, cull_to_frustum=False
        )
        weighted(fragments, torch.Generator().manual_seed(1)).backward()
        assert verts.grad is not None
        grads.append(verts.grad)
    assert (grads[1] != 0).any()
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("flags", FLAGS)
def test_gradcheck(flags: dict):
    """Against finite differences, where the choice of faces and edges is the same on both sides."""
    meshes = soup(5, 3, seed=3)
    verts = meshes.verts_packed().clone().requires_grad_()

    def values(verts: Tensor) -> tuple[Tensor, ...]:
        return rasterize_meshes(with_verts(meshes, verts), (5, 7), 0.01, 3, **flags)[1:]

    assert gradcheck(values, (verts,), eps=1e-7, atol=1e-5)


@emulated
@pytest.mark.parametrize("which", [1, 2, 3])
def test_each_output_alone_has_its_gradient(which: int):
    meshes = soup(20)
    grads = []
    for rasterize in (rasterize_meshes, rasterize_meshes_python):
        verts = meshes.verts_packed().clone().requires_grad_()
        fragments = rasterize(with_verts(meshes, verts), 12, 0.01, 3, perspective_correct=True)
        # An expanded gradient, as of every sum.
        fragments[which].sum().backward()
        grads.append(verts.grad)
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-9, atol=1e-9)


def test_float32_gradient_is_near_that_of_float64():
    meshes = soup(30)
    grads = []
    for dtype in (torch.float64, torch.float32, torch.float16):
        # The numbers are those of float16 for all.
        verts = meshes.verts_packed().half().to(dtype).requires_grad_()
        fragments = rasterize_meshes(with_verts(meshes, verts), 16, 0.01, 4, clip_barycentric_coords=True)
        assert fragments[1].dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        # Small enough for float16's range.
        (0.01 * weighted(fragments, torch.Generator().manual_seed(1))).backward()
        assert verts.grad is not None
        assert verts.grad.dtype == dtype
        grads.append(verts.grad.double())
    scale = grads[0].abs().max().item()
    torch.testing.assert_close(grads[1], grads[0], rtol=1e-4, atol=1e-5 * scale)
    torch.testing.assert_close(grads[2], grads[0], rtol=2e-3, atol=1e-3 * scale)


def test_values_of_one_triangle():
    meshes = one((1.0, -1.0, 1.0), (-1.0, -1.0, 2.0), (1.0, 1.0, 4.0))
    pix_to_face, zbuf, bary, dists = rasterize_meshes(meshes, 4, 0.0, 2)
    # Pixel centres are at +-0.25 and +-0.75; +x is left, +y up; on the hypotenuse nothing is inside.
    inside = torch.tensor([[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0]]).bool()
    assert torch.equal(pix_to_face[0, ..., 0] == 0, inside)
    assert (pix_to_face[..., 1] == -1).all()
    # p = (0.25, -0.75): an eighth of the height above the base.
    w = torch.tensor([0.5, 0.375, 0.125], dtype=torch.float64)
    torch.testing.assert_close(bary[0, 3, 1, 0], w, rtol=0, atol=1e-8)
    torch.testing.assert_close(zbuf[0, 3, 1, 0].item(), 0.5 + 0.75 + 0.5, rtol=0, atol=1e-7)
    torch.testing.assert_close(dists[0, 3, 1, 0].item(), -0.0625)
    for unused in (zbuf[0, 0, 3], bary[0, 0, 3], dists[0, 0, 3]):
        assert (unused == -1).all()
    # In space: weights proportional to w / z.
    _, zbuf, bary, _ = rasterize_meshes(meshes, 4, 0.0, 1, perspective_correct=True)
    u = w / torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
    torch.testing.assert_close(bary[0, 3, 1, 0], u / u.sum(), rtol=0, atol=1e-7)
    torch.testing.assert_close(zbuf[0, 3, 1, 0].item(), 1 / u.sum().item(), rtol=0, atol=1e-7)


@emulated
def test_blur_reaches_as_far_as_its_root():
    # The left edge of the face is at x = 0.05, +x is left; pixel centres are 0.05 apart.
    meshes = one((0.05, -2.0, 1.0), (0.0, 2.0, 1.0), (0.05, 2.0, 1.0))
    pix_to_face, _, _, dists = rasterize_meshes(meshes, 40, 0.3**2, 1)
    x = torch.tensor([pix_to_non_square_ndc(39 - column, 40, 40) for column in range(20)], dtype=torch.float64)
    left = x > 0.05
    assert torch.equal(pix_to_face[0, 20, :20, 0][left] >= 0, x[left] < 0.35)
    hit = left & (x < 0.35)
    torch.testing.assert_close(dists[0, 20, :20, 0][hit], (x[hit] - 0.05).square())


@emulated
def test_the_longer_side_spans_more():
    assert (non_square_ndc_range(40, 10), non_square_ndc_range(10, 40)) == (8.0, 2.0)
    meshes = one((3.9, -0.9, 1.0), (3.1, -0.9, 1.0), (3.9, 0.9, 1.0))
    pix_to_face = rasterize_meshes(meshes, (10, 40), 0.0, 1)[0][0, ..., 0]
    x = torch.tensor([pix_to_non_square_ndc(39 - column, 40, 10) for column in range(40)])
    assert torch.equal((pix_to_face >= 0).any(dim=0), (x > 3.1) & (x < 3.9))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), k=st.integers(1, 6), blur_radius=st.sampled_from([0.0, 0.01]))
def test_the_order_of_faces_does_not_matter(seed: int, k: int, blur_radius: float):
    meshes = soup(25, seed=seed)
    order = torch.randperm(25, generator=torch.Generator().manual_seed(seed))
    shuffled = Meshes([meshes.verts_packed()], [meshes.faces_packed()[order]])
    a = rasterize_meshes(meshes, 9, blur_radius, k)
    b = rasterize_meshes(shuffled, 9, blur_radius, k)
    back = torch.where(b[0] >= 0, order[b[0].clamp(min=0)], -1)
    assert torch.equal(a[0], back)
    assert all(torch.equal(x, y) for x, y in zip(a[1:], b[1:], strict=True))


@settings(max_examples=25, deadline=None)
@given(counts=st.lists(st.integers(0, 12), min_size=1, max_size=4), seed=st.integers(0, 1000))
def test_a_mesh_alone_is_the_mesh_in_a_batch(counts: list[int], seed: int):
    meshes = soup(*counts, seed=seed)
    batch = rasterize_meshes(meshes, (7, 10), 0.01, 3)
    first = meshes.mesh_to_faces_packed_first_idx()
    for n in range(len(counts)):
        alone = rasterize_meshes(meshes[n], (7, 10), 0.01, 3)
        assert torch.equal(torch.where(alone[0] >= 0, alone[0] + first[n], -1), batch[0][n : n + 1])
        assert all(torch.equal(x, y[n : n + 1]) for x, y in zip(alone[1:], batch[1:], strict=True))


@emulated
@pytest.mark.parametrize("size", [(5, 5), (19, 33)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_mesh_alone_has_the_gradient_that_it_has_in_a_batch(dtype: torch.dtype, size: tuple[int, int], device):
    """To the bit: two large triangles cover most pixels of each image."""
    verts = [x.verts_packed() for x in (soup(2, size=3, dtype=dtype, seed=seed) for seed in (1, 2, 3))]
    faces = torch.arange(6, device=device).reshape(2, 3)

    def gradients(verts: list[Tensor], upstream: list[Tensor]) -> tuple[Tensor, ...]:
        leaves = [x.to(device).requires_grad_() for x in verts]
        fragments = rasterize_meshes(Meshes(leaves, [faces] * len(leaves)), size, 0.01, 2)
        return torch.autograd.grad(fragments[1:], leaves, upstream)

    upstream = [torch.randn(3, *size, 2, *last, dtype=dtype, device=device) for last in ((), (3,), ())]
    batch = gradients(verts, upstream)
    for n in range(3):
        (alone,) = gradients(verts[n : n + 1], [x[n : n + 1] for x in upstream])
        assert (alone != 0).any()
        assert torch.equal(alone, batch[n])


@settings(max_examples=20, deadline=None)
@given(exponent=st.integers(-10, 20), seed=st.integers(0, 1000))
def test_depth_scales_with_the_scene(exponent: int, seed: int):
    """Scaling depths by a power of two changes nothing but depths."""
    meshes = soup(20, seed=seed)
    verts = meshes.verts_packed().clone()
    verts[:, 2] = verts[:, 2].abs() + 1
    a = rasterize_meshes(with_verts(meshes, verts), 9, 0.01, 3, clip_barycentric_coords=True)
    scale = 2.0**exponent
    scaled = with_verts(meshes, verts * torch.tensor([1.0, 1.0, scale], dtype=torch.float64))
    b = rasterize_meshes(scaled, 9, 0.01, 3, clip_barycentric_coords=True)
    assert torch.equal(a[0], b[0])
    assert torch.equal(torch.where(a[0] >= 0, a[1] * scale, -1.0), b[1])
    assert torch.equal(a[2], b[2])
    assert torch.equal(a[3], b[3])


@settings(max_examples=20, deadline=None)
@given(right=st.integers(-3, 3), down=st.integers(-3, 3), seed=st.integers(0, 1000))
def test_moving_by_pixels_moves_the_image(right: int, down: int, seed: int):
    """On a grid of powers of two nothing is rounded."""
    meshes = soup(20, seed=seed)
    verts = (meshes.verts_packed() * 2**20).round() / 2**20
    shift = torch.tensor([-right / 8, -down / 8, 0.0], dtype=torch.float64)
    a = rasterize_meshes(with_verts(meshes, verts), 16, 0.0, 2)[0].roll((down, right), (1, 2))
    b = rasterize_meshes(with_verts(meshes, verts + shift), 16, 0.0, 2)[0]
    inner = slice(3, 13)
    assert torch.equal(a[:, inner, inner], b[:, inner, inner])


@emulated
def test_ties_go_to_the_lower_face():
    triangle = torch.tensor([[1.0, -1.0, 2.0], [-1.0, -1.0, 2.0], [0.0, 1.0, 2.0]])
    meshes = Meshes([triangle], [torch.tensor([[0, 1, 2]] * 5)])
    pix_to_face = rasterize_meshes(meshes, 8, 0.0, 3)[0]
    used = pix_to_face[..., 0] >= 0
    assert used.any()
    assert (pix_to_face[used] == torch.tensor([0, 1, 2])).all()


def test_no_face_is_dropped_however_many_meet():
    count = 20_000
    verts = torch.rand((count, 3, 3), dtype=torch.float64) * 0.1 + torch.tensor([[1.0, -1, 1], [-1, -1, 1], [0, 2, 1]])
    verts[..., 2] += torch.arange(count)[:, None]
    order = torch.randperm(count)
    meshes = Meshes([verts[order].reshape(-1, 3)], [torch.arange(3 * count).reshape(-1, 3)])
    pix_to_face, zbuf, *_ = rasterize_meshes(meshes, 1, 0.0, count)
    assert torch.equal(order[pix_to_face[0, 0, 0]], torch.arange(count))
    assert (zbuf.diff() > 0).all()
    for k in (1, 7):
        assert torch.equal(rasterize_meshes(meshes, 1, 0.0, k)[0], pix_to_face[..., :k])


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (3, 700), (260, 2)])
def test_thin_images(size: tuple[int, int]):
    meshes = soup(60, dtype=torch.float32)
    got = rasterize_meshes(meshes, size, 0.1, 2)
    want = rasterize_meshes_python(meshes, size, 0.1, 2, cull_to_frustum=False)
    assert (got[0] >= 0).any()
    assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))


@emulated
def test_nothing_to_draw():
    verts = torch.zeros((0, 3), requires_grad=True)
    empty = Meshes([verts, torch.zeros((4, 3))], [torch.zeros((0, 3), dtype=torch.int64)] * 2)
    for rasterize in (rasterize_meshes, rasterize_meshes_python):
        fragments = rasterize(empty, (3, 4), 0.1, 2)
        assert fragments[0].shape == (2, 3, 4, 2)
        assert fragments[2].shape == (2, 3, 4, 2, 3)
        assert all((value == -1).all() for value in fragments)
        sum(value.sum() for value in fragments[1:]).backward()
    assert rasterize_meshes(Meshes([], []), 4, 0.0, 2)[2].shape == (0, 4, 4, 2, 3)
    assert rasterize_meshes(soup(3), 4, 0.0, 0)[2].shape == (1, 4, 4, 0, 3)
    verts = soup(3).verts_packed().clone().requires_grad_()
    rasterize_meshes(with_verts(soup(3), verts), 4, 0.0, 0)[1].sum().backward()
    assert verts.grad is not None
    assert (verts.grad == 0).all()


@emulated
def test_unsound_faces_are_not_drawn():
    verts = soup(7, size=2.0).verts_packed().clone().reshape(7, 3, 3)
    verts[..., 2] = 2.0
    verts[1, 0, 0] = math.nan
    verts[2, 1, 1] = math.inf
    verts[3, 2, 2] = -math.inf
    verts[4, 2, 2] = 0.0
    verts[5, 2, :2] = verts[5, 1, :2]
    verts = verts.reshape(-1, 3).requires_grad_()
    fragments = rasterize_meshes(with_verts(soup(7), verts), 16, 0.1, 7)
    assert set(fragments[0].unique().tolist()) == {-1, 0, 6}
    assert all(value.isfinite().all() for value in fragments)
    sum(value.sum() for value in fragments[1:]).backward()
    assert verts.grad is not None
    assert verts.grad.isfinite().all()


@emulated
@pytest.mark.parametrize("flags", FLAGS)
@pytest.mark.parametrize("blur_radius", [0.0, 0.1, math.inf])
@pytest.mark.parametrize(
    "corners",
    [
        [(0.0, 0.0), (1e20, 1e20), (3e20, 2e20)],
        [(0.0, 0.0), (1e20, 1e20), (2e20, 1e20)],
        [(-1e20, -1e20), (1e20, -1e20), (0.0, 1e20)],
        # The area does not overflow, and a short edge is near.
        [(0.0, 0.0), (1e20, 0.0), (0.0, 1.0)],
        [(0.0, 0.0), (1e20, 0.0), (1e20, 1.0)],
    ],
)
def test_faces_that_overflow_are_not_drawn(corners: list[tuple[float, float]], blur_radius: float, flags: dict):
    for flip in (1.0, -1.0):
        large = one(*((flip * x, y, 1.0) for x, y in corners), dtype=torch.float32)
        verts = large.verts_packed().requires_grad_()
        for rasterize in (rasterize_meshes, rasterize_meshes_python):
            fragments = rasterize(with_verts(large, verts), 5, blur_radius, 1, **flags, cull_to_frustum=False)
            assert (fragments[0] == -1).all()
            (grad,) = torch.autograd.grad(sum(value.sum() for value in fragments[1:]), verts)
            assert (grad == 0).all()
    # Of the same shape in float64, where nothing overflows.
    fragments = rasterize_meshes(one(*((x, y, 1.0) for x, y in corners)), 5, math.inf, 1)
    assert (fragments[0] == 0).any()


@emulated
def test_backfaces():
    front, back = one((1, -1, 1), (-1, -1, 1), (0, 1, 1)), one((-1, -1, 1), (1, -1, 1), (0, 1, 1))
    corners = front.verts_packed()[:, :2]
    assert edge_function(*corners) * edge_function(*back.verts_packed()[:, :2]) < 0
    drawn = [(rasterize_meshes(m, 8, cull_backfaces=True)[0] >= 0).any().item() for m in (front, back)]
    assert drawn == [edge_function(*corners).item() > 0, edge_function(*corners).item() < 0]
    assert all((rasterize_meshes(m, 8)[0] >= 0).any() for m in (front, back))


@emulated
def test_halves_of_a_cut_face_share_no_pixel():
    """A face cut in two is drawn at each pixel by the half that contains it, once."""
    meshes = one((0.0, -2.0, 0.5), (2.0, 1.5, 3.0), (-2.0, 1.0, 4.0))
    for k in (1, 2, 4):
        pix_to_face, zbuf, bary, dists = rasterize_meshes(meshes, 32, 0.05, k, z_clip_value=1.0)
        assert ((pix_to_face >= 0).sum(-1) <= 1).all()
        used = pix_to_face[..., 0] >= 0
        assert used.sum() > 200
        # The plane of the original face, extended by the blur.
        depth = (bary[..., 0, :] * torch.tensor([0.5, 3.0, 4.0], dtype=torch.float64)).sum(-1)
        torch.testing.assert_close(depth[used], zbuf[..., 0][used], rtol=1e-6, atol=1e-6)
        # Inside the original and in front of the cut: inside the half that was drawn.
        whole = rasterize_meshes(meshes, 32, 0.0, 1)
        in_front = (whole[0] >= 0) & (whole[1] > 1.0 + 1e-6)
        assert in_front.any()
        # Where the pixel lies on the common diagonal up to rounding it is inside neither half.
        assert (dists[..., :1][in_front] < 1e-12).all()


def test_culling_knows_the_extent_of_the_image():
    """A face beyond one but within the longer side of the image stays."""
    meshes = one((1.9, -0.2, 1.0), (1.5, -0.2, 1.0), (1.7, 0.2, 1.0))
    wide = rasterize_meshes(meshes, (20, 40), cull_to_frustum=True)
    assert (wide[0] >= 0).any()
    assert all(torch.equal(a, b) for a, b in zip(wide, rasterize_meshes(meshes, (20, 40)), strict=True))
    outside = one((2.3, -0.2, 1.0), (2.05, -0.2, 1.0), (2.2, 0.2, 1.0))
    assert (rasterize_meshes(outside, (20, 40), 0.1)[0] >= 0).any()
    assert (rasterize_meshes(outside, (20, 40), 0.1, cull_to_frustum=True)[0] == -1).all()


@settings(max_examples=40, deadline=None)
@given(
    numbers=st.lists(
        st.sampled_from([0.0, 1e-9, 1e-6, 1e-4, 0.5, 1.0, 1.0 + 1e-7, 3.0, 1e6, -1.0]), min_size=18, max_size=18
    ),
    blur_radius=st.sampled_from([0.0, 1e-8, 0.1, 4.0]),
    flags=st.sampled_from(FLAGS),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_gradients_are_finite(numbers: list[float], blur_radius: float, flags: dict, dtype: torch.dtype):
    """Degenerate, edge on, at the camera plane, tiny, huge."""
    verts = torch.tensor(numbers, dtype=dtype).reshape(6, 3)
    verts[:, 2] = verts[:, 2].abs()
    verts.requires_grad_()
    meshes = Meshes([verts], [torch.tensor([[0, 1, 2], [3, 4, 5], [0, 2, 4]])])
    fragments = rasterize_meshes(meshes, 8, blur_radius, 3, **flags)
    assert all(value.isfinite().all() for value in fragments)
    weighted(fragments, torch.Generator().manual_seed(0)).backward()
    assert verts.grad is not None
    assert verts.grad.isfinite().all()


def test_the_same_bits_for_every_number_of_threads():
    meshes = soup(400, 300, size=0.4, dtype=torch.float32)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            verts = meshes.verts_packed().clone().requires_grad_()
            fragments = rasterize_meshes(with_verts(meshes, verts), (60, 80), 0.001, 5)
            weighted(fragments, torch.Generator().manual_seed(0)).backward()
            results.append((*fragments, verts.grad))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_bin_arguments_have_no_effect():
    meshes = soup(30)
    plain = rasterize_meshes(meshes, 12, 0.01, 3)
    for bin_size, most in [(0, None), (5, 1), (None, 2)]:
        got = rasterize_meshes(meshes, 12, 0.01, 3, bin_size=bin_size, max_faces_per_bin=most)
        assert all(torch.equal(a, b) for a, b in zip(plain, got, strict=True))


def test_strided_vertices():
    meshes = soup(20, dtype=torch.float32)
    verts = meshes.verts_packed()
    strided = torch.stack([verts, -verts], dim=-1)[..., 0]
    assert not strided.is_contiguous()
    plain, got = (rasterize_meshes(with_verts(meshes, v), 12) for v in (verts, strided))
    assert all(torch.equal(a, b) for a, b in zip(plain, got, strict=True))
    same = torch.tensor([[0.5, -0.5, 1.0]]).expand(6, 3)
    assert (rasterize_meshes(Meshes([same], [torch.tensor([[0, 1, 2]])]), 4)[0] == -1).all()


def test_once_differentiable():
    meshes = soup(4, size=1.5)
    verts = meshes.verts_packed().clone().requires_grad_()
    dists = rasterize_meshes(with_verts(meshes, verts), 8)[3]
    (grad,) = torch.autograd.grad(dists.sum(), verts, create_graph=True)
    assert (grad != 0).any()
    with pytest.raises(NotImplementedError, match="rasterize_meshes: the gradient of the gradient is not available"):
        grad.sum().backward()


@torch_warns
def test_forward_mode_is_an_error_not_zero():
    meshes = soup(4, size=1.5)
    verts = meshes.verts_packed()
    with pytest.raises(NotImplementedError, match="jvp"):
        torch.func.jvp(lambda x: rasterize_meshes(with_verts(meshes, x), 8)[1:], (verts,), (torch.ones_like(verts),))
    with forward_ad.dual_level(), pytest.raises(NotImplementedError, match="jvp"):
        rasterize_meshes(with_verts(meshes, forward_ad.make_dual(verts, torch.ones_like(verts))), 8)


def test_a_gradient_that_is_not_finite_reaches_its_face_alone():
    meshes = soup(6, size=1.5)
    verts = meshes.verts_packed().clone().requires_grad_()
    pix_to_face, zbuf, *_ = rasterize_meshes(with_verts(meshes, verts), 8, faces_per_pixel=1)
    assert len(pix_to_face.unique()) > 2
    place = (pix_to_face >= 0).nonzero()[0]
    (sound,) = torch.autograd.grad(zbuf.sum(), verts, retain_graph=True)
    for bad in (math.nan, math.inf):
        incoming = torch.ones_like(zbuf)
        incoming[tuple(place)] = bad
        (grad,) = torch.autograd.grad(zbuf, verts, incoming, retain_graph=True)
        face = pix_to_face[tuple(place)]
        assert not grad.reshape(-1, 3, 3)[face, :, 2].isfinite().any()
        others = torch.arange(6) != face
        assert torch.equal(grad.reshape(-1, 9)[others], sound.reshape(-1, 9)[others])


def faces_of(meshes: Meshes) -> tuple[Tensor, Tensor, Tensor]:
    face_verts = meshes.verts_packed()[meshes.faces_packed()]
    return face_verts, meshes.mesh_to_faces_packed_first_idx(), meshes.num_faces_per_mesh()


def test_operator_is_registered_soundly():
    face_verts, first, count = faces_of(soup(6, 4))
    forward = torch.ops.patina3d.rasterize_meshes_forward.default
    args = (face_verts, first, count, None, 6, 8, 0.01, 3, True, True, False)
    torch.library.opcheck(forward, args)
    pix_to_face, zbuf, bary, dists = forward(*args)
    backward = torch.ops.patina3d.rasterize_meshes_backward.default
    torch.library.opcheck(backward, (face_verts, first, count, pix_to_face, True, True, zbuf, bary, dists))


def test_bare_operator_refuses_a_gradient():
    face_verts, first, count = faces_of(soup(6))
    forward = torch.ops.patina3d.rasterize_meshes_forward.default
    zbuf = forward(face_verts.requires_grad_(), first, count, None, 6, 8, 0.01, 3, True, True, False)[1]
    with pytest.raises(RuntimeError, match="has no derivative of its own"):
        zbuf.sum().backward()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"image_size": 0}, ValueError, "image_size must be one or two positive integers, got 0"),
        ({"image_size": (4, 4, 4)}, ValueError, "image_size must be one or two positive integers"),
        ({"blur_radius": -1.0}, ValueError, "rasterize_meshes: blur_radius must be at least 0, got -1"),
        ({"blur_radius": math.nan}, ValueError, "rasterize_meshes: blur_radius must be at least 0, got NaN"),
        ({"faces_per_pixel": -1}, ValueError, "rasterize_meshes: faces_per_pixel must be at least 0, got -1"),
        (
            {"faces_per_pixel": 2**60},
            ValueError,
            "rasterize_meshes: image_size must be so small that the result can be",
        ),
        ({"z_clip_value": -1.0, "perspective_correct": True}, ValueError, "z_clip_value must be positive"),
    ],
)
def test_bad_settings(change: dict, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        rasterize_meshes(soup(3), **{"image_size": 4, **change})


@pytest.mark.parametrize(
    ("position", "value", "error", "message"),
    [
        (0, torch.zeros((2, 3, 3), dtype=torch.int64), TypeError, "face_verts must be float32 or float64, got int64"),
        (
            0,
            torch.zeros((2, 3, 2)),
            ValueError,
            r"face_verts must be of shape \(F, 3, 3\) = \(_, 3, 3\), got \(2, 3, 2\)",
        ),
        (1, torch.zeros(1), TypeError, "mesh_to_face_first_idx must be int64, got float32"),
        (2, torch.zeros(2, dtype=torch.int64), ValueError, r"num_faces_per_mesh must be of shape \(N,\) = \(1,\)"),
        (
            3,
            torch.zeros(1, dtype=torch.int64),
            ValueError,
            r"clipped_faces_neighbor_idx must be of shape \(F,\) = \(2,\)",
        ),
    ],
)
def test_bad_tensors(position: int, value: Tensor, error: type[Exception], message: str):
    index = torch.zeros(1, dtype=torch.int64)
    args = [torch.zeros((2, 3, 3)), index, index, None, 4, 4, 0.0, 1, False, False, False]
    args[position] = value
    with pytest.raises(error, match=f"rasterize_meshes: {message}"):
        torch.ops.patina3d.rasterize_meshes_forward(*args)


def test_functions_of_one_triangle():
    corners = torch.tensor([[0.0, 0.0], [0.0, 4.0], [4.0, 0.0]], dtype=torch.float64)
    p = torch.tensor([[1.0, 0.5], [-1.0, 1.0], [3.0, 3.0]], dtype=torch.float64)
    bary = barycentric_coordinates(p, *corners)
    torch.testing.assert_close(sum(bary), torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(torch.stack(bary, -1) @ corners, p, rtol=0, atol=1e-8)
    clipped = torch.stack(barycentric_coordinates_clip(bary), -1)
    assert (clipped >= 0).all()
    torch.testing.assert_close(clipped[0], torch.stack(bary, -1)[0])
    torch.testing.assert_close(clipped[1], torch.tensor([0.8, 0.2, 0.0], dtype=torch.float64))
    torch.testing.assert_close(
        point_triangle_distance(p, *corners), torch.tensor([0.25, 1.0, 2.0], dtype=torch.float64)
    )
    beyond = torch.tensor([5.0, 1.0], dtype=torch.float64)
    assert point_line_distance(beyond, corners[0], corners[2]) == 2.0
    assert point_line_distance(beyond, corners[2], corners[2]) == 2.0


EMULATED = """
import sys, torch
from patina3d.core import _native
sys.path.insert(0, sys.argv[1])
from renderer.test_rasterize_meshes import FLAGS, soup, weighted, with_verts
from patina3d.renderer.mesh.rasterize_meshes import rasterize_meshes
for flags in FLAGS:
    for dtype in (torch.float32, torch.float64):
        meshes = soup(20, 0, 9, dtype=dtype)
        results = []
        for emulate in (False, True):
            _native.emulate(emulate)
            verts = meshes.verts_packed().clone().requires_grad_()
            fragments = rasterize_meshes(with_verts(meshes, verts), (9, 20), 0.01, 3, **flags, z_clip_value=1.2)
            weighted(fragments, torch.Generator().manual_seed(0)).backward()
            results.append((*fragments, verts.grad))
        _native.emulate(False)
        cpu, gpu = results
        assert (cpu[0] >= 0).any()
        assert all(torch.equal(a, b) for a, b in zip(cpu[:4], gpu[:4])), (flags, dtype)
        torch.testing.assert_close(cpu[4], gpu[4], rtol=1e-3, atol=1e-4)
"""


@pytest.mark.skipif(not _native.has_emulator(), reason="this build of the native module has no emulator")
def test_emulated_kernels_give_the_same_bits():
    """In a process of its own, since the emulator is a switch for all of it."""
    tests = __file__.rsplit("/", 2)[0]
    done = subprocess.run([sys.executable, "-c", EMULATED, tests], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
