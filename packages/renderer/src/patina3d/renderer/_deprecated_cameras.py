# SPDX-License-Identifier: Apache-2.0
"""Former names of the cameras; each warns and returns the camera of today."""

from __future__ import annotations

import warnings
from typing import Any

from torch import Tensor

from patina3d.common.datatypes import Device
from patina3d.renderer._camera_transforms import _R, _T
from patina3d.renderer._focal_cameras import OrthographicCameras, PerspectiveCameras
from patina3d.renderer._fov_cameras import FoVOrthographicCameras, FoVPerspectiveCameras

__all__ = [
    "OpenGLOrthographicCameras",
    "OpenGLPerspectiveCameras",
    "SfMOrthographicCameras",
    "SfMPerspectiveCameras",
]


def _warn(old: str, new: str) -> None:
    warnings.warn(f"{old} is deprecated: use {new} instead", PendingDeprecationWarning, stacklevel=3)


def OpenGLPerspectiveCameras(
    znear: Any = 1.0,
    zfar: Any = 100.0,
    aspect_ratio: Any = 1.0,
    fov: Any = 60.0,
    degrees: bool = True,
    R: Tensor = _R,
    T: Tensor = _T,
    device: Device = "cpu",
) -> FoVPerspectiveCameras:
    """Return ``FoVPerspectiveCameras`` of these arguments; deprecated (``PendingDeprecationWarning``)."""
    _warn("OpenGLPerspectiveCameras", "FoVPerspectiveCameras")
    return FoVPerspectiveCameras(znear, zfar, aspect_ratio, fov, degrees, R, T, device=device)


def OpenGLOrthographicCameras(
    znear: Any = 1.0,
    zfar: Any = 100.0,
    top: Any = 1.0,
    bottom: Any = -1.0,
    left: Any = -1.0,
    right: Any = 1.0,
    scale_xyz: Any = ((1.0, 1.0, 1.0),),
    R: Tensor = _R,
    T: Tensor = _T,
    device: Device = "cpu",
) -> FoVOrthographicCameras:
    """Return ``FoVOrthographicCameras`` with max_y = top, min_y = bottom, min_x = left, max_x = right; deprecated."""
    _warn("OpenGLOrthographicCameras", "FoVOrthographicCameras")
    return FoVOrthographicCameras(znear, zfar, top, bottom, right, left, scale_xyz, R, T, device=device)


def SfMPerspectiveCameras(
    focal_length: Any = 1.0,
    principal_point: Any = ((0.0, 0.0),),
    R: Tensor = _R,
    T: Tensor = _T,
    device: Device = "cpu",
) -> PerspectiveCameras:
    """Return ``PerspectiveCameras`` of these arguments; deprecated (``PendingDeprecationWarning``)."""
    _warn("SfMPerspectiveCameras", "PerspectiveCameras")
    return PerspectiveCameras(focal_length, principal_point, R, T, device=device)


def SfMOrthographicCameras(
    focal_length: Any = 1.0,
    principal_point: Any = ((0.0, 0.0),),
    R: Tensor = _R,
    T: Tensor = _T,
    device: Device = "cpu",
) -> OrthographicCameras:
    """Return ``OrthographicCameras`` of these arguments; deprecated (``PendingDeprecationWarning``)."""
    _warn("SfMOrthographicCameras", "OrthographicCameras")
    return OrthographicCameras(focal_length, principal_point, R, T, device=device)
