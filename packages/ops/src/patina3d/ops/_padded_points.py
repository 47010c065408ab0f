# SPDX-License-Identifier: Apache-2.0
"""Clouds as the operators on points take them: a tensor of which every point counts, or `Pointclouds`."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from patina3d.ops.knn import at_least_float32
from patina3d.ops.utils import is_pointclouds

__all__ = ["PaddedPoints", "padded_points"]


class PaddedPoints(NamedTuple):
    """Points in padded form; ``lengths`` and ``mask`` are None where there is no padding."""

    points: Tensor
    """(N, P, D) float32 or float64, 0 in the padding."""
    counts: list[int]
    """The points of each cloud, known without asking the device."""
    lengths: Tensor | None
    """(N,) int64: the same, on the device."""
    mask: Tensor | None
    """(N, P): which rows are points."""


def padded_points(operator: str, name: str, cloud: Any) -> PaddedPoints:
    """What an operator needs of its argument ``name``.

    Raises:
        ValueError: it is neither a tensor (N, P, D) nor `Pointclouds`.
        TypeError: it is not floating.
    """
    if is_pointclouds(cloud):
        points, counts = cloud.points_padded(), [rows.shape[0] for rows in cloud.points_list()]
        lengths = cloud.num_points_per_cloud()
    elif isinstance(cloud, Tensor):
        if cloud.dim() != 3:
            raise ValueError(f"{operator}: {name} must be of shape (N, P, D), got {tuple(cloud.shape)}")
        points, counts, lengths = cloud, [cloud.shape[1]] * cloud.shape[0], None
    else:
        raise ValueError(
            f"{operator}: {name} should be either Pointclouds or a tensor (N, P, D), got {type(cloud).__name__}"
        )
    if not points.is_floating_point():
        raise TypeError(f"{operator}: {name} must be floating, got {points.dtype}")
    points = at_least_float32(points)
    if lengths is None or all(count == points.shape[1] for count in counts):
        return PaddedPoints(points, counts, None, None)
    mask = torch.arange(points.shape[1], device=points.device) < lengths[:, None]
    # Whatever stands in the padding, NaN included, must not reach a sum.
    return PaddedPoints(torch.where(mask[..., None], points, 0), counts, lengths, mask)
