# SPDX-License-Identifier: Apache-2.0
"""The images that texture coordinates refer to."""

from typing import NamedTuple

import torch
from torch import Tensor

from patina3d.renderer.mesh.textures.rows import MeshRows
from patina3d.structures.utils import list_to_padded

__all__ = ["MapImages", "TexelTable"]


class TexelTable(NamedTuple):
    """All texels of all maps in one tensor, and where each map stands in it.

    Attributes:
        texels: (T, C), the maps one after the other, each row by row from the top.
        first_texel: (P,) int64, for each of P maps.
        height: (P,) int64.
        width: (P,) int64.
        first_map: (N,) int64, the first map of each element of the batch.
    """

    texels: Tensor
    first_texel: Tensor
    height: Tensor
    width: Tensor
    first_map: Tensor


class MapImages(MeshRows):
    """One image (H_n, W_n, C), or a stack of equally large ones (M_n, H_n, W_n, C), for each element of a batch.

    Images of different sizes keep their sizes.
    """

    _FIRST_SHARED_SIZE = -1

    def resized_padded(self, *, align_corners: bool) -> Tensor:
        """(N, [M,] H, W, C): what was given, or copies resized bilinearly to the greatest height and width.

        Stacks of fewer than M images are followed by zeros.
        """
        if isinstance(self.values, Tensor):
            return self.values
        if not self.values:
            return torch.zeros((0,) * (self._row_dims + 1))
        size = [max(image.shape[axis] for image in self.values) for axis in (-3, -2)]
        return list_to_padded([_resized(image, size, align_corners=align_corners) for image in self.values])

    def table(self) -> TexelTable:
        """The texels of all maps; an image that several elements share (the same tensor) stands there once."""
        if isinstance(self.values, Tensor):
            stacks = self.values if self._row_dims == 4 else self.values.unsqueeze(1)
            num, depth, height, width, _ = stacks.shape
            first_map = torch.arange(num, device=self.device) * depth
            if num > 1 and stacks.stride(0) == 0:  # one stack, expanded
                stacks, first_map, num = stacks[:1], torch.zeros_like(first_map), 1
            per_map = torch.arange(num * depth, device=self.device)
            return TexelTable(
                stacks.flatten(0, 3),
                per_map * (height * width),
                torch.full_like(per_map, height),
                torch.full_like(per_map, width),
                first_map,
            )
        first_texel, height, width, first_map = [], [], [], []
        first_map_of: dict[int, int] = {}
        distinct = []
        total = 0
        for image in self.values:
            if id(image) not in first_map_of:
                first_map_of[id(image)] = len(first_texel)
                rows, columns, channels = image.shape[-3:]
                depth = image.shape[0] if self._row_dims == 4 else 1
                first_texel += [total + m * rows * columns for m in range(depth)]
                height += [rows] * depth
                width += [columns] * depth
                total += depth * rows * columns
                distinct.append(image.reshape(depth * rows * columns, channels))
            first_map.append(first_map_of[id(image)])
        sizes = [
            torch.tensor(numbers, dtype=torch.int64, device=self.device)
            for numbers in (first_texel, height, width, first_map)
        ]
        texels = distinct[0] if len(distinct) == 1 else torch.cat(distinct) if distinct else torch.zeros(0, 0)
        return TexelTable(texels, *sizes)


def _resized(image: Tensor, size: list[int], *, align_corners: bool) -> Tensor:
    if list(image.shape[-3:-1]) == size:
        return image
    stack = image if image.dim() == 4 else image.unsqueeze(0)
    resized = torch.nn.functional.interpolate(
        stack.permute(0, 3, 1, 2), size=size, mode="bilinear", align_corners=align_corners
    ).permute(0, 2, 3, 1)
    return resized if image.dim() == 4 else resized[0]
