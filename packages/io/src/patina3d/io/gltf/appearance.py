# SPDX-License-Identifier: Apache-2.0
"""The base colour of a primitive: vertex colours, or a map with texture coordinates."""

import math
import warnings

import numpy as np
import torch
from torch import Tensor

from patina3d.io.gltf.accessors import read_floats
from patina3d.io.gltf.container import Container
from patina3d.io.gltf.document import Entry
from patina3d.io.images import decode_image
from patina3d.io.texture_coordinates import flipped
from patina3d.io.wrapping import Layouts
from patina3d.renderer.mesh.textures import TexturesBase, TexturesUV, TexturesVertex

__all__ = ["Appearances"]

_WHITE = (1.0, 1.0, 1.0, 1.0)
_REPEAT = 10497
_NEAREST = 9728
_WRAP_MODES = {_REPEAT: "repeat", 33071: "clamp", 33648: "mirror"}


class Appearances:
    """The textures of the primitives of one document; images that several use are decoded once.

    Args:
        container: the document.
    """

    def __init__(self, container: Container) -> None:
        self._container = container
        self._maps: dict[tuple[int, tuple[float, ...]], Tensor] = {}
        self._layouts = Layouts()

    def of(self, primitive: Entry, attributes: Entry, faces: Tensor, num_verts: int) -> TexturesBase | None:
        """The textures of a primitive; None where the document says nothing about its colour.

        Args:
            primitive: of a mesh.
            attributes: its attributes.
            faces: (F, 3) int64.
            num_verts: number of vertices.
        """
        material = self._material(primitive)
        shading = None if material is None else material.entry("pbrMetallicRoughness")
        factor = _WHITE if shading is None else tuple(shading.numbers("baseColorFactor", _WHITE))
        info = None if shading is None else shading.entry("baseColorTexture")
        placed = self._placed(info, attributes, num_verts)
        if "COLOR_0" in attributes:
            colors = read_floats(self._container, attributes, "COLOR_0", (3, 4))
            _check_length(attributes, "COLOR_0", len(colors), num_verts)
            colors = colors * np.array(factor[: colors.shape[1]], np.float32)
            if placed is None or info is None:
                return TexturesVertex([torch.from_numpy(colors)])
            if not len(colors) or (colors != colors[0]).any():
                warnings.warn(
                    f"load_meshes: {self._container.source}: {primitive.path} has both vertex colours and an image: "
                    "the image is dropped",
                    UserWarning,
                    stacklevel=2,
                )
                return TexturesVertex([torch.from_numpy(colors)])
            factor = (*colors[0, :3].tolist(), 1.0)
        if placed is not None and info is not None:
            uvs, faces_uvs = placed, faces
            image = self._image(info, factor)
            if image.shape[:2] != (1, 1):
                image, uvs, faces_uvs = self._layouts.wrapped(
                    image, uvs, faces, self._wraps(info), f"load_meshes: {self._container.source}"
                )
            return _uv_textures(image, faces_uvs, uvs, self._sampling_mode(info))
        if "TEXCOORD_0" in attributes:
            uvs = read_floats(self._container, attributes, "TEXCOORD_0", (2,))
            _check_length(attributes, "TEXCOORD_0", len(uvs), num_verts)
            return _uv_textures(torch.tensor([[factor[:3]]]), faces, torch.from_numpy(uvs))
        if shading is not None and "baseColorFactor" in shading:
            return TexturesVertex([torch.tensor([factor[:3]]).repeat(num_verts, 1)])
        return None

    def _material(self, primitive: Entry) -> Entry | None:
        if "material" not in primitive:
            return None
        document = self._container.document
        return document.element("materials", primitive.integer("material", below=document.count("materials")))

    def _placed(self, info: Entry | None, attributes: Entry, num_verts: int) -> Tensor | None:
        """(V, 2) places in the image of ``info``, v downwards; None without image or coordinates."""
        if info is None:
            return None
        moved = _extension(info, "KHR_texture_transform")
        channel = info.integer("texCoord", 0)
        if moved is not None:
            channel = moved.integer("texCoord", channel)
        key = f"TEXCOORD_{channel}"
        if key not in attributes:
            return None
        uvs = read_floats(self._container, attributes, key, (2,))
        _check_length(attributes, key, len(uvs), num_verts)
        if moved is not None:
            angle = moved.number("rotation", 0.0)
            cos, sin = math.cos(angle), math.sin(angle)
            scaled = uvs.astype(np.float64) * moved.numbers("scale", (1.0, 1.0))
            # Counter-clockwise as seen, with v downwards.
            turned = scaled @ np.array([[cos, -sin], [sin, cos]])
            uvs = (turned + moved.numbers("offset", (0.0, 0.0))).astype(np.float32)
        return torch.from_numpy(uvs)

    def _texture(self, info: Entry) -> Entry:
        document = self._container.document
        return document.element("textures", info.integer("index", below=document.count("textures")))

    def _sampler(self, info: Entry) -> Entry | None:
        document, texture = self._container.document, self._texture(info)
        if "sampler" not in texture:
            return None
        return document.element("samplers", texture.integer("sampler", below=document.count("samplers")))

    def _sampling_mode(self, info: Entry) -> str:
        """How an image that is magnified looks; one without a word about it is smooth."""
        sampler = self._sampler(info)
        is_nearest = sampler is not None and sampler.integer("magFilter", 0) == _NEAREST
        return "nearest" if is_nearest else "bilinear"

    def _wraps(self, info: Entry) -> tuple[str, str]:
        sampler = self._sampler(info)
        if sampler is None:
            return _WRAP_MODES[_REPEAT], _WRAP_MODES[_REPEAT]
        modes = []
        for key in ("wrapS", "wrapT"):
            code = sampler.integer(key, _REPEAT)
            if code not in _WRAP_MODES:
                raise sampler.error(f"{key} must be one of {', '.join(map(str, _WRAP_MODES))}, got {code}")
            modes.append(_WRAP_MODES[code])
        return modes[0], modes[1]

    def _image(self, info: Entry, factor: tuple[float, ...]) -> Tensor:
        """(H, W, 3): the image times the factor."""
        document, texture = self._container.document, self._texture(info)
        webp = _extension(texture, "EXT_texture_webp")
        holder = texture if webp is None or "source" not in webp else webp
        index = holder.integer("source", below=document.count("images"))
        key = (index, factor[:3])
        if key not in self._maps:
            plain = self._maps.get((index, _WHITE[:3]))
            image = self._decoded(document.element("images", index)) if plain is None else plain
            self._maps[key] = image if factor[:3] == _WHITE[:3] else image * torch.tensor(factor[:3])
        return self._maps[key]

    def _decoded(self, entry: Entry) -> Tensor:
        data = self._container.resource(entry) if "uri" in entry else bytes(self._container.view(entry)[1])
        return decode_image("load_meshes", data, f"{self._container.source}: {entry.path}")


def _uv_textures(image: Tensor, faces_uvs: Tensor, uvs: Tensor, sampling_mode: str = "bilinear") -> TexturesUV:
    """Of coordinates as glTF has them: from the edges of the image, v downwards."""
    return TexturesUV([image], [faces_uvs], [flipped(uvs)], align_corners=False, sampling_mode=sampling_mode)


def _extension(entry: Entry, name: str) -> Entry | None:
    extensions = entry.entry("extensions")
    return None if extensions is None else extensions.entry(name)


def _check_length(attributes: Entry, key: str, length: int, num_verts: int) -> None:
    if length != num_verts:
        raise attributes.error(f"{key} must have a row for each of {num_verts} vertices, got {length}")
