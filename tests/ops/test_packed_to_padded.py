# SPDX-License-Identifier: Apache-2.0
"""Between the packed and the padded form: the definition, gradients, laws, edges, errors, torch's machinery."""

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

import patina3d.structures.packed_to_padded as home
from patina3d.core import _native
from patina3d.ops import packed_to_padded, padded_to_packed
from patina3d.structures import Meshes, Pointclouds
from patina3d.structures._reference import packed_to_padded as reference

emulated = pytest.mark.emulated
# Torch's own machinery uses what torch deprecates.
torch_warns = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")

# Elements: a full one, an empty one in the middle, at the ends; none at all; items before the first.
FIRST = [[0, 3, 3, 5], [0, 0, 9, 9], [9], [], [2, 4]]
ITEM_SHAPES = [(), (1,), (3,), (2, 4), (5, 1, 2), (16,), (0,)]


def items(num: int, shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn((num, *shape), dtype=torch.float64).to(dtype)


@emulated
@pytest.mark.parametrize("first", FIRST)
@pytest.mark.parametrize("shape", ITEM_SHAPES)
@pytest.mark.parametrize("max_size", [0, 1, 3, 20])
def test_definition(first, shape, max_size, device):
    first_idxs = torch.tensor(first, dtype=torch.int64, device=device)
    for dtype in (torch.float32, torch.float64):
        packed = items(9, shape, dtype).to(device)
        padded = packed_to_padded(packed, first_idxs, max_size)
        assert padded.dtype == dtype
        assert torch.equal(padded, reference.packed_to_padded(packed, first_idxs, max_size))
        padded = items(len(first) * max_size, shape, dtype).to(device).reshape(len(first), max_size, *shape)
        back = padded_to_packed(padded, first_idxs, 9)
        assert back.dtype == dtype
        assert torch.equal(back, reference.padded_to_packed(padded, first_idxs, 9))


@emulated
@pytest.mark.parametrize(
    "dtype",
    [torch.bool, torch.uint8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16, torch.complex128],
)
@pytest.mark.parametrize("columns", [1, 3, 16])
def test_any_dtype(dtype, columns, device):
    packed = torch.randint(2, 100, (7, columns), device=device).to(dtype)
    first_idxs = torch.tensor([0, 4], device=device)
    padded = packed_to_padded(packed, first_idxs, 4)
    assert padded.dtype == dtype
    assert torch.equal(padded[0], packed[:4])
    assert torch.equal(padded[1, :3], packed[4:])
    assert not padded[1, 3].any()
    assert torch.equal(padded_to_packed(padded, first_idxs, 7), packed)


@emulated
def test_bits_are_kept(device):
    packed = torch.tensor([-0.0, float("nan"), float("-inf"), 1e-45], device=device)
    packed.view(torch.int32)[1] = 0x7FABCDEF
    first_idxs = torch.tensor([0, 1], device=device)
    back = padded_to_packed(packed_to_padded(packed, first_idxs, 3), first_idxs, 4)
    assert torch.equal(back.view(torch.int32), packed.view(torch.int32))


@emulated
@pytest.mark.parametrize("axis", [1, 2, 3, -1, -2])
def test_the_padding_may_stand_at_another_axis(axis, device):
    first_idxs = torch.tensor([0, 2, 2], device=device)
    padded = torch.randn(3, 4, 5, 6, device=device)
    sizes = list(padded.shape)
    del sizes[axis], sizes[0]
    got = padded_to_packed(padded, first_idxs, 6, max_size_dim=axis)
    assert got.shape == (6, *sizes)
    assert torch.equal(got, reference.padded_to_packed(padded, first_idxs, 6, axis))


@emulated
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradient_equals_that_of_the_definition(dtype, device):
    first_idxs = torch.tensor([1, 3, 3, 8], device=device)
    for ours, theirs, x, size in (
        (packed_to_padded, reference.packed_to_padded, items(9, (2,), dtype), 3),
        (padded_to_packed, reference.padded_to_packed, items(4, (3, 2), dtype), 9),
    ):
        x = x.to(device).requires_grad_()
        got, want = ours(x, first_idxs, size), theirs(x, first_idxs, size)
        upstream = torch.randn_like(got)
        assert torch.equal(torch.autograd.grad(got, x, upstream)[0], torch.autograd.grad(want, x, upstream)[0])


def test_gradcheck(device):
    first_idxs = torch.tensor([0, 2, 2, 3], device=device)
    packed = items(5, (2,)).to(device).requires_grad_()
    padded = items(4, (2, 3)).to(device).requires_grad_()

    def pad(x: Tensor) -> Tensor:
        return packed_to_padded(x, first_idxs, 1).square()

    def pack(x: Tensor) -> Tensor:
        return padded_to_packed(x, first_idxs, 5, max_size_dim=2).square()

    for function, x in ((pad, packed), (pack, padded)):
        assert gradcheck(function, (x,))
        assert gradgradcheck(function, (x,))


# Laws.

counts = st.lists(st.integers(0, 6), min_size=1, max_size=5)


@emulated
@given(counts, st.integers(1, 4))
def test_there_and_back(counts, columns):
    packed = items(sum(counts), (columns,))
    first_idxs = torch.tensor(counts).cumsum(0) - torch.tensor(counts)
    padded = packed_to_padded(packed, first_idxs, max(counts))
    assert torch.equal(padded_to_packed(padded, first_idxs, len(packed)), packed)
    for row, element in zip(padded, packed.split(counts), strict=True):
        assert torch.equal(row[: len(element)], element)
        assert not row[len(element) :].any()
    # What is cut off comes back as 0.
    cut = padded_to_packed(padded[:, :2], first_idxs, len(packed))
    for got, element in zip(cut.split(counts), packed.split(counts), strict=True):
        assert torch.equal(got[:2], element[:2])
        assert not got[2:].any()


@given(counts)
def test_an_element_alone_equals_the_element_in_a_batch(counts):
    packed = items(sum(counts), (3,))
    first_idxs = torch.tensor(counts).cumsum(0) - torch.tensor(counts)
    padded = packed_to_padded(packed, first_idxs, 6)
    for row, element in zip(padded, packed.split(counts), strict=True):
        assert torch.equal(packed_to_padded(element, torch.tensor([0]), 6)[0], row)


def test_is_what_meshes_and_clouds_do():
    verts = [torch.rand(4, 3), torch.rand(0, 3), torch.rand(2, 3)]
    faces = [torch.tensor([[0, 1, 2]]), torch.zeros((0, 3), dtype=torch.int64), torch.tensor([[0, 1, 1], [1, 0, 0]])]
    meshes, clouds = Meshes(verts, faces), Pointclouds(verts)
    first = meshes.mesh_to_verts_packed_first_idx()
    assert torch.equal(packed_to_padded(meshes.verts_packed(), first, 4), meshes.verts_padded())
    assert torch.equal(
        packed_to_padded(clouds.points_packed(), clouds.cloud_to_packed_first_idx(), 4), clouds.points_padded()
    )
    assert torch.equal(padded_to_packed(meshes.verts_padded(), first, 6), meshes.verts_packed())


# Edges.


@emulated
@pytest.mark.parametrize("shape", [(), (3,), (3, 2, 4)])
def test_empty(shape, device):
    nothing = torch.zeros((0, *shape), device=device, requires_grad=True)
    no_elements = torch.zeros(0, dtype=torch.int64, device=device)
    for first_idxs in (no_elements, torch.zeros(3, dtype=torch.int64, device=device)):
        padded = packed_to_padded(nothing, first_idxs, 2)
        assert padded.shape == (len(first_idxs), 2, *shape)
        assert not padded.any()
        packed = padded_to_packed(padded, first_idxs, 0)
        assert packed.shape == (0, *shape)
        packed.sum().backward()
        assert nothing.grad.shape == nothing.shape
    orphans = padded_to_packed(torch.ones((0, 2, *shape), device=device), no_elements, 4)
    assert orphans.shape == (4, *shape)
    assert not orphans.any()


@emulated
def test_strides_and_lazy_negation(device):
    first_idxs = torch.tensor([0, 2, 2, 5], device=device)
    packed = items(8, (3,)).to(device)
    want = packed_to_padded(packed, first_idxs, 4)
    transposed = packed.T.contiguous().T
    every_other = packed.repeat_interleave(2, dim=0)[::2]
    negated = torch._neg_view(-packed)
    assert negated.is_neg()
    strided_first = first_idxs.repeat_interleave(2)[::2]
    for x in (transposed, every_other, negated):
        assert torch.equal(packed_to_padded(x, strided_first, 4), want)
    expanded = packed_to_padded(packed[:1].expand(8, 3), first_idxs, 4)
    assert torch.equal(expanded, packed_to_padded(packed[:1].repeat(8, 1), first_idxs, 4))
    back = padded_to_packed(want.transpose(1, 2).contiguous().transpose(1, 2), strided_first, 8)
    assert torch.equal(back, packed)
    assert torch.equal(padded_to_packed(torch._neg_view(-want), first_idxs, 8), packed)


@emulated
def test_memory_that_is_not_aligned_to_an_item(device):
    # A view that begins one element into its storage: rows of 16 bytes, aligned to 4.
    packed = torch.arange(21.0, device=device)[1:].reshape(5, 4)
    first_idxs = torch.tensor([0, 4], device=device)
    assert torch.equal(packed_to_padded(packed, first_idxs, 4)[0], packed[:4])


@emulated
def test_many_items(device):
    # Several pieces of work on the CPU, several blocks on CUDA, elements that span them.
    counts = torch.tensor([30_000, 0, 5, 41_000, 1])
    packed = torch.arange(2.0 * int(counts.sum()), device=device).reshape(-1, 2)
    first_idxs = (counts.cumsum(0) - counts).to(device)
    padded = packed_to_padded(packed, first_idxs, 41_000)
    for row, element in zip(padded, packed.split(counts.tolist()), strict=True):
        assert torch.equal(row[: len(element)], element)
        assert not row[len(element) :].any()
    assert torch.equal(padded_to_packed(padded, first_idxs, len(packed)), packed)


def test_the_same_for_every_number_of_threads():
    first_idxs = torch.tensor([10, 70_000, 70_000, 200_000])
    packed = torch.randn(300_000, 3)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            padded = packed_to_padded(packed, first_idxs, 90_000)
            results.append((padded, padded_to_packed(padded, first_idxs, 300_000)))
    finally:
        torch.set_num_threads(before)
    for padded, back in results[1:]:
        assert torch.equal(padded, results[0][0])
        assert torch.equal(back, results[0][1])


# Errors.

X = torch.rand(4, 3)
FIRST_IDXS = torch.tensor([0, 2])


@emulated
@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (TypeError, "inputs must be a torch.Tensor, got list", {"inputs": [1.0]}),
        (TypeError, "first_idxs must be a torch.Tensor, got list", {"first_idxs": [0, 2]}),
        (TypeError, "first_idxs must be int64, got int32", {"first_idxs": FIRST_IDXS.int()}),
        (TypeError, "max_size must be an int, got float", {"max_size": 2.0}),
        (ValueError, "first_idxs must be of shape (N,), got (1, 2)", {"first_idxs": FIRST_IDXS[None]}),
        (ValueError, "inputs must be of shape (F, ...), got ()", {"inputs": X[0, 0]}),
        (ValueError, "inputs must be of fewer than 8 axes, got 8", {"inputs": X.reshape(4, 3, 1, 1, 1, 1, 1, 1)}),
        (ValueError, "max_size must be at least 0, got -1", {"max_size": -1}),
        (ValueError, "max_size must be so small that the result can be addressed", {"max_size": 2**62}),
    ],
)
def test_errors_of_packed_to_padded(error, message, arguments):
    with pytest.raises(error, match=re.escape(f"packed_to_padded: {message}")):
        packed_to_padded(**{"inputs": X, "first_idxs": FIRST_IDXS, "max_size": 2, **arguments})


@emulated
@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (TypeError, "inputs must be a torch.Tensor, got ndarray", {"inputs": X.numpy()}),
        (TypeError, "first_idxs must be int64, got float32", {"first_idxs": FIRST_IDXS.float()}),
        (TypeError, "num_inputs must be an int, got NoneType", {"num_inputs": None}),
        (TypeError, "max_size_dim must be an int, got str", {"max_size_dim": "1"}),
        (ValueError, "inputs must be of shape (N, M, ...), got 1 axes", {"inputs": X[0]}),
        (ValueError, "inputs must be of as many elements as first_idxs, 2, got 4", {"inputs": X}),
        (ValueError, "num_inputs must be at least 0, got -4", {"num_inputs": -4}),
        (ValueError, "num_inputs must be so small that the result can be addressed", {"num_inputs": 2**62}),
        (
            ValueError,
            "max_size_dim must be an axis of inputs, which has 3, after the first, got 0",
            {"max_size_dim": 0},
        ),
        (
            ValueError,
            "max_size_dim must be an axis of inputs, which has 3, after the first, got 3",
            {"max_size_dim": 3},
        ),
        (
            ValueError,
            "max_size_dim must be an axis of inputs, which has 3, after the first, got -3",
            {"max_size_dim": -3},
        ),
    ],
)
def test_errors_of_padded_to_packed(error, message, arguments):
    inputs = torch.rand(2, 2, 3)
    with pytest.raises(error, match=re.escape(f"padded_to_packed: {message}")):
        padded_to_packed(**{"inputs": inputs, "first_idxs": FIRST_IDXS, "num_inputs": 4, **arguments})


@pytest.mark.parametrize(
    ("first", "got"), [([0, -1], "-1 at 1"), ([1, 0], "0 at 1"), ([0, 5], "5 at 1"), ([9], "9 at 0")]
)
def test_first_indices_must_ascend_within_the_items(first, got):
    first_idxs = torch.tensor(first)
    message = re.escape(f": first_idxs must be ascending in [0, 4], got {got}")
    with pytest.raises(ValueError, match="packed_to_padded" + message):
        packed_to_padded(X, first_idxs, 2)
    with pytest.raises(ValueError, match="padded_to_packed" + message):
        padded_to_packed(torch.rand(len(first), 2), first_idxs, 4)


def wild_first_indices_stay_within_memory(device: str) -> None:
    # Memory before and after is not ours: what comes out are items, or 0.
    packed = torch.arange(1.0, 5.0, device=device)
    for first in ([3, 1], [-5, 2], [2**62, -(2**62)], [0, 99], [4, 4]):
        first_idxs = torch.tensor(first, device=device)
        padded = packed_to_padded(packed, first_idxs, 3)
        assert set(padded.flatten().tolist()) <= {0.0, 1.0, 2.0, 3.0, 4.0}
        back = padded_to_packed(10 + padded, first_idxs, 4)
        assert set(back.tolist()) <= {0.0, 10.0, 11.0, 12.0, 13.0, 14.0}


@pytest.mark.gpu
def test_wild_first_indices_stay_within_memory_on_cuda():
    wild_first_indices_stay_within_memory("cuda")


@emulated
@pytest.mark.skipif(not _native.is_emulating(), reason="on the CPU they are an error: run with PATINA3D_EMULATE_CUDA=1")
def test_wild_first_indices_stay_within_memory_emulated():
    wild_first_indices_stay_within_memory("cpu")


# Torch's machinery.


@torch_warns
def test_opcheck(device):
    first_idxs = torch.tensor([0, 2, 2], device=device)
    for shape in ((), (3,), (2, 3)):
        packed = items(5, shape, torch.float32).to(device)
        torch.library.opcheck(torch.ops.patina3d.packed_to_padded.default, (packed, first_idxs, 4))
        padded = packed_to_padded(packed, first_idxs, 4)
        torch.library.opcheck(torch.ops.patina3d.padded_to_packed.default, (padded, first_idxs, 5))


@torch_warns
@pytest.mark.parametrize("dynamic", [False, True])
def test_compile(dynamic, device):
    first_idxs = torch.tensor([0, 2, 2], device=device)
    leaf = items(5, (3,)).to(device).requires_grad_()

    def loss(x: Tensor, first_idxs: Tensor) -> Tensor:
        padded = packed_to_padded(x, first_idxs, 3).square()
        return (padded_to_packed(padded, first_idxs, x.shape[0]) * x).sum()

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    want, got = loss(leaf, first_idxs), compiled(leaf, first_idxs)
    torch.testing.assert_close(got, want)
    torch.testing.assert_close(torch.autograd.grad(got, leaf), torch.autograd.grad(want, leaf))


def test_functional_gradient(device):
    first_idxs = torch.tensor([0, 2], device=device)
    x = items(5, (3,)).to(device)
    got = torch.func.grad(lambda x: packed_to_padded(x, first_idxs, 3).square().sum())(x)
    torch.testing.assert_close(got, 2 * x)


def test_the_bare_operators_have_no_derivative():
    leaf = X.clone().requires_grad_()
    with pytest.raises(RuntimeError, match="patina3d::packed_to_padded has no derivative of its own"):
        torch.ops.patina3d.packed_to_padded(leaf, FIRST_IDXS, 2).sum().backward()
    with pytest.raises(RuntimeError, match="patina3d::padded_to_packed has no derivative of its own"):
        torch.ops.patina3d.padded_to_packed(leaf[:2], FIRST_IDXS, 4).sum().backward()


def test_the_names_are_handed_on():
    assert packed_to_padded is home.packed_to_padded
    assert padded_to_packed is home.padded_to_packed


@pytest.mark.gpu
def test_cuda_gives_the_bits_of_the_cpu_and_waits_for_nothing():
    first_idxs = torch.tensor([0, 40, 40, 900])
    packed = torch.randn(1000, 3)
    there, there_first = packed.cuda(), first_idxs.cuda()
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        padded = packed_to_padded(there, there_first, 900)
        back = padded_to_packed(padded, there_first, 1000)
    finally:
        torch.cuda.set_sync_debug_mode(before)
    assert torch.equal(padded.cpu(), packed_to_padded(packed, first_idxs, 900))
    assert torch.equal(back.cpu(), packed)


@pytest.mark.gpu
def test_devices_must_agree():
    with pytest.raises((ValueError, RuntimeError), match=r"first_idxs|device"):
        packed_to_padded(X.cuda(), FIRST_IDXS, 2)
