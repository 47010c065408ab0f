# SPDX-License-Identifier: Apache-2.0
"""The rotation that is nearest to a matrix, with a gradient that is defined everywhere."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

__all__ = ["nearest_rotation"]

# Singular values add up to zero where their sum is no more than this many units in the last place of the largest.
NOISE_ULPS = 16


def nearest_rotation(matrix: Tensor, *, allow_reflection: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    r"""Solve the orthogonal Procrustes problem :math:`\max_R \operatorname{tr}(R^T M)` over rotations R.

    With the singular value decomposition :math:`M = U S V^T`, the solution is :math:`R = U E V^T`, E being the identity
    but for the sign of its last entry, which makes the determinant of R positive (P. Schönemann, "A Generalized
    Solution of the Orthogonal Procrustes Problem", 1966; S. Umeyama, "Least-Squares Estimation of Transformation
    Parameters Between Two Point Patterns", 1991).

    The gradient does not go through the singular vectors, which have none where singular values are equal. R is the
    polar factor of :math:`M = R P` with :math:`P = V E S V^T` symmetric, so that :math:`\Omega = R^T dR`, a skew
    matrix, solves

    .. math:: \Omega P + P \Omega = R^T dM - dM^T R

    which is regular as long as no two of the signed singular values add up to zero, that is, wherever R is unique.
    Where it is not, the component in question does not flow.

    Args:
        matrix: M, (N, d, d) float32 or float64, d >= 1.
        allow_reflection: leave E the identity, so that the determinant of R may be -1.

    Returns:
        R (N, d, d), the identity where M = 0; :math:`\operatorname{tr}(R^T M)` (N,); and the singular values of M
        (N, d), descending. The first two are differentiable, any number of times.

    Example:
        >>> nearest_rotation(torch.tensor([[[0.0, 2.0], [-1.0, 0.0]]]))
        (tensor([[[ 0.,  1.],
                 [-1.,  0.]]]), tensor([3.]), tensor([[2., 1.]]))
    """
    return _NearestRotation.apply(matrix, allow_reflection)


class _NearestRotation(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(matrix: Tensor, allow_reflection: bool) -> tuple[Tensor, Tensor, Tensor]:
        u, singular, vh = torch.linalg.svd(matrix)
        if not allow_reflection:
            sign = torch.linalg.det(u @ vh).sign()
            u = torch.cat([u[..., :-1], u[..., -1:] * sign[:, None, None]], -1)
        eye = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
        rotation = torch.where((singular[:, :1] > 0)[..., None], u @ vh, eye)
        return rotation, (rotation * matrix).sum((1, 2)), singular

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, bool], output: tuple[Tensor, Tensor, Tensor]) -> None:
        ctx.mark_non_differentiable(output[2])
        ctx.save_for_backward(inputs[0], output[0])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        matrix, rotation = ctx.saved_tensors
        grad_rotation, grad_trace, _ = grads
        factor = rotation.mT @ matrix
        turned = rotation.mT @ grad_rotation
        skew = _SkewSolution.apply((factor + factor.mT) / 2, turned - turned.mT)
        # The trace is a maximum over R: R moving does not change it.
        return rotation @ skew + grad_trace[:, None, None] * rotation, None


class _SkewSolution(Function):
    """The skew Z with Z P + P Z = Q, for P symmetric and Q skew; components that this leaves open are 0."""

    generate_vmap_rule = True

    @staticmethod
    def forward(p: Tensor, q: Tensor) -> Tensor:
        values, vectors = torch.linalg.eigh(p)
        sums = values[..., None, :] + values[..., :, None]
        noise = NOISE_ULPS * torch.finfo(p.dtype).eps * values.abs().amax(-1)[..., None, None]
        is_open = sums.abs() <= noise
        inside = (vectors.mT @ q @ vectors).masked_fill(is_open, 0) / sums.masked_fill(is_open, 1)
        return vectors @ inside @ vectors.mT

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0], output)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        p, z = ctx.saved_tensors
        w = _SkewSolution.apply(p, (grads[0] - grads[0].mT) / 2)
        return -(z.mT @ w + w @ z.mT), w
