# SPDX-License-Identifier: Apache-2.0
"""Laplacian matrices of meshes."""

import torch
from torch import Tensor

from patina3d.structures.rows import gather_rows, sum_rows

__all__ = ["cot_laplacian", "laplacian", "norm_laplacian"]


def laplacian(verts: Tensor, edges: Tensor) -> Tensor:
    r"""The uniform Laplacian.

    .. math:: L_{ii} = -1, \qquad L_{ij} = 1 / \deg(i) \text{ for each edge } (i, j)

    Args:
        verts: (V, 3); only V, dtype and device are read.
        edges: (E, 2) int64, each edge once.

    Returns:
        Sparse COO (V, V) of the dtype of ``verts``, coalesced. No gradient.

    Raises:
        ValueError: shapes do not fit.

    Example:
        >>> laplacian(torch.eye(3), torch.tensor([[0, 1], [1, 2]])).to_dense()
        tensor([[-1.0000,  1.0000,  0.0000],
                [ 0.5000, -1.0000,  0.5000],
                [ 0.0000,  1.0000, -1.0000]])
    """
    _check("laplacian", verts, edges, "edges", 2)
    rows, columns = _both_ways(edges)
    count = verts.shape[0]
    degree = sum_rows(torch.ones_like(rows, dtype=verts.dtype), rows, count)
    diagonal = torch.arange(count, device=verts.device)
    values = torch.cat([1 / gather_rows(degree, rows), -verts.new_ones(count)])
    return _sparse(torch.cat([rows, diagonal]), torch.cat([columns, diagonal]), values, count)


def cot_laplacian(verts: Tensor, faces: Tensor, eps: float = 1e-12) -> tuple[Tensor, Tensor]:
    r"""The cotangent Laplacian without its diagonal, and the inverse areas of the vertices.

    .. math:: L_{ij} = \cot \alpha_{ij} + \cot \beta_{ij}

    with the angles opposite edge (i, j) in its two faces. From U. Pinkall and K. Polthier, "Computing Discrete Minimal
    Surfaces and Their Conjugates", 1993.

    Args:
        verts: (V, 3) float32 or float64.
        faces: (F, 3) int64.
        eps: the least sine of a corner's angle: keeps the cotangents of degenerate faces finite. Relative, so the
            matrix does not depend on the unit of length.

    Returns:
        ``(L, inv_areas)``: L sparse COO (V, V), symmetric, with a zero diagonal; ``inv_areas`` (V, 1), one over the sum
        of the areas of the faces at a vertex, 0 where there are none. Both differentiable in ``verts``.

    Raises:
        ValueError: shapes do not fit.

    Example:
        >>> L, inv_areas = cot_laplacian(torch.eye(3), torch.tensor([[0, 1, 2]]))
        >>> L.to_dense()[0], inv_areas[0]
        (tensor([0.0000, 0.5774, 0.5774]), tensor([1.1547]))
    """
    _check("cot_laplacian", verts, faces, "faces", 3)
    rows, columns, weights, areas = cot_weights(verts, faces, eps)
    positive = areas > 0
    inverse = torch.where(positive, 1 / torch.where(positive, areas, 1), 0)
    return _sparse(rows, columns, weights, verts.shape[0]), inverse[:, None]


def norm_laplacian(verts: Tensor, edges: Tensor, eps: float = 1e-12) -> Tensor:
    r"""Inverse edge lengths as a matrix: :math:`L_{ij} = 1 / (\lVert v_i - v_j \rVert + \epsilon)`.

    Args:
        verts: (V, 3) float32 or float64.
        edges: (E, 2) int64, each edge once.
        eps: added to each length.

    Returns:
        Sparse COO (V, V), symmetric, with a zero diagonal. Differentiable in ``verts``.

    Raises:
        ValueError: shapes do not fit.

    Example:
        >>> norm_laplacian(torch.tensor([[0.0, 0, 0], [2.0, 0, 0]]), torch.tensor([[0, 1]])).to_dense()
        tensor([[0.0000, 0.5000],
                [0.5000, 0.0000]])
    """
    _check("norm_laplacian", verts, edges, "edges", 2)
    ends = gather_rows(verts, edges)
    weights = 1 / ((ends[:, 0] - ends[:, 1]).norm(dim=1) + eps)
    rows, columns = _both_ways(edges)
    return _sparse(rows, columns, torch.cat([weights, weights]), verts.shape[0])


def cot_weights(verts: Tensor, faces: Tensor, eps: float = 1e-12) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Rows, columns and cotangents of every corner, both ways (6 F entries), and the areas of the vertices (V,)."""
    corners = gather_rows(verts, faces)
    # Edge k is opposite corner k; the two edges at corner k are those of the other corners.
    edges = corners.roll(-2, dims=1) - corners.roll(-1, dims=1)
    twice_area = torch.linalg.cross(edges[:, 0], edges[:, 1]).norm(dim=1)
    at_corner = -(edges.roll(-1, dims=1) * edges.roll(-2, dims=1)).sum(2)
    lengths = edges.norm(dim=2)
    scale = lengths.roll(-1, dims=1) * lengths.roll(-2, dims=1)
    sine = torch.maximum(twice_area[:, None].expand_as(scale), eps * scale)
    cotangents = torch.where(sine > 0, at_corner / torch.where(sine > 0, sine, 1), 0)
    starts, ends = faces.roll(-1, dims=1).reshape(-1), faces.roll(-2, dims=1).reshape(-1)
    weights = cotangents.reshape(-1)
    areas = sum_rows((twice_area / 2)[:, None].expand_as(scale).reshape(-1), faces.reshape(-1), verts.shape[0])
    return torch.cat([starts, ends]), torch.cat([ends, starts]), torch.cat([weights, weights]), areas


def _both_ways(edges: Tensor) -> tuple[Tensor, Tensor]:
    both = torch.cat([edges, edges.flip(1)])
    return both[:, 0], both[:, 1]


def _sparse(rows: Tensor, columns: Tensor, values: Tensor, size: int) -> Tensor:
    index = torch.stack([rows, columns])
    return torch.sparse_coo_tensor(index, values, (size, size), check_invariants=False).coalesce()


def _check(operator: str, verts: Tensor, index: Tensor, name: str, width: int) -> None:
    if verts.dim() != 2 or verts.shape[1] != 3:
        raise ValueError(f"{operator}: verts must be of shape (V, 3), got {tuple(verts.shape)}")
    if index.dim() != 2 or index.shape[1] != width:
        raise ValueError(f"{operator}: {name} must be of shape (_, {width}), got {tuple(index.shape)}")
    if index.dtype != torch.int64:
        raise ValueError(f"{operator}: {name} must be int64, got {index.dtype}")
