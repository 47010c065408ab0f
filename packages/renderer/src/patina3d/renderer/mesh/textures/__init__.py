# SPDX-License-Identifier: Apache-2.0
"""What the surface of a mesh looks like."""

from patina3d.renderer.mesh.textures.atlas import TexturesAtlas
from patina3d.renderer.mesh.textures.base import TexturesBase
from patina3d.renderer.mesh.textures.deprecated import Textures
from patina3d.renderer.mesh.textures.uv import TexturesUV
from patina3d.renderer.mesh.textures.vertex import TexturesVertex
from patina3d.structures.utils import list_to_padded

__all__ = ["Textures", "TexturesAtlas", "TexturesBase", "TexturesUV", "TexturesVertex"]

# PyTorch3D's name, which programs import.
_list_to_padded_wrapper = list_to_padded
