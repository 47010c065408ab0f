# SPDX-License-Identifier: Apache-2.0
"""The materials of Wavefront OBJ files: MTL files, their images, and atlases made of both."""

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from patina3d.common.datatypes import Device
from patina3d.core import _native
from patina3d.io.files import PathManager, read_file
from patina3d.io.images import decode_image

__all__ = [
    "MaterialProperties",
    "TextureImages",
    "load_mtl",
    "make_material_atlas",
    "make_mesh_texture_atlas",
]

MaterialProperties: TypeAlias = dict[str, dict[str, Tensor]]
"""For each material, those of ``ambient_color``, ``diffuse_color``, ``specular_color`` ((3,) float32 each) and
``shininess`` ((1,) float32) that its file gives."""
TextureImages: TypeAlias = dict[str, Tensor]
"""For each material with an image, (H, W, 3) float32 in [0, 1], row 0 at the top."""

_PROPERTIES = ("ambient_color", "diffuse_color", "specular_color", "shininess")


def load_mtl(
    f: Any,
    *,
    material_names: Sequence[str],
    data_dir: str,
    device: Device = "cpu",
    path_manager: PathManager | None = None,
) -> tuple[MaterialProperties, TextureImages]:
    r"""Read the materials of an MTL file, and their images.

    Read are ``newmtl``, ``Ka``, ``Kd``, ``Ks``, ``Ns`` and ``map_Kd``; other statements are passed over, and so are the
    options of ``map_Kd``. Names of materials and files may hold blanks.

    Args:
        f: path (``str``, ``bytes``, ``os.PathLike``), or an open stream of bytes or text, which is not closed.
        material_names: the materials that are wanted; others are left out. Empty: the only one of the file.
        data_dir: folder that the names of images are relative to.
        device: where the tensors are put.
        path_manager: opens ``f``, where it is a ``str``, and the images.

    Returns:
        ``(material_properties, texture_images)``: two dicts by name, in the order of ``material_names``. A material
        without an image, or whose image is missing, has no entry in the second; materials that name one file share its
        tensor.

    Raises:
        FileNotFoundError: there is no file ``f``.
        TypeError: ``f`` is neither a path nor a stream.
        ValueError: a line that cannot be read: a name or a number that is missing, a property before the first
            ``newmtl``; an image that cannot be decoded; several materials while ``material_names`` is empty.

    Warns:
        UserWarning: an image cannot be opened, or asks for its coordinates to be scaled or moved, which is not done.

    Example:
        >>> import io
        >>> from patina3d.io.mtl_io import load_mtl
        >>> file = io.StringIO("newmtl red\nKd 1 0 0\nNs 50")
        >>> load_mtl(file, material_names=["red"], data_dir=".")[0]
        {'red': {'diffuse_color': tensor([1., 0., 0.]), 'shininess': tensor([50.])}}
    """
    names = [name for name in material_names if name]
    materials = read_materials(f, path_manager)
    return gather_materials("load_mtl", materials, names, data_dir, device, path_manager, stacklevel=3)


def read_materials(f: Any, path_manager: PathManager | None) -> dict[str, dict[str, Any]]:
    """All materials of a file by name: the properties that it gives, as plain numbers and bytes."""
    data, source, _ = read_file("load_mtl", f, path_manager)
    return {text_of(material["name"]): material for material in _native.io.load_mtl(data, source)}


def text_of(name: bytes) -> str:
    """A name in a file as text: UTF-8; other bytes survive the way back."""
    return name.decode("utf-8", "surrogateescape")


def _parse_mtl(
    f: Any, path_manager: PathManager | None, device: Device = "cpu"
) -> tuple[MaterialProperties, dict[str, str]]:
    """All materials of a file, and for those with an image the name of its file."""
    materials = read_materials(f, path_manager)
    properties = {name: _properties(material, device) for name, material in materials.items()}
    return properties, {
        name: text_of(material["diffuse_map"]) for name, material in materials.items() if "diffuse_map" in material
    }


def _properties(material: Mapping[str, Any], device: Device) -> dict[str, Tensor]:
    return {
        key: torch.tensor(material[key], dtype=torch.float32, device=device) for key in _PROPERTIES if key in material
    }


def gather_materials(
    operator: str,
    materials: Mapping[str, Mapping[str, Any]],
    names: Sequence[str],
    data_dir: str,
    device: Device,
    path_manager: PathManager | None,
    *,
    stacklevel: int,
) -> tuple[MaterialProperties, TextureImages]:
    """As :func:`load_mtl`, of materials that were read; ``stacklevel`` is that of warnings."""
    if not names:
        if len(materials) > 1:
            raise ValueError(
                f"{operator}: no face names a material, so there must be only one to choose, got {list(materials)}"
            )
        names = list(materials)
    properties: MaterialProperties = {}
    images: TextureImages = {}
    opened: dict[str, Tensor | None] = {}
    for name in names:
        if name not in materials:
            continue
        material = materials[name]
        properties[name] = _properties(material, device)
        if "diffuse_map" not in material:
            continue
        if material["diffuse_map_is_moved"]:
            options = text_of(material["diffuse_map_options"])
            warnings.warn(
                f"{operator}: material {name}: the options {options!r} of map_Kd are not applied",
                UserWarning,
                stacklevel=stacklevel,
            )
        path = os.path.join(data_dir, text_of(material["diffuse_map"]))
        if path not in opened:
            image = _open_image(operator, path, path_manager, stacklevel + 1)
            opened[path] = None if image is None else image.to(device)
        image = opened[path]
        if image is not None:
            images[name] = image
    return properties, images


def _open_image(operator: str, path: str, path_manager: PathManager | None, stacklevel: int) -> Tensor | None:
    reason: OSError | None = None
    # Programs on Windows write names with backslashes.
    for candidate in dict.fromkeys([path, path.replace("\\", "/")]):
        try:
            data, source, _ = read_file(operator, candidate, path_manager)
        except OSError as error:
            reason = error
            continue
        return decode_image(operator, data, source)
    warnings.warn(
        f"{operator}: Texture file does not exist or cannot be opened: {path}: {reason}",
        UserWarning,
        stacklevel=stacklevel,
    )
    return None


def make_mesh_texture_atlas(
    material_properties: Mapping[str, Mapping[str, Tensor]],
    texture_images: Mapping[str, Tensor],
    face_material_names: Sequence[str],
    faces_uvs: Tensor,
    verts_uvs: Tensor | None,
    texture_size: int,
    texture_wrap: str | None,
) -> Tensor:
    """A square of colours for each face.

    A face has the colour ``diffuse_color`` of its material, and where that has an image and the face has texture
    coordinates, the image in place of it (not their product). A face of no known material is white.

    Args:
        material_properties: by name of material.
        texture_images: by name of material, (H, W, 3), row 0 at the top.
        face_material_names: for each face the name of its material; any other name, such as "", stands for none.
        faces_uvs: (F, 3) integer indices into ``verts_uvs``; a face with an index outside it has none.
        verts_uvs: (T, 2) texture coordinates, v upwards; None: no face has any.
        texture_size: R, the side of a face's square, in cells.
        texture_wrap: where a place that is sampled lies outside the image: "repeat" takes the fraction of its
            coordinates, "clamp" the nearest place inside, None black.

    Returns:
        (F, R, R, 3) float32, on the device of ``faces_uvs``. Cell (row y, column x) shows the place with barycentric
        coordinates w0 = (x + 1/3) / R, w1 = (y + 1/3) / R if x + y < R, else w0 = (R - 1 - x + 2/3) / R,
        w1 = (R - 1 - y + 2/3) / R. Differentiable in the colours, images and ``verts_uvs``.

    Raises:
        ValueError: another ``texture_wrap``, a size below 1, or another number of names than faces.

    Warns:
        UserWarning: with "repeat", when a coordinate lies outside [0, 1].
    """
    check_atlas_options("make_mesh_texture_atlas", texture_size, texture_wrap)
    if len(face_material_names) != len(faces_uvs):
        raise ValueError(
            f"make_mesh_texture_atlas: face_material_names must have one name for each face, {len(faces_uvs)}, "
            f"got {len(face_material_names)}"
        )
    place = {name: i for i, name in enumerate(dict.fromkeys(map(str, face_material_names)))}
    materials_idx = torch.tensor([place[str(name)] for name in face_material_names], dtype=torch.int64)
    return sample_atlas(
        "make_mesh_texture_atlas",
        material_properties,
        texture_images,
        list(place),
        materials_idx.to(faces_uvs.device),
        faces_uvs,
        verts_uvs,
        texture_size,
        texture_wrap,
        stacklevel=3,
    )


def check_atlas_options(operator: str, size: int, wrap: str | None) -> None:
    """Refuse what no atlas can be made of."""
    if wrap not in ("repeat", "clamp", None):
        raise ValueError(f"{operator}: texture_wrap must be 'repeat', 'clamp' or None, got {wrap!r}")
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise ValueError(f"{operator}: the size of the atlas must be an integer of 1 or more, got {size!r}")


def sample_atlas(
    operator: str,
    properties: Mapping[str, Mapping[str, Tensor]],
    images: Mapping[str, Tensor],
    names: Sequence[str],
    materials_idx: Tensor,
    faces_uvs: Tensor,
    verts_uvs: Tensor | None,
    size: int,
    wrap: str | None,
    *,
    stacklevel: int,
) -> Tensor:
    """As :func:`make_mesh_texture_atlas`, with materials as (F,) indices into ``names``."""
    atlas = torch.ones((len(faces_uvs), size, size, 3), dtype=torch.float32, device=faces_uvs.device)
    # Those of no material, -1, come first.
    counts = torch.bincount(materials_idx + 1, minlength=len(names) + 1).tolist()
    faces_of = dict(zip(names, materials_idx.argsort(stable=True).split(counts)[1:], strict=True))
    for name, faces in faces_of.items():
        color = properties.get(name, {}).get("diffuse_color")
        if color is not None:
            atlas[faces] = color.to(atlas)
    if verts_uvs is None or not any(name in images for name in names):
        return atlas
    if wrap == "repeat" and bool(((verts_uvs < 0) | (verts_uvs > 1)).any()):
        warnings.warn(
            f"{operator}: texture coordinates lie outside [0, 1]; the image is repeated there (texture_wrap='repeat')",
            UserWarning,
            stacklevel=stacklevel,
        )
    elif wrap == "repeat":
        wrap = None  # 1.0 stays the far edge of the image
    has_uvs = ((faces_uvs >= 0) & (faces_uvs < len(verts_uvs))).all(dim=1)
    for name, faces in faces_of.items():
        if name in images:
            faces = faces[has_uvs[faces]]
            atlas[faces] = _material_atlas(images[name], verts_uvs[faces_uvs[faces]], size, wrap).to(atlas)
    return atlas


def make_material_atlas(image: Tensor, faces_verts_uvs: Tensor, texture_size: int) -> Tensor:
    """A square of colours for each face, from one image.

    Args:
        image: (H, W, C), row 0 at the top.
        faces_verts_uvs: (F, 3, 2) texture coordinates of the corners of each face; (0, 0) is the centre of the lower
            left pixel, (1, 1) that of the upper right one. What is outside the image is 0.
        texture_size: R.

    Returns:
        (F, R, R, C), sampled bilinearly at the places that :func:`make_mesh_texture_atlas` states. Differentiable in
        both tensors.

    Example:
        >>> import torch
        >>> from patina3d.io.mtl_io import make_material_atlas
        >>> image = torch.tensor([[[0.0], [1.0]]])
        >>> make_material_atlas(image, torch.tensor([[[0.0, 0.0], [1.0, 0.0], [0.5, 0.0]]]), 1)
        tensor([[[[0.5000]]]])
    """
    check_atlas_options("make_material_atlas", texture_size, None)
    return _material_atlas(image, faces_verts_uvs, texture_size, None)


def _material_atlas(image: Tensor, faces_verts_uvs: Tensor, size: int, wrap: str | None) -> Tensor:
    weights = _cell_weights(size).to(faces_verts_uvs)
    uv = weights @ faces_verts_uvs
    if wrap == "repeat":
        uv = torch.remainder(uv, 1)
    elif wrap == "clamp":
        uv = uv.clamp(0, 1)
    downwards = torch.stack([uv[..., 0], 1 - uv[..., 1]], dim=-1)
    return _bilinear_interpolation_grid_sample(image, downwards.view(len(uv), size, size, 2))


def _bilinear_interpolation_grid_sample(image: Tensor, grid: Tensor) -> Tensor:
    """An (H, W, C) image at (F, R, R, 2) places: (0, 0) is the centre of its first pixel, (1, 1) that of its last."""
    rows = (2 * grid - 1).flatten(1, 2)[None]
    channels = image.permute(2, 0, 1)[None].to(rows)
    cells = torch.nn.functional.grid_sample(channels, rows, padding_mode="zeros", align_corners=True)
    return cells[0].permute(1, 2, 0).reshape(*grid.shape[:3], image.shape[2])


_bilinear_interpolation_vectorized = _bilinear_interpolation_grid_sample


def _cell_weights(size: int) -> Tensor:
    """(R R, 3) float64: the barycentric coordinates that the cells of a face's square show, row by row."""
    cells = torch.arange(size, dtype=torch.float64)
    y, x = torch.meshgrid(cells, cells, indexing="ij")
    is_lower = x + y < size
    w0 = torch.where(is_lower, x + 1 / 3, size - 1 - x + 2 / 3) / size
    w1 = torch.where(is_lower, y + 1 / 3, size - 1 - y + 2 / 3) / size
    return torch.stack([w0, w1, 1 - w0 - w1], dim=-1).reshape(-1, 3)
