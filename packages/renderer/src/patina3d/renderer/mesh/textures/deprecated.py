# SPDX-License-Identifier: Apache-2.0
"""The former name of all textures."""

import warnings
from collections.abc import Sequence

from torch import Tensor

from patina3d.renderer.mesh.textures.base import TexturesBase
from patina3d.renderer.mesh.textures.uv import TexturesUV
from patina3d.renderer.mesh.textures.vertex import TexturesVertex

__all__ = ["Textures"]


def Textures(
    maps: Tensor | Sequence[Tensor] | None = None,
    faces_uvs: Tensor | Sequence[Tensor] | None = None,
    verts_uvs: Tensor | Sequence[Tensor] | None = None,
    verts_rgb: Tensor | Sequence[Tensor] | None = None,
) -> TexturesBase:
    """Return `TexturesUV` of the first three, or `TexturesVertex`; deprecated (``PendingDeprecationWarning``).

    Raises:
        ValueError: neither all of the first three nor ``verts_rgb`` are given.
    """
    warnings.warn(
        "Textures is deprecated: use TexturesUV or TexturesVertex instead", PendingDeprecationWarning, stacklevel=2
    )
    if maps is not None and faces_uvs is not None and verts_uvs is not None:
        return TexturesUV(maps, faces_uvs, verts_uvs)
    if verts_rgb is not None:
        return TexturesVertex(verts_rgb)
    raise ValueError("Textures: give maps, faces_uvs and verts_uvs, or verts_rgb")
