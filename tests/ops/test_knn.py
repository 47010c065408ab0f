# SPDX-License-Identifier: Apache-2.0
"""K nearest neighbours: the definition, gradients, laws, edges, errors, torch's machinery."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import forward_ad, gradcheck, gradgradcheck
from torch.utils._python_dispatch import TorchDispatchMode

from patina3d.core import _native
from patina3d.ops import knn_gather, knn_points
from patina3d.ops._reference.knn import knn_points as reference
from patina3d.ops.knn import _KNN
from patina3d.ops.point_index import NO_TREES
from support.emulator import needs_emulator, on_cpu_and_emulated

emulated = pytest.mark.emulated
laws = settings(max_examples=15, deadline=None)
# Torch's own machinery uses what torch deprecates.
torch_warns = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
seeds = st.integers(0, 2**31 - 1)

DIMENSIONS = [1, 2, 3, 5, 40]
# On both sides of the sizes of the neighbour lists, and more than there are points.
COUNTS = [0, 1, 3, 8, 9, 16, 17, 70, 200]


def ragged(d: int, dtype: torch.dtype, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Four clouds: a full one, one without queries, one without points, and one of middle sizes."""
    p1 = torch.randn((4, 9, d), dtype=torch.float64).to(device, dtype)
    p2 = torch.randn((4, 90, d), dtype=torch.float64).to(device, dtype)
    return p1, p2, torch.tensor([9, 0, 4, 7], device=device), torch.tensor([90, 12, 0, 75], device=device)


def random_clouds(seed: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, int]:
    """Two clouds of random sizes, and a number of neighbours."""
    generator = torch.Generator().manual_seed(seed)
    num1, num2, d, k = (int(torch.randint(1, most, (), generator=generator)) for most in (12, 40, 6, 20))
    p1, p2 = (torch.randn((1, p, d), generator=generator, dtype=torch.float64).to(dtype) for p in (num1, num2))
    return p1, p2, k


@emulated
@pytest.mark.parametrize("k", COUNTS)
@pytest.mark.parametrize("norm", [1, 2])
@pytest.mark.parametrize("d", DIMENSIONS)
def test_definition_in_float64(d, norm, k, device):
    p1, p2, lengths1, lengths2 = ragged(d, torch.float64, device)
    for ends in ((None, None), (lengths1, lengths2)):
        dists, idx, _ = knn_points(p1, p2, *ends, norm=norm, K=k)
        want_dists, want_idx = reference(p1, p2, *ends, norm=norm, K=k)
        assert torch.equal(idx, want_idx)
        torch.testing.assert_close(dists, want_dists, rtol=1e-13, atol=0)


@emulated
@pytest.mark.parametrize("k", COUNTS)
@pytest.mark.parametrize("norm", [1, 2])
def test_float32_against_float64(norm, k, device):
    for d in DIMENSIONS:
        p1, p2, *ends = ragged(d, torch.float32, device)
        dists, idx, _ = knn_points(p1, p2, *ends, norm=norm, K=k)
        assert dists.dtype == torch.float32
        want_dists, _ = reference(p1.double(), p2.double(), *ends, norm=norm, K=k)
        torch.testing.assert_close(dists.double(), want_dists, rtol=1e-5, atol=0)
        # Near-ties may change places, so what counts is how far the named points are, and that none is named twice.
        difference = (p1.double()[:, :, None] - knn_gather(p2.double(), idx)).abs()
        named = difference.sum(-1) if norm == 1 else difference.square().sum(-1)
        filled = torch.zeros_like(want_dists, dtype=torch.bool)
        for cloud, (length1, length2) in enumerate(zip(*ends, strict=True)):
            filled[cloud, :length1, :length2] = True
            for row in idx[cloud, :length1, :length2]:
                assert row.unique().numel() == row.numel()
        torch.testing.assert_close(named[filled], want_dists[filled], rtol=1e-5, atol=0)
        assert not idx[~filled].any()


@emulated
@pytest.mark.parametrize("norm", [1, 2])
@pytest.mark.parametrize("k", [1, 5, 40])
def test_gradient_equals_that_of_the_definition(norm, k, device):
    for d in (1, 3, 5):
        p1, p2, *ends = ragged(d, torch.float64, device)
        leaves = [p1.requires_grad_(), p2.requires_grad_()]
        upstream = torch.randn((4, 9, k), dtype=torch.float64, device=device)
        got = torch.autograd.grad(knn_points(p1, p2, *ends, norm=norm, K=k).dists, leaves, upstream)
        want = torch.autograd.grad(reference(p1, p2, *ends, norm=norm, K=k)[0], leaves, upstream)
        for a, b in zip(got, want, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@emulated
@pytest.mark.parametrize("norm", [1, 2])
@pytest.mark.parametrize("which", [0, 1])
def test_a_gradient_alone_is_that_of_both(which, norm, device):
    p1, p2, *ends = ragged(3, torch.float64, device)
    both = [p1.clone().requires_grad_(), p2.clone().requires_grad_()]
    alone = [p1, p2]
    alone[which] = alone[which].clone().requires_grad_()
    dists = [knn_points(*points, *ends, norm=norm, K=5).dists for points in (both, alone)]
    want, got = (
        torch.autograd.grad(found.square().sum(), points[which], create_graph=True)[0]
        for found, points in zip(dists, (both, alone), strict=True)
    )
    assert torch.equal(got, want)
    # And its own gradient, which is a sum over the same pairs.
    want, got = (
        torch.autograd.grad(gradient.square().sum(), points[which])[0]
        for gradient, points in zip((want, got), (both, alone), strict=True)
    )
    torch.testing.assert_close(got, want)


def test_a_gradient_that_nobody_asks_for_is_not_computed():
    found = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            found.extend(result if "knn_backward" in str(func) else [])
            return result

    p1, p2 = torch.rand(1, 4, 3), torch.rand(1, 5, 3, requires_grad=True)
    dists = knn_points(p1, p2, K=2).dists.sum()
    with Watch():
        dists.backward()
    assert [x.shape for x in found] == [p2.shape]


@pytest.mark.parametrize("norm", [1, 2])
def test_gradcheck(norm, device):
    p1 = torch.randn((2, 4, 3), dtype=torch.float64, device=device, requires_grad=True)
    p2 = torch.randn((2, 5, 3), dtype=torch.float64, device=device, requires_grad=True)
    lengths1, lengths2 = torch.tensor([4, 3], device=device), torch.tensor([2, 5], device=device)

    def distances_and_neighbours(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        found = knn_points(a, b, lengths1, lengths2, norm=norm, K=3, return_nn=True)
        return found.dists, found.knn

    assert gradcheck(distances_and_neighbours, (p1, p2))
    assert gradgradcheck(distances_and_neighbours, (p1, p2))


@emulated
def test_gradient_of_the_absolute_difference_is_zero_where_coordinates_are_equal(device):
    points = torch.tensor([[[1.0, 2.0]]], device=device, requires_grad=True)
    knn_points(points, torch.tensor([[[1.0, 0.0]]], device=device), norm=1).dists.sum().backward()
    assert points.grad.tolist() == [[[0.0, 1.0]]]


# Laws.


@emulated
@laws
@given(seeds, st.sampled_from([1, 2]))
def test_sorted_and_complete(seed, norm):
    p1, p2, k = random_clouds(seed, torch.float32)
    dists, idx, _ = knn_points(p1, p2, norm=norm, K=k)
    filled = min(k, p2.shape[1])
    assert (dists[..., :filled].diff(dim=-1) >= 0).all()
    every = knn_points(p1, p2, norm=norm, K=p2.shape[1])
    for row, all_of_row in zip(idx[0, :, :filled], every.idx[0], strict=True):
        assert set(all_of_row.tolist()) == set(range(p2.shape[1]))
        assert torch.equal(row, all_of_row[:filled])
    assert torch.equal(dists[..., :filled], every.dists[..., :filled])


@emulated
@laws
@given(seeds)
def test_order_of_points_does_not_matter(seed):
    p1, p2, k = random_clouds(seed)
    order = torch.randperm(p2.shape[1], generator=torch.Generator().manual_seed(seed))
    plain, permuted = knn_points(p1, p2, K=k), knn_points(p1, p2[:, order], K=k)
    assert torch.equal(plain.dists, permuted.dists)
    filled = min(k, p2.shape[1])
    assert torch.equal(plain.idx[..., :filled], order[permuted.idx[..., :filled]])


@laws
@given(seeds)
def test_rigid_motion_does_not_matter(seed):
    p1, p2, k = random_clouds(seed)
    generator = torch.Generator().manual_seed(seed)
    d = p1.shape[2]
    rotation, _ = torch.linalg.qr(torch.randn((d, d), generator=generator, dtype=torch.float64))
    shift = torch.randn(d, generator=generator, dtype=torch.float64)
    plain, moved = knn_points(p1, p2, K=k), knn_points(p1 @ rotation + shift, p2 @ rotation + shift, K=k)
    assert torch.equal(plain.idx, moved.idx)
    torch.testing.assert_close(plain.dists, moved.dists, rtol=1e-9, atol=1e-12)


@laws
@given(seeds, st.integers(-20, 20), st.sampled_from([torch.float32, torch.float64]))
def test_scale(seed, exponent, dtype):
    # Powers of two from 1e-6 to 1e6: scaling is exact, so the neighbours are the same ones to the bit.
    p1, p2, k = random_clouds(seed, dtype)
    scale = 2.0**exponent
    plain, scaled = knn_points(p1, p2, K=k), knn_points(scale * p1, scale * p2, K=k)
    assert torch.equal(plain.idx, scaled.idx)
    assert torch.equal(scale**2 * plain.dists, scaled.dists)


@emulated
@laws
@given(seeds)
def test_a_cloud_alone_equals_the_cloud_in_a_batch(seed):
    p1, p2, k = random_clouds(seed, torch.float32)
    lengths1, lengths2 = torch.tensor([3, p1.shape[1]]), torch.tensor([0, p2.shape[1]])
    batch1 = torch.cat([torch.randn(1, p1.shape[1] + 4, p1.shape[2]), torch.nn.functional.pad(p1, (0, 0, 0, 4))])
    batch2 = torch.cat([torch.randn(1, p2.shape[1] + 70, p2.shape[2]), torch.nn.functional.pad(p2, (0, 0, 0, 70))])
    alone, together = knn_points(p1, p2, K=k), knn_points(batch1, batch2, lengths1, lengths2, K=k)
    assert torch.equal(alone.dists[0], together.dists[1, : p1.shape[1]])
    assert torch.equal(alone.idx[0], together.idx[1, : p1.shape[1]])
    assert not together.dists[1, p1.shape[1] :].any()


# Edges.


@emulated
@pytest.mark.parametrize("k", [1, 8, 16, 33, 300])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ties_go_to_the_lower_index(dtype, k, device):
    # Points of a small lattice, each many times: nearly everything is a tie, and every distance is exact.
    p1 = torch.randint(3, (2, 10, 2), device=device).to(dtype)
    p2 = torch.randint(3, (2, 200, 2), device=device).to(dtype)
    dists, idx, _ = knn_points(p1, p2, K=k)
    want_dists, want_idx = reference(p1, p2, K=k)
    assert torch.equal(dists, want_dists)
    assert torch.equal(idx, want_idx)


@emulated
@pytest.mark.parametrize("norm", [1, 2])
@pytest.mark.parametrize("k", [1, 2, 4, 9, 20, 40])
def test_not_finite(norm, k, device):
    nan, inf = float("nan"), float("inf")
    p1 = torch.tensor([[[0.0, 0.0], [nan, 0.0], [inf, 0.0], [1e30, 0.0]]], device=device)
    p2 = torch.tensor(
        [[[nan, 1], [3, 4], [inf, 0], [1, 1], [-inf, nan], [1e38, 0], [0, 0], [-3e38, -3e38]]], device=device
    )
    dists, idx, _ = knn_points(p1, p2, norm=norm, K=k)
    want_dists, want_idx = reference(p1, p2, norm=norm, K=k)
    assert torch.equal(idx, want_idx)
    torch.testing.assert_close(dists, want_dists, rtol=1e-6, atol=0, equal_nan=True)


@emulated
@pytest.mark.parametrize(
    ("n", "num1", "num2", "k"), [(0, 3, 4, 2), (2, 0, 4, 2), (2, 3, 0, 2), (2, 3, 4, 0), (0, 0, 0, 0)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_empty(n, num1, num2, k, dtype, device):
    p1 = torch.randn((n, num1, 3), dtype=dtype, device=device, requires_grad=True)
    p2 = torch.randn((n, num2, 3), dtype=dtype, device=device, requires_grad=True)
    dists, idx, neighbours = knn_points(p1, p2, K=k, return_nn=True)
    assert dists.shape == idx.shape == (n, num1, k)
    assert neighbours.shape == (n, num1, k, 3)
    assert not dists.any()
    assert not idx.any()
    assert not neighbours.any()
    (dists.sum() + neighbours.sum()).backward()
    assert p1.grad is not None
    assert not p1.grad.any()
    assert not p2.grad.any()


@emulated
def test_lengths_are_clamped(device):
    p1, p2, *_ = ragged(3, torch.float32, device)
    beyond, negative = torch.full((4,), 1000, device=device), torch.full((4,), -5, device=device)
    for a, b in zip(knn_points(p1, p2, K=4)[:2], knn_points(p1, p2, beyond, beyond, K=4)[:2], strict=True):
        assert torch.equal(a, b)
    assert not knn_points(p1, p2, negative, K=4).dists.any()
    assert not knn_points(p1, p2, None, negative, K=4).dists.any()
    # More slots than points, and lengths that claim even more.
    more = p2.shape[1] + 2
    found = knn_points(p1, p2.requires_grad_(), None, beyond, K=more, return_nn=True)
    assert not found.knn[..., -2:, :].any()
    upstream = torch.zeros_like(found.knn)
    upstream[..., -2:, :] = 1
    (grad,) = torch.autograd.grad(found.knn, p2, upstream)
    assert not grad.any()


def test_neighbours_of_padding(device):
    p1, p2, lengths1, lengths2 = ragged(3, torch.float64, device)
    found = knn_points(p1, p2, lengths1, lengths2, K=20, return_nn=True)
    assert not found.knn[2].any()
    assert not found.knn[1, :, 12:].any()
    # Rows beyond lengths1 show the point that their index 0 names.
    assert torch.equal(found.knn[1, :, 0], p2[1, :1].expand(9, 3))
    assert torch.equal(found.knn[0], knn_gather(p2, found.idx)[0])


@emulated
def test_strides_and_lazy_negation(device):
    p1, p2, lengths1, lengths2 = ragged(3, torch.float64, device)
    want = knn_points(p1, p2, lengths1, lengths2, K=5)
    transposed = p1.transpose(1, 2).contiguous().transpose(1, 2)
    every_other = p2.repeat_interleave(2, dim=1)[:, ::2]
    negated = torch._neg_view(-p1)
    assert negated.is_neg()
    assert not transposed.is_contiguous()
    lengths = lengths1.repeat_interleave(3)[::3]
    for a, b in ((transposed, every_other), (negated, p2), (p1, every_other), (p1, torch._neg_view(-p2))):
        got = knn_points(a, b, lengths, lengths2, K=5)
        assert torch.equal(got.dists, want.dists)
        assert torch.equal(got.idx, want.idx)
    expanded = knn_points(p1[:1, :1].expand(4, 6, 3), p2[:1].expand(4, 90, 3), K=5)
    assert torch.equal(expanded.idx, knn_points(p1[:1, :1], p2[:1], K=5).idx.expand(4, 6, 5))


@emulated
def test_gradients_of_strided_and_negated_upstreams(device):
    p1, p2, *_ = ragged(3, torch.float64, device)
    leaf = p1.requires_grad_()
    dists = knn_points(leaf, p2, K=2).dists
    (plain,) = torch.autograd.grad(dists, leaf, torch.full_like(dists, -3), retain_graph=True)
    (strided,) = torch.autograd.grad(dists, leaf, dists.new_full((1,), -3).expand_as(dists), retain_graph=True)
    (negated,) = torch.autograd.grad(dists, leaf, torch._neg_view(torch.full_like(dists, 3)))
    assert torch.equal(plain, strided)
    assert torch.equal(plain, negated)


@emulated
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_converted(dtype, device):
    p1, p2, *_ = ragged(3, dtype, device)
    p1.requires_grad_()
    got = knn_points(p1, p2, K=4)
    want = knn_points(p1.detach().float(), p2.float(), K=4)
    assert got.dists.dtype == torch.float32
    assert torch.equal(got.dists, want.dists)
    assert torch.equal(knn_points(p1, p2.float(), K=4).idx, want.idx)
    got.dists.sum().backward()
    assert p1.grad.dtype == dtype
    with torch.autocast(device.type, dtype=torch.bfloat16):
        assert torch.equal(knn_points(p1, p2, K=4).dists, want.dists)


def test_the_same_bits_for_every_number_of_threads_and_in_every_run():
    p1, p2 = torch.randn(2, 700, 3, requires_grad=True), torch.randn(2, 300, 3, requires_grad=True)
    upstream = torch.randn(2, 700, 32)

    def everything() -> tuple[Tensor, ...]:
        dists, idx, _ = knn_points(p1, p2, K=32)
        return dists, idx, *torch.autograd.grad(dists, (p1, p2), upstream)

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        want = everything()
        for threads in (1, 2, 2, 5):
            torch.set_num_threads(threads)
            for a, b in zip(everything(), want, strict=True):
                assert torch.equal(a, b)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("norm", [1, 2])
@pytest.mark.parametrize("k", [1, 8, 40])
def test_large_clouds_give_the_bits_of_their_parts(k, norm, dtype):
    # Large clouds are searched by a tree, parts of them by brute force. Half of the points lie on a lattice: ties.
    p1, p2 = torch.rand(2, 2500, 3, dtype=dtype), torch.rand(2, 6000, 3, dtype=dtype)
    p1[:, ::2], p2[:, ::2] = (p1[:, ::2] * 8).round() / 8, (p2[:, ::2] * 8).round() / 8
    lengths2 = torch.tensor([6000, 5000])
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found.append(knn_points(p1, p2, None, lengths2, norm=norm, K=k))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert torch.equal(other.dists, found[0].dists)
        assert torch.equal(other.idx, found[0].idx)
    rows = torch.arange(0, 2500, 25)
    part = knn_points(p1[:, rows], p2, None, lengths2, norm=norm, K=k)
    assert torch.equal(found[0].dists[:, rows], part.dists)
    assert torch.equal(found[0].idx[:, rows], part.idx)


@needs_emulator
@emulated
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("norm", [1, 2])
def test_kernels_give_the_gradient_of_the_cpu_where_many_choose_one_point(norm, dtype):
    """To the bit: more pairs than one thread adds up, in both clouds of the batch."""
    leaves = torch.randn(2, 700, 3, dtype=dtype).requires_grad_(), torch.randn(2, 2, 3, dtype=dtype).requires_grad_()
    upstream = torch.randn(2, 700, 2, dtype=dtype)

    def gradients():
        return torch.autograd.grad(knn_points(*leaves, norm=norm, K=2).dists, leaves, upstream)

    for here, there in zip(*on_cpu_and_emulated(gradients), strict=True):
        assert torch.equal(here, there)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("norm", [1, 2])
def test_cuda_gives_the_bits_of_the_cpu(norm, dtype):
    for d, k, points in ((3, 1, 300), (3, 8, 300), (3, 8, 6000), (3, 1, 6000), (2, 20, 300), (40, 40, 300)):
        p1, p2 = torch.randn(2, points, d, dtype=dtype), torch.randn(2, points + 200, d, dtype=dtype)
        here, there = knn_points(p1, p2, norm=norm, K=k), knn_points(p1.cuda(), p2.cuda(), norm=norm, K=k)
        assert torch.equal(here.dists, there.dists.cpu())
        assert torch.equal(here.idx, there.idx.cpu())


@pytest.mark.gpu
def test_cuda_is_deterministic():
    p1, p2 = (
        torch.randn(2, 3000, 3, device="cuda", requires_grad=True),
        torch.randn(2, 50, 3, device="cuda", requires_grad=True),
    )
    want = torch.autograd.grad(knn_points(p1, p2, K=8).dists.sum(), (p1, p2))
    for _ in range(20):
        for a, b in zip(torch.autograd.grad(knn_points(p1, p2, K=8).dists.sum(), (p1, p2)), want, strict=True):
            assert torch.equal(a, b)


def test_the_result_is_a_named_tuple_of_three():
    found = knn_points(torch.rand(1, 2, 3), torch.rand(1, 2, 3), version=3, return_sorted=False)
    assert type(found) is _KNN
    assert repr(found).startswith("KNN(dists=")
    assert found._fields == ("dists", "idx", "knn")
    assert found.knn is None


# Errors.

P = torch.rand(1, 4, 3)
INTEGERS = torch.tensor([4], dtype=torch.int32)


@emulated
@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (TypeError, "p1 must be a torch.Tensor, got list", {"p1": [[0.0]]}),
        (TypeError, "p2 must be a torch.Tensor, got ndarray", {"p2": P.numpy()}),
        (TypeError, "p1 must be float32 or float64, got int64", {"p1": P.long()}),
        (TypeError, "p2 must be float32, got float64", {"p2": P.double()}),
        (TypeError, "lengths1 must be int64, got int32", {"lengths1": INTEGERS}),
        (TypeError, "lengths2 must be a torch.Tensor or None, got list", {"lengths2": [4]}),
        (TypeError, "K must be an int, got float", {"K": 1.5}),
        (TypeError, "norm must be an int, got str", {"norm": "2"}),
        (ValueError, r"p1 must be of shape \(N, P1, D\), got \(4, 3\)", {"p1": P[0]}),
        (ValueError, r"p2 must be of shape \(N, P2, D\) = \(1, _, 3\), got \(2, 4, 3\)", {"p2": P.repeat(2, 1, 1)}),
        (ValueError, r"p2 must be of shape \(N, P2, D\) = \(1, _, 3\), got \(1, 4, 2\)", {"p2": P[..., :2]}),
        (ValueError, "p1 must be of at least one coordinate a point, got 0", {"p1": P[..., :0], "p2": P[..., :0]}),
        (ValueError, r"lengths2 must be of shape \(N,\) = \(1,\), got \(2,\)", {"lengths2": torch.tensor([4, 4])}),
        (ValueError, "norm must be 1 or 2, got 3. Support for 1 or 2 norm.", {"norm": 3}),
        (ValueError, "K must be at least 0, got -1", {"K": -1}),
        (ValueError, "K must be so small that the result can be addressed", {"K": 2**62}),
        (ValueError, "K must be so small that the result can be addressed", {"K": 2**63}),
    ],
)
def test_errors(error, message, arguments):
    with pytest.raises(error, match=f"knn_points: {message}"):
        knn_points(**{"p1": P, "p2": P, **arguments})


@pytest.mark.gpu
def test_devices_must_agree():
    with pytest.raises((ValueError, RuntimeError), match=r"p2|device"):
        knn_points(P.cuda(), P)


@pytest.mark.emulated
def test_backward_takes_an_index_out_of_range_for_an_empty_slot():
    p1, p2, grad = torch.rand(1, 4, 3), torch.rand(1, 5, 3), torch.rand(1, 4, 2)
    idx = torch.tensor([[[0, -1], [3, 5], [2**40, 1], [-(2**40), 7]]])
    inside = (idx >= 0) & (idx < 5)
    expected = _native.ops.knn_backward(p1, p2, None, None, 2, idx * inside, grad * inside, True, True)
    gradients = _native.ops.knn_backward(p1, p2, None, None, 2, idx, grad, True, True)
    for got, want in zip(gradients, expected, strict=True):
        torch.testing.assert_close(got, want)


# Torch's machinery.


@pytest.mark.parametrize("lengths", [None, torch.tensor([33_000, 4_000])])
def test_many_queries_of_a_large_cloud(lengths):
    # They are put in an order of their own; a few at a time are not.
    queries, points = torch.rand(2, 9_000, 3), torch.rand(2, 33_000, 3)
    queries[0, 70] = torch.nan
    queries[0, 8_999] = torch.inf
    queries[1, 3_000:3_200] = queries[1, 0]
    found = knn_points(queries, points, lengths2=lengths, K=5)
    for first in (0, 50, 3_100, 8_950):
        few = knn_points(queries[:, first : first + 50], points, lengths2=lengths, K=5)
        for got, want in zip(found[:2], few[:2], strict=True):
            assert torch.equal(got[:, first : first + 50].nan_to_num(-1), want.nan_to_num(-1))


@torch_warns
def test_opcheck(device):
    p1, p2, lengths1, lengths2 = ragged(3, torch.float32, device)
    for ends in ((None, None), (lengths1, lengths2)):
        torch.library.opcheck(torch.ops.patina3d.knn_forward.default, (p1, p2, *ends, *NO_TREES, 2, 3))
        dists, idx, _ = knn_points(p1, p2, *ends, K=3)
        torch.library.opcheck(torch.ops.patina3d.knn_backward.default, (p1, p2, *ends, 2, idx, dists, True, False))


@torch_warns
@pytest.mark.parametrize("dynamic", [False, True])
def test_compile(dynamic, device):
    p1, p2, *ends = ragged(3, torch.float32, device)
    leaves = p1.requires_grad_(), p2.requires_grad_()

    def loss(a: Tensor, b: Tensor) -> Tensor:
        found = knn_points(a, b, *ends, K=3, return_nn=True)
        return found.dists.sum() + found.knn.square().sum()

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    want, got = loss(*leaves), compiled(*leaves)
    torch.testing.assert_close(got, want)
    for a, b in zip(torch.autograd.grad(got, leaves), torch.autograd.grad(want, leaves), strict=True):
        torch.testing.assert_close(a, b)
    with torch.no_grad():
        torch.testing.assert_close(compiled(*leaves), want.detach())


def test_functional_gradient(device):
    p1, p2, *_ = ragged(3, torch.float64, device)

    def loss(a: Tensor) -> Tensor:
        return knn_points(a, p2, K=3).dists.square().sum()

    got = torch.func.grad(loss)(p1)
    (want,) = torch.autograd.grad(loss(p1.requires_grad_()), p1)
    assert got.abs().sum() > 0
    torch.testing.assert_close(got, want)


@torch_warns
def test_forward_mode_is_an_error_not_zero():
    with pytest.raises(NotImplementedError, match="jvp"):
        torch.func.jvp(lambda a: knn_points(a, P).dists, (P + 1,), (P,))
    with forward_ad.dual_level(), pytest.raises(NotImplementedError, match="jvp"):
        knn_points(P, forward_ad.make_dual(P + 1, P))


def test_the_bare_operators_have_no_derivative():
    leaf = (P + 1).requires_grad_()
    dists, idx = torch.ops.patina3d.knn_forward(leaf, P, None, None, *NO_TREES, 2, 1)
    with pytest.raises(RuntimeError, match="patina3d::knn_forward has no derivative of its own"):
        dists.sum().backward()
    (gradient,) = torch.ops.patina3d.knn_backward(leaf, P, None, None, 2, idx, torch.ones(1, 4, 1), True, False)
    with pytest.raises(RuntimeError, match="patina3d::knn_backward has no derivative of its own"):
        gradient.sum().backward()
    with pytest.raises(RuntimeError, match=r"no derivative|setup_context"):
        torch.func.grad(lambda a: torch.ops.patina3d.knn_forward(a, P, None, None, *NO_TREES, 2, 1)[0].sum())(P)


# knn_gather.


def test_gather_definition(device):
    x = torch.randn(2, 5, 3, device=device)
    idx = torch.randint(5, (2, 4, 6), device=device)
    lengths = torch.tensor([4, 0], device=device)
    out = knn_gather(x, idx, lengths)
    for n in range(2):
        for row in range(4):
            for k in range(6):
                want = x[n, idx[n, row, k]] if k < lengths[n] else torch.zeros(3, device=device)
                assert torch.equal(out[n, row, k], want)
    # Without lengths, slots beyond M are padding.
    assert torch.equal(knn_gather(x, idx)[:, :, :5], x[torch.arange(2)[:, None, None], idx[:, :, :5]])
    assert not knn_gather(x, idx)[:, :, 5:].any()


def test_gather_keeps_any_dtype_and_takes_empty_inputs(device):
    idx = torch.zeros((2, 4, 3), dtype=torch.int64, device=device)
    for dtype in (torch.int32, torch.float16, torch.bool):
        assert knn_gather(torch.ones((2, 5, 3), dtype=dtype, device=device), idx).dtype == dtype
    nothing = torch.ones((2, 0, 3), device=device, requires_grad=True)
    assert knn_gather(nothing, idx).eq(0).all()
    assert torch.autograd.grad(knn_gather(nothing, idx).sum(), nothing)[0].shape == (2, 0, 3)
    assert knn_gather(torch.ones((0, 5, 3), device=device), idx[:0]).shape == (0, 4, 3, 3)
    assert knn_gather(torch.ones((2, 5, 0), device=device), idx).shape == (2, 4, 3, 0)


def test_gather_gradcheck(device):
    x = torch.randn((2, 5, 3), dtype=torch.float64, device=device, requires_grad=True)
    idx = torch.randint(5, (2, 4, 3), device=device)
    assert gradcheck(lambda a: knn_gather(a, idx, torch.tensor([2, 3], device=device)), x)


def test_gather_errors():
    idx = torch.zeros(2, 4, 3, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"knn_gather: x must be of shape \(N, M, U\), got \(5, 3\)"):
        knn_gather(torch.rand(5, 3), idx)
    with pytest.raises(
        ValueError, match=r"knn_gather: idx must be of shape \(N, L, K\) = \(3, _, _\), got \(2, 4, 3\)"
    ):
        knn_gather(torch.rand(3, 5, 3), idx)
    # A row of the neighbouring cloud is no answer.
    for bad in (-1, 5):
        with pytest.raises(IndexError):
            knn_gather(torch.rand(2, 5, 3), idx + bad)
