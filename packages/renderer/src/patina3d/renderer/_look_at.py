# SPDX-License-Identifier: Apache-2.0
"""Rotations and translations of cameras that look at a point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from patina3d.common.datatypes import Device
from patina3d.renderer._tensor_properties import (
    common_float_dtype,
    convert_to_tensors_and_broadcast,
    format_rows,
)

__all__ = ["camera_position_from_spherical_angles", "look_at_rotation", "look_at_view_transform"]

_BatchFloatType = float | Sequence[float] | Tensor


def camera_position_from_spherical_angles(
    distance: _BatchFloatType,
    elevation: _BatchFloatType,
    azimuth: _BatchFloatType,
    degrees: bool = True,
    device: Device = "cpu",
) -> Tensor:
    """Return the position ``(d cos e sin a, d sin e, d cos e cos a)``; azimuth 0 lies on +Z.

    Args:
        distance: distance d from the origin, a number or (N,).
        elevation: angle e above the plane y = 0.
        azimuth: angle a about +Y, from +Z towards +X.
        degrees: whether the angles are in degrees; otherwise radians.
        device: where the result lies.

    Returns:
        (N, 3) positions, in the widest dtype of the tensors given, float32 at least. Differentiable.

    Raises:
        ValueError: sizes that are neither 1 nor N.

    Example:
        >>> camera_position_from_spherical_angles(2.0, 30.0, 0.0)
        tensor([[0.0000, 1.0000, 1.7321]])
    """
    dtype = common_float_dtype(distance, elevation, azimuth)
    d, e, a = (
        value.to(dtype).reshape(-1)
        for value in convert_to_tensors_and_broadcast(distance, elevation, azimuth, dtype=dtype, device=device)
    )
    if degrees:
        e, a = e * (math.pi / 180), a * (math.pi / 180)
    horizontal = d * torch.cos(e)
    return torch.stack((horizontal * torch.sin(a), d * torch.sin(e), horizontal * torch.cos(a)), dim=1)


def look_at_rotation(
    camera_position: Any, at: Any = ((0, 0, 0),), up: Any = ((0, 1, 0),), device: Device = "cpu"
) -> Tensor:
    """Return the world-to-view rotations of cameras that look from a position at a point.

    The columns of R are the view axes in world space: z = norm(at - camera_position), x = norm(up x z), y = z x x.

    Where ``up`` is nearly parallel to z (to within 100 eps of the dtype), x is up x z made exact, taken as a constant;
    where it is parallel and leaves x open, x is world +X made perpendicular to z, or world -Z where z is within 25
    degrees of the X axis. Where the camera stands on ``at``, z is world +Z. So R is always a rotation.

    Args:
        camera_position: (N, 3) or (3,) positions in world space.
        at: (N, 3) or (3,) points to look at.
        up: (N, 3) or (3,) directions that shall point up in the image, of any length.
        device: where the result lies.

    Returns:
        (N, 3, 3) rotations in the widest dtype of the tensors given, float32 at least. Differentiable, with a
        finite gradient.

    Raises:
        ValueError: a last dimension other than 3, or batch sizes that are neither 1 nor N.

    Example:
        >>> look_at_rotation((0.0, 0.0, 3.0))
        tensor([[[-1.,  0.,  0.],
                 [ 0.,  1.,  0.],
                 [ 0.,  0., -1.]]])
    """
    position, at, up = _vectors("look_at_rotation", device, camera_position=camera_position, at=at, up=up)
    z = _view_z(position, at)
    x_axis, _, z_axis = torch.eye(3, dtype=z.dtype, device=z.device)
    hint = torch.where(z[:, :1].abs() > 0.9, -z_axis, x_axis)
    across = torch.linalg.cross(up.detach(), z.detach())
    length = across.norm(dim=1, keepdim=True)
    hint = torch.where(length > 0, across / length.masked_fill(length == 0, 1), hint)
    return _rotation(z, up, hint)


def look_at_view_transform(
    dist: _BatchFloatType = 1.0,
    elev: _BatchFloatType = 0.0,
    azim: _BatchFloatType = 0.0,
    degrees: bool = True,
    eye: Any = None,
    at: Any = ((0, 0, 0),),
    up: Any = ((0, 1, 0),),
    device: Device = "cpu",
) -> tuple[Tensor, Tensor]:
    """Return rotation and translation of cameras that look at a point.

    The camera stands at C = ``eye``, or at ``at`` plus the position that ``camera_position_from_spherical_angles``
    gives; R is that of ``look_at_rotation``, and T = -C R (row vectors).

    Where ``up`` is parallel to the line of sight, a camera given by angles has x = (cos a, 0, -sin a): a camera above
    its target (``elev=90``) turns with the azimuth. One given by ``eye`` follows ``look_at_rotation``.

    Args:
        dist: distance from ``at``, a number or (N,).
        elev: angle above the horizontal plane.
        azim: angle about +Y, from +Z towards +X.
        degrees: whether the angles are in degrees; otherwise radians.
        eye: (N, 3) or (3,) positions; overrides ``dist``, ``elev`` and ``azim``.
        at: (N, 3) or (3,) points to look at.
        up: (N, 3) or (3,) directions that shall point up in the image.
        device: where the result lies.

    Returns:
        R (N, 3, 3) and T (N, 3) with ``x_view = x_world R + T``, in the widest dtype of the tensors given, float32 at
        least. Differentiable.

    Raises:
        ValueError: a last dimension other than 3, or batch sizes that are neither 1 nor N.

    Example:
        >>> R, T = look_at_view_transform(dist=2.0, elev=30.0, azim=45.0)
        >>> torch.allclose(T, torch.tensor([[0.0, 0.0, 2.0]]), atol=1e-6)
        True
    """
    if eye is not None:
        eye, at, up = _vectors("look_at_view_transform", device, eye=eye, at=at, up=up)
        R = look_at_rotation(eye, at, up, device=eye.device)
    else:
        dtype = common_float_dtype(dist, elev, azim, at, up)
        dist, elev, azim = (
            value.to(dtype).reshape(-1)
            for value in convert_to_tensors_and_broadcast(dist, elev, azim, dtype=dtype, device=device)
        )
        offset = camera_position_from_spherical_angles(dist, elev, azim, degrees, device)
        offset, at, up = _vectors("look_at_view_transform", device, position=offset, at=at, up=up)
        eye = offset + at
        angle = azim * (math.pi / 180) if degrees else azim
        hint = torch.stack((torch.cos(angle), torch.zeros_like(angle), -torch.sin(angle)), dim=1)
        R = _rotation(_view_z(eye, at), up, hint)
    return R, -torch.bmm(eye[:, None], R)[:, 0]


def _vectors(operator: str, device: Device, **vectors: Any) -> list[Tensor]:
    """Read each of ``vectors`` as (N, 3), all of one dtype."""
    dtype = common_float_dtype(*vectors.values())
    tensors = [format_rows(value, dtype, device).to(dtype) for value in vectors.values()]
    for name, tensor in zip(vectors, tensors, strict=True):
        if tensor.dim() != 2 or tensor.shape[1] != 3:
            raise ValueError(f"{operator}: {name} must be (N, 3) or (3,), got {tuple(tensor.shape)}")
    return convert_to_tensors_and_broadcast(*tensors, device=device)


def _view_z(position: Tensor, at: Tensor) -> Tensor:
    difference = at - position
    z_axis = torch.eye(3, dtype=at.dtype, device=at.device)[2]
    return _unit(torch.where((difference == 0).all(dim=1, keepdim=True), z_axis, difference))


def _rotation(z: Tensor, up: Tensor, hint: Tensor) -> Tensor:
    """Complete the unit axis z by ``up``, and where that is parallel to z, by ``hint`` as the direction of x."""
    x = torch.linalg.cross(up, z)
    tolerance = 100 * torch.finfo(z.dtype).eps
    # Both are constants here: which of two branches holds has no gradient.
    parallel = x.detach().norm(dim=1, keepdim=True) <= tolerance * up.detach().norm(dim=1, keepdim=True)
    x = _unit(torch.where(parallel, hint - (hint * z).sum(dim=1, keepdim=True) * z, x))
    return torch.stack((x, torch.linalg.cross(z, x), z), dim=2)


def _unit(vectors: Tensor) -> Tensor:
    return vectors / vectors.norm(dim=1, keepdim=True)
