# SPDX-License-Identifier: Apache-2.0
"""Between the packed and the padded form of a batch."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from patina3d.core import _native, is_differentiated, register

__all__ = ["packed_to_padded", "padded_to_packed"]


def _fake_pad(inputs: Tensor, first_idxs: Tensor, max_size: int) -> Tensor:
    return inputs.new_empty((first_idxs.shape[0], max_size, *inputs.shape[1:]))


def _fake_pack(inputs: Tensor, first_idxs: Tensor, num_inputs: int) -> Tensor:
    return inputs.new_empty((num_inputs, *inputs.shape[2:]))


_pad = register(
    "packed_to_padded(Tensor inputs, Tensor first_idxs, SymInt max_size) -> Tensor",
    _native.ops.packed_to_padded,
    _fake_pad,
)
_pack = register(
    "padded_to_packed(Tensor inputs, Tensor first_idxs, SymInt num_inputs) -> Tensor",
    _native.ops.padded_to_packed,
    _fake_pack,
)


class _PackedToPadded(Function):
    @staticmethod
    def forward(inputs: Tensor, first_idxs: Tensor, max_size: int) -> Tensor:
        return _pad(inputs, first_idxs, max_size)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        packed, first_idxs, _ = inputs
        ctx.num_inputs = packed.shape[0]
        ctx.save_for_backward(first_idxs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (first_idxs,) = ctx.saved_tensors
        return padded_to_packed(grads[0], first_idxs, ctx.num_inputs), None, None


class _PaddedToPacked(Function):
    @staticmethod
    def forward(inputs: Tensor, first_idxs: Tensor, num_inputs: int) -> Tensor:
        return _pack(inputs, first_idxs, num_inputs)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        padded, first_idxs, _ = inputs
        ctx.max_size = padded.shape[1]
        ctx.save_for_backward(first_idxs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (first_idxs,) = ctx.saved_tensors
        return packed_to_padded(grads[0], first_idxs, ctx.max_size), None, None


def packed_to_padded(inputs: Tensor, first_idxs: Tensor, max_size: int) -> Tensor:
    r"""Give each element of a packed batch a row of the same width.

    .. math::
        \mathrm{out}_{ni} = \mathrm{inputs}_{\mathrm{first}_n + i}
        \quad\text{for } i < \min(\mathrm{first}_{n+1} - \mathrm{first}_n,\ \mathrm{max\_size}),
        \quad\text{else } 0

    with :math:`\mathrm{first}_N = F`. Equal neighbours in ``first_idxs`` mean an element without items. Of an element
    with more than ``max_size`` items the first ``max_size`` are kept.

    Args:
        inputs: the items, (F, ...), of any dtype and at most 7 axes.
        first_idxs: (N,) int64, where each element begins, ascending in [0, F].
        max_size: M, items of a row, at least 0. Nothing waits for the device as it is known.

    Returns:
        (N, M, ...), of the dtype of ``inputs``, in new memory; bits are moved as they are. Differentiable in ``inputs``
        as often as you like: the gradient is :func:`padded_to_packed`, 0 for items that were not kept. Forward mode
        raises ``NotImplementedError``.

    Raises:
        TypeError: an argument is no tensor or no int, or ``first_idxs`` is not int64.
        ValueError: shapes, devices or ``max_size`` do not fit; on the CPU also ``first_idxs`` that do not ascend in
            [0, F]. On CUDA, where looking would wait for the device, such rows hold some items or 0.

    Cost: O(N M) items moved once.

    Example:
        >>> packed_to_padded(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0, 1]), max_size=2)
        tensor([[1., 0.],
                [2., 3.]])
    """
    _check_types("packed_to_padded", inputs, first_idxs, "max_size", max_size)
    pad = _PackedToPadded.apply if is_differentiated(inputs) else _pad
    return pad(inputs, first_idxs, max_size)


def padded_to_packed(inputs: Tensor, first_idxs: Tensor, num_inputs: int, max_size_dim: int = 1) -> Tensor:
    r"""Take the padding out of a batch: the inverse of :func:`packed_to_padded`.

    .. math::
        \mathrm{out}_{\mathrm{first}_n + i} = \mathrm{inputs}_{ni}
        \quad\text{for } i < \min(\mathrm{first}_{n+1} - \mathrm{first}_n,\ M)

    with :math:`\mathrm{first}_N = F`. Items beyond M, and those before the first element, are 0.

    Args:
        inputs: the rows, (N, M, ...), of any dtype and at most 8 axes.
        first_idxs: (N,) int64, where each element begins in the result, ascending in [0, F].
        num_inputs: F, items of the result, at least 0.
        max_size_dim: the axis of ``inputs`` that has M, which may stand elsewhere than at 1; not the first.

    Returns:
        (F, ...), the other axes in their order, of the dtype of ``inputs``, in new memory. Differentiable in ``inputs``
        as often as you like: the gradient is :func:`packed_to_padded`. Forward mode raises ``NotImplementedError``.

    Raises:
        TypeError: an argument is no tensor or no int, or ``first_idxs`` is not int64.
        ValueError: shapes, devices, ``num_inputs`` or ``max_size_dim`` do not fit; on the CPU also ``first_idxs`` that
            do not ascend in [0, F]. On CUDA, where looking would wait for the device, items then come from some row or
            are 0.

    Cost: O(F log N) and each item moved once.

    Example:
        >>> padded_to_packed(torch.tensor([[1.0, 0.0], [2.0, 3.0]]), torch.tensor([0, 1]), num_inputs=3)
        tensor([1., 2., 3.])
    """
    _check_types("padded_to_packed", inputs, first_idxs, "num_inputs", num_inputs)
    if max_size_dim != 1:
        inputs = inputs.movedim(_axis(inputs, max_size_dim), 1)
    pack = _PaddedToPacked.apply if is_differentiated(inputs) else _pack
    return pack(inputs, first_idxs, num_inputs)


def _axis(inputs: Tensor, max_size_dim: Any) -> int:
    if not isinstance(max_size_dim, int):
        raise TypeError(f"padded_to_packed: max_size_dim must be an int, got {type(max_size_dim).__name__}")
    axis = max_size_dim + inputs.dim() if max_size_dim < 0 else max_size_dim
    if not 0 < axis < inputs.dim():
        raise ValueError(
            f"padded_to_packed: max_size_dim must be an axis of inputs, which has {inputs.dim()}, after the first, "
            f"got {max_size_dim}"
        )
    return axis


def _check_types(operator: str, inputs: Any, first_idxs: Any, name: str, size: Any) -> None:
    """What torch's dispatcher would refuse with a message about the operator's schema; the rest the operator checks."""
    for argument, value in (("inputs", inputs), ("first_idxs", first_idxs)):
        if not isinstance(value, Tensor):
            raise TypeError(f"{operator}: {argument} must be a torch.Tensor, got {type(value).__name__}")
    if not isinstance(size, int | torch.SymInt):
        raise TypeError(f"{operator}: {name} must be an int, got {type(size).__name__}")
