# SPDX-License-Identifier: Apache-2.0
"""Ready-made meshes."""

from patina3d.utils.ico_sphere import ico_sphere
from patina3d.utils.shapes import shape
from patina3d.utils.torus import torus

__all__ = ["ico_sphere", "shape", "torus"]
