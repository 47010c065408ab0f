# SPDX-License-Identifier: Apache-2.0
"""When a check may look at values."""

import torch

__all__ = ["at_hand"]

_transforms = torch._C._functorch  # pyright: ignore[reportAttributeAccessIssue]


def at_hand(x: torch.Tensor) -> bool:
    """Whether the values of a tensor can be looked at without waiting for a device or breaking a compiled graph.

    Those of a tensor that `torch.vmap` maps over cannot.

    Checks of values, and choices that only save time, ask this first.

    Example:
        >>> import torch
        >>> at_hand(torch.ones(1))
        True
    """
    if x.is_cuda or torch.compiler.is_compiling():
        return False
    while _transforms.is_functorch_wrapped_tensor(x):
        if _transforms.is_batchedtensor(x):
            return False
        x = _transforms.get_unwrapped(x)
    return True
