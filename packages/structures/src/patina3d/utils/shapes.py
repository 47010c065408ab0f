# SPDX-License-Identifier: Apache-2.0
"""Procedural shapes by name: something to look at without a file."""

import math
from collections.abc import Callable

import torch

from patina3d.common.datatypes import Device
from patina3d.structures.meshes import Meshes
from patina3d.utils.ico_sphere import ico_sphere
from patina3d.utils.torus import torus

__all__ = ["SHAPES", "shape"]


def _sphere(device: Device | None) -> Meshes:
    return ico_sphere(4, device)


def _torus(device: Device | None) -> Meshes:
    return torus(r=0.35, R=0.8, sides=32, rings=64, device=device)


def _blob(device: Device | None) -> Meshes:
    """A sphere with three waves across it: smooth, closed, without symmetry."""
    sphere = ico_sphere(4, device)
    x, y, z = sphere.verts_packed().unbind(-1)
    radius = (
        1 + 0.25 * torch.sin(3 * x + 1) * torch.cos(2 * y) + 0.2 * torch.sin(4 * z + 2 * x) + 0.1 * torch.cos(5 * y - z)
    )
    return sphere.update_padded((radius[:, None] * sphere.verts_packed())[None])


def _star(device: Device | None) -> Meshes:
    """A sphere drawn out towards its six poles."""
    sphere = ico_sphere(4, device)
    verts = sphere.verts_packed()
    radius = 0.45 + 0.75 * verts.abs().max(-1).values.pow(4)
    return sphere.update_padded((radius[:, None] * verts)[None])


def _vase(device: Device | None) -> Meshes:
    """A closed body of revolution about the y axis with a waist and a lip."""
    sphere = ico_sphere(4, device)
    x, y, z = sphere.verts_packed().unbind(-1)
    width = 0.75 + 0.3 * torch.sin(math.pi * (1.3 * y + 0.2))
    return sphere.update_padded(torch.stack([width * x, 1.2 * y, width * z], -1)[None])


SHAPES: dict[str, Callable[[Device | None], Meshes]] = {
    "blob": _blob,
    "sphere": _sphere,
    "star": _star,
    "torus": _torus,
    "vase": _vase,
}


def shape(name: str, device: Device | None = None) -> Meshes:
    """A procedural shape by its name.

    Args:
        name: one of ``SHAPES``: blob, sphere, star, torus, vase.
        device: of the mesh; the CPU if None.

    Returns:
        One closed mesh, float32, without textures, about the size of the unit ball.

    Raises:
        ValueError: there is no such shape.

    Example:
        >>> shape("torus")
        Meshes(N=1, verts=[2048], faces=[4096], dtype=float32, device=cpu)
    """
    if name not in SHAPES:
        raise ValueError(f"shape: name must be one of {', '.join(SHAPES)}, got {name!r}")
    return SHAPES[name](device)
