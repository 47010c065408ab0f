# SPDX-License-Identifier: Apache-2.0
"""What formats can hold of the textures of one mesh; the rest is left out with a warning."""

import warnings

from torch import Tensor

from patina3d.renderer.mesh.textures import TexturesAtlas, TexturesBase, TexturesUV, TexturesVertex

__all__ = ["faces_colors", "single_map", "verts_colors", "warn_of_lost_textures"]


def verts_colors(textures: TexturesBase | None, channels: tuple[int, ...]) -> Tensor | None:
    """(V, C) on the CPU: the colours of vertices; None for other textures, or for a C that is not in ``channels``."""
    if not isinstance(textures, TexturesVertex):
        return None
    colors = textures.verts_features_packed()
    return colors.detach().cpu() if colors.shape[1] in channels else None


def faces_colors(textures: TexturesBase | None, channels: tuple[int, ...]) -> Tensor | None:
    """(F, C) on the CPU: the colours of an atlas of one cell a face; None as in :func:`verts_colors`."""
    if not isinstance(textures, TexturesAtlas) or textures.atlas_packed().shape[1:3] != (1, 1):
        return None
    colors = textures.atlas_packed().flatten(1)
    return colors.detach().cpu() if colors.shape[1] in channels else None


def single_map(operator: str, textures: TexturesBase | None) -> TexturesUV | None:
    """The textures, if they are one RGB map.

    Raises:
        ValueError: the map is not floating.
    """
    if not isinstance(textures, TexturesUV) or textures.maps_ids_list() is not None:
        return None
    image = textures.maps_list()[0]
    if image.shape[-1] != 3:
        return None
    if not image.is_floating_point():
        raise ValueError(f"{operator}: the map must be floating, values in [0, 1], got {image.dtype}")
    return textures


def warn_of_lost_textures(operator: str, textures: TexturesBase, format: str, *, stacklevel: int) -> None:
    """Say that textures are left out."""
    warnings.warn(
        f"{operator}: {textures!r} cannot be written as {format} has it; only the shape is",
        UserWarning,
        stacklevel=stacklevel + 1,
    )
