# SPDX-License-Identifier: Apache-2.0
"""One reader and writer for all formats."""

import copy
import os
from collections import deque
from collections.abc import Iterable
from typing import Any

from patina3d.common.datatypes import Device
from patina3d.io.experimental_gltf_io import MeshGlbFormat
from patina3d.io.files import LocalFiles, PathManager, PathOrStr, is_path
from patina3d.io.obj_io import MeshObjFormat
from patina3d.io.off_io import MeshOffFormat
from patina3d.io.pluggable_formats import MeshFormatInterpreter, PointcloudFormatInterpreter
from patina3d.io.ply_io import MeshPlyFormat, PointcloudPlyFormat
from patina3d.io.stl_io import MeshStlFormat
from patina3d.io.usd_io import MeshUsdFormat
from patina3d.structures import Meshes, Pointclouds

__all__ = ["IO", "LocalFiles"]


class IO:
    """Reads and writes meshes and point clouds in whichever format the name of the file says.

    Known from the start are, for meshes, PLY, OFF, OBJ, glTF (``.gltf`` and ``.glb``), STL and USD (with the package
    usd-core), and for point clouds PLY; ``docs/io/formats.md`` compares them. More are added with
    :meth:`register_meshes_format` and :meth:`register_pointcloud_format`. The format registered last is asked first.

    An open stream has no suffix, so that it is taken by the format that is asked first: PLY, unless one was registered.

    Args:
        include_default_formats: whether to know the formats named above.
        path_manager: opens paths that are ``str``, e.g. an iopath ``PathManager``, or anything else with a method
            ``open(path, mode)``; None: files of this machine.

    Attributes:
        mesh_interpreters: deque of the formats of meshes, in the order in which they are asked.
        pointcloud_interpreters: the same of point clouds.
        path_manager: what was given, else a :class:`LocalFiles`.

    Example:
        >>> from patina3d.io import IO
        >>> from patina3d.utils import ico_sphere
        >>> IO().save_mesh(ico_sphere(1), "sphere.ply")
        >>> IO().load_mesh("sphere.ply")
        Meshes(N=1, verts=[42], faces=[80], dtype=float32, device=cpu)
        >>> IO().load_mesh("sphere.doc")
        Traceback (most recent call last):
        ValueError: IO.load_mesh: No mesh interpreter found to read sphere.doc: known are .ply, .off, .obj, .glb, ...
    """

    def __init__(self, include_default_formats: bool = True, path_manager: PathManager | None = None) -> None:
        self.mesh_interpreters: deque[MeshFormatInterpreter] = deque()
        self.pointcloud_interpreters: deque[PointcloudFormatInterpreter] = deque()
        self.path_manager: PathManager = LocalFiles() if path_manager is None else path_manager
        if include_default_formats:
            self.register_default_formats()

    def register_default_formats(self) -> None:
        """Add the formats that come with this package, in front of those that are there."""
        for interpreter in (
            MeshUsdFormat(),
            MeshStlFormat(),
            MeshGlbFormat(),
            MeshObjFormat(),
            MeshOffFormat(),
            MeshPlyFormat(),
        ):
            self.register_meshes_format(interpreter)
        self.register_pointcloud_format(PointcloudPlyFormat())

    def register_meshes_format(self, interpreter: MeshFormatInterpreter) -> None:
        """Add a format of meshes, in front of those that are there.

        Raises:
            ValueError: ``interpreter`` is not a :class:`patina3d.io.MeshFormatInterpreter`.
        """
        _check_interpreter("IO.register_meshes_format", interpreter, MeshFormatInterpreter)
        self.mesh_interpreters.appendleft(interpreter)

    def register_pointcloud_format(self, interpreter: PointcloudFormatInterpreter) -> None:
        """Add a format of point clouds, in front of those that are there.

        Raises:
            ValueError: ``interpreter`` is not a :class:`patina3d.io.PointcloudFormatInterpreter`.
        """
        _check_interpreter("IO.register_pointcloud_format", interpreter, PointcloudFormatInterpreter)
        self.pointcloud_interpreters.appendleft(interpreter)

    def load_mesh(
        self, path: PathOrStr, include_textures: bool = True, device: Device = "cpu", **kwargs: Any
    ) -> Meshes:
        """Read one mesh.

        Args:
            path: ``str``, ``bytes`` or ``os.PathLike``, or an open stream, which is not closed.
            include_textures: whether the result has textures, where the file and its format have them.
            device: where the result is put.
            **kwargs: options of the format, such as ``create_texture_atlas`` of OBJ; those of others are passed over.

        Returns:
            A batch of one mesh. A file with several meshes gives all of them as one.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: no format takes ``path``, or the one that does cannot read it.
        """
        for interpreter in _that_can(self.mesh_interpreters, "read", MeshFormatInterpreter):
            mesh = interpreter.read(
                path, include_textures=include_textures, device=device, path_manager=self.path_manager, **kwargs
            )
            if mesh is not None:
                return mesh
        raise _unknown(
            "IO.load_mesh",
            "mesh interpreter found to read",
            path,
            _that_can(self.mesh_interpreters, "read", MeshFormatInterpreter),
        )

    def save_mesh(
        self,
        data: Meshes,
        path: PathOrStr,
        binary: bool | None = None,
        include_textures: bool = True,
        **kwargs: Any,
    ) -> None:
        """Write one mesh.

        Args:
            data: a batch of one mesh.
            path: ``str``, ``bytes`` or ``os.PathLike``, or an open stream, which is not closed.
            binary: whether to write the binary form of a format that has two; None: the format's own choice.
            include_textures: whether to write the textures, where the format has them.
            **kwargs: options of the format, such as ``decimal_places``; those of others are passed over.

        Raises:
            ValueError: ``data`` is not a batch of one mesh, no format takes ``path``, or the one that does cannot hold
                ``data``.
        """
        if not isinstance(data, Meshes) or len(data) != 1:
            raise ValueError(f"IO.save_mesh: data must be a Meshes of length 1, got {_described(data)}")
        if not include_textures and data.textures is not None:
            data = copy.copy(data)
            data.textures = None
        for interpreter in _that_can(self.mesh_interpreters, "save", MeshFormatInterpreter):
            if interpreter.save(data, path, path_manager=self.path_manager, binary=binary, **kwargs):
                return
        raise _unknown(
            "IO.save_mesh",
            "mesh interpreter found to write to",
            path,
            _that_can(self.mesh_interpreters, "save", MeshFormatInterpreter),
        )

    def load_pointcloud(self, path: PathOrStr, device: Device = "cpu", **kwargs: Any) -> Pointclouds:
        """Read one point cloud: as :meth:`load_mesh`.

        Returns:
            A batch of one cloud.
        """
        for interpreter in _that_can(self.pointcloud_interpreters, "read", PointcloudFormatInterpreter):
            cloud = interpreter.read(path, device=device, path_manager=self.path_manager, **kwargs)
            if cloud is not None:
                return cloud
        known = _that_can(self.pointcloud_interpreters, "read", PointcloudFormatInterpreter)
        raise _unknown("IO.load_pointcloud", "point cloud interpreter found to read", path, known)

    def save_pointcloud(self, data: Pointclouds, path: PathOrStr, binary: bool | None = None, **kwargs: Any) -> None:
        """Write one point cloud: as :meth:`save_mesh`, with a ``Pointclouds`` of length 1."""
        if not isinstance(data, Pointclouds) or len(data) != 1:
            raise ValueError(f"IO.save_pointcloud: data must be a Pointclouds of length 1, got {_described(data)}")
        for interpreter in _that_can(self.pointcloud_interpreters, "save", PointcloudFormatInterpreter):
            if interpreter.save(data, path, path_manager=self.path_manager, binary=binary, **kwargs):
                return
        known = _that_can(self.pointcloud_interpreters, "save", PointcloudFormatInterpreter)
        raise _unknown("IO.save_pointcloud", "point cloud interpreter found to write to", path, known)


def _check_interpreter(operator: str, interpreter: object, base: type) -> None:
    if not isinstance(interpreter, base):
        raise ValueError(f"{operator}: interpreter must be a {base.__name__}, got {type(interpreter).__name__}")


def _that_can(interpreters: Iterable[Any], method: str, base: type) -> list[Any]:
    """Those that define ``method``: a format may be read only, or written only."""
    return [each for each in interpreters if getattr(type(each), method) is not getattr(base, method)]


def _unknown(operator: str, missing: str, path: object, interpreters: Iterable[Any]) -> ValueError:
    known = ", ".join(dict.fromkeys(suffix for each in interpreters for suffix in each.known_suffixes))
    name = os.fsdecode(path) if is_path(path) else f"<{type(path).__name__}>"  # pyright: ignore[reportArgumentType]
    return ValueError(f"{operator}: No {missing} {name}: known are {known or 'none'}")


def _described(data: object) -> str:
    length = f" of length {len(data)}" if isinstance(data, Meshes | Pointclouds) else ""
    return type(data).__name__ + length
