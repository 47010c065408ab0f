# SPDX-License-Identifier: Apache-2.0
"""Cameras given by what they see between a near and a far plane: a field of view, or a box."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from patina3d.common.datatypes import Device
from patina3d.renderer._camera_transforms import _R, _T
from patina3d.renderer._cameras_base import CamerasBase
from patina3d.renderer._homogeneous import apply_transform, compose, matrix_from_entries
from patina3d.renderer._tensor_properties import common_float_dtype, convert_to_tensors_and_broadcast
from patina3d.transforms import Transform3d

__all__ = ["FoVOrthographicCameras", "FoVPerspectiveCameras"]

_BatchFloatType = float | Sequence[float] | Tensor


class _FoVCameras(CamerasBase):
    """Cameras in NDC with a near and a far plane, whose projected depth runs from 0 to 1."""

    # The arguments of compute_projection_matrix
    _PROJECTION: tuple[str, ...] = ()
    compute_projection_matrix: Callable[..., Tensor]

    znear: Tensor
    zfar: Tensor

    def get_projection_transform(self, **kwargs: Any) -> Transform3d:
        """Return the transform from view to NDC, (N, 4, 4), for row vectors.

        Args:
            kwargs: overrides; ``K`` (N, 4, 4), for column vectors, replaces the computed matrix.

        Raises:
            ValueError: ``K`` is not (N, 4, 4).
        """
        K = self._given_projection_matrix(kwargs)
        if K is None:
            K = self.compute_projection_matrix(
                **{name: kwargs.get(name, getattr(self, name)) for name in self._PROJECTION}
            )
        return Transform3d(matrix=K.transpose(1, 2))

    def unproject_points(
        self, xy_depth: Tensor, world_coordinates: bool = True, scaled_depth_input: bool = False, **kwargs: Any
    ) -> Tensor:
        """Return the points that project to (x, y) and have the given depth.

        Args:
            xy_depth: (P, 3) or (N, P, 3): x and y in NDC, and the view-space depth.
            world_coordinates: return world points, otherwise view points.
            scaled_depth_input: the depth is the projected one, in [0, 1], as ``transform_points`` returns it.
            kwargs: overrides of the camera's values; others, such as ``from_ndc``, are ignored.

        Returns:
            (P, 3) for (P, 3) input and one camera, otherwise (N, P, 3). Differentiable. A view-space depth is kept to
            the last digit; a projected one holds few of them far behind the near plane.

        Raises:
            ValueError: input that is not of these shapes, or on another device than the camera.
        """
        self._check_points(xy_depth, "unproject_points", "xy_depth")
        projection = self.get_projection_transform(**kwargs)
        if not scaled_depth_input:
            return self._unproject_at_depth(xy_depth, projection, world_coordinates=world_coordinates, **kwargs)
        if world_coordinates:
            projection = compose(self.get_world_to_view_transform(**kwargs), projection)
        return apply_transform(projection.inverse(), xy_depth)

    def in_ndc(self) -> bool:
        """Return True: these cameras project to NDC."""
        return True


class FoVPerspectiveCameras(_FoVCameras):
    """Perspective cameras given by a vertical field of view.

    With t = tan(fov / 2) and a the aspect ratio, the projection for column vectors is::

        1/(t a)   0       0                       0
        0         1/t     0                       0
        0         0       zfar/(zfar - znear)    -zfar znear/(zfar - znear)
        0         0       1                       0

    so a view point (X, Y, Z) lands at x = X/(t a Z), y = Y/(t Z), z = zfar/(zfar - znear) (1 - znear/Z): 0 at the near
    plane, 1 at the far one.

    Args:
        znear: depth of the near plane.
        zfar: depth of the far plane.
        aspect_ratio: width of a pixel by its height.
        fov: vertical field of view.
        degrees: whether ``fov`` is in degrees, for the whole batch; otherwise radians.
        R: (N, 3, 3) rotations, ``x_view = x_world R + T``.
        T: (N, 3) translations.
        K: (N, 4, 4) matrices for column vectors that replace the one above.
        device: where the tensors lie.

    Each value is one number for all cameras or one for each. Numbers take the widest dtype of the tensors given,
    float32 at least.

    Example:
        >>> camera = FoVPerspectiveCameras(fov=90.0, T=torch.tensor([[0.0, 0.0, 2.0]]))
        >>> camera.transform_points(torch.tensor([[1.0, 0.0, 0.0]]))
        tensor([[0.5000, 0.0000, 0.5051]])
    """

    _FIELDS = ("K", "znear", "zfar", "aspect_ratio", "fov", "R", "T", "degrees")
    _SHARED_FIELDS = ("degrees",)
    _PROJECTION = ("znear", "zfar", "fov", "aspect_ratio", "degrees")

    aspect_ratio: Tensor
    fov: Tensor
    degrees: bool

    def __init__(
        self,
        znear: _BatchFloatType = 1.0,
        zfar: _BatchFloatType = 100.0,
        aspect_ratio: _BatchFloatType = 1.0,
        fov: _BatchFloatType = 60.0,
        degrees: bool = True,
        R: Tensor = _R,
        T: Tensor = _T,
        K: Tensor | None = None,
        device: Device = "cpu",
    ) -> None:
        super().__init__(
            device=device, znear=znear, zfar=zfar, aspect_ratio=aspect_ratio, fov=fov, R=R, T=T, K=K, degrees=degrees
        )

    def compute_projection_matrix(self, znear: Any, zfar: Any, fov: Any, aspect_ratio: Any, degrees: bool) -> Tensor:
        """Return the (N, 4, 4) projection for column vectors (see the class). Differentiable.

        Args:
            znear: depth of the near plane.
            zfar: depth of the far plane.
            fov: vertical field of view.
            aspect_ratio: width of a pixel by its height.
            degrees: whether ``fov`` is in degrees; otherwise radians.
        """
        values = (znear, zfar, fov, aspect_ratio)
        dtype = common_float_dtype(*values)
        near, far, angle, aspect = (
            value.to(dtype) for value in convert_to_tensors_and_broadcast(*values, dtype=dtype, device=self.device)
        )
        focal = 1 / torch.tan(angle * (math.pi / 360 if degrees else 0.5))
        scale = far / (far - near)
        return matrix_from_entries(
            (
                (focal / aspect, 0.0, 0.0, 0.0),
                (0.0, focal, 0.0, 0.0),
                (0.0, 0.0, scale, -scale * near),
                (0.0, 0.0, 1.0, 0.0),
            )
        )

    def is_perspective(self) -> bool:
        """Return True."""
        return True


class FoVOrthographicCameras(_FoVCameras):
    """Orthographic cameras given by the box they see.

    The projection for column vectors, with (sx, sy, sz) = ``scale_xyz``::

        2 sx/(max_x - min_x)   0                      0                    -(max_x + min_x)/(max_x - min_x)
        0                      2 sy/(max_y - min_y)   0                    -(max_y + min_y)/(max_y - min_y)
        0                      0                      sz/(zfar - znear)    -znear/(zfar - znear)
        0                      0                      0                     1

    Args:
        znear: depth of the near plane.
        zfar: depth of the far plane.
        max_y: upper end of the box.
        min_y: lower end.
        max_x: left end (+X is left).
        min_x: right end.
        scale_xyz: (N, 3) scales.
        R: (N, 3, 3) rotations, ``x_view = x_world R + T``.
        T: (N, 3) translations.
        K: (N, 4, 4) matrices for column vectors that replace the one above.
        device: where the tensors lie.

    Each value is one for all cameras or one for each. Numbers take the widest dtype of the tensors given, float32 at
    least.

    Example:
        >>> camera = FoVOrthographicCameras(max_x=2.0, min_x=-2.0)
        >>> camera.transform_points(torch.tensor([[1.0, 1.0, 100.0]]))
        tensor([[0.5000, 1.0000, 1.0000]])
    """

    _FIELDS = ("K", "znear", "zfar", "R", "T", "max_y", "min_y", "max_x", "min_x", "scale_xyz")
    _PROJECTION = ("znear", "zfar", "max_x", "min_x", "max_y", "min_y", "scale_xyz")

    max_y: Tensor
    min_y: Tensor
    max_x: Tensor
    min_x: Tensor
    scale_xyz: Tensor

    def __init__(
        self,
        znear: _BatchFloatType = 1.0,
        zfar: _BatchFloatType = 100.0,
        max_y: _BatchFloatType = 1.0,
        min_y: _BatchFloatType = -1.0,
        max_x: _BatchFloatType = 1.0,
        min_x: _BatchFloatType = -1.0,
        scale_xyz: Any = ((1.0, 1.0, 1.0),),
        R: Tensor = _R,
        T: Tensor = _T,
        K: Tensor | None = None,
        device: Device = "cpu",
    ) -> None:
        super().__init__(
            device=device,
            znear=znear,
            zfar=zfar,
            max_y=max_y,
            min_y=min_y,
            max_x=max_x,
            min_x=min_x,
            scale_xyz=scale_xyz,
            R=R,
            T=T,
            K=K,
        )

    def compute_projection_matrix(
        self, znear: Any, zfar: Any, max_x: Any, min_x: Any, max_y: Any, min_y: Any, scale_xyz: Any
    ) -> Tensor:
        """Return the (N, 4, 4) projection for column vectors (see the class). Differentiable.

        Args:
            znear: depth of the near plane.
            zfar: depth of the far plane.
            max_x: left end of the box.
            min_x: right end.
            max_y: upper end.
            min_y: lower end.
            scale_xyz: (N, 3) scales.
        """
        values = (znear, zfar, max_x, min_x, max_y, min_y, scale_xyz)
        dtype = common_float_dtype(*values)
        near, far, left, right, top, bottom, scale = (
            value.to(dtype) for value in convert_to_tensors_and_broadcast(*values, dtype=dtype, device=self.device)
        )
        width, height, depth = left - right, top - bottom, far - near
        sx, sy, sz = scale.unbind(-1)
        return matrix_from_entries(
            (
                (2 * sx / width, 0.0, 0.0, -(left + right) / width),
                (0.0, 2 * sy / height, 0.0, -(top + bottom) / height),
                (0.0, 0.0, sz / depth, -near / depth),
                (0.0, 0.0, 0.0, 1.0),
            )
        )

    def is_perspective(self) -> bool:
        """Return False."""
        return False
