# SPDX-License-Identifier: Apache-2.0
"""Devices: how they are named, and which one an object lives on."""

from typing import TypeAlias

import torch

__all__ = ["Device", "get_device", "make_device"]

Device: TypeAlias = str | torch.device
"""A device, or its name: ``"cpu"``, ``"cuda"``, ``"cuda:1"``."""


def make_device(device: Device) -> torch.device:
    """Turn a name into a device; plain ``"cuda"`` becomes the current CUDA device with its index.

    Args:
        device: a device or its name.

    Returns:
        The device. A CUDA device always has an index, so that equal devices compare equal.

    Raises:
        TypeError: ``device`` is neither a string nor a ``torch.device``.

    Example:
        >>> make_device("cpu")
        device(type='cpu')
    """
    if isinstance(device, str):
        device = torch.device(device)
    elif not isinstance(device, torch.device):
        raise TypeError(f"make_device: device must be a str or a torch.device, got {type(device).__name__}")
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return device


def get_device(x: object, device: Device | None = None) -> torch.device:
    """The device that is asked for, else the device of ``x``, else the CPU.

    Args:
        x: a tensor or anything else; only a tensor has a device here, a container of tensors counts as none.
        device: overrides what ``x`` says.

    Returns:
        The device.

    Raises:
        TypeError: ``device`` is neither None, a string nor a ``torch.device``.

    Example:
        >>> get_device([1.0, 2.0])
        device(type='cpu')
    """
    if device is not None:
        return make_device(device)
    if isinstance(x, torch.Tensor):
        return x.device
    return torch.device("cpu")
