# SPDX-License-Identifier: Apache-2.0
"""Rotations as a group: exponential, logarithm, and the angle between two of them.

Batched only: vectors (N, 3), matrices (N, 3, 3) that act on column vectors. Angles are radians.
"""

import warnings

import torch
from torch import Tensor

from patina3d.transforms.rotation_conversions import axis_angle_to_matrix, matrix_to_axis_angle

__all__ = [
    "hat",
    "hat_inv",
    "so3_exp_map",
    "so3_exponential_map",
    "so3_log_map",
    "so3_relative_angle",
    "so3_rotation_angle",
]


def so3_relative_angle(
    R1: Tensor, R2: Tensor, cos_angle: bool = False, cos_bound: float = 1e-4, eps: float = 1e-4
) -> Tensor:
    """The angle of the rotation R1 R2^T that leads from R2 to R1.

    Args:
        R1: (N, 3, 3) rotation matrices.
        R2: (N, 3, 3) rotation matrices.
        cos_angle: return the cosine in place of the angle.
        cos_bound: without effect; see ``so3_rotation_angle``.
        eps: how far a trace may lie outside [-1, 3].

    Returns:
        (N,) angles in [0, pi], or cosines. Differentiable.

    Raises:
        ValueError: wrong shapes, or R1 R2^T is no rotation by its trace.

    Example:
        >>> so3_relative_angle(torch.eye(3)[None], torch.diag(torch.tensor([1.0, -1.0, -1.0]))[None])
        tensor([3.1416])
    """
    _check_matrices("so3_relative_angle", "R1", R1)
    _check_matrices("so3_relative_angle", "R2", R2)
    return so3_rotation_angle(R1 @ R2.transpose(1, 2), cos_angle=cos_angle, cos_bound=cos_bound, eps=eps)


def so3_rotation_angle(R: Tensor, eps: float = 1e-4, cos_angle: bool = False, cos_bound: float = 1e-4) -> Tensor:
    r"""The angle of a rotation.

    .. math::
        t = \mathrm{atan2}(|\omega|, \mathrm{tr} R - 1), \qquad
        \omega = (R_{32} - R_{23}, R_{13} - R_{31}, R_{21} - R_{12})

    which is exact at every angle; an arc cosine of the trace loses half of the digits near 0 and pi.

    Args:
        R: (N, 3, 3) rotation matrices.
        eps: how far a trace may lie outside [-1, 3].
        cos_angle: return the cosine (tr R - 1) / 2 in place of the angle, as it is.
        cos_bound: without effect: no arc cosine is extrapolated.

    Returns:
        (N,) angles in [0, pi], or cosines. Differentiable; at 0 and pi, where the angle has a kink, the gradient is 0.

    Raises:
        ValueError: not (N, 3, 3), or a trace outside [-1 - eps, 3 + eps]. This waits for the device.

    Example:
        >>> so3_rotation_angle(torch.eye(3)[None])
        tensor([0.])
    """
    _check_matrices("so3_rotation_angle", "R", R)
    trace = R.diagonal(dim1=1, dim2=2).sum(-1)
    if bool(((trace < -1 - eps) | (trace > 3 + eps)).any()):
        raise ValueError(
            f"so3_rotation_angle: R must be rotations, with traces in [-1, 3] to within {eps}. "
            "A matrix has trace outside valid range [-1-eps,3+eps]."
        )
    if cos_angle:
        return (trace - 1) / 2
    return torch.atan2(torch.linalg.vector_norm(_vee(R - R.transpose(1, 2)), dim=-1), trace - 1)


def so3_exp_map(log_rot: Tensor, eps: float = 1e-4) -> Tensor:
    """Rotation matrices of angle vectors; see ``axis_angle_to_matrix``.

    Args:
        log_rot: (N, 3); the direction is the axis, the length the angle.
        eps: without effect: nothing is clamped.

    Returns:
        (N, 3, 3) matrices. Differentiable to any order, also at 0.

    Raises:
        ValueError: not (N, 3).

    Example:
        >>> so3_exp_map(torch.zeros(1, 3))
        tensor([[[1., 0., 0.],
                 [0., 1., 0.],
                 [0., 0., 1.]]])
    """
    _check_vectors("so3_exp_map", "log_rot", log_rot)
    return axis_angle_to_matrix(log_rot)


def so3_exponential_map(log_rot: Tensor, eps: float = 1e-4) -> Tensor:
    """Return ``so3_exp_map(log_rot, eps)``; deprecated (``PendingDeprecationWarning``)."""
    warnings.warn("so3_exponential_map is deprecated: use so3_exp_map instead", PendingDeprecationWarning, stacklevel=2)
    return so3_exp_map(log_rot, eps)


def so3_log_map(R: Tensor, eps: float = 1e-4, cos_bound: float = 1e-4) -> Tensor:
    """Angle vectors of rotation matrices, the inverse of ``so3_exp_map``; see ``matrix_to_axis_angle``.

    Args:
        R: (N, 3, 3) rotation matrices.
        eps: without effect: nothing is clamped.
        cos_bound: without effect: no arc cosine is extrapolated.

    Returns:
        (N, 3), of length in [0, pi]. Differentiable, with finite gradients everywhere.

    Raises:
        ValueError: not (N, 3, 3).

    Example:
        >>> so3_log_map(torch.diag(torch.tensor([-1.0, 1.0, -1.0]))[None])
        tensor([[0.0000, 3.1416, 0.0000]])
    """
    _check_matrices("so3_log_map", "R", R)
    return matrix_to_axis_angle(R)


def hat(v: Tensor) -> Tensor:
    """The skew-symmetric matrices of cross products: ``hat(v) u = v x u``.

    Args:
        v: (N, 3).

    Returns:
        (N, 3, 3): rows (0, -z, y), (z, 0, -x), (-y, x, 0). Differentiable.

    Raises:
        ValueError: not (N, 3).

    Example:
        >>> hat(torch.tensor([[1, 2, 3]]))
        tensor([[[ 0, -3,  2],
                 [ 3,  0, -1],
                 [-2,  1,  0]]])
    """
    _check_vectors("hat", "v", v)
    x, y, z = v.unbind(1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).reshape(-1, 3, 3)


def hat_inv(h: Tensor) -> Tensor:
    """The vectors of skew-symmetric matrices, the inverse of ``hat``.

    Args:
        h: (N, 3, 3) with h = -h^T to within 1e-5.

    Returns:
        (N, 3): entries [2, 1], [0, 2], [1, 0]. Differentiable.

    Raises:
        ValueError: not (N, 3, 3), or not skew-symmetric. This waits for the device.

    Example:
        >>> hat_inv(hat(torch.tensor([[1.0, 2.0, 3.0]])))
        tensor([[1., 2., 3.]])
    """
    _check_matrices("hat_inv", "h", h)
    if bool(((h + h.transpose(1, 2)).abs() > 1e-5).any()):
        raise ValueError("hat_inv: h must be skew-symmetric to within 1e-5")
    return _vee(h)


def _vee(h: Tensor) -> Tensor:
    return torch.stack([h[:, 2, 1], h[:, 0, 2], h[:, 1, 0]], 1)


def _check_vectors(operator: str, argument: str, tensor: Tensor) -> None:
    if tensor.ndim != 2 or tensor.shape[1] != 3:
        _refuse(operator, argument, list(tensor.shape), "N, 3", "Input tensor shape has to be Nx3.")


def _check_matrices(operator: str, argument: str, tensor: Tensor) -> None:
    if tensor.ndim != 3 or tensor.shape[1] != 3 or tensor.shape[2] != 3:
        _refuse(operator, argument, list(tensor.shape), "N, 3, 3", "Input has to be a batch of 3x3 Tensors.")


@torch.jit.unused  # TorchScript cannot compile the words of an error
def _refuse(operator: str, argument: str, shape: list[int], expected: str, rule: str) -> None:
    raise ValueError(f"{operator}: {argument} must have shape ({expected}), got {tuple(shape)}. {rule}")
