# SPDX-License-Identifier: Apache-2.0
"""The definition of what ``chamfer_distance`` adds up."""

from torch import Tensor

from patina3d.ops._reference.knn import knn_points


def nearest_both_ways(
    x: Tensor, y: Tensor, x_lengths: Tensor | None = None, y_lengths: Tensor | None = None, norm: int = 2
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """For each point of x the distance (N, P1) and index (N, P1) of the nearest of y, then the same from y to x."""
    dists_x, idx_x = knn_points(x, y, x_lengths, y_lengths, norm)
    dists_y, idx_y = knn_points(y, x, y_lengths, x_lengths, norm)
    return dists_x[..., 0], idx_x[..., 0], dists_y[..., 0], idx_y[..., 0]
