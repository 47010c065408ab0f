# SPDX-License-Identifier: Apache-2.0
"""Pictures of an object from cameras around it."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from patina3d.renderer import (
    FoVPerspectiveCameras,
    HardPhongShader,
    MeshRasterizer,
    MeshRenderer,
    PointLights,
    RasterizationSettings,
    look_at_view_transform,
)
from patina3d.structures import Meshes

__all__ = ["Views", "views_around"]

# Far enough that a unit ball fits the default field of view of 60 degrees.
_DISTANCE = 2.4


@dataclass(frozen=True)
class Views:
    """Pictures of one object, and the cameras and lights that they were taken with."""

    cameras: FoVPerspectiveCameras
    lights: PointLights
    rgb: Tensor  # (V, S, S, 3), linear colour in [0, 1], white background
    silhouette: Tensor  # (V, S, S), 1 where the object is, else 0

    def __len__(self) -> int:
        """The number of pictures."""
        return len(self.rgb)


def views_around(mesh: Meshes, num_views: int, image_size: int, *, phase: float = 0.0, batch_size: int = 4) -> Views:
    """Render an object that fits the unit ball from directions spread evenly over the sphere.

    The directions form a Fibonacci spiral: the heights are equidistant, the azimuth turns by the golden angle.

    Args:
        mesh: one mesh inside the unit ball, with textures.
        num_views: number of pictures V.
        image_size: width and height S in pixels.
        phase: turns the spiral about the vertical axis, in radians; another phase gives other views.
        batch_size: pictures rendered at once.

    Returns:
        The pictures, on the device of ``mesh``, without gradient.

    Raises:
        ValueError: not one mesh, or a number below 1.

    Example:
        >>> from patina3d.renderer import TexturesVertex
        >>> from patina3d.utils import ico_sphere
        >>> ball = ico_sphere(1)
        >>> ball.textures = TexturesVertex(torch.ones_like(ball.verts_padded()))
        >>> views_around(ball, num_views=2, image_size=8).rgb.shape
        torch.Size([2, 8, 8, 3])
    """
    if len(mesh) != 1:
        raise ValueError(f"views_around: mesh must be a batch of one, got {len(mesh)}")
    for name, value in (("num_views", num_views), ("image_size", image_size), ("batch_size", batch_size)):
        if value < 1:
            raise ValueError(f"views_around: {name} must be at least 1, got {value}")
    index = torch.arange(num_views, dtype=torch.float64)
    elevation = torch.asin(1 - (2 * index + 1) / num_views)
    azimuth = index * math.pi * (3 - math.sqrt(5)) + phase
    R, T = look_at_view_transform(_DISTANCE, elevation.float(), azimuth.float(), degrees=False)
    cameras = FoVPerspectiveCameras(R=R, T=T, device=mesh.device)
    # The light stands behind the camera, so that every view is lit.
    lights = PointLights(location=2 * cameras.get_camera_center(), device=mesh.device)
    renderer = MeshRenderer(
        MeshRasterizer(raster_settings=RasterizationSettings(image_size=image_size)),
        HardPhongShader(device=mesh.device, cameras=cameras),
    )
    pictures = []
    with torch.no_grad():
        for chosen in torch.arange(num_views).split(batch_size):
            pictures.append(
                renderer(mesh.extend(len(chosen)), cameras=cameras[chosen], lights=select_lights(lights, chosen))
            )
    image = torch.cat(pictures)
    return Views(cameras, lights, image[..., :3], image[..., 3])


def select_lights(lights: PointLights, chosen: Tensor) -> PointLights:
    """The lights of some of the views."""
    return lights.clone().gather_props(chosen.to(lights.location.device))
