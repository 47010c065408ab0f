# SPDX-License-Identifier: Apache-2.0
"""Paths, path managers and streams: what a reader or writer may be given."""

import os
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias

__all__ = [
    "File",
    "LocalFiles",
    "PathManager",
    "PathOrStr",
    "folder_of",
    "is_path",
    "is_text_stream",
    "manager_beside",
    "read_file",
    "write_file",
]

PathOrStr: TypeAlias = str | os.PathLike[str]


class PathManager(Protocol):
    """Opens names that are not local paths: an ``iopath.common.file_io.PathManager``, or anything with its ``open``."""

    def open(self, path: str, mode: str = "r") -> Any:
        """Open ``path`` as the built-in ``open`` does."""
        ...


class LocalFiles:
    """The path manager of those who give none: strings are paths of this machine.

    Example:
        >>> from patina3d.io.pluggable import LocalFiles
        >>> with LocalFiles().open("a.txt", "w") as file:
        ...     file.write("hello")
        5
    """

    def open(self, path: str, mode: str = "r") -> Any:
        """Open ``path`` as the built-in ``open`` does."""
        return Path(path).open(mode)


class File(NamedTuple):
    """What was read."""

    data: bytes
    """All of it; text as UTF-8."""
    source: str
    """Its name for messages, which can be printed whatever bytes it has."""
    is_text: bool
    """Whether it came from a stream of text."""


def is_path(f: object) -> bool:
    """Whether ``f`` names a file, rather than being an open one."""
    return isinstance(f, str | bytes | os.PathLike)


def folder_of(f: object) -> str:
    """What to put before the names of files that lie beside ``f``: its folder with the separator, "" for a stream."""
    if not isinstance(f, str | bytes | os.PathLike):
        return ""
    path = os.fsdecode(f)
    return path.removesuffix(os.path.basename(path))


def manager_beside(f: object, path_manager: PathManager | None) -> PathManager | None:
    """What opens the files beside ``f``: the manager of ``f``, other than where ``f`` is a path that is no ``str``."""
    return None if is_path(f) and not isinstance(f, str) else path_manager


def is_text_stream(f: Any) -> bool:
    """Whether an open stream takes ``str``: such streams alone have an encoding, and so have wrappers of theirs."""
    return hasattr(f, "encoding")


def read_file(operator: str, f: Any, path_manager: PathManager | None) -> File:
    """Read a whole file.

    Args:
        operator: who reads, for errors.
        f: a path, which is opened and closed, or an open stream of bytes or text, which stays open.
        path_manager: opens ``f`` where it is a ``str``; None: the built-in ``open``.
    """
    if is_path(f):
        with _open(f, "rb", path_manager) as stream:
            return File(stream.read(), _printable(os.fsdecode(f)), is_text=False)
    if not hasattr(f, "read"):
        raise TypeError(f"{operator}: f must be a path or a readable stream, got {type(f).__name__}")
    data = f.read()
    name = getattr(f, "name", None)
    source = _printable(name) if isinstance(name, str) else f"<{type(f).__name__}>"
    if isinstance(data, str):
        return File(data.encode("utf-8", "surrogateescape"), source, is_text=True)
    return File(bytes(data), source, is_text=False)


def write_file(operator: str, f: Any, data: bytes, path_manager: PathManager | None) -> None:
    """Write a whole file: the counterpart of :func:`read_file`; a text stream is given text."""
    if is_path(f):
        with _open(f, "wb", path_manager) as stream:
            stream.write(data)
    elif not hasattr(f, "write"):
        raise TypeError(f"{operator}: f must be a path or a writable stream, got {type(f).__name__}")
    elif is_text_stream(f):
        f.write(data.decode("utf-8"))
    else:
        f.write(data)


def _open(f: str | bytes | os.PathLike[str], mode: str, path_manager: PathManager | None) -> Any:
    manager = path_manager if isinstance(f, str) and path_manager is not None else LocalFiles()
    return manager.open(os.fsdecode(f), mode)


def _printable(name: str) -> str:
    """A name whose bytes are no text has surrogates, which cannot be printed."""
    return name.encode("utf-8", "backslashreplace").decode()
