# SPDX-License-Identifier: Apache-2.0
"""Votes of points for the voxels around them."""

import itertools
import math
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck
from torch.nn.functional import grid_sample

from patina3d.core import _native
from patina3d.io import load_obj
from patina3d.ops import add_pointclouds_to_volumes, points_to_volumes
from patina3d.ops import add_points_features_to_volume_densities_features as add
from patina3d.ops.points_to_volumes import _points_to_volumes
from patina3d.structures import Pointclouds, Volumes
from support.meshes import real_mesh

emulated = pytest.mark.emulated
modes = pytest.mark.parametrize("mode", ["trilinear", "nearest"])
corners = pytest.mark.parametrize("align_corners", [True, False])
# Torch's own machinery uses what torch deprecates.
torch_warns = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")


def scene(batch=2, points=40, channels=3, voxels=(3, 4, 5), dtype=torch.float64, device="cpu", spread=1.3):
    """Points, features, densities and features of volumes; some points are outside."""
    kind = {"dtype": dtype, "device": device}
    xyz = spread * (2 * torch.rand(batch, points, 3, **kind) - 1)
    features = torch.randn(batch, points, channels, **kind)
    densities = torch.rand(batch, 1, *voxels, **kind) + 0.5
    return xyz, features, densities, torch.randn(batch, channels, *voxels, **kind)


def by_loops(xyz, features, densities, volume_features, mode, align_corners, grid_sizes=None, mask=None):
    """The sums, one vote after the other."""
    densities, sums = densities.clone(), volume_features.clone()
    for b, p in itertools.product(*map(range, xyz.shape[:2])):
        size = list(densities.shape[2:]) if grid_sizes is None else grid_sizes[b].tolist()
        x = [
            (c + 1) / 2 * (s - 1) if align_corners else (c + 1) / 2 * s - 0.5
            for c, s in zip(xyz[b, p].tolist()[::-1], size, strict=True)
        ]
        if (mask is not None and mask[b, p] == 0) or not all(map(math.isfinite, x)):
            continue
        for voxel in itertools.product(*map(range, size)):
            if mode == "trilinear":
                w = math.prod(max(0.0, 1 - abs(i - v)) for i, v in zip(x, voxel, strict=True))
            else:
                w = float(all(math.copysign(math.floor(abs(i) + 0.5), i) == v for i, v in zip(x, voxel, strict=True)))
            densities[(b, 0, *voxel)] += w
            sums[(b, slice(None), *voxel)] += w * features[b, p]
    return sums, densities


def assert_close(got, want, tolerance=1e-12):
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


# What is computed.


@emulated
@modes
@corners
@pytest.mark.parametrize("python", [False, True])
@pytest.mark.parametrize("channels", [0, 1, 6])
def test_equals_loops(mode, align_corners, python, channels, device):
    args = scene(points=12, channels=channels, device=device)
    sizes = torch.tensor([[3, 4, 5], [2, 1, 3]], device=device)
    mask = torch.rand(2, 12, device=device) > 0.3
    for how in ({}, {"mask": mask}, {"grid_sizes": sizes}, {"mask": mask, "grid_sizes": sizes}):
        got = add(*args, mode, rescale_features=False, _python=python, align_corners=align_corners, **how)
        assert_close(got, by_loops(*args, mode, align_corners, **how))


@emulated
@modes
@corners
def test_the_python_form_is_equal(mode, align_corners, device):
    args = scene(batch=3, points=2000, voxels=(7, 6, 9), device=device)
    sizes = torch.tensor([[7, 6, 9], [2, 6, 1], [0, 4, 4]], device=device)
    ours = add(*args, mode, grid_sizes=sizes, align_corners=align_corners)
    assert_close(ours, add(*args, mode, grid_sizes=sizes, align_corners=align_corners, _python=True), 1e-11)


@emulated
@corners
def test_splatting_is_the_transpose_of_sampling(align_corners):
    xyz, features, _, volume = scene()
    zeros = torch.zeros(2, 1, 3, 4, 5, dtype=xyz.dtype)
    splat, _ = add(xyz, features, zeros, None, rescale_features=False, align_corners=align_corners)
    sampled = grid_sample(volume, xyz[:, None, None], padding_mode="zeros", align_corners=align_corners)
    assert_close([(splat * volume).sum()], [(sampled[:, :, 0, 0].mT * features).sum()])


def line(size):
    return torch.zeros(1, 1, 1, 1, size)


def votes_on_a_line(x, size, mode="trilinear", align_corners=True):
    xyz = torch.tensor([[[x, 0.0, 0.0]]])
    return add(xyz, xyz[..., :0], line(size), None, mode, align_corners=align_corners)[1].flatten().tolist()


@emulated
def test_known_votes():
    assert votes_on_a_line(-1.0, 5) == [1, 0, 0, 0, 0]
    assert votes_on_a_line(1.0, 5) == [0, 0, 0, 0, 1]
    assert votes_on_a_line(0.125, 5) == [0, 0, 0.75, 0.25, 0]
    # Left of the first voxel: what is left of the vote, nothing for its neighbour.
    assert votes_on_a_line(-1.125, 5) == [0.75, 0, 0, 0, 0]
    assert votes_on_a_line(-0.9375, 4, align_corners=False) == [0.625, 0, 0, 0]
    assert votes_on_a_line(0.9375, 4, align_corners=False) == [0, 0, 0, 0.625]
    assert votes_on_a_line(-1.5, 5) == [0] * 5
    assert votes_on_a_line(1.5, 5) == [0] * 5
    # Halves go away from 0; at -1/2 that is out of the grid.
    assert votes_on_a_line(-0.75, 5, "nearest") == [0, 1, 0, 0, 0]
    assert votes_on_a_line(0.25, 5, "nearest") == [0, 0, 0, 1, 0]
    assert votes_on_a_line(-1.25, 5, "nearest") == [0] * 5
    assert votes_on_a_line(-1.2, 5, "nearest") == [1, 0, 0, 0, 0]
    assert votes_on_a_line(1.25, 5, "nearest") == [0] * 5


@emulated
def test_an_axis_of_one_voxel():
    for mode, x in itertools.product(("trilinear", "nearest"), (-7.0, 0.3, 1.0)):
        assert votes_on_a_line(x, 1, mode) == [1]
    assert votes_on_a_line(0.5, 1, align_corners=False) == [0.75]
    assert votes_on_a_line(0.5, 1, "nearest", align_corners=False) == [1]
    assert votes_on_a_line(1.5, 1, "nearest", align_corners=False) == [0]


@emulated
def test_features_are_divided_by_densities_but_by_no_less_than_asked():
    xyz = torch.tensor([[[-1.0, 0, 0], [0.125, 0, 0]]])
    features = torch.tensor([[[6.0], [8.0]]])
    initial = torch.tensor([[[[[1.0, 0, 0, 0, 0]]]]])
    means, densities = add(xyz, features, initial, None)
    assert densities.flatten().tolist() == [2, 0, 0.75, 0.25, 0]
    assert means.flatten().tolist() == [3, 0, 8, 8, 0]
    means, _ = add(xyz, features, initial, None, min_weight=0.5)
    assert means.flatten().tolist() == [3, 0, 8, 4, 0]
    means, densities = add(xyz, features, initial / 2, initial, "nearest")
    assert densities.flatten().tolist() == [1.5, 0, 1, 0, 0]
    assert means.flatten().tolist() == [pytest.approx(7 / 1.5), 0, 8, 0, 0]
    means, _ = add(xyz, features, initial - 1, None, "nearest", min_weight=7.0)
    assert means.flatten().tolist() == [6, 0, 8, 0, 0]


@emulated
@modes
def test_inputs_are_never_changed(mode):
    args = [x.requires_grad_() for x in scene()]
    before = [x.detach().clone() for x in args]
    features, densities = add(*args, mode)
    assert all(torch.equal(a, b) for a, b in zip(args, before, strict=True))
    assert not {features.data_ptr(), densities.data_ptr()} & {x.data_ptr() for x in args}


@emulated
def test_the_low_level_form_adds_in_place_without_rescaling():
    xyz, features, densities, volume = scene()
    sizes, mask = torch.tensor([[3, 4, 5]]).expand(2, 3), torch.ones(2, 40)
    mask[:, 0] = 0
    for align_corners, splat in itertools.product((True, False), repeat=2):
        mode = "trilinear" if splat else "nearest"
        want = add(
            xyz, features, densities, volume, mode, mask=mask, rescale_features=False, align_corners=align_corners
        )
        mine, yours = densities.clone(), volume.clone()
        leaf = features.clone().requires_grad_()
        out = _points_to_volumes(xyz, leaf, mine, yours, sizes, 2.0, mask, align_corners, splat)
        assert out[0] is mine
        assert out[1] is yours
        assert_close((mine - densities, yours - volume), (2 * (want[1] - densities), 2 * (want[0] - volume)), 1e-11)
        (grad,) = torch.autograd.grad(yours.sum(), leaf)
        assert (grad[:, 0] == 0).all()
        assert (grad != 0).any()


@emulated
def test_mask_is_removal(device):
    xyz, features, densities, volume = scene(batch=1, device=device)
    keep = torch.rand(1, 40, device=device) > 0.4
    want = add(xyz[:, keep[0]], features[:, keep[0]], densities, volume)
    for mask in (keep, keep.float(), -2.5 * keep, keep.long(), keep.half()):
        assert all(
            torch.equal(a, b) for a, b in zip(add(xyz, features, densities, volume, mask=mask), want, strict=True)
        )


@emulated
@modes
@pytest.mark.parametrize("python", [False, True])
@pytest.mark.parametrize("strange", [math.nan, math.inf, -math.inf, 3e38, -3e38, 1e20])
def test_points_that_are_not_finite_do_not_vote(mode, python, strange):
    xyz, features, densities, volume = scene(dtype=torch.float32)
    features[0, :3] = math.nan
    for axis in range(3):
        xyz[0, axis, axis] = strange
    xyz.requires_grad_(mode == "trilinear")
    features.requires_grad_()
    out = add(xyz, features, densities, volume, mode, _python=python)
    want = add(xyz[:, 3:], features[:, 3:], densities[:], volume, mode, _python=python)
    assert_close([x[0] for x in out], [x[0] for x in want], 1e-6)
    sum(x.sum() for x in out).backward()
    assert (features.grad[0, :3] == 0).all()
    if mode == "trilinear":
        assert (xyz.grad[0, :3] == 0).all()


@emulated
@pytest.mark.parametrize("python", [False, True])
def test_voxels_that_are_not_there_do_not_see_infinite_features(python, device):
    # A quarter of a voxel outside along x: four of the eight voxels around the point are there.
    xyz = torch.tensor([[[-1.25, 0.5, 0.5]]], device=device, requires_grad=True)
    features = torch.full((1, 1, 1), math.inf, device=device)
    out, _ = add(xyz, features, torch.zeros(1, 1, 3, 3, 3, device=device), None, rescale_features=False, _python=python)
    (grad,) = torch.autograd.grad(out, xyz, torch.ones_like(out))
    # Towards them the feature grows beyond bounds; across, it comes from one and goes to the other.
    assert grad.flatten().tolist() == pytest.approx([math.inf, math.nan, math.nan], nan_ok=True)


@emulated
@pytest.mark.parametrize("python", [False, True])
def test_votes_of_weight_zero_are_not_cast(python):
    xyz = torch.tensor([[[0.0, 0, 0], [0.5, 0, 0]]])
    features = torch.tensor([[[math.inf], [1.0]]])
    out, densities = add(xyz, features, line(5), None, _python=python)
    assert densities.flatten().tolist() == [0, 0, 1, 1, 0]
    assert out.flatten().tolist() == [0, 0, math.inf, 1, 0]


@emulated
@modes
@pytest.mark.parametrize(
    "shape", [(0, 5, 2, 2, 2, 2), (2, 0, 2, 2, 2, 2), (2, 5, 0, 2, 2, 2), (2, 5, 2, 0, 2, 2), (2, 5, 2, 2, 2, 0)]
)
def test_nothing_to_do(mode, shape, device):
    batch, points, channels, *voxels = shape
    xyz, features, densities, volume = (
        x.requires_grad_() for x in scene(batch, points, channels, voxels, device=device)
    )
    out = add(xyz, features, densities, volume, mode)
    assert [x.shape for x in out] == [(batch, channels, *voxels), (batch, 1, *voxels)]
    sum(x.sum() for x in out).backward()
    assert all(x.grad is None or x.grad.shape == x.shape for x in (xyz, features, densities, volume))
    assert xyz.grad is None if mode == "nearest" else (xyz.grad.isfinite()).all()
    second = torch.autograd.grad(
        add(xyz, features, densities, volume, rescale_features=False)[1].sum(), xyz, create_graph=True
    )[0]
    second.sum().backward()


# Types and layouts.


@emulated
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_every_float(dtype, device):
    args = scene(dtype=dtype, device=device)
    out = add(*args)
    assert {x.dtype for x in out} == {dtype}
    want = add(*(x.double() for x in args))
    for got, exact in zip(out, want, strict=True):
        torch.testing.assert_close(
            got.double(), exact, rtol=8 * torch.finfo(dtype).eps, atol=40 * torch.finfo(torch.float32).eps
        )


def test_the_widest_dtype_wins():
    args = scene(dtype=torch.float32)
    for i in range(4):
        mixed = [x.double() if i == j else x for j, x in enumerate(args)]
        assert {x.dtype for x in add(*mixed)} == {torch.float64}
    assert add(*(x.half() for x in args[:2]), args[2], None)[0].dtype == torch.float32


@emulated
def test_strided_and_expanded_input():
    xyz, features, densities, volume = scene()
    got = add(
        xyz.flip(-1).flip(-1).mT.contiguous().mT,
        features[:, :1].expand(-1, 40, -1),
        densities[:1].expand(2, -1, -1, -1, -1),
        volume.movedim(1, -1).contiguous().movedim(-1, 1),
        grid_sizes=torch.tensor([3, 4, 5]).expand(2, 3),
        mask=torch.ones(1, 1, dtype=torch.bool).expand(2, 40),
    )
    assert_close(got, add(xyz, features[:, :1].repeat(1, 40, 1), densities[:1].repeat(2, 1, 1, 1, 1), volume))


# Laws.

clouds = st.integers(0, 2**31).map(lambda seed: torch.Generator().manual_seed(seed))


def drawn(generator, points, channels=2, batch=1):
    return (
        2.4 * torch.rand(batch, points, 3, generator=generator, dtype=torch.float64) - 1.2,
        torch.randn(batch, points, channels, generator=generator, dtype=torch.float64),
        torch.zeros(batch, 1, 3, 2, 4, dtype=torch.float64),
    )


@settings(max_examples=25)
@given(clouds, st.sampled_from(["trilinear", "nearest"]), st.booleans())
def test_the_order_of_points_does_not_matter(generator, mode, align_corners):
    xyz, features, densities = drawn(generator, 60)
    order = torch.randperm(60, generator=generator)
    out = add(xyz[:, order], features[:, order], densities, None, mode, align_corners=align_corners)
    assert_close(out, add(xyz, features, densities, None, mode, align_corners=align_corners), 1e-10)


@settings(max_examples=25)
@given(clouds, st.sampled_from(["trilinear", "nearest"]), st.integers(0, 80))
def test_the_densities_sum_up_to_the_points_inside(generator, mode, points):
    xyz, features, densities = drawn(generator, points)
    inside = (xyz.abs() <= 1).all(-1)
    got = add(xyz, features, densities, None, mode, mask=inside, rescale_features=False)
    assert_close([got[1].sum()], [inside.sum().double()])
    assert_close([got[0].sum((0, 2, 3, 4))], [(features * inside.unsqueeze(-1)).sum((0, 1))])


@settings(max_examples=25)
@given(clouds, st.floats(1e-6, 1e6))
def test_features_are_linear_and_means_keep_constants(generator, scale):
    xyz, features, densities = drawn(generator, 30)
    means = add(xyz, features, densities, None)[0]
    assert_close([add(xyz, scale * features, densities, None)[0] / scale], [means], 1e-10)
    constant, found = add(xyz, torch.full_like(features, scale), densities, None)
    assert_close(
        [constant[(found > 1e-4).expand_as(constant)] / scale],
        [torch.ones(1).double()[0].expand(int((found > 1e-4).sum()) * 2)],
        1e-10,
    )


@emulated
@modes
def test_a_batch_of_one_is_itself_in_a_larger_batch(mode):
    args = scene(batch=3, points=300, dtype=torch.float32)
    sizes = torch.tensor([[3, 4, 5], [1, 2, 3], [2, 4, 4]])
    whole = add(*args, mode, grid_sizes=sizes)
    for n in range(3):
        alone = add(*(x[n : n + 1] for x in args), mode, grid_sizes=sizes[n : n + 1])
        assert all(torch.equal(a, b[n : n + 1]) for a, b in zip(alone, whole, strict=True))


@emulated
@pytest.mark.parametrize("points", [300, 6000])
def test_a_volume_alone_has_the_bits_it_has_in_a_batch(points, device):
    """Also where voxels are no whole number of warps, and so many points are around one that a warp adds them up."""
    args = [x.requires_grad_() for x in scene(3, points, voxels=(1, 5, 5), dtype=torch.float32, device=device)]

    def everything(volumes):
        x = [value[volumes] for value in args]
        out = add(*x)
        return *out, *torch.autograd.grad(sum(value.square().sum() for value in out), x)

    whole = everything(slice(0, 3))
    for n in range(3):
        alone = everything(slice(n, n + 1))
        assert all(torch.equal(a, b[n : n + 1]) for a, b in zip(alone, whole, strict=True))


@emulated
def test_same_bits_in_every_run(device):
    args = [x.requires_grad_() for x in scene(batch=1, points=9000, dtype=torch.float32, device=device)]

    def everything():
        out = add(*args)
        return *out, *torch.autograd.grad(sum(x.square().sum() for x in out), args)

    first, second = everything(), everything()
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("batch", [1, 3])
def test_same_bits_for_every_number_of_threads(batch):
    args = [x.requires_grad_() for x in scene(batch, 20_000, dtype=torch.float32, voxels=(6, 7, 8))]

    def everything():
        out = add(*args)
        return *out, *torch.autograd.grad(sum(x.square().sum() for x in out), args)

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        want = everything()
        for threads in (2, 5):
            torch.set_num_threads(threads)
            assert all(torch.equal(a, b) for a, b in zip(everything(), want, strict=True))
    finally:
        torch.set_num_threads(before)


# Gradients.


@emulated
@modes
@corners
@pytest.mark.parametrize("rescale", [True, False])
def test_gradients_of_first_and_second_order(mode, align_corners, rescale, device):
    xyz, features, densities, volume = scene(2, 5, 2, (2, 2, 3), device=device, spread=1.2)
    how = {
        "mask": torch.rand(2, 5, device=device) > 0.2,
        "grid_sizes": torch.tensor([[2, 2, 3], [2, 1, 2]], device=device),
        "rescale_features": rescale,
        "align_corners": align_corners,
    }
    inputs = [x.requires_grad_() for x in (xyz, features, densities, volume)]
    if mode == "nearest":
        xyz.requires_grad_(False)

    def run(*args):
        return add(*args, mode, **how)

    assert gradcheck(run, inputs)
    assert gradgradcheck(run, inputs)


@emulated
@corners
def test_gradients_equal_those_of_the_python_form(align_corners, device):
    inputs = [x.requires_grad_() for x in scene(points=500, device=device)]
    grads = []
    for python in (False, True):
        out = add(*inputs, _python=python, align_corners=align_corners)
        seeds = [torch.linspace(-1, 2, x.numel(), dtype=x.dtype, device=device).reshape(x.shape) for x in out]
        grads.append(torch.autograd.grad(out, inputs, seeds))
    assert_close(*grads, 1e-10)


@emulated
def test_on_a_voxels_centre_the_gradient_is_that_towards_greater_indices():
    for size, x, want in ((5, 0.0, 30.0 - 20.0), (5, 1.0, -50.0), (5, -1.0, 10.0)):
        xyz = torch.tensor([[[x, 0, 0]]], requires_grad=True)
        ramp = 10 * torch.tensor([0.0, 1, 2, 3, 5])
        densities = add(xyz, xyz[..., :0].detach(), line(size), None)[1]
        (grad,) = torch.autograd.grad((densities.flatten() * ramp).sum(), xyz)
        assert grad.flatten().tolist() == [2 * want, 0, 0]


@pytest.mark.parametrize("of", [(True, True), (True, False), (False, True), (False, False)])
@modes
def test_only_what_asks_for_a_gradient_gets_one(monkeypatch, of, mode):
    xyz, features, densities, volume = scene()
    asked, backward = [], points_to_volumes._backward
    monkeypatch.setattr(points_to_volumes, "_backward", lambda *x: asked.append(x[-2:]) or backward(*x))
    xyz.requires_grad_(of[0])
    features.requires_grad_(of[1])
    add(xyz, features, densities.requires_grad_(), volume, mode)[0].sum().backward()
    wanted = (of[0] and mode == "trilinear", of[1])
    assert asked == ([wanted] if any(wanted) else [])


@emulated
def test_more_channels_than_a_grid_is_high(device):
    # Of four channels for each of 65535 rows of blocks, and one more.
    channels = 4 * 65_535 + 1
    xyz, densities = torch.zeros(1, 1, 3, device=device), torch.zeros(1, 1, 1, 1, 2, device=device)
    features = torch.arange(channels, dtype=torch.float32, device=device).reshape(1, 1, channels)
    out, densities = add(xyz, features, densities, None, rescale_features=False)
    assert densities.flatten().tolist() == [0.5, 0.5]
    assert torch.equal(out[0, :, 0, 0], (features[0, 0] / 2)[:, None].expand(channels, 2))


@emulated
@pytest.mark.parametrize("which", [0, 1])
def test_gradients_of_one_result(which):
    inputs = [x.requires_grad_() for x in scene()]
    grads = []
    for python in (False, True):
        out = add(*inputs, rescale_features=False, _python=python)[which]
        grads.append(torch.autograd.grad(out.square().sum(), inputs, allow_unused=True, materialize_grads=True))
    assert_close(*grads, 1e-10)


@emulated
def test_where_no_vote_was_cast_gradients_are_not_looked_at():
    # The gradient of a square root is infinite at an empty voxel.
    xyz, features = torch.tensor([[[0.0, 0, 0], [-1.0, 0, 0]]]), torch.ones(1, 2, 1, requires_grad=True)
    for mode in ("trilinear", "nearest"):
        out = add(xyz, features, line(5), None, mode, rescale_features=False)[0]
        (grad,) = torch.autograd.grad(out.sqrt().sum(), features)
        assert grad.flatten().tolist() == [0.5, 0.5]


# Clouds and volumes.


def small_world(device="cpu"):
    sizes = [(3, 4, 5), (2, 6, 3)]
    kind = {"dtype": torch.float64, "device": device}
    volumes = Volumes(
        [torch.rand(1, *size, **kind) for size in sizes],
        [torch.randn(2, *size, **kind) for size in sizes],
        voxel_size=torch.tensor([[0.5, 0.4, 0.3], [0.2, 0.3, 0.9]], **kind),
        volume_translation=torch.tensor([[0.1, -0.2, 0.3], [1.0, 0.0, -0.1]], **kind),
    )
    points = [(torch.rand(count, 3, **kind) - 0.5) * 2 for count in (50, 31)]
    points[1] += torch.tensor([-1.0, 0.0, 0.1], **kind)
    return Pointclouds(points, features=[torch.randn(len(x), 2, **kind) for x in points]), volumes


@emulated
@modes
@pytest.mark.parametrize("python", [False, True])
def test_clouds_of_the_world_vote_each_in_its_own_volume(mode, python, device):
    clouds, volumes = small_world(device)
    before = volumes.densities().clone(), volumes.features().clone()
    out = add_pointclouds_to_volumes(clouds, volumes, mode, _python=python)
    assert type(out) is Volumes
    assert out.locator is volumes.locator
    assert torch.equal(volumes.densities(), before[0])
    assert torch.equal(volumes.features(), before[1])
    for n in range(2):
        index = (clouds.points_list()[n] + volumes.locator._translation[n]) / volumes.locator._voxel_size[n]
        size = torch.tensor(volumes.densities_list()[n].shape[:0:-1], device=device)
        local = 2 * (index + (size - 1) / 2) / (size - 1) - 1
        own = volumes.densities_list()[n][None], volumes.features_list()[n][None]
        want = add(local[None], clouds.features_list()[n][None], *own, mode)
        assert_close((out.features_list()[n], out.densities_list()[n]), (want[0][0], want[1][0]), 1e-9)
    assert (out.densities()[1, :, :, :, 3:] == 0).all()


@corners
def test_voxels_vote_for_themselves(align_corners):
    """The centres of the voxels of a volume, as a cloud, are one vote for each, whatever the sizes and places."""
    sizes = torch.tensor([[3, 4, 5], [2, 1, 3]])
    densities = [torch.zeros(1, *size) for size in sizes.tolist()]
    volumes = Volumes(densities, voxel_size=0.3, volume_translation=(0.1, 0.2, -3.0), align_corners=align_corners)
    grid = volumes.get_coord_grid()
    points = [grid[n, :d, :h, :w].reshape(-1, 3) for n, (d, h, w) in enumerate(sizes.tolist())]
    clouds = Pointclouds(points, features=[x[:, :1] for x in points])
    for mode in ("trilinear", "nearest"):
        out = add_pointclouds_to_volumes(clouds, volumes, mode)
        for n in range(2):
            torch.testing.assert_close(out.densities_list()[n], torch.ones_like(densities[n]), rtol=0, atol=1e-4)
            torch.testing.assert_close(out.features_list()[n].flatten(), points[n][:, 0], rtol=0, atol=1e-4)


def test_gradients_reach_clouds_volumes_and_their_places():
    clouds, volumes = small_world()
    points, features = ([x.requires_grad_() for x in xs] for xs in (clouds.points_list(), clouds.features_list()))
    scale = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)

    def loss(scale, *given):
        made = Pointclouds(list(given[:2]), features=list(given[2:]))
        there = Volumes(volumes.densities(), volumes.features(), voxel_size=scale)
        return add_pointclouds_to_volumes(made, there).features().square().sum()

    inputs = scale, *(x[:4].detach().requires_grad_() for x in (*points, *features))
    assert gradcheck(loss, inputs)


def test_empty_clouds_and_no_clouds():
    empty = Pointclouds([torch.zeros(0, 3), torch.zeros(1, 3)], features=[torch.zeros(0, 2), torch.ones(1, 2)])
    out = add_pointclouds_to_volumes(empty, Volumes(torch.zeros(2, 1, 3, 3, 3)))
    assert out.densities().sum((1, 2, 3, 4)).tolist() == [0, 1]
    # Of no clouds nobody knows the channels.
    with pytest.raises(ValueError, match="pointclouds must have features, got none"):
        add_pointclouds_to_volumes(Pointclouds([], features=[]), Volumes(torch.zeros(0, 1, 3, 3, 3)))


def test_half_clouds_are_placed_in_float32():
    clouds, volumes = small_world()
    volumes = Volumes(volumes.densities().half(), volumes.features().half(), voxel_size=0.4)
    halves = Pointclouds([x.half() for x in clouds.points_list()], features=[x.half() for x in clouds.features_list()])
    out = add_pointclouds_to_volumes(halves, volumes)
    floats = Pointclouds(
        [x.float() for x in halves.points_list()], features=[x.float() for x in halves.features_list()]
    )
    want = add_pointclouds_to_volumes(floats, volumes)
    torch.testing.assert_close(out.features(), want.features().to(out.features().dtype), rtol=1e-2, atol=1e-2)


def test_a_real_mesh():
    verts = load_obj(real_mesh("spot.obj"), load_textures=False)[0]
    size = 48
    low, high = verts.amin(0), verts.amax(0)
    volumes = Volumes(
        torch.zeros(1, 1, size, size, size),
        voxel_size=((high - low).max() / (size - 4)).item(),
        volume_translation=(-(low + high) / 2).tolist(),
    )
    out = add_pointclouds_to_volumes(Pointclouds([verts], features=[verts]), volumes)
    densities = out.densities()
    assert densities.sum().item() == pytest.approx(len(verts), rel=1e-4)
    # Positions as features: the mean position of what voted for a voxel is no further than a voxel from it.
    centres = out.get_coord_grid().movedim(-1, 1)
    off = (out.features() - centres).abs().amax(1, keepdim=True)
    assert off[densities > 1e-3].max() <= 1.001 * volumes.locator._voxel_size.max()
    # The cow is symmetric left and right.
    mirrored = densities.flip(-1)
    assert (densities - mirrored).abs().sum() / densities.sum() < 0.5


# Errors.

P = torch.rand(1, 4, 3)
GRID = torch.zeros(1, 1, 2, 2, 2)


@emulated
@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (TypeError, "points_3d must be a torch.Tensor, got list", {"points_3d": [[0.0]]}),
        (TypeError, "volume_features must be a torch.Tensor or None, got int", {"volume_features": 0}),
        (TypeError, "mask must be a torch.Tensor or None, got bool", {"mask": True}),
        (TypeError, "points_3d must be float32 or float64, got int64", {"points_3d": P.long()}),
        (TypeError, "points_features must be float32, got int64", {"points_features": P.long()}),
        (TypeError, "volume_densities must be float32, got bool", {"volume_densities": GRID.bool()}),
        (TypeError, "grid_sizes must be int64, got int32", {"grid_sizes": torch.ones(1, 3).int()}),
        (ValueError, "mode must be 'trilinear' or 'nearest', got 'bilinear'", {"mode": "bilinear"}),
        (ValueError, "points_3d must be of shape (B, P, 3) = (_, _, 3), got (1, 4, 2)", {"points_3d": P[..., :2]}),
        (
            ValueError,
            "points_features must be of shape (B, P, C) = (1, 4, _), got (1, 3, 3)",
            {"points_features": P[:, :3]},
        ),
        (
            ValueError,
            "volume_densities must be of shape (B, 1, D, H, W) = (1, 1, _, _, _), got (1, 2, 2, 2, 2)",
            {"volume_densities": GRID.repeat(1, 2, 1, 1, 1)},
        ),
        (
            ValueError,
            "volume_features must be of shape (B, C, D, H, W) = (1, 3, 2, 2, 2), got (1, 1, 2, 2, 2)",
            {"volume_features": GRID},
        ),
        (ValueError, "mask must be of shape (B, P) = (1, 4), got (4,)", {"mask": torch.ones(4)}),
        (ValueError, "grid_sizes must be of shape (B, 3) = (1, 3), got (3,)", {"grid_sizes": torch.tensor([2, 2, 2])}),
    ],
)
def test_errors(error, message, arguments):
    given_by_default = {"points_3d": P, "points_features": P, "volume_densities": GRID, "volume_features": None}
    with pytest.raises(error, match=re.escape(f"add_points_features_to_volume_densities_features: {message}")):
        add(**(given_by_default | arguments))


@emulated
def test_grid_sizes_beyond_the_volume():
    xyz, features, densities, volume = scene(batch=1)
    for wild, used in (([[3, 5, 5]], [[3, 4, 5]]), ([[3, -1, 5]], [[3, 0, 5]]), ([[2**62, 4, 5]], [[3, 4, 5]])):
        wild, used = torch.tensor(wild), torch.tensor(used)
        if _native.is_emulating():
            # Where looking would wait for the device, what is beyond is not used.
            got = add(xyz, features, densities, volume, grid_sizes=wild)
            assert_close(got, add(xyz, features, densities, volume, grid_sizes=used))
        else:
            with pytest.raises(ValueError, match="grid_sizes must be within the volumes, got"):
                add(xyz, features, densities, volume, grid_sizes=wild)


@pytest.mark.parametrize(
    ("error", "message", "change"),
    [
        (TypeError, "pointclouds must be Pointclouds, got Tensor", {"pointclouds": P}),
        (TypeError, "initial_volumes must be Volumes, got Tensor", {"initial_volumes": GRID}),
        (
            ValueError,
            "pointclouds must be as many as initial_volumes, 2, got 1",
            {"initial_volumes": Volumes(GRID.repeat(2, 1, 1, 1, 1))},
        ),
        (ValueError, "pointclouds must have features, got none", {"pointclouds": Pointclouds(P)}),
    ],
)
def test_errors_of_clouds_and_volumes(error, message, change):
    arguments = {"pointclouds": Pointclouds(P, features=P), "initial_volumes": Volumes(GRID)} | change
    with pytest.raises(error, match=f"add_pointclouds_to_volumes: {message}"):
        add_pointclouds_to_volumes(**arguments)


# Torch's machinery.


@torch_warns
@emulated
def test_opcheck(device):
    xyz, features, densities, volume = scene(points=9, voxels=(2, 2, 3), dtype=torch.float32, device=device)
    forward, backward = (getattr(torch.ops.patina3d, f"points_to_volumes_{x}").default for x in ("forward", "backward"))
    sizes, mask = torch.tensor([[2, 2, 3], [1, 2, 2]], device=device), torch.rand(2, 9, device=device) > 0.5
    for optional in ((volume, sizes, mask), (None, None, None)):
        torch.library.opcheck(forward, (xyz, features, densities, *optional, 1.0, True, True))
        for wanted in ((True, True), (True, False), (False, True)):
            args = (xyz, features, *optional[1:], 1.0, True, True, densities, optional[0], *wanted)
            torch.library.opcheck(backward, args)


@torch_warns
@pytest.mark.parametrize("dynamic", [False, True])
def test_compiles_in_one_graph(dynamic, device):
    inputs = [x.requires_grad_() for x in scene(device=device)]
    mask = torch.rand(2, 40, device=device) > 0.5

    def loss(*args):
        return sum(x.square().sum() for x in add(*args, mask=mask))

    got, want = torch.compile(loss, fullgraph=True, backend="aot_eager", dynamic=dynamic)(*inputs), loss(*inputs)
    assert_close([got], [want])
    assert_close(torch.autograd.grad(got, inputs), torch.autograd.grad(want, inputs), 1e-10)


@torch_warns
@pytest.mark.parametrize("dynamic", [False, True])
def test_one_tensor_as_two_inputs_compiles_in_one_graph(dynamic, device):
    xyz, _, densities, _ = scene(device=device)
    one = scene(channels=1, device=device)[1]

    def loss(xyz, densities):
        # Points are their own features; densities are those features begin with.
        return sum(x.square().sum() for x in (*add(xyz, xyz, densities, None), *add(xyz, one, densities, densities)))

    inputs = [x.requires_grad_() for x in (xyz, densities)]
    got, want = torch.compile(loss, fullgraph=True, backend="aot_eager", dynamic=dynamic)(*inputs), loss(*inputs)
    assert_close([got], [want])
    assert_close(torch.autograd.grad(got, inputs), torch.autograd.grad(want, inputs), 1e-10)


@emulated
@modes
@pytest.mark.parametrize("of", [0, 1, 3])
def test_nested_functional_gradients(mode, of, device):
    given = list(scene(points=6, device=device))

    def loss(x):
        return sum(y.square().square().sum() for y in add(*given[:of], x, *given[of + 1 :], mode))

    def slope(x):
        return torch.func.grad(loss)(x).square().sum()

    leaf = given[of].clone().requires_grad_()
    (first,) = torch.autograd.grad(loss(leaf), leaf, create_graph=True, materialize_grads=True)
    rest = first.square().sum()
    want = torch.zeros_like(leaf)
    if rest.requires_grad:
        (want,) = torch.autograd.grad(rest, leaf, materialize_grads=True)
    assert_close([torch.func.grad(slope)(given[of])], [want], 1e-9)


@emulated
def test_third_derivatives(device):
    xyz, features, densities, volume = scene(batch=1, points=3, voxels=(2, 2, 2), device=device, spread=0.8)

    def second(x):
        (first,) = torch.autograd.grad(add(x, features, densities, volume)[0].square().sum(), x, create_graph=True)
        return torch.autograd.grad(first.square().sum(), x, create_graph=True)[0]

    assert gradcheck(second, xyz.requires_grad_())


def test_functional_gradient():
    xyz, features, densities, volume = scene()

    def loss(xyz):
        return add(xyz, features, densities, volume)[0].square().sum()

    leaf = xyz.clone().requires_grad_()
    assert_close([torch.func.grad(loss)(xyz)], torch.autograd.grad(loss(leaf), leaf))


@torch_warns
def test_forward_mode_is_an_error():
    xyz, features, densities, volume = scene()
    with pytest.raises(NotImplementedError):
        torch.func.jvp(lambda x: add(x, features, densities, volume), (xyz,), (xyz,))


@pytest.mark.gpu
@modes
def test_cuda_agrees_waits_for_nothing_and_is_captured(mode):
    here = scene(2, 30_000, 5, (16, 9, 20), torch.float32)
    there = [x.cuda().requires_grad_() for x in here]
    sizes, mask = torch.tensor([[16, 9, 20], [3, 9, 7]]), torch.rand(2, 30_000) > 0.5

    def everything(args, sizes, mask):
        out = add(*args, mode, mask=mask, grid_sizes=sizes)
        return *out, *torch.autograd.grad(sum(x.square().sum() for x in out), args[1:])

    want = everything([x.requires_grad_() for x in here], sizes, mask)
    sizes, mask = sizes.cuda(), mask.cuda()
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        got = everything(there, sizes, mask)
    finally:
        torch.cuda.set_sync_debug_mode(before)
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a.cpu(), b, rtol=1e-4, atol=1e-4)
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        everything(there, sizes, mask)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = everything(there, sizes, mask)
    graph.replay()
    torch.cuda.synchronize()
    assert all(torch.equal(a, b) for a, b in zip(captured, got, strict=True))


@pytest.mark.gpu
def test_devices_must_agree():
    with pytest.raises((ValueError, RuntimeError), match=r"volume_densities|device"):
        add(P.cuda(), P.cuda(), GRID, None)
