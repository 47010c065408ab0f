# SPDX-License-Identifier: Apache-2.0
"""The angle between neighbouring faces as a loss."""

import torch
from torch import Tensor

from patina3d.loss.reduction import mean_of_means
from patina3d.structures import Meshes
from patina3d.structures.rows import gather_rows

__all__ = ["mesh_normal_consistency"]


def mesh_normal_consistency(meshes: Meshes) -> Tensor:
    r"""Mean of ``1 - cos`` of the angle between faces that share an edge.

    For an edge (v0, v1) and each pair of its faces, with opposite corners a and b,

    .. math::
        1 - \cos(n_0, n_1), \qquad n_0 = (v_1 - v_0) \times (a - v_0), \quad n_1 = -(v_1 - v_0) \times (b - v_0)

    which does not depend on the faces' orientation: 0 where they lie flat, 2 where one is folded onto the other. An
    edge of k faces has k (k - 1) / 2 pairs. The mean is over the pairs of a mesh, then over the N meshes.

    Args:
        meshes: N meshes; those without such pairs count in N and add 0.

    Returns:
        A scalar of the dtype of the vertices. Differentiable in the vertices; a face without area makes a pair's term
        1, with gradient 0. Without pairs it is a 0 that requires a gradient, whether or not the vertices do.

    Cost: O(E); the pairs are found once a topology.

    Example:
        >>> verts = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 0, 1]])
        >>> mesh_normal_consistency(Meshes([verts], [torch.tensor([[0, 1, 2], [0, 3, 1]])]))
        tensor(1.)
    """
    hinges = meshes.hinges_packed()
    corners = gather_rows(meshes.verts_packed(), hinges)
    v0, v1, a, b = corners.unbind(1)
    axis = v1 - v0
    n0, n1 = torch.linalg.cross(axis, a - v0), torch.linalg.cross(b - v0, axis)
    cosine = (_unit(n0) * _unit(n1)).sum(1)
    return mean_of_means(1 - cosine, gather_rows(meshes.verts_packed_to_mesh_idx(), hinges[:, 0]), meshes)


def _unit(vectors: Tensor) -> Tensor:
    """Unit vectors; 0, with gradient 0, for vectors of length 0."""
    length = vectors.norm(dim=1, keepdim=True)
    positive = length > 0
    return torch.where(positive, vectors / torch.where(positive, length, 1), 0)
