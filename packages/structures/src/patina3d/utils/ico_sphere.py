# SPDX-License-Identifier: Apache-2.0
"""Spheres of almost equal triangles."""

import torch
from torch import Tensor

from patina3d.common.datatypes import Device
from patina3d.structures.meshes import Meshes
from patina3d.structures.rows import gather_rows

__all__ = ["ico_sphere"]

_A, _B = 0.5257, 0.8507
_ICOSAHEDRON_VERTS = [
    [-_A, _B, 0], [_A, _B, 0], [-_A, -_B, 0], [_A, -_B, 0],
    [0, -_A, _B], [0, _A, _B], [0, -_A, -_B], [0, _A, -_B],
    [_B, 0, -_A], [_B, 0, _A], [-_B, 0, -_A], [-_B, 0, _A],
]  # fmt: skip
_ICOSAHEDRON_FACES = [
    [0, 11, 5], [0, 5, 1], [0, 1, 7], [0, 7, 10], [0, 10, 11],
    [1, 5, 9], [5, 11, 4], [11, 10, 2], [10, 7, 6], [7, 1, 8],
    [3, 9, 4], [3, 4, 2], [3, 2, 6], [3, 6, 8], [3, 8, 9],
    [4, 9, 5], [2, 4, 11], [6, 2, 10], [8, 6, 7], [9, 8, 1],
]  # fmt: skip


def ico_sphere(level: int = 0, device: Device | None = None) -> Meshes:
    """The unit sphere around the origin: an icosahedron whose faces are split in four ``level`` times.

    Each level puts the midpoint of every edge on the sphere, after the vertices there were, in the order of
    ``edges_packed``. Faces come in four blocks of the old number of faces: the three corners, then the middle.

    Args:
        level: number of subdivisions, >= 0.
        device: of the mesh; the CPU if None.

    Returns:
        One mesh without textures, float32: V = 10 4^level + 2, F = 20 4^level, seen from outside counter-clockwise.

    Raises:
        ValueError: the level is negative.

    Example:
        >>> ico_sphere(1)
        Meshes(N=1, verts=[42], faces=[80], dtype=float32, device=cpu)
    """
    if level < 0:
        raise ValueError(f"ico_sphere: level must be >= 0, got {level}")
    device = torch.device("cpu") if device is None else device
    verts = _on_sphere(torch.tensor(_ICOSAHEDRON_VERTS, dtype=torch.float32, device=device))
    faces = torch.tensor(_ICOSAHEDRON_FACES, dtype=torch.int64, device=device)
    for _ in range(level):
        mesh = Meshes([verts], [faces])
        corner0, corner1, corner2 = faces.unbind(1)
        # Midpoint k stands opposite corner k.
        middle0, middle1, middle2 = (mesh.faces_packed_to_edges_packed() + verts.shape[0]).unbind(1)
        verts = torch.cat([verts, _on_sphere(gather_rows(verts, mesh.edges_packed()).mean(1))])
        faces = torch.cat(
            [
                torch.stack([corner0, middle2, middle1], 1),
                torch.stack([corner1, middle0, middle2], 1),
                torch.stack([corner2, middle1, middle0], 1),
                torch.stack([middle0, middle1, middle2], 1),
            ]
        )
    return Meshes([verts], [faces])


def _on_sphere(verts: Tensor) -> Tensor:
    return verts / torch.linalg.vector_norm(verts, dim=1, keepdim=True)
