# SPDX-License-Identifier: Apache-2.0
"""The tree of an index by its definition: leaves over points in a given order, nodes over what is below."""

import torch
from torch import Tensor

WIDTH = 16
NOTHING = -1
"""The bits of the largest number without a sign."""


def point_index(points: Tensor, order: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Leaves (L, D, 16), boxes (B, 2, D, 16) and ids (B + L, 16) of one cloud (P, D), of which only ``order`` counts.

    ``order`` holds, as a permutation does, the number of each finite point that counts, leaf by leaf; -1 where a leaf
    has no point.
    """
    (p, d), leaves = points.shape, -(-points.shape[0] // WIDTH)
    numbers = torch.full((leaves * WIDTH,), NOTHING, dtype=torch.int64)
    numbers[: order.numel()] = order
    places = torch.full((leaves * WIDTH, d), torch.inf, dtype=points.dtype)
    places[numbers >= 0] = points[numbers[numbers >= 0]]
    low = places.reshape(leaves, WIDTH, d).transpose(1, 2)
    high = torch.where(torch.isinf(low), -low, low)
    numbers = numbers.reshape(leaves, WIDTH)
    boxes, ids = _nodes(low, high, numbers) if p > 0 else (low.new_empty((0, 2, d, WIDTH)), numbers)
    return low, boxes, torch.cat((ids, numbers)).to(torch.int32)


def _nodes(low: Tensor, high: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
    """The boxes of all levels over children (C, D, 16), from the root down, and the least number in each box."""
    low, high = (_in_nodes(low.amin(2), torch.inf), _in_nodes(high.amax(2), -torch.inf))
    least = torch.where(numbers < 0, 2**32 - 1, numbers).amin(1, keepdim=True)
    numbers = _in_nodes(torch.where(least == 2**32 - 1, NOTHING, least), NOTHING)[:, 0]
    boxes = torch.stack((low, high), 1)
    if low.shape[0] == 1:
        return boxes, numbers
    above, above_numbers = _nodes(low, high, numbers)
    return torch.cat((above, boxes)), torch.cat((above_numbers, numbers))


def _in_nodes(values: Tensor, missing: float) -> Tensor:
    """Values (C, D) of children as (nodes, D, 16)."""
    children, d = values.shape
    padded = values.new_full((-(-children // WIDTH) * WIDTH, d), missing)
    padded[:children] = values
    return padded.reshape(-1, WIDTH, d).transpose(1, 2)
