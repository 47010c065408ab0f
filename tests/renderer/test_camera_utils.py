# SPDX-License-Identifier: Apache-2.0
"""Reading, turning and joining cameras."""

import pytest
import torch

from patina3d.renderer.camera_utils import camera_to_eye_at_up, join_cameras_as_batch, rotate_on_spot
from patina3d.renderer.cameras import (
    FoVOrthographicCameras,
    FoVPerspectiveCameras,
    OrthographicCameras,
    PerspectiveCameras,
    get_world_to_view_transform,
    look_at_view_transform,
)

TURN = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])


def random_rotations(n: int) -> torch.Tensor:
    q, r = torch.linalg.qr(torch.randn(n, 3, 3, dtype=torch.float64))
    q = q * torch.diagonal(r, dim1=1, dim2=2).sign()[:, None]
    return q * torch.linalg.det(q).sign()[:, None, None]


class TestCameraToEyeAtUp:
    def test_columns_of_the_rotation(self):
        R, T = random_rotations(4), torch.randn(4, 3, dtype=torch.float64)
        eye, at, up = camera_to_eye_at_up(get_world_to_view_transform(R, T))
        torch.testing.assert_close(eye, -(R @ T[..., None])[..., 0])
        torch.testing.assert_close(at - eye, R[:, :, 2])
        torch.testing.assert_close(up, R[:, :, 1])

    def test_look_at_gives_the_camera_again(self):
        R, T = random_rotations(4), torch.randn(4, 3, dtype=torch.float64)
        eye, at, up = camera_to_eye_at_up(get_world_to_view_transform(R, T))
        for got, expected in zip(look_at_view_transform(eye=eye, at=at, up=up), (R, T), strict=True):
            torch.testing.assert_close(got, expected)

    def test_gradient(self):
        R, T = random_rotations(2).requires_grad_(), torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(lambda R, T: camera_to_eye_at_up(get_world_to_view_transform(R, T)), (R, T))


class TestRotateOnSpot:
    def test_anchor(self):
        R, T = look_at_view_transform(2, 30, 45)
        new_R, new_T = rotate_on_spot(R, T, TURN)
        torch.testing.assert_close(new_T, torch.tensor([[2.0, 0.0, 0.0]]), rtol=0, atol=1e-6)
        torch.testing.assert_close(new_R, R @ TURN.T)

    @pytest.mark.parametrize("rotations", [False, True])
    def test_the_camera_stays_and_its_view_turns(self, rotations):
        R = random_rotations(3) if rotations else torch.randn(3, 3, 3, dtype=torch.float64)
        T, turn = torch.randn(3, 3, dtype=torch.float64), random_rotations(3)
        new_R, new_T = rotate_on_spot(R, T, turn)
        before, after = PerspectiveCameras(R=R, T=T), PerspectiveCameras(R=new_R, T=new_T)
        torch.testing.assert_close(after.get_camera_center(), before.get_camera_center())
        points = torch.randn(3, 5, 3, dtype=torch.float64)
        view, turned = (c.get_world_to_view_transform().transform_points(points) for c in (before, after))
        torch.testing.assert_close(turned, view @ turn.transpose(1, 2))

    @pytest.mark.parametrize(
        ("R", "T", "rotation", "size"),
        [
            ((3, 3), (3,), (3, 3), 1),
            ((2, 3, 3), (2, 3), (3, 3), 2),
            ((3, 3), (3,), (2, 3, 3), 2),
            ((1, 3, 3), (2, 3), (1, 3, 3), 2),
            ((0, 3, 3), (0, 3), (1, 3, 3), 0),
        ],
    )
    def test_sizes_broadcast(self, R, T, rotation, size):
        new_R, new_T = rotate_on_spot(torch.rand(R), torch.rand(T), torch.rand(rotation))
        assert new_R.shape == (size, 3, 3)
        assert new_T.shape == (size, 3)

    def test_the_wider_dtype_wins(self):
        new_R, new_T = rotate_on_spot(torch.eye(3), torch.zeros(3), torch.eye(3, dtype=torch.float64))
        assert new_R.dtype == new_T.dtype == torch.float64

    def test_gradient(self):
        args = [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in ((2, 3, 3), (2, 3), (1, 3, 3))]
        assert torch.autograd.gradcheck(rotate_on_spot, args)

    @pytest.mark.parametrize(
        ("R", "T", "rotation", "message"),
        [
            ((3, 4), (3,), (3, 3), r"R must be \(N, 3, 3\), got \(1, 3, 4\)"),
            ((3,), (3,), (3, 3), r"R must be \(N, 3, 3\), got \(3,\)"),
            ((3, 3), (4,), (3, 3), r"T must be \(N, 3\), got \(1, 4\)"),
            ((3, 3), (3,), (1, 1, 3, 3), r"rotation must be \(N, 3, 3\)"),
            ((2, 3, 3), (2, 3), (3, 3, 3), r"batch sizes must be 1 or one other number, got \[2, 3\]"),
        ],
    )
    def test_bad_shapes(self, R, T, rotation, message):
        with pytest.raises(ValueError, match=f"rotate_on_spot: {message}"):
            rotate_on_spot(torch.zeros(R), torch.zeros(T), torch.zeros(rotation))


class TestJoin:
    @pytest.mark.parametrize(
        "make",
        [
            lambda n: FoVPerspectiveCameras(fov=torch.rand(n) + 40, T=torch.rand(n, 3) + 2),
            lambda n: FoVOrthographicCameras(max_x=torch.rand(n) + 1, T=torch.rand(n, 3) + 2),
            lambda n: PerspectiveCameras(torch.rand(n, 2) + 1, T=torch.rand(n, 3) + 2, image_size=((20, 30),)),
            lambda n: OrthographicCameras(torch.rand(n, 2) + 9, in_ndc=False, image_size=((20, 30),)),
            lambda n: FoVPerspectiveCameras(K=torch.rand(n, 4, 4)),
        ],
    )
    def test_keeps_every_camera(self, make):
        parts, points = [make(1), make(3)], torch.rand(5, 3)
        joined = join_cameras_as_batch(parts)
        assert type(joined) is type(parts[0])
        assert len(joined) == 4
        assert joined.in_ndc() == parts[0].in_ndc()
        torch.testing.assert_close(joined[0].transform_points(points), parts[0].transform_points(points))
        torch.testing.assert_close(joined[[1, 2, 3]].transform_points(points), parts[1].transform_points(points))

    def test_one_camera(self):
        assert len(join_cameras_as_batch([FoVPerspectiveCameras()])) == 1

    def test_undoes_iteration(self):
        camera = FoVPerspectiveCameras(fov=[30.0, 40.0, 50.0])
        assert torch.equal(join_cameras_as_batch(list(camera)).fov, camera.fov)

    def test_gradient(self):
        fov = torch.tensor([40.0], requires_grad=True)
        joined = join_cameras_as_batch([FoVPerspectiveCameras(fov=fov), FoVPerspectiveCameras(fov=2 * fov)])
        joined.fov.sum().backward()
        assert fov.grad == 3

    def test_no_camera(self):
        with pytest.raises(IndexError, match="at least one camera"):
            join_cameras_as_batch([])

    @pytest.mark.parametrize(
        ("cameras", "message"),
        [
            ([FoVPerspectiveCameras(), 1], "must hold cameras, got int"),
            ([FoVPerspectiveCameras(), PerspectiveCameras()], "must be of the same type"),
            (
                [FoVPerspectiveCameras(), FoVPerspectiveCameras(device="meta")],
                r"must be on the same device, got \['cpu', 'meta'\]",
            ),
            ([PerspectiveCameras(), PerspectiveCameras(image_size=((2, 2),))], "field image_size must be set in all"),
            (
                [FoVPerspectiveCameras(), FoVPerspectiveCameras(degrees=False)],
                "Attribute degrees is not constant across inputs",
            ),
            (
                [PerspectiveCameras(), PerspectiveCameras(in_ndc=False)],
                "Attribute _in_ndc is not constant across inputs",
            ),
        ],
    )
    def test_bad_input(self, cameras, message):
        with pytest.raises(ValueError, match=f"join_cameras_as_batch: .*{message}"):
            join_cameras_as_batch(cameras)

    def test_a_field_that_cannot_be_joined(self):
        class Odd(PerspectiveCameras):
            _FIELDS = (*PerspectiveCameras._FIELDS, "odd")
            odd = "x"

        with pytest.raises(ValueError, match="field odd must be a tensor to be joined, got str"):
            join_cameras_as_batch([Odd(), Odd()])
