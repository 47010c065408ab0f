# SPDX-License-Identifier: Apache-2.0
"""Meshes with textures of several kinds, given one kind, so that they can be joined."""

import copy
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from patina3d.io.corner_colors import map_of_corner_colors
from patina3d.renderer.mesh.textures import TexturesAtlas, TexturesBase, TexturesUV, TexturesVertex
from patina3d.structures import Meshes

__all__ = ["with_textures_of_one_kind"]


def with_textures_of_one_kind(meshes: Sequence[Meshes]) -> list[Meshes]:
    """Batches of one mesh whose textures are all of one class (``TexturesVertex``: of as many channels), or all None.

    No colour changes: a mesh without textures is white, a map of one texel can be a colour of each vertex, and colours
    of vertices, or of faces (an atlas of one cell), can be a map in which each face has texels of its own. Only an
    alpha channel is lost where there are maps.

    Warns:
        UserWarning: some maps are sampled to the nearest texel and others bilinearly; then all are bilinearly.
    """
    textures = [mesh.textures for mesh in meshes]
    if all(texture is None for texture in textures):
        return list(meshes)
    if all(isinstance(texture, TexturesAtlas) for texture in textures):
        return list(meshes)
    is_map = [isinstance(texture, TexturesUV) for texture in textures]
    if all(is_map) or not all(texture is None or _is_of_vertices(texture) for texture in textures):
        maps = _sampled_alike([_as_map(mesh) for mesh in meshes])
        return [_dressed(mesh, texture) for mesh, texture in zip(meshes, maps, strict=True)]
    colors = [_verts_colors(mesh) for mesh in meshes]
    channels = max(color.shape[1] for color in colors)
    padded = [torch.nn.functional.pad(color, (0, channels - color.shape[1]), value=1.0) for color in colors]
    return [_dressed(mesh, TexturesVertex([color])) for mesh, color in zip(meshes, padded, strict=True)]


def _is_of_vertices(texture: TexturesBase) -> bool:
    """Whether colours of vertices can show the same."""
    if isinstance(texture, TexturesUV):
        return texture.maps_list()[0].shape[:2] == (1, 1)
    return isinstance(texture, TexturesVertex)


def _dressed(mesh: Meshes, textures: TexturesBase) -> Meshes:
    mesh = copy.copy(mesh)
    mesh.textures = textures
    return mesh


def _verts_colors(mesh: Meshes) -> Tensor:
    """(V, C): the colours of vertices, all one where there is a map of one texel, or white."""
    textures, verts = mesh.textures, mesh.verts_packed()
    if isinstance(textures, TexturesVertex):
        return textures.verts_features_packed()
    color = verts.new_ones(1, 3) if textures is None else textures.maps_list()[0].reshape(1, 3)
    return color.expand(len(verts), 3)


def _as_map(mesh: Meshes) -> TexturesUV:
    textures, faces = mesh.textures, mesh.faces_packed()
    if isinstance(textures, TexturesUV):
        return textures
    if isinstance(textures, TexturesAtlas):
        return map_of_corner_colors(textures.atlas_packed().reshape(len(faces), 1, -1)[..., :3].expand(-1, 3, -1))
    return map_of_corner_colors(_verts_colors(mesh)[:, :3][faces])


def _sampled_alike(maps: Sequence[TexturesUV]) -> Sequence[TexturesUV]:
    """Maps with one mode of sampling; to a map of one texel all are the same."""
    modes = {each.sampling_mode for each in maps if each.maps_list()[0].shape[:2] != (1, 1)}
    if len(modes) > 1:
        warnings.warn(
            "IO.load_mesh: some images of the file are to be sampled to the nearest texel and others bilinearly: as "
            "one mesh, all are bilinearly",
            UserWarning,
            stacklevel=4,
        )
    mode = modes.pop() if len(modes) == 1 else "bilinear"
    return [each if each.sampling_mode == mode else _with_mode(each, mode) for each in maps]


def _with_mode(textures: TexturesUV, mode: str) -> TexturesUV:
    textures = copy.copy(textures)
    textures.sampling_mode = mode
    return textures
