# SPDX-License-Identifier: Apache-2.0
"""What the surface of a mesh looks like."""

from patina3d.renderer.mesh.textures.base import TexturesBase
from patina3d.renderer.mesh.textures.vertex import TexturesVertex

__all__ = ["TexturesBase", "TexturesVertex"]
