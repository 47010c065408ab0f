# SPDX-License-Identifier: Apache-2.0
"""What a file format is to :class:`patina3d.io.IO`: derive from these classes to add one of your own."""

import os
from pathlib import PurePath
from typing import Any

from patina3d.common.datatypes import Device
from patina3d.io.files import PathManager, PathOrStr, is_path
from patina3d.structures import Meshes, Pointclouds

__all__ = ["MeshFormatInterpreter", "PointcloudFormatInterpreter", "endswith"]


def endswith(path: PathOrStr, suffixes: tuple[str, ...]) -> bool:
    """Whether a file may be of a format with these suffixes.

    Args:
        path: a ``str`` or ``bytes`` must end with one of ``suffixes``; of a ``pathlib`` path or another
            ``os.PathLike``, what follows the last dot must be one of them. Case does not matter. An open stream may be
            of any format, as it need not have a name.
        suffixes: each with its dot.

    Example:
        >>> from pathlib import Path
        >>> from patina3d.io.pluggable_formats import endswith
        >>> endswith("a.PLY", (".ply",)), endswith(Path("a.ply.gz"), (".ply",))
        (True, False)
    """
    if isinstance(path, str | bytes):
        return os.fsdecode(path).lower().endswith(tuple(suffix.lower() for suffix in suffixes))
    if is_path(path):
        return PurePath(os.fsdecode(path)).suffix.lower() in {suffix.lower() for suffix in suffixes}
    return True


class MeshFormatInterpreter:
    """One file format of meshes.

    A class derived from this one sets ``known_suffixes`` and defines :meth:`read`, :meth:`save` or both. An object of
    it is added by :meth:`patina3d.io.IO.register_meshes_format`.

    Example:
        >>> import torch
        >>> from patina3d.io import IO
        >>> from patina3d.io.pluggable_formats import MeshFormatInterpreter, endswith
        >>> from patina3d.structures import Meshes
        >>> class TriangleFormat(MeshFormatInterpreter):
        ...     known_suffixes = (".triangle",)
        ...
        ...     def read(self, path, include_textures, device, path_manager, **kwargs):
        ...         if not endswith(path, self.known_suffixes):
        ...             return None
        ...         return Meshes([torch.eye(3, device=device)], [torch.tensor([[0, 1, 2]], device=device)])
        >>> io = IO()
        >>> io.register_meshes_format(TriangleFormat())
        >>> io.load_mesh("any.triangle").num_faces_per_mesh()
        tensor([1])
    """

    known_suffixes: tuple[str, ...] = ()
    """Endings of the names of such files, each with its dot."""

    def read(
        self, path: PathOrStr, include_textures: bool, device: Device, path_manager: PathManager, **kwargs: Any
    ) -> Meshes | None:
        """Read a file.

        Args:
            path: what was given to :meth:`patina3d.io.IO.load_mesh`.
            include_textures: whether the result is to have textures, where the file has them.
            device: where the result is put.
            path_manager: opens ``path`` where it is a ``str``.
            **kwargs: options of this format, and of others, which are passed over.

        Returns:
            The mesh; None if ``path`` is not of this format.
        """
        raise NotImplementedError(f"{type(self).__name__} does not read")

    def save(
        self, data: Meshes, path: PathOrStr, path_manager: PathManager, binary: bool | None, **kwargs: Any
    ) -> bool:
        """Write a file.

        Args:
            data: one mesh, i.e. a batch of length 1.
            path: what was given to :meth:`patina3d.io.IO.save_mesh`.
            path_manager: opens ``path`` where it is a ``str``.
            binary: whether to write the format's binary form; None: the format's own choice.
            **kwargs: options of this format, and of others, which are passed over.

        Returns:
            Whether ``path`` is of this format, and then was written.
        """
        raise NotImplementedError(f"{type(self).__name__} does not write")


class PointcloudFormatInterpreter:
    """One file format of point clouds: as :class:`MeshFormatInterpreter` is of meshes."""

    known_suffixes: tuple[str, ...] = ()
    """Endings of the names of such files, each with its dot."""

    def read(self, path: PathOrStr, device: Device, path_manager: PathManager, **kwargs: Any) -> Pointclouds | None:
        """Read a file: as :meth:`MeshFormatInterpreter.read`, without textures."""
        raise NotImplementedError(f"{type(self).__name__} does not read")

    def save(
        self, data: Pointclouds, path: PathOrStr, path_manager: PathManager, binary: bool | None, **kwargs: Any
    ) -> bool:
        """Write a file: as :meth:`MeshFormatInterpreter.save`."""
        raise NotImplementedError(f"{type(self).__name__} does not write")
