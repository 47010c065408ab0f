# SPDX-License-Identifier: Apache-2.0
"""USD files, by the package usd-core."""

import os
import tempfile
from pathlib import Path
from typing import Any

import torch

from patina3d.common.datatypes import Device
from patina3d.io.files import (
    PathManager,
    PathOrStr,
    folder_of,
    is_path,
    is_text_stream,
    manager_beside,
    read_file,
    write_file,
)
from patina3d.io.joining import with_textures_of_one_kind
from patina3d.io.pluggable_formats import MeshFormatInterpreter, endswith
from patina3d.io.usd.library import errors_of_usd, pxr
from patina3d.io.usd.reading import frame, opened_stage, stage_meshes
from patina3d.io.usd.writing import stage_of
from patina3d.structures import Meshes, join_meshes_as_scene

__all__ = ["MeshUsdFormat"]

_UP_AXES = ("Y", "Z")


class MeshUsdFormat(MeshFormatInterpreter):
    """USD, for :class:`patina3d.io.IO`, which knows it from the start; it needs the package usd-core.

    ``pip install 'patina3d-io[usd]'`` installs that too. Without it, reading and writing are a ``ModuleNotFoundError``
    that says so.

    All meshes of the stage that are visible and have the purpose "default" or "render" are read as one, in world space,
    at the earliest time of each value. Polygons become fans of triangles around their first corner; subdivision
    surfaces are read as their control meshes. Normals of vertices are read.

    Textures are the image of the bound UsdPreviewSurface (times its scale, plus its bias) with its coordinates (moved
    by a UsdTransform2d), as ``TexturesUV`` whose 0 and 1 are the edges of the image (``align_corners=False``); else the
    primvar displayColor: ``TexturesVertex``, or ``TexturesAtlas`` of one cell a face for colours of faces, or
    ``TexturesUV`` for colours of corners; else the surface's colour. Where meshes have textures of several kinds, they
    are first given one kind that shows the same.

    Source: OpenUSD, UsdGeomMesh and UsdPreviewSurface.
    """

    def __init__(self) -> None:
        self.known_suffixes = (".usda", ".usdc", ".usdz", ".usd")

    def read(
        self,
        path: PathOrStr,
        include_textures: bool,
        device: Device,
        path_manager: PathManager | None,
        *,
        up_axis: str | None = None,
        meters_per_unit: float | None = None,
        **kwargs: Any,
    ) -> Meshes | None:
        """See :meth:`patina3d.io.MeshFormatInterpreter.read`.

        Args:
            path: path, or open stream of bytes. Layers and images beside a file are found if it is one of this machine.
            include_textures: whether the mesh has textures.
            device: where it is put.
            path_manager: opens ``path`` where it is a ``str`` and not a file of this machine.
            up_axis: "Y" or "Z": turn the mesh so that this axis is up, whatever the file says; None: as in the file.
            meters_per_unit: scale the mesh to this unit, e.g. 1.0 for metres; None: the file's unit.
            **kwargs: passed over.

        Raises:
            ValueError: the file is damaged, or its arrays do not fit together; or an option is none of those above.
        """
        if not endswith(path, self.known_suffixes):
            return None
        _check_frame("MeshUsdFormat.read", up_axis, meters_per_unit, optional=True)
        pxr("Usd")
        if is_path(path) and os.path.isfile(path):
            mesh = _read(os.fsdecode(path), os.fsdecode(path), up_axis, meters_per_unit, include_textures)
            return mesh.to(device)
        data, source, _ = read_file("MeshUsdFormat.read", path, path_manager)
        with tempfile.TemporaryDirectory() as folder:
            # The library knows a zip archive by its name, and the other kinds by their first bytes.
            local = os.path.join(folder, "mesh.usdz" if data[:2] == b"PK" else "mesh.usd")
            Path(local).write_bytes(data)
            return _read(local, source, up_axis, meters_per_unit, include_textures).to(device)

    def save(
        self,
        data: Meshes,
        path: PathOrStr,
        path_manager: PathManager | None,
        binary: bool | None,
        *,
        up_axis: str = "Y",
        meters_per_unit: float = 1.0,
        **kwargs: Any,
    ) -> bool:
        """See :meth:`patina3d.io.MeshFormatInterpreter.save`.

        One mesh prim is written, in float32: points, faces, given normals; colours of ``TexturesVertex``, and of a
        ``TexturesAtlas`` with one cell a face, as displayColor; ``TexturesUV`` as the primvar st and a
        UsdPreviewSurface with an 8-bit PNG, which stands beside the file under the same name, or in the ``.usdz``.

        Args:
            data: one mesh.
            path: ``.usda`` text, ``.usdc`` binary, ``.usdz`` an archive, ``.usd`` and streams as ``binary`` says.
            path_manager: opens ``path``, and the image beside it, where it is a ``str``.
            binary: None and True: binary where there is a choice; False: text.
            up_axis: "Y" or "Z", which the file says of the mesh. Coordinates are written as they are.
            meters_per_unit: likewise.
            **kwargs: passed over.

        Raises:
            ValueError: ``binary`` is not what the suffix says, a map is to go beside a stream, or an option is none of
                those above.
            TypeError: ``path`` is a stream of text, but ``binary`` is not False.

        Warns:
            UserWarning: textures of another kind are not written: an atlas with more cells, colours or a map with other
                than 3 channels, several maps.
        """
        if not endswith(path, self.known_suffixes):
            return False
        _check_frame("MeshUsdFormat.save", up_axis, meters_per_unit, optional=False)
        suffix = _written_suffix(path, binary)
        beside = "map.png"
        if is_path(path) and suffix != ".usdz":
            beside = os.path.splitext(os.path.basename(os.fsdecode(path)))[0] + ".png"
        with tempfile.TemporaryDirectory() as folder, errors_of_usd("MeshUsdFormat.save"):
            stage, image = stage_of(data, f"./{beside}", up_axis=up_axis, meters_per_unit=float(meters_per_unit))
            if image is not None and not is_path(path):
                raise ValueError(
                    f"MeshUsdFormat.save: a map needs a path to be written beside, got {type(path).__name__}"
                )
            local = os.path.join(folder, "mesh.usdc" if suffix == ".usdz" else f"mesh{suffix}")
            stage.GetRootLayer().Export(local)
            if suffix == ".usdz":
                if image is not None:
                    Path(folder, beside).write_bytes(image)
                    image = None
                archive = os.path.join(folder, "mesh.usdz")
                if not pxr("UsdUtils").CreateNewUsdzPackage(local, archive):
                    raise ValueError("MeshUsdFormat.save: the archive could not be made")
                local = archive
            contents = Path(local).read_bytes()
        write_file("MeshUsdFormat.save", path, contents, path_manager)
        if image is not None:
            write_file("MeshUsdFormat.save", folder_of(path) + beside, image, manager_beside(path, path_manager))
        return True


def _read(path: str, source: str, up_axis: str | None, meters_per_unit: float | None, include_textures: bool) -> Meshes:
    where = f"MeshUsdFormat.read: {source}"
    stage = opened_stage(path, where)
    meshes = stage_meshes(stage, where, include_textures=include_textures)
    mesh = join_meshes_as_scene(with_textures_of_one_kind(meshes))
    if up_axis is None and meters_per_unit is None:
        return mesh
    up, unit = frame(stage, where)
    matrix = torch.eye(3, dtype=torch.float64)
    if up_axis is not None and up != up_axis:
        # Rows are the old axes: what was up becomes up, x stays.
        matrix = torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]], dtype=torch.float64)
        matrix = matrix if up_axis == "Z" else matrix.T
    scale = 1.0 if meters_per_unit is None else unit / meters_per_unit
    verts = (mesh.verts_packed().double() @ matrix * scale).float()
    given = mesh._given_normals()
    normals = None if given is None else [(given.as_packed().double() @ matrix).float()]
    return Meshes([verts], [mesh.faces_packed()], mesh.textures, verts_normals=normals)


def _check_frame(operator: str, up_axis: str | None, meters_per_unit: float | None, *, optional: bool) -> None:
    """``optional``: whether None is allowed."""
    if up_axis not in _UP_AXES and not (optional and up_axis is None):
        raise ValueError(f"{operator}: up_axis must be 'Y' or 'Z', got {up_axis!r}")
    if meters_per_unit is None:
        if not optional:
            raise ValueError(f"{operator}: meters_per_unit must be positive, got None")
    elif not 0 < meters_per_unit < float("inf"):
        raise ValueError(f"{operator}: meters_per_unit must be positive, got {meters_per_unit!r}")


def _written_suffix(path: Any, binary: bool | None) -> str:
    """Which of ".usda", ".usdc" and ".usdz" to write."""
    chosen = ".usda" if binary is False else ".usdc"
    if not is_path(path):
        if chosen == ".usdc" and is_text_stream(path):
            raise TypeError("MeshUsdFormat.save: path must be a stream of bytes unless binary is False")
        return chosen
    suffix = os.path.splitext(os.fsdecode(path))[1].lower()
    if suffix == ".usd":
        return chosen
    if binary is not None and binary == (suffix == ".usda"):
        raise ValueError(
            f"MeshUsdFormat.save: binary must be None or {not binary} for {os.fsdecode(path)}, got {binary}"
        )
    return suffix
