# SPDX-License-Identifier: Apache-2.0
"""Cameras of OpenCV and Pulsar."""

import logging
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from patina3d.renderer import FoVPerspectiveCameras, PerspectiveCameras
from patina3d.transforms import random_rotations
from patina3d.utils import (
    cameras_from_opencv_projection,
    opencv_from_cameras_projection,
    pulsar_from_cameras_projection,
    pulsar_from_opencv_projection,
)

SIZE = torch.tensor([[100, 160]])


def opencv(number: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    R = random_rotations(number, dtype=dtype)
    tvec = torch.rand(number, 3, dtype=dtype) + torch.tensor([0.0, 0.0, 5.0], dtype=dtype)
    K = torch.zeros(number, 3, 3, dtype=dtype)
    K[:, 0, 0], K[:, 1, 1] = 100 + 20 * torch.rand(2, number, dtype=dtype)
    K[:, :2, 2] = 40 + 40 * torch.rand(number, 2, dtype=dtype)
    K[:, 2, 2] = 1
    return R, tvec, K


@given(st.integers(0, 2**31), st.integers(1, 3))
def test_screen_coordinates_are_opencv_pixels(seed: int, number: int):
    torch.manual_seed(seed)
    R, tvec, K = opencv(number)
    sizes = torch.randint(20, 200, (number, 2))
    points = torch.rand(number, 7, 3, dtype=torch.float64) - 0.5
    view = points @ R.transpose(1, 2) + tvec[:, None]
    pixels = view @ K.transpose(1, 2)
    cameras = cameras_from_opencv_projection(R, tvec, K, sizes)
    screen = cameras.transform_points_screen(points)
    assert torch.allclose(screen[..., :2], pixels[..., :2] / pixels[..., 2:], rtol=1e-9, atol=1e-9)
    assert torch.equal(cameras.image_size, sizes.double())


@given(st.integers(0, 2**31), st.integers(1, 3))
def test_round_trip(seed: int, number: int):
    torch.manual_seed(seed)
    given_camera = opencv(number)
    back = opencv_from_cameras_projection(cameras_from_opencv_projection(*given_camera, SIZE), SIZE)
    for got, expected in zip(back, given_camera, strict=True):
        assert got.dtype == torch.float64
        assert torch.allclose(got, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("with_own_size", [True, False])
def test_a_camera_on_the_screen(with_own_size: bool):
    R, tvec, K = opencv(2)
    flip = torch.tensor([-1.0, -1.0, 1.0], dtype=torch.float64)
    cameras = PerspectiveCameras(
        focal_length=torch.stack([K[:, 0, 0], K[:, 1, 1]], 1),
        principal_point=K[:, :2, 2],
        R=R.transpose(1, 2) * flip,
        T=tvec * flip,
        in_ndc=False,
        image_size=SIZE.double() if with_own_size else None,
    )
    for got, expected in zip(opencv_from_cameras_projection(cameras, SIZE), (R, tvec, K), strict=True):
        assert torch.allclose(got, expected, rtol=1e-12, atol=1e-12)


def test_another_size_sees_the_same_in_ndc():
    K = opencv(1)[2]
    cameras = cameras_from_opencv_projection(*opencv(1)[:2], K, SIZE)
    assert torch.allclose(opencv_from_cameras_projection(cameras, 2 * SIZE)[2][:, :2], 2 * K[:, :2], rtol=1e-12)


def test_a_given_matrix_decides():
    matrix = torch.tensor([[[3.0, 0, 0.5, 0], [0, 4, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]])
    K = opencv_from_cameras_projection(PerspectiveCameras(K=matrix), SIZE)[2]
    assert K.tolist() == [[[150, 0, 55], [0, 200, 50], [0, 0, 1]]]


def test_anchor_values():
    K = torch.tensor([[[100.0, 0, 70], [0, 110, 40], [0, 0, 1]]])
    R, tvec = torch.eye(3)[None], torch.tensor([[0.1, 0.2, 3.0]])
    cameras = cameras_from_opencv_projection(R, tvec[..., None], K, SIZE)
    assert torch.equal(cameras.R[0], torch.diag(torch.tensor([-1.0, -1.0, 1.0])))
    assert torch.allclose(cameras.T, torch.tensor([[-0.1, -0.2, 3.0]]))
    assert torch.allclose(cameras.focal_length, torch.tensor([[2.0, 2.2]]))
    assert torch.allclose(cameras.principal_point, torch.tensor([[0.2, 0.2]]))
    K[0, 1, 1] = 100
    expected = torch.tensor([[-0.1, -0.2, -3, 1, 0, 0, 0, 1, 0, 0.09999, 0.159984, 10, -10]])
    assert torch.allclose(pulsar_from_opencv_projection(R, tvec, K, SIZE), expected)
    cameras = cameras_from_opencv_projection(R, tvec, K, SIZE)
    assert torch.allclose(pulsar_from_cameras_projection(cameras, SIZE), expected, atol=1e-5)


def test_gradients():
    values = [value.requires_grad_() for value in opencv(2)]

    def there_and_back(R: Tensor, tvec: Tensor, K: Tensor) -> tuple[Tensor, ...]:
        return opencv_from_cameras_projection(cameras_from_opencv_projection(R, tvec, K, SIZE), SIZE)

    assert torch.autograd.gradcheck(there_and_back, values)
    assert torch.autograd.gradcheck(lambda *camera: pulsar_from_opencv_projection(*camera, SIZE), values)


def test_pulsar_has_square_pixels(caplog):
    R, tvec, K = opencv(1)
    K[0, 0, 0], K[0, 1, 1] = 100, 100.5
    with caplog.at_level(logging.WARNING):
        pulsar_from_opencv_projection(R, tvec, K, SIZE)
        assert not caplog.records
        K[0, 1, 1] = 110
        params = pulsar_from_opencv_projection(R, tvec, K, SIZE, znear=1.0)
    assert "differ by more than 1 %" in caplog.text
    assert params[0, 10].item() == pytest.approx((1 - 1e-5) * 160 / 105)


R1, T1, K1 = torch.eye(3)[None], torch.zeros(1, 3), torch.eye(3)[None]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((R1[0], T1, K1, SIZE), r"R must be \(N, 3, 3\), got \(3, 3\)"),
        ((R1, T1[0], K1, SIZE), r"tvec must be \(1, 3\), got \(3,\)"),
        ((R1, T1, K1[0], SIZE), r"camera_matrix must be \(N, 3, 3\), got \(3, 3\)"),
        ((R1, T1, K1, SIZE[0]), r"image_size must be \(1, 2\) or \(1, 2\), got \(2,\)"),
        ((R1, T1, K1, SIZE * 0), "image_size must be at least 1"),
    ],
)
def test_bad_input(arguments: tuple[Tensor, ...], message: str):
    for function in (cameras_from_opencv_projection, pulsar_from_opencv_projection):
        with pytest.raises(ValueError, match=f"{function.__name__}: {message}"):
            function(*arguments)


def test_bad_cameras_and_sizes():
    with pytest.raises(TypeError, match="cameras must be PerspectiveCameras, got FoVPerspectiveCameras"):
        opencv_from_cameras_projection(FoVPerspectiveCameras(), SIZE)
    sizes = torch.cat([SIZE, SIZE + 1])
    with pytest.raises(ValueError, match="image_size must be the same for all cameras"):
        pulsar_from_opencv_projection(R1.expand(2, 3, 3), T1.expand(2, 3), K1.expand(2, 3, 3), sizes)
    with pytest.raises(ValueError, match="znear must be greater than"):
        pulsar_from_opencv_projection(R1, T1, K1, SIZE, znear=0.0)


def test_without_the_renderer_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "patina3d.renderer", None)
    with pytest.raises(ImportError, match="cameras_from_opencv_projection needs patina3d-renderer"):
        cameras_from_opencv_projection(R1, T1, K1, SIZE)
