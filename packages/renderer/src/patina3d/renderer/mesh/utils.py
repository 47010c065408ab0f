# SPDX-License-Identifier: Apache-2.0
"""What a rasterizer says of a slot, changed afterwards: barycentrics clipped to the face, and the depth they mean.

The packing of rectangles is at home in `patina3d.renderer.mesh.rectangles`; PyTorch3D has its names here.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from patina3d.ops.interp_face_attrs import interpolate_face_attributes
from patina3d.renderer._reference.rasterize_meshes import barycentric_coordinates_clip
from patina3d.renderer.mesh.rectangles import (
    PackedRectangle,
    PackedRectangles,
    Rectangle,
    pack_rectangles,
    pack_unique_rectangles,
)
from patina3d.structures.rows import gather_rows

if TYPE_CHECKING:
    from patina3d.structures import Meshes

__all__ = ["PackedRectangle", "PackedRectangles", "Rectangle", "pack_rectangles", "pack_unique_rectangles"]


def _clip_barycentric_coordinates(bary: Tensor) -> Tensor:
    """Coordinates clamped at 0 and divided by their sum (1e-5 at least).

    Args:
        bary: (..., 3); a row of -1 is an empty slot.

    Returns:
        (..., 3), empty slots as they were. Differentiable; the gradient of a clamped coordinate is 0.

    Raises:
        ValueError: when the last dimension is not 3.

    Example:
        >>> _clip_barycentric_coordinates(torch.tensor([[-1.0, 1.0, 1.0], [-1.0, -1.0, -1.0]]))
        tensor([[ 0.0000,  0.5000,  0.5000],
                [-1.0000, -1.0000, -1.0000]])
    """
    if bary.dim() == 0 or bary.shape[-1] != 3:
        raise ValueError(f"_clip_barycentric_coordinates: bary must be (..., 3), got {tuple(bary.shape)}")
    w0, w1, w2 = bary.unbind(-1)
    clipped = torch.stack(barycentric_coordinates_clip((w0, w1, w2)), dim=-1)
    return torch.where((bary == -1).all(dim=-1, keepdim=True), -1.0, clipped)


def _interpolate_zbuf(pix_to_face: Tensor, barycentric_coords: Tensor, meshes: "Meshes") -> Tensor:
    """The z of each slot, from that of its face's corners.

    Args:
        pix_to_face: (N, H, W, K) int64 faces of the batch; negative where a slot is empty.
        barycentric_coords: (N, H, W, K, 3).
        meshes: the N meshes, in the space whose z is asked for.

    Returns:
        (N, H, W, K), -1 in empty slots. Differentiable in the weights and the vertices.

    Raises:
        ValueError: when shapes disagree.

    Example:
        >>> from patina3d.structures import Meshes
        >>> mesh = Meshes([torch.tensor([[0.0, 0, 1], [1, 0, 2], [0, 1, 3]])], [torch.tensor([[0, 1, 2]])])
        >>> weights = torch.tensor([0.5, 0.5, 0.0]).expand(1, 1, 2, 1, 3)
        >>> _interpolate_zbuf(torch.tensor([[[[0], [-1]]]]), weights, mesh).flatten()
        tensor([ 1.5000, -1.0000])
    """
    depth = gather_rows(meshes.verts_packed()[:, 2:], meshes.faces_packed())
    zbuf = interpolate_face_attributes(pix_to_face, barycentric_coords, depth)[..., 0]
    return torch.where(pix_to_face < 0, -1.0, zbuf)
