# SPDX-License-Identifier: Apache-2.0
"""When a check may look at values."""

import torch

__all__ = ["at_hand"]


def at_hand(x: torch.Tensor) -> bool:
    """Whether the values of a tensor can be looked at without waiting for a device or breaking a compiled graph.

    Checks of values, and choices that only save time, ask this first.

    Example:
        >>> import torch
        >>> at_hand(torch.ones(1))
        True
    """
    return not x.is_cuda and not torch.compiler.is_compiling()
