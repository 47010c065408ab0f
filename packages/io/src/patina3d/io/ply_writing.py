# SPDX-License-Identifier: Apache-2.0
"""PLY files, written."""

import warnings
from typing import Any

import torch
from torch import Tensor

from patina3d.core import _native
from patina3d.io.arrays import tensor_to_bytes
from patina3d.io.checks import check_indices, check_rows, checked_decimal_places, num_rows
from patina3d.io.files import PathManager, is_path, is_text_stream, write_file
from patina3d.io.index_check import warn_of_invalid_indices

__all__ = ["encode_ply", "save_ply"]


def save_ply(
    f: Any,
    verts: Tensor,
    faces: Tensor | None = None,
    verts_normals: Tensor | None = None,
    ascii: bool = False,
    decimal_places: int | None = None,
    path_manager: PathManager | None = None,
) -> None:
    """Write vertices, and faces and normals if there are any, as a PLY file.

    Args:
        f: path (``str``, ``bytes``, ``os.PathLike``), or an open stream, which is not closed: of bytes, or of text if
            ``ascii``.
        verts: (V, 3) positions, any real dtype. The file holds them as 32-bit floats, or as decimals if ``ascii``.
        faces: (F, 3) integer indices into ``verts``, from 0, below 2^31; None: a file without faces.
        verts_normals: (V, 3) normal of each vertex; None: a file without normals.
        ascii: write text instead of binary data in the byte order of this machine.
        decimal_places: digits after the decimal point if ``ascii``; None: 6.
        path_manager: opens ``f`` where it is a ``str``.

    Raises:
        TypeError: ``f`` is neither a path nor a stream, or one of text while ``ascii`` is False; or an argument is no
            tensor.
        ValueError: a tensor of another shape or dtype than above, an index beyond 32 bits, or ``decimal_places``
            outside [0, 1074].

    Warns:
        UserWarning: an index points outside the vertices (it is written as it is), or there are no vertices (then only
            a header is written, without faces).

    Example:
        >>> import io, torch
        >>> from patina3d.io import load_ply, save_ply
        >>> file = io.BytesIO()
        >>> save_ply(file, torch.eye(3), torch.tensor([[0, 1, 2]]))
        >>> file.seek(0)
        0
        >>> load_ply(file)[1]
        tensor([[0, 1, 2]])
    """
    if not ascii and not is_path(f) and is_text_stream(f):
        raise TypeError(f"save_ply: f must be a path or a stream of bytes unless ascii is True, got {type(f).__name__}")
    data = encode_ply(
        "save_ply", verts, faces, verts_normals, None, ascii=ascii, decimal_places=decimal_places, stacklevel=3
    )
    write_file("save_ply", f, data, path_manager)


def encode_ply(
    operator: str,
    verts: Tensor,
    faces: Tensor | None,
    normals: Tensor | None,
    colors: Tensor | None,
    *,
    ascii: bool,
    decimal_places: int | None,
    colors_as_uint8: bool = False,
    stacklevel: int,
) -> bytes:
    """The bytes of a PLY file; ``stacklevel`` is that of warnings."""
    decimals = checked_decimal_places(operator, decimal_places)
    check_rows(operator, "verts", verts, 3)
    if faces is not None:
        check_indices(operator, "faces", faces, None)
    for name, rows in (("verts_normals", normals), ("colors", colors)):
        if rows is not None:
            check_rows(operator, name, rows, 3)
            if num_rows(rows) != num_rows(verts):
                expected, got = (num_rows(verts), 3), tuple(rows.shape)
                raise ValueError(f"{operator}: {name} must have one row for each vertex, {expected}, got {got}")

    if verts.numel() == 0:
        warnings.warn(f"{operator}: Empty 'verts' provided", UserWarning, stacklevel=stacklevel)
        faces = None
    if faces is not None:
        warn_of_invalid_indices(operator, "faces", faces, len(verts), stacklevel=stacklevel + 1)
    as_bytes = colors is not None and colors_as_uint8
    return _native.io.save_ply(
        ascii=ascii,
        decimal_places=decimals,
        verts=tensor_to_bytes(verts, torch.float64),
        normals=None if normals is None else tensor_to_bytes(normals, torch.float64),
        float_colors=None if colors is None or as_bytes else tensor_to_bytes(colors, torch.float64),
        byte_colors=None if colors is None or not as_bytes else _color_bytes(colors),
        faces=None if faces is None else tensor_to_bytes(faces, torch.int64),
    )


def _color_bytes(colors: Tensor) -> bytes:
    """Colours in [0, 1] to the nearest of 256 steps; nan is 0."""
    return tensor_to_bytes((colors.detach().double().nan_to_num(nan=0.0).clamp(0, 1) * 255).round(), torch.uint8)
