# SPDX-License-Identifier: Apache-2.0
"""Alignment of cameras: definition, gradients, underdetermined scenes, errors."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.linalg import polar
from torch import Tensor
from torch.autograd import gradcheck

from patina3d.ops import corresponding_cameras_alignment as align
from patina3d.renderer import FoVOrthographicCameras, FoVPerspectiveCameras, PerspectiveCameras
from patina3d.transforms import axis_angle_to_matrix, random_rotations, so3_relative_angle
from support.similarities import rotations

MODES = pytest.mark.parametrize("mode", ["extrinsics", "centers"])


class Cameras(SimpleNamespace):
    """No more than what is asked of cameras."""

    def clone(self):
        return Cameras(R=self.R.clone(), T=self.T.clone())

    def get_camera_center(self):
        return -(self.T[:, None] @ torch.linalg.inv(self.R))[:, 0]


def cameras(n: int = 10, seed: int = 0, noise: float = 0.0) -> tuple[Tensor, ...]:
    """R and T of cameras, and of the same ones in a world that was moved: R_A, T_A, s_A do it."""
    torch.manual_seed(seed)
    R, T = rotations(n, 3, seed), torch.randn(n, 3, dtype=torch.float64)
    R_A, T_A = rotations(1, 3, seed + 100)[0], torch.randn(1, 3, dtype=torch.float64)
    s_A = 0.5 + torch.rand(1, dtype=torch.float64) if n > 1 else torch.ones(1, dtype=torch.float64)
    R_new = R_A @ R @ axis_angle_to_matrix(noise * torch.randn(n, 3, dtype=torch.float64))
    T_new = (T_A @ R)[:, 0] + s_A * T + noise * torch.randn(n, 3, dtype=torch.float64)
    return R, T, R_new, T_new, R_A, T_A, s_A


@MODES
@pytest.mark.parametrize("kind", [FoVPerspectiveCameras, FoVOrthographicCameras, PerspectiveCameras])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_recovers_the_motion(kind, mode, dtype, device):
    R, T, R_new, T_new, *_ = (t.to(device, dtype) for t in cameras())
    source, target = (kind(R=r, T=t, device=device) for r, t in ((R, T), (R_new, T_new)))
    aligned = align(source, target, mode=mode)
    assert type(aligned) is kind
    assert aligned is not source
    assert aligned.R.dtype == aligned.T.dtype == dtype
    atol = 2e-5 if dtype == torch.float32 else 1e-12
    torch.testing.assert_close(aligned.R, R_new, atol=atol, rtol=0)
    torch.testing.assert_close(aligned.T, T_new, atol=atol, rtol=0)
    torch.testing.assert_close(aligned.get_camera_center(), target.get_camera_center(), atol=3 * atol, rtol=0)
    assert torch.equal(source.R, R)
    assert torch.equal(source.T, T)


def test_all_else_stays():
    R, T, R_new, T_new, *_ = cameras()
    source = FoVPerspectiveCameras(R=R, T=T, fov=torch.linspace(30, 60, 10), znear=0.3)
    aligned = align(source, FoVPerspectiveCameras(R=R_new, T=T_new))
    assert torch.equal(aligned.fov, source.fov)
    assert torch.equal(aligned.znear, source.znear)


@pytest.mark.parametrize("estimate_scale", [False, True])
def test_extrinsics_equal_definition(estimate_scale):
    R, T, R_new, T_new, *_ = cameras(noise=0.1)
    aligned = align(Cameras(R=R, T=T), Cameras(R=R_new, T=T_new), estimate_scale=estimate_scale)
    # The rotation is the polar factor of the sum; shift and scale solve the normal equations.
    R_A, _ = polar((R_new @ R.mT).sum(0).numpy())
    np.testing.assert_allclose((aligned.R @ R.mT).numpy(), np.broadcast_to(R_A, (10, 3, 3)), atol=1e-12)
    columns = [R.mT.reshape(30, 3).numpy()] + ([T.reshape(30, 1).numpy()] if estimate_scale else [])
    right = T_new if estimate_scale else T_new - T
    found = np.linalg.lstsq(np.concatenate(columns, 1), right.reshape(30).numpy(), rcond=None)[0]
    s_A = found[3] if estimate_scale else 1.0
    expected = (torch.from_numpy(found[:3])[None] @ R)[:, 0] + s_A * T
    torch.testing.assert_close(aligned.T, expected)


@MODES
@pytest.mark.parametrize("noise", [1e-4, 0.01])
def test_noise(mode, noise):
    R, T, R_new, T_new, *_ = cameras(noise=noise)
    source, target = FoVPerspectiveCameras(R=R, T=T), FoVPerspectiveCameras(R=R_new, T=T_new)
    aligned = align(source, target, mode=mode)
    if mode == "extrinsics":
        assert so3_relative_angle(aligned.R, R_new).mean() < 10 * noise
        assert (aligned.T - T_new).square().sum(1).mean().sqrt() < 7 * noise
    else:
        difference = aligned.get_camera_center() - target.get_camera_center()
        assert difference.square().sum(1).mean().sqrt() < 10 * noise


def test_mirrored_targets_get_a_rotation():
    R, T, *_ = cameras()
    mirror = torch.diag(torch.tensor([1.0, 1.0, -1.0], dtype=R.dtype))
    aligned = align(Cameras(R=R, T=T), Cameras(R=mirror @ R, T=T))
    torch.testing.assert_close(torch.linalg.det(aligned.R), torch.linalg.det(R))
    best = (aligned.R - mirror @ R).square().sum()
    for seed in range(30):
        assert (rotations(1, 3, seed) @ R - mirror @ R).square().sum() >= best - 1e-9


@MODES
@pytest.mark.parametrize("n", [0, 1, 2, 3])
@pytest.mark.filterwarnings("ignore:corresponding_points_alignment")
def test_few_cameras(n, mode, device):
    R, T, R_new, T_new, *_ = (t.to(device) for t in cameras(n))
    aligned = align(Cameras(R=R, T=T), Cameras(R=R_new, T=T_new), mode=mode)
    if mode == "extrinsics" or n == 3:
        torch.testing.assert_close(aligned.R, R_new)
        torch.testing.assert_close(aligned.T, T_new)
    else:
        target = Cameras(R=R_new, T=T_new).get_camera_center()
        torch.testing.assert_close(aligned.get_camera_center(), target)


@MODES
@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_the_unit_does_not_matter(mode, unit):
    R, T, R_new, T_new, *_ = (t.float() for t in cameras())
    aligned = align(Cameras(R=R, T=unit * T), Cameras(R=R_new, T=unit * T_new), mode=mode)
    torch.testing.assert_close(aligned.R, R_new, atol=2e-5, rtol=0)
    torch.testing.assert_close(aligned.T / unit, T_new, atol=2e-5, rtol=0)


@MODES
@pytest.mark.parametrize("place", ["origin", "apart"])
@pytest.mark.filterwarnings("ignore:corresponding_points_alignment")
def test_cameras_in_one_place_keep_their_scale(place, mode):
    R = rotations(5, 3)
    centre = torch.zeros(1, 3).double() if place == "origin" else torch.tensor([[1.0, 2.0, 3.0]]).double()
    R, T, R_new = (t.requires_grad_() for t in (R, -(centre @ R)[:, 0], rotations(1, 3, 9) @ R))
    aligned = align(Cameras(R=R, T=T), Cameras(R=R_new, T=T), mode=mode)
    assert aligned.T.isfinite().all()
    torch.testing.assert_close(aligned.get_camera_center(), aligned.get_camera_center()[:1].expand(5, 3))
    gradients = torch.autograd.grad(aligned.T.sum() + aligned.R.square().sum(), (R, T, R_new), allow_unused=True)
    assert all(gradient.isfinite().all() for gradient in gradients if gradient is not None)


@MODES
def test_gradcheck(mode):
    inputs = [t.requires_grad_() for t in cameras(5, noise=0.1)[:4]]

    def function(R, T, R_new, T_new):
        aligned = align(Cameras(R=R, T=T), Cameras(R=R_new, T=T_new), mode=mode)
        return aligned.R, aligned.T

    assert gradcheck(function, inputs)


def test_the_wider_dtype_wins():
    R, T, R_new, T_new, *_ = cameras()
    aligned = align(Cameras(R=R.float(), T=T.float()), Cameras(R=R_new, T=T_new))
    assert aligned.R.dtype == aligned.T.dtype == torch.float64


def test_errors():
    many, few = FoVPerspectiveCameras(R=random_rotations(3)), FoVPerspectiveCameras(R=random_rotations(2))
    name = "corresponding_cameras_alignment: "
    with pytest.raises(ValueError, match=name + "cameras_src .* the same number of cameras, got 3 and 2"):
        align(many, few)
    with pytest.raises(ValueError, match=name + r"mode has to be one of \(centers, extrinsics\), got 'both'"):
        align(many, many, mode="both")
    with pytest.raises(ValueError, match=name + "R and T of the cameras must be finite"):
        align(many, Cameras(R=many.R, T=many.T + torch.nan))
