# SPDX-License-Identifier: Apache-2.0
"""Many meshes into one batch, or into one mesh."""

import copy
from collections.abc import Sequence
from typing import Any

import torch

from patina3d.structures.layout import RowLayout
from patina3d.structures.meshes.meshes import Meshes
from patina3d.structures.meshes.topology import Topology
from patina3d.structures.ragged import RaggedRows, rows_of_one_dtype

__all__ = ["join_meshes_as_batch", "join_meshes_as_scene"]


def join_meshes_as_batch(meshes: Sequence[Meshes], include_textures: bool = True) -> Meshes:
    """One batch of all meshes, in order; their tensors are shared.

    Args:
        meshes: list or tuple of Meshes on one device. An empty one gives an empty batch.
        include_textures: join the textures as well, by ``textures.join_batch(others)``: all or none must have them, all
            of one class.

    Returns:
        A batch of as many meshes as all of ``meshes`` together. Where some have given vertex normals, all have: the
        others get those that they compute.

    Raises:
        ValueError: a bare Meshes, another type, different devices, textures of some only or of several classes.
        TypeError: the vertices have more than one dtype.

    Example:
        >>> mesh = Meshes([torch.rand(3, 3)], [torch.tensor([[0, 1, 2]])])
        >>> join_meshes_as_batch([mesh, mesh])
        Meshes(N=2, verts=[3, 3], faces=[1, 1], dtype=float32, device=cpu)
    """
    if not isinstance(meshes, (list, tuple)) or not all(isinstance(mesh, Meshes) for mesh in meshes):
        raise ValueError("join_meshes_as_batch: meshes must be a list or tuple of Meshes")
    if len(meshes) == 0:
        return Meshes([], [])
    device = meshes[0].device
    if any(mesh.device != device for mesh in meshes):
        raise ValueError(
            f"join_meshes_as_batch: meshes must be on the same device, got {sorted({str(m.device) for m in meshes})}"
        )
    verts = [v for mesh in meshes for v in mesh.verts_list()]
    faces = [f for mesh in meshes for f in mesh.faces_list()]
    if not verts:
        return Meshes([], [])
    verts = rows_of_one_dtype(verts, 3, "join_meshes_as_batch: verts")
    layout = RowLayout([v.shape[0] for v in verts], device)
    return Meshes.__new__(Meshes)._hold(
        Topology.of_lists(layout, faces),
        RaggedRows(layout, rows=verts),
        _joined_normals(meshes, layout),
        _joined_textures(meshes) if include_textures else None,
    )


def join_meshes_as_scene(meshes: Meshes | Sequence[Meshes], include_textures: bool = True) -> Meshes:
    """One mesh that holds the vertices and faces of all meshes.

    Args:
        meshes: Meshes, or a list or tuple of them.
        include_textures: join the textures as well, by ``join_batch`` and ``join_scene``.

    Returns:
        A batch of one mesh; a batch of one is returned as the same object (without its textures, if they are not
        wanted, as a new one). No meshes at all give one mesh without vertices. Given vertex normals are kept.

    Raises:
        ValueError: ``include_textures`` is not a bool, or as ``join_meshes_as_batch``.

    Example:
        >>> mesh = Meshes([torch.rand(3, 3)], [torch.tensor([[0, 1, 2]])])
        >>> join_meshes_as_scene([mesh, mesh]).faces_packed()
        tensor([[0, 1, 2],
                [3, 4, 5]])
    """
    if not isinstance(include_textures, (bool, int)):
        raise ValueError(
            f"join_meshes_as_scene: include_textures must be a bool, got {type(include_textures).__name__}; "
            "give several Meshes as a list"
        )
    if not isinstance(meshes, Meshes):
        meshes = join_meshes_as_batch(meshes, include_textures=bool(include_textures))
    if not include_textures and meshes.textures is not None:
        meshes = copy.copy(meshes)
        meshes.textures = None
    if len(meshes) == 1:
        return meshes
    verts, faces = meshes.verts_packed(), meshes.faces_packed()
    layout = RowLayout([verts.shape[0]], meshes.device)
    return Meshes.__new__(Meshes)._hold(
        Topology(layout, RowLayout([faces.shape[0]], meshes.device), faces_padded=faces[None]),
        RaggedRows(layout, padded=verts[None]),
        _joined_normals([meshes], layout),
        meshes.textures.join_scene() if meshes.textures is not None and len(meshes) > 0 else None,
    )


def _joined_textures(meshes: Sequence[Meshes]) -> Any:
    textures = [mesh.textures for mesh in meshes if len(mesh) > 0]
    if all(texture is None for texture in textures):
        return None
    kinds = {type(texture).__name__ if texture is not None else "none" for texture in textures}
    if any(type(texture) is not type(textures[0]) for texture in textures):
        raise ValueError(f"join_meshes_as_batch: all meshes must have the same type of texture, got {sorted(kinds)}")
    return textures[0].join_batch(textures[1:])


def _joined_normals(meshes: Sequence[Meshes], layout: RowLayout) -> RaggedRows | None:
    if all(mesh._given_normals() is None for mesh in meshes):
        return None
    return RaggedRows(layout, packed=torch.cat([mesh.verts_normals_packed() for mesh in meshes]))
