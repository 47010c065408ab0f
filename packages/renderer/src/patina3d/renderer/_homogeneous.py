# SPDX-License-Identifier: Apache-2.0
"""Homogeneous 4 x 4 matrices on row vectors: making, joining, applying and inverting them for cameras.

Each helper works in the wider dtype of what it is given.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from patina3d.renderer._tensor_properties import common_float_dtype
from patina3d.transforms import Transform3d

__all__ = [
    "affine_transform",
    "apply_transform",
    "compose",
    "diagonal_transform",
    "matrix_from_entries",
    "points_at_depth",
    "world_from_view",
]


def affine_transform(linear: Tensor, translation: Tensor) -> Transform3d:
    """Return ``x -> x linear + translation`` from (N, 3, 3) and (N, 3), float32 at least."""
    dtype = common_float_dtype(linear, translation)
    matrix = pad(torch.cat((linear.to(dtype), translation.to(dtype)[:, None]), dim=1), (0, 1))
    matrix[:, 3, 3] = 1
    return Transform3d(matrix=matrix)


def diagonal_transform(scale: Tensor, offset: Tensor, batch_size: int = 1) -> Transform3d:
    """Return ``x -> x * scale + offset`` from (B, 3) and (B, 3), where B is 1 or ``batch_size``, or that is 1."""
    matrix = affine_transform(torch.diag_embed(scale), offset).get_matrix()
    return Transform3d(matrix=matrix.expand(max(batch_size, matrix.shape[0]), 4, 4))


def matrix_from_entries(rows: Sequence[Sequence[Tensor | float]]) -> Tensor:
    """Return the (N, 4, 4) matrix of these entries: (N,) tensors of one dtype, or numbers."""
    entries = [entry for row in rows for entry in row]
    like = next(entry for entry in entries if isinstance(entry, Tensor))
    numbers = {entry for entry in entries if not isinstance(entry, Tensor)}
    constants = {number: torch.full_like(like, number) for number in numbers}
    tensors = [entry if isinstance(entry, Tensor) else constants[entry] for entry in entries]
    return torch.stack(tensors, dim=-1).reshape(-1, 4, 4)


def compose(first: Transform3d, second: Transform3d) -> Transform3d:
    """Return ``first`` followed by ``second``."""
    dtype = torch.promote_types(first.dtype, second.dtype)
    return first.to(first.device, dtype=dtype).compose(second.to(second.device, dtype=dtype))


def apply_transform(transform: Transform3d, points: Tensor, eps: float | None = None) -> Tensor:
    """Return ``transform.transform_points(points, eps)``."""
    dtype = torch.promote_types(points.dtype, transform.dtype)
    return transform.to(transform.device, dtype=dtype).transform_points(points.to(dtype), eps=eps)


def points_at_depth(xy_depth: Tensor, matrix: Tensor) -> Tensor:
    """Invert a projection where the depth before it is known.

    ``(X, Y, d, 1) M`` has x = clip_x / w and y = clip_y / w, two linear equations in X and Y. Solving these keeps every
    digit of d, which a detour through the projected depth would lose in float32.

    Args:
        xy_depth: (B, P, 3): x and y after projection, depth d before it. B is 1 or N, or N is 1.
        matrix: (N, 4, 4) projection.

    Returns:
        (max(B, N), P, 3) points (X, Y, d). Differentiable.
    """
    m = matrix[:, None]
    xy, depth = xy_depth[..., :2], xy_depth[..., 2:]
    lhs = m[..., :2, :2] - m[..., :2, 3:] * xy[..., None, :]
    rhs = xy * (depth * m[..., 2, 3:] + m[..., 3, 3:]) - depth * m[..., 2, :2] - m[..., 3, :2]
    (a, b), (c, d) = (row.unbind(-1) for row in lhs.unbind(-2))
    u, v = rhs.unbind(-1)
    det = a * d - b * c
    x = (u * d - v * c) / det
    y = (v * a - u * b) / det
    return torch.stack((x, y, depth[..., 0].to(x.dtype).expand_as(x)), dim=-1)


def world_from_view(points: Tensor, world_to_view: Tensor) -> Tensor:
    """Invert the affine (N, 4, 4) map on (1 or N, P, 3) points; without a check, so that no GPU is waited for."""
    matrix = world_to_view.to(torch.promote_types(points.dtype, world_to_view.dtype))
    return (points - matrix[:, 3:, :3]) @ torch.linalg.inv_ex(matrix[:, :3, :3]).inverse
