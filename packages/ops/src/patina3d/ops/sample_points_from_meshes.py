# SPDX-License-Identifier: Apache-2.0
"""Points sampled on surfaces."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from patina3d.structures import Meshes
from patina3d.structures.rows import gather_rows, sum_rows

__all__ = ["sample_points_from_meshes"]

_NAME = "sample_points_from_meshes"


def sample_points_from_meshes(
    meshes: Meshes, num_samples: int = 10000, return_normals: bool = False, return_textures: bool = False
) -> Any:
    r"""Sample points uniformly by area on each mesh of a batch.

    A face is drawn with a chance proportional to its area: the areas are summed up in float64 and a uniform number is
    looked up among the sums, so there is no limit on the number of faces. With u, v uniform in [0, 1), the point is

    .. math:: (1 - \sqrt{u})\, v_0 + \sqrt{u} (1 - v)\, v_1 + \sqrt{u}\, v\, v_2

    (R. Osada et al., "Shape Distributions", 2002).

    Args:
        meshes: N meshes; one without faces gets points at 0.
        num_samples: S, points a mesh.
        return_normals: whether to return the unit normals of the faces.
        return_textures: whether to return the textures at the points.

    Returns:
        Points (N, S, 3), of the dtype of the vertices; then normals (N, S, 3) and textures (N, S, C) where asked for (a
        bare tensor when neither is). A mesh whose faces have no area is sampled as if all its faces were equally large;
        a face without area has normal 0.

    Differentiable in the vertices (points and normals) and the textures; the choice of faces is fixed. Random numbers
    come from torch's generator of the meshes' device.

    Raises:
        ValueError: all meshes are empty, a vertex is not finite (seen on the CPU; looking would wait for a CUDA
            device), or textures are asked for and there are none.

    Cost: O(F + N S log F).

    Example:
        >>> square = Meshes([torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0]])], [torch.tensor([[0, 1, 2]])])
        >>> points, normals = sample_points_from_meshes(square, 5, return_normals=True)
        >>> points.shape, normals[0, 0]
        (torch.Size([1, 5, 3]), tensor([0., 0., 1.]))
    """
    if meshes.isempty():
        raise ValueError(f"{_NAME}: Meshes are empty. There must be at least one face, got {meshes!r}")
    verts = meshes.verts_packed()
    if not verts.is_cuda and not bool(torch.isfinite(verts).all()):
        raise ValueError(f"{_NAME}: Meshes contain nan or inf. All vertices must be finite")
    if return_textures and meshes.textures is None:
        raise ValueError(f"{_NAME}: Meshes do not contain textures. return_textures needs them")
    n = len(meshes)
    filled = (meshes.num_faces_per_mesh() > 0)[:, None]
    with torch.no_grad():
        face = _draw_faces(meshes, num_samples)
    weights = torch.stack(_rand_barycentric_coords(n, num_samples, verts.dtype, verts.device), dim=-1)

    corners = gather_rows(verts, gather_rows(meshes.faces_packed(), face))
    points = torch.where(filled[..., None], (weights[..., None] * corners).sum(2), 0)
    results = [points]
    if return_normals:
        normal = torch.linalg.cross(corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 1])
        length = normal.norm(dim=-1, keepdim=True)
        normal = torch.where(length > 0, normal / torch.where(length > 0, length, 1), 0)
        results.append(torch.where(filled[..., None], normal, 0))
    if return_textures:
        # One row of pixels a mesh, one face a pixel: what `sample_textures` reads of a rasterized picture.
        empty = torch.where(filled, face, -1)[:, :, None, None]
        fragments = SimpleNamespace(pix_to_face=empty, bary_coords=weights[:, :, None, None, :])
        texels = meshes.sample_textures(fragments)[:, :, 0, 0]
        results.append(torch.where(filled[..., None], texels, 0))
    return results[0] if len(results) == 1 else tuple(results)


def _rand_barycentric_coords(
    size1: int, size2: int, dtype: torch.dtype, device: torch.device | str
) -> tuple[Tensor, Tensor, Tensor]:
    """Weights (size1, size2) of the three corners at points drawn uniformly from a triangle."""
    u, v = torch.rand((2, size1, size2), dtype=dtype, device=device).unbind(0)
    root = u.sqrt()
    return 1 - root, root * (1 - v), root * v


def _draw_faces(meshes: Meshes, num_samples: int) -> Tensor:
    """(N, S) packed faces; any for meshes without faces."""
    areas = meshes.faces_areas_packed().double()
    first, count = meshes.mesh_to_faces_packed_first_idx(), meshes.num_faces_per_mesh()
    mesh = meshes.faces_packed_to_mesh_idx()
    total = gather_rows(sum_rows(areas, mesh, len(meshes)), mesh)
    # Shares of the mesh, not areas: next to a large mesh a small one would vanish in the sums.
    shares = torch.where(total > 0, areas / torch.where(total > 0, total, 1), 1 / gather_rows(count, mesh))
    sums = torch.cat([areas.new_zeros(1), shares.cumsum(0)])
    low, high = sums[first], sums[first + count]
    pick = torch.rand((len(meshes), num_samples), dtype=torch.float64, device=areas.device)
    target = low[:, None] + pick * (high - low)[:, None]
    face = torch.searchsorted(sums, target, right=True) - 1
    # Rounding may carry a target to the end of its mesh.
    return face.clamp(min=first[:, None]).clamp(max=(first + count - 1).clamp(min=0)[:, None])
