# SPDX-License-Identifier: Apache-2.0
"""From the prims of a USD stage to meshes in world space."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from patina3d.io.corner_colors import map_of_corner_colors
from patina3d.io.fans import fans
from patina3d.io.images import decode_image
from patina3d.io.texture_coordinates import flipped
from patina3d.io.usd.library import errors_of_usd, pxr
from patina3d.io.wrapping import Layouts
from patina3d.renderer.mesh.textures import TexturesAtlas, TexturesBase, TexturesUV, TexturesVertex
from patina3d.structures import Meshes

__all__ = ["frame", "opened_stage", "stage_meshes"]

_PER_VERTEX, _PER_FACE, _PER_CORNER = ("vertex", "varying"), "uniform", "faceVarying"
_ONE, _ZERO = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)
_UV_NAMES = ("st", "st0", "UVMap", "uv")


def opened_stage(path: str, where: str) -> Any:
    """The stage of a file; ``where``: how to begin errors."""
    with errors_of_usd(where):
        return pxr("Usd").Stage.Open(path)


def stage_meshes(stage: Any, where: str, *, include_textures: bool) -> list[Meshes]:
    """A batch of one mesh for each mesh of a stage that is visible and meant to be rendered, in world space.

    Args:
        stage: open.
        where: how to begin errors.
        include_textures: whether meshes have textures.
    """
    usd, geom = pxr("Usd"), pxr("UsdGeom")
    with errors_of_usd(where):
        # Of values that change, the first; where there is none of a time, the one of no time.
        time = usd.TimeCode.EarliestTime()
        transforms, images = geom.XformCache(time), _Images()
        found = []
        for prim in usd.PrimRange.Stage(stage, usd.TraverseInstanceProxies()):
            if prim.IsA(geom.Mesh) and _is_rendered(geom.Imageable(prim), time):
                world = np.array(transforms.GetLocalToWorldTransform(prim), dtype=np.float64)
                mesh = _Mesh(geom.Mesh(prim), world, time, images, f"{where}: {prim.GetPath()}")
                found.append(mesh.mesh(include_textures))
        return found


def frame(stage: Any, where: str) -> tuple[str, float]:
    """The axis that is up ("Y" or "Z"), and how many metres a unit has."""
    geom = pxr("UsdGeom")
    with errors_of_usd(where):
        return str(geom.GetStageUpAxis(stage)), float(geom.GetStageMetersPerUnit(stage))


def _is_rendered(imageable: Any, time: Any) -> bool:
    return imageable.ComputeVisibility(time) != "invisible" and imageable.ComputePurpose() in ("default", "render")


class _Images:
    """The images of a stage, each decoded once."""

    def __init__(self) -> None:
        self.layouts = Layouts()
        self._found: dict[tuple[str, tuple[float, ...], tuple[float, ...]], Tensor] = {}

    def get(self, name: str, scale: tuple[float, ...], bias: tuple[float, ...], where: str) -> Tensor:
        """(H, W, 3): the image of this name, times ``scale`` plus ``bias``."""
        key = (name, scale, bias)
        if key not in self._found:
            plain = (name, _ONE, _ZERO)
            if plain not in self._found:
                self._found[plain] = _decoded(name, where)
            if key != plain:
                self._found[key] = self._found[plain] * torch.tensor(scale) + torch.tensor(bias)
        return self._found[key]


def _decoded(name: str, where: str) -> Tensor:
    resolver = pxr("Ar")
    opened = resolver.GetResolver().OpenAsset(resolver.ResolvedPath(name))
    if opened is None:
        raise FileNotFoundError(f"{where}: there is no image {name}")
    with opened:
        return decode_image(where, bytes(opened.GetBuffer()), name)


class _Mesh:
    """One mesh prim.

    Args:
        prim: the prim.
        world: its transform to world space, for rows.
        time: of the values.
        images: of the stage.
        where: how to begin errors.
    """

    def __init__(self, prim: Any, world: NDArray[np.float64], time: Any, images: _Images, where: str) -> None:
        self._prim = prim
        self._time = time
        self._images = images
        self._where = where
        self._world = world
        self._verts = self._array("points", prim.GetPointsAttr().Get(time), np.float64, 3)
        sizes = self._array("faceVertexCounts", prim.GetFaceVertexCountsAttr().Get(time), np.int64)
        corners = self._array("faceVertexIndices", prim.GetFaceVertexIndicesAttr().Get(time), np.int64)
        if len(sizes) and sizes.min() < 3:
            raise ValueError(f"{where}: a face must have 3 corners or more, got {sizes.min()}")
        if sizes.sum() != len(corners):
            raise ValueError(f"{where}: its faces must have {sizes.sum()} indices, got {len(corners)}")
        if len(corners) and not (corners.min() >= 0 and corners.max() < len(self._verts)):
            raise ValueError(
                f"{where}: indices must be in [0, {len(self._verts)}), got {corners.min()} to {corners.max()}"
            )
        self._num_polygons, self._num_corners = len(sizes), len(corners)
        # Triangles of the numbers of corners, from which whatever belongs to corners is looked up.
        self._corners, self._polygon = fans(torch.arange(len(corners)), torch.from_numpy(sizes))
        holes = torch.from_numpy(self._array("holeIndices", prim.GetHoleIndicesAttr().Get(time), np.int64))
        kept = ~torch.isin(self._polygon, holes)
        self._corners, self._polygon = self._corners[kept], self._polygon[kept]
        is_mirrored = np.linalg.det(world[:3, :3]) < 0
        if is_mirrored != (prim.GetOrientationAttr().Get() == "leftHanded"):
            self._corners = self._corners[:, [0, 2, 1]]
        self._faces = torch.from_numpy(corners)[self._corners]

    def mesh(self, include_textures: bool) -> Meshes:
        """The mesh in world space."""
        verts = self._verts
        if not np.array_equal(self._world, np.eye(4)):
            verts = verts @ self._world[:3, :3] + self._world[3, :3]
        textures = self._textures() if include_textures else None
        normals = self._normals()
        return Meshes(
            [torch.from_numpy(verts.astype(np.float32))],
            [self._faces],
            textures,
            verts_normals=None if normals is None else [normals],
        )

    def _normals(self) -> Tensor | None:
        """Normals of vertices; None without, and where the faces around a vertex have each their own."""
        primvar = pxr("UsdGeom").PrimvarsAPI(self._prim).GetPrimvar("normals")
        if primvar and primvar.HasValue():
            values, kind = primvar.ComputeFlattened(self._time), primvar.GetInterpolation()
        else:
            values, kind = self._prim.GetNormalsAttr().Get(self._time), self._prim.GetNormalsInterpolation()
        if values is None or kind not in _PER_VERTEX:
            return None
        normals = self._array("normals", values, np.float64, 3)
        self._check("normals", len(normals), len(self._verts))
        if not np.array_equal(self._world, np.eye(4)):
            x, y, z = self._world[:3, :3]
            cofactors = np.stack([np.cross(y, z), np.cross(z, x), np.cross(x, y)])
            normals = normals @ cofactors * (-1 if np.linalg.det(self._world[:3, :3]) < 0 else 1)
            length = np.linalg.norm(normals, axis=1, keepdims=True)
            normals = np.divide(normals, length, out=np.zeros_like(normals), where=length > 0)
        return torch.from_numpy(normals.astype(np.float32))

    def _textures(self) -> TexturesBase | None:
        """The image of the material and where it goes; else the colours; else the colour of the material."""
        shader = self._surface()
        source = None if shader is None else _connected(shader.GetInput("diffuseColor"))
        if source is not None and source.GetIdAttr().Get() == "UsdUVTexture":
            textures = self._image(source)
            if textures is not None:
                return textures
        primvar = self._prim.GetDisplayColorPrimvar()
        if primvar and primvar.HasValue():
            return self._colors(primvar.ComputeFlattened(self._time), primvar.GetInterpolation())
        color = None if shader is None or source is not None else self._input(shader, "diffuseColor")
        return None if color is None else self._colors([color], "constant")

    def _colors(self, values: Any, kind: str) -> TexturesBase:
        colors = torch.from_numpy(self._array("displayColor", values, np.float32, 3))
        if kind == "constant":
            self._check("displayColor", len(colors), 1)
            return TexturesVertex([colors.expand(len(self._verts), 3)])
        if kind in _PER_VERTEX:
            self._check("displayColor", len(colors), len(self._verts))
            return TexturesVertex([colors])
        if kind == _PER_FACE:
            self._check("displayColor", len(colors), self._num_polygons)
            return TexturesAtlas([colors[self._polygon][:, None, None]])
        self._check("displayColor", len(colors), self._num_corners)
        return map_of_corner_colors(colors[self._corners])

    def _surface(self) -> Any:
        """The UsdPreviewSurface that is bound to the mesh, or None."""
        material, _ = pxr("UsdShade").MaterialBindingAPI(self._prim.GetPrim()).ComputeBoundMaterial()
        shader = material.ComputeSurfaceSource()[0] if material else None
        return shader if shader and shader.GetIdAttr().Get() == "UsdPreviewSurface" else None

    def _image(self, texture: Any) -> TexturesUV | None:
        """None without a file, or without coordinates."""
        asset, placed = self._input(texture, "file"), self._coordinates(texture)
        if asset is None or placed is None:
            return None
        scale, bias = self._input(texture, "scale"), self._input(texture, "bias")
        image = self._images.get(
            asset.resolvedPath or asset.path,
            _ONE if scale is None else tuple(scale)[:3],
            _ZERO if bias is None else tuple(bias)[:3],
            self._where,
        )
        modes = [self._input(texture, key) for key in ("wrapS", "wrapT")]
        modes = [mode if mode in ("repeat", "mirror") else "clamp" for mode in modes]
        uvs, faces_uvs = placed
        image, uvs, faces_uvs = self._images.layouts.wrapped(
            image, flipped(uvs), faces_uvs, (modes[0], modes[1]), self._where
        )
        return TexturesUV([image], [faces_uvs], [flipped(uvs)], align_corners=False)

    def _input(self, shader: Any, name: str) -> Any:
        """The value of an input; None where it has none."""
        found = shader.GetInput(name)
        return found.Get(self._time) if found else None

    def _moves(self, shader: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The matrix and the offset of a UsdTransform2d: for columns, scale, then rotation, then translation."""
        scale, rotation, translation = (self._input(shader, key) for key in ("scale", "rotation", "translation"))
        angle = math.radians(rotation or 0)
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        stretch = np.ones(2) if scale is None else np.array(scale, np.float64)
        return turn * stretch, np.zeros(2) if translation is None else np.array(translation, np.float64)

    def _coordinates(self, texture: Any) -> tuple[Tensor, Tensor] | None:
        """(T, 2) texture coordinates, v upwards, and (F, 3) the rows of them."""
        reader, matrix, offset = _connected(texture.GetInput("st")), np.eye(2), np.zeros(2)
        while reader is not None and reader.GetIdAttr().Get() == "UsdTransform2d":
            before, start = self._moves(reader)
            # What is nearer to the primvar comes first.
            matrix, offset = matrix @ before, matrix @ start + offset
            reader = _connected(reader.GetInput("in"))
        named = None if reader is None else self._input(reader, "varname")
        api = pxr("UsdGeom").PrimvarsAPI(self._prim)
        for name in [str(named)] if named else _UV_NAMES:
            primvar = api.FindPrimvarWithInheritance(name)
            if primvar and primvar.HasValue():
                break
        else:
            return None
        values = self._array(name, primvar.Get(self._time), np.float64, 2)
        uvs = torch.from_numpy((values @ matrix.T + offset).astype(np.float32))
        rows = (
            torch.from_numpy(self._array(name, primvar.GetIndices(self._time), np.int64))
            if primvar.IsIndexed()
            else torch.arange(len(uvs))
        )
        if len(rows) and not (int(rows.min()) >= 0 and int(rows.max()) < len(uvs)):
            raise ValueError(f"{self._where}: indices of {name} must be in [0, {len(uvs)})")
        kind = primvar.GetInterpolation()
        if kind in _PER_VERTEX:
            self._check(name, len(rows), len(self._verts))
            return uvs, rows[self._faces]
        if kind == _PER_CORNER:
            self._check(name, len(rows), self._num_corners)
            return uvs, rows[self._corners]
        return None

    def _array(self, name: str, values: Any, dtype: Any, columns: int | None = None) -> NDArray[Any]:
        """A copy of what the library gives, or nothing of the right shape."""
        shape = (-1,) if columns is None else (-1, columns)
        try:
            return np.array([] if values is None else values, dtype=dtype).reshape(shape)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{self._where}: {name} has values of another type: {error}") from error

    def _check(self, name: str, got: int, expected: int) -> None:
        if got != expected:
            raise ValueError(f"{self._where}: {name} must have {expected} values, got {got}")


def _connected(value: Any) -> Any:
    """The shader that an input is connected to, or None."""
    if not value or not value.HasConnectedSource():
        return None
    return pxr("UsdShade").Shader(value.GetConnectedSource()[0].GetPrim())
