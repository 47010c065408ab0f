# SPDX-License-Identifier: Apache-2.0
"""Conversions between the list, packed and padded form of a batch."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

__all__ = ["list_to_packed", "list_to_padded", "packed_to_list", "padded_to_list", "padded_to_packed"]


def list_to_padded(
    x: list[Tensor] | tuple[Tensor, ...],
    pad_size: Sequence[int] | None = None,
    pad_value: float = 0.0,
    equisized: bool = False,
) -> Tensor:
    r"""Stack tensors of different sizes, each padded at its far end to a common size.

    Args:
        x: N tensors of equal ndim D. An empty 1-D tensor stands for an empty tensor of D dimensions.
        pad_size: D sizes to pad to. By default the largest size along each axis, over the members with a row
            (over all members if none has one).
        pad_value: value of the padding.
        equisized: all members have one shape: they are stacked, and ``pad_size`` has no effect.

    Returns:
        (N, \*pad_size) tensor with the dtype and device of ``x[0]``, in new memory. An empty list gives
        (0, \*pad_size), or (0, 0) without ``pad_size``. Differentiable in the members.

    Raises:
        ValueError: a member is not a tensor, the members differ in ndim, or ``pad_size`` has not D entries.
        RuntimeError: a member is larger than ``pad_size``.

    Example:
        >>> list_to_padded([torch.tensor([1, 2]), torch.tensor([3])], pad_value=-1)
        tensor([[ 1,  2],
                [ 3, -1]])
    """
    if not all(isinstance(y, Tensor) for y in x):
        raise ValueError("list_to_padded: x must be a list of tensors")
    if len(x) == 0:
        return torch.full((0, *(pad_size if pad_size is not None else (0,))), pad_value)
    if equisized:
        return torch.stack(list(x))
    ndim = max(y.ndim for y in x)
    if any(y.ndim != ndim and not _is_empty_row(y) for y in x):
        raise ValueError(f"list_to_padded: the members of x must have equal ndim, got {sorted({y.ndim for y in x})}")
    if pad_size is None:
        shapes = [y.shape for y in x if y.ndim == ndim]
        shapes = [shape for shape in shapes if 0 not in shape[:1]] or shapes
        pad_size = [max(sizes) for sizes in zip(*shapes, strict=True)]
    elif len(pad_size) != ndim:
        raise ValueError(f"list_to_padded: Pad size must have {ndim} entries, one an axis, got {len(pad_size)}")
    return torch.stack([_padded(y, pad_size, pad_value, x[0]) for y in x])


def _is_empty_row(y: Tensor) -> bool:
    return y.ndim == 1 and y.numel() == 0


def _padded(y: Tensor, pad_size: Sequence[int], pad_value: float, like: Tensor) -> Tensor:
    y = y.to(like)
    if y.numel() == 0:
        return y.new_full(tuple(pad_size), pad_value)
    if any(have > want for have, want in zip(y.shape, pad_size, strict=True)):
        raise RuntimeError(
            f"list_to_padded: a member of x has shape {tuple(y.shape)}, larger than pad_size {tuple(pad_size)}"
        )
    missing = [want - have for have, want in zip(y.shape, pad_size, strict=True)]
    # `pad` counts axes from the last one, with the near end before the far end.
    return torch.nn.functional.pad(y, [n for far in reversed(missing) for n in (0, far)], value=pad_value)


def padded_to_list(x: Tensor, split_size: Sequence[int] | Sequence[Sequence[int]] | None = None) -> list[Tensor]:
    """Take a padded batch apart.

    Args:
        x: (N, ...) tensor.
        split_size: for each element the size to cut it to: an int cuts its first axis, a sequence of ints cuts each
            axis. By default nothing is cut.

    Returns:
        N views of ``x``. Differentiable.

    Raises:
        ValueError: ``split_size`` has not N entries.

    Example:
        >>> padded_to_list(torch.tensor([[1, 2], [3, 0]]), [2, 1])
        [tensor([1, 2]), tensor([3])]
    """
    elements = list(x.unbind(0))
    if split_size is None:
        return elements
    if len(split_size) != len(elements):
        raise ValueError(f"padded_to_list: split_size must have {len(elements)} entries, got {len(split_size)}")
    sizes = [(size,) if isinstance(size, int) else tuple(size) for size in split_size]
    return [element[tuple(map(slice, size))] for element, size in zip(elements, sizes, strict=True)]


def list_to_packed(x: list[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Concatenate tensors along their first axis and say where each of them went.

    Args:
        x: N tensors (M_n, ...), equal in the other axes.

    Returns:
        A tuple of

        - packed: (sum M_n, ...) tensor, differentiable in the members;
        - num_items: (N,) int64, the M_n;
        - item_packed_first_idx: (N,) int64, the packed row at which each member begins;
        - item_packed_to_list_idx: (sum M_n,) int64, the member of each packed row.

    Raises:
        ValueError: ``x`` is empty.

    Example:
        >>> list_to_packed([torch.tensor([1.0, 2.0]), torch.tensor([3.0])])
        (tensor([1., 2., 3.]), tensor([2, 1]), tensor([0, 2]), tensor([0, 0, 1]))
    """
    if len(x) == 0:
        raise ValueError("list_to_packed: x must have at least one tensor, got an empty list")
    sizes = [y.shape[0] for y in x]
    num_items = torch.tensor(sizes, dtype=torch.int64, device=x[0].device)
    members = torch.arange(len(x), device=x[0].device)
    return (
        torch.cat(x),
        num_items,
        num_items.cumsum(0) - num_items,
        torch.repeat_interleave(members, num_items, output_size=sum(sizes)),
    )


def packed_to_list(x: Tensor, split_size: list[int] | int) -> tuple[Tensor, ...]:
    """Take a packed batch apart.

    Args:
        x: (M, ...) tensor.
        split_size: rows of each element, which must sum to M (RuntimeError); or one number for chunks of that size.

    Returns:
        Views of ``x``. Differentiable.

    Example:
        >>> packed_to_list(torch.tensor([1, 2, 3]), [2, 1])
        (tensor([1, 2]), tensor([3]))
    """
    return tuple(x.split(split_size))


def padded_to_packed(
    x: Tensor, split_size: list[int] | tuple[int, ...] | None = None, pad_value: float | None = None
) -> Tensor:
    """Drop the padding of a padded batch and concatenate what is left.

    Args:
        x: (N, M, D) tensor.
        split_size: rows to keep of each element, from its first.
        pad_value: instead, drop each row whose D entries all equal this number. A true row of that value is dropped
            as well; NaN equals nothing. Waits for the device, as the number of rows depends on the data.

    Returns:
        (rows, D) tensor; all N M rows where neither is given. Differentiable.

    Raises:
        ValueError: ``x`` is not 3-D, both are given, or ``split_size`` is not N ints in [0, M].

    Example:
        >>> padded_to_packed(torch.tensor([[[1.0], [2.0]], [[3.0], [0.0]]]), [2, 1])
        tensor([[1.],
                [2.],
                [3.]])
    """
    if x.ndim != 3:
        raise ValueError(f"padded_to_packed: Supports only x of shape (N, M, D), got {tuple(x.shape)}")
    if split_size is not None and pad_value is not None:
        raise ValueError("padded_to_packed: Only one of split_size and pad_value may be given, got both")
    num, width, dim = x.shape
    if pad_value is not None:
        return x.reshape(num * width, dim)[(x != pad_value).any(-1).reshape(-1)]
    if split_size is None:
        return x.reshape(num * width, dim)
    if not all(isinstance(size, int) for size in split_size):
        raise ValueError(f"padded_to_packed: split_size must be 1-dimensional, a list of ints, got {split_size}")
    if len(split_size) != num:
        raise ValueError(
            f"padded_to_packed: split_size must be of the same length as inputs first dimension, {num}, "
            f"got {len(split_size)}"
        )
    if any(not 0 <= size <= width for size in split_size):
        raise ValueError(f"padded_to_packed: split_size must lie in [0, {width}], the rows there are, got {split_size}")
    if num == 0:
        return x.reshape(0, dim)
    return torch.cat([element[: cast("int", size)] for element, size in zip(x, split_size, strict=True)])
