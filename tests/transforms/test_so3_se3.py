# SPDX-License-Identifier: Apache-2.0
"""Rotations and rigid motions as groups."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from patina3d.transforms import (
    Scale,
    random_rotations,
    se3_exp_map,
    se3_log_map,
    so3_exp_map,
    so3_exponential_map,
    so3_log_map,
    so3_relative_angle,
    so3_rotation_angle,
)
from patina3d.transforms.so3 import hat, hat_inv

ANGLES = [0.0, 1e-12, 1e-6, 1e-3, 0.01, 0.3, 0.49, 0.51, 1.0, 2.0, 3.0, 3.14]


def motions(dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Logarithms with every special angle."""
    directions = torch.randn(len(ANGLES), 3, dtype=torch.float64)
    directions /= directions.norm(dim=1, keepdim=True)
    turns = torch.tensor(ANGLES, dtype=torch.float64)[:, None] * directions
    return torch.cat([torch.randn_like(turns), turns], 1).to(dtype)


def exponential_by_definition(logs: torch.Tensor) -> torch.Tensor:
    generators = torch.zeros((len(logs), 4, 4), dtype=torch.float64)
    generators[:, :3, :3] = hat(logs[:, 3:].double())
    generators[:, :3, 3] = logs[:, :3]
    return torch.matrix_exp(generators).mT


def test_hat():
    v = torch.randn(5, 3)
    u = torch.randn(5, 3)
    torch.testing.assert_close((hat(v) @ u[..., None])[..., 0], torch.linalg.cross(v, u))
    assert hat(torch.tensor([[1, 2, 3]])).tolist() == [[[0, -3, 2], [3, 0, -1], [-2, 1, 0]]]
    assert torch.equal(hat_inv(hat(v)), v)
    assert hat_inv(torch.zeros(0, 3, 3)).shape == (0, 3)
    with pytest.raises(ValueError, match="must be skew-symmetric"):
        hat_inv(torch.eye(3)[None])


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 3e-6)])
def test_exponential_is_the_matrix_exponential(dtype, tolerance):
    logs = motions(dtype)
    motion = se3_exp_map(logs)
    assert motion.dtype == dtype
    assert motion.is_contiguous()
    torch.testing.assert_close(motion.double(), exponential_by_definition(logs), rtol=0, atol=tolerance)
    torch.testing.assert_close(so3_exp_map(logs[:, 3:]).mT, motion[:, :3, :3])


def test_anchor_screw():
    motion = se3_exp_map(torch.tensor([[1.0, 2, 3, 0.1, 0.2, 0.3]]))[0]
    torch.testing.assert_close(motion[3], torch.tensor([1.0, 2, 3, 1]))
    assert motion[0, 1].item() == pytest.approx(0.3029, abs=1e-4)
    assert motion[1, 0].item() == pytest.approx(-0.2832, abs=1e-4)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_round_trip(dtype, tolerance):
    logs = motions(dtype)
    torch.testing.assert_close(se3_log_map(se3_exp_map(logs)), logs, rtol=0, atol=tolerance)
    torch.testing.assert_close(so3_log_map(so3_exp_map(logs[:, 3:])), logs[:, 3:], rtol=0, atol=tolerance)


def test_logarithm_of_half_turns():
    axes = torch.tensor([[0.0, 1, 0], [0, 0, -1], [0.6, 0, 0.8]], dtype=torch.float64)
    logs = torch.cat([torch.randn(3, 3, dtype=torch.float64), math.pi * axes], 1)
    motion = se3_exp_map(logs).requires_grad_()
    got = se3_log_map(motion)
    torch.testing.assert_close(se3_exp_map(got), motion)
    got.sum().backward()
    assert motion.grad.isfinite().all()


@settings(deadline=None)
@given(st.integers(0, 2**31), st.floats(-6, 6))
def test_motions_about_one_screw_commute(seed, exponent):
    generator = torch.Generator().manual_seed(seed)
    log = torch.randn((1, 6), generator=generator, dtype=torch.float64)
    log[:, :3] *= 10**exponent
    a, b = 0.3, 0.7
    product = se3_exp_map(a * log) @ se3_exp_map(b * log)
    torch.testing.assert_close(product, se3_exp_map(log), rtol=1e-10, atol=1e-10 * 10 ** max(exponent, 0))
    torch.testing.assert_close(
        se3_exp_map(-log), torch.linalg.inv(se3_exp_map(log)), rtol=1e-9, atol=1e-9 * 10 ** max(exponent, 0)
    )


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-3, 0.49, 1.0, 3.0])
def test_gradcheck(angle):
    logs = torch.randn(2, 6, dtype=torch.float64)
    logs[:, 3:] *= angle / logs[:, 3:].norm(dim=1, keepdim=True)
    logs.requires_grad_()
    assert torch.autograd.gradcheck(se3_exp_map, logs)
    assert torch.autograd.gradgradcheck(se3_exp_map, logs)
    jacobian = torch.autograd.functional.jacobian(lambda x: se3_log_map(se3_exp_map(x)), logs)
    eye = torch.eye(12, dtype=torch.float64).reshape(2, 6, 2, 6)
    torch.testing.assert_close(jacobian, eye, rtol=0, atol=1e-6)


# The angle.


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-15), (torch.float32, 1e-6)])
def test_rotation_angle_is_exact(dtype, tolerance):
    axis = torch.tensor([[0.6, 0.0, 0.8]], dtype=torch.float64)
    angles = torch.tensor([0.0, 1e-9, 1e-5, 0.001, 1.0, 3.0, math.pi - 1e-5, math.pi], dtype=torch.float64)
    rotation = so3_exp_map(angles[:, None] * axis).to(dtype)
    got = so3_rotation_angle(rotation)
    assert got.dtype == dtype
    torch.testing.assert_close(got.double(), angles, rtol=0, atol=4 * tolerance)
    cosines = so3_rotation_angle(rotation, cos_angle=True)
    torch.testing.assert_close(cosines.double(), angles.cos(), rtol=0, atol=4 * tolerance)


def test_relative_angle():
    a, b = random_rotations(50, torch.float64), random_rotations(50, torch.float64)
    expected = so3_rotation_angle(a @ b.mT)
    torch.testing.assert_close(so3_relative_angle(a, b), expected)
    torch.testing.assert_close(so3_relative_angle(b, a), expected)
    assert so3_relative_angle(a.float(), a.float()).max() < 1e-6
    assert (expected >= 0).all()
    torch.testing.assert_close(so3_relative_angle(a, b, cos_angle=True), expected.cos())


def test_gradient_of_the_angle_is_bounded():
    rotation = so3_exp_map(torch.tensor([[0.0, 0, 0], [1e-6, 0, 0], [1.0, 0, 0], [math.pi, 0, 0], [0, 3.1415, 0]]))
    rotation.requires_grad_()
    so3_rotation_angle(rotation).sum().backward()
    assert rotation.grad.isfinite().all()
    assert rotation.grad.abs().max() < 1
    assert so3_rotation_angle(rotation[:0]).shape == (0,)


def test_angle_of_no_rotation_is_refused():
    for bad in (1.1 * torch.eye(3), torch.diag(torch.tensor([-1.0, -1.0, -1.0]))):
        with pytest.raises(ValueError, match="R must be rotations"):
            so3_rotation_angle(bad[None])


# Errors.


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hat(torch.zeros(3)), r"hat: v must have shape \(N, 3\), got \(3,\)"),
        (lambda: hat_inv(torch.zeros(3, 3)), r"hat_inv: h must have shape \(N, 3, 3\)"),
        (lambda: so3_exp_map(torch.zeros(1, 4)), "so3_exp_map: log_rot"),
        (lambda: so3_log_map(torch.zeros(3, 3)), "so3_log_map: R"),
        (lambda: so3_rotation_angle(torch.zeros(1, 2, 3)), "so3_rotation_angle: R"),
        (lambda: so3_relative_angle(torch.zeros(3, 3), torch.zeros(1, 3, 3)), "so3_relative_angle: R1"),
        (lambda: so3_relative_angle(torch.zeros(1, 3, 3), torch.zeros(3, 3)), "so3_relative_angle: R2"),
        (lambda: se3_exp_map(torch.zeros(6)), r"se3_exp_map: log_transform must have shape \(N, 6\)"),
        (lambda: se3_log_map(torch.eye(4)), r"se3_log_map: transform must have shape \(N, 4, 4\)"),
        (lambda: Scale(2.0).get_se3_log(), "orthogonal upper left block"),
        (lambda: se3_log_map(torch.diag(torch.tensor([1.0, 1, -1, 1]))[None]), "of determinant 1"),
        (lambda: se3_log_map(torch.diag(torch.tensor([1.0, 1, 1, 2]))[None]), r"the last column \(0, 0, 0, 1\)"),
    ],
)
def test_errors_name_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_former_name_of_the_exponential_warns():
    logs = torch.randn(3, 3)
    with pytest.warns(PendingDeprecationWarning, match="so3_exponential_map"):
        matrices = so3_exponential_map(logs)
    assert torch.equal(matrices, so3_exp_map(logs))
