# SPDX-License-Identifier: Apache-2.0
"""Lights, and the diffuse and specular terms of the Phong model.

All of it happens in world space. A batch of N lights meets points of shape (N, ..., 3), for instance (N, H, W, K, 3);
packed points (P, 3) meet one light, or P of them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from patina3d.common.datatypes import Device
from patina3d.renderer._tensor_properties import TensorProperties, common_float_dtype, format_rows, format_tensor

__all__ = ["AmbientLights", "DirectionalLights", "PointLights", "diffuse", "specular"]

# Shorter normals and directions are not stretched to unit length but fade to 0.
_SHORTEST = 1e-6


def diffuse(normals: Tensor, color: Any, direction: Any) -> Tensor:
    """Return the diffuse term ``color * max(0, n . d)``: n the unit normal, d the unit direction to the light.

    Args:
        normals: (N, ..., 3) normals, of any length above 1e-6; a zero normal gives 0.
        color: (1 or N, C) colours of the light, or one for each normal, (N, ..., C).
        direction: (1 or N, 3) directions towards the light, or (N, ..., 3).

    Returns:
        (N, ..., C) tensor in the widest dtype. Differentiable in all three; zero on the side that faces away.

    Raises:
        ValueError: shapes that do not fit together.

    Example:
        >>> diffuse(torch.tensor([[0.0, 0.6, 0.8]]), color=(1.0, 0.5, 0.0), direction=(0.0, 2.0, 0.0))
        tensor([[0.6000, 0.3000, 0.0000]])
    """
    _check_points(normals, "diffuse", "normals")
    color = _spread(color, normals, "diffuse", "color")
    direction = _spread(direction, normals, "diffuse", "direction")
    return _diffuse(_dot(_unit(normals), _unit(direction)), color)


def specular(
    points: Tensor, normals: Tensor, direction: Any, color: Any, camera_position: Any, shininess: Any
) -> Tensor:
    """Return the specular term of the Phong model.

    With unit normal n, unit direction d to the light, unit direction v to the camera, c = n . d and the mirrored
    direction r = 2 c n - d: ``color * max(0, v . r)^shininess`` where c > 0, and ``color * 0^shininess`` elsewhere,
    which is 0 unless ``shininess`` is 0 (0^0 = 1).

    Args:
        points: (N, ..., 3) points of the surface.
        normals: (N, ..., 3) normals there.
        direction: (1 or N, 3) directions towards the light, or (N, ..., 3).
        color: (1 or N, C) colours of the light, or (N, ..., C).
        camera_position: (1 or N, 3) positions of the camera, or (N, ..., 3).
        shininess: a number, (1,) or (N,), at least 0, or (N, ...).

    Returns:
        (N, ..., C) tensor in the widest dtype. Differentiable in every argument; the gradient is finite, and zero where
        there is no highlight.

    Raises:
        ValueError: points and normals of different shapes, or shapes that do not fit together.

    Example:
        >>> up = torch.tensor([[0.0, 0.0, 1.0]])
        >>> specular(torch.zeros(1, 3), up, direction=up, color=(1.0, 1.0, 1.0), camera_position=(0.0, 3.0, 4.0),
        ...          shininess=2)
        tensor([[0.6400, 0.6400, 0.6400]])
    """
    facing, cosine, exponent = _reflection(points, normals, direction, camera_position, shininess)
    return _specular(facing, cosine, exponent, _spread(color, points, "specular", "color"))


def _reflection(
    points: Tensor, normals: Tensor, direction: Any, camera_position: Any, shininess: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """c, v . r and the exponent of `specular`, the exponent with a last axis of 1."""
    if points.shape != normals.shape:
        raise ValueError(
            f"specular: points and normals must have one shape, got {tuple(points.shape)} and {tuple(normals.shape)}"
        )
    _check_points(points, "specular", "points")
    camera_position = _spread(camera_position, points, "specular", "camera_position")
    exponent = format_tensor(shininess, common_float_dtype(points), points.device)
    exponent = _spread(exponent[..., None], points, "specular", "shininess")
    normal = _unit(normals)
    to_light = _unit(_spread(direction, points, "specular", "direction"))
    to_camera = _unit(camera_position - points)
    facing = _dot(normal, to_light)
    return facing, 2 * facing * _dot(normal, to_camera) - _dot(to_light, to_camera), exponent


def _diffuse(facing: Tensor, color: Tensor) -> Tensor:
    return color * torch.relu(facing)[..., None]


def _specular(facing: Tensor, cosine: Tensor, exponent: Tensor, color: Tensor) -> Tensor:
    lit = ((facing > 0) & (cosine > 0))[..., None]
    # The power's derivative at 0 is infinite for exponents below 1, so 0 must not reach it.
    highlight = torch.where(lit, cosine[..., None], 1.0) ** exponent
    return color * torch.where(lit, highlight, (exponent == 0).to(highlight.dtype))


# Vectors have their coordinates on the first axis from here on: sums of three then run along whole rows of points.


def _unit(vectors: Tensor) -> Tensor:
    vectors = vectors.movedim(-1, 0).contiguous()
    return vectors / _dot(vectors, vectors).clamp(min=_SHORTEST**2).sqrt()


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(dim=0)


def _check_points(points: Tensor, operator: str, argument: str) -> None:
    if points.dim() < 2 or points.shape[-1] != 3:
        raise ValueError(f"{operator}: {argument} must be (N, ..., 3), got {tuple(points.shape)}")


def _spread(value: Any, points: Tensor, operator: str, argument: str) -> Tensor:
    """Give (C,), (B, C) or (B, ..., C) the dimensions of (N, ..., 3) points, so that the two broadcast."""
    rows = format_rows(value, common_float_dtype(points), points.device)
    if rows.dim() == 2:
        rows = rows.reshape(rows.shape[0], *[1] * (points.dim() - 2), rows.shape[1])
    fits = rows.dim() == points.dim() and all(
        1 in (a, b) or a == b for a, b in zip(rows.shape[:-1], points.shape[:-1], strict=True)
    )
    if not fits or (argument in ("direction", "camera_position") and rows.shape[-1] != 3):
        raise ValueError(
            f"{operator}: {argument} of shape {tuple(rows.shape)} does not fit points of shape {tuple(points.shape)}"
        )
    return rows


class _Lights(TensorProperties):
    """Lights whose colours and positions are vectors of three."""

    ambient_color: Tensor
    diffuse_color: Tensor
    specular_color: Tensor

    def __init__(self, device: Device, **vectors: Any) -> None:
        dtype = common_float_dtype(*vectors.values())
        rows = {name: format_rows(value, dtype, device) for name, value in vectors.items()}
        for name, value in rows.items():
            if value.shape[-1] != 3:
                raise ValueError(f"{type(self).__name__}: {name} must be (N, 3), got {tuple(value.shape)}")
        super().__init__(dtype=dtype, device=device, **rows)


class DirectionalLights(_Lights):
    """A batch of N lights from infinitely far away.

    Args:
        ambient_color: (N, 3) RGB; one vector (3,) serves all.
        diffuse_color: (N, 3) RGB.
        specular_color: (N, 3) RGB.
        direction: (N, 3) directions from the scene towards the light, of any length.
        device: where the tensors lie.

    Numbers take the widest dtype of the tensors given, float32 at least.

    Raises:
        ValueError: a last dimension other than 3, or batch sizes that are neither 1 nor N.

    Example:
        >>> DirectionalLights(direction=(0.0, 1.0, 0.0)).diffuse(torch.tensor([[0.0, 1.0, 0.0]]))
        tensor([[0.3000, 0.3000, 0.3000]])
    """

    direction: Tensor

    def __init__(
        self,
        ambient_color: Any = ((0.5, 0.5, 0.5),),
        diffuse_color: Any = ((0.3, 0.3, 0.3),),
        specular_color: Any = ((0.2, 0.2, 0.2),),
        direction: Any = ((0, 1, 0),),
        device: Device = "cpu",
    ) -> None:
        super().__init__(
            device,
            ambient_color=ambient_color,
            diffuse_color=diffuse_color,
            specular_color=specular_color,
            direction=direction,
        )

    def diffuse(self, normals: Tensor, points: Tensor | None = None) -> Tensor:
        """Return the diffuse term at ``normals`` (N, ..., 3); the points do not matter. See ``diffuse``."""
        return diffuse(normals, self.diffuse_color, self.direction)

    def specular(self, normals: Tensor, points: Tensor, camera_position: Any, shininess: Any) -> Tensor:
        """Return the specular term at ``points`` (N, ..., 3). See ``specular``."""
        return specular(points, normals, self.direction, self.specular_color, camera_position, shininess)


class PointLights(_Lights):
    """A batch of N lights at a point each, of the same strength at any distance.

    Args:
        ambient_color: (N, 3) RGB; one vector (3,) serves all.
        diffuse_color: (N, 3) RGB.
        specular_color: (N, 3) RGB.
        location: (N, 3) positions in world space.
        device: where the tensors lie.

    Numbers take the widest dtype of the tensors given, float32 at least.

    Raises:
        ValueError: a last dimension other than 3, or batch sizes that are neither 1 nor N.

    Example:
        >>> lamp = PointLights(location=(0.0, 3.0, 4.0))
        >>> lamp.diffuse(normals=torch.tensor([[0.0, 1.0, 0.0]]), points=torch.zeros(1, 3))
        tensor([[0.1800, 0.1800, 0.1800]])
    """

    location: Tensor

    def __init__(
        self,
        ambient_color: Any = ((0.5, 0.5, 0.5),),
        diffuse_color: Any = ((0.3, 0.3, 0.3),),
        specular_color: Any = ((0.2, 0.2, 0.2),),
        location: Any = ((0, 1, 0),),
        device: Device = "cpu",
    ) -> None:
        super().__init__(
            device,
            ambient_color=ambient_color,
            diffuse_color=diffuse_color,
            specular_color=specular_color,
            location=location,
        )

    def reshape_location(self, points: Tensor) -> Tensor:
        """Return the locations with the dimensions of ``points`` (N, ..., 3): (N, 1, ..., 1, 3)."""
        return _spread(self.location, points, "PointLights", "location")

    def diffuse(self, normals: Tensor, points: Tensor) -> Tensor:
        """Return the diffuse term at ``points`` (N, ..., 3). See ``diffuse``."""
        return diffuse(normals, self.diffuse_color, self.reshape_location(points) - points)

    def specular(self, normals: Tensor, points: Tensor, camera_position: Any, shininess: Any) -> Tensor:
        """Return the specular term at ``points`` (N, ..., 3). See ``specular``."""
        direction = self.reshape_location(points) - points
        return specular(points, normals, direction, self.specular_color, camera_position, shininess)


class AmbientLights(TensorProperties):
    """A batch of N lights that shine from everywhere alike, with any number C of channels.

    Args:
        ambient_color: (N, C) colours, or (C,); (1, 1, 1) by default.
        device: where the tensors lie.

    Example:
        >>> AmbientLights(ambient_color=torch.ones(1, 5)).diffuse(torch.ones(1, 2, 3), torch.ones(1, 2, 3)).shape
        torch.Size([1, 2, 5])
    """

    ambient_color: Tensor

    def __init__(self, *, ambient_color: Any = None, device: Device = "cpu") -> None:
        color = format_rows((1.0, 1.0, 1.0) if ambient_color is None else ambient_color, device=device)
        super().__init__(device=device, ambient_color=color)

    def diffuse(self, normals: Tensor, points: Tensor) -> Tensor:
        """Return zeros of shape (*points.shape[:-1], C)."""
        return points.new_zeros(*points.shape[:-1], self.ambient_color.shape[-1])

    def specular(self, normals: Tensor, points: Tensor, camera_position: Any, shininess: Any) -> Tensor:
        """Return zeros of shape (*points.shape[:-1], C)."""
        return points.new_zeros(*points.shape[:-1], self.ambient_color.shape[-1])


def diffuse_and_specular(
    lights: Any, normals: Tensor, points: Tensor, camera_position: Any, shininess: Any
) -> tuple[Tensor, Tensor]:
    """The two terms of any lights at points (N, ..., 3); those of ours share what both are made of."""
    if type(lights) is PointLights:
        direction = lights.reshape_location(points) - points
    elif type(lights) is DirectionalLights:
        direction = lights.direction
    else:
        diffuse = lights.diffuse(normals=normals, points=points)
        return diffuse, lights.specular(
            normals=normals, points=points, camera_position=camera_position, shininess=shininess
        )
    facing, cosine, exponent = _reflection(points, normals, direction, camera_position, shininess)
    return (
        _diffuse(facing, _spread(lights.diffuse_color, points, "diffuse", "color")),
        _specular(facing, cosine, exponent, _spread(lights.specular_color, points, "specular", "color")),
    )
