# SPDX-License-Identifier: Apache-2.0
"""Determinants of 3 x 3 matrices."""

from torch import Tensor


def _safe_det_3x3(t: Tensor) -> Tensor:
    """Determinants by cofactors, differentiable also where a matrix is singular.

    Args:
        t: (..., 3, 3).

    Returns:
        (...).

    Example:
        >>> _safe_det_3x3(2 * torch.eye(3))
        tensor(8.)
    """
    a, b, c = t.unbind(-2)
    return (
        a[..., 0] * (b[..., 1] * c[..., 2] - b[..., 2] * c[..., 1])
        - a[..., 1] * (b[..., 0] * c[..., 2] - b[..., 2] * c[..., 0])
        + a[..., 2] * (b[..., 0] * c[..., 1] - b[..., 1] * c[..., 0])
    )
