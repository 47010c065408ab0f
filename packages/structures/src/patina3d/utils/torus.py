# SPDX-License-Identifier: Apache-2.0
"""Tori."""

import torch

from patina3d.common.datatypes import Device
from patina3d.structures.meshes import Meshes

__all__ = ["torus"]


def torus(r: float, R: float, sides: int, rings: int, device: Device | None = None) -> Meshes:
    r"""A torus around the z axis.

    Vertex ``i * sides + j`` stands at

    .. math::
        ((R + r \cos\theta) \cos\phi,\ (R + r \cos\theta) \sin\phi,\ r \sin\theta), \qquad
        \phi = 2 \pi i / \text{rings}, \quad \theta = 2 \pi j / \text{sides}

    Args:
        r: radius of the tube.
        R: distance of the tube's centre from the axis.
        sides: vertices around the tube; below 3 the mesh is degenerate.
        rings: vertices around the axis; below 3 the mesh is degenerate.
        device: of the mesh; the CPU if None.

    Returns:
        One mesh without textures, float32: sides * rings vertices, twice as many faces, seen from outside
        counter-clockwise.

    Raises:
        ValueError: ``sides`` or ``rings`` below 1.

    Example:
        >>> torus(r=1.0, R=2.0, sides=4, rings=5)
        Meshes(N=1, verts=[20], faces=[40], dtype=float32, device=cpu)
    """
    for name, number in (("sides", sides), ("rings", rings)):
        if number < 1:
            raise ValueError(f"torus: {name} must be >= 1, got {number}")
    # In float64 on the CPU: the same vertices on every device.
    phi = (2 * torch.pi / rings * torch.arange(rings, dtype=torch.float64))[:, None]
    theta = 2 * torch.pi / sides * torch.arange(sides, dtype=torch.float64)
    from_axis = R + r * theta.cos()
    height = (r * theta.sin()).expand(rings, sides)
    verts = torch.stack([from_axis * phi.cos(), from_axis * phi.sin(), height], -1).reshape(-1, 3)

    ring, side = torch.arange(-1, rings - 1), torch.arange(-1, sides - 1)
    i0, i1 = (ring % rings * sides)[:, None], ((ring + 1) * sides)[:, None]
    j0, j1 = side % sides, side + 1
    first = torch.stack([i0 + j0, i1 + j0, i1 + j1], -1)
    second = torch.stack([i1 + j1, i0 + j1, i0 + j0], -1)
    faces = torch.stack([first, second], 2).reshape(-1, 3)
    return Meshes([verts.to(dtype=torch.float32, device=device)], [faces.to(device)])
