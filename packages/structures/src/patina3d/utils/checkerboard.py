# SPDX-License-Identifier: Apache-2.0
"""A board of squares in two colours."""

import torch

from patina3d.common.datatypes import Device
from patina3d.structures.meshes import Meshes

__all__ = ["checkerboard"]


def checkerboard(
    radius: int = 4,
    color1: tuple[float, ...] = (0.0, 0.0, 0.0),
    color2: tuple[float, ...] = (1.0, 1.0, 1.0),
    device: Device | None = None,
) -> Meshes:
    """A checkerboard of unit squares in the plane z = 0, over [-radius, radius] in x and y, seen from +z.

    Vertices come row by row, y outer, x inner, ascending. The square with lower left vertex v has the faces
    (v, v + 1, v + n + 1) and (v, v + n + 1, v + n), n = 2 radius + 1, one after the other.

    Args:
        radius: squares from the centre to a side, >= 1.
        color1: of the square in the lower left, and of all whose row and column sum to an even number.
        color2: of the others.
        device: of the mesh; the CPU if None.

    Returns:
        One mesh, float32, of (2 radius + 1)^2 vertices and 8 radius^2 faces, with ``TexturesAtlas`` of one cell a face.

    Raises:
        ValueError: ``radius`` is below 1, or the colours have not equally many channels.
        ImportError: patina3d-renderer is not installed.

    Example:
        >>> checkerboard(1)
        Meshes(N=1, verts=[9], faces=[8], dtype=float32, device=cpu, textures=TexturesAtlas)
        >>> checkerboard(1).textures.atlas_packed()[:, 0, 0, 0]
        tensor([0., 0., 1., 1., 1., 1., 0., 0.])
    """
    if radius < 1:
        raise ValueError(f"checkerboard: radius must be >= 1, got {radius}")
    if len(color1) != len(color2):
        raise ValueError(
            f"checkerboard: color1 and color2 must have equally many channels, got {len(color1)} and {len(color2)}"
        )
    try:
        from patina3d.renderer import TexturesAtlas
    except ModuleNotFoundError as error:
        raise ImportError("checkerboard needs patina3d-renderer for its textures") from error
    device = torch.device("cpu") if device is None else device
    ticks = torch.arange(-radius, radius + 1, dtype=torch.float32, device=device)
    y, x = torch.meshgrid(ticks, ticks, indexing="ij")
    verts = torch.stack([x, y, torch.zeros_like(x)], dim=-1).reshape(-1, 3)
    row, column = torch.meshgrid(*[torch.arange(2 * radius, device=device)] * 2, indexing="ij")
    n = 2 * radius + 1
    corner = row * n + column
    first = torch.stack([corner, corner + 1, corner + n + 1], dim=-1)
    second = torch.stack([corner, corner + n + 1, corner + n], dim=-1)
    faces = torch.stack([first, second], dim=2).reshape(-1, 3)
    colors = torch.tensor([color1, color2], dtype=torch.float32, device=device)
    of_faces = colors[((row + column) % 2).reshape(-1)].repeat_interleave(2, dim=0)
    return Meshes([verts], [faces], TexturesAtlas([of_faces[:, None, None]]))
