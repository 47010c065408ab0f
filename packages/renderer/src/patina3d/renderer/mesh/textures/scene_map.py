# SPDX-License-Identifier: Apache-2.0
"""The maps of many meshes in one map."""

from collections.abc import Sequence

import torch
from torch import Tensor

from patina3d.renderer.mesh.rectangles import Rectangle, pack_unique_rectangles

__all__ = ["maps_in_one"]


def maps_in_one(
    maps: Sequence[Tensor], uvs: Sequence[Tensor], *, align_corners: bool, with_edges: bool
) -> tuple[Tensor, list[Tensor]]:
    r"""Lay images side by side in one, and move texture coordinates along.

    With e = 1 for aligned corners, else 0, an image of a rows and b columns whose rows begin at x and columns at y of a
    map of :math:`H_t` rows and :math:`W_t` columns has

    .. math::
        v' = \frac{v (a - e) + H_t - a - x - (1 - e)}{H_t - e}, \qquad u' = \frac{u (b - e) + y + (1 - e)}{W_t - e}

    where x and y count without the border of one texel that images without aligned corners have. A transposed image
    first takes :math:`(u, v) \to (1 - v, 1 - u)`.

    Args:
        maps: at least one image (H_n, W_n, C). The same tensor given twice gets one place.
        uvs: as many tensors (T_n, 2).
        align_corners: whether texture coordinates 0 and 1 are centres of texels, or edges.
        with_edges: whether the border repeats the texels next to it; else it is 0.

    Returns:
        The map (H_t, W_t, C), 0 where no image is, and the coordinates in it. Differentiable in both inputs.

    Example:
        >>> images = [torch.ones(2, 3, 1), 2 * torch.ones(2, 3, 1)]
        >>> image, (first, second) = maps_in_one(
        ...     images, [torch.zeros(1, 2), torch.zeros(1, 2)], align_corners=True, with_edges=True
        ... )
        >>> sorted(image.shape[:2]), sorted(image.unique().tolist())
        ([3, 4], [1.0, 2.0])
    """
    border = 0 if align_corners else 1
    outer = [(image.shape[0] + 2 * border, image.shape[1] + 2 * border) for image in maps]
    packed = pack_unique_rectangles([Rectangle(*size, id(image)) for size, image in zip(outer, maps, strict=True)])
    rows, columns = packed.total_size
    whole = maps[0].new_zeros(rows, columns, maps[0].shape[-1])
    pieces, moved = [], []
    for image, coordinates, place in zip(maps, uvs, packed.locations, strict=True):
        if place.flipped:
            image = image.transpose(0, 1)
            coordinates = 1 - coordinates.flip(-1)
        a, b, _ = image.shape
        if place.is_first:
            pieces.append((_with_border(image, border, with_edges=with_edges), place.x, place.y))
        up = coordinates[:, 1] * (a - 1 + border) + rows - a - place.x - border
        right = coordinates[:, 0] * (b - 1 + border) + place.y + border
        size = coordinates.new_tensor([max(columns - 1 + border, 1), max(rows - 1 + border, 1)])
        moved.append(torch.stack([right, up], dim=-1) / size)
    for piece, x, y in pieces:
        whole[x : x + piece.shape[0], y : y + piece.shape[1]] = piece
    return whole, moved


def _with_border(image: Tensor, border: int, *, with_edges: bool) -> Tensor:
    if border == 0:
        return image
    channels_first = image.permute(2, 0, 1)[None]
    mode = "replicate" if with_edges else "constant"
    return torch.nn.functional.pad(channels_first, (border,) * 4, mode=mode)[0].permute(1, 2, 0)
