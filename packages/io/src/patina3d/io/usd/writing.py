# SPDX-License-Identifier: Apache-2.0
"""One mesh as a USD stage."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from patina3d.io.png import encode_png
from patina3d.io.texture_coordinates import coordinates_from_edges
from patina3d.io.usd.library import pxr
from patina3d.io.writable_textures import faces_colors, single_map, verts_colors, warn_of_lost_textures
from patina3d.renderer.mesh.textures import TexturesUV
from patina3d.structures import Meshes

__all__ = ["stage_of"]

_CHANNELS = (3,)


def stage_of(mesh: Meshes, image_name: str, *, up_axis: str, meters_per_unit: float) -> tuple[Any, bytes | None]:
    """A stage with one mesh prim, and the PNG file that it refers to as ``image_name``, if any."""
    usd, geom, vt = pxr("Usd"), pxr("UsdGeom"), pxr("Vt")
    stage = usd.Stage.CreateInMemory()
    geom.SetStageUpAxis(stage, up_axis)
    geom.SetStageMetersPerUnit(stage, meters_per_unit)
    prim = geom.Mesh.Define(stage, "/mesh")
    stage.SetDefaultPrim(prim.GetPrim())
    verts, faces = _numbers(mesh.verts_packed(), torch.float32), _numbers(mesh.faces_packed(), torch.int32)
    points = vt.Vec3fArray.FromNumpy(verts)
    prim.CreatePointsAttr(points)
    prim.CreateFaceVertexCountsAttr(vt.IntArray.FromNumpy(np.full(len(faces), 3, np.int32)))
    prim.CreateFaceVertexIndicesAttr(vt.IntArray.FromNumpy(faces.reshape(-1)))
    prim.CreateSubdivisionSchemeAttr("none")
    if len(verts):
        prim.CreateExtentAttr(geom.PointBased.ComputeExtent(points))
    given = mesh._given_normals()
    if given is not None:
        prim.CreateNormalsAttr(vt.Vec3fArray.FromNumpy(_numbers(given.as_packed(), torch.float32)))
        prim.SetNormalsInterpolation(geom.Tokens.vertex)
    textures = mesh.textures
    of_verts, of_faces = verts_colors(textures, _CHANNELS), faces_colors(textures, _CHANNELS)
    single = single_map("MeshUsdFormat.save", textures)
    if single is not None:
        return stage, _write_map(stage, prim, single, image_name)
    if of_verts is not None:
        _write_colors(prim, of_verts, geom.Tokens.vertex)
    elif of_faces is not None:
        _write_colors(prim, of_faces, geom.Tokens.uniform)
    elif textures is not None:
        warn_of_lost_textures("MeshUsdFormat.save", textures, "USD", stacklevel=4)
    return stage, None


def _write_colors(prim: Any, colors: Tensor, interpolation: Any) -> None:
    values = pxr("Vt").Vec3fArray.FromNumpy(_numbers(colors, torch.float32))
    prim.CreateDisplayColorPrimvar(interpolation).Set(values)


def _write_map(stage: Any, prim: Any, textures: TexturesUV, image_name: str) -> bytes:
    """Texture coordinates, and a material with the map; returns the PNG file."""
    geom, sdf, shade, vt = pxr("UsdGeom"), pxr("Sdf"), pxr("UsdShade"), pxr("Vt")
    given, missing = coordinates_from_edges(textures)
    uvs = given.numpy()
    corners = _numbers(textures.faces_uvs_list()[0], torch.int32).reshape(-1)
    if len(corners) and corners.min() < 0:
        corners = np.where(corners < 0, len(uvs), corners).astype(np.int32)
        uvs = np.concatenate([uvs, missing[None].numpy()])
    st = geom.PrimvarsAPI(prim).CreatePrimvar("st", sdf.ValueTypeNames.TexCoord2fArray, geom.Tokens.faceVarying)
    st.Set(vt.Vec2fArray.FromNumpy(uvs))
    st.SetIndices(vt.IntArray.FromNumpy(corners))

    def shader(name: str, kind: str) -> Any:
        made = shade.Shader.Define(stage, f"/mesh/material/{name}")
        made.CreateIdAttr(kind)
        return made

    types = sdf.ValueTypeNames
    material = shade.Material.Define(stage, "/mesh/material")
    surface, texture = shader("surface", "UsdPreviewSurface"), shader("map", "UsdUVTexture")
    reader = shader("coordinates", "UsdPrimvarReader_float2")
    reader.CreateInput("varname", types.String).Set("st")
    texture.CreateInput("file", types.Asset).Set(image_name)
    texture.CreateInput("st", types.Float2).ConnectToSource(reader.ConnectableAPI(), "result")
    wrap = "mirror" if textures.padding_mode == "reflection" else "clamp"
    for key in ("wrapS", "wrapT"):
        texture.CreateInput(key, types.Token).Set(wrap)
    texture.CreateOutput("rgb", types.Float3)
    surface.CreateInput("diffuseColor", types.Color3f).ConnectToSource(texture.ConnectableAPI(), "rgb")
    material.CreateSurfaceOutput().ConnectToSource(surface.ConnectableAPI(), "surface")
    shade.MaterialBindingAPI.Apply(prim.GetPrim()).Bind(material)
    return encode_png(textures.maps_list()[0])


def _numbers(values: Tensor, dtype: torch.dtype) -> Any:
    return values.detach().to(device="cpu", dtype=dtype).contiguous().numpy()
