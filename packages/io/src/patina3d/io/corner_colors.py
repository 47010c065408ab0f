# SPDX-License-Identifier: Apache-2.0
"""Colours that differ between the faces around a vertex."""

import math

import torch
from torch import Tensor

from patina3d.renderer.mesh.textures import TexturesUV

__all__ = ["map_of_corner_colors"]


def map_of_corner_colors(colors: Tensor) -> TexturesUV:
    """A map that shows on each face the colours of its corners, interpolated linearly.

    Each face has four texels of its own, c0 and c1 over c2 and c1 + c2 - c0. Between such four, bilinear sampling is
    linear: what is sampled is exact, but for rounding.

    Args:
        colors: (F, 3, C) of the corners of each face.

    Returns:
        Textures of one mesh, with coordinates from the edges of the map. If all colours are the same, the map has one
        texel.

    Example:
        >>> from patina3d.io.corner_colors import map_of_corner_colors
        >>> textures = map_of_corner_colors(torch.eye(3)[None])
        >>> textures.maps_padded().shape, torch.allclose(textures.faces_verts_textures_packed(), torch.eye(3))
        (torch.Size([1, 2, 2, 3]), True)
    """
    num_faces, _, channels = colors.shape
    if num_faces == 0 or bool((colors == colors[0, 0]).all()):
        image = colors[:1, :1] if num_faces else colors.new_ones(1, 1, channels)
        faces = torch.zeros((num_faces, 3), dtype=torch.int64, device=colors.device)
        return TexturesUV([image], [faces], [colors.new_zeros(1, 2)], align_corners=False)
    first, second, third = colors.unbind(1)
    texels = torch.stack([first, second, third, second + third - first], dim=1).view(-1, 2, 2, channels)
    columns = math.ceil(math.sqrt(num_faces))
    rows = math.ceil(num_faces / columns)
    texels = torch.cat([texels, texels.new_zeros(rows * columns - num_faces, 2, 2, channels)])
    image = texels.view(rows, columns, 2, 2, channels).transpose(1, 2).reshape(2 * rows, 2 * columns, channels)
    face = torch.arange(num_faces, device=colors.device)
    column, row = 2 * (face % columns), 2 * (face // columns)
    places = [torch.stack([column + right, row + down], dim=1) + 0.5 for right, down in ((0, 0), (1, 0), (0, 1))]
    size = torch.tensor([2 * columns, 2 * rows], dtype=torch.float64, device=colors.device)
    corners = (torch.stack(places, dim=1) / size).to(colors.dtype)
    uvs = torch.stack([corners[..., 0], 1 - corners[..., 1]], dim=-1).view(-1, 2)
    faces = torch.arange(3 * num_faces, device=colors.device).view(-1, 3)
    return TexturesUV([image], [faces], [uvs], align_corners=False)
