# SPDX-License-Identifier: Apache-2.0
"""Neighbours do not depend on whether torch flushes subnormal numbers to zero."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from patina3d.ops import PointIndex, ball_query, knn_points

Find = Callable[[Tensor, Tensor], tuple[Tensor, ...]]


def nearest_both_ways(x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
    """What ``chamfer_distance`` searches."""
    return torch.ops.patina3d.chamfer_forward(x, y, None, None, *[None] * 6, 2)


FIND: dict[str, Find] = {
    "nearest": lambda x, y: knn_points(x, y)[:2],
    "neighbours": lambda x, y: knn_points(x, y, K=4)[:2],
    "many neighbours": lambda x, y: knn_points(x, y, K=40)[:2],
    "neighbours down a tree": lambda x, y: knn_points(x, PointIndex(y), K=4)[:2],
    "first in a ball": lambda x, y: ball_query(x, y, K=4, radius=1e-30)[:2],
    "first in a ball, down a tree": lambda x, y: ball_query(x, PointIndex(y), K=4, radius=1e-30)[:2],
    "nearest in a ball": lambda x, y: ball_query(x, y, K=4, radius=1e-30, order="nearest")[:2],
    "nearest in a ball, down a tree": lambda x, y: ball_query(x, PointIndex(y), K=4, radius=1e-30, order="nearest")[:2],
    "both ways": nearest_both_ways,
}


def clouds(dtype: torch.dtype, queries: int) -> tuple[Tensor, Tensor]:
    """Points of which some coincide, and some are so near each other that squared distances are subnormal."""
    points = torch.randn((1, 600, 3), dtype=dtype)
    points[:, 100:140] = points[:, 100:101]
    tiny = 1e-21 if dtype == torch.float32 else 1e-160
    points[:, 200:240] = tiny * torch.arange(40, dtype=dtype)[:, None]
    return points[:, 100 : 100 + queries].contiguous(), points


@pytest.mark.parametrize("queries", [1, 120, 500])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("find", FIND.values(), ids=FIND.keys())
def test_bits_are_the_same(find, dtype, queries):
    x, y = clouds(dtype, queries)
    want = find(x, y)
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor does not flush subnormal numbers")
    try:
        flushed = torch.tensor([1e-40]) * 1
        got = find(x, y)
        still_flushed = torch.tensor([1e-40]) * 1
    finally:
        torch.set_flush_denormal(False)
    whole = torch.int32 if dtype == torch.float32 else torch.int64
    for a, b in zip(got, want, strict=True):
        assert torch.equal(a.view(whole) if a.is_floating_point() else a, b.view(whole) if b.is_floating_point() else b)
    assert flushed.item() == still_flushed.item() == 0, "torch's mode is as it was"
