# SPDX-License-Identifier: Apache-2.0
"""glTF 2.0 files: ``.glb``, and ``.gltf`` with its buffers and images beside it or within."""

import base64
import json
import os
from typing import IO, Any
from urllib.parse import quote

from patina3d.common.datatypes import Device
from patina3d.io.files import PathManager, PathOrStr, is_path, is_text_stream, manager_beside, write_file
from patina3d.io.gltf.container import glb_bytes, glb_header, open_container
from patina3d.io.gltf.scene import scene_meshes
from patina3d.io.gltf.writing import OurEncoder, Written, written
from patina3d.io.joining import with_textures_of_one_kind
from patina3d.io.pluggable_formats import MeshFormatInterpreter, endswith
from patina3d.structures import Meshes, join_meshes_as_scene

__all__ = ["MeshGlbFormat", "OurEncoder", "load_meshes"]


def load_meshes(
    path: PathOrStr, path_manager: PathManager | None = None, include_textures: bool = True
) -> list[tuple[str | None, Meshes]]:
    r"""Read the parts of a glTF 2.0 file.

    The nodes of the default scene (without one: of the first; without scenes: all nodes) are visited breadth first, and
    each primitive of their meshes becomes one mesh, in world space: x, y, z as in the file, +Y up, in metres.
    Triangles, strips and fans become faces; points have none; a transform that mirrors turns faces around, so that
    their outside stays outside. Where it has normals, they are those of the mesh. Buffers and images may lie in the
    file, in data URIs, or beside it. Accessors may be interleaved, sparse, and of normalised integers.

    Textures, by what a primitive has:

    ============================================  ====================================================================
    COLOR_0                                       ``TexturesVertex`` of its 3 or 4 channels, times the base colour
                                                  factor
    a base colour texture and its coordinates     ``TexturesUV``: the image times the factor, and times COLOR_0 where
                                                  that is one colour (where not, the image is dropped with a warning)
    coordinates, no texture                       ``TexturesUV`` with one texel: the factor
    a base colour factor alone                    ``TexturesVertex``, the factor at each vertex
    nothing                                       None
    ============================================  ====================================================================

    In ``TexturesUV``, v runs upwards: it is 1 minus that of the file; 0 and 1 are the edges of the image
    (``align_corners=False``). Images are repeated, mirrored or clamped, and sampled bilinearly or to the nearest texel,
    as their sampler says. Values are those of the file: nothing is done about sRGB. Skins, morph targets, animations,
    cameras, lights and the rest of the materials are passed over.

    Args:
        path: a path of any name, or an open stream of bytes, which is not closed.
        path_manager: opens ``path``, and the files beside it, where it is a ``str``; None: files of this machine.
        include_textures: whether meshes have textures.

    Returns:
        For each primitive the name of its mesh, None for one without, and a batch of one mesh.

    Raises:
        FileNotFoundError: the file, or one that it refers to, is not there.
        ValueError: the file breaks the rules of the format (the message says at which place), or it needs an extension
            that is not read, such as one for compressed meshes.

    Warns:
        UserWarning: lines are passed over; an image is dropped, or repeated too often to be laid out.

    Source: glTF 2.0 Specification, The Khronos Group, 2021; KHR_texture_transform, KHR_mesh_quantization.

    Example:
        >>> from patina3d.io import IO
        >>> from patina3d.io.experimental_gltf_io import load_meshes
        >>> from patina3d.utils import ico_sphere
        >>> IO().save_mesh(ico_sphere(1), "sphere.glb")
        >>> load_meshes("sphere.glb")
        [('Node-Mesh', Meshes(N=1, verts=[42], faces=[80], dtype=float32, device=cpu))]
    """
    return scene_meshes(open_container(path, path_manager), include_textures=include_textures)


class MeshGlbFormat(MeshFormatInterpreter):
    """glTF 2.0, for :class:`patina3d.io.IO`, which knows it from the start.

    All meshes of a file are read as one, by :func:`load_meshes` and ``join_meshes_as_scene``; where their textures are
    of several kinds, they are first given one kind that shows the same. Without meshes: one mesh without vertices.

    Example:
        >>> from pathlib import Path
        >>> from patina3d.io import IO
        >>> from patina3d.utils import ico_sphere
        >>> IO().save_mesh(ico_sphere(1), "sphere.gltf")
        >>> sorted(path.name for path in Path().glob("sphere.*"))
        ['sphere.bin', 'sphere.gltf']
    """

    def __init__(self) -> None:
        self.known_suffixes = (".glb", ".gltf")

    def read(
        self, path: PathOrStr, include_textures: bool, device: Device, path_manager: PathManager, **kwargs: Any
    ) -> Meshes | None:
        """See :meth:`patina3d.io.MeshFormatInterpreter.read`."""
        if not endswith(path, self.known_suffixes):
            return None
        meshes = [mesh for _, mesh in load_meshes(path, path_manager, include_textures)]
        return join_meshes_as_scene(with_textures_of_one_kind(meshes)).to(device)

    def save(
        self,
        data: Meshes,
        path: PathOrStr,
        path_manager: PathManager,
        binary: bool | None,
        *,
        embed: bool = False,
        **kwargs: Any,
    ) -> bool:
        """See :meth:`patina3d.io.MeshFormatInterpreter.save`.

        Given normals are written; ``TexturesVertex`` of 3 or 4 channels as COLOR_0; ``TexturesUV`` with an 8-bit PNG
        (clamped to [0, 1], rounded) as base colour, for which vertices with several texture coordinates are divided;
        likewise ``TexturesAtlas`` of one cell a face as COLOR_0. The file is float32. A mesh without faces is written
        as points, one without vertices as an empty scene.

        Args:
            data: one mesh.
            path: ``.glb``: one file. ``.gltf``: JSON, with its buffer and image beside it, of the same name with
                ``.bin`` and ``.png``. A stream: ``.glb``, or JSON with data URIs if ``binary`` is False.
            path_manager: opens ``path``, and the files beside it, where it is a ``str``.
            binary: None or what the suffix says.
            embed: write buffer and image of a ``.gltf`` file into it, as data URIs.
            **kwargs: passed over.

        Raises:
            ValueError: ``binary`` is not what the suffix says.
            TypeError: ``path`` is a stream of text, but ``binary`` is not False.

        Warns:
            UserWarning: textures of another kind are not written: an atlas with more cells, colours with other than 3
                or 4 channels, a map with other than 3, several maps.
        """
        if not endswith(path, self.known_suffixes):
            return False
        if is_path(path):
            is_glb = endswith(path, (".glb",))
            if binary is not None and binary != is_glb:
                raise ValueError(
                    f"MeshGlbFormat.save: binary must be None or {is_glb} for {os.fsdecode(path)}, got {binary}"
                )
        else:
            is_glb, embed = binary is not False, True
            if is_glb and is_text_stream(path):
                raise TypeError("MeshGlbFormat.save: path must be a stream of bytes unless binary is False")
        contents = written(data)
        if is_glb:
            write_file("MeshGlbFormat.save", path, _glb(contents), path_manager)
            return True
        stem = None if embed else os.path.splitext(os.fsdecode(path))[0]
        document, beside = _gltf(contents, stem)
        write_file("MeshGlbFormat.save", path, document, path_manager)
        for name, file in beside.items():
            write_file("MeshGlbFormat.save", name, file, manager_beside(path, path_manager))
        return True


def _read_header(stream: IO[bytes]) -> tuple[int, int] | None:
    """Version and length, in bytes, of a ``.glb`` file from its first twelve bytes; None where it is no such file."""
    return glb_header(stream.read(12))


def _glb(contents: Written) -> bytes:
    document, binary, image = contents
    if image is not None:
        view = {"buffer": 0, "byteOffset": len(binary), "byteLength": len(image)}
        document["images"] = [{"name": "texture", "mimeType": "image/png", "bufferView": len(document["bufferViews"])}]
        document["bufferViews"].append(view)
        binary += image
    if binary:
        document["buffers"] = [{"byteLength": len(binary)}]
    return glb_bytes(_json(document), binary)


def _gltf(contents: Written, stem: str | None) -> tuple[bytes, dict[str, bytes]]:
    """The JSON, and the files beside it; data URIs if there is no stem."""
    document, binary, image = contents
    beside: dict[str, bytes] = {}

    def uri(data: bytes, kind: str, suffix: str) -> str:
        if stem is None:
            return f"data:{kind};base64,{base64.b64encode(data).decode()}"
        beside[stem + suffix] = data
        return quote(os.fsencode(os.path.basename(stem) + suffix))

    if binary:
        document["buffers"] = [{"byteLength": len(binary), "uri": uri(binary, "application/octet-stream", ".bin")}]
    if image is not None:
        document["images"] = [{"name": "texture", "mimeType": "image/png", "uri": uri(image, "image/png", ".png")}]
    return _json(document), beside


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, cls=OurEncoder, separators=(",", ":")).encode()
