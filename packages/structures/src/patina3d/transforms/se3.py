# SPDX-License-Identifier: Apache-2.0
"""Rigid motions as a group: exponential and logarithm.

Vectors (N, 6) hold (log translation u, log rotation w). Matrices (N, 4, 4) act on row vectors as those of
``Transform3d``: the upper left block is the transpose of ``so3_exp_map(w)``, the last row is (T, 1).
"""

import torch
from torch import Tensor

from patina3d.transforms.math import cosc, inverse_rest, sinc_rest
from patina3d.transforms.so3 import so3_exp_map, so3_log_map

__all__ = ["se3_exp_map", "se3_log_map"]


def se3_exp_map(log_transform: Tensor, eps: float = 1e-4) -> Tensor:
    r"""Rigid motions of their logarithms (the matrix exponential).

    .. math::
        T = u + \tfrac{1 - \cos t}{t^2}\, w \times u + \tfrac{t - \sin t}{t^3}\, w \times (w \times u), \qquad t = |w|

    Args:
        log_transform: (N, 6) = (u, w).
        eps: without effect: the coefficients are analytic at 0, nothing is clamped.

    Returns:
        (N, 4, 4) matrices for row vectors. Differentiable to any order, also at 0.

    Raises:
        ValueError: not (N, 6).

    Example:
        >>> se3_exp_map(torch.tensor([[1.0, 2.0, 3.0, 0.0, 0.0, 0.0]]))[0, 3]
        tensor([1., 2., 3., 1.])
    """
    if log_transform.ndim != 2 or log_transform.shape[1] != 6:
        raise ValueError(f"se3_exp_map: log_transform must have shape (N, 6), got {tuple(log_transform.shape)}")
    u, w = log_transform[:, :3], log_transform[:, 3:]
    t2 = w.square().sum(1, keepdim=True)
    across = torch.linalg.cross(w, u)
    translation = u + cosc(t2) * across + sinc_rest(t2) * torch.linalg.cross(w, across)
    upper = torch.nn.functional.pad(so3_exp_map(w).transpose(1, 2), (0, 1))
    lower = torch.nn.functional.pad(translation, (0, 1), value=1.0)
    return torch.cat([upper, lower[:, None]], 1)


def se3_log_map(transform: Tensor, eps: float = 1e-4, cos_bound: float = 1e-4) -> Tensor:
    r"""Logarithms of rigid motions, the inverse of ``se3_exp_map`` for rotation angles below pi.

    .. math::
        u = T - \tfrac{1}{2}\, w \times T
            + \tfrac{1}{t^2} \left(1 - \tfrac{t}{2} \cot \tfrac{t}{2}\right) w \times (w \times T), \qquad t = |w|

    Args:
        transform: (N, 4, 4) matrices for row vectors.
        eps: without effect: the coefficients are analytic at 0, nothing is clamped.
        cos_bound: without effect: no arc cosine is extrapolated.

    Returns:
        (N, 6) = (u, w), with |w| in [0, pi]. Differentiable, with finite gradients everywhere.

    Raises:
        ValueError: not (N, 4, 4); the last column is not (0, 0, 0, 1), or the upper left block not a rotation, to
            within 1e-3. This waits for the device.

    Example:
        >>> se3_log_map(se3_exp_map(torch.tensor([[1.0, 2.0, 3.0, 0.1, 0.2, 0.3]])))
        tensor([[1.0000, 2.0000, 3.0000, 0.1000, 0.2000, 0.3000]])
    """
    if transform.ndim != 3 or transform.shape[1:] != (4, 4):
        raise ValueError(f"se3_log_map: transform must have shape (N, 4, 4), got {tuple(transform.shape)}")
    _check_rigid(transform.detach())
    w = so3_log_map(transform[:, :3, :3].transpose(1, 2))
    translation = transform[:, 3, :3]
    across = torch.linalg.cross(w, translation)
    rest = inverse_rest(w.square().sum(1, keepdim=True))
    return torch.cat([translation - across / 2 + rest * torch.linalg.cross(w, across), w], 1)


def _check_rigid(transform: Tensor) -> None:
    block = transform[:, :3, :3]
    last_column = transform.new_tensor([0.0, 0.0, 0.0, 1.0])
    tolerance = max(1e-3, 8 * torch.finfo(transform.dtype).eps)
    flaws = {
        "have the last column (0, 0, 0, 1)": transform[:, :, 3] - last_column,
        "have an orthogonal upper left block": block @ block.transpose(1, 2) - torch.eye(3).to(block),
        "have an upper left block of determinant 1": torch.linalg.det(block) - 1,
    }
    sizes = torch.stack([(flaw.abs() > tolerance).any() for flaw in flaws.values()]).tolist()
    for flaw, found in zip(flaws, sizes, strict=True):
        if found:
            raise ValueError(f"se3_log_map: transform must {flaw}, to within {tolerance:g}")
