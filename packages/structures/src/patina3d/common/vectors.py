# SPDX-License-Identifier: Apache-2.0
"""Unit vectors with gradients that are defined everywhere."""

import torch
from torch import Tensor

__all__ = ["machine_epsilon", "unit_or_zero"]

# A vector is rounding noise where it is this many units in the last place of what it was computed from.
NOISE_ULPS = 4


def unit_or_zero(vectors: Tensor, scale: Tensor | None = None, noise_ulps: int = NOISE_ULPS) -> Tensor:
    """Vectors divided by their lengths; 0, with gradient 0, where a vector is zero to within rounding.

    Args:
        vectors: (..., D) floating tensor.
        scale: (...) size of the terms of which ``vectors`` are sums. Vectors shorter than a few units in the last place
            of it are rounding noise. By default only zero itself is zero.
        noise_ulps: how many units those are.

    Returns:
        (..., D) tensor. Differentiable in ``vectors``.

    Example:
        >>> unit_or_zero(torch.tensor([[0.0, 2.0], [0.0, 0.0]]))
        tensor([[0., 1.],
                [0., 0.]])
    """
    length = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    threshold = torch.zeros_like(length)
    if scale is not None:
        threshold = noise_ulps * machine_epsilon(length.dtype) * scale.detach()[..., None]
    is_zero = ~(length > threshold) & ~length.isnan()
    return vectors.masked_fill(is_zero, 0) / length.masked_fill(is_zero, 1)


def machine_epsilon(dtype: torch.dtype) -> float:
    """``torch.finfo(dtype).eps`` of the four common dtypes, for functions that TorchScript compiles.

    Example:
        >>> machine_epsilon(torch.float32) == torch.finfo(torch.float32).eps
        True
    """
    if dtype == torch.float64:
        return 2.0**-52
    if dtype == torch.float32:
        return 2.0**-23
    return 2.0**-10 if dtype == torch.float16 else 2.0**-7
