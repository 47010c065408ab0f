# SPDX-License-Identifier: Apache-2.0
"""Wavefront OBJ files."""

import os
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from patina3d.common.datatypes import Device
from patina3d.core import _native
from patina3d.io.arrays import tensor_from_bytes, tensor_to_bytes
from patina3d.io.checks import check_indices, check_rows, checked_decimal_places, num_rows
from patina3d.io.files import PathManager, PathOrStr, is_path, read_file, write_file
from patina3d.io.index_check import warn_of_invalid_indices
from patina3d.io.png import encode_png
from patina3d.structures import Meshes, join_meshes_as_batch

__all__ = ["Faces", "Properties", "load_obj", "load_objs_as_meshes", "save_obj"]

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
    material_colors: dict[str, dict[str, Tensor]] | None
    """By material name."""
    texture_images: dict[str, Tensor] | None
    """By material name."""
    texture_atlas: Tensor | None
    """(F, R, R, 3)."""


def load_obj(
    f: Any,
    load_textures: bool = True,
    create_texture_atlas: bool = False,
    texture_atlas_size: int = 4,
    texture_wrap: str | None = "repeat",
    device: Device = "cpu",
    path_manager: PathManager | None = None,
) -> tuple[Tensor, Faces, Properties]:
    r"""Read a Wavefront OBJ file.

    Read are ``v`` (three numbers), ``vt`` (two), ``vn`` (three), ``f``, ``usemtl`` and ``mtllib``; further numbers of a
    line and all other statements are passed over. A polygon becomes the fan of triangles (0, 1, 2), (0, 2, 3), ...
    around its first corner, and a face with fewer than three corners becomes none. Words are separated by blanks or
    tabs; a ``#`` begins a comment; a backslash at the end of a line joins the next one to it. Negative indices count
    back from the elements read so far. Names of materials may hold blanks.

    Args:
        f: path (``str``, ``bytes``, ``os.PathLike``), or an open stream of bytes or text, which is not closed.
        load_textures: has no effect yet: materials and their images are not read.
        create_texture_atlas: not available yet.
        texture_atlas_size: side of each face's square in the atlas, in cells.
        texture_wrap: how the atlas treats texture coordinates outside [0, 1]: "repeat", "clamp" or None.
        device: where the tensors are put.
        path_manager: opens ``f`` where it is a ``str``, e.g. an iopath ``PathManager``.

    Returns:
        ``(verts, faces, aux)``: the (V, 3) float32 positions in the file's own frame and unit, a :class:`Faces` and a
        :class:`Properties`. ``aux.material_colors``, ``aux.texture_images`` and ``aux.texture_atlas`` are None.

    Raises:
        FileNotFoundError: there is no such file.
        NotImplementedError: ``create_texture_atlas`` is True.
        TypeError: ``f`` is neither a path nor a stream.
        ValueError: an unknown ``texture_wrap``, or a line that cannot be read: too few numbers, a word that is not a
            number or an index, index 0, a negative index before the first element, corners of different forms in a
            face, a name that is missing. The message names the file and the line.

    Warns:
        UserWarning: an index points past the end of its array; the faces are returned as they are.

    Cost: one pass over the file on one core, during which other threads of the interpreter run. Memory: about three
    times the file at the peak, most of it the result.

    Example:
        >>> import io
        >>> from patina3d.io import load_obj
        >>> verts, faces, aux = load_obj(io.StringIO("v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf 1 2 3 4"))
        >>> verts.shape, faces.verts_idx
        (torch.Size([4, 3]), tensor([[0, 1, 2],
                [0, 2, 3]]))
        >>> load_obj(io.StringIO("v 0 0 0\nv 1 2"))
        Traceback (most recent call last):
        ValueError: load_obj: <StringIO>, line 2: vertex needs 3 numbers, got 2
    """
    if texture_wrap not in ("repeat", "clamp", None):
        raise ValueError(f"load_obj: texture_wrap must be 'repeat', 'clamp' or None, got {texture_wrap!r}")
    if create_texture_atlas:
        raise NotImplementedError(
            "load_obj: create_texture_atlas=True is not available yet, because materials and their images are not read"
        )
    file = read_file("load_obj", f, path_manager)
    arrays = _native.io.load_obj(file.data, file.source)
    del file

    verts = tensor_from_bytes(arrays["verts"], torch.float32, 3)
    normals = tensor_from_bytes(arrays["normals"], torch.float32, 3)
    uvs = tensor_from_bytes(arrays["uvs"], torch.float32, 2)
    verts_idx = tensor_from_bytes(arrays["faces"], torch.int64, 3)
    normals_idx = _for_each_face(arrays["faces_normals"], verts_idx, 3)
    textures_idx = _for_each_face(arrays["faces_uvs"], verts_idx, 3)
    materials_idx = _for_each_face(arrays["faces_materials"], verts_idx, None)
    warn_of_invalid_indices("load_obj", "verts_idx", verts_idx, len(verts))
    warn_of_invalid_indices("load_obj", "normals_idx", normals_idx, len(normals), pad=_ABSENT)
    warn_of_invalid_indices("load_obj", "textures_idx", textures_idx, len(uvs), pad=_ABSENT)

    faces = Faces(verts_idx.to(device), normals_idx.to(device), textures_idx.to(device), materials_idx.to(device))
    aux = Properties(
        normals=normals.to(device) if len(normals) else None,
        verts_uvs=uvs.to(device) if len(uvs) else None,
        material_colors=None,
        texture_images=None,
        texture_atlas=None,
    )
    return verts.to(device), faces, aux


def _for_each_face(data: bytearray, faces: Tensor, columns: int | None) -> Tensor:
    """Indices by face; without any in the file, all absent."""
    if data:
        return tensor_from_bytes(data, torch.int64, columns)
    return faces.new_full((len(faces),) if columns is None else (len(faces), columns), _ABSENT)


def load_objs_as_meshes(
    files: Sequence[Any],
    device: Device | None = None,
    load_textures: bool = True,
    create_texture_atlas: bool = False,
    texture_atlas_size: int = 4,
    texture_wrap: str | None = "repeat",
    path_manager: PathManager | None = None,
) -> Meshes:
    r"""Read OBJ files into one batch of meshes.

    Args:
        files: what :func:`load_obj` accepts, one for each mesh.
        device: where the meshes are put; None: the CPU.
        load_textures: as in :func:`load_obj`.
        create_texture_atlas: as in :func:`load_obj`.
        texture_atlas_size: as in :func:`load_obj`.
        texture_wrap: as in :func:`load_obj`.
        path_manager: as in :func:`load_obj`.

    Returns:
        A ``Meshes`` of ``len(files)`` meshes in the given order, without textures. The normals of the files are not
        kept: ``Meshes`` computes its own.

    Raises:
        TypeError: ``files`` is a single path.
        FileNotFoundError, NotImplementedError, ValueError: as in :func:`load_obj`.

    Example:
        >>> import io
        >>> from patina3d.io import load_objs_as_meshes
        >>> triangle = "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3"
        >>> load_objs_as_meshes([io.StringIO(triangle), io.StringIO(triangle)]).num_faces_per_mesh()
        tensor([1, 1])
    """
    if is_path(files):
        raise TypeError(f"load_objs_as_meshes: files must be a list of paths or streams, got {type(files).__name__}")
    meshes = []
    for f in files:
        verts, faces, _ = load_obj(
            f,
            load_textures=load_textures,
            create_texture_atlas=create_texture_atlas,
            texture_atlas_size=texture_atlas_size,
            texture_wrap=texture_wrap,
            path_manager=path_manager,
        )
        target = device if device is not None else "cpu"
        meshes.append(Meshes(verts=[verts.to(target)], faces=[faces.verts_idx.to(target)]))
    return meshes[0] if len(meshes) == 1 else join_meshes_as_batch(meshes)


def save_obj(
    f: PathOrStr | Any,
    verts: Tensor,
    faces: Tensor,
    decimal_places: int | None = None,
    path_manager: PathManager | None = None,
    *,
    normals: Tensor | None = None,
    faces_normals_idx: Tensor | None = None,
    verts_uvs: Tensor | None = None,
    faces_uvs: Tensor | None = None,
    texture_map: Tensor | None = None,
) -> None:
    """Write a mesh as a Wavefront OBJ file.

    With ``verts_uvs``, ``faces_uvs`` and ``texture_map``, all three, the file also names the material ``mesh`` of
    ``STEM.mtl``, whose colour is the image ``STEM.png``; both are written beside it. STEM is the name of the file
    without its last suffix. Fewer than the three are ignored.

    Args:
        f: path (``str``, ``bytes``, ``os.PathLike``), or an open stream of bytes or text, which is not closed.
        verts: (V, 3) positions, any real dtype.
        faces: (F, 3) integer indices into ``verts``, from 0.
        decimal_places: digits after the decimal point; None: 6. What they do not hold is lost: scale small meshes up
            or ask for more.
        path_manager: opens ``f`` and its companions where ``f`` is a ``str``.
        normals: (N, 3) normals, together with ``faces_normals_idx``.
        faces_normals_idx: (F, 3) integer indices into ``normals``; a row of -1 stands for a face without normals.
        verts_uvs: (T, 2) texture coordinates, v upwards.
        faces_uvs: (F, 3) integer indices into ``verts_uvs``; a row of -1 stands for a face without them.
        texture_map: (H, W, 3) floating RGB image in [0, 1], row 0 at the top. Values are clamped and rounded to 8 bits.

    Raises:
        TypeError: ``f`` is neither a path nor a stream, or an argument is no tensor.
        ValueError: a tensor of another shape or dtype than above, only one of ``normals`` and ``faces_normals_idx``,
            ``decimal_places`` outside [0, 1074], or a texture together with a stream, which has no place beside it.

    Warns:
        UserWarning: an index points outside its array (it is written as it is), or there is nothing to write.

    Example:
        >>> import io, torch
        >>> from patina3d.io import save_obj
        >>> file = io.StringIO()
        >>> save_obj(file, torch.eye(3), torch.tensor([[0, 1, 2]]), decimal_places=1)
        >>> print(file.getvalue())
        v 1.0 0.0 0.0
        v 0.0 1.0 0.0
        v 0.0 0.0 1.0
        f 1 2 3
    """
    decimals = checked_decimal_places("save_obj", decimal_places)
    check_rows("save_obj", "verts", verts, 3)
    check_indices("save_obj", "faces", faces, None)
    if (normals is None) != (faces_normals_idx is None):
        raise ValueError("save_obj: normals and faces_normals_idx must be given together, got only one of them")
    if normals is not None:
        check_rows("save_obj", "normals", normals, 3)
    if faces_normals_idx is not None:
        check_indices("save_obj", "faces_normals_idx", faces_normals_idx, faces)
    if verts_uvs is not None:
        check_rows("save_obj", "verts_uvs", verts_uvs, 2)
    if faces_uvs is not None:
        check_indices("save_obj", "faces_uvs", faces_uvs, faces)
    if texture_map is not None:
        _check_texture_map(texture_map)
    texture = None
    if verts_uvs is not None and faces_uvs is not None and texture_map is not None:
        texture = _Texture(verts_uvs, faces_uvs, texture_map)
        if not is_path(f):
            raise ValueError(f"save_obj: texture_map needs a path to be written beside, got {type(f).__name__}")

    if verts.numel() == 0 and faces.numel() == 0:
        warnings.warn("save_obj: verts and faces are empty", UserWarning, stacklevel=2)
    warn_of_invalid_indices("save_obj", "faces", faces, num_rows(verts))
    if normals is not None and faces_normals_idx is not None:
        warn_of_invalid_indices("save_obj", "faces_normals_idx", faces_normals_idx, num_rows(normals), pad=_ABSENT)
    if texture is not None:
        warn_of_invalid_indices("save_obj", "faces_uvs", texture.faces_uvs, num_rows(texture.verts_uvs), pad=_ABSENT)

    stem = os.path.splitext(os.fsdecode(f))[0] if texture else ""
    name = os.path.basename(stem)
    text = _native.io.save_obj(
        header=f"\nmtllib {name}.mtl\nusemtl mesh\n\n" if texture else "",
        decimal_places=decimals,
        verts=tensor_to_bytes(verts, torch.float64),
        faces=tensor_to_bytes(faces, torch.int64),
        normals=None if normals is None else tensor_to_bytes(normals, torch.float64),
        faces_normals=None if faces_normals_idx is None else tensor_to_bytes(faces_normals_idx, torch.int64),
        uvs=None if texture is None else tensor_to_bytes(texture.verts_uvs, torch.float64),
        faces_uvs=None if texture is None else tensor_to_bytes(texture.faces_uvs, torch.int64),
    )
    write_file("save_obj", f, text, path_manager)
    if texture is not None:
        beside = path_manager if isinstance(f, str) else None
        material = f"newmtl mesh\nmap_Kd {name}.png\n".encode()
        write_file("save_obj", f"{stem}.mtl", material, beside)
        write_file("save_obj", f"{stem}.png", encode_png(texture.map), beside)


class _Texture(NamedTuple):
    verts_uvs: Tensor
    faces_uvs: Tensor
    map: Tensor


def _check_texture_map(texture_map: Tensor) -> None:
    if not isinstance(texture_map, Tensor):
        raise TypeError(f"save_obj: texture_map must be a tensor, got {type(texture_map).__name__}")
    if texture_map.dim() != 3 or texture_map.shape[2] != 3 or texture_map.numel() == 0:
        raise ValueError(f"save_obj: texture_map must have shape (H, W, 3), H, W > 0, got {tuple(texture_map.shape)}")
    if not texture_map.is_floating_point():
        raise ValueError(f"save_obj: texture_map must be floating, values in [0, 1], got {texture_map.dtype}")
