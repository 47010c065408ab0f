# SPDX-License-Identifier: Apache-2.0
"""Edge lengths as a loss."""

from torch import Tensor

from patina3d.loss.reduction import mean_of_means
from patina3d.structures import Meshes
from patina3d.structures.rows import gather_rows

__all__ = ["mesh_edge_loss"]


def mesh_edge_loss(meshes: Meshes, target_length: float = 0.0) -> Tensor:
    r"""Mean squared difference of edge lengths from a target.

    .. math:: \frac{1}{N} \sum_n \frac{1}{E_n} \sum_{(a, b)} (\lVert v_a - v_b \rVert - t)^2

    Args:
        meshes: N meshes; those without edges count in N and add 0.
        target_length: t, in the unit of the vertices.

    Returns:
        A scalar of the dtype of the vertices; Differentiable in the vertices; an edge of length 0 has gradient 0.
        Without edges it is a 0 that requires a gradient, whether or not the vertices do.

    Cost: O(E); the edges are computed once a topology.

    Example:
        >>> import torch
        >>> triangle = Meshes([torch.eye(3)], [torch.tensor([[0, 1, 2]])])
        >>> mesh_edge_loss(triangle)
        tensor(2.0000)
    """
    ends = gather_rows(meshes.verts_packed(), meshes.edges_packed())
    lengths = (ends[:, 0] - ends[:, 1]).norm(dim=1)
    return mean_of_means((lengths - target_length).square(), meshes.edges_packed_to_mesh_idx(), meshes)
