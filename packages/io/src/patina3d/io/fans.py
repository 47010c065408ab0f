# SPDX-License-Identifier: Apache-2.0
"""Polygons into triangles."""

import torch
from torch import Tensor

__all__ = ["fans"]


def fans(corners: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
    """Split each polygon into the triangles (0, 1, 2), (0, 2, 3), ... around its first corner.

    Args:
        corners: the corners of all polygons, one polygon after the other.
        sizes: (P,) int64, the number of corners of each, at least 3.

    Returns:
        (F, 3) triangles, and (F,) the polygon of each. If all polygons have the same number of corners, the first
        triangle of every polygon comes first, then the second of every polygon, and so on; else the triangles of a
        polygon follow one another.

    Example:
        >>> from patina3d.io.fans import fans
        >>> fans(torch.tensor([5, 6, 7, 8]), torch.tensor([4]))
        (tensor([[5, 6, 7],
                [5, 7, 8]]), tensor([0, 0]))
    """
    num_triangles = sizes - 2
    polygon = torch.repeat_interleave(num_triangles)
    first_corner = sizes.cumsum(0) - sizes
    first_triangle = num_triangles.cumsum(0) - num_triangles
    start = first_corner[polygon]
    second = start + 1 + torch.arange(len(polygon)) - first_triangle[polygon]
    triangles = torch.stack([corners[start], corners[second], corners[second + 1]], dim=1)
    if len(sizes) and bool((sizes == sizes[0]).all()):
        triangles = triangles.view(len(sizes), -1, 3).transpose(0, 1).reshape(-1, 3)
        polygon = polygon.view(len(sizes), -1).t().reshape(-1)
    return triangles, polygon
