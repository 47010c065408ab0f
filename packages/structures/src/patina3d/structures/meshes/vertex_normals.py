# SPDX-License-Identifier: Apache-2.0
"""Normals of vertices."""

import torch
from torch import Tensor

from patina3d.common.vectors import unit_or_zero
from patina3d.structures.rows import gather_rows, sum_rows

__all__ = ["vertex_normals"]


def vertex_normals(verts: Tensor, faces: Tensor) -> Tensor:
    r"""Unit normal of each vertex: the normals of its faces, weighted by their areas.

    .. math::
        s_i = \sum_{f \ni i} (v_{f_1} - v_{f_0}) \times (v_{f_2} - v_{f_0}), \qquad n_i = s_i / \|s_i\|

    Args:
        verts: (V, 3) floating positions. float16 and bfloat16 are computed in float32 and rounded at the end.
        faces: (F, 3) int64 indices into ``verts``.

    Returns:
        (V, 3) normals with the dtype of ``verts``. A vertex without faces, or whose faces cancel (to within rounding of
        the terms, so at any scale), has normal 0. Differentiable in ``verts``; the gradient through a zero normal is 0.

        The sums run in the order of the faces: the same bits in every run.

    Example:
        >>> verts = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [5.0, 5.0, 5.0]])
        >>> vertex_normals(verts, torch.tensor([[0, 1, 2]]))[2:]
        tensor([[0., 0., 1.],
                [0., 0., 0.]])
    """
    positions = verts.float() if verts.dtype in (torch.float16, torch.bfloat16) else verts
    corners = gather_rows(positions, faces)
    edge1, edge2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    cross = torch.linalg.cross(edge1, edge2)
    with torch.no_grad():
        scale = torch.linalg.vector_norm(edge1, dim=-1) * torch.linalg.vector_norm(edge2, dim=-1)
    # The fourth column adds up the sizes of the terms: what the rounding of the sum is relative to.
    terms = torch.cat([cross, scale[:, None]], dim=1)
    sums = sum_rows(terms.repeat_interleave(3, dim=0), faces.reshape(-1), verts.shape[0])
    return unit_or_zero(sums[:, :3], sums[:, 3]).to(verts.dtype)
