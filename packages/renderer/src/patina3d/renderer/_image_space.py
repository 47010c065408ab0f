# SPDX-License-Identifier: Apache-2.0
"""Image sizes, and sampling of images at NDC positions."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

__all__ = ["ndc_grid_sample", "ndc_to_grid_sample_coords", "parse_image_size"]


def parse_image_size(image_size: Sequence[int] | int) -> tuple[int, int]:
    """Read an image size as (height, width) in pixels.

    Args:
        image_size: one number for a square image, or a list or tuple of two.

    Raises:
        ValueError: not one or two positive integers.

    Example:
        >>> parse_image_size(64), parse_image_size([48, 64])
        ((64, 64), (48, 64))
    """
    pair = image_size if isinstance(image_size, Sequence) else (image_size, image_size)
    try:
        size = tuple(operator.index(n) for n in pair)
    except TypeError:
        size = ()
    if len(size) != 2 or min(size) <= 0:
        raise ValueError(f"parse_image_size: image_size must be one or two positive integers, got {image_size!r}")
    return size[0], size[1]


def ndc_to_grid_sample_coords(xy_ndc: Tensor, image_size_hw: Sequence[int]) -> Tensor:
    """Turn NDC positions into the coordinates that ``torch.nn.functional.grid_sample`` reads.

    NDC has +X left and +Y up, and the shorter image side spans [-1, 1]; ``grid_sample`` has +x right and +y down, and
    either side spans [-1, 1]. So ``(x, y) -> (-x m / W, -y m / H)`` with m = min(H, W).

    Args:
        xy_ndc: (..., 2) positions.
        image_size_hw: (H, W), two positive numbers.

    Returns:
        (..., 2) tensor; differentiable.

    Raises:
        ValueError: sizes that are not two positive numbers, or positions that do not end in 2.

    Example:
        >>> ndc_to_grid_sample_coords(torch.tensor([1.0, 0.5]), (3, 6))
        tensor([-0.5000, -0.5000])
    """
    if len(image_size_hw) != 2 or not all(size > 0 for size in image_size_hw):
        raise ValueError(
            f"ndc_to_grid_sample_coords: image_size_hw must be two positive numbers, got {tuple(image_size_hw)}"
        )
    if xy_ndc.dim() == 0 or xy_ndc.shape[-1] != 2:
        raise ValueError(f"ndc_to_grid_sample_coords: xy_ndc must be (..., 2), got {tuple(xy_ndc.shape)}")
    height, width = image_size_hw
    shorter = min(height, width)
    x, y = xy_ndc.unbind(-1)
    return torch.stack((x * (-shorter / width), y * (-shorter / height)), dim=-1)


def ndc_grid_sample(
    input: Tensor, grid_ndc: Tensor, *, align_corners: bool = False, **grid_sample_kwargs: Any
) -> Tensor:
    """Sample a batch of images at NDC positions.

    With ``align_corners=False`` the NDC position of a pixel centre returns exactly that pixel.

    Args:
        input: (B, C, H, W) images.
        grid_ndc: (B, ..., 2) positions in the NDC frame of an H x W image: +X left, +Y up, the shorter side spans
            [-1, 1].
        align_corners: as for ``torch.nn.functional.grid_sample``.
        grid_sample_kwargs: its further keywords (``mode``, ``padding_mode``).

    Returns:
        (B, C, ...) tensor of the wider of the two dtypes. Differentiable in both tensors.

    Raises:
        ValueError: batch sizes that differ, images that are not 4-d, positions that do not end in 2.

    Example:
        >>> image = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
        >>> ndc_grid_sample(image, torch.tensor([[[-0.5, 0.5], [0.0, 0.0]]]))
        tensor([[[2.0000, 2.5000]]])
    """
    if input.dim() != 4:
        raise ValueError(f"ndc_grid_sample: input must be (B, C, H, W), got {tuple(input.shape)}")
    if grid_ndc.dim() < 2 or grid_ndc.shape[-1] != 2:
        raise ValueError(f"ndc_grid_sample: grid_ndc must be (B, ..., 2), got {tuple(grid_ndc.shape)}")
    if input.shape[0] != grid_ndc.shape[0]:
        raise ValueError(
            f"ndc_grid_sample: input and grid_ndc must have one batch size, got {input.shape[0]} and "
            f"{grid_ndc.shape[0]}"
        )
    batch, *spatial, _ = grid_ndc.shape
    dtype = torch.promote_types(input.dtype, grid_ndc.dtype)
    grid = ndc_to_grid_sample_coords(grid_ndc.reshape(batch, prod(spatial), 1, 2), input.shape[2:])
    sampled = torch.nn.functional.grid_sample(
        input.to(dtype), grid.to(dtype), align_corners=align_corners, **grid_sample_kwargs
    )
    return sampled.reshape(batch, input.shape[1], *spatial)
