# SPDX-License-Identifier: Apache-2.0
"""Eigenvalues and eigenvectors of symmetric 3 x 3 matrices."""

import torch
from torch import Tensor

from patina3d.common.workaround.symmetric_eigen import SymmetricEigen

__all__ = ["symeig3x3"]

# Each sweep rotates the three off-diagonal entries away once. Convergence is cubic in the end: from any matrix six
# sweeps leave entries below the rounding of float64.
SWEEPS = 6


def symeig3x3(inputs: Tensor, eigenvectors: bool = True) -> tuple[Tensor, Tensor | None]:
    """Eigenvalues and eigenvectors of symmetric 3 x 3 matrices, by Jacobi rotations.

    The work is elementwise over the batch and waits for nothing, which on large batches is much faster than a general
    solver. Accuracy is that of the dtype relative to the largest entry, at every scale and for repeated eigenvalues.

    Args:
        inputs: (..., 3, 3) symmetric; what is not symmetric is averaged away. float16 and bfloat16 are computed in
            float32 and rounded at the end.
        eigenvectors: return them as well.

    Returns:
        A tuple of

        - values: (..., 3), ascending;
        - vectors: (..., 3, 3), orthonormal, column k belongs to value k; sign and determinant are arbitrary. None if
          not asked for.

        Differentiable to any order. Gradients are finite everywhere: between eigenvalues that are equal to within
        rounding, where a vector is not a function of the matrix, nothing flows through the vectors.

    Raises:
        ValueError: the last axes are not 3 x 3.
        TypeError: inputs are not real and floating.

    Reference:
        Golub, Van Loan: Matrix Computations, section 8.5 (Jacobi methods).

    Example:
        >>> values, vectors = symeig3x3(torch.diag(torch.tensor([3.0, 1.0, 2.0])))
        >>> values
        tensor([1., 2., 3.])
        >>> vectors.abs()
        tensor([[0., 0., 1.],
                [1., 0., 0.],
                [0., 1., 0.]])
    """
    if inputs.shape[-2:] != (3, 3):
        raise ValueError(f"symeig3x3: inputs must have shape (..., 3, 3), got {tuple(inputs.shape)}")
    if not inputs.is_floating_point():
        raise TypeError(f"symeig3x3: inputs must be floating, got {inputs.dtype}")
    matrix = inputs.float() if inputs.dtype in (torch.float16, torch.bfloat16) else inputs
    values, vectors = _Jacobi.apply(matrix / 2 + matrix.mT / 2)
    return values.to(inputs.dtype), vectors.to(inputs.dtype) if eigenvectors else None


class _Jacobi(SymmetricEigen):
    @staticmethod
    def forward(matrix: Tensor) -> tuple[Tensor, Tensor]:
        return _jacobi(matrix)


def _jacobi(matrix: Tensor) -> tuple[Tensor, Tensor]:
    # Rotations follow from ratios of entries, so no scale is special.
    a = {(i, j): matrix[..., i, j] for i in range(3) for j in range(i, 3)}
    v = list(torch.eye(3, dtype=matrix.dtype, device=matrix.device).expand(matrix.shape).unbind(-1))
    for _ in range(SWEEPS):
        for p, q in ((0, 1), (0, 2), (1, 2)):
            r = 3 - p - q
            rp, rq = (min(r, p), max(r, p)), (min(r, q), max(r, q))
            off = a[p, q]
            is_done = off == 0
            cotangent = (a[q, q] / 2 - a[p, p] / 2) / off.masked_fill(is_done, 1)
            sign = torch.where(cotangent < 0, -1, 1).to(cotangent)
            tangent = (sign / (cotangent.abs() + (1 + cotangent.square()).sqrt())).masked_fill(is_done, 0)
            cosine = (1 + tangent.square()).rsqrt()
            sine = tangent * cosine
            a[p, p], a[q, q], a[p, q] = a[p, p] - tangent * off, a[q, q] + tangent * off, torch.zeros_like(off)
            a[rp], a[rq] = cosine * a[rp] - sine * a[rq], sine * a[rp] + cosine * a[rq]
            c, s = cosine[..., None], sine[..., None]
            v[p], v[q] = c * v[p] - s * v[q], s * v[p] + c * v[q]
    values, order = torch.stack([a[k, k] for k in range(3)], -1).sort(-1)
    vectors = torch.stack(v, -1).gather(-1, order[..., None, :].expand(matrix.shape))
    return values, vectors
