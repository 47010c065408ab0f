# SPDX-License-Identifier: Apache-2.0
"""The textures of meshes that Wavefront OBJ files describe."""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from patina3d.io.mtl_io import MaterialProperties, TextureImages
from patina3d.renderer.mesh.textures import TexturesAtlas, TexturesBase, TexturesUV, TexturesVertex

__all__ = ["Surface", "join_surfaces"]

_STRIPE = 3
"""Rows of a colour in a palette: samples in the middle one are clear of the neighbours."""


class Surface(NamedTuple):
    """What a file says of the looks of a mesh."""

    atlas: Tensor | None
    images: TextureImages
    properties: MaterialProperties
    names: list[str]
    materials_idx: Tensor
    textures_idx: Tensor
    verts_uvs: Tensor | None
    colors: Tensor | None

    @property
    def pictures(self) -> list[Tensor]:
        """The distinct images, in order of first use."""
        return list({id(self.images[name]): self.images[name] for name in self.names if name in self.images}.values())

    @property
    def has_uv_texture(self) -> bool:
        """Whether there is an image, and places in it."""
        return bool(self.images) and self.verts_uvs is not None


def join_surfaces(surfaces: Sequence[Surface], *, stacklevel: int) -> Sequence[TexturesBase | None]:
    """A texture for each surface, of one kind where that can be; ``stacklevel`` is that of a warning."""
    if any(surface.atlas is not None for surface in surfaces):
        return [None if surface.atlas is None else TexturesAtlas([surface.atlas]) for surface in surfaces]
    if any(surface.has_uv_texture for surface in surfaces):
        # A batch has stacks of images in all of its meshes or in none.
        stacked = any(len(surface.pictures) > 1 for surface in surfaces if surface.has_uv_texture)
        textures = []
        for surface in surfaces:
            texture = None
            if surface.has_uv_texture and surface.verts_uvs is not None:
                texture = _stack(surface, surface.verts_uvs) if stacked else _single(surface, surface.verts_uvs)
            textures.append(texture)
        return textures
    num_colored = sum(surface.colors is not None for surface in surfaces)
    if 0 < num_colored < len(surfaces):
        warnings.warn(
            f"load_objs_as_meshes: only {num_colored} of {len(surfaces)} files have vertex colours: none are kept",
            UserWarning,
            stacklevel=stacklevel,
        )
        return [None] * len(surfaces)
    return [None if surface.colors is None else TexturesVertex([_in_unit(surface.colors)]) for surface in surfaces]


def _in_unit(colors: Tensor) -> Tensor:
    """Colours in [0, 1]; bytes, which some programs write, are divided by 255."""
    are_bytes = (colors >= 0).all() & (colors <= 255).all() & (colors == colors.round()).all() & (colors > 1).any()
    return torch.where(are_bytes, colors / 255, colors)


def _faces_uvs(surface: Surface, num_uvs: int) -> Tensor:
    """Texture coordinates of faces, -1 for those that have none."""
    valid = ((surface.textures_idx >= 0) & (surface.textures_idx < num_uvs)).all(dim=1, keepdim=True)
    return torch.where(valid, surface.textures_idx, -1)


def _single(surface: Surface, verts_uvs: Tensor) -> TexturesUV:
    """The only image, for all faces."""
    return TexturesUV([surface.pictures[0]], [_faces_uvs(surface, len(verts_uvs))], [verts_uvs])


def _stack(surface: Surface, verts_uvs: Tensor) -> TexturesUV:
    """Each face with the image of its material, or with a colour where it has no image or no coordinates.

    All images have the size of the largest. The colours of materials are stripes of one more image.
    """
    pictures = surface.pictures
    faces_uvs = _faces_uvs(surface, len(verts_uvs))
    place = {id(picture): i for i, picture in enumerate(pictures)}
    white = pictures[0].new_ones(3)
    # The last entries are those of faces without a material, whose index is -1.
    map_of = [place[id(surface.images[name])] if name in surface.images else -1 for name in surface.names]
    map_of_material = torch.tensor([*map_of, -1], device=faces_uvs.device)
    colors = [surface.properties.get(name, {}).get("diffuse_color", white) for name in surface.names]
    palette = torch.stack([*colors, white]).to(white)

    maps_ids = map_of_material[surface.materials_idx]
    plain = (maps_ids < 0) | (faces_uvs[:, 0] < 0)
    maps_ids = torch.where(plain, len(pictures), maps_ids)
    material = torch.where(surface.materials_idx < 0, len(surface.names), surface.materials_idx)
    faces_uvs = torch.where(plain[:, None], len(verts_uvs) + material[:, None], faces_uvs)

    height = max(_STRIPE * len(palette), *(picture.shape[0] for picture in pictures))
    width = max(picture.shape[1] for picture in pictures)
    stripe = height // len(palette)
    rows = torch.arange(height, device=palette.device).div(stripe, rounding_mode="floor")
    stripes = palette[rows.clamp(max=len(palette) - 1)][:, None].expand(height, width, 3)
    middle = stripe * torch.arange(len(palette), device=palette.device) + stripe // 2
    middle_uvs = torch.stack([torch.full_like(middle, 0.5, dtype=verts_uvs.dtype), 1 - middle / (height - 1)], dim=1)
    maps = torch.stack([*(_resized(picture, height, width) for picture in pictures), stripes])
    return TexturesUV([maps], [faces_uvs], [torch.cat([verts_uvs, middle_uvs.to(verts_uvs)])], maps_ids=[maps_ids])


def _resized(picture: Tensor, height: int, width: int) -> Tensor:
    if picture.shape[:2] == (height, width):
        return picture
    channels = picture.permute(2, 0, 1)[None]
    resized = torch.nn.functional.interpolate(channels, (height, width), mode="bilinear", align_corners=True)
    return resized[0].permute(1, 2, 0)
