# SPDX-License-Identifier: Apache-2.0
"""Wavefront OBJ files, read with their materials."""

import os
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from patina3d.common.datatypes import Device
from patina3d.core import _native
from patina3d.io.arrays import tensor_from_bytes
from patina3d.io.files import PathManager, folder_of, manager_beside, read_file
from patina3d.io.index_check import warn_of_invalid_indices
from patina3d.io.mtl_io import (
    MaterialProperties,
    TextureImages,
    check_atlas_options,
    gather_materials,
    read_materials,
    sample_atlas,
    text_of,
)

__all__ = ["Content", "Faces", "Options", "Properties", "load_obj", "read_content"]

_ABSENT = -1


class Faces(NamedTuple):
    """The triangles of an OBJ file. All are int64 and count from 0."""

    verts_idx: Tensor
    """(F, 3) indices into ``verts``."""
    normals_idx: Tensor
    """(F, 3) indices into ``aux.normals``; (-1, -1, -1) for a face without normals."""
    textures_idx: Tensor
    """(F, 3) indices into ``aux.verts_uvs``; (-1, -1, -1) for a face without texture coordinates."""
    materials_idx: Tensor
    """(F,) indices into the names that ``usemtl`` gives, in order of first use; -1 before the first."""


class Properties(NamedTuple):
    """What an OBJ file holds besides vertices and faces; None stands for what it does not hold."""

    normals: Tensor | None
    """(N, 3) float32, as written in the file: not normalised."""
    verts_uvs: Tensor | None
    """(T, 2) float32, v upwards."""
    material_colors: MaterialProperties | None
    """By name of material, in order of first use: those of ``ambient_color``, ``diffuse_color`` and ``specular_color``
    ((3,) float32) and ``shininess`` ((1,)) that the MTL file gives."""
    texture_images: TextureImages | None
    """By name of material: (H, W, 3) float32 RGB in [0, 1], row 0 at the top."""
    texture_atlas: Tensor | None
    """(F, R, R, 3) float32."""


def load_obj(
    f: Any,
    load_textures: bool = True,
    create_texture_atlas: bool = False,
    texture_atlas_size: int = 4,
    texture_wrap: str | None = "repeat",
    device: Device = "cpu",
    path_manager: PathManager | None = None,
) -> tuple[Tensor, Faces, Properties]:
    r"""Read a Wavefront OBJ file, its materials and their images.

    Read are ``v`` (three numbers), ``vt`` (two), ``vn`` (three), ``f``, ``usemtl`` and ``mtllib``; further numbers of a
    line and all other statements are passed over. A polygon becomes the fan of triangles (0, 1, 2), (0, 2, 3), ...
    around its first corner, and a face with fewer than three corners becomes none. Words are separated by blanks or
    tabs; a ``#`` begins a comment; a backslash at the end of a line joins the next one to it, other than in names.
    Negative indices count back from the elements read so far. Names of materials and files may hold blanks.

    Args:
        f: path (``str``, ``bytes``, ``os.PathLike``), or an open stream of bytes or text, which is not closed.
        load_textures: read the MTL files and their images, which are looked for in the folder of ``f``; of a stream, in
            the current one. Where files define one material twice, the first file counts.
        create_texture_atlas: make ``aux.texture_atlas``; all white where no materials are loaded.
        texture_atlas_size: R, the side of each face's square in the atlas, in cells.
        texture_wrap: how the atlas treats places outside the image: "repeat", "clamp" or None, as in
            :func:`patina3d.io.mtl_io.make_mesh_texture_atlas`.
        device: where the tensors are put.
        path_manager: opens ``f``, where it is a ``str``, and what it names, e.g. an iopath ``PathManager``.

    Returns:
        ``(verts, faces, aux)``: the (V, 3) float32 positions in the file's own frame and unit, a :class:`Faces` and a
        :class:`Properties`. ``aux.material_colors`` and ``aux.texture_images`` are None if no MTL file was read. If the
        file names one but no face a material, its only material is that of all faces.

    Raises:
        FileNotFoundError: there is no such file.
        TypeError: ``f`` is neither a path nor a stream.
        ValueError: an unknown ``texture_wrap``, or a line that cannot be read: too few numbers, a word that is not a
            number or an index, index 0, a negative index before the first element, corners of different forms in a
            face, a name that is missing. The message names the file and the line. Likewise for the MTL file; an image
            that cannot be decoded; several materials to choose from while no face names one.

    Warns:
        UserWarning: an index points past the end of its array (the faces are returned as they are); an MTL file or an
            image cannot be opened; faces name materials but the file no MTL file; the atlas repeats an image.

    Cost: one pass over the file on one core, during which other threads of the interpreter run. Memory: less than three
    times a large file at the peak, most of it the result.

    Example:
        >>> import io
        >>> from patina3d.io import load_obj
        >>> verts, faces, aux = load_obj(io.StringIO("v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf 1 2 3 4"))
        >>> verts.shape, faces.verts_idx
        (torch.Size([4, 3]), tensor([[0, 1, 2],
                [0, 2, 3]]))
        >>> load_obj(io.StringIO("v 0 0 0\nv 1 2"))
        Traceback (most recent call last):
        ValueError: load_obj: <StringIO>, line 2: vertex does not have 3 values, got 2
    """
    options = Options(load_textures, create_texture_atlas, texture_atlas_size, texture_wrap)
    content = read_content(f, options, device, path_manager, stacklevel=4)
    return content.verts, content.faces, content.aux


class Options(NamedTuple):
    """What :func:`load_obj` is asked for."""

    load_textures: bool
    create_texture_atlas: bool
    texture_atlas_size: int
    texture_wrap: str | None


class Content(NamedTuple):
    """What :func:`load_obj` returns, and what else a mesh is made of."""

    verts: Tensor
    faces: Faces
    aux: Properties
    colors: Tensor | None
    """(V, 3) colours behind the positions."""
    material_names: list[str]
    """What ``faces.materials_idx`` points into."""


def read_content(
    f: Any, options: Options, device: Device, path_manager: PathManager | None, *, stacklevel: int
) -> Content:
    """The content of a file; ``stacklevel`` is that of a warning that the functions called here give."""
    check_atlas_options("load_obj", options.texture_atlas_size, options.texture_wrap)
    file = read_file("load_obj", f, path_manager)
    source = file.source
    obj = _native.io.load_obj(file.data, source)
    del file

    def rows(name: str, dtype: torch.dtype, columns: int) -> Tensor:
        return tensor_from_bytes(obj.take(name), dtype, columns)

    verts, colors = rows("verts", torch.float32, 3), rows("colors", torch.float32, 3)
    normals, uvs = rows("normals", torch.float32, 3), rows("uvs", torch.float32, 2)
    verts_idx = rows("faces", torch.int64, 3)
    normals_idx = _for_each_face(obj.take("faces_normals"), verts_idx, 3)
    textures_idx = _for_each_face(obj.take("faces_uvs"), verts_idx, 3)
    materials_idx = _for_each_face(obj.take("faces_materials"), verts_idx, None)
    warn_of_invalid_indices("load_obj", "verts_idx", verts_idx, len(verts), stacklevel=stacklevel)
    for name, indices, size in (("normals_idx", normals_idx, len(normals)), ("textures_idx", textures_idx, len(uvs))):
        warn_of_invalid_indices("load_obj", name, indices, size, pad=_ABSENT, stacklevel=stacklevel)

    names = [text_of(name) for name in obj.materials()]
    properties, images = None, None
    if options.load_textures:
        libraries = [text_of(name) for name in obj.libraries()]
        loaded = _load_materials(f, source, libraries, names, device, path_manager, stacklevel)
        if loaded is not None:
            properties, images = loaded
            if not names and properties:
                names = list(properties)
                materials_idx.fill_(0)

    faces = Faces(verts_idx.to(device), normals_idx.to(device), textures_idx.to(device), materials_idx.to(device))
    verts_uvs = uvs.to(device) if len(uvs) else None
    atlas = None
    if options.create_texture_atlas:
        atlas = sample_atlas(
            "load_obj",
            properties or {},
            images or {},
            names,
            faces.materials_idx,
            faces.textures_idx,
            verts_uvs,
            options.texture_atlas_size,
            options.texture_wrap,
            stacklevel=stacklevel,
        )
    aux = Properties(
        normals=normals.to(device) if len(normals) else None,
        verts_uvs=verts_uvs,
        material_colors=properties,
        texture_images=images,
        texture_atlas=atlas,
    )
    return Content(verts.to(device), faces, aux, colors.to(device) if len(colors) else None, names)


def _load_materials(
    f: Any,
    source: str,
    libraries: Sequence[str],
    names: Sequence[str],
    device: Device,
    path_manager: PathManager | None,
    stacklevel: int,
) -> tuple[MaterialProperties, TextureImages] | None:
    """The materials of the given names, from all libraries; None if no library can be opened."""
    if not libraries:
        if names:
            warnings.warn(
                f"load_obj: {source}: No mtl file provided, but faces name materials",
                UserWarning,
                stacklevel=stacklevel,
            )
        return None
    folder = folder_of(f)
    beside = manager_beside(f, path_manager)
    materials = None
    for library in dict.fromkeys(name for line in libraries for name in _file_names(line)):
        path = os.path.join(folder, library)
        try:
            found = read_materials(path, beside)
        except OSError as error:
            warnings.warn(
                f"load_obj: Mtl file does not exist or cannot be opened: {path}: {error}",
                UserWarning,
                stacklevel=stacklevel,
            )
        else:
            materials = {**found, **(materials or {})}
    if materials is None:
        return None
    return gather_materials("load_obj", materials, names, folder, device, beside, stacklevel=stacklevel + 1)


def _file_names(library: str) -> list[str]:
    """What follows ``mtllib``: one name, which may hold blanks, or several that end in ``.mtl``."""
    words = library.split()
    return words if all(word.lower().endswith(".mtl") for word in words) else [library]


def _for_each_face(data: bytearray, faces: Tensor, columns: int | None) -> Tensor:
    """Indices by face; without any in the file, all absent."""
    if data:
        return tensor_from_bytes(data, torch.int64, columns)
    return faces.new_full((len(faces),) if columns is None else (len(faces), columns), _ABSENT)
