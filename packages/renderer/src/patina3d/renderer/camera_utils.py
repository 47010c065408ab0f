# SPDX-License-Identifier: Apache-2.0
"""Reading, turning and joining cameras."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from patina3d.renderer._cameras_base import CamerasBase
from patina3d.transforms import Transform3d

__all__ = ["camera_to_eye_at_up", "join_cameras_as_batch", "rotate_on_spot"]


def camera_to_eye_at_up(world_to_view_transform: Transform3d) -> tuple[Tensor, Tensor, Tensor]:
    """Describe cameras by position, a point they look at, and the direction that is up in their image.

    Args:
        world_to_view_transform: an affine transform of batch size N, from ``get_world_to_view_transform``.

    Returns:
        eye (N, 3), at (N, 3), one unit of view depth in front of the eye, and up (N, 3): for a rotation R its columns 2
        and 1 are ``at - eye`` and ``up``. ``look_at_view_transform(eye=eye, at=at, up=up)`` gives R and T again.
        Differentiable.

    Example:
        >>> from patina3d.renderer.cameras import FoVPerspectiveCameras, look_at_view_transform
        >>> R, T = look_at_view_transform(dist=3.0)
        >>> eye, at, up = camera_to_eye_at_up(FoVPerspectiveCameras(R=R, T=T).get_world_to_view_transform())
        >>> eye, at, up
        (tensor([[0., 0., 3.]]), tensor([[0., 0., 2.]]), tensor([[0., 1., 0.]]))
    """
    world_from_view = world_to_view_transform.inverse().get_matrix()
    up, forward, eye = world_from_view[:, 1:, :3].unbind(1)
    return eye, eye + forward, up


def rotate_on_spot(R: Tensor, T: Tensor, rotation: Tensor) -> tuple[Tensor, Tensor]:
    """Turn cameras by a rotation of their view frame, each staying where it is.

    ``R' = R rotation^T`` and ``T' = T rotation^T`` (row vectors): view points turn by ``rotation`` as column vectors,
    and the centre ``-T R^-1`` is the same as before.

    Args:
        R: (N, 3, 3) or (3, 3) world-to-view rotations.
        T: (N, 3) or (3,) translations.
        rotation: (N, 3, 3) or (3, 3) rotations.

    Returns:
        R' (N, 3, 3) and T' (N, 3), with N the largest of the batch sizes; size 1 serves all. Differentiable.

    Raises:
        ValueError: other shapes.

    Example:
        >>> turn = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
        >>> rotate_on_spot(torch.eye(3), torch.tensor([0.0, 0.0, 2.0]), turn)[1]
        tensor([[2., 0., 0.]])
    """
    R = R[None] if R.dim() == 2 else R
    T = T[None] if T.dim() == 1 else T
    rotation = rotation[None] if rotation.dim() == 2 else rotation
    shapes = {"R": (R, (3, 3)), "T": (T, (3,)), "rotation": (rotation, (3, 3))}
    for name, (tensor, shape) in shapes.items():
        if tensor.shape[1:] != shape:
            expected = "(N, " + ", ".join(map(str, shape)) + ")"
            raise ValueError(f"rotate_on_spot: {name} must be {expected}, got {tuple(tensor.shape)}")
    sizes = {tensor.shape[0] for tensor, _ in shapes.values()}
    if len(sizes - {1}) > 1:
        raise ValueError(f"rotate_on_spot: batch sizes must be 1 or one other number, got {sorted(sizes)}")
    dtype = torch.promote_types(torch.promote_types(R.dtype, T.dtype), rotation.dtype)
    turn = rotation.to(dtype).transpose(1, 2)
    size = next(iter(sizes - {1}), 1)
    new_R, new_T = R.to(dtype) @ turn, (T.to(dtype)[:, None] @ turn)[:, 0]
    return new_R.expand(size, 3, 3), new_T.expand(size, 3)


def join_cameras_as_batch(cameras_list: Sequence[CamerasBase]) -> CamerasBase:
    """Concatenate cameras of one class into one batch.

    Args:
        cameras_list: cameras of any batch sizes, of one class and on one device.

    Returns:
        A camera of that class that holds them in order. Differentiable in every field.

    Raises:
        IndexError: no camera.
        ValueError: not cameras; classes or devices differ; a field is None in some and set in others; a field that the
            batch shares (``degrees``, ``in_ndc``) differs.

    Example:
        >>> from patina3d.renderer.cameras import FoVPerspectiveCameras
        >>> join_cameras_as_batch([FoVPerspectiveCameras(fov=30.0), FoVPerspectiveCameras(fov=60.0)]).fov
        tensor([30., 60.])
    """
    if not cameras_list:
        raise IndexError("join_cameras_as_batch: cameras_list must hold at least one camera, got none")
    for camera in cameras_list:
        if not isinstance(camera, CamerasBase):
            raise ValueError(f"join_cameras_as_batch: cameras_list must hold cameras, got {type(camera).__name__}")
    first = cameras_list[0]
    classes = {type(camera).__name__ for camera in cameras_list}
    if any(type(camera) is not type(first) for camera in cameras_list):
        raise ValueError(f"join_cameras_as_batch: cameras must be of the same type, got {sorted(classes)}")
    devices = {str(camera.device) for camera in cameras_list}
    if len(devices) > 1:
        raise ValueError(f"join_cameras_as_batch: cameras must be on the same device, got {sorted(devices)}")
    kwargs: dict[str, Any] = {"device": first.device}
    for field in first._FIELDS:
        values = [getattr(camera, field) for camera in cameras_list]
        if all(value is None for value in values):
            continue
        if any(value is None for value in values):
            raise ValueError(f"join_cameras_as_batch: field {field} must be set in all cameras or in none")
        kwargs[field.removeprefix("_")] = _joined(field, values, shared=field in first._SHARED_FIELDS)
    return type(first)(**kwargs)


def _joined(field: str, values: list[Any], *, shared: bool) -> Any:
    if shared:
        if any(value != values[0] for value in values):
            raise ValueError(f"join_cameras_as_batch: Attribute {field} is not constant across inputs, got {values}")
        return values[0]
    if not all(isinstance(value, Tensor) for value in values):
        raise ValueError(
            f"join_cameras_as_batch: field {field} must be a tensor to be joined, got {type(values[0]).__name__}"
        )
    return torch.cat(values)
