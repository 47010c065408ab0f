# SPDX-License-Identifier: Apache-2.0
"""A rasterizer and a shader, one after the other."""

from typing import Any

from torch import Tensor, nn

from patina3d.renderer.mesh.rasterizer import Fragments
from patina3d.structures import Meshes

__all__ = ["MeshRenderer", "MeshRendererWithFragments"]


class _RasterizeAndShade(nn.Module):
    def __init__(self, rasterizer: Any, shader: Any) -> None:
        super().__init__()
        self.rasterizer = rasterizer
        self.shader = shader

    def _render(self, meshes_world: Meshes, kwargs: dict[str, Any]) -> tuple[Tensor, Fragments]:
        fragments = self.rasterizer(meshes_world, **kwargs)
        return self.shader(fragments, meshes_world, **kwargs), fragments


class MeshRenderer(_RasterizeAndShade):
    """Render meshes to images.

    Args:
        rasterizer: finds the faces at each pixel, such as `MeshRasterizer`.
        shader: turns them into colours, such as `SoftPhongShader`.

    Example:
        >>> import torch
        >>> from patina3d.renderer import (
        ...     FoVPerspectiveCameras, MeshRasterizer, RasterizationSettings, SoftSilhouetteShader
        ... )
        >>> from patina3d.structures import Meshes
        >>> verts = torch.tensor([[1.0, -1.0, 3.0], [-1.0, -1.0, 3.0], [0.0, 1.0, 3.0]])
        >>> rasterizer = MeshRasterizer(FoVPerspectiveCameras(), RasterizationSettings(image_size=4))
        >>> renderer = MeshRenderer(rasterizer, SoftSilhouetteShader())
        >>> renderer(Meshes([verts], [torch.tensor([[0, 1, 2]])])).shape
        torch.Size([1, 4, 4, 4])
    """

    def forward(self, meshes_world: Meshes, **kwargs: Any) -> Tensor:
        """Render.

        Args:
            meshes_world: batch of N meshes in world space.
            **kwargs: goes to both the rasterizer and the shader: ``cameras``, ``raster_settings``, ``lights``,
                ``materials``, ``blend_params``, ...

        Returns:
            The shader's image, (N, H, W, C + 1) for most.
        """
        return self._render(meshes_world, kwargs)[0]


class MeshRendererWithFragments(_RasterizeAndShade):
    """`MeshRenderer` that returns what the rasterizer found as well.

    Args:
        rasterizer: finds the faces at each pixel, such as `MeshRasterizer`.
        shader: turns them into colours, such as `SoftPhongShader`.
    """

    def forward(self, meshes_world: Meshes, **kwargs: Any) -> tuple[Tensor, Fragments]:
        """Render.

        Args:
            meshes_world: batch of N meshes in world space.
            **kwargs: goes to both the rasterizer and the shader.

        Returns:
            The shader's image and the rasterizer's `Fragments`.
        """
        return self._render(meshes_world, kwargs)
