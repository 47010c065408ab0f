# SPDX-License-Identifier: Apache-2.0
"""For programs written for PyTorch3D: its deprecated names, and `install` for those that shall stay as they are.

Renames alone: nothing here computes.
"""

from patina3d.compat.finder import install
from patina3d.renderer import (
    OpenGLOrthographicCameras,
    OpenGLPerspectiveCameras,
    SfMOrthographicCameras,
    SfMPerspectiveCameras,
    TexturedSoftPhongShader,
    Textures,
)
from patina3d.transforms import so3_exponential_map

__all__ = [
    "OpenGLOrthographicCameras",
    "OpenGLPerspectiveCameras",
    "SfMOrthographicCameras",
    "SfMPerspectiveCameras",
    "TexturedSoftPhongShader",
    "Textures",
    "install",
    "so3_exponential_map",
]
