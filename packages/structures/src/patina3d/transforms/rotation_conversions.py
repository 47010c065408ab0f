# SPDX-License-Identifier: Apache-2.0
"""Conversions between the forms of a rotation: matrix, quaternion, axis and angle, Euler angles, six numbers.

Matrices act on column vectors: ``y = R x`` (``Transform3d`` acts on row vectors: it takes the transpose). Quaternions
are (w, x, y, z), the real part first. Angles are radians, counter-clockwise seen against the axis. Every function takes
any leading shape, empty ones included, and keeps dtype and device.
"""

import torch
from torch import Tensor

from patina3d.common.datatypes import Device
from patina3d.common.vectors import machine_epsilon, unit_or_zero
from patina3d.transforms.math import cos, cosc, sinc

__all__ = [
    "axis_angle_to_matrix",
    "axis_angle_to_quaternion",
    "euler_angles_to_matrix",
    "matrix_to_axis_angle",
    "matrix_to_euler_angles",
    "matrix_to_quaternion",
    "matrix_to_rotation_6d",
    "quaternion_apply",
    "quaternion_invert",
    "quaternion_multiply",
    "quaternion_raw_multiply",
    "quaternion_to_axis_angle",
    "quaternion_to_matrix",
    "random_quaternions",
    "random_rotation",
    "random_rotations",
    "rotation_6d_to_matrix",
    "standardize_quaternion",
]


def quaternion_to_matrix(quaternions: Tensor) -> Tensor:
    r"""Rotation matrices of quaternions.

    .. math:: R = I + \tfrac{2}{|q|^2} (w [v]_\times + [v]_\times^2), \qquad q = (w, v)

    Args:
        quaternions: (..., 4), real part first. The length does not matter; a zero quaternion, which is no rotation,
            gives NaN.

    Returns:
        (..., 3, 3) matrices. Differentiable.

    Raises:
        ValueError: the last axis is not 4.

    Example:
        >>> quaternion_to_matrix(torch.tensor([2.0, 0.0, 0.0, 2.0]))
        tensor([[ 0., -1.,  0.],
                [ 1.,  0.,  0.],
                [ 0.,  0.,  1.]])
    """
    _check_shape("quaternion_to_matrix", "quaternions", quaternions, [4])
    w, x, y, z = quaternions.unbind(-1)
    s = 2 / quaternions.square().sum(-1)
    entries = [
        1 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w),
        s * (x * y + z * w), 1 - s * (x * x + z * z), s * (y * z - x * w),
        s * (x * z - y * w), s * (y * z + x * w), 1 - s * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(entries, -1).unflatten(-1, (3, 3))


def matrix_to_quaternion(matrix: Tensor) -> Tensor:
    """Unit quaternions of rotation matrices, with real part >= 0.

    Each component follows from the matrix once one of them is known; it is the largest that is computed by a square
    root, so the result is well conditioned, with finite gradients, for every rotation. At angle pi the real part is 0,
    and the imaginary part that is largest (the first at ties) is positive.

    Args:
        matrix: (..., 3, 3) rotation matrices; not checked to be rotations.

    Returns:
        (..., 4), real part first. Differentiable.

    Raises:
        ValueError: the last axes are not 3 x 3.

    Example:
        >>> matrix_to_quaternion(torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))
        tensor([0.7071, 0.0000, 0.0000, 0.7071])
    """
    _check_shape("matrix_to_quaternion", "matrix", matrix, [3, 3])
    m00, m01, m02, m10, m11, m12, m20, m21, m22 = matrix.flatten(-2).unbind(-1)
    ww, xx, yy, zz = 1 + m00 + m11 + m22, 1 + m00 - m11 - m22, 1 - m00 + m11 - m22, 1 - m00 - m11 + m22
    wx, wy, wz = m21 - m12, m02 - m20, m10 - m01
    xy, xz, yz = m10 + m01, m02 + m20, m12 + m21
    products = [ww, wx, wy, wz, wx, xx, xy, xz, wy, xy, yy, yz, wz, xz, yz, zz]
    four_q_qt = torch.stack(products, -1).unflatten(-1, (4, 4))
    squares = torch.stack([ww, xx, yy, zz], -1)
    # The four squares sum to 4, so the largest is at least 1: its root is safe to divide by.
    largest = squares.argmax(-1, keepdim=True)
    row = four_q_qt.gather(-2, largest[..., None].expand_as(four_q_qt[..., :1, :])).squeeze(-2)
    return standardize_quaternion(row / (2 * squares.gather(-1, largest).sqrt()))


def euler_angles_to_matrix(euler_angles: Tensor, convention: str) -> Tensor:
    """Rotation matrices of Euler angles: ``R = R_c0(e0) R_c1(e1) R_c2(e2)``.

    These are rotations about the body's own axes, in the order of the letters.

    Args:
        euler_angles: (..., 3) radians.
        convention: three letters from X, Y, Z; the middle one differs from its neighbours.

    Returns:
        (..., 3, 3) matrices. Differentiable.

    Raises:
        ValueError: the last axis is not 3, or the convention is none.

    Example:
        >>> euler_angles_to_matrix(torch.tensor([0.0, 0.0, torch.pi / 2]), "XYZ").round()
        tensor([[-0., -1.,  0.],
                [ 1., -0.,  0.],
                [ 0.,  0.,  1.]])
    """
    _check_shape("euler_angles_to_matrix", "euler_angles", euler_angles, [3])
    _check_convention("euler_angles_to_matrix", convention)
    first, middle, last = euler_angles.unbind(-1)
    middle_last = axis_rotation(convention[1], middle) @ axis_rotation(convention[2], last)
    return axis_rotation(convention[0], first) @ middle_last


def matrix_to_euler_angles(matrix: Tensor, convention: str) -> Tensor:
    """Euler angles of rotation matrices, the inverse of ``euler_angles_to_matrix``.

    The outer angles lie in (-pi, pi]. The middle one lies in [-pi/2, pi/2] for three different letters and in [0, pi]
    where the first letter is the third. Where the middle angle makes the two outer axes parallel (gimbal lock) only
    their sum or difference is defined: the last angle is 0 there, and the first has all of it. The matrix of the result
    is the input to within rounding, also at and near the lock; gradients are finite everywhere.

    Args:
        matrix: (..., 3, 3) rotation matrices; not checked to be rotations.
        convention: three letters from X, Y, Z; the middle one differs from its neighbours.

    Returns:
        (..., 3) radians. Differentiable.

    Raises:
        ValueError: the last axes are not 3 x 3, or the convention is none.

    Example:
        >>> matrix_to_euler_angles(torch.eye(3), "ZYZ")
        tensor([0., 0., 0.])
    """
    _check_shape("matrix_to_euler_angles", "matrix", matrix, [3, 3])
    _check_convention("matrix_to_euler_angles", convention)
    i, j = "XYZ".index(convention[0]), "XYZ".index(convention[1])
    k = 3 - i - j
    sign = 1 if (j - i) % 3 == 1 else -1
    # Row i of R = R_i R_j R_last is that of R_j R_last. Its entries j and p hold the sine and cosine of the last angle,
    # both times the distance of the middle angle from the lock.
    proper = convention[0] == convention[2]
    p, turn, flip = (k, -sign, sign) if proper else (i, sign, 1)
    lever = torch.linalg.vector_norm(torch.stack([matrix[..., i, j], matrix[..., i, p]], -1), dim=-1)
    locked = lever <= 8 * machine_epsilon(matrix.dtype)
    last = torch.atan2(
        (-turn * flip * matrix[..., i, j] + 0.0).masked_fill(locked, 0.0),
        (flip * matrix[..., i, p]).masked_fill(locked, 1.0),
    )
    middle = torch.atan2(lever, matrix[..., i, i]) if proper else torch.atan2(sign * matrix[..., i, k], lever)
    # Column j of R R_last^-1 = R_i R_j is that of R_i: the first angle takes what the last has left, locked or not.
    column = last.cos()[..., None] * matrix[..., :, j] + turn * last.sin()[..., None] * matrix[..., :, p]
    first = torch.atan2(sign * column[..., k] + 0.0, column[..., j])
    return torch.stack([first, middle, last], -1)


def random_quaternions(n: int, dtype: torch.dtype | None = None, device: Device | None = None) -> Tensor:
    """Unit quaternions with real part >= 0, uniform over all rotations, from torch's global generator.

    Args:
        n: how many.
        dtype: torch's default dtype if None.
        device: torch's default device if None.

    Returns:
        (n, 4), real part first.

    Example:
        >>> random_quaternions(2).shape
        torch.Size([2, 4])
    """
    q = torch.randn((n, 4), dtype=dtype, device=device)
    return standardize_quaternion(q / torch.linalg.vector_norm(q, dim=1, keepdim=True))


def random_rotations(n: int, dtype: torch.dtype | None = None, device: Device | None = None) -> Tensor:
    """Rotation matrices (n, 3, 3), uniform over all rotations; see ``random_quaternions``.

    Example:
        >>> random_rotations(2).shape
        torch.Size([2, 3, 3])
    """
    return quaternion_to_matrix(random_quaternions(n, dtype=dtype, device=device))


def random_rotation(dtype: torch.dtype | None = None, device: Device | None = None) -> Tensor:
    """One rotation matrix (3, 3), uniform over all rotations; see ``random_quaternions``.

    Example:
        >>> random_rotation().shape
        torch.Size([3, 3])
    """
    return random_rotations(1, dtype=dtype, device=device)[0]


def standardize_quaternion(quaternions: Tensor) -> Tensor:
    """Of the two quaternions of a rotation the one with real part >= 0; the length stays.

    Args:
        quaternions: (..., 4), real part first.

    Returns:
        (..., 4): negated where the real part is negative.

    Example:
        >>> standardize_quaternion(torch.tensor([-1.0, 2.0, 0.0, 0.0]))
        tensor([ 1., -2., -0., -0.])
    """
    return torch.where(quaternions[..., :1] < 0, -quaternions, quaternions)


def quaternion_raw_multiply(a: Tensor, b: Tensor) -> Tensor:
    """Hamilton product; its matrix is the product of the matrices: first b is applied, then a.

    Args:
        a: (..., 4), real part first.
        b: (..., 4); broadcasts with ``a``.

    Returns:
        (..., 4). Differentiable.

    Example:
        >>> i, j = torch.tensor([0.0, 1.0, 0.0, 0.0]), torch.tensor([0.0, 0.0, 1.0, 0.0])
        >>> quaternion_raw_multiply(i, j)
        tensor([0., 0., 0., 1.])
    """
    aw, ax, ay, az = a.unbind(-1)
    bw, bx, by, bz = b.unbind(-1)
    return torch.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        -1,
    )


def quaternion_multiply(a: Tensor, b: Tensor) -> Tensor:
    """The rotation b, then a, as a quaternion with real part >= 0; see ``quaternion_raw_multiply``.

    Example:
        >>> half_turn = torch.tensor([0.0, 1.0, 0.0, 0.0])
        >>> quaternion_multiply(half_turn, half_turn).abs()
        tensor([1., 0., 0., 0.])
    """
    return standardize_quaternion(quaternion_raw_multiply(a, b))


def quaternion_invert(quaternion: Tensor) -> Tensor:
    """The conjugate: the inverse rotation, and of a unit quaternion the inverse.

    Args:
        quaternion: (..., 4), real part first.

    Returns:
        (..., 4). Differentiable.

    Example:
        >>> quaternion_invert(torch.tensor([1.0, 2.0, 3.0, 4.0]))
        tensor([ 1., -2., -3., -4.])
    """
    return torch.cat([quaternion[..., :1], -quaternion[..., 1:]], -1)


def quaternion_apply(quaternion: Tensor, point: Tensor) -> Tensor:
    """Rotate points by unit quaternions: ``q p q*``.

    Args:
        quaternion: (..., 4) unit quaternions, real part first; another length scales the points by its square.
        point: (..., 3); broadcasts with ``quaternion`` over the leading axes.

    Returns:
        (..., 3). Differentiable.

    Raises:
        ValueError: the last axis of ``point`` is not 3.

    Example:
        >>> quaternion_apply(torch.tensor([0.0, 0.0, 0.0, 1.0]), torch.tensor([1.0, 2.0, 3.0]))
        tensor([-1., -2.,  3.])
    """
    _check_shape("quaternion_apply", "point", point, [3])
    w, v = quaternion[..., :1], quaternion[..., 1:]
    v, p = torch.broadcast_tensors(v, point)
    dot = (v * p).sum(-1, keepdim=True)
    scale = w * w - v.square().sum(-1, keepdim=True)
    return scale * p + 2 * (dot * v + w * torch.linalg.cross(v, p))


def axis_angle_to_matrix(axis_angle: Tensor, fast: bool = False) -> Tensor:
    r"""Rotation matrices of angle vectors (Rodrigues' formula).

    .. math:: R = \cos t\, I + \tfrac{\sin t}{t} [a]_\times + \tfrac{1 - \cos t}{t^2} a a^T, \qquad t = |a|

    Args:
        axis_angle: (..., 3); the direction is the axis, the length the angle in radians.
        fast: without effect; there is one way, and it is fast.

    Returns:
        (..., 3, 3) matrices. Differentiable to any order, also at 0, where the derivatives are the generators.

    Raises:
        ValueError: the last axis is not 3.

    Example:
        >>> axis_angle_to_matrix(torch.tensor([0.0, 0.0, torch.pi])).round()
        tensor([[-1.,  0.,  0.],
                [-0., -1.,  0.],
                [ 0.,  0.,  1.]])
    """
    _check_shape("axis_angle_to_matrix", "axis_angle", axis_angle, [3])
    t2 = axis_angle.square().sum(-1)
    c = cos(t2)
    x, y, z = (sinc(t2)[..., None] * axis_angle).unbind(-1)
    outer = cosc(t2)[..., None, None] * axis_angle[..., :, None] * axis_angle[..., None, :]
    return outer + torch.stack([c, -z, y, z, c, -x, -y, x, c], -1).reshape(outer.shape)


def matrix_to_axis_angle(matrix: Tensor, fast: bool = False) -> Tensor:
    """Angle vectors of rotation matrices.

    Args:
        matrix: (..., 3, 3) rotation matrices; not checked to be rotations.
        fast: without effect; there is one way.

    Returns:
        (..., 3); the direction is the axis, the length the angle in [0, pi]. At pi, where both directions are right,
        the largest component (the first at ties) is positive. Differentiable, with finite gradients everywhere.

    Raises:
        ValueError: the last axes are not 3 x 3.

    Example:
        >>> matrix_to_axis_angle(torch.diag(torch.tensor([-1.0, -1.0, 1.0])))
        tensor([0.0000, 0.0000, 3.1416])
    """
    _check_shape("matrix_to_axis_angle", "matrix", matrix, [3, 3])
    return quaternion_to_axis_angle(matrix_to_quaternion(matrix))


def axis_angle_to_quaternion(axis_angle: Tensor) -> Tensor:
    r"""Unit quaternions of angle vectors.

    .. math:: q = (\cos \tfrac{t}{2}, \tfrac{\sin (t/2)}{t} a), \qquad t = |a|

    Args:
        axis_angle: (..., 3); the direction is the axis, the length the angle in radians.

    Returns:
        (..., 4), real part first; the real part is negative for angles in (pi, 3 pi). Differentiable to any order, also
        at 0.

    Raises:
        ValueError: the last axis is not 3.

    Example:
        >>> axis_angle_to_quaternion(torch.tensor([1.5 * torch.pi, 0.0, 0.0]))
        tensor([-0.7071,  0.7071,  0.0000,  0.0000])
    """
    _check_shape("axis_angle_to_quaternion", "axis_angle", axis_angle, [3])
    half2 = axis_angle.square().sum(-1, keepdim=True) / 4
    return torch.cat([cos(half2), sinc(half2) * axis_angle / 2], -1)


def quaternion_to_axis_angle(quaternions: Tensor) -> Tensor:
    r"""Angle vectors of quaternions.

    .. math:: a = t\, v / |v|, \qquad t = 2\, \mathrm{atan2}(|v|, w), \qquad q = (w, v)

    Args:
        quaternions: (..., 4), real part first. The length does not matter; a zero quaternion, which is no rotation,
            gives NaN.

    Returns:
        (..., 3); the direction is the axis, the length the angle in [0, 2 pi]: angles above pi, where w < 0, are not
        reduced (``standardize_quaternion`` first does that). (w, 0, 0, 0) gives 0, also for w < 0, where the full turn
        has no axis. Differentiable, with finite gradients.

    Raises:
        ValueError: the last axis is not 4.

    Example:
        >>> quaternion_to_axis_angle(torch.tensor([-0.8776, 0.4794, 0.0, 0.0]))
        tensor([5.2832, 0.0000, 0.0000])
    """
    _check_shape("quaternion_to_axis_angle", "quaternions", quaternions, [4])
    w, v = quaternions[..., :1], quaternions[..., 1:]
    size2 = v.square().sum(-1, keepdim=True)
    # Towards w > 0 the angle over |v| is 2 / w (1 - r / 3 + r^2 / 5 - ...) with r = |v|^2 / w^2, analytic at v = 0.
    # Towards w < 0 it grows without bound; the axis is rounding noise in the end.
    noise = machine_epsilon(w.dtype) ** 2
    is_small = size2 <= w.square() * torch.where(w > 0, 1e-3, noise)
    tangent2 = size2.masked_fill(~is_small, 0.0) / w.masked_fill(~is_small, 1.0).square()
    series = torch.full_like(tangent2, 1 / 13)
    for power in (11, 9, 7, 5, 3, 1):
        series = 1 / power - series * tangent2
    size = size2.masked_fill(is_small, 1.0).sqrt()
    return v * torch.where(
        is_small, 2 * series / w.masked_fill(~is_small, 1.0), 2 * torch.atan2(size, w.masked_fill(is_small, 1.0)) / size
    )


def rotation_6d_to_matrix(d6: Tensor) -> Tensor:
    r"""Rotation matrices of six numbers, two vectors :math:`a_1, a_2`, by orthogonalization.

    .. math:: b_1 = a_1 / |a_1|, \qquad b_2 \propto a_2 - (b_1 \cdot a_2) b_1, \qquad b_3 = b_1 \times b_2

    The :math:`b_k` are the **rows** of the matrix. The map is continuous and onto, which no map from fewer numbers is.

    Args:
        d6: (..., 6).

    Returns:
        (..., 3, 3) matrices. Where a vector is zero or both are parallel (to within rounding) there is no rotation:
        rows that are not defined are 0, with gradient 0. Differentiable.

    Raises:
        ValueError: the last axis is not 6.

    Reference:
        Zhou, Barnes, Lu, Yang, Li: On the Continuity of Rotation Representations in Neural Networks. CVPR 2019.

    Example:
        >>> rotation_6d_to_matrix(torch.tensor([0.0, 2.0, 0.0, -3.0, 1.0, 0.0]))
        tensor([[ 0.,  1.,  0.],
                [-1.,  0.,  0.],
                [ 0., -0.,  1.]])
    """
    _check_shape("rotation_6d_to_matrix", "d6", d6, [6])
    a1, a2 = d6[..., :3], d6[..., 3:]
    b1 = unit_or_zero(a1)
    across = a2 - (b1 * a2).sum(-1, keepdim=True) * b1
    b2 = unit_or_zero(across, torch.linalg.vector_norm(a2.detach(), dim=-1))
    return torch.stack([b1, b2, torch.linalg.cross(b1, b2)], -2)


def matrix_to_rotation_6d(matrix: Tensor) -> Tensor:
    """The first two rows of rotation matrices: six numbers from which ``rotation_6d_to_matrix`` finds them again.

    Args:
        matrix: (..., 3, 3).

    Returns:
        (..., 6), in memory of its own. Differentiable.

    Raises:
        ValueError: the last axes are not 3 x 3.

    Example:
        >>> matrix_to_rotation_6d(torch.arange(9.0).reshape(3, 3))
        tensor([0., 1., 2., 3., 4., 5.])
    """
    _check_shape("matrix_to_rotation_6d", "matrix", matrix, [3, 3])
    return matrix[..., :2, :].clone().flatten(-2)


def axis_rotation(axis: str, angle: Tensor) -> Tensor:
    """Matrices (..., 3, 3) of rotations by ``angle`` (...) radians about the axis X, Y or Z.

    Example:
        >>> axis_rotation("Z", torch.tensor(0.0))
        tensor([[1., -0., 0.],
                [0., 1., 0.],
                [0., 0., 1.]])
    """
    c, s = angle.cos(), angle.sin()
    one, zero = torch.ones_like(angle), torch.zeros_like(angle)
    if axis == "X":
        entries = [one, zero, zero, zero, c, -s, zero, s, c]
    elif axis == "Y":
        entries = [c, zero, s, zero, one, zero, -s, zero, c]
    else:
        entries = [c, -s, zero, s, c, zero, zero, zero, one]
    return torch.stack(entries, -1).unflatten(-1, (3, 3))


# TorchScript compiles what stands above; it cannot compile the words of an error, which it therefore leaves out.


def _check_shape(operator: str, argument: str, tensor: Tensor, last: list[int]) -> None:
    if list(tensor.shape[-len(last) :]) != last:
        _refuse_shape(operator, argument, list(tensor.shape), last)


@torch.jit.unused
def _refuse_shape(operator: str, argument: str, shape: list[int], last: list[int]) -> None:
    expected = ", ".join(map(str, last))
    raise ValueError(f"{operator}: {argument} must have shape (..., {expected}), got {tuple(shape)}")


def _check_convention(operator: str, convention: str) -> None:
    is_one = isinstance(convention, str) and len(convention) == 3
    if is_one:
        for letter in convention:
            is_one = is_one and letter in "XYZ"
        is_one = is_one and convention[1] != convention[0] and convention[1] != convention[2]
    if not is_one:
        _refuse_convention(operator, convention)


@torch.jit.unused
def _refuse_convention(operator: str, convention: str) -> None:
    raise ValueError(
        f"{operator}: convention must be three letters from X, Y, Z, the middle unlike its neighbours, "
        f"got {convention!r}"
    )
