# SPDX-License-Identifier: Apache-2.0
"""Pictures for people."""

import numpy as np
import torch
from torch import Tensor

from patina3d.renderer import (
    FoVPerspectiveCameras,
    HardPhongShader,
    Materials,
    MeshRasterizer,
    MeshRenderer,
    PointLights,
    RasterizationSettings,
    look_at_view_transform,
)
from patina3d.structures import Meshes

__all__ = ["portrait", "to_bytes"]

# Each pixel of a portrait is the mean of this many samples squared.
_SUPERSAMPLING = 2


def portrait(mesh: Meshes, size: int, elevation: float, azimuth: float) -> Tensor:
    """An antialiased picture (size, size, 3) in [0, 1] of a mesh in the unit ball, lit from above the camera."""
    R, T = look_at_view_transform(2.4, elevation, azimuth, device=mesh.device)
    cameras = FoVPerspectiveCameras(R=R, T=T, device=mesh.device)
    centre = cameras.get_camera_center()
    lights = PointLights(
        ambient_color=((0.45, 0.45, 0.45),),
        diffuse_color=((0.55, 0.55, 0.55),),
        specular_color=((0.12, 0.12, 0.12),),
        location=1.5 * centre + centre.new_tensor([[0.0, 2.0, 0.0]]),
        device=mesh.device,
    )
    renderer = MeshRenderer(
        MeshRasterizer(cameras, RasterizationSettings(image_size=size * _SUPERSAMPLING)),
        HardPhongShader(
            device=mesh.device, cameras=cameras, lights=lights, materials=Materials(shininess=32, device=mesh.device)
        ),
    )
    image = renderer(mesh)[..., :3].clamp(0, 1)
    return torch.nn.functional.avg_pool2d(image.permute(0, 3, 1, 2), _SUPERSAMPLING)[0].permute(1, 2, 0)


def to_bytes(picture: Tensor) -> np.ndarray:
    """A picture in [0, 1] as 8-bit numbers, rounded."""
    return (picture.detach().clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
