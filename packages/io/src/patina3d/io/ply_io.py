# SPDX-License-Identifier: Apache-2.0
"""PLY files."""

import warnings
from typing import Any

import torch
from torch import Tensor

from patina3d.core import _native
from patina3d.io.arrays import tensor_from_bytes, tensor_to_bytes
from patina3d.io.checks import check_indices, check_rows, checked_decimal_places, num_rows
from patina3d.io.files import PathManager, is_path, is_text_stream, read_file, write_file
from patina3d.io.index_check import warn_of_invalid_indices

__all__ = ["load_ply", "save_ply"]

_POLYGON_NAMES = ("vertex_indices", "vertex_index")


def load_ply(f: Any, *, path_manager: PathManager | None = None) -> tuple[Tensor, Tensor]:
    r"""Read vertices and faces of a PLY file.

    The three formats of PLY (ASCII, little-endian and big-endian) and all its types are read, with elements and
    properties in any order; what is neither a position nor a polygon is passed over. A polygon is split into the fan
    of triangles (0, 1, 2), (0, 2, 3), ... around its first corner.

    Args:
        f: path (``str``, ``bytes``, ``os.PathLike``), or an open stream, which is not closed: of bytes, or of text for
            a file in ASCII. A compressed stream, e.g. of ``gzip.open``, is one of bytes.
        path_manager: opens ``f`` where it is a ``str``, e.g. an iopath ``PathManager``.

    Returns:
        ``(verts, faces)``: ``verts`` are the (V, 3) float32 properties x, y, z of the element ``vertex``, in the file's
        own frame and unit. ``faces`` are the (F, 3) int64 triangles of the element ``face``: its list property
        ``vertex_indices`` or ``vertex_index``, or its only one; (0, 3) without such an element. If all polygons have
        the same number of corners, the first triangle of every polygon comes first, then the second of every polygon,
        and so on; else the triangles of a polygon follow one another.

    Raises:
        FileNotFoundError: there is no such file.
        TypeError: ``f`` is neither a path nor a stream.
        ValueError: the file breaks the rules of the format (the message names the file and, in ASCII and in headers,
            the line), it is binary but ``f`` is a stream of text, there is no ``vertex`` element with x, y and z, it is
            unclear which property holds the polygons, or one of them has fewer than three corners.

    Warns:
        UserWarning: an index points outside the vertices; the faces are returned as they are.

    Cost: one pass over the file on one core, during which other threads of the interpreter run.

    Source: Greg Turk, The PLY Polygon File Format, 1994.

    Example:
        >>> import io
        >>> from patina3d.io import load_ply
        >>> header = ["ply", "format ascii 1.0", "element vertex 4", "property float x", "property float y"]
        >>> header += ["property float z", "element face 1", "property list uchar int vertex_index", "end_header"]
        >>> verts, faces = load_ply(io.StringIO("\n".join([*header, "0 0 0", "1 0 0", "1 1 0", "0 1 0", "4 0 1 2 3"])))
        >>> verts.shape, faces
        (torch.Size([4, 3]), tensor([[0, 1, 2],
                [0, 2, 3]]))
    """
    data, source, is_text = read_file("load_ply", f, path_manager)
    file = _native.io.load_ply(data, source, is_text)
    del data
    verts = _positions(file, source)
    faces = _triangles(file, source)
    warn_of_invalid_indices("load_ply", "faces", faces, len(verts))
    return verts, faces


def _positions(file: Any, source: str) -> Tensor:
    properties = dict(file.properties("vertex"))
    if any(properties.get(name, True) for name in "xyz"):
        raise ValueError(
            f"load_ply: {source}: there must be an element vertex with the properties x, y and z, all scalars"
        )
    columns = []
    for name in "xyz":
        dtype, values, _ = file.column("vertex", name)
        columns.append(tensor_from_bytes(values, getattr(torch, dtype)).to(torch.float32))
    return torch.stack(columns, dim=1)


def _triangles(file: Any, source: str) -> Tensor:
    if file.count("face") == 0:
        return torch.empty((0, 3), dtype=torch.int64)
    lists = [name for name, is_list in file.properties("face") if is_list]
    named = [name for name in _POLYGON_NAMES if name in lists] or lists
    if len(named) != 1:
        expected = "a list property vertex_indices or vertex_index, or only one of another name"
        raise ValueError(f"load_ply: {source}: the element face must have {expected}, got {lists}")
    dtype, values, lengths = file.column("face", named[0])
    indices = tensor_from_bytes(values, getattr(torch, dtype))
    if indices.is_floating_point():
        raise ValueError(f"load_ply: {source}: property {named[0]} of element face must hold integers, got {dtype}")
    sizes = tensor_from_bytes(lengths, torch.int64)
    few = (sizes < 3).nonzero()
    if len(few):
        face = int(few[0])
        raise ValueError(
            f"load_ply: {source}: a face must have 3 corners or more, got {int(sizes[face])} in face {face}"
        )
    return _fans(indices.to(torch.int64), sizes)


def _fans(corners: Tensor, sizes: Tensor) -> Tensor:
    """Split polygons into triangles.

    Args:
        corners: the corners of all polygons, one polygon after the other.
        sizes: (P,) number of corners of each, at least 3.

    Returns:
        (F, 3) triangles, in the order that :func:`load_ply` states.
    """
    num_triangles = sizes - 2
    polygon = torch.repeat_interleave(num_triangles)
    first_corner = sizes.cumsum(0) - sizes
    first_triangle = num_triangles.cumsum(0) - num_triangles
    start = first_corner[polygon]
    second = start + 1 + torch.arange(len(polygon)) - first_triangle[polygon]
    triangles = torch.stack([corners[start], corners[second], corners[second + 1]], dim=1)
    if len(sizes) and bool((sizes == sizes[0]).all()):
        return triangles.view(len(sizes), -1, 3).transpose(0, 1).reshape(-1, 3)
    return triangles


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
    decimals = checked_decimal_places("save_ply", decimal_places)
    check_rows("save_ply", "verts", verts, 3)
    if faces is not None:
        check_indices("save_ply", "faces", faces, None)
    if verts_normals is not None:
        check_rows("save_ply", "verts_normals", verts_normals, 3)
        if num_rows(verts_normals) != num_rows(verts):
            expected, got = (num_rows(verts), 3), tuple(verts_normals.shape)
            raise ValueError(f"save_ply: verts_normals must have one row for each vertex, {expected}, got {got}")
    if not ascii and not is_path(f) and is_text_stream(f):
        raise TypeError(f"save_ply: f must be a path or a stream of bytes unless ascii is True, got {type(f).__name__}")

    if verts.numel() == 0:
        warnings.warn("save_ply: verts are empty", UserWarning, stacklevel=2)
        faces = None
    if faces is not None:
        warn_of_invalid_indices("save_ply", "faces", faces, len(verts))
    data = _native.io.save_ply(
        ascii=ascii,
        decimal_places=decimals,
        verts=tensor_to_bytes(verts, torch.float64),
        normals=None if verts_normals is None else tensor_to_bytes(verts_normals, torch.float64),
        faces=None if faces is None else tensor_to_bytes(faces, torch.int64),
    )
    write_file("save_ply", f, data, path_manager)
