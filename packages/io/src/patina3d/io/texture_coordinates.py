# SPDX-License-Identifier: Apache-2.0
"""Texture coordinates as files have them: measured from the edges of the image, some with v downwards."""

import torch
from torch import Tensor

from patina3d.renderer.mesh.textures import TexturesUV

__all__ = ["coordinates_from_edges", "flipped"]


def flipped(uvs: Tensor) -> Tensor:
    """(T, 2) coordinates with v the other way."""
    return torch.stack([uvs[:, 0], 1 - uvs[:, 1]], dim=1)


def coordinates_from_edges(textures: TexturesUV) -> tuple[Tensor, Tensor]:
    """The coordinates of the only mesh, such that 0 and 1 are the outer edges of its map.

    Where corners are aligned, that is (u (W - 1) + 1/2) / W and (v (H - 1) + 1/2) / H; where not, nothing changes.

    Returns:
        (T, 2) float32 coordinates, v upwards, and (2,) those of corners that have none. Not differentiable.
    """
    uvs = textures.verts_uvs_list()[0].detach().cpu()
    # Without coordinates, corners are at (0, 0).
    uvs = torch.cat([uvs, uvs.new_zeros(1, 2)])
    if textures.align_corners:
        height, width = textures.maps_list()[0].shape[-3:-1]
        size = torch.tensor([width, height], dtype=torch.float64)
        uvs = (uvs.double() * (size - 1) + 0.5) / size
    uvs = uvs.float()
    return uvs[:-1], uvs[-1]
