# SPDX-License-Identifier: Apache-2.0
"""The colour of a surface under light: per pixel, per vertex or per face.

All three follow B. T. Phong, "Illumination for Computer Generated Pictures", 1975, in world space:

    colour = (ambient + diffuse) * texel + specular

where each term is the light's times the material's share. Shape letters: N images, H x W pixels, K slots a pixel,
C channels.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from patina3d.core import at_hand
from patina3d.ops.interp_face_attrs import interpolate_face_attributes
from patina3d.renderer.lighting import AmbientLights, diffuse_and_specular
from patina3d.renderer.mesh.textures import TexturesVertex
from patina3d.structures.rows import gather_rows

if TYPE_CHECKING:
    from patina3d.renderer.mesh.rasterizer import Fragments
    from patina3d.structures import Meshes

__all__ = ["flat_shading", "gouraud_shading", "phong_shading"]


def phong_shading(
    meshes: "Meshes", fragments: "Fragments", lights: Any, cameras: Any, materials: Any, texels: Tensor
) -> Tensor:
    """Light each point that a rasterizer found, with positions and normals interpolated between vertices.

    Args:
        meshes: batch of N meshes in world space.
        fragments: the rasterizer's output; ``pix_to_face`` (N, H, W, K) and ``bary_coords`` (N, H, W, K, 3) are read.
        lights: batch of 1 or N lights.
        cameras: batch of 1 or N cameras; highlights depend on their centres.
        materials: batch of 1 or N materials.
        texels: (N, H, W, K, C) colour of the surface at each point.

    Returns:
        (N, H, W, K, C), 0 in empty slots (texel times ambient under ``AmbientLights``). Differentiable in vertices,
        barycentric coordinates, texels, lights, materials and camera centres; the gradient of empty slots is 0.

    Raises:
        ValueError: for a batch of lights, cameras or materials that is neither 1 nor N.

    Cost: O(slots that hold a face) on the CPU, O(N H W K) on a GPU and when compiled.

    Example:
        >>> from types import SimpleNamespace
        >>> from patina3d.renderer.materials import Materials
        >>> lights = AmbientLights(ambient_color=(0.5, 0.5, 0.25))
        >>> phong_shading(None, SimpleNamespace(), lights, None, Materials(), torch.ones(1, 1, 1, 1, 3)).flatten()
        tensor([0.5000, 0.5000, 0.2500])
    """
    if type(lights) is AmbientLights:
        return texels * _ambient(lights, materials, texels)
    surface = torch.cat([meshes.verts_packed(), meshes.verts_normals_packed()], dim=1)
    corners = gather_rows(surface, meshes.faces_packed())

    def at_points(pix_to_face: Tensor, bary_coords: Tensor) -> Tensor:
        return interpolate_face_attributes(pix_to_face, bary_coords, corners)

    illumination = _Illumination.of("phong_shading", lights, cameras, materials, len(meshes))
    return _shaded(fragments, texels, illumination, at_points)


def gouraud_shading(meshes: "Meshes", fragments: "Fragments", lights: Any, cameras: Any, materials: Any) -> Tensor:
    """Light each vertex and interpolate the colours between them.

    Args:
        meshes: batch of N meshes in world space with `TexturesVertex`.
        fragments: the rasterizer's output; ``pix_to_face`` (N, H, W, K) and ``bary_coords`` (N, H, W, K, 3) are read.
        lights: batch of 1 or N lights.
        cameras: batch of 1 or N cameras; highlights depend on their centres.
        materials: batch of 1 or N materials.

    Returns:
        (N, H, W, K, C), 0 in empty slots. Differentiable in vertices and their features, barycentric coordinates,
        lights, materials and camera centres.

    Raises:
        ValueError: for other textures, or a batch of lights, cameras or materials that is neither 1 nor N.

    Cost: O(V) lighting and O(slots that hold a face) interpolation.

    Example:
        >>> from types import SimpleNamespace
        >>> from patina3d.renderer import FoVPerspectiveCameras, Materials, PointLights
        >>> from patina3d.structures import Meshes
        >>> verts = torch.tensor([[1.0, -1.0, 3.0], [-1.0, -1.0, 3.0], [0.0, 1.0, 3.0]])
        >>> mesh = Meshes([verts], [torch.tensor([[0, 1, 2]])], TexturesVertex([torch.ones(3, 3)]))
        >>> seen = SimpleNamespace(
        ...     pix_to_face=torch.tensor([[[[0, -1]]]]), bary_coords=torch.full((1, 1, 1, 2, 3), 1 / 3)
        ... )
        >>> setting = PointLights(location=((0.0, 0.0, 0.0),)), FoVPerspectiveCameras(), Materials()
        >>> gouraud_shading(mesh, seen, *setting)[0, 0, 0]
        tensor([[0.7758, 0.7758, 0.7758],
                [0.0000, 0.0000, 0.0000]])
    """
    name = "gouraud_shading"
    if not isinstance(meshes.textures, TexturesVertex):
        raise ValueError(f"{name}: meshes.textures must be TexturesVertex, got {type(meshes.textures).__name__}")
    illumination = _Illumination.of(name, lights, cameras, materials, len(meshes))
    colors = illumination.of_elements(meshes.verts_packed_to_mesh_idx()).colors(
        meshes.verts_packed(), meshes.verts_normals_packed(), meshes.textures.verts_features_packed()
    )
    corners = gather_rows(colors, meshes.faces_packed())
    return interpolate_face_attributes(fragments.pix_to_face, fragments.bary_coords, corners)


def flat_shading(
    meshes: "Meshes", fragments: "Fragments", lights: Any, cameras: Any, materials: Any, texels: Tensor
) -> Tensor:
    """Light each face as a whole: at the mean of its corners, with its own normal.

    Args:
        meshes: batch of N meshes in world space.
        fragments: the rasterizer's output; ``pix_to_face`` (N, H, W, K) is read.
        lights: batch of 1 or N lights.
        cameras: batch of 1 or N cameras; highlights depend on their centres.
        materials: batch of 1 or N materials.
        texels: (N, H, W, K, C) colour of the surface at each point.

    Returns:
        (N, H, W, K, C), 0 in empty slots (texel times ambient under ``AmbientLights``). Differentiable in vertices,
        texels, lights, materials and camera centres.

    Raises:
        ValueError: for a batch of lights, cameras or materials that is neither 1 nor N.

    Cost: O(slots that hold a face) on the CPU, O(N H W K) on a GPU and when compiled.

    Example:
        >>> from types import SimpleNamespace
        >>> from patina3d.renderer import FoVPerspectiveCameras, Materials, PointLights
        >>> from patina3d.structures import Meshes
        >>> verts = torch.tensor([[1.0, -1.0, 3.0], [-1.0, -1.0, 3.0], [0.0, 1.0, 3.0]])
        >>> mesh = Meshes([verts], [torch.tensor([[0, 1, 2]])], TexturesVertex([torch.ones(3, 3)]))
        >>> seen = SimpleNamespace(
        ...     pix_to_face=torch.tensor([[[[0, -1]]]]), bary_coords=torch.full((1, 1, 1, 2, 3), 1 / 3)
        ... )
        >>> setting = PointLights(location=((0.0, 0.0, 0.0),)), FoVPerspectiveCameras(), Materials()
        >>> flat_shading(mesh, seen, *setting, mesh.sample_textures(seen))[0, 0, 0]
        tensor([[0.8393, 0.8393, 0.8393],
                [0.0000, 0.0000, 0.0000]])
    """
    if type(lights) is AmbientLights:
        return texels * _ambient(lights, materials, texels)
    centers = gather_rows(meshes.verts_packed(), meshes.faces_packed()).mean(dim=1)
    # A row of zeros after the last: what empty slots read.
    faces = torch.nn.functional.pad(torch.cat([centers, meshes.faces_normals_packed()], dim=1), (0, 0, 0, 1))

    def at_faces(pix_to_face: Tensor, _: Tensor) -> Tensor:
        return gather_rows(faces, torch.where(pix_to_face < 0, faces.shape[0] - 1, pix_to_face))

    illumination = _Illumination.of("flat_shading", lights, cameras, materials, len(meshes))
    return _shaded(fragments, texels, illumination, at_faces)


def _apply_lighting(
    points: Tensor, normals: Tensor, lights: Any, cameras: Any, materials: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """The light that points send to the cameras: ambient, diffuse and specular, each broadcasting to (B, ..., C).

    Args:
        points: (B, ..., 3) positions in world space.
        normals: (B, ..., 3), any length.
        lights: batch of 1 or B lights; likewise
        cameras: and
        materials: of which shares and shininess are read.

    Raises:
        ValueError: for another batch size.
    """
    return _Illumination.of("_apply_lighting", lights, cameras, materials, points.shape[0]).terms(points, normals)


class _Illumination(NamedTuple):
    """What lights points of shape (B, ..., 3): each member a batch of 1 or B."""

    lights: Any
    camera_position: Tensor
    materials: Any

    @staticmethod
    def of(name: str, lights: Any, cameras: Any, materials: Any, batch: int) -> "_Illumination":
        """Read the cameras' centres and check batch sizes."""
        for argument, value in (("lights", lights), ("cameras", cameras), ("materials", materials)):
            if len(value) not in (1, batch):
                raise ValueError(f"{name}: {argument} must be a batch of 1 or {batch}, got {len(value)}")
        return _Illumination(lights, cameras.get_camera_center(), materials)

    def of_elements(self, element: Tensor) -> "_Illumination":
        """What lights packed points (P, 3), of which ``element`` (P,) says the image; a batch of 1 serves as it is."""
        lights, camera_position, materials = (
            value
            if len(value) == 1
            else gather_rows(value, element)
            if isinstance(value, Tensor)
            else _of(value, element)
            for value in self
        )
        return _Illumination(lights, camera_position, materials)

    def terms(self, points: Tensor, normals: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Ambient, diffuse and specular light, (B, ..., C), from points (B, ..., 3)."""
        lights, camera_position, materials = self
        diffuse, specular = diffuse_and_specular(lights, normals, points, camera_position, materials.shininess)
        return (
            _ambient(lights, materials, points),
            _spread(materials.diffuse_color, points) * diffuse,
            _spread(materials.specular_color, points) * specular,
        )

    def colors(self, points: Tensor, normals: Tensor, texels: Tensor) -> Tensor:
        """(B, ..., C) colours of points (B, ..., 3) with texels (B, ..., C)."""
        ambient, diffuse, specular = self.terms(points, normals)
        return (ambient + diffuse) * texels + specular


def _of(properties: Any, element: Tensor) -> Any:
    return properties.clone().gather_props(element)


def _spread(rows: Tensor, points: Tensor) -> Tensor:
    """(B, C) with the dimensions of (B, ..., 3) points: (B, 1, ..., 1, C)."""
    return rows.reshape(rows.shape[0], *[1] * (points.dim() - 2), rows.shape[-1])


def _ambient(lights: Any, materials: Any, points: Tensor) -> Tensor:
    return _spread(materials.ambient_color * lights.ambient_color, points)


def _shaded(
    fragments: "Fragments", texels: Tensor, illumination: _Illumination, surface: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Light the slots of ``fragments``; ``surface`` gives their points and normals, (..., 6), by face and barycentrics.

    On the CPU only the M slots that hold a face are lit, as packed points: most slots of a picture are empty. A GPU
    would make the host wait for M, and a compiled graph would depend on it.
    """
    pix_to_face, bary_coords = fragments.pix_to_face, fragments.bary_coords
    if not at_hand(pix_to_face):
        points, normals = surface(pix_to_face, bary_coords).split(3, dim=-1)
        return illumination.colors(points, normals, texels)
    faces = pix_to_face.reshape(-1)
    slots = (faces >= 0).nonzero().squeeze(1)
    faces = faces.index_select(0, slots).reshape(-1, 1, 1, 1)
    points, normals = (
        surface(faces, gather_rows(bary_coords.reshape(-1, 3), slots.reshape(-1, 1, 1, 1)))
        .reshape(-1, 6)
        .split(3, dim=-1)
    )
    image = slots.div(max(pix_to_face[:1].numel(), 1), rounding_mode="floor")
    colors = illumination.of_elements(image).colors(
        points, normals, gather_rows(texels.reshape(-1, texels.shape[-1]), slots)
    )
    out = colors.new_zeros(pix_to_face.numel(), colors.shape[-1]).index_copy_(0, slots, colors)
    return out.reshape(*pix_to_face.shape, -1)
