# SPDX-License-Identifier: Apache-2.0
"""Gradients of eigenvectors that stay finite where eigenvalues repeat."""

from typing import Any

import torch
from torch import Tensor

__all__ = ["SymmetricEigen", "symmetric_eigen"]

# Eigenvalues are equal where they differ by no more than this many units in the last place of the largest.
NOISE_ULPS = 8


class SymmetricEigen(torch.autograd.Function):
    """(..., n, n) symmetric -> values (..., n) ascending, vectors (..., n, n) in columns.

    A subclass says how: its ``forward`` finds both.
    """

    generate_vmap_rule = True

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
        """Keep both."""
        ctx.save_for_backward(*output)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        """The gradient of the matrix, without what would flow between equal values."""
        grad_values, grad_vectors = grads
        values, vectors = ctx.saved_tensors
        gaps = values[..., None, :] - values[..., :, None]
        noise = NOISE_ULPS * torch.finfo(values.dtype).eps * values.detach().abs().amax(-1)[..., None, None]
        is_equal = gaps.abs() <= noise
        rotation = (vectors.mT @ grad_vectors).masked_fill(is_equal, 0) / gaps.masked_fill(is_equal, 1)
        grad = vectors @ (torch.diag_embed(grad_values) + rotation) @ vectors.mT
        return (grad + grad.mT) / 2


class _General(SymmetricEigen):
    @staticmethod
    def forward(matrix: Tensor) -> tuple[Tensor, Tensor]:
        values, vectors = torch.linalg.eigh(matrix)
        return values, vectors


def symmetric_eigen(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues and eigenvectors of symmetric matrices of any size, as ``torch.linalg.eigh`` gives them.

    Args:
        matrix: (..., n, n) float32 or float64, symmetric.

    Returns:
        Values (..., n), ascending, and orthonormal vectors (..., n, n) in columns, of any sign. Differentiable to any
        order. Between eigenvalues that are equal to within rounding nothing flows through the vectors, where those of
        torch have a gradient of inf or NaN.

    Example:
        >>> matrix = torch.eye(2, requires_grad=True)
        >>> _, vectors = symmetric_eigen(matrix)
        >>> torch.autograd.grad(vectors.sum(), matrix)
        (tensor([[0., 0.],
                [0., 0.]]),)
    """
    return _General.apply(matrix)
