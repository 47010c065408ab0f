# SPDX-License-Identifier: Apache-2.0
"""Wavefront OBJ files, written with a material."""

import os
import warnings
from typing import Any, NamedTuple

import torch
from torch import Tensor

from patina3d.core import _native
from patina3d.io.arrays import tensor_to_bytes
from patina3d.io.checks import check_indices, check_rows, checked_decimal_places, num_rows
from patina3d.io.files import PathManager, PathOrStr, is_path, manager_beside, write_file
from patina3d.io.index_check import warn_of_invalid_indices
from patina3d.io.png import encode_png

__all__ = ["save_obj"]

_ABSENT = -1


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
    verts_colors: Tensor | None = None,
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
        verts_colors: (V, 3) RGB colours in [0, 1], written behind the positions: not in the format, but read by many
            programs and passed over by others.

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
    if verts_colors is not None:
        check_rows("save_obj", "verts_colors", verts_colors, 3)
        if num_rows(verts_colors) != num_rows(verts):
            expected, got = (num_rows(verts), 3), tuple(verts_colors.shape)
            raise ValueError(f"save_obj: verts_colors must have one row for each vertex, {expected}, got {got}")
    if texture_map is not None:
        _check_texture_map(texture_map)
    texture = None
    if verts_uvs is not None and faces_uvs is not None and texture_map is not None:
        texture = _Texture(verts_uvs, faces_uvs, texture_map)
        if not texture_map.is_floating_point():
            raise ValueError(f"save_obj: texture_map must be floating, values in [0, 1], got {texture_map.dtype}")
        if not is_path(f):
            raise ValueError(f"save_obj: texture_map needs a path to be written beside, got {type(f).__name__}")

    if verts.numel() == 0 and faces.numel() == 0:
        warnings.warn("save_obj: Empty 'verts' and 'faces' arguments provided", UserWarning, stacklevel=2)
    warn_of_invalid_indices("save_obj", "faces", faces, num_rows(verts))
    if normals is not None and faces_normals_idx is not None:
        warn_of_invalid_indices("save_obj", "faces_normals_idx", faces_normals_idx, num_rows(normals), pad=_ABSENT)
    if texture is not None:
        warn_of_invalid_indices("save_obj", "faces_uvs", texture.faces_uvs, num_rows(texture.verts_uvs), pad=_ABSENT)

    stem = os.path.splitext(os.fsdecode(f))[0] if texture else ""
    name = os.fsencode(os.path.basename(stem))
    text = _native.io.save_obj(
        header=b"\nmtllib %b.mtl\nusemtl mesh\n\n" % name if texture else b"",
        decimal_places=decimals,
        verts=tensor_to_bytes(verts, torch.float64),
        colors=None if verts_colors is None else tensor_to_bytes(verts_colors, torch.float64),
        faces=tensor_to_bytes(faces, torch.int64),
        normals=None if normals is None else tensor_to_bytes(normals, torch.float64),
        faces_normals=None if faces_normals_idx is None else tensor_to_bytes(faces_normals_idx, torch.int64),
        uvs=None if texture is None else tensor_to_bytes(texture.verts_uvs, torch.float64),
        faces_uvs=None if texture is None else tensor_to_bytes(texture.faces_uvs, torch.int64),
    )
    write_file("save_obj", f, text, path_manager)
    if texture is not None:
        beside = manager_beside(f, path_manager)
        write_file("save_obj", f"{stem}.mtl", b"newmtl mesh\nmap_Kd %b.png\n" % name, beside)
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
