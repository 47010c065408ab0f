# SPDX-License-Identifier: Apache-2.0
"""Points in balls: the definition, the edge of the ball, gradients, laws, edges, errors, torch's machinery."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from patina3d.ops import PointIndex, ball_query, knn_points
from patina3d.ops._reference.ball_query import ball_query as reference
from patina3d.ops.knn import _KNN
from support.emulator import emulation

emulated = pytest.mark.emulated
laws = settings(max_examples=15, deadline=None)
# Torch's own machinery uses what torch deprecates.
torch_warns = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
seeds = st.integers(0, 2**31 - 1)
orders = st.sampled_from(["index", "nearest"])
both_orders = pytest.mark.parametrize("order", ["index", "nearest"])

# On both sides of the sizes of the lists, and more than there are points.
COUNTS = [0, 1, 3, 9, 16, 33, 200]


def ragged(d: int, dtype: torch.dtype, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Four clouds: a full one, one without centres, one without points, and one of middle sizes."""
    p1 = torch.rand((4, 9, d), dtype=torch.float64).to(device, dtype)
    p2 = torch.rand((4, 90, d), dtype=torch.float64).to(device, dtype)
    return p1, p2, torch.tensor([9, 0, 4, 7], device=device), torch.tensor([90, 12, 0, 75], device=device)


def random_clouds(seed: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, int, float]:
    """Two clouds of random sizes, a number of points and a radius."""
    generator = torch.Generator().manual_seed(seed)
    num1, num2, d, k = (int(torch.randint(1, most, (), generator=generator)) for most in (12, 40, 6, 20))
    p1, p2 = (torch.rand((1, p, d), generator=generator, dtype=torch.float64).to(dtype) for p in (num1, num2))
    return p1, p2, k, float(torch.rand((), generator=generator))


def index_of(points: Tensor, lengths: Tensor | None = None) -> PointIndex:
    """A tree as the CPU builds it: every search finds the same in it."""
    with emulation(False):
        return PointIndex(points.cpu(), None if lengths is None else lengths.cpu()).to(points.device)


FAR = 400
"""So many points that an index of them is searched, and that a scan in the order of indices gives up before the end."""


def behind(count: int, points: Tensor) -> Tensor:
    """The points after so many that are far away."""
    n, _, d = points.shape
    return torch.cat([points.new_full((n, count, d), 1e9), points], 1)


def equal(a: _KNN, b: _KNN) -> bool:
    return torch.equal(a.idx, b.idx) and torch.equal(a.dists, b.dists)


@emulated
@pytest.mark.parametrize("k", COUNTS)
@pytest.mark.parametrize("d", [1, 3, 5])
@both_orders
def test_definition_in_float64(order, d, k, device):
    p1, p2, *ends = ragged(d, torch.float64, device)
    for lengths1, lengths2 in ((None, None), ends):
        for radius in (0.05, 0.4, math.inf):
            dists, idx, found = ball_query(p1, p2, lengths1, lengths2, k, radius, order=order)
            want_dists, want_idx = reference(p1, p2, lengths1, lengths2, k, radius, order)
            assert torch.equal(idx, want_idx)
            torch.testing.assert_close(dists, want_dists, rtol=1e-13, atol=0)
            gathered = torch.stack([cloud[rows.clamp(min=0)] for cloud, rows in zip(p2, idx, strict=True)])
            assert torch.equal(found, gathered * (idx >= 0)[..., None])
            indexed = ball_query(p1, index_of(p2, lengths2), lengths1, None, k, radius, order=order)
            assert torch.equal(indexed.idx, idx)
            assert torch.equal(indexed.dists, dists)


def test_float32_and_many_dimensions_away_from_the_edge_of_the_ball(device):
    for d in (2, 3, 7, 3000):
        p1, p2, *ends = ragged(d, torch.float32, device)
        squared = (p1.double()[:, :, None] - p2.double()[:, None]).square().sum(-1)
        radius = float(squared.median().sqrt())
        clear = ((squared.sqrt() / radius - 1).abs() > 1e-5).all(-1)
        assert clear.any()
        for order in ("index", "nearest"):
            dists, idx, _ = ball_query(p1, p2, *ends, 200, radius, order=order)
            assert dists.dtype == torch.float32
            want_dists, want_idx = reference(p1.double(), p2.double(), *ends, 200, radius, order)
            # Near-ties may change places among the nearest.
            assert torch.equal(idx[clear].sort().values, want_idx[clear].sort().values)
            torch.testing.assert_close(dists[clear].double(), want_dists[clear], rtol=1e-5, atol=0)


@both_orders
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_large_clouds_give_the_bits_of_their_parts(order, dtype):
    # Large clouds are searched by a tree where that is quicker, parts of them never. Half of the points lie on a
    # lattice: ties, and distances of just the radius.
    p1, p2 = torch.rand(2, 1200, 3, dtype=dtype), torch.rand(2, 6000, 3, dtype=dtype)
    p1[:, ::2], p2[:, ::2] = (p1[:, ::2] * 16).round() / 16, (p2[:, ::2] * 16).round() / 16
    lengths2 = torch.tensor([6000, 5000])
    rows = torch.arange(0, 1200, 25)
    before = torch.get_num_threads()
    try:
        for k, radius in ((1, 0.02), (16, 0.0625), (8, 0.25), (300, 0.125), (8, math.inf)):
            found = []
            for threads in (1, 2, 5):
                torch.set_num_threads(threads)
                found.append(ball_query(p1, p2, None, lengths2, k, radius, order=order))
            assert equal(found[0], found[1])
            assert equal(found[0], found[2])
            part = ball_query(p1[:, rows], p2, None, lengths2, k, radius, order=order)
            assert torch.equal(found[0].idx[:, rows], part.idx)
            assert torch.equal(found[0].dists[:, rows], part.dists)
            indexed = ball_query(p1, PointIndex(p2, lengths2), None, None, k, radius, order=order)
            assert equal(found[0], indexed)
    finally:
        torch.set_num_threads(before)


# The edge of the ball.


@emulated
@both_orders
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("radius", [0.1, 0.2, 0.3, 1.0, 1 / 3, 1e-3, 123.4])
def test_a_point_at_the_radius_is_outside(radius, dtype, order, device):
    at = torch.tensor(radius, dtype=dtype)
    inside = at.nextafter(torch.zeros_like(at))
    points = torch.tensor([[at, 0], [0, -at], [inside, 0], [0, 0]], dtype=dtype, device=device)
    # The square of the next smaller number is a smaller one.
    assert inside.square() < at.square()
    centre = torch.zeros_like(points[None, :1])
    found = ball_query(centre, points[None], K=4, radius=radius, order=order)
    assert found.idx.tolist() == [[[2, 3, -1, -1] if order == "index" else [3, 2, -1, -1]]]
    # And so it is down a tree.
    indexed = ball_query(centre, index_of(behind(FAR, points[None])), K=4, radius=radius, order=order)
    assert torch.equal(indexed.idx, found.idx.where(found.idx < 0, found.idx + FAR))
    assert torch.equal(indexed.dists, found.dists)


@emulated
@both_orders
def test_lattice(order, device):
    # Nearly every distance is a tie, exact, and many are the radius.
    p1 = torch.randint(4, (2, 10, 3), device=device).float()
    p2 = torch.randint(4, (2, 300, 3), device=device).float()
    for k in (1, 8, 40, 400):
        for radius in (1.0, 2**0.5, 2.0):
            got = ball_query(p1, p2, K=k, radius=radius, order=order)
            want_dists, want_idx = reference(p1, p2, K=k, radius=radius, order=order)
            assert torch.equal(got.idx, want_idx)
            assert torch.equal(got.dists, want_dists)
            assert equal(got, ball_query(p1, index_of(p2), K=k, radius=radius, order=order))


@emulated
@both_orders
@pytest.mark.parametrize("k", [1, 4, 30, 40, 70])
@pytest.mark.parametrize("d", [2, 3])
def test_an_index_of_few_in_many(d, k, order, device):
    # Rows that are full soon, that find the rest far behind, and that find all there; lists of each length.
    p1 = torch.rand(2, 12, d, device=device) / 2
    p2 = torch.rand(2, 1000, d, device=device) / 2
    p1[:, ::3] += 5
    p2[:, 700:] += 5
    p2[:, 650:700] = p1[0, 1]
    lengths2 = torch.tensor([1000, 900], device=device)
    for radius in (0.03, 0.1, 0.4):
        got = ball_query(p1, index_of(p2, lengths2), K=k, radius=radius, order=order)
        want = ball_query(p1, p2, None, lengths2, k, radius, order=order)
        assert equal(got, want)
        assert torch.equal(got.idx, reference(p1.double(), p2.double(), None, lengths2, k, radius, order)[1])


@emulated
@both_orders
def test_many_points_of_one_call(order, device):
    # So many that a tree is built in the call.
    p1 = torch.rand(1, 6, 3, dtype=torch.float64, device=device)
    p2 = torch.rand(1, 8300, 3, dtype=torch.float64, device=device)
    for k, radius in ((16, 1.0), (4, 0.02), (16, 0.1), (40, 0.3)):
        got = ball_query(p1, p2, K=k, radius=radius, order=order)
        want_dists, want_idx = reference(p1, p2, K=k, radius=radius, order=order)
        assert torch.equal(got.idx, want_idx)
        torch.testing.assert_close(got.dists, want_dists, rtol=1e-13, atol=0)


@emulated
@both_orders
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_radius_zero_and_tiny(dtype, order, device):
    points = torch.tensor([[[1.0, 2.0], [1.0, 2.0], [3.0, 4.0]]], dtype=dtype, device=device)
    assert (ball_query(points, points, K=3, radius=0, order=order).idx == -1).all()
    # Its square is too small for a number, and still a point lies in the ball around itself.
    tiny = ball_query(points, points, K=3, radius=1e-300, order=order)
    assert tiny.idx.tolist() == [[[0, 1, -1], [0, 1, -1], [2, -1, -1]]]
    assert not tiny.dists.any()
    indexed = ball_query(points, index_of(behind(FAR, points)), K=3, radius=1e-300, order=order)
    assert torch.equal(indexed.idx, tiny.idx.where(tiny.idx < 0, tiny.idx + FAR))
    assert not indexed.dists.any()


@emulated
@both_orders
@pytest.mark.parametrize("radius", [1.0, 1e25, math.inf])
def test_not_finite(radius, order, device):
    nan, inf = math.nan, math.inf
    p1 = torch.tensor([[[0.0, 0.0], [nan, 0.0], [inf, 0.0], [1e30, 0.0]]], device=device)
    p2 = torch.tensor([[[nan, 1], [0.5, 0], [inf, 0], [-inf, nan], [1e38, 0], [0, 0], [1e15, 0]]], device=device)
    # Among many that are far away: an index of few points is not searched. The beginning is scanned, what is at the end
    # is found in the tree.
    far = torch.full((1, 400, 2), -3e37, device=device)
    for points in (p2, torch.cat([p2, far, p2], 1)):
        check_not_finite(p1, points, points, radius, order)
        check_not_finite(p1, points, index_of(points), radius, order)


def check_not_finite(p1: Tensor, p2: Tensor, points: Tensor | PointIndex, radius: float, order: str) -> None:
    got = ball_query(p1, points, K=8, radius=radius, order=order)
    want_dists, want_idx = reference(p1, p2, K=8, radius=radius, order=order)
    assert torch.equal(got.idx, want_idx)
    torch.testing.assert_close(got.dists, want_dists, rtol=1e-6, atol=0)
    assert got.knn.isfinite().all()


# Gradients.


@emulated
@pytest.mark.parametrize("k", [1, 5, 100])
@both_orders
def test_gradient_equals_that_of_the_definition(order, k, device):
    for d in (1, 3, 5):
        p1, p2, *ends = ragged(d, torch.float64, device)
        leaves = [p1.requires_grad_(), p2.requires_grad_()]
        upstream = torch.randn((4, 9, k), dtype=torch.float64, device=device)
        got = torch.autograd.grad(ball_query(p1, p2, *ends, k, 0.5, order=order).dists, leaves, upstream)
        want = torch.autograd.grad(reference(p1, p2, *ends, k, 0.5, order)[0], leaves, upstream)
        for a, b in zip(got, want, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@both_orders
def test_gradcheck(order, device):
    p1 = torch.rand((2, 4, 3), dtype=torch.float64, device=device, requires_grad=True)
    p2 = torch.rand((2, 6, 3), dtype=torch.float64, device=device, requires_grad=True)
    lengths1, lengths2 = torch.tensor([4, 3], device=device), torch.tensor([2, 6], device=device)

    def distances_and_points(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        found = ball_query(a, b, lengths1, lengths2, 4, 0.6, order=order)
        return found.dists, found.knn

    idx = ball_query(p1, p2, lengths1, lengths2, 4, 0.6, order=order).idx
    assert (idx >= 0).any()
    assert gradcheck(distances_and_points, (p1, p2))
    assert gradgradcheck(distances_and_points, (p1, p2))


def test_slots_without_a_point_give_no_gradient(device):
    p1 = torch.rand((1, 3, 3), dtype=torch.float64, device=device, requires_grad=True)
    p2 = (torch.rand((1, 5, 3), dtype=torch.float64, device=device) + 10).requires_grad_()
    found = ball_query(p1, p2, K=4)
    assert (found.idx == -1).all()
    first = torch.autograd.grad((found.dists + found.knn.sum(-1)).sum(), (p1, p2), create_graph=True)
    second = torch.autograd.grad(sum(x.sum() for x in first), (p1, p2), allow_unused=True)
    for gradient in (*first, *second):
        assert gradient is None or not gradient.any()


def test_points_of_padding_may_be_nan_in_third_derivatives(device):
    p1 = torch.rand((1, 3, 3), dtype=torch.float64, device=device, requires_grad=True)
    p2 = torch.rand((1, 5, 3), dtype=torch.float64, device=device)
    # The first is what slots without a point would read.
    p2[0, 0] = math.nan
    p2.requires_grad_()
    dists = ball_query(p1, p2, K=5, radius=0.5, return_nn=False).dists
    (first,) = torch.autograd.grad(dists.square().sum(), p1, create_graph=True)
    second = torch.autograd.grad(first.square().sum(), (p1, p2), create_graph=True)
    third = torch.autograd.grad(sum(x.square().sum() for x in second), (p1, p2))
    for gradient in (*second, *third):
        assert gradient.isfinite().all()
        assert gradient.any()


def test_gradient_of_points_where_slots_are_unused(device):
    p1, p2, *ends = ragged(3, torch.float64, device)
    p2.requires_grad_()
    found = ball_query(p1, p2, *ends, 100, 0.4)
    assert (found.idx < 0).any()
    upstream = torch.randn_like(found.knn)
    (got,) = torch.autograd.grad(found.knn, p2, upstream)
    want = torch.zeros_like(p2)
    for n, i, k in (found.idx >= 0).nonzero().tolist():
        want[n, found.idx[n, i, k]] += upstream[n, i, k]
    torch.testing.assert_close(got, want)


def test_gradient_flows_through_an_index(device):
    p1, p2, *_ = ragged(3, torch.float64, device)
    leaves = [p1.requires_grad_(), p2.requires_grad_()]
    plain, indexed = (
        torch.autograd.grad((found.dists.square().sum() + found.knn.square().sum()), leaves)
        for found in (ball_query(p1, points, K=5, radius=0.5) for points in (p2, index_of(p2)))
    )
    for a, b in zip(plain, indexed, strict=True):
        assert a.any()
        assert torch.equal(a, b)


# Laws.


@emulated
@laws
@given(seeds)
def test_nearest_are_those_of_knn_within_the_radius(seed):
    p1, p2, k, radius = random_clouds(seed, torch.float32)
    nearest, neighbours = ball_query(p1, p2, K=k, radius=radius, order="nearest"), knn_points(p1, p2, K=k)
    within = (neighbours.dists < torch.tensor(radius).square()) & (torch.arange(k) < p2.shape[1])
    assert torch.equal(nearest.idx, neighbours.idx.where(within, -1))
    assert torch.equal(nearest.dists, neighbours.dists.where(within, 0))


@emulated
@laws
@given(seeds, orders)
def test_both_orders_hold_the_same_points_where_all_fit(seed, order):
    p1, p2, k, radius = random_clouds(seed, torch.float32)
    every = ball_query(p1, p2, K=p2.shape[1], radius=radius)
    fewer = ball_query(p1, p2, K=k, radius=radius, order=order)
    other = ball_query(p1, p2, K=p2.shape[1], radius=radius, order="nearest")
    assert torch.equal(every.idx.sort().values, other.idx.sort().values)
    chosen = every if order == "index" else other
    kept = min(k, p2.shape[1])
    assert torch.equal(fewer.idx[..., :kept], chosen.idx[..., :kept])
    assert (fewer.idx[..., kept:] == -1).all()


@emulated
@laws
@given(seeds)
def test_order_of_points_decides_only_among_equals(seed):
    p1, p2, k, radius = random_clouds(seed)
    order = torch.randperm(p2.shape[1], generator=torch.Generator().manual_seed(seed))
    plain, permuted = (ball_query(p1, p, K=k, radius=radius, order="nearest") for p in (p2, p2[:, order]))
    assert torch.equal(plain.dists, permuted.dists)
    assert torch.equal(plain.idx, order[permuted.idx.clamp(min=0)].where(permuted.idx >= 0, -1))
    every, permuted = (ball_query(p1, p, K=p2.shape[1], radius=radius) for p in (p2, p2[:, order]))
    renamed = order[permuted.idx.clamp(min=0)].where(permuted.idx >= 0, -1)
    assert torch.equal(every.idx.sort().values, renamed.sort().values)


@laws
@given(seeds, st.integers(-20, 20), st.sampled_from([torch.float32, torch.float64]), orders)
def test_scale(seed, exponent, dtype, order):
    # Powers of two from 1e-6 to 1e6: scaling is exact, so the points are the same ones to the bit.
    p1, p2, k, radius = random_clouds(seed, dtype)
    scale = 2.0**exponent
    plain = ball_query(p1, p2, K=k, radius=radius, order=order)
    scaled = ball_query(scale * p1, scale * p2, K=k, radius=scale * radius, order=order)
    assert torch.equal(plain.idx, scaled.idx)
    assert torch.equal(scale**2 * plain.dists, scaled.dists)


@emulated
@laws
@given(seeds, orders)
def test_a_cloud_alone_equals_the_cloud_in_a_batch(seed, order):
    p1, p2, k, radius = random_clouds(seed, torch.float32)
    lengths1, lengths2 = torch.tensor([3, p1.shape[1]]), torch.tensor([0, p2.shape[1]])
    batch1 = torch.cat([torch.rand(1, p1.shape[1] + 4, p1.shape[2]), torch.nn.functional.pad(p1, (0, 0, 0, 4))])
    batch2 = torch.cat([torch.rand(1, p2.shape[1] + 70, p2.shape[2]), torch.nn.functional.pad(p2, (0, 0, 0, 70))])
    alone = ball_query(p1, p2, K=k, radius=radius, order=order)
    together = ball_query(batch1, batch2, lengths1, lengths2, k, radius, order=order)
    assert torch.equal(alone.dists[0], together.dists[1, : p1.shape[1]])
    assert torch.equal(alone.idx[0], together.idx[1, : p1.shape[1]])
    assert (together.idx[1, p1.shape[1] :] == -1).all()
    assert (together.idx[0] == -1).all()


# Edges.


@emulated
@pytest.mark.parametrize(
    ("n", "num1", "num2", "k"), [(0, 3, 4, 2), (2, 0, 4, 2), (2, 3, 0, 2), (2, 3, 4, 0), (0, 0, 0, 0)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@both_orders
def test_empty(order, n, num1, num2, k, dtype, device):
    p1 = torch.rand((n, num1, 3), dtype=dtype, device=device, requires_grad=True)
    p2 = torch.rand((n, num2, 3), dtype=dtype, device=device, requires_grad=True)
    for points in (p2, index_of(p2)):
        dists, idx, found = ball_query(p1, points, K=k, radius=0.0, order=order)
        assert dists.shape == idx.shape == (n, num1, k)
        assert found.shape == (n, num1, k, 3)
        assert not dists.any()
        assert (idx == -1).all()
        assert not found.any()
        for gradient in torch.autograd.grad(dists.sum() + found.sum(), (p1, p2)):
            assert not gradient.any()


@emulated
def test_lengths_are_clamped(device):
    p1, p2, *_ = ragged(3, torch.float32, device)
    beyond, negative = torch.full((4,), 1000, device=device), torch.full((4,), -5, device=device)
    assert equal(ball_query(p1, p2, K=4), ball_query(p1, p2, beyond, beyond, K=4))
    assert (ball_query(p1, p2, negative, K=4).idx == -1).all()
    assert (ball_query(p1, p2, None, negative, K=4).idx == -1).all()


@emulated
@both_orders
def test_strides_and_lazy_negation(order, device):
    p1, p2, lengths1, lengths2 = ragged(3, torch.float64, device)
    want = ball_query(p1, p2, lengths1, lengths2, 5, 0.5, order=order)
    transposed = p1.transpose(1, 2).contiguous().transpose(1, 2)
    every_other = p2.repeat_interleave(2, dim=1)[:, ::2]
    lengths = lengths1.repeat_interleave(3)[::3]
    for a, b in ((transposed, every_other), (torch._neg_view(-p1), p2), (p1, torch._neg_view(-p2))):
        assert equal(ball_query(a, b, lengths, lengths2, 5, 0.5, order=order), want)
    expanded = ball_query(p1[:1, :1].expand(4, 6, 3), p2[:1].expand(4, 90, 3), K=5, order=order)
    assert torch.equal(expanded.idx, ball_query(p1[:1, :1], p2[:1], K=5, order=order).idx.expand(4, 6, 5))


@emulated
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_converted(dtype, device):
    p1, p2, *_ = ragged(3, dtype, device)
    p1.requires_grad_()
    got = ball_query(p1, p2, K=4, radius=0.5)
    want = ball_query(p1.detach().float(), p2.float(), K=4, radius=0.5)
    assert got.dists.dtype == got.knn.dtype == torch.float32
    assert equal(got, want)
    got.dists.sum().backward()
    assert p1.grad.dtype == dtype


def test_defaults_and_arguments_of_compatibility():
    p1, p2, *_ = ragged(3, torch.float32)
    found = ball_query(p1, p2)
    assert type(found) is _KNN
    assert found.idx.shape == (4, 9, 500)
    assert found.knn.shape == (4, 9, 500, 3)
    assert equal(found, ball_query(p1, p2, None, None, 500, 0.2, True, True))
    assert equal(found, ball_query(p1, p2, radius=0.2, skip_points_outside_cube=True, order="index"))
    assert ball_query(p1, p2, return_nn=False).knn is None
    # A whole number is a radius too.
    assert equal(ball_query(p1, p2, radius=1), ball_query(p1, p2, radius=1.0))
    # So are numpy's numbers.
    assert equal(ball_query(p1, p2, K=np.int64(3), radius=np.float32(0.25)), ball_query(p1, p2, K=3, radius=0.25))


@pytest.mark.gpu
@both_orders
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cuda_gives_the_bits_of_the_cpu(dtype, order):
    for d, k, points in ((3, 1, 300), (3, 8, 6000), (2, 20, 300), (40, 40, 300), (3, 500, 3000)):
        p1, p2 = torch.rand(2, points, d, dtype=dtype), torch.rand(2, points + 200, d, dtype=dtype)
        for radius in (0.05, 0.3, 2.0):
            here = ball_query(p1, p2, K=k, radius=radius, order=order)
            there = ball_query(p1.cuda(), p2.cuda(), K=k, radius=radius, order=order)
            indexed = ball_query(p1.cuda(), index_of(p2).to("cuda"), K=k, radius=radius, order=order)
            for found in (there, indexed):
                assert torch.equal(here.idx, found.idx.cpu())
                assert torch.equal(here.dists, found.dists.cpu())


@pytest.mark.gpu
@both_orders
def test_cuda_captures_as_a_graph(order):
    p1 = torch.rand(2, 500, 3, device="cuda", requires_grad=True)
    p2 = torch.rand(2, 700, 3, device="cuda", requires_grad=True)

    def step() -> tuple[Tensor, ...]:
        found = ball_query(p1, p2, K=8, radius=0.2, order=order)
        loss = found.dists.sum() + found.knn.square().sum()
        return found.dists, found.idx, *torch.autograd.grad(loss, (p1, p2))

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = step()
    with torch.no_grad():
        p1.copy_(torch.rand_like(p1))
    graph.replay()
    for a, b in zip(captured, step(), strict=True):
        assert torch.equal(a, b)


# Errors.

P = torch.rand(1, 4, 3)
INTEGERS = torch.tensor([4], dtype=torch.int32)


@emulated
@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (TypeError, "p1 must be a torch.Tensor, got list", {"p1": [[0.0]]}),
        (TypeError, "p1 must be float32 or float64, got int64", {"p1": P.long()}),
        (TypeError, "p2 must be float32, got float64", {"p2": P.double()}),
        (TypeError, "lengths1 must be int64, got int32", {"lengths1": INTEGERS}),
        (TypeError, "lengths2 must be a torch.Tensor or None, got list", {"lengths2": [4]}),
        (TypeError, "K must be an int, got float", {"K": 1.5}),
        (TypeError, "K must be an int, got bool", {"K": True}),
        (TypeError, "radius must be a float, got str", {"radius": "1"}),
        (TypeError, "radius must be a float, got Tensor", {"radius": torch.tensor(1.0)}),
        (ValueError, "radius must be at least 0, got -0.5", {"radius": -0.5}),
        (ValueError, "radius must be at least 0, got NaN", {"radius": math.nan}),
        (ValueError, "radius must be in the range of a float, got a number beyond it", {"radius": 10**400}),
        (ValueError, "order must be 'index' or 'nearest', got 'distance'", {"order": "distance"}),
        (ValueError, r"p1 must be of shape \(N, P1, D\), got \(4, 3\)", {"p1": P[0]}),
        (ValueError, r"p2 must be of shape \(N, P2, D\) = \(1, _, 3\), got \(2, 4, 3\)", {"p2": P.repeat(2, 1, 1)}),
        (ValueError, r"p2 must be of shape \(N, P2, D\) = \(1, _, 3\), got \(1, 4, 2\)", {"p2": P[..., :2]}),
        (ValueError, "p1 must be of at least one coordinate a point, got 0", {"p1": P[..., :0], "p2": P[..., :0]}),
        (ValueError, r"lengths2 must be of shape \(N,\) = \(1,\), got \(2,\)", {"lengths2": torch.tensor([4, 4])}),
        (ValueError, "K must be at least 0, got -1", {"K": -1}),
        (ValueError, "K must be so small that the result can be addressed", {"K": 2**62}),
        (ValueError, "K must be so small that the result can be addressed", {"K": 2**63}),
    ],
)
def test_errors(error, message, arguments):
    with pytest.raises(error, match=f"ball_query: {message}"):
        ball_query(**{"p1": P, "p2": P, **arguments})


def test_an_index_has_its_own_lengths():
    with pytest.raises(ValueError, match="ball_query: lengths2 must be None where p2 is a PointIndex"):
        ball_query(P, PointIndex(P), lengths2=torch.tensor([4]))


@pytest.mark.gpu
def test_devices_must_agree():
    with pytest.raises((ValueError, RuntimeError), match=r"p2|device"):
        ball_query(P.cuda(), P)


# Torch's machinery.


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("d", [1, 3, 5])
def test_points_are_gathered_alike_with_and_without_a_gradient(d, dtype, device):
    p1, p2, *ends = ragged(d, dtype, device)
    with torch.no_grad():
        found = ball_query(p1, p2, *ends, K=4, radius=0.6)
    assert (found.idx < 0).any()
    assert (found.idx >= 0).any()
    differentiable = ball_query(p1, p2.requires_grad_(), *ends, K=4, radius=0.6).knn
    assert torch.equal(found.knn, differentiable)


def test_gathering_passes_over_what_is_no_point(device):
    points = torch.rand(2, 3, 2, device=device)
    idx = torch.tensor([[[0, 3, -1]], [[2**40, 2, -(2**40)]]], device=device)
    expected = torch.zeros(2, 1, 3, 2, device=device)
    expected[0, 0, 0], expected[1, 0, 1] = points[0, 0], points[1, 2]
    assert torch.equal(torch.ops.patina3d.ball_query_gather(points, idx), expected)
    empty = torch.ops.patina3d.ball_query_gather(points[:, :0], idx)
    assert torch.equal(empty, torch.zeros(2, 1, 3, 2, device=device))
    with pytest.raises(ValueError, match=r"ball_query: idx must be of shape \(N, P1, K\)"):
        torch.ops.patina3d.ball_query_gather(points, idx[:1])
    with pytest.raises(TypeError, match="ball_query: idx must be int64"):
        torch.ops.patina3d.ball_query_gather(points, idx.int())


@torch_warns
def test_opcheck(device):
    p1, p2, lengths1, lengths2 = ragged(3, torch.float32, device)
    operator = torch.ops.patina3d.ball_query_forward.default
    for nearest in (False, True):
        for ends in ((None, None), (lengths1, lengths2)):
            torch.library.opcheck(operator, (p1, p2, *ends, None, None, None, 3, 0.5, nearest))
    idx = ball_query(p1, p2, lengths1, lengths2, 3, 0.5).idx
    torch.library.opcheck(torch.ops.patina3d.ball_query_gather.default, (p2, idx))


@torch_warns
@pytest.mark.parametrize("dynamic", [False, True])
@both_orders
def test_compile(order, dynamic, device):
    p1, p2, *ends = ragged(3, torch.float32, device)
    leaves = p1.requires_grad_(), p2.requires_grad_()

    def loss(a: Tensor, b: Tensor, radius: float) -> Tensor:
        found = ball_query(a, b, *ends, 3, radius, order=order)
        return found.dists.sum() + found.knn.square().sum()

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    for radius in (0.5, 0.25):
        want, got = loss(*leaves, radius), compiled(*leaves, radius)
        torch.testing.assert_close(got, want)
        for a, b in zip(torch.autograd.grad(got, leaves), torch.autograd.grad(want, leaves), strict=True):
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize("search", [ball_query, knn_points])
def test_k_is_an_integer_of_any_kind_but_no_bool(search):
    points = torch.rand(1, 5, 3)
    lengths = torch.tensor([4])
    for ends in ((), (lengths, lengths)):
        assert torch.equal(search(points, points, *ends, K=np.int64(2)).idx, search(points, points, *ends, K=2).idx)
        with pytest.raises(TypeError, match=f"{search.__name__}: K must be an int, got bool"):
            search(points, points, *ends, K=True)


@torch_warns
@pytest.mark.parametrize("dynamic", [False, True])
def test_a_cloud_in_itself_compiles_in_one_graph(dynamic, device):
    points = torch.rand((2, 9, 3), dtype=torch.float64, device=device, requires_grad=True)
    lengths = torch.tensor([9, 4], device=device)

    def loss(x: Tensor) -> Tensor:
        return ball_query(x, x, lengths, lengths, K=3, radius=0.8).dists.square().sum()

    want, got = loss(points), torch.compile(loss, fullgraph=True, backend="aot_eager", dynamic=dynamic)(points)
    torch.testing.assert_close(got, want)
    torch.testing.assert_close(torch.autograd.grad(got, points), torch.autograd.grad(want, points))


@torch_warns
def test_compile_of_one_tensor_as_two_arguments(device):
    _, x, _, lengths = ragged(3, torch.float32, device)
    x.requires_grad_()

    def loss(a: Tensor) -> Tensor:
        found = ball_query(a, a, lengths, lengths, 3, 0.5)
        return found.dists.sum() + found.knn.square().sum()

    want, got = loss(x), torch.compile(loss, fullgraph=True, backend="aot_eager")(x)
    torch.testing.assert_close(got, want)
    torch.testing.assert_close(torch.autograd.grad(got, x), torch.autograd.grad(want, x))


def test_shapes_without_data_are_checked():
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        for p2 in (torch.rand(2, 4, 3), torch.rand(1, 4, 2)):
            with pytest.raises(ValueError, match=r"ball_query: p2 must be of shape \(N, P2, D\) = \(1, _, 3\), got"):
                ball_query(torch.rand(1, 4, 3), p2)


def test_functional_gradient(device):
    p1, p2, *_ = ragged(3, torch.float64, device)

    def loss(a: Tensor) -> Tensor:
        return ball_query(a, p2, K=3, radius=0.5).dists.square().sum()

    got = torch.func.grad(loss)(p1)
    (want,) = torch.autograd.grad(loss(p1.requires_grad_()), p1)
    assert got.abs().sum() > 0
    torch.testing.assert_close(got, want)


@torch_warns
def test_forward_mode_is_an_error_not_zero():
    with pytest.raises(NotImplementedError, match="jvp"):
        torch.func.jvp(lambda a: ball_query(a, P).dists, (P + 1,), (P,))


def test_the_bare_operator_has_no_derivative():
    leaf = (P + 1).requires_grad_()
    dists, _ = torch.ops.patina3d.ball_query_forward(leaf, P, None, None, None, None, None, 1, 0.5, False)
    with pytest.raises(RuntimeError, match="patina3d::ball_query_forward has no derivative of its own"):
        dists.sum().backward()
