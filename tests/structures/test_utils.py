# SPDX-License-Identifier: Apache-2.0
"""List, packed and padded form of plain tensors."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from patina3d.structures.utils import (
    list_to_packed,
    list_to_padded,
    packed_to_list,
    padded_to_list,
    padded_to_packed,
)

SIZES = st.lists(st.integers(0, 5), min_size=1, max_size=6)


@settings(deadline=None)
@given(SIZES, st.sampled_from([torch.float32, torch.float64, torch.int64, torch.bool]))
def test_round_trips(sizes, dtype):
    x = [(10 * torch.rand(size, 3)).to(dtype) for size in sizes]
    padded = list_to_padded(x)
    assert padded.shape == (len(x), max(sizes), 3)
    assert padded.dtype == dtype
    packed, counts, first, member = list_to_packed(x)
    for n, y in enumerate(x):
        assert torch.equal(padded_to_list(padded, sizes)[n], y)
        assert torch.equal(packed_to_list(packed, sizes)[n], y)
        assert torch.equal(packed[member == n], y)
        assert torch.equal(packed[first[n] : first[n] + counts[n]], y)
    assert torch.equal(padded_to_packed(padded, sizes), packed)
    assert counts.tolist() == sizes


def test_list_to_padded_pads_every_axis_at_the_far_end():
    x = [torch.ones(2, 1), torch.ones(1, 3)]
    assert list_to_padded(x, pad_value=7).tolist() == [[[1, 7, 7], [1, 7, 7]], [[1, 1, 1], [7, 7, 7]]]
    assert list_to_padded(x, (3, 4)).shape == (2, 3, 4)
    assert list_to_padded(x, (3, 4)).sum() == 5


def test_list_to_padded_stacks_equal_sizes():
    x = [torch.rand(2, 3), torch.rand(2, 3)]
    assert torch.equal(list_to_padded(x, equisized=True, pad_size=(9, 9)), torch.stack(x))


def test_list_to_padded_of_empty_members():
    assert list_to_padded([torch.zeros(0), torch.ones(2, 3)]).tolist() == [[[0] * 3] * 2, [[1] * 3] * 2]
    assert list_to_padded([torch.zeros(0, 7), torch.ones(2, 3)]).shape == (2, 2, 3)
    assert list_to_padded([torch.zeros(0, 3), torch.zeros(0)]).shape == (2, 0, 3)
    assert list_to_padded([torch.zeros(0)]).shape == (1, 0)
    assert list_to_padded([]).shape == (0, 0)
    assert list_to_padded([], (4, 3)).shape == (0, 4, 3)


def test_list_to_padded_gradient():
    x = [torch.rand(n, 2, dtype=torch.float64, requires_grad=True) for n in (3, 0, 2)]
    assert torch.autograd.gradcheck(lambda *members: list_to_padded(list(members), (4, 3), 0.5), x)


def test_list_to_padded_errors():
    with pytest.raises(ValueError, match="x must be a list of tensors"):
        list_to_padded([torch.zeros(1), 2])
    with pytest.raises(ValueError, match=r"equal ndim, got \[1, 2\]"):
        list_to_padded([torch.zeros(1), torch.zeros(1, 2)])
    with pytest.raises(ValueError, match="Pad size must have 1 entries, one an axis, got 2"):
        list_to_padded([torch.zeros(1)], (2, 2))
    with pytest.raises(RuntimeError, match=r"shape \(3,\), larger than pad_size \(2,\)"):
        list_to_padded([torch.zeros(3)], (2,))


def test_padded_to_list():
    x = torch.rand(2, 4, 3)
    assert all(torch.equal(a, b) for a, b in zip(padded_to_list(x), x, strict=True))
    first, second = padded_to_list(x, [(2, 1), (4, 3)])
    assert torch.equal(first, x[0, :2, :1])
    assert torch.equal(second, x[1])
    assert first.data_ptr() == x.data_ptr()
    with pytest.raises(ValueError, match="must have 2 entries, got 1"):
        padded_to_list(x, [2])


def test_list_to_packed_needs_a_tensor():
    with pytest.raises(ValueError, match="at least one tensor"):
        list_to_packed([])


def test_packed_to_list():
    x = torch.arange(5)
    assert [part.tolist() for part in packed_to_list(x, 2)] == [[0, 1], [2, 3], [4]]
    with pytest.raises(RuntimeError):
        packed_to_list(x, [2, 2])


def test_padded_to_packed_drops_by_value():
    x = torch.tensor([[[1.0, 0], [0, 0]], [[torch.nan, 0], [0, 2]]])
    assert padded_to_packed(x, pad_value=0).nan_to_num(9).tolist() == [[1, 0], [9, 0], [0, 2]]
    assert padded_to_packed(x).shape == (4, 2)
    assert padded_to_packed(torch.zeros(0, 2, 3), []).shape == (0, 3)


@pytest.mark.parametrize(
    ("x", "split_size", "pad_value", "message"),
    [
        (torch.zeros(2, 3), None, None, r"Supports only x of shape \(N, M, D\), got \(2, 3\)"),
        (torch.zeros(2, 3, 1), [1, 1], 0, "Only one of split_size and pad_value"),
        (torch.zeros(2, 3, 1), [1], None, "same length as inputs first dimension, 2, got 1"),
        (torch.zeros(2, 3, 1), [[1], [2]], None, "must be 1-dimensional, a list of ints"),
        (torch.zeros(2, 3, 1), [1, 4], None, r"must lie in \[0, 3\], the rows there are"),
        (torch.zeros(2, 3, 1), [-1, 1], None, r"must lie in \[0, 3\]"),
    ],
)
def test_padded_to_packed_errors(x, split_size, pad_value, message):
    with pytest.raises(ValueError, match=message):
        padded_to_packed(x, split_size, pad_value)


def test_list_to_padded_counts_the_rows_of_members_without_entries():
    assert list_to_padded([torch.zeros(5, 0, 7), torch.zeros(2, 3, 4), torch.zeros(0)]).shape == (3, 5, 3, 7)
