# SPDX-License-Identifier: Apache-2.0
"""STL files."""

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from patina3d.common.datatypes import Device
from patina3d.io.checks import checked_decimal_places
from patina3d.io.files import PathManager, PathOrStr, is_path, is_text_stream, read_file, write_file
from patina3d.io.pluggable_formats import MeshFormatInterpreter, endswith
from patina3d.io.text_rows import Line, format_rows, lines_of, parsed
from patina3d.structures import Meshes

__all__ = ["MeshStlFormat"]

_HEADER = 80
_FACET = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_EXACT = "%.9g"  # nine digits tell all float32 apart


class MeshStlFormat(MeshFormatInterpreter):
    """STL, binary and ASCII, for :class:`patina3d.io.IO`, which knows it from the start.

    A file is a list of triangles, each with its own corners. Corners that are equal become one vertex, in the order of
    their first occurrence, and no others: nothing is rounded. Several solids in a file become one mesh. The normals in
    the file, names and attribute bytes are passed over: the outside of a triangle is where its corners run
    counter-clockwise.

    Source: StereoLithography Interface Specification, 3D Systems, 1988.

    Example:
        >>> import io
        >>> from patina3d.io.stl_io import MeshStlFormat
        >>> from patina3d.utils import ico_sphere
        >>> file = io.BytesIO()
        >>> MeshStlFormat().save(ico_sphere(0), file, path_manager=None, binary=True)
        True
        >>> file.seek(0)
        0
        >>> MeshStlFormat().read(file, include_textures=True, device="cpu", path_manager=None)
        Meshes(N=1, verts=[12], faces=[20], dtype=float32, device=cpu)
    """

    def __init__(self) -> None:
        self.known_suffixes = (".stl",)

    def read(
        self,
        path: PathOrStr,
        include_textures: bool,
        device: Device,
        path_manager: PathManager | None,
        **kwargs: Any,
    ) -> Meshes | None:
        """See :meth:`patina3d.io.MeshFormatInterpreter.read`.

        Raises:
            ValueError: a file that ends too early, or a line of an ASCII file that is not what must stand there.
        """
        if not endswith(path, self.known_suffixes):
            return None
        data, source, _ = read_file("MeshStlFormat.read", path, path_manager)
        corners = _ascii_corners(data, source) if _is_ascii(data) else _binary_corners(data, source)
        verts, faces = _merged(corners)
        return Meshes([verts], [faces]).to(device)

    def save(
        self,
        data: Meshes,
        path: PathOrStr,
        path_manager: PathManager | None,
        binary: bool | None,
        decimal_places: int | None = None,
        **kwargs: Any,
    ) -> bool:
        """See :meth:`patina3d.io.MeshFormatInterpreter.save`.

        The file holds the corners of the faces as float32, and the faces' own normals (0 where a face has no area).

        Args:
            data: one mesh.
            path: path, or open stream: of bytes, or of text if ``binary`` is False.
            path_manager: opens ``path`` where it is a ``str``.
            binary: None and True: binary; False: ASCII.
            decimal_places: digits after the decimal point in ASCII; None: as many digits as tell all float32 apart.
            **kwargs: passed over.

        Raises:
            TypeError: ``path`` is a stream of text, but ``binary`` is not False.

        Warns:
            UserWarning: textures are not written.
        """
        if not endswith(path, self.known_suffixes):
            return False
        is_binary = binary is not False
        if is_binary and not is_path(path) and is_text_stream(path):
            raise TypeError("MeshStlFormat.save: path must be a stream of bytes unless binary is False")
        if data.textures is not None:
            warnings.warn("MeshStlFormat.save: STL has no textures; only the shape is written", stacklevel=3)
        number = _EXACT
        if decimal_places is not None:
            number = f"%.{checked_decimal_places('MeshStlFormat.save', decimal_places)}f"
        corners = data.verts_packed().detach().cpu().float()[data.faces_packed().cpu()]
        normals = data.faces_normals_packed().detach().cpu().float()
        contents = _binary(corners, normals) if is_binary else _ascii(corners, normals, number)
        write_file("MeshStlFormat.save", path, contents, path_manager)
        return True


def _is_ascii(data: bytes) -> bool:
    """Whether the file begins like text, has no NUL, and not the length that it would have as a binary one."""
    if data[:5].lower() != b"solid" and data.lstrip()[:5].lower() != b"solid":
        return False
    return b"\0" not in data and (len(data) < _HEADER + 4 or len(data) != _binary_length(data))


def _binary_length(data: bytes) -> int:
    return _HEADER + 4 + int.from_bytes(data[_HEADER : _HEADER + 4], "little") * _FACET.itemsize


def _binary_corners(data: bytes, source: str) -> NDArray[np.float32]:
    if len(data) < _HEADER + 4:
        raise ValueError(
            f"MeshStlFormat.read: {source}: must begin with 'solid', or with a header of {_HEADER + 4} bytes, "
            f"got {len(data)} bytes"
        )
    if len(data) < _binary_length(data):
        raise ValueError(
            f"MeshStlFormat.read: {source}: must have {_binary_length(data)} bytes, as its header says, got {len(data)}"
        )
    count = int.from_bytes(data[_HEADER : _HEADER + 4], "little")
    return np.frombuffer(data, _FACET, count, _HEADER + 4)["corners"].reshape(-1, 3)


# The words of a facet, and None for its numbers.
_FACET_WORDS = (
    *(b"facet", b"normal", None, None, None, b"outer", b"loop"),
    *(b"vertex", None, None, None) * 3,
    *(b"endloop", b"endfacet"),
)


def _plain_ascii_corners(data: bytes) -> NDArray[np.float32] | None:
    """The corners of a file of one solid, whose facets are all there; None where it is not so plain."""
    _, newline, rest = data.lower().partition(b"\n")
    body, end, name = rest.rpartition(b"endsolid")
    if not newline or not end or b"\n" in name.rstrip() or b"_" in body or data[:5].lower() != b"solid":
        return None
    words, width = body.split(), len(_FACET_WORDS)
    count = len(words) // width
    if len(words) != count * width or any(
        word is not None and words[i::width].count(word) != count for i, word in enumerate(_FACET_WORDS)
    ):
        return None
    corners = np.empty((count, 9), np.float64)
    try:
        for column, place in enumerate((8, 9, 10, 12, 13, 14, 16, 17, 18)):
            corners[:, column] = list(map(float, words[place::width]))
    except ValueError:
        return None
    return corners.astype(np.float32).reshape(-1, 3)


def _ascii_corners(data: bytes, source: str) -> NDArray[np.float32]:
    plain = _plain_ascii_corners(data)
    if plain is not None:
        return plain

    # Line by line, which tells where something is wrong.
    def error(line: Line, message: str) -> ValueError:
        return ValueError(f"MeshStlFormat.read: {source}, line {line.number}: {message}")

    # What must stand at each step of a facet; names and normals may follow.
    steps = ("facet", "outer", "vertex", "vertex", "vertex", "endloop", "endfacet")
    step, is_open, found = 0, False, []
    line = Line(1, "")
    for line in lines_of(data):
        word = line.text.split(None, 1)[0].lower()
        if step == 0 and word == ("endsolid" if is_open else "solid"):
            is_open = not is_open
        elif is_open and word == steps[step]:
            if word == "vertex":
                if len(line.words) != 4:
                    raise error(line, f"a vertex must have 3 numbers, got {len(line.words) - 1}")
                found.append(line)
            step = (step + 1) % len(steps)
        else:
            expected = "solid" if not is_open else steps[step] if step else "facet or endsolid"
            raise error(line, f"must begin with {expected}, got {line.words[0][:40]!r}")
    if is_open:
        raise error(line, "the file ends inside a solid")
    numbers = parsed(float, [each.text[len("vertex") :] for each in found], found, error)
    return np.array(numbers, dtype=np.float64).astype(np.float32).reshape(-1, 3)


def _merged(corners: NDArray[np.float32]) -> tuple[Tensor, Tensor]:
    """(V, 3) the distinct corners, by first occurrence, and (F, 3) the triangles."""
    # Adding zero makes -0 and 0 the same bits; nan is the same as itself.
    bits = np.ascontiguousarray(corners + np.float32(0)).view(np.uint32)
    order = np.lexsort(bits.T)  # stable: the first of equal corners comes first
    is_new = np.ones(len(order), dtype=bool)
    is_new[1:] = (bits[order[1:]] != bits[order[:-1]]).any(axis=1)
    first = order[is_new]
    by_occurrence = np.argsort(first)
    rank = np.empty_like(by_occurrence)
    rank[by_occurrence] = np.arange(len(first))
    vertex = np.empty_like(order)
    vertex[order] = rank[np.cumsum(is_new) - 1]
    verts = corners[first[by_occurrence]].astype(np.float32)
    return torch.from_numpy(verts), torch.from_numpy(vertex.astype(np.int64)).view(-1, 3)


def _binary(corners: Tensor, normals: Tensor) -> bytes:
    facets = np.zeros(len(corners), _FACET)
    facets["normal"], facets["corners"] = normals.numpy(), corners.numpy()
    header = b"binary STL of patina3d".ljust(_HEADER)
    return header + len(corners).to_bytes(4, "little") + facets.tobytes()


def _ascii(corners: Tensor, normals: Tensor, number: str) -> bytes:
    row = " ".join([number] * 3)
    form = f"facet normal {row}\nouter loop\n" + f"vertex {row}\n" * 3 + "endloop\nendfacet\n"
    rows = torch.cat([normals, corners.flatten(1)], dim=1)
    return f"solid mesh\n{format_rows(form, rows)}endsolid mesh\n".encode()
