# SPDX-License-Identifier: Apache-2.0
"""Unit vectors with gradients that are defined everywhere."""

import torch
from torch import Tensor

__all__ = ["unit_or_zero"]

# A vector is rounding noise where it is this many units in the last place of what it was computed from.
NOISE_ULPS = 4


def unit_or_zero(vectors: Tensor, scale: Tensor | None = None) -> Tensor:
    """Vectors divided by their lengths; 0, with gradient 0, where a vector is zero to within rounding.

    Args:
        vectors: (..., D) floating tensor.
        scale: (...) size of the terms of which ``vectors`` are sums. Vectors shorter than a few units in the last place
            of it are rounding noise. By default only zero itself is zero.

    Returns:
        (..., D) tensor. Differentiable in ``vectors``.

    Example:
        >>> unit_or_zero(torch.tensor([[0.0, 2.0], [0.0, 0.0]]))
        tensor([[0., 1.],
                [0., 0.]])
    """
    length = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    threshold = 0.0 if scale is None else NOISE_ULPS * torch.finfo(length.dtype).eps * scale.detach()[..., None]
    is_zero = ~(length > threshold) & ~length.isnan()
    return vectors.masked_fill(is_zero, 0) / length.masked_fill(is_zero, 1)
