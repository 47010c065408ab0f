# SPDX-License-Identifier: Apache-2.0
"""Wavefront OBJ files."""

import warnings
from collections.abc import Sequence
from typing import Any

from patina3d.common.datatypes import Device
from patina3d.io.files import PathManager, PathOrStr, is_path
from patina3d.io.obj_reading import Content, Faces, Options, Properties, load_obj, read_content
from patina3d.io.obj_textures import Surface, join_surfaces
from patina3d.io.obj_writing import save_obj
from patina3d.io.pluggable_formats import MeshFormatInterpreter, endswith
from patina3d.renderer.mesh.textures import TexturesUV, TexturesVertex
from patina3d.structures import Meshes, join_meshes_as_batch

__all__ = ["Faces", "MeshObjFormat", "Properties", "load_obj", "load_objs_as_meshes", "save_obj"]


def load_objs_as_meshes(
    files: Sequence[Any],
    device: Device | None = None,
    load_textures: bool = True,
    create_texture_atlas: bool = False,
    texture_atlas_size: int = 4,
    texture_wrap: str | None = "repeat",
    path_manager: PathManager | None = None,
) -> Meshes:
    r"""Read OBJ files into one batch of meshes.

    Each mesh has the texture that its file gives: with ``create_texture_atlas`` a ``TexturesAtlas``; else, if an image
    was loaded and there are texture coordinates, a ``TexturesUV``; else, if every vertex has a colour (three more
    numbers behind its position, as many programs write), a ``TexturesVertex``. Of a single image the ``TexturesUV``
    covers all faces. Of several, each face has the image of its material, and where it has none, the colour.

    Args:
        files: what :func:`load_obj` accepts, one for each mesh.
        device: where the meshes are put; None: the CPU.
        load_textures: give the meshes textures, other than an atlas; see :func:`load_obj` too.
        create_texture_atlas: as in :func:`load_obj`.
        texture_atlas_size: as in :func:`load_obj`.
        texture_wrap: as in :func:`load_obj`.
        path_manager: as in :func:`load_obj`.

    Returns:
        A ``Meshes`` of ``len(files)`` meshes in the given order. The normals and the colours of materials are not kept:
        ``Meshes`` computes its own normals.

    Raises:
        TypeError: ``files`` is a single path.
        ValueError: files with and without a texture, vertex colours aside; and as in :func:`load_obj`.
        FileNotFoundError: as in :func:`load_obj`.

    Warns:
        UserWarning: some files have vertex colours and others have not, so that all go without; and as in
            :func:`load_obj`.

    Example:
        >>> import io
        >>> from patina3d.io import load_objs_as_meshes
        >>> triangle = "v 0 0 0 1 0 0\nv 1 0 0 0 1 0\nv 0 1 0 0 0 1\nf 1 2 3"
        >>> meshes = load_objs_as_meshes([io.StringIO(triangle), io.StringIO(triangle)])
        >>> meshes.num_faces_per_mesh(), type(meshes.textures).__name__
        (tensor([1, 1]), 'TexturesVertex')
    """
    if is_path(files):
        raise TypeError(f"load_objs_as_meshes: files must be a list of paths or streams, got {type(files).__name__}")
    options = Options(load_textures, create_texture_atlas, texture_atlas_size, texture_wrap)
    target = device if device is not None else "cpu"
    contents: list[Content] = []
    for f in files:  # a comprehension would be one more frame for warnings, in some versions of Python
        contents.append(read_content(f, options, target, path_manager, stacklevel=4))
    textures = join_surfaces(
        [
            Surface(
                content.aux.texture_atlas,
                content.aux.texture_images or {},
                content.aux.material_colors or {},
                content.material_names,
                content.faces.materials_idx,
                content.faces.textures_idx,
                content.aux.verts_uvs,
                content.colors if load_textures else None,
            )
            for content in contents
        ],
        stacklevel=3,
    )
    meshes = [
        Meshes(verts=[content.verts], faces=[content.faces.verts_idx], textures=texture)
        for content, texture in zip(contents, textures, strict=True)
    ]
    return meshes[0] if len(meshes) == 1 else join_meshes_as_batch(meshes)


class MeshObjFormat(MeshFormatInterpreter):
    """Wavefront OBJ files for :class:`patina3d.io.IO`."""

    def __init__(self) -> None:
        self.known_suffixes = (".obj",)

    def read(
        self,
        path: PathOrStr,
        include_textures: bool,
        device: Device,
        path_manager: PathManager,
        create_texture_atlas: bool = False,
        texture_atlas_size: int = 4,
        texture_wrap: str | None = "repeat",
        **kwargs: Any,
    ) -> Meshes | None:
        """Read a mesh as :func:`load_objs_as_meshes` does; without textures unless ``include_textures``.

        Returns:
            None if ``path`` is not named as an OBJ file.
        """
        if not endswith(path, self.known_suffixes):
            return None
        return load_objs_as_meshes(
            [path],
            device=device,
            load_textures=include_textures,
            create_texture_atlas=create_texture_atlas and include_textures,
            texture_atlas_size=texture_atlas_size,
            texture_wrap=texture_wrap,
            path_manager=path_manager,
        )

    def save(
        self,
        data: Meshes,
        path: PathOrStr,
        path_manager: PathManager,
        binary: bool | None,
        decimal_places: int | None = None,
        **kwargs: Any,
    ) -> bool:
        """Write a mesh as :func:`save_obj` does.

        A ``TexturesUV`` of one map of RGB is written with its image; a ``TexturesVertex`` of three channels as colours
        behind the positions. Normals are not written: readers compute them.

        Returns:
            False if ``path`` is not named as an OBJ file.

        Warns:
            UserWarning: the mesh has another texture, which is left out; and as in :func:`save_obj`.
        """
        if not endswith(path, self.known_suffixes):
            return False
        textures, parts = data.textures, {}
        if (
            isinstance(textures, TexturesUV)
            and textures.maps_ids_padded() is None
            and textures.maps_list()[0].shape[-1] == 3
        ):
            parts["verts_uvs"] = textures.verts_uvs_list()[0]
            parts["faces_uvs"] = textures.faces_uvs_list()[0]
            parts["texture_map"] = textures.maps_list()[0]
        elif isinstance(textures, TexturesVertex) and textures.verts_features_packed().shape[1] == 3:
            parts["verts_colors"] = textures.verts_features_packed()
        elif textures is not None:
            warnings.warn(
                "MeshObjFormat: only a TexturesUV of one RGB map and a TexturesVertex of 3 channels can be written to "
                f"OBJ; the {type(textures).__name__} is left out",
                UserWarning,
                stacklevel=2,
            )
        verts, faces = data.verts_list()[0], data.faces_list()[0]
        save_obj(path, verts, faces, decimal_places, path_manager, **parts)
        return True
