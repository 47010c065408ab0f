# SPDX-License-Identifier: Apache-2.0
"""From what a rasterizer found to an image: each shader is a way to colour points and a way to blend them."""

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from patina3d.common.datatypes import Device
from patina3d.renderer.blending import (
    BlendParams,
    face_coverage,
    hard_rgb_blend,
    per_image,
    sigmoid_alpha_blend,
    softmax_rgb_blend,
)
from patina3d.renderer.lighting import PointLights
from patina3d.renderer.materials import Materials
from patina3d.renderer.mesh.rasterizer import Fragments
from patina3d.renderer.mesh.shading import flat_shading, gouraud_shading, phong_shading
from patina3d.structures import Meshes

__all__ = [
    "HardDepthShader",
    "HardFlatShader",
    "HardGouraudShader",
    "HardPhongShader",
    "ShaderBase",
    "SoftDepthShader",
    "SoftGouraudShader",
    "SoftPhongShader",
    "SoftSilhouetteShader",
    "TexturedSoftPhongShader",
]


class ShaderBase(nn.Module):
    """What shaders share: cameras, lights, materials and blend parameters, each of which a call may replace.

    A module: ``to(device)`` moves cameras, lights and materials in place.

    Args:
        device: where the default lights and materials are made.
        cameras: batch of 1 or N cameras; may be given at each call instead.
        lights: batch of 1 or N lights, by default ``PointLights()``.
        materials: batch of 1 or N materials. The default reflects light as it is, in any number of channels.
        blend_params: by default ``BlendParams()``.

    Example:
        >>> from patina3d.renderer import FoVPerspectiveCameras
        >>> class DistanceShader(ShaderBase):
        ...     def forward(self, fragments, meshes, **kwargs):
        ...         return fragments.zbuf[..., :1]
        >>> DistanceShader(cameras=FoVPerspectiveCameras()).blend_params.sigma
        0.0001
    """

    def __init__(
        self,
        device: Device = "cpu",
        cameras: Any = None,
        lights: Any = None,
        materials: Materials | None = None,
        blend_params: BlendParams | None = None,
    ) -> None:
        super().__init__()
        self.cameras = cameras
        self.lights = PointLights(device=device) if lights is None else lights
        self.materials = _white(device) if materials is None else materials
        self.blend_params = BlendParams() if blend_params is None else blend_params

    def forward(self, fragments: Fragments, meshes: Meshes, **kwargs: Any) -> Tensor:
        """Colour the fragments of N meshes.

        Args:
            fragments: the rasterizer's output, (N, H, W, K).
            meshes: the N meshes, in world space.
            **kwargs: ``cameras``, ``lights``, ``materials``, ``blend_params`` instead of the shader's own; for the
                shaders that read depth ``znear`` and ``zfar``, numbers or (N,) tensors, by default those of the
                cameras, else 1 and 100.

        Returns:
            (N, H, W, C + 1) colours and alpha; (N, H, W, 1) depth from the depth shaders.

        Raises:
            ValueError: without cameras.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement forward")

    def _get_cameras(self, **kwargs: Any) -> Any:
        cameras = kwargs.get("cameras", self.cameras)
        if cameras is None:
            raise ValueError(f"{type(self).__name__}: cameras must be given to the shader or to the call, got None")
        return cameras

    def _lit_by(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        return {
            "lights": kwargs.get("lights", self.lights),
            "cameras": self._get_cameras(**kwargs),
            "materials": kwargs.get("materials", self.materials),
        }

    def _blend_params(self, kwargs: dict[str, Any]) -> BlendParams:
        return kwargs.get("blend_params", self.blend_params)

    def _hard(self, colors: Tensor, fragments: Fragments, kwargs: dict[str, Any]) -> Tensor:
        return hard_rgb_blend(colors, fragments, self._blend_params(kwargs))

    def _soft(self, colors: Tensor, fragments: Fragments, kwargs: dict[str, Any]) -> Tensor:
        znear, zfar = _depth_range(self._get_cameras(**kwargs), kwargs)
        return softmax_rgb_blend(colors, fragments, self._blend_params(kwargs), znear=znear, zfar=zfar)


class HardPhongShader(ShaderBase):
    """`phong_shading` of the nearest face, `hard_rgb_blend`: (N, H, W, C + 1)."""

    def forward(self, fragments: Fragments, meshes: Meshes, **kwargs: Any) -> Tensor:
        """See `ShaderBase.forward`."""
        fragments = _nearest(fragments)
        texels = meshes.sample_textures(fragments)
        return self._hard(phong_shading(meshes, fragments, texels=texels, **self._lit_by(kwargs)), fragments, kwargs)


class SoftPhongShader(ShaderBase):
    """`phong_shading`, `softmax_rgb_blend`: (N, H, W, C + 1)."""

    def forward(self, fragments: Fragments, meshes: Meshes, **kwargs: Any) -> Tensor:
        """See `ShaderBase.forward`."""
        texels = meshes.sample_textures(fragments)
        return self._soft(phong_shading(meshes, fragments, texels=texels, **self._lit_by(kwargs)), fragments, kwargs)


def TexturedSoftPhongShader(
    device: Device = "cpu",
    cameras: Any = None,
    lights: Any = None,
    materials: Materials | None = None,
    blend_params: BlendParams | None = None,
) -> SoftPhongShader:
    """Return ``SoftPhongShader`` of these arguments; deprecated (``PendingDeprecationWarning``)."""
    warnings.warn(
        "TexturedSoftPhongShader is deprecated: use SoftPhongShader instead", PendingDeprecationWarning, stacklevel=2
    )
    return SoftPhongShader(device, cameras, lights, materials, blend_params)


class HardGouraudShader(ShaderBase):
    """`gouraud_shading` of the nearest face, `hard_rgb_blend`: (N, H, W, C + 1). For `TexturesVertex`."""

    def forward(self, fragments: Fragments, meshes: Meshes, **kwargs: Any) -> Tensor:
        """See `ShaderBase.forward`."""
        fragments = _nearest(fragments)
        return self._hard(gouraud_shading(meshes, fragments, **self._lit_by(kwargs)), fragments, kwargs)


class SoftGouraudShader(ShaderBase):
    """`gouraud_shading`, `softmax_rgb_blend`: (N, H, W, C + 1). For `TexturesVertex`."""

    def forward(self, fragments: Fragments, meshes: Meshes, **kwargs: Any) -> Tensor:
        """See `ShaderBase.forward`."""
        return self._soft(gouraud_shading(meshes, fragments, **self._lit_by(kwargs)), fragments, kwargs)


class HardFlatShader(ShaderBase):
    """`flat_shading` of the nearest face, `hard_rgb_blend`: (N, H, W, C + 1)."""

    def forward(self, fragments: Fragments, meshes: Meshes, **kwargs: Any) -> Tensor:
        """See `ShaderBase.forward`."""
        fragments = _nearest(fragments)
        texels = meshes.sample_textures(fragments)
        return self._hard(flat_shading(meshes, fragments, texels=texels, **self._lit_by(kwargs)), fragments, kwargs)


class SoftSilhouetteShader(nn.Module):
    """The silhouette alone, by `sigmoid_alpha_blend`: (N, H, W, 4), white with the silhouette as alpha.

    Args:
        blend_params: by default ``BlendParams()``; ``sigma`` is read.
    """

    def __init__(self, blend_params: BlendParams | None = None) -> None:
        super().__init__()
        self.blend_params = BlendParams() if blend_params is None else blend_params

    def forward(self, fragments: Fragments, meshes: Meshes, **kwargs: Any) -> Tensor:
        """Draw the silhouette.

        Args:
            fragments: the rasterizer's output, (N, H, W, K).
            meshes: not used.
            **kwargs: ``blend_params`` instead of the shader's own.

        Returns:
            (N, H, W, 4).
        """
        white = fragments.bary_coords.new_ones(()).expand_as(fragments.bary_coords)
        return sigmoid_alpha_blend(white, fragments, kwargs.get("blend_params", self.blend_params))


class HardDepthShader(ShaderBase):
    """The view depth of the nearest face, ``zfar`` where there is none: (N, H, W, 1)."""

    def forward(self, fragments: Fragments, meshes: Meshes, **kwargs: Any) -> Tensor:
        """See `ShaderBase.forward`."""
        _, zfar = _depth_range(self._get_cameras(**kwargs), kwargs)
        far = per_image("HardDepthShader", "zfar", zfar, fragments.zbuf)
        return torch.where(fragments.pix_to_face[..., :1] < 0, far, fragments.zbuf[..., :1])


class SoftDepthShader(ShaderBase):
    r"""The mean view depth of all faces and the background at ``zfar``: (N, H, W, 1).

    .. math::
        c_k = \min(1, \sum_{j \le k} p_j), \qquad \mathrm{depth} = \sum_k (c_k - c_{k-1}) z_k + (1 - c_K) z_{far}

    with the coverage :math:`p_k = \mathrm{sigmoid}(-d_k / \sigma)`, 0 in empty slots: nearer faces take what they cover
    and leave the rest to those behind.
    """

    def forward(self, fragments: Fragments, meshes: Meshes, **kwargs: Any) -> Tensor:
        """See `ShaderBase.forward`; TypeError when ``fragments.dists`` is None."""
        _, zfar = _depth_range(self._get_cameras(**kwargs), kwargs)
        coverage = face_coverage("SoftDepthShader", fragments, self._blend_params(kwargs))
        covered = coverage.cumsum(dim=-1).clamp(max=1.0)
        shares = torch.diff(covered, dim=-1, prepend=torch.zeros_like(covered[..., :1]))
        # Empty slots have no share, whatever their depth is.
        depth = torch.where(fragments.pix_to_face < 0, 0.0, fragments.zbuf)
        nearer = (shares * depth).sum(dim=-1, keepdim=True)
        return nearer + (1.0 - covered[..., -1:]) * per_image("SoftDepthShader", "zfar", zfar, depth)


def _white(device: Device) -> Materials:
    """Reflects every light as it is; its one channel stands for any number."""
    one = ((1.0,),)
    return Materials(ambient_color=one, diffuse_color=one, specular_color=one, device=device)


def _nearest(fragments: Fragments) -> Fragments:
    """The first slot alone: all that a hard blend reads."""
    dists = fragments.dists
    return Fragments(
        pix_to_face=fragments.pix_to_face[..., :1],
        zbuf=fragments.zbuf[..., :1],
        bary_coords=fragments.bary_coords[..., :1, :],
        dists=None if dists is None else dists[..., :1],
    )


def _depth_range(cameras: Any, kwargs: dict[str, Any]) -> tuple[Any, Any]:
    return kwargs.get("znear", getattr(cameras, "znear", 1.0)), kwargs.get("zfar", getattr(cameras, "zfar", 100.0))
