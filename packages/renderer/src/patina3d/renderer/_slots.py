# SPDX-License-Identifier: Apache-2.0
"""What an operator on the K slots of each pixel takes from the rasterizer, checked in one place."""

from typing import Protocol

import torch
from torch import Tensor

__all__ = ["Fragments", "checked_fields", "checked_slots"]


class Fragments(Protocol):
    """The part of the rasterizer's output that blending reads, each (N, H, W, K)."""

    @property
    def pix_to_face(self) -> Tensor: ...
    @property
    def zbuf(self) -> Tensor: ...
    @property
    def dists(self) -> Tensor | None: ...


def checked_slots(name: str, colors: Tensor, fragments: Fragments, *fields: str) -> list[Tensor]:
    """`checked_fields`, where ``colors`` (N, H, W, K, C) fit them and K is not 0."""
    slots = checked_fields(name, fragments, *fields)
    shape = slots[0].shape
    _check_floating(name, "colors", colors, slots[0])
    if colors.dim() != 5 or colors.shape[:-1] != shape:
        raise ValueError(
            f"{name}: colors must be (N, H, W, K, C) for fragments of (N, H, W, K), "
            f"got {tuple(colors.shape)} and {tuple(shape)}"
        )
    if shape[-1] == 0:
        raise ValueError(f"{name}: fragments must hold at least one face per pixel, got none")
    return slots


def checked_fields(name: str, fragments: Fragments, *fields: str) -> list[Tensor]:
    """``pix_to_face`` and these floating fields of the fragments, each (N, H, W, K), for an operator of that name."""
    faces = fragments.pix_to_face
    if not isinstance(faces, Tensor) or faces.dtype != torch.int64:
        raise TypeError(f"{name}: fragments.pix_to_face must be an int64 tensor, got {_kind(faces)}")
    if faces.dim() != 4:
        raise ValueError(f"{name}: fragments.pix_to_face must be (N, H, W, K), got {tuple(faces.shape)}")
    slots = [faces]
    for field in fields:
        value = getattr(fragments, field)
        _check_floating(name, f"fragments.{field}", value, faces)
        if value.shape != faces.shape:
            raise ValueError(
                f"{name}: fragments.{field} must be (N, H, W, K) = {tuple(faces.shape)}, got {tuple(value.shape)}"
            )
        slots.append(value)
    return slots


def _check_floating(name: str, argument: str, value: Tensor, faces: Tensor) -> None:
    if not isinstance(value, Tensor) or not value.is_floating_point():
        raise TypeError(f"{name}: {argument} must be a floating tensor, got {_kind(value)}")
    if value.device != faces.device:
        raise ValueError(f"{name}: {argument} must be on {faces.device}, as pix_to_face, got {value.device}")


def _kind(value: object) -> str:
    return str(value.dtype).removeprefix("torch.") if isinstance(value, Tensor) else type(value).__name__
