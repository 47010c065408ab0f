# SPDX-License-Identifier: Apache-2.0
"""The Laplacian of the vertices as a loss."""

import torch
from torch import Tensor

from patina3d.loss.reduction import mean_of_means
from patina3d.ops.laplacian_matrices import cot_weights
from patina3d.structures import Meshes
from patina3d.structures.rows import gather_rows, sum_rows

__all__ = ["mesh_laplacian_smoothing"]


def mesh_laplacian_smoothing(meshes: Meshes, method: str = "uniform") -> Tensor:
    r"""Mean length of the Laplacian of the vertices.

    .. math:: \frac{1}{N} \sum_n \frac{1}{V_n} \sum_i \lVert r_i \rVert

    - "uniform": :math:`r_i = \frac{1}{|N_i|} \sum_{j \in N_i} v_j - v_i`
    - "cot": :math:`r_i = \sum_j w_{ij} v_j / \sum_j w_{ij} - v_i` with :math:`w_{ij} = \cot\alpha_{ij} +
      \cot\beta_{ij}`
    - "cotcurv": :math:`r_i = \frac{1}{4 A_i} \sum_j w_{ij} (v_j - v_i)`, the mean curvature normal, with :math:`A_i`
      the sum of the areas of the faces at i

    From M. Desbrun et al., "Implicit Fairing of Irregular Meshes", SIGGRAPH 1999.

    Args:
        meshes: N meshes; empty ones count in N and add 0.
        method: "uniform", "cot" or "cotcurv".

    Returns:
        A scalar of the dtype of the vertices. Differentiable in the vertices; the weights are constants. A vertex
        without neighbours, or whose weights cancel, adds 0; where r is 0 its gradient is 0.
        Without faces it is a 0 that requires a gradient, whether or not the vertices do.

    Raises:
        ValueError: another method.

    Cost: O(V + E); the edges are computed once a topology.

    Example:
        >>> triangle = Meshes([torch.eye(3)], [torch.tensor([[0, 1, 2]])])
        >>> mesh_laplacian_smoothing(triangle)
        tensor(1.2247)
    """
    if method not in ("uniform", "cot", "cotcurv"):
        raise ValueError(f'mesh_laplacian_smoothing: method must be "uniform", "cot" or "cotcurv", got {method!r}')
    verts = meshes.verts_packed()
    with torch.no_grad():
        rows, columns, weights, scale = _operator(meshes, verts, method)
    # Differences, not sums of positions: no digits are lost far from the origin.
    differences = gather_rows(verts, columns) - gather_rows(verts, rows)
    if weights is not None:
        differences = differences * weights[:, None]
    residual = sum_rows(differences, rows, verts.shape[0]) * scale[:, None]
    return mean_of_means(residual.norm(dim=1), meshes.verts_packed_to_mesh_idx(), meshes)


def _operator(meshes: Meshes, verts: Tensor, method: str) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
    """Rows, columns and weights (``None`` for ones) of the off-diagonal entries, and a factor for each row."""
    if method == "uniform":
        edges = meshes.edges_packed()
        rows, columns = torch.cat([edges, edges.flip(1)]).unbind(1)
        degree = sum_rows(verts.new_ones(rows.shape), rows, verts.shape[0])
        return rows, columns, None, 1 / degree.clamp(min=1)
    rows, columns, weights, areas = cot_weights(verts, meshes.faces_packed())
    if method == "cotcurv":
        return rows, columns, weights, torch.where(areas > 0, 0.25 / torch.where(areas > 0, areas, 1), 0)
    total = sum_rows(weights, rows, verts.shape[0])
    return rows, columns, weights, torch.where(total != 0, 1 / torch.where(total != 0, total, 1), 0)
