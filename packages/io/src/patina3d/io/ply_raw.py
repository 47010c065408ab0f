# SPDX-License-Identifier: Apache-2.0
"""All that a PLY file holds, without a meaning."""

from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from patina3d.core import _native
from patina3d.io.files import PathManager, read_file

__all__ = ["PlyHeader", "load_ply_raw", "open_ply"]

_DTYPES = {
    "char": np.int8,
    "uchar": np.uint8,
    "short": np.int16,
    "ushort": np.uint16,
    "int": np.int32,
    "uint": np.uint32,
    "float": np.float32,
    "double": np.float64,
}


class PlyHeader(NamedTuple):
    """What a PLY file says of itself, other than what its elements are."""

    ascii: bool
    """Whether the body is text."""
    big_endian: bool
    """Whether it is packed with the most significant byte first."""
    comments: list[str]
    """What follows each ``comment``; bytes other than UTF-8 are surrogate escapes."""
    obj_info: list[str]
    """What follows each ``obj_info``."""


def load_ply_raw(f: Any, path_manager: PathManager | None = None) -> tuple[PlyHeader, dict[str, Any]]:
    r"""Read everything in a PLY file: also elements and properties other than those of a mesh.

    Args:
        f: as in :func:`patina3d.io.load_ply`.
        path_manager: opens ``f`` where it is a ``str``.

    Returns:
        ``(header, elements)``. ``elements`` has the records of each element under its name, in the types that the file
        declares:

        - without lists: a list of arrays (records, properties), one for each run of properties of one type;
        - of one property, a list that is equally long in all records: an array (records, length);
        - of other lists: for each record a list of scalars and one-dimensional arrays;
        - without records: an empty list.

    Raises:
        FileNotFoundError: there is no such file.
        TypeError: ``f`` is neither a path nor a stream.
        ValueError: the file breaks the rules of the format, or it is binary but ``f`` is a stream of text.

    Example:
        >>> import io
        >>> from patina3d.io.ply_raw import load_ply_raw
        >>> text = "ply\nformat ascii 1.0\nelement splat 2\nproperty float opacity\nproperty int label\nend_header\n"
        >>> header, elements = load_ply_raw(io.StringIO(text + "0.5 7\n0.25 8\n"))
        >>> header.ascii, [array.tolist() for array in elements["splat"]]
        (True, [[[0.5], [0.25]], [[7], [8]]])
    """
    native, _ = open_ply(f, path_manager)
    ascii, big_endian = native.format()
    comments, obj_info = (
        [text.decode("utf-8", "surrogateescape") for text in texts] for texts in (native.comments(), native.obj_infos())
    )
    header = PlyHeader(ascii, big_endian, comments, obj_info)
    return header, {name: _records(native, name) for name in native.elements()}


def open_ply(f: Any, path_manager: PathManager | None) -> tuple[Any, str]:
    """The content of a file, column by column, and the name of the file for messages."""
    data, source, is_text = read_file("load_ply", f, path_manager)
    return _native.io.load_ply(data, source, is_text), source


def _records(native: Any, element: str) -> Any:
    if native.count(element) == 0:
        return []
    properties = native.properties(element)
    columns: list[Any] = [np.frombuffer(native.values(element, name), _DTYPES[kind]) for name, kind, _ in properties]
    if not any(is_list for _, _, is_list in properties):
        runs = groupby(zip(properties, columns, strict=True), key=lambda pair: pair[0][1])
        return [np.stack([column for _, column in run], axis=1) for _, run in runs]
    for i, (name, _, is_list) in enumerate(properties):
        if is_list:
            lengths = np.frombuffer(native.lengths(element, name), np.int64)
            if len(properties) == 1 and (lengths == lengths[0]).all():
                return columns[0].reshape(len(lengths), lengths[0])
            columns[i] = np.split(columns[i], lengths.cumsum()[:-1])
    return [list(record) for record in zip(*columns, strict=True)]
