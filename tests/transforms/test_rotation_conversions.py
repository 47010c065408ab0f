# SPDX-License-Identifier: Apache-2.0
"""Conversions of rotations: definitions, round trips, and the places where textbook formulas break."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from patina3d.transforms import (
    axis_angle_to_matrix,
    axis_angle_to_quaternion,
    euler_angles_to_matrix,
    matrix_to_axis_angle,
    matrix_to_euler_angles,
    matrix_to_quaternion,
    matrix_to_rotation_6d,
    quaternion_apply,
    quaternion_invert,
    quaternion_multiply,
    quaternion_raw_multiply,
    quaternion_to_axis_angle,
    quaternion_to_matrix,
    random_quaternions,
    random_rotation,
    random_rotations,
    rotation_6d_to_matrix,
    so3_exp_map,
    so3_log_map,
    standardize_quaternion,
)

CONVENTIONS = ["".join(c) for c in itertools.product("XYZ", repeat=3) if c[1] not in (c[0], c[2])]
DTYPES = pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-14), (torch.float32, 2e-6)])
AXES = torch.tensor(
    [[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0], [0, -1, 0], [0, 0, -1], [0, 1, 1], [0, -3, 4], [1, 1, 1], [-1, 2, 3]],
    dtype=torch.float64,
)
AXES /= AXES.norm(dim=1, keepdim=True)


def scipy_matrix(axis_angle: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(Rotation.from_rotvec(axis_angle.double().numpy()).as_matrix())


def special_angle_vectors(dtype: torch.dtype) -> torch.Tensor:
    """Angle vectors about many axes, at, near and far from 0 and pi."""
    near = [0, 1e-30, 1e-12, 1e-8, 1e-6, 1e-4, 1e-3, 0.05, 0.3]
    angles = torch.tensor([*near, *(math.pi - x for x in near), 1.0, 2.0], dtype=torch.float64)
    return (angles[:, None, None] * AXES).reshape(-1, 3).to(dtype)


# Anchors.


def test_anchor_values():
    assert quaternion_to_matrix(torch.tensor([2.0, 0, 0, 2])).tolist() == [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    half_turn = scipy_matrix(math.pi * torch.tensor([[-1.0, 2, 3]]) / math.sqrt(14)).float()
    expected = torch.tensor([[0, -0.26726, 0.53452, 0.80178]])
    torch.testing.assert_close(matrix_to_quaternion(half_turn), expected, rtol=0, atol=1e-5)
    about_minus_x = scipy_matrix(math.pi * torch.tensor([[-1.0, 0, 0]])).float()
    torch.testing.assert_close(matrix_to_quaternion(about_minus_x).abs(), torch.tensor([[0.0, 1, 0, 0]]))
    q = torch.tensor([-math.cos(0.5), math.sin(0.5), 0, 0])
    torch.testing.assert_close(quaternion_to_axis_angle(q), torch.tensor([2 * math.pi - 1, 0, 0]))
    q = axis_angle_to_quaternion(torch.tensor([1.5 * math.pi, 0, 0]))
    torch.testing.assert_close(q, torch.tensor([-(0.5**0.5), 0.5**0.5, 0, 0]))
    assert matrix_to_rotation_6d(torch.arange(9.0).reshape(3, 3)).tolist() == [0, 1, 2, 3, 4, 5]


# Against an independent implementation.


@DTYPES
def test_axis_angle_equals_scipy(dtype, tolerance):
    vectors = torch.cat([special_angle_vectors(dtype), torch.randn(50, 3, dtype=dtype) * 3])
    expected = scipy_matrix(vectors)
    for fast in (False, True):
        matrix = axis_angle_to_matrix(vectors, fast=fast)
        assert matrix.dtype == dtype
        torch.testing.assert_close(matrix.double(), expected, rtol=0, atol=tolerance)
    quaternions = axis_angle_to_quaternion(vectors)
    torch.testing.assert_close(quaternions.norm(dim=-1), torch.ones(len(vectors), dtype=dtype))
    torch.testing.assert_close(quaternion_to_matrix(quaternions).double(), expected, rtol=0, atol=tolerance)


@DTYPES
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_euler_angles_equal_scipy(convention, dtype, tolerance):
    angles = (torch.rand(100, 3, dtype=dtype) - 0.5) * 6
    expected = torch.from_numpy(Rotation.from_euler(convention, angles.double().numpy()).as_matrix())
    matrix = euler_angles_to_matrix(angles, convention)
    torch.testing.assert_close(matrix.double(), expected, rtol=0, atol=tolerance)
    back = torch.from_numpy(Rotation.from_matrix(expected.numpy()).as_euler(convention))
    torch.testing.assert_close(matrix_to_euler_angles(expected, convention), back, rtol=0, atol=1e-9)


@DTYPES
def test_quaternions_equal_scipy(dtype, tolerance):
    a, b = random_quaternions(50, dtype=dtype), random_quaternions(50, dtype=dtype)
    points = torch.randn(50, 3, dtype=dtype)
    rotation_a, rotation_b = (Rotation.from_quat(q.double().numpy()[:, [1, 2, 3, 0]]) for q in (a, b))
    for got, expected in (
        (quaternion_to_matrix(a), rotation_a.as_matrix()),
        (quaternion_to_matrix(quaternion_multiply(a, b)), (rotation_a * rotation_b).as_matrix()),
        (quaternion_to_matrix(quaternion_invert(a)), rotation_a.inv().as_matrix()),
        (quaternion_apply(a, points), rotation_a.apply(points.double().numpy())),
        (quaternion_to_axis_angle(a), rotation_a.as_rotvec()),
        (matrix_to_axis_angle(quaternion_to_matrix(a)), rotation_a.as_rotvec()),
    ):
        assert got.dtype == dtype
        torch.testing.assert_close(got.double(), torch.from_numpy(expected), rtol=0, atol=10 * tolerance)


# Round trips, also at the singular places.


@DTYPES
def test_axis_angle_round_trip_up_to_pi(dtype, tolerance):
    vectors = special_angle_vectors(dtype)
    back = matrix_to_axis_angle(axis_angle_to_matrix(vectors))
    assert (back.norm(dim=1) <= math.pi * (1 + tolerance)).all()
    same = axis_angle_to_matrix(back)
    torch.testing.assert_close(same, axis_angle_to_matrix(vectors), rtol=0, atol=2 * tolerance)
    below_pi = vectors.norm(dim=1) < math.pi - 1e-3
    torch.testing.assert_close(back[below_pi], vectors[below_pi], rtol=0, atol=2 * tolerance)


def test_small_angles_keep_their_digits():
    vectors = 10.0 ** torch.arange(-30, 0)[:, None] * AXES[9].float()
    torch.testing.assert_close(matrix_to_axis_angle(axis_angle_to_matrix(vectors)), vectors, rtol=1e-5, atol=0)
    torch.testing.assert_close(quaternion_to_axis_angle(axis_angle_to_quaternion(vectors)), vectors, rtol=1e-5, atol=0)


def test_many_half_turns_at_once():
    half_turns = 2 * AXES[:, :, None] * AXES[:, None, :] - torch.eye(3, dtype=torch.float64)
    back = matrix_to_axis_angle(half_turns, fast=True)
    torch.testing.assert_close(back.norm(dim=1), torch.full((10,), math.pi, dtype=torch.float64))
    largest = back.gather(1, back.abs().argmax(1, keepdim=True))
    assert (largest > 0).all()


@DTYPES
def test_quaternion_round_trip(dtype, tolerance):
    q = torch.cat([random_quaternions(100, dtype=dtype), torch.eye(4, dtype=dtype)])
    torch.testing.assert_close(matrix_to_quaternion(quaternion_to_matrix(q)), q, rtol=0, atol=2 * tolerance)
    torch.testing.assert_close(axis_angle_to_quaternion(quaternion_to_axis_angle(q)), q, rtol=0, atol=2 * tolerance)
    torch.testing.assert_close(quaternion_to_matrix(-1e-3 * q), quaternion_to_matrix(q))
    torch.testing.assert_close(quaternion_to_axis_angle(5 * q), quaternion_to_axis_angle(q))


def test_angles_near_a_full_turn_keep_their_digits():
    angles = 2 * math.pi - torch.tensor([1e-1, 1e-2, 1e-3, 1e-4], dtype=torch.float64)
    q = axis_angle_to_quaternion(angles[:, None] * AXES[9]).float()
    got = quaternion_to_axis_angle(q)
    torch.testing.assert_close(got.double(), angles[:, None] * AXES[9], rtol=0, atol=1e-3)
    assert quaternion_to_axis_angle(torch.tensor([-1.0, 0, 0, 0])).tolist() == [0, 0, 0]


@DTYPES
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_euler_angles_round_trip_at_gimbal_lock(convention, dtype, tolerance):
    proper = convention[0] == convention[2]
    for lock in (0.0, math.pi) if proper else (math.pi / 2, -math.pi / 2):
        for off in (0.0, 1e-9, 1e-7, 1e-6, 1e-4, 1e-2):
            angles = (torch.rand(20, 3, dtype=torch.float64) - 0.5) * 6
            angles[:, 1] = lock + off
            matrix = euler_angles_to_matrix(angles, convention).to(dtype).requires_grad_()
            got = matrix_to_euler_angles(matrix, convention)
            torch.testing.assert_close(euler_angles_to_matrix(got, convention), matrix, rtol=0, atol=2 * tolerance)
            assert (got[:, [0, 2]].abs() <= math.pi).all()
            low, high = (0, math.pi) if proper else (-math.pi / 2, math.pi / 2)
            assert ((got[:, 1] >= low) & (got[:, 1] <= high * (1 + 1e-6))).all()
            if off == 0:
                assert not got[:, 2].any()
            (gradient,) = torch.autograd.grad(got.sum(), matrix)
            assert gradient.isfinite().all()


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_identity_has_zero_euler_angles(convention):
    assert matrix_to_euler_angles(torch.eye(3), convention).tolist() == [0, 0, 0]


def test_rotation_6d_round_trip():
    matrix = random_rotations(50, dtype=torch.float64)
    torch.testing.assert_close(rotation_6d_to_matrix(matrix_to_rotation_6d(matrix)), matrix)
    d6 = torch.randn(50, 6, dtype=torch.float64)
    got = rotation_6d_to_matrix(d6)
    torch.testing.assert_close(got @ got.mT, torch.eye(3, dtype=torch.float64).expand(50, 3, 3))
    torch.testing.assert_close(torch.linalg.det(got), torch.ones(50, dtype=torch.float64))
    torch.testing.assert_close(got[:, 0], d6[:, :3] / d6[:, :3].norm(dim=1, keepdim=True))
    torch.testing.assert_close(rotation_6d_to_matrix(1e-6 * d6), got)
    torch.testing.assert_close(rotation_6d_to_matrix(1e6 * d6), got)


def test_rotation_6d_memory_is_its_own():
    matrix = random_rotations(2)
    d6 = matrix_to_rotation_6d(matrix)
    d6.zero_()
    assert matrix.any()


@pytest.mark.parametrize("d6", [[0.0] * 6, [1, 2, 3, 2, 4, 6], [0.1, 0.2, 0.3, 0.3, 0.6, 0.9], [0, 0, 0, 1, 2, 3]])
def test_degenerate_rotation_6d_has_bounded_gradient(d6):
    leaf = torch.tensor(d6, dtype=torch.float32, requires_grad=True)
    matrix = rotation_6d_to_matrix(leaf)
    assert not matrix[2].any()
    matrix.sum().backward()
    assert leaf.grad.abs().max() < 30


# Gradients.


@pytest.mark.parametrize("scale", [0.0, 1e-9, 1e-3, 1.0, 3.0, math.pi, 5.0])
def test_gradcheck_of_axis_angle(scale):
    vectors = (scale * AXES).requires_grad_()
    for function in (axis_angle_to_matrix, axis_angle_to_quaternion):
        assert torch.autograd.gradcheck(function, vectors)
        assert torch.autograd.gradgradcheck(function, vectors)


def test_gradient_of_axis_angle_at_zero_is_the_generators():
    jacobian = torch.autograd.functional.jacobian(axis_angle_to_matrix, torch.zeros(3))
    assert jacobian[..., 0].tolist() == [[0, 0, 0], [0, 0, -1], [0, 1, 0]]
    assert jacobian[..., 1].tolist() == [[0, 0, 1], [0, 0, 0], [-1, 0, 0]]
    assert jacobian[..., 2].tolist() == [[0, -1, 0], [1, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("scale", [0.0, 1e-9, 1e-3, 1.0, 3.0, 3.14])
def test_gradient_of_logarithm_undoes_that_of_exponential(scale):
    for axis in AXES:
        vector = scale * axis
        jacobian = torch.autograd.functional.jacobian(lambda a: matrix_to_axis_angle(axis_angle_to_matrix(a)), vector)
        torch.testing.assert_close(jacobian, torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-7)
        jacobian = torch.autograd.functional.jacobian(
            lambda a: quaternion_to_axis_angle(axis_angle_to_quaternion(a)), vector
        )
        torch.testing.assert_close(jacobian, torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-7)


def test_gradcheck_of_the_rest():
    q, p, matrix = (
        random_quaternions(4, torch.float64),
        torch.randn(4, 3, dtype=torch.float64),
        random_rotations(4, torch.float64),
    )
    for x in (q, p, matrix):
        x.requires_grad_()
    assert torch.autograd.gradcheck(quaternion_to_matrix, q)
    assert torch.autograd.gradcheck(quaternion_to_axis_angle, q)
    assert torch.autograd.gradcheck(quaternion_apply, (q, p))
    assert torch.autograd.gradcheck(quaternion_multiply, (q, q.detach().flip(0)))
    assert torch.autograd.gradcheck(matrix_to_quaternion, matrix)
    assert torch.autograd.gradcheck(lambda m: rotation_6d_to_matrix(matrix_to_rotation_6d(m)), matrix)
    for convention in ("XYZ", "ZYX", "ZXZ"):
        assert torch.autograd.gradcheck(lambda m, c=convention: matrix_to_euler_angles(m, c), matrix)
        assert torch.autograd.gradcheck(lambda e, c=convention: euler_angles_to_matrix(e, c), p)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite_at_every_singular_rotation(dtype):
    matrix = axis_angle_to_matrix(special_angle_vectors(dtype))
    matrix = torch.cat(
        [matrix, torch.diag_embed(torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])).to(dtype)]
    )
    for function in (matrix_to_quaternion, matrix_to_axis_angle):
        leaf = matrix.clone().requires_grad_()
        with torch.autograd.set_detect_anomaly(True):
            function(leaf).square().sum().backward()
            function(leaf).sum().backward()
        assert leaf.grad.isfinite().all()
        assert leaf.grad.abs().max() < 1e3
    q = torch.tensor([[1.0, 0, 0, 0], [-1, 0, 0, 0], [0, 1, 0, 0], [1, 1e-20, 0, 0], [-1, 1e-20, 0, 0]], dtype=dtype)
    leaf = q.requires_grad_()
    quaternion_to_axis_angle(leaf).square().sum().backward()
    assert leaf.grad.isfinite().all()


# Shapes, dtypes, laws.


@pytest.mark.parametrize("batch", [(), (0,), (5,), (2, 0, 3), (2, 3, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_any_batch_shape(batch, dtype, device):
    size = math.prod(batch)
    q = random_quaternions(size, dtype=dtype, device=device).reshape(*batch, 4)
    matrix = quaternion_to_matrix(q)
    vectors = quaternion_to_axis_angle(q)
    results = {
        (3, 3): [matrix, axis_angle_to_matrix(vectors), euler_angles_to_matrix(vectors, "XYZ")],
        (4,): [matrix_to_quaternion(matrix), axis_angle_to_quaternion(vectors), quaternion_multiply(q, q)],
        (3,): [matrix_to_axis_angle(matrix), matrix_to_euler_angles(matrix, "ZYZ"), quaternion_apply(q, vectors)],
        (6,): [matrix_to_rotation_6d(matrix)],
    }
    results[(3, 3)].append(rotation_6d_to_matrix(results[(6,)][0]))
    for last, tensors in results.items():
        for tensor in tensors:
            assert tensor.shape == (*batch, *last)
            assert tensor.dtype == dtype
            assert tensor.device.type == device.type


def test_batch_elements_do_not_know_each_other():
    vectors = special_angle_vectors(torch.float32)
    matrix = axis_angle_to_matrix(vectors)
    together, euler = matrix_to_axis_angle(matrix), matrix_to_euler_angles(matrix, "XYZ")
    for n in range(0, len(vectors), 7):
        torch.testing.assert_close(matrix_to_axis_angle(matrix[n]), together[n], rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(matrix_to_euler_angles(matrix[n], "XYZ"), euler[n], rtol=1e-6, atol=1e-6)


@settings(deadline=None)
@given(st.integers(0, 2**31))
def test_group_laws(seed):
    generator = torch.Generator().manual_seed(seed)
    a, b, c = torch.randn((3, 4), generator=generator, dtype=torch.float64)
    left = quaternion_raw_multiply(quaternion_raw_multiply(a, b), c)
    torch.testing.assert_close(left, quaternion_raw_multiply(a, quaternion_raw_multiply(b, c)))
    a, b = a / a.norm(), b / b.norm()
    p = torch.randn(3, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(
        quaternion_apply(quaternion_multiply(a, b), p), quaternion_apply(a, quaternion_apply(b, p))
    )
    torch.testing.assert_close(quaternion_apply(quaternion_invert(a), quaternion_apply(a, p)), p)
    matrix = quaternion_to_matrix(a)
    torch.testing.assert_close(matrix @ p, quaternion_apply(a, p))
    torch.testing.assert_close(quaternion_to_matrix(quaternion_multiply(a, b)), matrix @ quaternion_to_matrix(b))
    torch.testing.assert_close(quaternion_apply(2 * a, p), 4 * quaternion_apply(a, p))


def test_broadcasting():
    q, points = random_quaternions(5)[:, None], torch.randn(7, 3)
    assert quaternion_apply(q, points).shape == (5, 7, 3)
    assert quaternion_raw_multiply(q, random_quaternions(4)).shape == (5, 4, 4)


def test_standardize_leaves_zero_real_parts():
    q = torch.tensor([[0.0, -1, 2, 3], [-0.5, 1, 1, 1], [0.5, -1, 1, 1]])
    assert standardize_quaternion(q).tolist() == [[0, -1, 2, 3], [0.5, -1, -1, -1], [0.5, -1, 1, 1]]


def test_any_matrix_has_a_finite_quaternion():
    matrix = torch.stack([torch.zeros(3, 3), torch.ones(3, 3), -torch.eye(3), 10 * torch.randn(3, 3)]).requires_grad_()
    q = matrix_to_quaternion(matrix)
    q.sum().backward()
    assert q.isfinite().all()
    assert matrix.grad.isfinite().all()


def test_random_rotations_are_uniform_and_seeded():
    torch.manual_seed(3)
    q = random_quaternions(20000, dtype=torch.float64)
    torch.manual_seed(3)
    assert torch.equal(random_quaternions(20000, dtype=torch.float64), q)
    assert (q[:, 0] >= 0).all()
    torch.testing.assert_close(q.norm(dim=1), torch.ones(20000, dtype=torch.float64))
    # Uniform rotations carry any vector to a uniform direction.
    carried = quaternion_apply(q, torch.tensor([0.0, 0, 1], dtype=torch.float64))
    torch.testing.assert_close(carried.mean(0), torch.zeros(3, dtype=torch.float64), rtol=0, atol=0.02)
    third = torch.eye(3, dtype=torch.float64) / 3
    torch.testing.assert_close(carried.T @ carried / 20000, third, rtol=0, atol=0.02)
    matrix = random_rotation(dtype=torch.float64)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(3, dtype=torch.float64))
    assert random_rotations(0).shape == (0, 3, 3)


# Errors.


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: quaternion_to_matrix(torch.zeros(3)),
            r"quaternion_to_matrix: quaternions must have shape \(..., 4\), got \(3,\)",
        ),
        (lambda: matrix_to_quaternion(torch.zeros(3)), r"matrix_to_quaternion: matrix must have shape \(..., 3, 3\)"),
        (lambda: matrix_to_axis_angle(torch.zeros(4, 4)), "matrix_to_axis_angle: matrix"),
        (lambda: axis_angle_to_matrix(torch.zeros(4)), "axis_angle_to_matrix: axis_angle"),
        (lambda: axis_angle_to_quaternion(torch.zeros(())), "axis_angle_to_quaternion: axis_angle"),
        (lambda: quaternion_to_axis_angle(torch.zeros(3)), "quaternion_to_axis_angle: quaternions"),
        (lambda: quaternion_apply(torch.zeros(4), torch.zeros(4)), "quaternion_apply: point"),
        (lambda: rotation_6d_to_matrix(torch.zeros(5)), "rotation_6d_to_matrix: d6"),
        (lambda: matrix_to_rotation_6d(torch.zeros(3, 2)), "matrix_to_rotation_6d: matrix"),
        (lambda: euler_angles_to_matrix(torch.zeros(2), "XYZ"), "euler_angles_to_matrix: euler_angles"),
        (lambda: matrix_to_euler_angles(torch.zeros(3), "XYZ"), "matrix_to_euler_angles: matrix"),
        *(
            (lambda c=c: euler_angles_to_matrix(torch.zeros(3), c), "convention must be three letters")
            for c in ("XY", "XXY", "XYY", "xyz", "XYW", None)
        ),
        (lambda: matrix_to_euler_angles(torch.eye(3), "ZZX"), "matrix_to_euler_angles: convention"),
    ],
)
def test_errors_name_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.filterwarnings("ignore:.*torch.jit")
@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (axis_angle_to_matrix, (torch.randn(5, 3),)),
        (axis_angle_to_quaternion, (torch.randn(5, 3),)),
        (matrix_to_axis_angle, (random_rotations(5),)),
        (matrix_to_quaternion, (random_rotations(5),)),
        (matrix_to_rotation_6d, (random_rotations(5),)),
        (rotation_6d_to_matrix, (torch.randn(5, 6),)),
        (quaternion_apply, (random_quaternions(5), torch.randn(5, 3))),
        (quaternion_multiply, (random_quaternions(5), random_quaternions(5))),
        (quaternion_to_axis_angle, (random_quaternions(5),)),
        (quaternion_to_matrix, (random_quaternions(5),)),
        (so3_exp_map, (torch.randn(5, 3),)),
        (so3_log_map, (random_rotations(5),)),
        *[(euler_angles_to_matrix, (torch.randn(5, 3), convention)) for convention in ("XYZ", "ZYZ")],
        *[(matrix_to_euler_angles, (random_rotations(5), convention)) for convention in ("XYZ", "ZYZ")],
    ],
)
def test_torchscript_compiles(function, arguments):
    torch.testing.assert_close(torch.jit.script(function)(*arguments), function(*arguments))


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_torchscript_compiles_random_rotations():
    for function in (random_quaternions, random_rotations):
        assert torch.jit.script(function)(3).shape[0] == 3
    assert torch.jit.script(random_rotation)().shape == (3, 3)
