# SPDX-License-Identifier: Apache-2.0
"""One mesh as a glTF document and its buffer."""

import json
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from patina3d.io.png import encode_png
from patina3d.io.texture_coordinates import coordinates_from_edges, flipped
from patina3d.io.writable_textures import faces_colors, single_map, verts_colors, warn_of_lost_textures
from patina3d.renderer.mesh.textures import TexturesUV
from patina3d.structures import Meshes

__all__ = ["OurEncoder", "Written", "written"]

_ARRAY_BUFFER, _ELEMENT_ARRAY_BUFFER = 34962, 34963
_FLOAT, _UNSIGNED_SHORT, _UNSIGNED_INT = 5126, 5123, 5125
_LINEAR, _LINEAR_MIPMAP_NEAREST, _NEAREST = 9729, 9986, 9728
_CLAMP, _MIRROR = 33071, 33648
_POINTS, _TRIANGLES = 0, 4
_LARGEST_SHORT_INDEX = 65534  # 65535 is set aside
_CHANNELS = (3, 4)
_MESH = "Node-Mesh"


class OurEncoder(json.JSONEncoder):
    """Writes numbers and arrays of NumPy as JSON does those of Python.

    Example:
        >>> import json
        >>> import numpy as np
        >>> from patina3d.io.experimental_gltf_io import OurEncoder
        >>> json.dumps({"max": np.float32([0.5, 1])}, cls=OurEncoder)
        '{"max": [0.5, 1.0]}'
    """

    def default(self, obj: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The value that stands for ``obj``."""
        if isinstance(obj, np.ndarray | np.generic):
            return obj.tolist()
        return super().default(obj)


class Written(NamedTuple):
    """A document without its buffers' and images' whereabouts."""

    document: dict[str, Any]
    """Lacks ``buffers``, and ``images`` where there is an image."""
    binary: bytes
    """Of the one buffer."""
    image: bytes | None
    """A PNG file."""


class _Vertices(NamedTuple):
    """Vertices as glTF has them: with all that belongs to them under one index."""

    positions: Tensor
    faces: Tensor
    normals: Tensor | None
    colors: Tensor | None = None
    uvs: Tensor | None = None


def written(mesh: Meshes) -> Written:
    """The document of a batch of one mesh, which may be empty.

    Raises:
        ValueError: the map is not floating.

    Warns:
        UserWarning: textures of another kind than those that are read are not written.
    """
    vertices, texture = _vertices(mesh)
    document: dict[str, Any] = {"asset": {"version": "2.0", "generator": "patina3d"}, "scene": 0, "scenes": [{}]}
    if not len(vertices.positions):
        return Written(document, b"", None)
    document["scenes"] = [{"nodes": [0]}]
    document["nodes"] = [{"mesh": 0, "name": "Node"}]
    buffer = _Buffer()
    attributes = {"POSITION": buffer.add("positions", vertices.positions)}
    primitive: dict[str, Any] = {"attributes": attributes, "mode": _POINTS}
    if len(vertices.faces):
        primitive |= {"indices": buffer.add_indices(vertices.faces), "mode": _TRIANGLES}
    if vertices.colors is not None:
        attributes["COLOR_0"] = buffer.add("texvertices", vertices.colors)
    if vertices.uvs is not None:
        attributes["TEXCOORD_0"] = buffer.add("texcoords", flipped(vertices.uvs))
    if vertices.normals is not None:
        attributes["NORMAL"] = buffer.add("normals", vertices.normals)
    document["meshes"] = [{"name": _MESH, "primitives": [primitive]}]
    if texture is not None:
        primitive["material"] = 0
        document |= _material(texture)
    document |= {"accessors": buffer.accessors, "bufferViews": buffer.views}
    return Written(document, bytes(buffer.data), None if texture is None else encode_png(texture.maps_list()[0]))


def _vertices(mesh: Meshes) -> tuple[_Vertices, TexturesUV | None]:
    textures, faces = mesh.textures, mesh.faces_packed().cpu()
    given = mesh._given_normals()
    vertices = _Vertices(
        mesh.verts_packed().detach().cpu(), faces, None if given is None else given.as_packed().detach().cpu()
    )
    colors = verts_colors(textures, _CHANNELS)
    if colors is not None:
        return vertices._replace(colors=colors), None
    single = single_map("MeshGlbFormat.save", textures)
    if single is not None:
        given, missing = coordinates_from_edges(single)
        uvs, rows = np.unique(given.numpy(), axis=0, return_inverse=True)
        ids = torch.from_numpy(rows.reshape(-1))
        corners = single.faces_uvs_list()[0].cpu()
        corners = torch.where(corners < 0, -1, ids[corners.clamp(min=0)]) if len(ids) else corners.clamp(max=-1)
        split, ids = _split(vertices, corners)
        table = torch.cat([torch.from_numpy(uvs), missing[None]])
        return split._replace(uvs=table[ids]), single
    colors = faces_colors(textures, _CHANNELS)
    if colors is not None:
        table, ids = np.unique(colors.float().numpy(), axis=0, return_inverse=True)
        split, ids = _split(vertices, torch.from_numpy(ids.reshape(-1, 1)).expand(-1, 3))
        colors = torch.cat([torch.from_numpy(table), torch.ones(1, table.shape[1], dtype=torch.float32)])
        return split._replace(colors=colors[ids]), None
    if textures is not None:
        warn_of_lost_textures("MeshGlbFormat.save", textures, "glTF", stacklevel=5)
    return vertices, None


def _split(vertices: _Vertices, values: Tensor) -> tuple[_Vertices, Tensor]:
    """Vertices such that each has one value, in the old order; those that have one already stay as they are.

    Args:
        vertices: to split.
        values: (F, 3) the value at each corner of each face: -1, or a number from 0.

    Returns:
        The vertices, and the value of each; -1 for one without faces.
    """
    faces, stride = vertices.faces, int(values.max()) + 2 if values.numel() else 1
    unused = torch.ones(len(vertices.positions), dtype=torch.bool)
    unused[faces.reshape(-1)] = False
    keys = torch.cat([(faces * stride + values + 1).reshape(-1), unused.nonzero()[:, 0] * stride])
    keys, rows = keys.unique(return_inverse=True)
    old = keys.div(stride, rounding_mode="floor")
    normals = None if vertices.normals is None else vertices.normals[old]
    return _Vertices(vertices.positions[old], rows[: faces.numel()].view(-1, 3), normals), keys % stride - 1


class _Buffer:
    """The one buffer of a document, filled from the front."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def add(self, name: str, values: Tensor) -> int:
        """Add a value of each vertex; returns the number of its accessor."""
        rows = values.detach().to(device="cpu", dtype=torch.float32).contiguous().numpy()
        stride = rows.shape[1] * rows.itemsize
        view = {"byteStride": stride, "target": _ARRAY_BUFFER}
        bounds = {"max": rows.max(axis=0), "min": rows.min(axis=0)} if np.isfinite(rows).all() else {}
        return self._add(name, rows.astype("<f4"), view, _FLOAT, f"VEC{rows.shape[1]}", bounds)

    def add_indices(self, faces: Tensor) -> int:
        """Add the corners of triangles; returns the number of their accessor."""
        rows = faces.reshape(-1).numpy()
        is_short = int(rows.max()) <= _LARGEST_SHORT_INDEX
        bounds = {"max": [rows.max()], "min": [rows.min()]}
        code = _UNSIGNED_SHORT if is_short else _UNSIGNED_INT
        packed = rows.astype("<u2" if is_short else "<u4")
        return self._add("indices", packed, {"target": _ELEMENT_ARRAY_BUFFER}, code, "SCALAR", bounds)

    def _add(
        self, name: str, rows: NDArray[Any], view: dict[str, Any], code: int, kind: str, bounds: dict[str, Any]
    ) -> int:
        data = rows.tobytes()
        self.views.append({"buffer": 0, "byteOffset": len(self.data), "byteLength": len(data), **view})
        self.data += data + bytes(-len(data) % 4)
        self.accessors.append(
            {
                "bufferView": len(self.views) - 1,
                "byteOffset": 0,
                "componentType": code,
                "count": len(rows),
                "name": f"{_MESH}_{name}",
                "type": kind,
                **bounds,
            }
        )
        return len(self.accessors) - 1


def _material(texture: TexturesUV) -> dict[str, Any]:
    wrap = _MIRROR if texture.padding_mode == "reflection" else _CLAMP
    is_nearest = texture.sampling_mode == "nearest"
    return {
        "materials": [
            {
                "name": "material_1",
                "pbrMetallicRoughness": {
                    "baseColorTexture": {"index": 0},
                    "baseColorFactor": [1, 1, 1, 1],
                    "metallicFactor": 0,
                    "roughnessFactor": 0.99,
                },
                "emissiveFactor": [0, 0, 0],
                "alphaMode": "OPAQUE",
            }
        ],
        "samplers": [
            {
                "magFilter": _NEAREST if is_nearest else _LINEAR,
                "minFilter": _NEAREST if is_nearest else _LINEAR_MIPMAP_NEAREST,
                "wrapS": wrap,
                "wrapT": wrap,
            }
        ],
        "textures": [{"sampler": 0, "source": 0}],
    }
