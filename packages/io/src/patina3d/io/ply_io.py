# SPDX-License-Identifier: Apache-2.0
"""PLY files."""

import os
import warnings
from typing import Any

from patina3d.common.datatypes import Device
from patina3d.io.files import PathManager, PathOrStr, folder_of, manager_beside, read_file, write_file
from patina3d.io.images import decode_image
from patina3d.io.index_check import warn_of_invalid_indices
from patina3d.io.pluggable_formats import MeshFormatInterpreter, PointcloudFormatInterpreter, endswith
from patina3d.io.ply_raw import load_ply_raw
from patina3d.io.ply_reading import PlyMesh, load_ply, open_mesh
from patina3d.io.ply_writing import encode_ply, save_ply
from patina3d.renderer.mesh.textures import TexturesBase, TexturesUV, TexturesVertex
from patina3d.structures import Meshes, Pointclouds

__all__ = ["MeshPlyFormat", "PointcloudPlyFormat", "load_ply", "save_ply"]

_load_ply_raw = load_ply_raw


class MeshPlyFormat(MeshFormatInterpreter):
    """PLY files as meshes, for :class:`patina3d.io.IO`."""

    def __init__(self) -> None:
        self.known_suffixes = (".ply",)

    def read(
        self, path: PathOrStr, include_textures: bool, device: Device, path_manager: PathManager, **kwargs: Any
    ) -> Meshes | None:
        """Read a mesh: what :func:`load_ply` reads, and normals and textures.

        Properties ``nx``, ``ny`` and ``nz`` of the vertices are its normals. With ``include_textures``, ``red``,
        ``green`` and ``blue`` are a ``TexturesVertex`` (bytes are divided by 255, other types are taken as they are;
        ``alpha`` is passed over). Without colours, texture coordinates and a comment ``TextureFile NAME`` are a
        ``TexturesUV`` with the image of that name in the folder of the file; the coordinates are ``texture_u`` and
        ``texture_v``, ``u`` and ``v``, or ``s`` and ``t`` of the vertices, or else the lists ``texcoord`` of the faces.

        Returns:
            None if ``path`` is not named as a PLY file.

        Raises:
            FileNotFoundError: there is no such file, or not the image that it names.
            ValueError: as in :func:`load_ply`, or the image cannot be decoded.
        """
        if not endswith(path, self.known_suffixes):
            return None
        file = open_mesh(path, path_manager)
        verts, faces = file.positions(), file.triangles()
        warn_of_invalid_indices("load_ply", "faces", faces, len(verts))
        normals = file.vertex_rows(["nx", "ny", "nz"])
        return Meshes(
            verts=[verts.to(device)],
            faces=[faces.to(device)],
            textures=_textures(file, path, device, path_manager) if include_textures else None,
            verts_normals=None if normals is None else [normals.to(device)],
        )

    def save(
        self,
        data: Meshes,
        path: PathOrStr,
        path_manager: PathManager,
        binary: bool | None,
        decimal_places: int | None = None,
        colors_as_uint8: bool = False,
        **kwargs: Any,
    ) -> bool:
        """Write a mesh: its vertices, faces, normals if it was given some, and the colours of a ``TexturesVertex``.

        Args:
            data: one mesh.
            path: where to.
            path_manager: opens ``path`` where it is a ``str``.
            binary: None and True: packed in the byte order of this machine; False: text.
            decimal_places: as in :func:`save_ply`.
            colors_as_uint8: write colours as bytes, clamped to [0, 1] and rounded, rather than as floats.
            **kwargs: not used.

        Returns:
            False if ``path`` is not named as a PLY file.

        Warns:
            UserWarning: the mesh has another texture, or colours of other than 3 channels, which are left out; and as
                in :func:`save_ply`.
        """
        if not endswith(path, self.known_suffixes):
            return False
        textures, colors = data.textures, None
        if isinstance(textures, TexturesVertex):
            colors = textures.verts_features_packed()
            if colors.shape[1] != 3:
                _warn_of_loss(f"it has {colors.shape[1]} colors, not 3.")
                colors = None
        elif textures is not None:
            _warn_of_loss(f"it is a {type(textures).__name__}, not a TexturesVertex.")
        normals = data._given_normals()
        encoded = encode_ply(
            "MeshPlyFormat",
            data.verts_list()[0],
            data.faces_list()[0],
            None if normals is None else data.verts_normals_list()[0],
            colors,
            ascii=binary is False,
            decimal_places=decimal_places,
            colors_as_uint8=colors_as_uint8,
            stacklevel=3,
        )
        write_file("MeshPlyFormat", path, encoded, path_manager)
        return True


def _warn_of_loss(reason: str) -> None:
    warnings.warn(f"MeshPlyFormat: Texture will not be saved as {reason}", UserWarning, stacklevel=3)


def _textures(file: PlyMesh, path: PathOrStr, device: Device, path_manager: PathManager) -> TexturesBase | None:
    colors = file.colors()
    if colors is not None:
        return TexturesVertex([colors.to(device)])
    name, coordinates = file.texture_file(), file.texture_coordinates()
    if name is None or coordinates is None:
        return None
    image_path = os.path.join(folder_of(path), name)
    data, source, _ = read_file("load_ply", image_path, manager_beside(path, path_manager))
    image = decode_image("load_ply", data, source)
    verts_uvs, faces_uvs = coordinates
    return TexturesUV([image.to(device)], [faces_uvs.to(device)], [verts_uvs.to(device)])


class PointcloudPlyFormat(PointcloudFormatInterpreter):
    """PLY files as point clouds, for :class:`patina3d.io.IO`."""

    def __init__(self) -> None:
        self.known_suffixes = (".ply",)

    def read(self, path: PathOrStr, device: Device, path_manager: PathManager, **kwargs: Any) -> Pointclouds | None:
        """Read a cloud: the vertices of a file, with normals and colours as in :meth:`MeshPlyFormat.read`.

        Returns:
            A cloud whose features are the colours, if there are any; None if ``path`` is not named as a PLY file.
        """
        if not endswith(path, self.known_suffixes):
            return None
        file = open_mesh(path, path_manager)
        points, normals, colors = file.positions(), file.vertex_rows(["nx", "ny", "nz"]), file.colors()
        return Pointclouds(
            points=[points.to(device)],
            normals=None if normals is None else [normals.to(device)],
            features=None if colors is None else [colors.to(device)],
        )

    def save(
        self,
        data: Pointclouds,
        path: PathOrStr,
        path_manager: PathManager,
        binary: bool | None,
        decimal_places: int | None = None,
        colors_as_uint8: bool = False,
        **kwargs: Any,
    ) -> bool:
        """Write a cloud: its points, normals and features, which must be colours of 3 channels.

        Args:
            data: one cloud.
            path: where to.
            path_manager: opens ``path`` where it is a ``str``.
            binary: as in :meth:`MeshPlyFormat.save`.
            decimal_places: as in :func:`save_ply`.
            colors_as_uint8: as in :meth:`MeshPlyFormat.save`.
            **kwargs: not used.

        Returns:
            False if ``path`` is not named as a PLY file.

        Raises:
            ValueError: features of other than 3 channels.
        """
        if not endswith(path, self.known_suffixes):
            return False
        points, normals, features = data.points_list()[0], data.normals_packed(), data.features_packed()
        if features is not None and features.shape[1] != 3:
            raise ValueError(
                f"PointcloudPlyFormat: features must be colours of 3 channels to be written, got {features.shape[1]}"
            )
        encoded = encode_ply(
            "PointcloudPlyFormat",
            points,
            None,
            normals,
            features,
            ascii=binary is False,
            decimal_places=decimal_places,
            colors_as_uint8=colors_as_uint8,
            stacklevel=3,
        )
        write_file("PointcloudPlyFormat", path, encoded, path_manager)
        return True
