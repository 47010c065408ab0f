# SPDX-License-Identifier: Apache-2.0
"""Cameras given by focal length and principal point, in NDC or in pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from patina3d.common.datatypes import Device
from patina3d.renderer._camera_transforms import _R, _T, ndc_to_screen_scale_and_offset
from patina3d.renderer._cameras_base import CamerasBase
from patina3d.renderer._homogeneous import compose, diagonal_transform, matrix_from_entries
from patina3d.renderer._tensor_properties import (
    common_float_dtype,
    convert_to_tensors_and_broadcast,
    format_rows,
    format_tensor,
)
from patina3d.transforms import Transform3d

__all__ = ["OrthographicCameras", "PerspectiveCameras"]

_FocalLengthType = float | Sequence[Any] | Tensor


class _FocalCameras(CamerasBase):
    """Cameras with focal lengths and a principal point; the subclass says where they stand in the matrix."""

    _FIELDS = ("K", "R", "T", "focal_length", "principal_point", "_in_ndc", "image_size")
    _SHARED_FIELDS = ("_in_ndc",)

    focal_length: Tensor
    principal_point: Tensor
    image_size: Tensor | None
    _in_ndc: bool
    # The row of the matrix (for row vectors) that holds the principal point
    _PRINCIPAL_ROW: int

    def __init__(
        self,
        focal_length: _FocalLengthType = 1.0,
        principal_point: Any = ((0.0, 0.0),),
        R: Tensor = _R,
        T: Tensor = _T,
        K: Tensor | None = None,
        device: Device = "cpu",
        in_ndc: bool = True,
        image_size: Any = None,
    ) -> None:
        dtype = common_float_dtype(focal_length, principal_point, R, T, K)
        super().__init__(
            dtype=dtype,
            device=device,
            focal_length=_focal_pairs(focal_length, dtype, device),
            principal_point=format_rows(principal_point, dtype, device),
            R=R,
            T=T,
            K=K,
            _in_ndc=in_ndc,
            image_size=None if image_size is None else format_rows(image_size, dtype, device),
        )
        if self.image_size is not None and bool((self.image_size < 1).any()):
            raise ValueError(f"{type(self).__name__}: image_size must be at least 1, got {image_size}")

    def get_projection_transform(self, **kwargs: Any) -> Transform3d:
        """Return the transform from view to NDC, or to screen units where ``in_ndc()`` is False, for row vectors.

        Args:
            kwargs: overrides; ``K`` (N, 4, 4), for column vectors, replaces the computed matrix.

        Raises:
            ValueError: ``K`` is not (N, 4, 4).
        """
        K = self._given_projection_matrix(kwargs)
        if K is not None:
            return Transform3d(matrix=K.transpose(1, 2))
        values = kwargs.get("focal_length", self.focal_length), kwargs.get("principal_point", self.principal_point)
        dtype = common_float_dtype(*values)
        focal, principal = convert_to_tensors_and_broadcast(
            _focal_pairs(values[0], dtype, self.device), format_rows(values[1], dtype, self.device), device=self.device
        )
        return Transform3d(matrix=self._matrix(*focal.to(dtype).unbind(1), *principal.to(dtype).unbind(1)))

    def _matrix(self, fx: Tensor, fy: Tensor, px: Tensor, py: Tensor) -> Tensor:
        raise NotImplementedError

    def get_principal_point(self, **kwargs: Any) -> Tensor:
        """Return the principal points (N, 2), read from the projection matrix, so also from a given ``K``."""
        return self.get_projection_transform(**kwargs).get_matrix()[:, self._PRINCIPAL_ROW, :2]

    def get_ndc_camera_transform(self, **kwargs: Any) -> Transform3d:
        """Return the transform from the camera's image plane to NDC: the identity where ``in_ndc()``.

        For a screen camera, with principal point p and s = min(H, W) / 2: ``x_ndc = (x - 2 px + W/2) / s`` and
        ``y_ndc = (y - 2 py + H/2) / s``, because x = fx X/Z + px has +X left, but px counts from the left border to the
        right.

        Raises:
            ValueError: a screen camera without an image size.
        """
        if self.in_ndc():
            return Transform3d(device=self.device)
        scale, offset = ndc_to_screen_scale_and_offset(
            kwargs.get("image_size", self.get_image_size()),
            self.device,
            self._N,
            with_xyflip=False,
            operator=f"{type(self).__name__}.get_ndc_camera_transform",
        )
        flip = pad(2 * self.get_principal_point(**kwargs), (0, 1))
        scale, shift = convert_to_tensors_and_broadcast(scale, offset + flip, device=self.device)
        return diagonal_transform(1 / scale, -shift / scale, self._N)

    def unproject_points(
        self, xy_depth: Tensor, world_coordinates: bool = True, from_ndc: bool = False, **kwargs: Any
    ) -> Tensor:
        """Return the points that project to (x, y) and have the given view-space depth.

        Args:
            xy_depth: (P, 3) or (N, P, 3): x and y as ``transform_points`` returns them, and the view-space depth.
            world_coordinates: return world points, otherwise view points.
            from_ndc: x and y are in NDC, also where the camera is defined in screen units.
            kwargs: overrides of the camera's values.

        Returns:
            (P, 3) for (P, 3) input and one camera, otherwise (N, P, 3). Differentiable.

        Raises:
            ValueError: input that is not of these shapes, or on another device than the camera; ``from_ndc`` for a
                screen camera without an image size.
        """
        self._check_points(xy_depth, "unproject_points", "xy_depth")
        projection = self.get_projection_transform(**kwargs)
        if from_ndc and not self.in_ndc():
            projection = compose(projection, self.get_ndc_camera_transform(**kwargs))
        return self._unproject_at_depth(xy_depth, projection, world_coordinates=world_coordinates, **kwargs)

    def in_ndc(self) -> bool:
        """Whether focal length and principal point are in NDC; otherwise in pixels."""
        return self._in_ndc


def _focal_pairs(focal_length: Any, dtype: torch.dtype, device: Device) -> Tensor:
    """Read a number, (N,), (N, 1) or (N, 2) as (N, 2)."""
    focal = format_tensor(focal_length, dtype, device)
    if focal.dim() == 1:
        focal = focal[:, None]
    if focal.dim() != 2 or focal.shape[1] not in (1, 2):
        raise ValueError(f"focal_length must be a number, (N,), (N, 1) or (N, 2), got {tuple(focal.shape)}")
    return focal.expand(-1, 2)


class PerspectiveCameras(_FocalCameras):
    """Perspective cameras given by focal lengths and a principal point.

    The projection for column vectors is::

        fx   0    px   0
        0    fy   py   0
        0    0    0    1
        0    0    1    0

    so a view point (X, Y, Z) lands at x = fx X/Z + px, y = fy Y/Z + py, z = 1/Z.

    In NDC (``in_ndc=True``) that is the end of it. A screen camera has focal lengths in pixels, and its principal point
    in image axes (+X right, +Y down from the top-left corner): pixels, as ``transform_points_screen`` returns them, are
    x_screen = px - fx X/Z and y_screen = py - fy Y/Z. With s = min(H, W) / 2 it equals the NDC camera of focal length
    f/s and principal point -(p - (W/2, H/2))/s.

    Args:
        focal_length: a number, (N,), (N, 1) or (N, 2) for (fx, fy).
        principal_point: (N, 2) for (px, py).
        R: (N, 3, 3) rotations, ``x_view = x_world R + T``.
        T: (N, 3) translations.
        K: (N, 4, 4) matrices for column vectors that replace the one above.
        device: where the tensors lie.
        in_ndc: whether the camera is defined in NDC, for the whole batch.
        image_size: (N, 2) for (height, width) in pixels; a screen camera needs it for NDC and for the screen.

    One vector serves all cameras. Numbers take the widest dtype of the tensors given, float32 at least. There is no
    near plane: ``get_znear()`` is None.

    Raises:
        ValueError: an image size below 1, or shapes other than these.

    Example:
        >>> camera = PerspectiveCameras(80.0, ((70.0, 40.0),), in_ndc=False, image_size=((100, 160),))
        >>> camera.transform_points_screen(torch.tensor([[0.5, 0.0, 2.0]]))
        tensor([[50.0000, 40.0000,  0.5000]])
    """

    _PRINCIPAL_ROW = 2

    def _matrix(self, fx: Tensor, fy: Tensor, px: Tensor, py: Tensor) -> Tensor:
        return matrix_from_entries(((fx, 0.0, 0.0, 0.0), (0.0, fy, 0.0, 0.0), (px, py, 0.0, 1.0), (0.0, 0.0, 1.0, 0.0)))

    def is_perspective(self) -> bool:
        """Return True."""
        return True


class OrthographicCameras(_FocalCameras):
    """Orthographic cameras given by focal lengths (scales) and a principal point.

    The projection for column vectors is::

        fx   0    0    px
        0    fy   0    py
        0    0    1    0
        0    0    0    1

    so a view point (X, Y, Z) lands at x = fx X + px, y = fy Y + py, z = Z. NDC and screen cameras differ as for
    ``PerspectiveCameras``; pixels of a screen camera are x_screen = px - fx X and y_screen = py - fy Y.

    Args:
        focal_length: a number, (N,), (N, 1) or (N, 2) for (fx, fy).
        principal_point: (N, 2) for (px, py).
        R: (N, 3, 3) rotations, ``x_view = x_world R + T``.
        T: (N, 3) translations.
        K: (N, 4, 4) matrices for column vectors that replace the one above.
        device: where the tensors lie.
        in_ndc: whether the camera is defined in NDC, for the whole batch.
        image_size: (N, 2) for (height, width) in pixels; a screen camera needs it for NDC and for the screen.

    Raises:
        ValueError: an image size below 1, or shapes other than these.

    Example:
        >>> camera = OrthographicCameras(2.0, T=torch.tensor([[0.0, 0.0, 3.0]]))
        >>> camera.transform_points(torch.tensor([[0.25, 0.5, 1.0]]))
        tensor([[0.5000, 1.0000, 4.0000]])
    """

    _PRINCIPAL_ROW = 3

    def _matrix(self, fx: Tensor, fy: Tensor, px: Tensor, py: Tensor) -> Tensor:
        return matrix_from_entries(((fx, 0.0, 0.0, 0.0), (0.0, fy, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (px, py, 0.0, 1.0)))

    def is_perspective(self) -> bool:
        """Return False."""
        return False
