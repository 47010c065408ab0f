# SPDX-License-Identifier: Apache-2.0
"""From the nodes of a glTF scene to meshes in world space."""

import warnings
from collections import deque
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from patina3d.io.gltf.accessors import read_floats, read_integers
from patina3d.io.gltf.appearance import Appearances
from patina3d.io.gltf.container import Container
from patina3d.io.gltf.document import Entry
from patina3d.structures import Meshes

__all__ = ["scene_meshes"]

_IDENTITY = tuple(float(i == j) for i in range(4) for j in range(4))
_POINTS, _LINES, _TRIANGLES, _STRIP, _FAN = 0, (1, 2, 3), 4, 5, 6


def scene_meshes(container: Container, *, include_textures: bool) -> list[tuple[str | None, Meshes]]:
    """The name of the mesh, if it has one, and a batch of one mesh, for each primitive of the default scene.

    Nodes are visited breadth first. Positions and normals are in world space.
    """
    document, appearances = container.document, Appearances(container)
    found = []
    for node, world in _nodes(document):
        if "mesh" not in node:
            continue
        entry = document.element("meshes", node.integer("mesh", below=document.count("meshes")))
        name = entry.text("name") if "name" in entry else None
        for primitive in entry.entries("primitives"):
            mesh = _mesh(container, primitive, world, appearances if include_textures else None)
            if mesh is not None:
                found.append((name, mesh))
    return found


def _nodes(document: Entry) -> Iterator[tuple[Entry, NDArray[np.float64]]]:
    """Each node of the default scene and its transform from its own to world space, for columns."""
    count = document.count("nodes")
    if "scenes" in document:
        index = document.integer("scene", 0, below=document.count("scenes"))
        roots = document.element("scenes", index).indices("nodes", count)
    else:
        children = {child for node in document.entries("nodes") for child in node.indices("children", count)}
        roots = [index for index in range(count) if index not in children]
    queue = deque((index, np.eye(4)) for index in roots)
    seen: set[int] = set()
    while queue:
        index, world = queue.popleft()
        node = document.element("nodes", index)
        if index in seen:
            raise node.error("is reached twice: nodes must form a tree")
        seen.add(index)
        world = world @ _local(node)
        yield node, world
        queue.extend((child, world) for child in node.indices("children", count))


def _local(node: Entry) -> NDArray[np.float64]:
    """The transform of a node, for columns: scale, then rotation, then translation; or its matrix."""
    if "matrix" in node:
        return np.array(node.numbers("matrix", _IDENTITY)).reshape(4, 4).T
    local = np.eye(4)
    local[:3, :3] = _rotation(node.numbers("rotation", (0.0, 0.0, 0.0, 1.0))) * node.numbers("scale", (1.0, 1.0, 1.0))
    local[:3, 3] = node.numbers("translation", (0.0, 0.0, 0.0))
    return local


def _rotation(quaternion: list[float]) -> NDArray[np.float64]:
    """The matrix of a quaternion x, y, z, w, for columns; of zeros the identity."""
    length = np.sqrt(sum(value * value for value in quaternion))
    if not length > 0:
        return np.eye(3)
    x, y, z, w = (value / length for value in quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def _mesh(
    container: Container, primitive: Entry, world: NDArray[np.float64], appearances: Appearances | None
) -> Meshes | None:
    """One primitive; None, with a warning, where it is made of lines."""
    mode = primitive.integer("mode", _TRIANGLES)
    if mode in _LINES:
        warnings.warn(
            f"load_meshes: {container.source}: {primitive.path} is made of lines and is passed over",
            UserWarning,
            stacklevel=2,
        )
        return None
    attributes = primitive.entry("attributes")
    if attributes is None or "POSITION" not in attributes:
        compressed = primitive.entry("extensions")
        by = "" if compressed is None else f"; it has only the extensions {', '.join(compressed.keys())}"
        raise primitive.error(f"has no POSITION{by}")
    verts = read_floats(container, attributes, "POSITION", (3,))
    faces = _faces(container, primitive, mode, len(verts))
    if np.linalg.det(world[:3, :3]) < 0:
        faces = faces[:, [0, 2, 1]]
    corners = torch.from_numpy(np.ascontiguousarray(faces))
    textures = None if appearances is None else appearances.of(primitive, attributes, corners, len(verts))
    normals = None
    if "NORMAL" in attributes:
        normals = read_floats(container, attributes, "NORMAL", (3,))
        if len(normals) != len(verts):
            raise attributes.error(f"NORMAL must have a row for each of {len(verts)} vertices, got {len(normals)}")
        normals = [_normals_in_world(normals, world)]
    return Meshes([_verts_in_world(verts, world)], [corners], textures, verts_normals=normals)


def _faces(container: Container, primitive: Entry, mode: int, num_verts: int) -> NDArray[np.int64]:
    """(F, 3) triangles of a primitive; none of points."""
    if "indices" in primitive:
        indices = read_integers(container, primitive, "indices")
        if len(indices) and int(indices.max()) >= num_verts:
            raise primitive.error(f"its indices go up to {int(indices.max())}, but there are {num_verts} vertices")
    else:
        indices = np.arange(num_verts)
    if mode == _TRIANGLES:
        if len(indices) % 3:
            raise primitive.error(f"the number of corners of its triangles must be a multiple of 3, got {len(indices)}")
        return indices.reshape(-1, 3)
    if mode == _STRIP:
        faces = np.stack([indices[:-2], indices[1:-1], indices[2:]], axis=1)
        faces[1::2] = faces[1::2][:, [1, 0, 2]]
        return faces
    if mode == _FAN:
        first = np.broadcast_to(indices[:1], (max(len(indices) - 2, 0),))
        return np.stack([first, indices[1:-1][: len(first)], indices[2:]], axis=1)
    if mode == _POINTS:
        return np.empty((0, 3), np.int64)
    raise primitive.error(f"mode must be in [0, 6], got {mode}")


def _verts_in_world(verts: NDArray[np.float32], world: NDArray[np.float64]) -> Tensor:
    if np.array_equal(world, np.eye(4)):
        return torch.from_numpy(verts)
    return torch.from_numpy((verts.astype(np.float64) @ world[:3, :3].T + world[:3, 3]).astype(np.float32))


def _normals_in_world(normals: NDArray[np.float32], world: NDArray[np.float64]) -> Tensor:
    """Normals keep their side: they go by the inverse transpose, that is the cofactors but for a positive factor."""
    if np.array_equal(world, np.eye(4)):
        return torch.from_numpy(normals)
    x, y, z = world[:3, :3].T
    cofactors = np.stack([np.cross(y, z), np.cross(z, x), np.cross(x, y)], axis=1)
    turned = normals.astype(np.float64) @ cofactors.T * (-1 if np.linalg.det(world[:3, :3]) < 0 else 1)
    length = np.linalg.norm(turned, axis=1, keepdims=True)
    return torch.from_numpy(np.divide(turned, length, out=np.zeros_like(turned), where=length > 0).astype(np.float32))
