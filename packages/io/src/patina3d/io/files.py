# SPDX-License-Identifier: Apache-2.0
"""Paths, path managers and streams: what a reader or writer may be given."""

import os
from pathlib import Path
from typing import Any, Protocol, TypeAlias

__all__ = ["PathManager", "PathOrStr", "is_path", "read_bytes", "write_bytes"]

PathOrStr: TypeAlias = str | os.PathLike[str]


class PathManager(Protocol):
    """Opens names that are not local paths: an ``iopath.common.file_io.PathManager``, or anything with its ``open``."""

    def open(self, path: str, mode: str = "r") -> Any:
        """Open ``path`` as the built-in ``open`` does."""
        ...


def is_path(f: object) -> bool:
    """Whether ``f`` names a file, rather than being an open one."""
    return isinstance(f, str | bytes | os.PathLike)


def read_bytes(operator: str, f: Any, path_manager: PathManager | None) -> tuple[bytes, str]:
    """Read a whole file.

    Args:
        operator: who reads, for errors.
        f: a path, which is opened and closed, or an open stream of bytes or text, which stays open. Text becomes UTF-8.
        path_manager: opens ``f`` where it is a ``str``; None: the built-in ``open``.

    Returns:
        The bytes, and a name of the file for messages.
    """
    if is_path(f):
        with _open(f, "rb", path_manager) as stream:
            return stream.read(), os.fsdecode(f)
    if not hasattr(f, "read"):
        raise TypeError(f"{operator}: f must be a path or a readable stream, got {type(f).__name__}")
    data = f.read()
    name = getattr(f, "name", None)
    source = name if isinstance(name, str) else f"<{type(f).__name__}>"
    return data.encode("utf-8", "surrogateescape") if isinstance(data, str) else bytes(data), source


def write_bytes(operator: str, f: Any, data: bytes, path_manager: PathManager | None) -> None:
    """Write a whole file: the counterpart of :func:`read_bytes`; a text stream is given text."""
    if is_path(f):
        with _open(f, "wb", path_manager) as stream:
            stream.write(data)
    elif not hasattr(f, "write"):
        raise TypeError(f"{operator}: f must be a path or a writable stream, got {type(f).__name__}")
    elif hasattr(f, "encoding"):  # text streams alone have one, and so have wrappers of theirs
        f.write(data.decode("utf-8"))
    else:
        f.write(data)


def _open(f: str | bytes | os.PathLike[str], mode: str, path_manager: PathManager | None) -> Any:
    if isinstance(f, str) and path_manager is not None:
        return path_manager.open(f, mode)
    return Path(os.fsdecode(f)).open(mode)
