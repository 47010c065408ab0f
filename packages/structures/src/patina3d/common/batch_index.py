# SPDX-License-Identifier: Apache-2.0
"""Which elements of a batch an index or a split names."""

import numbers
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["BatchIndex", "checked_copies", "checked_splits", "normalized_index", "selected_elements"]

BatchIndex = int | slice | Sequence[int] | Sequence[bool] | Tensor
"""What a batch may be indexed with."""


def normalized_index(index: BatchIndex, length: int, owner: str) -> int | slice | list[int]:
    """Check an index into a batch and bring it to one of three forms.

    Args:
        index: an integer (negative counts from the end), a slice, a list of integers, a list of N bools, or a
            1-D bool (N,) or integer tensor.
        length: N, the number of elements.
        owner: class name for error messages.

    Returns:
        An int, a slice, or a list of ints; ints lie in [0, N).

    Raises:
        IndexError: out of range, a mask of another length than N, or any other type.

    Example:
        >>> normalized_index([True, False, True], 3, "Meshes")
        [0, 2]
    """
    if isinstance(index, slice):
        return index
    if isinstance(index, Tensor):
        if index.ndim == 0 and not (index.is_floating_point() or index.is_complex() or index.dtype == torch.bool):
            raise IndexError(f"{owner}: an index tensor must have 1 dimension, got 0; use int(index)")
        if index.ndim != 1 or index.is_floating_point() or index.is_complex():
            raise IndexError(
                f"{owner}: an index tensor must be 1-D and bool or integer, got {index.dtype} {tuple(index.shape)}"
            )
        return _positions(index.tolist(), length, owner)
    if isinstance(index, list):
        return _positions(index, length, owner)
    if _is_integer(index):
        return _position(index, length, owner)
    raise IndexError(
        f"{owner}: an index must be an int, a slice, a list or a 1-D bool or integer tensor, got {type(index).__name__}"
    )


def selected_elements(index: int | slice | list[int], length: int) -> list[int]:
    """The elements that a normalized index names, in its order.

    Example:
        >>> selected_elements(slice(None, None, 2), 5)
        [0, 2, 4]
    """
    if isinstance(index, slice):
        return list(range(length))[index]
    return [index] if isinstance(index, int) else index


def checked_splits(split_sizes: list[int], length: int, owner: str) -> list[slice]:
    """Consecutive slices of the given sizes.

    Raises:
        ValueError: a size is not an int or negative, or the sizes do not sum to the number of elements.

    Example:
        >>> checked_splits([1, 2], 3, "Meshes")
        [slice(0, 1, None), slice(1, 3, None)]
    """
    if not all(_is_integer(size) and size >= 0 for size in split_sizes):
        raise ValueError(f"{owner}.split: split_sizes must be a list of ints that are not negative, got {split_sizes}")
    if sum(split_sizes) != length:
        raise ValueError(
            f"{owner}.split: split_sizes must sum to {length}, the number of elements, got {sum(split_sizes)}"
        )
    slices, start = [], 0
    for size in split_sizes:
        slices.append(slice(start, start + size))
        start += size
    return slices


def checked_copies(copies: int, owner: str) -> int:
    """The number of copies asked of ``extend``.

    Raises:
        ValueError: not an int, or not positive.

    Example:
        >>> checked_copies(2, "Meshes")
        2
    """
    if not _is_integer(copies) or copies <= 0:
        raise ValueError(f"{owner}.extend: N must be an int > 0, got {copies!r}")
    return int(copies)


def _is_integer(value: object) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _positions(values: list, length: int, owner: str) -> list[int]:
    if values and all(isinstance(value, bool) for value in values):
        if len(values) != length:
            raise IndexError(f"{owner}: a mask must have {length} entries, one an element, got {len(values)}")
        return [position for position, chosen in enumerate(values) if chosen]
    return [_position(value, length, owner) for value in values]


def _position(value: object, length: int, owner: str) -> int:
    if not isinstance(value, numbers.Integral) or isinstance(value, bool):
        raise IndexError(f"{owner}: an index must be an integer, got {type(value).__name__}")
    position = int(value)
    if not -length <= position < length:
        raise IndexError(f"{owner}: index {position} is out of range for {length} elements")
    return position % length
