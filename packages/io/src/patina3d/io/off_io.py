# SPDX-License-Identifier: Apache-2.0
"""OFF files."""

import re
import warnings
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from patina3d.common.datatypes import Device
from patina3d.io.checks import checked_decimal_places
from patina3d.io.fans import fans
from patina3d.io.files import PathManager, PathOrStr, read_file, write_file
from patina3d.io.pluggable_formats import MeshFormatInterpreter, endswith
from patina3d.io.text_rows import Line, common_length, format_rows, lines_of, parsed
from patina3d.io.writable_textures import faces_colors, verts_colors, warn_of_lost_textures
from patina3d.renderer.mesh.textures import TexturesAtlas, TexturesBase, TexturesVertex
from patina3d.structures import Meshes

__all__ = ["MeshOffFormat"]

_KEYWORD = re.compile(r"([A-Za-z0-9]*)(OFF)", re.IGNORECASE)
_CHANNELS = (3, 4)
_PREFIXES = {"": 3, "C": 3, "N": 6, "CN": 6}
"""What may stand before OFF, and how many numbers a vertex has before its colour."""


class MeshOffFormat(MeshFormatInterpreter):
    r"""OFF as text, for :class:`patina3d.io.IO`, which knows it from the start.

    A file has an optional header word ``OFF``, ``COFF``, ``NOFF`` or ``CNOFF``, in any case; the numbers of vertices,
    faces and edges; a line for each vertex: position, normal (if there is an N), and maybe 3 or 4 numbers of colour;
    and a line for each face: how many corners, which, and maybe 3 or 4 numbers of colour. Colours that are all integers
    are divided by 255, others are as they stand. Comments begin with ``#``. Polygons become fans of triangles around
    their first corner.

    Colours of vertices are ``TexturesVertex``, colours of faces ``TexturesAtlas`` of one cell a face. Where there are
    both, those of faces are dropped with a warning.

    Source: Geomview manual, OFF: object file format.

    Example:
        >>> import io
        >>> from patina3d.io.off_io import MeshOffFormat
        >>> file = io.StringIO("OFF 4 1 0\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n4 0 1 2 3  255 0 0")
        >>> mesh = MeshOffFormat().read(file, include_textures=True, device="cpu", path_manager=None)
        >>> mesh.faces_packed(), mesh.textures.atlas_packed().shape
        (tensor([[0, 1, 2],
                [0, 2, 3]]), torch.Size([2, 1, 1, 3]))
    """

    def __init__(self) -> None:
        self.known_suffixes = (".off",)

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
            ValueError: the file breaks the rules above, or an index is outside the vertices; with file and line.
        """
        if not endswith(path, self.known_suffixes):
            return None
        data, source, _ = read_file("MeshOffFormat.read", path, path_manager)
        return _Reader(data, source).mesh(include_textures=include_textures).to(device)

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

        Colours are written as numbers from 0 to 1. The header word says what vertices have: C a colour, N a normal
        that the mesh was given.

        Args:
            data: one mesh.
            path: path, or open stream of text or bytes.
            path_manager: opens ``path`` where it is a ``str``.
            binary: None or False.
            decimal_places: digits after the decimal point of positions and normals; None: 6, as colours always have.
            **kwargs: passed over.

        Raises:
            ValueError: ``binary`` is True.

        Warns:
            UserWarning: textures of another kind than those that are read, or of other than 3 or 4 channels, are not
                written.
        """
        if not endswith(path, self.known_suffixes):
            return False
        if binary:
            raise ValueError("MeshOffFormat.save: binary must be None or False, as files are text, got True")
        decimals = checked_decimal_places("MeshOffFormat.save", decimal_places)
        write_file("MeshOffFormat.save", path, _text(data, decimals).encode(), path_manager)
        return True


class _Reader:
    """One file, from the header on.

    Args:
        data: its bytes.
        source: its name.
    """

    def __init__(self, data: bytes, source: str) -> None:
        self._source = source
        self._lines = list(lines_of(data, comment="#"))
        self._next = 0
        self._prefix = self._keyword()
        line = self._checked(self._take(1), 1, "header")[0]
        words = line.words
        if len(words) != 3:
            raise self._error(line, f"must be 3 numbers, of vertices, faces and edges, got {len(words)} words")
        self._num_verts, self._num_faces = parsed(int, [" ".join(words[:2])], [line], self._error)
        if self._num_verts < 0 or self._num_faces < 0:
            raise self._error(line, f"the numbers of vertices and faces must be >= 0, got {line.text}")

    def mesh(self, *, include_textures: bool) -> Meshes:
        """The rest of the file."""
        width = _PREFIXES[self._prefix]
        numbers, verts_colors = self._verts(width)
        faces, faces_colors = self._faces()
        if self._next < len(self._lines):
            line = self._lines[self._next]
            raise self._error(line, f"Extra data at end of file: it must end after {self._num_faces} faces")
        normals = [numbers[:, 3:6]] if width == 6 else None
        textures = self._textures(verts_colors, faces_colors) if include_textures else None
        return Meshes([numbers[:, :3]], [faces], textures, verts_normals=normals)

    def _keyword(self) -> str:
        """What stands before OFF, in capitals; leaves the counts as the next line."""
        if not self._lines:
            raise ValueError(f"MeshOffFormat.read: {self._source}: the file is empty")
        line = self._lines[0]
        match = _KEYWORD.match(line.text)
        if match is None:
            return ""
        prefix = match[1].upper()
        if prefix not in _PREFIXES or match[0] == "nOFF":
            raise self._error(line, f"must be OFF, COFF, NOFF or CNOFF, got {match[0]!r}")
        rest = line.text[match.end() :].strip()
        if rest.upper().startswith("BINARY"):
            raise self._error(line, "binary OFF is not read")
        if rest:
            self._lines[0] = Line(line.number, rest)
        else:
            self._next = 1
        return prefix

    def _verts(self, width: int) -> tuple[Tensor, Tensor | None]:
        """(V, width) numbers, and the colours of the vertices."""
        lines = self._take(self._num_verts)
        total = len(lines[0].words) if lines else width
        channels = total - width
        is_sound = channels in (0, *_CHANNELS) and common_length(lines) is not None
        for line in () if is_sound else lines:
            if len(line.words) != total:
                message = f"Wrong number of columns: a vertex must have {total} numbers as the first has"
                raise self._error(line, f"{message}, got {len(line.words)}")
            if channels not in (0, 3, 4):
                widths = f"{width}, {width + 3} or {width + 4}"
                raise self._error(line, f"Bad vertex data: a vertex must have {widths} numbers, got {total}")
        self._checked(lines, self._num_verts, "vertex")
        texts = [line.text for line in lines]
        numbers = torch.tensor(parsed(float, texts, lines, self._error), dtype=torch.float64).view(len(lines), total)
        colors = None
        if channels:
            colors = _colors(numbers[:, width:], (word for text in texts for word in text.split()[width:]))
        return numbers[:, :width].float(), colors

    def _faces(self) -> tuple[Tensor, Tensor | None]:
        """(F, 3) triangles, and their colours."""
        lines = self._checked(self._take(self._num_faces), self._num_faces, "face")
        corners = self._uncolored_corners(lines)
        if corners is not None:
            return fans(corners.reshape(-1), torch.full((len(corners),), corners.shape[1]))[0], None
        # Line by line, which tells where something is wrong.
        sizes = parsed(float, [line.text.split(None, 1)[0] for line in lines], lines, self._error)
        channels, counts, corners, rest = 0, [], [], []
        for line, size in zip(lines, sizes, strict=True):
            words = line.words
            if size < 3:
                raise self._error(line, f"Faces must have at least 3 vertices, got {size:g}")
            found = len(words) - 1 - size
            if found < 0:
                problem = "A line of face data did not have the specified length"
                raise self._error(line, f"{problem}: {size:g} vertices expected, got {len(words) - 1}")
            expected = f"{channels}, as of the first face" if counts else "0, 3 or 4"
            if found not in ((channels,) if counts else (0, 3, 4)):
                raise self._error(line, f"Unexpected number of colors: must be {expected}, got {found:g}")
            channels = int(found)
            end = 1 + int(size)
            counts.append(int(size))
            corners.append(" ".join(words[1:end]))
            rest.append(" ".join(words[end:]))
        indices = parsed(int, corners, lines, self._error)
        if indices and not (min(indices) >= 0 and max(indices) < self._num_verts):
            for line, text in zip(lines, corners, strict=True):
                if not all(0 <= int(word) < self._num_verts for word in text.split()):
                    raise self._error(line, f"indices must be in [0, {self._num_verts}), got {text}")
        faces, polygon = fans(torch.tensor(indices, dtype=torch.int64), torch.tensor(counts, dtype=torch.int64))
        if not channels:
            return faces, None
        numbers = torch.tensor(parsed(float, rest, lines, self._error), dtype=torch.float64).view(len(lines), channels)
        return faces, _colors(numbers, (word for text in rest for word in text.split()))[polygon]

    def _uncolored_corners(self, lines: list[Line]) -> Tensor | None:
        """(F, K) corners of faces that all have K and no colours; None where they are not so, or something is wrong."""
        length = common_length(lines)
        joined = " ".join(line.text for line in lines)
        if length is None or length < 4 or "_" in joined or not joined.isascii():
            return None
        try:
            rows = torch.tensor(list(map(int, joined.split()))).view(len(lines), length)
        except (ValueError, OverflowError, RuntimeError):
            return None
        corners = rows[:, 1:]
        is_sound = (rows[:, 0] == length - 1).all() & (corners >= 0).all() & (corners < self._num_verts).all()
        return corners if bool(is_sound) else None

    def _textures(self, verts_colors: Tensor | None, faces_colors: Tensor | None) -> TexturesBase | None:
        if verts_colors is not None:
            if faces_colors is not None:
                warnings.warn(
                    f"MeshOffFormat.read: {self._source}: Faces colors ignored because vertex colors provided too.",
                    UserWarning,
                    stacklevel=5,
                )
            return TexturesVertex([verts_colors])
        return None if faces_colors is None else TexturesAtlas([faces_colors[:, None, None]])

    def _take(self, count: int) -> list[Line]:
        """The next lines, or those that are left."""
        lines = self._lines[self._next : self._next + count]
        self._next += count
        return lines

    def _checked(self, lines: list[Line], count: int, what: str) -> list[Line]:
        """The lines; the file must not end before as many as there should be."""
        if len(lines) < count:
            problem = f"Not enough {what} data: {count} lines expected, got {len(lines)}"
            raise ValueError(f"MeshOffFormat.read: {self._source}: {problem}")
        return lines

    def _error(self, line: Line, message: str) -> ValueError:
        return ValueError(f"MeshOffFormat.read: {self._source}, line {line.number}: {message}")


def _colors(numbers: Tensor, words: Iterable[str]) -> Tensor:
    """(R, C) colours from 0 to 1, out of numbers and how they are written."""
    are_integers = all(word.lstrip("+-").isdigit() for word in words)
    return (numbers / 255 if are_integers else numbers).float()


def _text(mesh: Meshes, decimals: int) -> str:
    verts, corners = mesh.verts_packed(), mesh.faces_packed().cpu()
    textures, given = mesh.textures, mesh._given_normals()
    parts, keyword, number = [verts], "OFF", f"%.{decimals}f"
    if given is not None:
        parts.append(given.as_packed())
        keyword = "NOFF"
    forms = [number] * sum(part.shape[1] for part in parts)
    of_verts, of_faces = verts_colors(textures, _CHANNELS), faces_colors(textures, _CHANNELS)
    if of_verts is not None:
        parts.append(of_verts)
        # Whole numbers would be read as bytes.
        forms += ["%f"] * of_verts.shape[1]
        keyword = f"C{keyword}"
    elif of_faces is None and textures is not None:
        warn_of_lost_textures("MeshOffFormat.save", textures, "OFF", stacklevel=4)
    rows = torch.cat([part.detach().cpu().double() for part in parts], dim=1)
    text = f"{keyword}\n{len(verts)} {len(corners)} 0\n" + format_rows(" ".join(forms) + "\n", rows)
    if of_faces is None:
        return text + format_rows("3 %d %d %d\n", corners)
    form = "3 %d %d %d" + " %f" * of_faces.shape[1] + "\n"
    return text + format_rows(form, torch.cat([corners.double(), of_faces.double()], dim=1))
