# SPDX-License-Identifier: Apache-2.0
"""Farthest point sampling: the definition, gradients, laws, edges, errors, torch's machinery."""

import importlib
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from patina3d.core import _native
from patina3d.io import load_obj
from patina3d.ops import sample_farthest_points, sample_farthest_points_naive
from patina3d.ops._reference.sample_farthest_points import sample_farthest_points as reference
from patina3d.ops.utils import masked_gather
from support.meshes import real_mesh

emulated = pytest.mark.emulated
laws = settings(max_examples=15, deadline=None)
# Torch's own machinery uses what torch deprecates.
torch_warns = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
seeds = st.integers(0, 2**31 - 1)

DTYPES = [torch.float32, torch.float64]
DIMENSIONS = [1, 2, 3, 5, 40]
NAN, INF = float("nan"), float("inf")


def definition(
    points: Tensor,
    lengths: list[int] | None = None,
    counts: list[int] | None = None,
    start: list[int] | None = None,
    K: int = 50,
) -> Tensor:
    n, p, _ = points.shape
    return reference(points, lengths or [p] * n, counts or [K] * n, start or [0] * n, K)


def lattice(n: int, p: int, d: int, dtype: torch.dtype, device: torch.device | str = "cpu") -> Tensor:
    """Points on a small lattice: nearly every choice is a tie, and every distance is exact."""
    return torch.randint(4, (n, p, d), device=device).to(dtype)


def random_cloud(seed: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, int]:
    """A cloud of random size, and a number of choices up to all of its points."""
    generator = torch.Generator().manual_seed(seed)
    p, d = (int(torch.randint(1, most, (), generator=generator)) for most in (400, 6))
    k = int(torch.randint(1, p + 1, (), generator=generator))
    return torch.randn((1, p, d), generator=generator, dtype=torch.float64).to(dtype), k


@emulated
@pytest.mark.parametrize("d", DIMENSIONS)
def test_definition_in_float64(d, device):
    points = torch.randn((4, 90, d), dtype=torch.float64, device=device)
    for lengths in (None, [90, 0, 1, 33]):
        for counts in (1, 7, 90, 120, [0, 4, 9, 50]):
            tensor = None if lengths is None else torch.tensor(lengths, device=device)
            most, per_cloud = (counts, None) if isinstance(counts, int) else (max(counts), counts)
            chosen, idx = sample_farthest_points(points, tensor, K=counts)
            assert torch.equal(idx, definition(points, lengths, per_cloud, K=most))
            assert torch.equal(chosen, masked_gather(points, idx))


@emulated
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("d", DIMENSIONS)
def test_ties_go_to_the_lowest_index(d, dtype, device):
    points = lattice(2, 150, d, dtype, device)
    assert torch.equal(sample_farthest_points(points, K=150)[1], definition(points, K=150))


@emulated
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("p", [4000, 5000, 9000])
def test_large_clouds(p, d, dtype, device):
    # On CUDA clouds of these sizes are chosen from in different ways.
    points = torch.cat([lattice(1, p, d, dtype, device), 8 * torch.rand((1, p, d), dtype=dtype, device=device).round()])
    lengths = [p, p - 1500]
    got = sample_farthest_points(points, torch.tensor(lengths, device=device), K=[5, 7])[1]
    assert torch.equal(got, definition(points, lengths, [5, 7], K=7))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("d", [1, 2, 3, 6, 7])
def test_sorted_clouds_give_the_same_choices(d, dtype):
    # From a few hundred choices on, points are sorted: the first of many choices are those that few are.
    points = torch.cat([lattice(1, 3000, d, dtype), torch.randn(1, 3000, d, dtype=dtype)])
    points[1, 17], points[1, 900] = INF, NAN
    lengths = torch.tensor([3000, 2500])
    few, many = (sample_farthest_points(points, lengths, K=k)[1] for k in (250, 2600))
    assert torch.equal(few, many[:, :250])
    assert torch.equal(many[0], definition(points[:1], K=2600)[0])
    assert many[1, :2500].sort().values.equal(torch.arange(2500))


@pytest.mark.parametrize("name", ["stanford-bunny.obj", "spot.obj"])
def test_real_meshes(name):
    verts = load_obj(real_mesh(name), load_textures=False)[0]
    chosen, idx = sample_farthest_points(verts[None].double(), K=300)
    assert torch.equal(idx, definition(verts[None].double(), K=300))
    # Each choice is as far from those before it as any point is, so the distances fall.
    gaps = torch.stack([(chosen[0, i] - chosen[0, :i]).norm(dim=-1).min() for i in range(1, 300)])
    assert (gaps.diff() <= 0).all()
    cover = torch.cdist(verts[None].double(), chosen).min(dim=-1).values.max()
    assert cover <= gaps[-1]


@emulated
def test_anchor(device):
    corners = torch.tensor([[[0.0, 0], [3, 0], [3, 3], [0, 3], [1, 1], [2, 2]]], device=device)
    assert sample_farthest_points(corners, K=6)[1].tolist() == [[0, 2, 1, 3, 4, 5]]


# Starts.


@emulated
@pytest.mark.parametrize("given_lengths", [False, True])
def test_random_start(given_lengths, device):
    points = torch.randn((6, 40, 3), dtype=torch.float64, device=device)
    lengths = [40, 1, 7, 0, 33, 40]
    tensor = torch.tensor(lengths, device=device) if given_lengths else None
    torch.manual_seed(5)
    idx = sample_farthest_points(points, tensor, K=8, random_start_point=True)[1]
    torch.manual_seed(5)
    if given_lengths:
        start = (tensor * torch.rand(6, device=device)).floor().long().tolist()
        assert torch.equal(idx, definition(points, lengths, start=start, K=8))
    else:
        start = torch.randint(high=40, size=(6,), device=device).tolist()
        assert torch.equal(idx, definition(points, start=start, K=8))
    assert len(set(start)) > 2


@emulated
def test_a_start_outside_the_cloud_is_clamped(device):
    points = torch.randn((3, 5, 2), device=device)
    lengths, start = torch.tensor([5, 3, 0], device=device), torch.tensor([2**40, -7, 4], device=device)
    idx = torch.ops.patina3d.sample_farthest_points(points, lengths, None, start, 2)
    assert idx[:, 0].tolist() == [4, 0, -1]


def test_naive_starts_from_pythons_generator():
    points, lengths = torch.randn(5, 30, 3), torch.tensor([30, 2, 17, 0, 9])
    random.seed(3)
    idx = sample_farthest_points_naive(points, lengths, K=4, random_start_point=True)[1]
    random.seed(3)
    start = [random.randint(0, max(length - 1, 0)) for length in lengths.tolist()]
    assert idx[:, 0].tolist() == [-1 if length == 0 else at for at, length in zip(start, lengths.tolist(), strict=True)]
    assert len(set(start)) > 2


@pytest.mark.parametrize("dtype", DTYPES)
def test_naive_is_the_same(dtype, device):
    points = lattice(3, 60, 3, dtype, device)
    lengths = torch.tensor([60, 0, 20], device=device)
    for k in (9, 70, [3, 0, 30], torch.tensor([8, 8, 0], device=device)):
        for a, b in zip(
            sample_farthest_points(points, lengths, k), sample_farthest_points_naive(points, lengths, k), strict=True
        ):
            assert torch.equal(a, b)


# Gradients.


@pytest.mark.parametrize("sample", [sample_farthest_points, sample_farthest_points_naive])
def test_gradcheck(sample, device):
    points = torch.randn((2, 12, 3), dtype=torch.float64, device=device, requires_grad=True)
    lengths = torch.tensor([12, 4], device=device)
    assert gradcheck(lambda x: sample(x, lengths, 6)[0], points)
    assert gradgradcheck(lambda x: sample(x, lengths, 6)[0].square(), points)


@emulated
def test_gradient_flows_to_the_chosen_points_alone(device):
    points = torch.randn((2, 12, 3), device=device, requires_grad=True)
    chosen, idx = sample_farthest_points(points, torch.tensor([12, 3], device=device), K=5)
    assert not idx.requires_grad
    chosen.sum().backward()
    want = torch.zeros_like(points)
    for cloud in range(2):
        want[cloud, idx[cloud][idx[cloud] >= 0]] = 1
    assert torch.equal(points.grad, want)


@torch_warns
def test_derivatives_by_torch_func(device):
    points = torch.randn((1, 9, 2), dtype=torch.float64, device=device)

    def loss(x: Tensor) -> Tensor:
        return sample_farthest_points(x, K=4)[0].square().sum()

    gradient = torch.func.grad(loss)(points)
    assert gradient.count_nonzero() == 8
    _, slope = torch.func.jvp(loss, (points,), (torch.ones_like(points),))
    torch.testing.assert_close(slope, gradient.sum())


# Laws.


@emulated
@laws
@given(seeds)
def test_order_of_points_does_not_matter(seed):
    points, k = random_cloud(seed)
    # The start stays in its place.
    generator = torch.Generator().manual_seed(seed)
    order = torch.cat([torch.zeros(1, dtype=torch.long), 1 + torch.randperm(points.shape[1] - 1, generator=generator)])
    plain, permuted = sample_farthest_points(points, K=k), sample_farthest_points(points[:, order], K=k)
    assert torch.equal(plain[1], order[permuted[1]])
    assert torch.equal(plain[0], permuted[0])


@emulated
@laws
@given(seeds)
def test_reflections_do_not_matter(seed):
    # Exact isometries: reflections, and turns of whole numbers, for which sums of squares are exact in any order.
    points, k = random_cloud(seed)
    assert torch.equal(sample_farthest_points(points, K=k)[1], sample_farthest_points(-points, K=k)[1])
    whole = (20 * points).round()
    turned = whole.roll(1, dims=2) + 7
    assert torch.equal(sample_farthest_points(whole, K=k)[1], sample_farthest_points(turned, K=k)[1])


@emulated
@laws
@given(seeds, st.integers(-20, 20), st.sampled_from(DTYPES))
def test_scale(seed, exponent, dtype):
    # Powers of two from 1e-6 to 1e6: scaling is exact, so the choices are the same ones.
    points, k = random_cloud(seed, dtype)
    assert torch.equal(sample_farthest_points(points, K=k)[1], sample_farthest_points(2.0**exponent * points, K=k)[1])


@emulated
@laws
@given(seeds, st.sampled_from(DTYPES))
def test_fewer_choices_are_the_first_of_more(seed, dtype):
    points, k = random_cloud(seed, dtype)
    every = sample_farthest_points(points, K=points.shape[1])[1]
    assert torch.equal(sample_farthest_points(points, K=k)[1], every[:, :k])
    assert torch.equal(every[0].sort().values, torch.arange(points.shape[1]))


@emulated
@laws
@given(seeds)
def test_a_cloud_alone_equals_the_cloud_in_a_batch(seed):
    points, k = random_cloud(seed, torch.float32)
    _, p, d = points.shape
    batch = torch.cat([torch.randn(2, p + 70, d), torch.nn.functional.pad(points, (0, 0, 0, 70))])
    alone = sample_farthest_points(points, K=k)
    together = sample_farthest_points(batch, torch.tensor([3, p + 70, p]), K=[1, k + 5, k])
    for a, b in zip(alone, together, strict=True):
        assert torch.equal(a[0], b[2, :k])
    assert (together[1][2, k:] == -1).all()


# Edges.


@emulated
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("d", [3, 4])
def test_identical_points_give_a_permutation(d, dtype, device):
    points = torch.full((2, 700, d), 3.5, dtype=dtype, device=device)
    assert torch.equal(sample_farthest_points(points, K=700)[1], torch.arange(700, device=device).expand(2, 700))


@emulated
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("d", [2, 3])
def test_not_finite(d, dtype, device):
    points = torch.randn((1, 200, d), device=device, dtype=torch.float64).to(dtype).mul(8).round()
    huge = torch.finfo(dtype).max
    for at, value in ((3, NAN), (60, INF), (61, -INF), (199, NAN), (130, huge), (131, -huge)):
        points[0, at, at % d] = value
    for k in (1, 4, 200):
        assert torch.equal(sample_farthest_points(points, K=k)[1], definition(points, K=k))
    # As a start, and everywhere.
    points[0, 0] = NAN
    assert torch.equal(sample_farthest_points(points, K=200)[1], definition(points, K=200))
    points[0, 0] = INF
    assert torch.equal(sample_farthest_points(points, K=200)[1], definition(points, K=200))
    assert sample_farthest_points(torch.full_like(points, NAN), K=200)[1][0].tolist() == list(range(200))


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_not_finite_in_sorted_clouds(value):
    points = torch.randn(1, 600, 3, dtype=torch.float64)
    points[0, torch.randperm(600)[:300]] = value
    assert torch.equal(sample_farthest_points(points, K=600)[1], definition(points, K=600))


@emulated
def test_far_apart(device):
    # Squared distances beyond 1e10, and beyond float32.
    points = torch.tensor([[[0.0, 0], [2e5, 0], [0, 3e5], [1e5, 1e5]]], device=device)
    assert sample_farthest_points(points, K=4)[1].tolist() == [[0, 2, 1, 3]]
    assert sample_farthest_points(1e30 * points.double(), K=4)[1].tolist() == [[0, 2, 1, 3]]


@emulated
def test_squares_that_vanish_are_ties(device):
    # Of gaps below 1e-23 in float32: the order is that of the indices. In float64 they are like any other.
    points = torch.tensor([[[0.0], [1.0], [4.0], [9.0]]], device=device)
    assert sample_farthest_points(1e-24 * points, K=4)[1].tolist() == [[0, 1, 2, 3]]
    assert sample_farthest_points(1e-24 * points.double(), K=4)[1].tolist() == [[0, 3, 2, 1]]
    assert sample_farthest_points(1e-18 * points, K=4)[1].tolist() == [[0, 3, 2, 1]]


@emulated
@pytest.mark.parametrize(("n", "p", "k"), [(0, 3, 4), (2, 0, 4), (2, 3, 0), (0, 0, 0), (2, 0, 0)])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("random_start_point", [False, True])
def test_empty(n, p, k, dtype, random_start_point, device):
    points = torch.randn((n, p, 3), dtype=dtype, device=device, requires_grad=True)
    for each in (k, [k] * n, torch.tensor([k] * n, dtype=torch.int64, device=device)):
        chosen, idx = sample_farthest_points(points, K=each, random_start_point=random_start_point)
        most = k if isinstance(each, int) or n > 0 else 0
        assert chosen.shape == (n, most, 3)
        assert chosen.dtype == dtype
        assert idx.shape == (n, most)
        assert idx.eq(-1).all() or p > 0
        chosen.sum().backward()
    lengths = torch.zeros(n, dtype=torch.int64, device=device)
    chosen, idx = sample_farthest_points(points, lengths, k, random_start_point)
    assert idx.eq(-1).all()
    assert not chosen.any()


@emulated
def test_few_points_in_many_clouds(device):
    # Fewer points than a warp has threads, and more clouds than that.
    points = torch.randn((50, 5, 3), dtype=torch.float64, device=device)
    assert torch.equal(sample_farthest_points(points, K=7)[1], definition(points, K=7))


@emulated
def test_strides_and_lazy_negation(device):
    points = torch.randn((2, 40, 3), device=device)
    want = sample_farthest_points(points, K=9)
    negated = torch._neg_view(-points)
    assert negated.is_neg()
    for same in (points.mT.contiguous().mT, points.repeat_interleave(2, dim=1)[:, ::2], negated):
        for a, b in zip(sample_farthest_points(same, K=9), want, strict=True):
            assert torch.equal(a, b)
    expanded = sample_farthest_points(points[:1].expand(4, 40, 3), torch.tensor([40], device=device).expand(4), K=9)
    assert torch.equal(expanded[1], want[1][:1].expand(4, 9))


@emulated
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype, device):
    points = torch.randn((2, 60, 3), device=device).to(dtype).requires_grad_()
    for sample in (sample_farthest_points, sample_farthest_points_naive):
        chosen, idx = sample(points, K=20)
        assert torch.equal(idx, sample(points.detach().float(), K=20)[1])
        assert chosen.dtype == dtype
    chosen.sum().backward()
    assert points.grad.dtype == dtype
    with torch.autocast(device.type, dtype=torch.bfloat16):
        assert sample_farthest_points(points.detach().double(), K=20)[0].dtype == torch.float64


@emulated
@pytest.mark.parametrize("kind", [torch.int32, torch.uint8, torch.int64])
def test_integers_of_every_width(kind, device):
    points = torch.randn((2, 9, 3), dtype=torch.float64, device=device)
    lengths, counts = torch.tensor([9, 4], device=device, dtype=kind), torch.tensor([2, 5], device=device, dtype=kind)
    want = definition(points, [9, 4], [2, 5], K=5)
    assert torch.equal(sample_farthest_points(points, lengths, counts)[1], want)
    assert torch.equal(sample_farthest_points(points, lengths, counts.cpu())[1], want)
    assert torch.equal(sample_farthest_points(points, lengths, (2, 5))[1], want)


@pytest.mark.parametrize("sample", [sample_farthest_points, sample_farthest_points_naive])
def test_integers_of_numpy(sample):
    assert torch.equal(sample(P, K=np.int64(3))[1], sample(P, K=3)[1])
    assert torch.equal(sample(P, K=[np.int32(3), 1])[1], sample(P, K=[3, 1])[1])


@emulated
def test_lengths_outside_the_cloud(device):
    points = torch.randn((2, 9, 3), device=device)
    lengths = torch.tensor([30, -4], device=device)
    if device.type == "cuda" or _native.is_emulating():
        idx = sample_farthest_points(points, lengths, K=9, random_start_point=True)[1]
        assert idx[0].sort().values.tolist() == list(range(9))
        assert idx[1].eq(-1).all()
    else:
        with pytest.raises(ValueError, match=r"sample_farthest_points: lengths must be in \[0, P\] = \[0, 9\], got 30"):
            sample_farthest_points(points, lengths, K=9)
        with pytest.raises(ValueError, match=r"lengths must be in \[0, P\] = \[0, 9\], got -4"):
            sample_farthest_points(points, lengths.clamp(max=9), K=9)
    with pytest.raises(ValueError, match=r"_naive: lengths must be in \[0, P\] = \[0, 9\], got 30"):
        sample_farthest_points_naive(points, lengths, K=9)


def test_the_same_bits_for_every_number_of_threads():
    points = torch.randn(3, 6000, 3)
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found.append(sample_farthest_points(points, K=[100, 400, 6000])[1])
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


# Errors.

P = torch.rand(2, 4, 3)


@emulated
@pytest.mark.parametrize("sample", [sample_farthest_points, sample_farthest_points_naive])
@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (TypeError, "points must be a torch.Tensor, got list", {"points": [[0.0]]}),
        (TypeError, "points must be float32 or float64, got int64", {"points": P.long()}),
        (ValueError, r"points must be of shape \(N, P, D\), got \(4, 3\)", {"points": P[0]}),
        (ValueError, "points must be of at least one coordinate a point, got 0", {"points": P[..., :0]}),
        (TypeError, "lengths must be a torch.Tensor or None, got list", {"lengths": [4, 4]}),
        (TypeError, "lengths must be int64, got float32", {"lengths": torch.tensor([4.0, 4.0])}),
        (
            ValueError,
            r"lengths must be of shape \(N,\) = \(2,\), got \(1,\): points and lengths must have the same batch dim",
            {"lengths": torch.tensor([4])},
        ),
        (ValueError, r"lengths must be of shape \(N,\) = \(2,\), got \(\)", {"lengths": torch.tensor(4)}),
        (
            ValueError,
            r"K must be of shape \(N,\) = \(2,\), got \(3,\): K and points must have the same batch dimension",
            {"K": torch.tensor([1, 2, 3])},
        ),
        (ValueError, r"K must be of shape \(N,\) = \(2,\), got \(1,\)", {"K": [4]}),
        (ValueError, r"K must be of shape \(N,\) = \(2,\), got \(\)", {"K": torch.tensor(4)}),
        (TypeError, "K must be int64, got bool", {"K": torch.tensor([True, False])}),
        (TypeError, "K must be an int, a list or a torch.Tensor, got float", {"K": 1.5}),
        (TypeError, "K must be an int, a list or a torch.Tensor, got bool", {"K": True}),
        (TypeError, "K must hold int, got float", {"K": [1, 1.5]}),
        (TypeError, "K must hold int, got bool", {"K": [1, True]}),
        (ValueError, "K must be at least 0, got -1", {"K": -1}),
        (ValueError, "K must be at least 0, got -2", {"K": [3, -2]}),
        (ValueError, "K must be at least 0, got -2", {"K": torch.tensor([3, -2])}),
        (ValueError, "K must be so small that the result can be addressed", {"K": 2**63}),
        (ValueError, "K must be so small that the result can be addressed", {"K": [1, 2**63]}),
    ],
)
def test_errors(sample, error, message, arguments):
    with pytest.raises(error, match=f"^{sample.__name__}: {message}"):
        sample(**{"points": P, "K": 2, **arguments})


@emulated
def test_errors_of_the_contract():
    with pytest.raises(ValueError, match="sample_farthest_points: K must be so small that the result can be addressed"):
        sample_farthest_points(P, K=2**62)
    choose = torch.ops.patina3d.sample_farthest_points
    with pytest.raises(ValueError, match="K must be at least 0, got -1"):
        choose(P, None, None, None, -1)
    with pytest.raises(ValueError, match=r"K must be of shape \(N,\) = \(2,\), got \(1,\)"):
        choose(P, None, torch.tensor([3]), None, 3)
    with pytest.raises(TypeError, match="the start must be int64, got int32"):
        choose(P, None, None, torch.zeros(2, dtype=torch.int32), 3)


@pytest.mark.gpu
def test_devices_must_agree():
    with pytest.raises((ValueError, RuntimeError), match=r"lengths|device"):
        sample_farthest_points(P.cuda(), torch.tensor([4, 4]))


# Torch's machinery.


def test_module_and_function_share_a_name():
    module = importlib.import_module("patina3d.ops.sample_farthest_points")
    assert module.sample_farthest_points is sample_farthest_points
    assert module.sample_farthest_points_naive is sample_farthest_points_naive


@torch_warns
def test_opcheck(device):
    points, lengths = torch.randn((2, 9, 3), device=device), torch.tensor([9, 4], device=device)
    choose = torch.ops.patina3d.sample_farthest_points.default
    for arguments in ((None, None, None), (lengths, lengths - 1, lengths - 2)):
        torch.library.opcheck(choose, (points, *arguments, 5))


@torch_warns
@pytest.mark.parametrize("dynamic", [False, True])
def test_compile(dynamic, device):
    lengths = torch.tensor([9, 4], device=device)

    def loss(x: Tensor) -> tuple[Tensor, Tensor]:
        chosen, idx = sample_farthest_points(x, lengths, K=5)
        starts = sample_farthest_points(x, K=2, random_start_point=True)[1]
        return chosen.square().sum(), torch.cat([idx, starts], dim=1)

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    for p in (9, 12):
        points = torch.randn((2, p, 3), dtype=torch.float64, device=device, requires_grad=True)
        results = []
        for f in (loss, compiled):
            torch.manual_seed(1)
            value, idx = f(points)
            results.append((value, idx, *torch.autograd.grad(value, points)))
        for a, b in zip(*results, strict=True):
            torch.testing.assert_close(a, b)


def test_the_bare_operator_takes_points_that_ask_for_a_gradient():
    idx = torch.ops.patina3d.sample_farthest_points(P.double().requires_grad_(), None, None, None, 3)
    assert torch.equal(idx, definition(P.double(), K=3))
    assert not idx.requires_grad


@pytest.mark.gpu
@pytest.mark.parametrize("p", [100, 4000, 8000, 20_000])
@pytest.mark.parametrize("dtype", DTYPES)
def test_cuda_gives_the_choices_of_the_cpu(dtype, p):
    for d in (2, 3, 7):
        points, lengths = torch.randn(3, p, d, dtype=dtype), torch.tensor([p, p // 2, 50])
        here = sample_farthest_points(points, lengths, K=60)
        there = sample_farthest_points(points.cuda(), lengths.cuda(), K=60)
        for a, b in zip(here, there, strict=True):
            assert torch.equal(a, b.cpu())


@pytest.mark.gpu
@pytest.mark.parametrize("p", [2000, 20_000])
def test_cuda_graph_capture(p):
    points, lengths = torch.randn((2, p, 3), device="cuda"), torch.tensor([p, 9], device="cuda")
    sample_farthest_points(points, lengths, K=12)  # kernels are loaded before a capture
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        chosen, idx = sample_farthest_points(points, lengths, K=12)
    points.copy_(torch.randn_like(points))
    graph.replay()
    want = sample_farthest_points(points, lengths, K=12)
    assert torch.equal(chosen, want[0])
    assert torch.equal(idx, want[1])


@pytest.mark.gpu
def test_an_int_k_does_not_wait_for_the_device():
    points, lengths = torch.randn((2, 500, 3), device="cuda"), torch.tensor([500, 9], device="cuda")
    sample_farthest_points(points, lengths, K=12, random_start_point=True)
    torch.cuda.set_sync_debug_mode("error")
    try:
        sample_farthest_points(points, lengths, K=12)
        sample_farthest_points(points, lengths, K=12, random_start_point=True)
        sample_farthest_points(points, K=12, random_start_point=True)
    finally:
        torch.cuda.set_sync_debug_mode("default")
