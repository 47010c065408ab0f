# SPDX-License-Identifier: Apache-2.0
"""From meshes in world space and a camera to the faces at each pixel."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from patina3d.renderer._homogeneous import apply_transform, compose
from patina3d.renderer.cameras import try_get_projection_transform
from patina3d.renderer.mesh.rasterize_meshes import rasterize_meshes
from patina3d.structures import Meshes

__all__ = ["Fragments", "MeshRasterizer", "RasterizationSettings"]

# View depths nearer to the camera plane are set to this, with their sign, before they divide.
_SMALLEST_DEPTH = 1e-12


@dataclass(frozen=True)
class Fragments:
    """What a rasterizer found: the K nearest faces of each pixel, nearest first. Empty slots hold -1 everywhere.

    Attributes:
        pix_to_face: (N, H, W, K) int64, the face, numbered through the packed faces of the batch.
        zbuf: (N, H, W, K) view depth.
        bary_coords: (N, H, W, K, 3) barycentric coordinates in the face.
        dists: (N, H, W, K) squared NDC distance from the pixel centre to the border of the face, negative inside; or
            None from a rasterizer that has none.
    """

    pix_to_face: Tensor
    zbuf: Tensor
    bary_coords: Tensor
    dists: Tensor | None

    def detach(self) -> "Fragments":
        """The same values without their history."""
        return Fragments(
            pix_to_face=self.pix_to_face,
            zbuf=self.zbuf.detach(),
            bary_coords=self.bary_coords.detach(),
            dists=None if self.dists is None else self.dists.detach(),
        )


@dataclass
class RasterizationSettings:
    """How to rasterize meshes.

    Attributes:
        image_size: (height, width) in pixels, or one number for both.
        blur_radius: how far outside a face pixels still count as its own: a **squared** NDC distance.
        faces_per_pixel: K, how many faces are kept at each pixel.
        bin_size: has no effect; any number of faces is handled exactly.
        max_faces_opengl: has no effect.
        max_faces_per_bin: has no effect.
        perspective_correct: whether barycentric coordinates are those in space rather than in the image; by default,
            whether the camera is a perspective one.
        clip_barycentric_coords: whether barycentric coordinates of pixels outside a face are moved into it; by default,
            when ``blur_radius`` is positive.
        cull_backfaces: whether faces whose corners run clockwise in the image are left out.
        z_clip_value: view depth at which faces are cut; by default half the camera's ``znear`` where perspective is
            corrected and the camera has one, else faces are not cut.
        cull_to_frustum: whether faces wholly beyond one side of the image are left out before anything else.
    """

    image_size: int | tuple[int, int] = 256
    blur_radius: float = 0.0
    faces_per_pixel: int = 1
    bin_size: int | None = None
    max_faces_opengl: int = 10_000_000
    max_faces_per_bin: int | None = None
    perspective_correct: bool | None = None
    clip_barycentric_coords: bool | None = None
    cull_backfaces: bool = False
    z_clip_value: float | None = None
    cull_to_frustum: bool = False


class MeshRasterizer(nn.Module):
    """Project meshes by a camera and rasterize them.

    Args:
        cameras: batch of 1 or N cameras for N meshes; may be given at each call instead.
        raster_settings: how to rasterize; by default `RasterizationSettings()`; may be given at each call instead.

    Example:
        >>> from patina3d.renderer import FoVPerspectiveCameras
        >>> verts = torch.tensor([[1.0, -1.0, 3.0], [-1.0, -1.0, 3.0], [0.0, 1.0, 3.0]])
        >>> rasterizer = MeshRasterizer(FoVPerspectiveCameras(), RasterizationSettings(image_size=4))
        >>> rasterizer(Meshes([verts], [torch.tensor([[0, 1, 2]])])).pix_to_face[0, ..., 0]
        tensor([[-1, -1, -1, -1],
                [-1, -1, -1, -1],
                [-1,  0,  0, -1],
                [-1, -1, -1, -1]])
    """

    def __init__(self, cameras: Any = None, raster_settings: RasterizationSettings | None = None) -> None:
        super().__init__()
        self.cameras = cameras
        self.raster_settings = RasterizationSettings() if raster_settings is None else raster_settings

    def transform(self, meshes_world: Meshes, **kwargs: Any) -> Meshes:
        """Project the vertices: x and y in NDC, z the view depth.

        A view depth within 1e-12 of the camera plane is moved away from it, so that projections and their gradients
        are finite.

        Args:
            meshes_world: batch of N meshes in world space.
            **kwargs: ``cameras`` instead of those of the rasterizer, ``eps`` for the homogeneous division; the rest
                overrides properties of the cameras, such as ``R``, ``T`` or ``znear``.

        Returns:
            The meshes with projected vertices and the same textures. Differentiable in vertices and cameras.

        Raises:
            ValueError: without cameras, or when their number is neither 1 nor N.
        """
        cameras = self._cameras(kwargs)
        if len(cameras) not in (1, len(meshes_world)):
            raise ValueError(
                f"MeshRasterizer: cameras must be a batch of 1 or {len(meshes_world)}, as the meshes are, "
                f"got {len(cameras)}"
            )
        eps = kwargs.pop("eps", None)
        verts_world = meshes_world.verts_padded()
        verts_view = apply_transform(cameras.get_world_to_view_transform(**kwargs), verts_world, eps)
        to_ndc = cameras.get_ndc_camera_transform(**kwargs)
        projection = try_get_projection_transform(cameras, kwargs)
        depth = verts_view[..., 2:]
        if cameras.is_perspective():
            smallest = torch.full_like(depth, _SMALLEST_DEPTH).copysign(depth)
            depth = torch.where(depth.abs() < _SMALLEST_DEPTH, smallest, depth)
        if projection is None:
            verts_ndc = apply_transform(to_ndc, cameras.transform_points(verts_world, eps=eps, **kwargs), eps)
        else:
            verts_view = torch.cat([verts_view[..., :2], depth], dim=-1)
            verts_ndc = apply_transform(compose(projection, to_ndc), verts_view, eps)
        return meshes_world.update_padded(torch.cat([verts_ndc[..., :2], depth], dim=-1))

    def forward(self, meshes_world: Meshes, **kwargs: Any) -> Fragments:
        """Rasterize.

        Args:
            meshes_world: batch of N meshes in world space.
            **kwargs: ``cameras`` and ``raster_settings`` instead of those of the rasterizer; the rest as for
                `transform`.

        Returns:
            `Fragments`. Differentiable, ``pix_to_face`` excepted, in vertices and cameras.

        Raises:
            ValueError: without cameras, or when their number is neither 1 nor N.
        """
        meshes_ndc = self.transform(meshes_world, **kwargs)
        cameras = self._cameras(kwargs)
        settings: RasterizationSettings = kwargs.get("raster_settings", self.raster_settings)
        perspective_correct = settings.perspective_correct
        if perspective_correct is None:
            perspective_correct = cameras.is_perspective()
        clip_barycentric_coords = settings.clip_barycentric_coords
        if clip_barycentric_coords is None:
            clip_barycentric_coords = settings.blur_radius > 0.0
        z_clip_value = settings.z_clip_value
        if z_clip_value is None and perspective_correct:
            z_clip_value = _half_of_least(kwargs.get("znear", cameras.get_znear()))
        return Fragments(
            *rasterize_meshes(
                meshes_ndc,
                image_size=settings.image_size,
                blur_radius=settings.blur_radius,
                faces_per_pixel=settings.faces_per_pixel,
                bin_size=settings.bin_size,
                max_faces_per_bin=settings.max_faces_per_bin,
                perspective_correct=perspective_correct,
                clip_barycentric_coords=clip_barycentric_coords,
                cull_backfaces=settings.cull_backfaces,
                z_clip_value=z_clip_value,
                cull_to_frustum=settings.cull_to_frustum,
            )
        )

    def _cameras(self, kwargs: dict[str, Any]) -> Any:
        cameras = kwargs.get("cameras", self.cameras)
        if cameras is None:
            raise ValueError("MeshRasterizer: cameras must be given to the rasterizer or to the call, got None")
        return cameras


def _half_of_least(znear: float | Tensor | None) -> float | None:
    if znear is None:
        return None
    return 0.5 * float(znear.min() if isinstance(znear, Tensor) else znear)
