# SPDX-License-Identifier: Apache-2.0
"""Gather rows and add rows up, with the same bits in every run.

Torch offers two forms of each; which one is deterministic depends on the device:

- CPU: ``index_select`` (its gradient is ``index_add``, which adds in order); ``index_put_`` with ``accumulate``
  adds from several threads.
- CUDA: advanced indexing (its gradient is ``index_put_`` with ``accumulate``, which sorts first); ``index_add`` adds
  by atomics.
"""

from torch import Tensor

__all__ = ["gather_rows", "sum_rows"]


def gather_rows(values: Tensor, index: Tensor) -> Tensor:
    """Take the rows of ``values`` that ``index`` names; the gradient is deterministic on every device.

    Args:
        values: (R, ...) tensor of any dtype.
        index: int64 tensor of any shape ``S`` with entries in [0, R).

    Returns:
        ``values[index]``, of shape (*S, ...). Differentiable in ``values``.

    Example:
        >>> import torch
        >>> gather_rows(torch.tensor([[1.0], [2.0]]), torch.tensor([[1, 0]]))
        tensor([[[2.],
                 [1.]]])
    """
    if values.is_cuda:
        return values[index]
    return values.index_select(0, index.reshape(-1)).reshape(index.shape + values.shape[1:])


def sum_rows(values: Tensor, index: Tensor, num_rows: int) -> Tensor:
    """Add up rows by target: ``out[r] = sum of values[i] where index[i] == r``, in ascending order of ``i``.

    Args:
        values: (M, ...) floating tensor.
        index: (M,) int64 tensor with entries in [0, num_rows).
        num_rows: number of rows of the result.

    Returns:
        (num_rows, ...) tensor; rows without a source are 0. Differentiable in ``values``.

    Example:
        >>> import torch
        >>> sum_rows(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([1, 0, 1]), 3)
        tensor([2., 5., 0.])
    """
    out = values.new_zeros((num_rows, *values.shape[1:]))
    if values.is_cuda:
        return out.index_put((index,), values, accumulate=True)
    return out.index_add(0, index, values)
