# SPDX-License-Identifier: Apache-2.0
"""From meshes to pixels."""

from patina3d.renderer.mesh.clip import (
    ClipFrustum,
    ClippedFaces,
    clip_faces,
    convert_clipped_rasterization_to_original_faces,
)
from patina3d.renderer.mesh.rasterize_meshes import rasterize_meshes
from patina3d.renderer.mesh.rasterizer import Fragments, MeshRasterizer, RasterizationSettings
from patina3d.renderer.mesh.renderer import MeshRenderer, MeshRendererWithFragments
from patina3d.renderer.mesh.shader import (
    HardDepthShader,
    HardFlatShader,
    HardGouraudShader,
    HardPhongShader,
    SoftDepthShader,
    SoftGouraudShader,
    SoftPhongShader,
    SoftSilhouetteShader,
    TexturedSoftPhongShader,
)
from patina3d.renderer.mesh.shading import flat_shading, gouraud_shading, phong_shading
from patina3d.renderer.mesh.textures import Textures, TexturesAtlas, TexturesBase, TexturesUV, TexturesVertex

__all__ = [
    "ClipFrustum",
    "ClippedFaces",
    "Fragments",
    "HardDepthShader",
    "HardFlatShader",
    "HardGouraudShader",
    "HardPhongShader",
    "MeshRasterizer",
    "MeshRenderer",
    "MeshRendererWithFragments",
    "RasterizationSettings",
    "SoftDepthShader",
    "SoftGouraudShader",
    "SoftPhongShader",
    "SoftSilhouetteShader",
    "TexturedSoftPhongShader",
    "Textures",
    "TexturesAtlas",
    "TexturesBase",
    "TexturesUV",
    "TexturesVertex",
    "clip_faces",
    "convert_clipped_rasterization_to_original_faces",
    "flat_shading",
    "gouraud_shading",
    "phong_shading",
    "rasterize_meshes",
]
