# SPDX-License-Identifier: Apache-2.0
"""Cameras, and the transforms between world, view, NDC and screen."""

from patina3d.renderer._camera_transforms import (
    get_ndc_to_screen_transform,
    get_screen_to_ndc_transform,
    get_world_to_view_transform,
)
from patina3d.renderer._cameras_base import CamerasBase, try_get_projection_transform
from patina3d.renderer._deprecated_cameras import (
    OpenGLOrthographicCameras,
    OpenGLPerspectiveCameras,
    SfMOrthographicCameras,
    SfMPerspectiveCameras,
)
from patina3d.renderer._focal_cameras import OrthographicCameras, PerspectiveCameras
from patina3d.renderer._fov_cameras import FoVOrthographicCameras, FoVPerspectiveCameras
from patina3d.renderer._look_at import (
    camera_position_from_spherical_angles,
    look_at_rotation,
    look_at_view_transform,
)

__all__ = [
    "CamerasBase",
    "FoVOrthographicCameras",
    "FoVPerspectiveCameras",
    "OpenGLOrthographicCameras",
    "OpenGLPerspectiveCameras",
    "OrthographicCameras",
    "PerspectiveCameras",
    "SfMOrthographicCameras",
    "SfMPerspectiveCameras",
    "camera_position_from_spherical_angles",
    "get_ndc_to_screen_transform",
    "get_screen_to_ndc_transform",
    "get_world_to_view_transform",
    "look_at_rotation",
    "look_at_view_transform",
    "try_get_projection_transform",
]
