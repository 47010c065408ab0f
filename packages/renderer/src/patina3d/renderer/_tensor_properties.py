# SPDX-License-Identifier: Apache-2.0
"""Batches of named tensors: what cameras, lights and materials are made of.

``convert_to_tensors_and_broadcast`` turns what a user writes into tensors with one batch size;
``TensorProperties`` keeps them as attributes; ``TensorAccessor`` reads and writes one element of the batch.
"""

from __future__ import annotations

import copy
import numbers
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np
import torch
from torch import Tensor, nn

from patina3d.common.datatypes import Device, make_device
from patina3d.structures.rows import gather_rows

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "TensorAccessor",
    "TensorProperties",
    "common_float_dtype",
    "convert_to_tensors_and_broadcast",
    "format_rows",
    "format_tensor",
]

# What every nn.Module keeps for itself; the rest of its attributes are ours.
_MODULE_STATE = frozenset(vars(nn.Module()))

_Other = TypeVar("_Other", bound="TensorProperties")


def common_float_dtype(*values: Any) -> torch.dtype:
    """Return the dtype that plain numbers take beside ``values``: that of the widest floating tensor, float32 at least.

    Args:
        values: anything; what is not a floating tensor has no say.

    Example:
        >>> common_float_dtype(60.0, torch.zeros(3, dtype=torch.float64))
        torch.float64
        >>> common_float_dtype(60.0, torch.zeros(3, dtype=torch.float16))
        torch.float32
    """
    dtype = torch.float32
    for value in values:
        if isinstance(value, Tensor) and value.is_floating_point():
            dtype = torch.promote_types(dtype, value.dtype)
    return dtype


def format_tensor(input: Any, dtype: torch.dtype = torch.float32, device: Device = "cpu") -> Tensor:
    """Make ``input`` a tensor with at least one dimension, on ``device``.

    Args:
        input: number, (nested) sequence of numbers or tensors, numpy array or tensor.
        dtype: dtype of what is not a tensor yet. Tensors keep theirs.
        device: where the result lies.

    Returns:
        The tensor itself where nothing has to change; a 0-d value becomes shape (1,). Differentiable in every tensor
        given, also in those inside a sequence.

    Example:
        >>> format_tensor(2)
        tensor([2.])
        >>> format_tensor([[1, 2]], dtype=torch.float64)
        tensor([[1., 2.]], dtype=torch.float64)
    """
    device = make_device(device)
    tensor = _nested_tensor(input, dtype, device)
    return tensor.reshape(1) if tensor.dim() == 0 else tensor


def _nested_tensor(value: Any, dtype: torch.dtype, device: torch.device) -> Tensor:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, np.ndarray):
        # torch refuses negative strides
        return torch.tensor(np.ascontiguousarray(value), dtype=dtype, device=device)
    if _holds_tensor(value):
        # torch.tensor would cut the graph
        return torch.stack([_nested_tensor(element, dtype, device) for element in value])
    return torch.tensor(value, dtype=dtype, device=device)


def _holds_tensor(value: Any) -> bool:
    return isinstance(value, list | tuple) and any(isinstance(v, Tensor) or _holds_tensor(v) for v in value)


def format_rows(input: Any, dtype: torch.dtype = torch.float32, device: Device = "cpu") -> Tensor:
    """Make ``input`` a tensor as ``format_tensor`` does, and read one vector (C,) as a batch of one (1, C).

    Example:
        >>> format_rows((0, 1, 0)).shape
        torch.Size([1, 3])
    """
    tensor = format_tensor(input, dtype, device)
    return tensor[None] if tensor.dim() == 1 else tensor


def convert_to_tensors_and_broadcast(
    *args: Any, dtype: torch.dtype = torch.float32, device: Device = "cpu"
) -> list[Tensor]:
    """Make each argument a tensor and give all of them one batch size.

    Args:
        args: what ``format_tensor`` takes. First dimensions must be 1 or N, with N the largest of them.
        dtype: dtype of what is not a tensor yet. Tensors keep theirs.
        device: where the results lie.

    Returns:
        One view of first dimension N for each argument; size 1 is expanded without a copy. The other dimensions are
        left as they are and may differ. Differentiable.

    Raises:
        ValueError: a first dimension is neither 1 nor N.

    Example:
        >>> a, b = convert_to_tensors_and_broadcast(1.0, [2.0, 3.0])
        >>> a, b
        (tensor([1., 1.]), tensor([2., 3.]))
    """
    tensors = [format_tensor(arg, dtype, device) for arg in args]
    size = _batch_size([tensor.shape[0] for tensor in tensors], "convert_to_tensors_and_broadcast")
    return [tensor.expand(size, *tensor.shape[1:]) for tensor in tensors]


def _batch_size(sizes: list[int], operator: str) -> int:
    largest = max(sizes, default=0)
    if any(size not in (1, largest) for size in sizes):
        raise ValueError(f"{operator}: first dimensions must be 1 or {largest}, got {sizes}")
    return largest


class TensorAccessor:
    """One element, or a slice, of a ``TensorProperties``: attributes are read and written at that index.

    Args:
        class_object: the batch.
        index: int or slice into the first dimension of its tensors.

    Reading ``accessor.name`` gives ``class_object.name[index]``, a differentiable view. Writing copies the value into
    the batch in place; numbers and sequences take the attribute's dtype, and shapes follow torch's broadcasting. A
    tensor that was expanded to the batch size gets memory of its own first, so that only the chosen elements change.

    Raises:
        AttributeError: no such attribute, or not a tensor.
        ValueError: the value does not fit the shape of the chosen elements.

    Example:
        >>> colors = TensorProperties(color=[[0.0, 0.0], [1.0, 1.0]])
        >>> colors[0].color = (0.25, 0.5)
        >>> colors.color
        tensor([[0.2500, 0.5000],
                [1.0000, 1.0000]])
    """

    def __init__(self, class_object: TensorProperties, index: int | slice) -> None:
        vars(self).update(class_object=class_object, index=index)

    def _tensor(self, name: str) -> Tensor:
        owner = self.class_object
        value = getattr(owner, name, None)
        if isinstance(value, Tensor):
            return value
        what = f"is a {type(value).__name__}, not a tensor" if hasattr(owner, name) else "does not exist"
        raise AttributeError(f"{type(owner).__name__}[index]: attribute {name!r} {what}")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "class_object" not in vars(self):
            raise AttributeError(name)
        return self._tensor(name)[self.index]

    def __setattr__(self, name: str, value: Any) -> None:
        tensor = self._tensor(name)
        if any(stride == 0 and size > 1 for stride, size in zip(tensor.stride(), tensor.shape, strict=True)):
            tensor = tensor.contiguous()
            self.class_object._assign(name, tensor)
        chosen = tensor[self.index]
        value = format_tensor(value, tensor.dtype, tensor.device)
        while value.dim() > chosen.dim() and value.shape[0] == 1:
            value = value[0]
        try:
            value = value.expand(chosen.shape)
        except RuntimeError as error:
            raise ValueError(
                f"{type(self.class_object).__name__}[index].{name}: value must fit shape {tuple(chosen.shape)}, "
                f"got {tuple(value.shape)}"
            ) from error
        chosen.copy_(value)


class TensorProperties(nn.Module):
    """A batch of named tensors that lie on one device and have one batch size N.

    Args:
        dtype: dtype of the values that are not tensors yet. Tensors keep theirs.
        device: where the tensors lie.
        kwargs: the properties. Numbers, sequences, numpy arrays and tensors become tensors with first dimension N, the
            largest among them; size 1 is expanded without a copy. None, str and bool are stored as they are. A value
            of any other type is left out, with a warning.

    It is an ``nn.Module`` whose tensors follow ``to``, ``cuda``, ``double`` and the like, called on it or on a module
    that holds it, although they are neither parameters nor part of the state dict.

    Raises:
        ValueError: a first dimension is neither 1 nor N.

    Example:
        >>> lamp = TensorProperties(power=[1.0, 2.0], color=((1.0, 0.5, 0.0),), name="lamp")
        >>> len(lamp), lamp.color.shape, lamp[1].power
        (2, torch.Size([2, 3]), tensor(2.))
    """

    device: torch.device
    _N: int

    def __init__(self, dtype: torch.dtype = torch.float32, device: Device = "cpu", **kwargs: Any) -> None:
        super().__init__()
        self.device = make_device(device)
        batched = {}
        for name, value in kwargs.items():
            if value is None or isinstance(value, str | bool):
                setattr(self, name, value)
            elif isinstance(value, numbers.Real | list | tuple | Tensor | np.ndarray):
                batched[name] = value
            else:
                warnings.warn(
                    f"{type(self).__name__}: property {name!r} of type {type(value).__name__} is left out", stacklevel=2
                )
        tensors = convert_to_tensors_and_broadcast(*batched.values(), dtype=dtype, device=self.device)
        for name, tensor in zip(batched, tensors, strict=True):
            setattr(self, name, tensor)
        self._N = tensors[0].shape[0] if tensors else 0

    def __len__(self) -> int:
        return self._N

    def isempty(self) -> bool:
        """Whether the batch holds nothing (N = 0)."""
        return self._N == 0

    def __getitem__(self, index: int | slice) -> Any:
        """Give access to the element, or the slice, ``index`` of every tensor (see ``TensorAccessor``).

        Raises:
            ValueError: neither int nor slice.
            IndexError: outside the batch; iteration ends by it.
        """
        if isinstance(index, bool) or not isinstance(index, int | slice):
            raise ValueError(f"{type(self).__name__}: index must be an int or a slice, got {type(index).__name__}")
        if isinstance(index, int) and not -self._N <= index < self._N:
            raise IndexError(f"{type(self).__name__}: index {index} is outside a batch of {self._N}")
        return TensorAccessor(self, index)

    def _properties(self) -> dict[str, Any]:
        own = {name: value for name, value in vars(self).items() if name not in _MODULE_STATE}
        return {**own, **self._parameters, **self._modules}

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        return ((name, value) for name, value in self._properties().items() if isinstance(value, Tensor))

    def _assign(self, name: str, tensor: Tensor) -> None:
        # nn.Module refuses to put a plain tensor where a parameter was
        self._parameters.pop(name, None)
        setattr(self, name, tensor)

    def _rebroadcast(self) -> None:
        """Give every tensor the largest batch size again after some have been replaced."""
        tensors = dict(self._tensors())
        self._N = _batch_size([tensor.shape[0] for tensor in tensors.values()], type(self).__name__)
        for name, tensor in tensors.items():
            if tensor.shape[0] != self._N:
                self._assign(name, tensor.expand(self._N, *tensor.shape[1:]))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)
        for name, value in list(self._tensors()):
            if name not in self._parameters:
                setattr(self, name, fn(value))
        self.device = fn(torch.empty(0, device=self.device)).device
        return self

    def to(self, device: Device = "cpu") -> Self:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Move every tensor to ``device``, in place.

        Returns:
            The object itself.
        """
        target = make_device(device)
        return self._apply(lambda tensor: tensor.to(target))

    def cpu(self) -> Self:
        """Move every tensor to the CPU, in place."""
        return self.to("cpu")

    def cuda(self, device: int | None = None) -> Self:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Move every tensor to the CUDA device of that number, or to the current one, in place."""
        return self.to("cuda" if device is None else f"cuda:{device}")

    @overload
    def clone(self) -> Self: ...

    @overload
    def clone(self, other: _Other) -> _Other: ...

    def clone(self, other: Any = None) -> Any:
        """Copy every property into ``other``: tensors by a differentiable ``clone``, all else by a deep copy.

        Args:
            other: the object to fill; by default a new one of the same class.

        Returns:
            ``other``.
        """
        if other is None:
            other = type(self).__new__(type(self))
            nn.Module.__init__(other)
        for name, value in self._properties().items():
            setattr(other, name, value.clone() if isinstance(value, Tensor) else copy.deepcopy(value))
        return other

    def gather_props(self, batch_idx: Tensor) -> Self:
        """Replace, in place, each tensor by its elements ``batch_idx``; tensors with first dimension 1 stay.

        Args:
            batch_idx: int64 tensor (M,) with entries in [0, N), or one of more dimensions, up to those of each tensor:
                (M, ...) then picks entry by entry, ``out[i, j, ...] = tensor[batch_idx[i, j, ...], j, ...]``, where the
                dimensions after the first are those of the tensor or 1.

        Returns:
            The object itself, of batch size M (1 where N was 1). Differentiable; the gradient is deterministic.

        Raises:
            ValueError: ``batch_idx`` has more dimensions than a tensor.
        """
        for name, tensor in list(self._tensors()):
            if tensor.shape[0] <= 1:
                continue
            if batch_idx.dim() > tensor.dim():
                raise ValueError(
                    f"gather_props: batch_idx must not have more dimensions than {name}, "
                    f"got {batch_idx.dim()} and {tensor.dim()}"
                )
            self._assign(name, _gather_first_dimension(tensor, batch_idx))
            self._N = batch_idx.shape[0]
        return self


def _gather_first_dimension(values: Tensor, index: Tensor) -> Tensor:
    if index.dim() == 1:
        return gather_rows(values, index)
    index = index.reshape(*index.shape, *[1] * (values.dim() - index.dim())).expand(-1, *values.shape[1:])
    width = values[0].numel()
    column = torch.arange(width, device=index.device).reshape(values.shape[1:])
    return gather_rows(values.reshape(-1), index * width + column)
