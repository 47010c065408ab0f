# SPDX-License-Identifier: Apache-2.0
"""The affine maps around a projection: world to view, and between NDC and screen.

Frames (points are row vectors):

- view: +X left, +Y up, +Z forward, the camera at the origin;
- NDC: +X left, +Y up, the shorter image side spans [-1, 1];
- screen: pixels, +X right, +Y down from the top-left corner; the centre of the pixel in row y and column x is
  (x + 1/2, y + 1/2). Without the flip of both axes the origin is still a corner, but +X points left and +Y up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from patina3d.common.datatypes import Device
from patina3d.renderer._homogeneous import affine_transform, diagonal_transform
from patina3d.renderer._tensor_properties import format_rows
from patina3d.transforms import Transform3d

if TYPE_CHECKING:
    from patina3d.renderer._cameras_base import CamerasBase

__all__ = [
    "get_ndc_to_screen_transform",
    "get_screen_to_ndc_transform",
    "get_world_to_view_transform",
    "ndc_to_screen_scale_and_offset",
]

# World to view by default
_R = torch.eye(3)[None]
_T = torch.zeros(1, 3)


def get_world_to_view_transform(R: Tensor = _R, T: Tensor = _T) -> Transform3d:
    """Return the transform ``x_view = x_world R + T`` (row vectors).

    Args:
        R: (N, 3, 3) rotations.
        T: (N, 3) translations.

    Returns:
        Transform3d of batch size N, in the wider dtype of the two, float32 at least. Differentiable in both.

    Raises:
        ValueError: shapes other than (N, 3, 3) and (N, 3).

    Example:
        >>> move = get_world_to_view_transform(T=torch.tensor([[0.0, 0.0, 2.0]]))
        >>> move.transform_points(torch.tensor([[1.0, 0.0, 0.0]]))
        tensor([[1., 0., 2.]])
    """
    if R.dim() != 3 or R.shape[1:] != (3, 3):
        raise ValueError(f"get_world_to_view_transform: R must be (N, 3, 3), got {tuple(R.shape)}")
    if T.dim() != 2 or T.shape[1] != 3:
        raise ValueError(f"get_world_to_view_transform: T must be (N, 3), got {tuple(T.shape)}")
    if R.shape[0] != T.shape[0]:
        raise ValueError(
            f"get_world_to_view_transform: R and T must have one batch size, got {R.shape[0]} and {T.shape[0]}"
        )
    return affine_transform(R, T)


def ndc_to_screen_scale_and_offset(
    image_size: Any, device: Device, batch_size: int, *, with_xyflip: bool, operator: str
) -> tuple[Tensor, Tensor]:
    """Return (B, 3) scale and (B, 3) offset of ``x_screen = x_ndc * scale + offset``; z is unchanged.

    Raises:
        ValueError: ``image_size`` is None, or not B pairs (height, width) with B = 1 or N, or any B for N = 1.
    """
    if image_size is None:
        raise ValueError(f"{operator}: image_size=(height, width) is needed, got None")
    size = format_rows(image_size, device=device)
    if size.dim() != 2 or size.shape[1] != 2:
        raise ValueError(f"{operator}: image_size must be (height, width) or (N, 2), got shape {tuple(size.shape)}")
    if size.shape[0] not in (1, batch_size) and batch_size != 1:
        raise ValueError(f"{operator}: image_size must be given once or {batch_size} times, got {size.shape[0]}")
    sign = -1.0 if with_xyflip else 1.0
    half_xy = size.flip(1) * (0.5 * sign)
    shorter = size.amin(dim=1, keepdim=True) * (0.5 * sign)
    return pad(shorter.expand(-1, 2), (0, 1), value=1.0), pad(-half_xy, (0, 1))


def get_ndc_to_screen_transform(cameras: CamerasBase, with_xyflip: bool = False, image_size: Any = None) -> Transform3d:
    """Return the transform from NDC to screen.

    With s = min(H, W) / 2: ``x_screen = s x_ndc - W/2``, ``y_screen = s y_ndc - H/2``; the flip negates both, which
    gives image coordinates: +X right, +Y down from the top-left corner. z is unchanged.

    Args:
        cameras: gives the batch size N and the device.
        with_xyflip: negate x and y.
        image_size: (height, width) in pixels for all cameras, or (N, 2).

    Returns:
        Transform3d of batch size N.

    Raises:
        ValueError: no image size, or not of these shapes.

    Example:
        >>> from patina3d.renderer.cameras import PerspectiveCameras
        >>> to_screen = get_ndc_to_screen_transform(PerspectiveCameras(), with_xyflip=True, image_size=(100, 200))
        >>> to_screen.transform_points(torch.tensor([[2.0, 1.0, 5.0]]))
        tensor([[0., 0., 5.]])
    """
    scale, offset = ndc_to_screen_scale_and_offset(
        image_size, cameras.device, len(cameras), with_xyflip=with_xyflip, operator="get_ndc_to_screen_transform"
    )
    return diagonal_transform(scale, offset, len(cameras))


def get_screen_to_ndc_transform(cameras: CamerasBase, with_xyflip: bool = False, image_size: Any = None) -> Transform3d:
    """Return the transform from screen to NDC: the inverse of ``get_ndc_to_screen_transform``.

    Args:
        cameras: gives the batch size N and the device.
        with_xyflip: negate x and y, as on the way there.
        image_size: (height, width) in pixels for all cameras, or (N, 2).

    Returns:
        Transform3d of batch size N.

    Raises:
        ValueError: no image size, or not of these shapes.

    Example:
        >>> from patina3d.renderer.cameras import PerspectiveCameras
        >>> to_ndc = get_screen_to_ndc_transform(PerspectiveCameras(), with_xyflip=True, image_size=(100, 200))
        >>> to_ndc.transform_points(torch.tensor([[0.0, 0.0, 5.0]]))
        tensor([[2., 1., 5.]])
    """
    scale, offset = ndc_to_screen_scale_and_offset(
        image_size, cameras.device, len(cameras), with_xyflip=with_xyflip, operator="get_screen_to_ndc_transform"
    )
    return diagonal_transform(1 / scale, -offset / scale, len(cameras))
