# SPDX-License-Identifier: Apache-2.0
"""PLY files, read as a mesh."""

import os
from typing import Any, NamedTuple

import torch
from torch import Tensor

from patina3d.io.arrays import tensor_from_bytes
from patina3d.io.files import PathManager
from patina3d.io.index_check import warn_of_invalid_indices
from patina3d.io.ply_raw import open_ply

__all__ = ["PlyMesh", "load_ply", "open_mesh"]

_POLYGON_NAMES = ("vertex_indices", "vertex_index")
_UV_NAMES = (["texture_u", "texture_v"], ["u", "v"], ["s", "t"])
_TEXTURE_COMMENT = b"TextureFile"


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
    file = open_mesh(f, path_manager)
    verts = file.positions()
    faces = file.triangles()
    warn_of_invalid_indices("load_ply", "faces", faces, len(verts))
    return verts, faces


def open_mesh(f: Any, path_manager: PathManager | None) -> "PlyMesh":
    """Read a file whole, whatever it holds."""
    return PlyMesh(*open_ply(f, path_manager))


class PlyMesh(NamedTuple):
    """A PLY file that was read, as a mesh."""

    native: Any
    source: str

    def positions(self) -> Tensor:
        """(V, 3) float32."""
        verts = self.vertex_rows(["x", "y", "z"])
        if verts is None:
            raise ValueError(
                f"load_ply: {self.source}: Invalid vertices in file: there must be an element vertex with the "
                "properties x, y and z, all scalars"
            )
        return verts

    def vertex_rows(self, names: list[str]) -> Tensor | None:
        """(V, len(names)) float32; None if there are no such properties, all scalars."""
        scalars = {name for name, _, is_list in self.native.properties("vertex") if not is_list}
        if not scalars.issuperset(names):
            return None
        return tensor_from_bytes(self.native.rows("vertex", names), torch.float32, len(names))

    def colors(self) -> Tensor | None:
        """(V, 3) float32; bytes are divided by 255."""
        names = ["red", "green", "blue"]
        colors = self.vertex_rows(names)
        types = {kind for name, kind, _ in self.native.properties("vertex") if name in names}
        return colors / 255 if colors is not None and types <= {"char", "uchar"} else colors

    def triangles(self) -> Tensor:
        """(F, 3) int64, in the order that :func:`load_ply` states."""
        return self._triangles(places=False)

    def _triangles(self, *, places: bool) -> Tensor:
        if self.native.count("face") == 0:
            return torch.empty((0, 3), dtype=torch.int64)
        triangles = self.native.triangles("face", self._polygons(), places=places)
        return tensor_from_bytes(triangles, torch.int64, 3)

    def _polygons(self) -> str:
        """The property that holds the corners of faces."""
        lists = [name for name, _, is_list in self.native.properties("face") if is_list]
        named = [name for name in _POLYGON_NAMES if name in lists] or lists
        if len(named) != 1:
            expected = "a list property vertex_indices or vertex_index, or only one of another name"
            raise ValueError(f"load_ply: {self.source}: the element face must have {expected}, got {lists}")
        return named[0]

    def texture_coordinates(self) -> tuple[Tensor, Tensor] | None:
        """``verts_uvs`` and ``faces_uvs``, of the vertices or else of the corners of faces."""
        for names in _UV_NAMES:
            uvs = self.vertex_rows(names)
            if uvs is not None:
                return uvs, self.triangles()
        has_lists = any(name == "texcoord" and is_list for name, _, is_list in self.native.properties("face"))
        if not has_lists or self.native.count("face") == 0:
            return None
        # Two numbers for each corner, in the order of the corners.
        sizes, lengths = (
            tensor_from_bytes(self.native.lengths("face", name), torch.int64) for name in (self._polygons(), "texcoord")
        )
        if not torch.equal(lengths, 2 * sizes):
            return None
        uvs = tensor_from_bytes(self.native.rows("face", ["texcoord"]), torch.float32, 2)
        return uvs, self._triangles(places=True)

    def texture_file(self) -> str | None:
        """The image that the last comment with ``TextureFile`` names: what follows it, or else the last word."""
        named = [comment for comment in self.native.comments() if _TEXTURE_COMMENT in comment]
        if not named:
            return None
        keyword, _, name = named[-1].partition(b" ")
        name = name.strip() if keyword == _TEXTURE_COMMENT and name.strip() else named[-1].split()[-1]
        return os.fsdecode(name)
