# SPDX-License-Identifier: Apache-2.0
"""The definition of ``packed_to_padded`` and ``padded_to_packed``."""

from collections.abc import Iterator

from torch import Tensor


def packed_to_padded(inputs: Tensor, first_idxs: Tensor, max_size: int) -> Tensor:
    """Items of each element, cut to ``max_size``, in a row of zeros; differentiable by torch's own rules."""
    out = inputs.new_zeros((len(first_idxs), max_size, *inputs.shape[1:]))
    for n, begin, end in _elements(first_idxs, len(inputs)):
        for i in range(min(end - begin, max_size)):
            out[n, i] = inputs[begin + i]
    return out


def padded_to_packed(inputs: Tensor, first_idxs: Tensor, num_inputs: int, max_size_dim: int = 1) -> Tensor:
    """Each item back in its place among zeros; differentiable by torch's own rules."""
    inputs = inputs.movedim(max_size_dim, 1)
    out = inputs.new_zeros((num_inputs, *inputs.shape[2:]))
    for n, begin, end in _elements(first_idxs, num_inputs):
        for i in range(min(end - begin, inputs.shape[1])):
            out[begin + i] = inputs[n, i]
    return out


def _elements(first_idxs: Tensor, num_items: int) -> Iterator[tuple[int, int, int]]:
    first = [*first_idxs.tolist(), num_items]
    for n in range(len(first_idxs)):
        yield n, first[n], first[n + 1]
