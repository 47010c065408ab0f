# SPDX-License-Identifier: Apache-2.0
"""Ready-made meshes, and cameras in other conventions."""

from patina3d.utils.camera_conversions import (
    cameras_from_opencv_projection,
    opencv_from_cameras_projection,
    pulsar_from_cameras_projection,
    pulsar_from_opencv_projection,
)
from patina3d.utils.checkerboard import checkerboard
from patina3d.utils.ico_sphere import ico_sphere
from patina3d.utils.shapes import shape
from patina3d.utils.torus import torus

__all__ = [
    "cameras_from_opencv_projection",
    "checkerboard",
    "ico_sphere",
    "opencv_from_cameras_projection",
    "pulsar_from_cameras_projection",
    "pulsar_from_opencv_projection",
    "shape",
    "torus",
]
