# SPDX-License-Identifier: Apache-2.0
"""Names that PyTorch3D offers for old versions of torch and Python."""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

__all__ = ["meshgrid_ij", "prod"]


def meshgrid_ij(*A: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Grid of coordinates with matrix indexing: the first tensor runs along the first axis.

    Args:
        *A: K 1-D tensors of sizes S_1, ..., S_K, or one sequence of them.

    Returns:
        K tensors of shape (S_1, ..., S_K). Differentiable.

    Example:
        >>> meshgrid_ij(torch.arange(2), torch.arange(3))[0]
        tensor([[0, 0, 0],
                [1, 1, 1]])
    """
    return tuple(torch.meshgrid(*A, indexing="ij"))  # pyright: ignore[reportArgumentType]
