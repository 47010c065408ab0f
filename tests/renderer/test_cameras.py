# SPDX-License-Identifier: Apache-2.0
"""Cameras: frames, projections, batches, gradients."""

import math
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from patina3d import renderer
from patina3d.renderer import cameras as module
from patina3d.renderer.cameras import (
    CamerasBase,
    FoVOrthographicCameras,
    FoVPerspectiveCameras,
    OrthographicCameras,
    PerspectiveCameras,
    camera_position_from_spherical_angles,
    get_ndc_to_screen_transform,
    get_screen_to_ndc_transform,
    get_world_to_view_transform,
    look_at_rotation,
    look_at_view_transform,
    try_get_projection_transform,
)

POINT = torch.tensor([[0.2, -0.1, 0.3]])
SCREEN = {"focal_length": ((80.0, 90.0),), "principal_point": ((70.0, 40.0),), "in_ndc": False}
SIZE = ((100, 160),)


def pose() -> dict[str, Tensor]:
    R, T = look_at_view_transform(2, 30, 45)
    return {"R": R, "T": T}


def close(actual: Tensor, expected, atol: float = 2e-6) -> None:
    expected = torch.as_tensor(expected, dtype=actual.dtype)
    torch.testing.assert_close(actual, expected, rtol=2e-6, atol=atol)


def random_pose(n: int, dtype=torch.float64) -> dict[str, Tensor]:
    """Cameras at distance 3 to 5 around the origin, which look near it."""
    R, T = look_at_view_transform(
        3 + 2 * torch.rand(n, dtype=dtype),
        160 * torch.rand(n, dtype=dtype) - 80,
        360 * torch.rand(n, dtype=dtype),
        at=0.2 * torch.rand(n, 3, dtype=dtype),
    )
    return {"R": R, "T": T}


def batch_of(kind: str, n: int = 3, dtype=torch.float64) -> CamerasBase:
    """N differing cameras of a kind."""

    def spread(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(n, *shape, dtype=dtype)

    if kind == "fov perspective":
        return FoVPerspectiveCameras(
            znear=spread(0.1, 1), zfar=spread(10, 50), aspect_ratio=spread(0.5, 2), fov=spread(30, 90), **random_pose(n)
        )
    if kind == "fov orthographic":
        return FoVOrthographicCameras(
            znear=spread(0.1, 1),
            zfar=spread(10, 50),
            max_y=spread(1, 2),
            min_y=spread(-2, -1),
            max_x=spread(1, 2),
            min_x=spread(-2, -1),
            scale_xyz=spread(0.5, 2, 3),
            **random_pose(n),
        )
    cls = PerspectiveCameras if kind.endswith(" perspective") else OrthographicCameras
    if kind.startswith("ndc"):
        return cls(focal_length=spread(1, 2, 2), principal_point=spread(-0.5, 0.5, 2), **random_pose(n))
    return cls(
        focal_length=spread(50, 90, 2),
        principal_point=spread(40, 60, 2),
        image_size=torch.tensor([[100.0, 160.0], [80.0, 80.0], [120.0, 60.0]], dtype=dtype)[torch.arange(n) % 3],
        in_ndc=False,
        **random_pose(n),
    )


KINDS = [
    "fov perspective",
    "fov orthographic",
    "ndc perspective",
    "ndc orthographic",
    "screen perspective",
    "screen orthographic",
]
every_kind = pytest.mark.parametrize("kind", KINDS)


def projected(camera: CamerasBase, i: int, world: list[float]) -> list[float]:
    """One point through camera i, number by number, as the classes define it."""
    R, T = camera.R[i].tolist(), camera.T[i].tolist()
    x, y, z = (sum(world[j] * R[j][k] for j in range(3)) + T[k] for k in range(3))

    def value(name: str) -> float:
        return getattr(camera, name)[i].item()

    if isinstance(camera, FoVPerspectiveCameras):
        t = math.tan(math.radians(value("fov")) / 2)
        near, far = value("znear"), value("zfar")
        return [x / (t * value("aspect_ratio") * z), y / (t * z), far / (far - near) * (1 - near / z)]
    if isinstance(camera, FoVOrthographicCameras):
        sx, sy, sz = camera.scale_xyz[i].tolist()
        left, right, top, bottom = (value(name) for name in ("max_x", "min_x", "max_y", "min_y"))
        depth = value("zfar") - value("znear")
        return [
            (2 * sx * x - left - right) / (left - right),
            (2 * sy * y - top - bottom) / (top - bottom),
            (sz * z - value("znear")) / depth,
        ]
    (fx, fy), (px, py) = camera.focal_length[i].tolist(), camera.principal_point[i].tolist()
    if isinstance(camera, PerspectiveCameras):
        return [fx * x / z + px, fy * y / z + py, 1 / z]
    return [fx * x + px, fy * y + py, z]


class TestAnchors:
    def test_look_at(self):
        R, T = look_at_view_transform(2, 30, 45)
        rows = [(-0.707107, -0.353553, -0.612372), (0, 0.866025, -0.5), (0.707107, -0.353553, -0.612372)]
        close(R[0], rows)
        close(T, [(0.0, 0.0, 2.0)])
        close(FoVPerspectiveCameras(R=R, T=T).get_camera_center(), [(1.224745, 1.0, 1.224745)])

    def test_fov_perspective(self):
        camera = FoVPerspectiveCameras(**pose())
        close(camera.transform_points(POINT), [(0.070234, -0.261603, 0.430853)])
        screen = camera.transform_points_screen(POINT, image_size=((100, 200),))
        close(screen, [(96.488312, 63.080132, 0.430853)], atol=2e-5)
        close(camera.unproject_points(torch.tensor([[0.1, 0.2, 1.5]])), [(0.183712, 0.4, 0.306186)])

    def test_fov_orthographic(self):
        camera = FoVOrthographicCameras(max_x=2, min_x=-1, **pose())
        close(camera.transform_points(POINT), [(-0.286193, -0.263379, 0.007513)])

    def test_screen_perspective(self):
        camera = PerspectiveCameras(image_size=SIZE, **SCREEN, **pose())
        close(camera.transform_points(POINT), [(73.243958, 26.406725, 0.573456)], atol=2e-5)
        close(camera.transform_points_ndc(POINT)[:, :2], [(0.264879, -0.071865)])
        close(camera.transform_points_screen(POINT)[:, :2], [(66.756050, 53.593269)], atol=2e-5)

    def test_screen_orthographic(self):
        camera = OrthographicCameras(image_size=SIZE, **SCREEN, **pose())
        close(camera.transform_points(POINT), [(75.656853, 16.295864, 1.743814)], atol=2e-5)
        close(camera.transform_points_ndc(POINT)[:, :2], [(0.313137, -0.274083)])
        close(camera.transform_points_screen(POINT)[:, :2], [(64.343147, 63.704132)], atol=2e-5)


class TestProjection:
    @every_kind
    def test_equals_the_definition(self, kind):
        camera, points = batch_of(kind), torch.rand(3, 5, 3, dtype=torch.float64) - 0.5
        expected = [[projected(camera, i, p) for p in points[i].tolist()] for i in range(3)]
        torch.testing.assert_close(camera.transform_points(points), torch.tensor(expected, dtype=torch.float64))

    @every_kind
    def test_full_transform_is_view_then_projection(self, kind):
        camera, points = batch_of(kind), torch.rand(3, 5, 3, dtype=torch.float64)
        view = camera.get_world_to_view_transform().transform_points(points)
        parts = camera.get_projection_transform().transform_points(view)
        torch.testing.assert_close(camera.transform_points(points), parts)
        assert camera.is_perspective() == kind.endswith(" perspective")
        assert camera.in_ndc() != kind.startswith("screen")

    @every_kind
    def test_screen_is_the_image_of_ndc(self, kind):
        camera, points = batch_of(kind), torch.rand(3, 5, 3, dtype=torch.float64)
        size = torch.tensor([[100.0, 160.0], [80.0, 80.0], [120.0, 60.0]])
        ndc = camera.transform_points_ndc(points, image_size=size)
        s = size.amin(1)[:, None].double() / 2
        expected = torch.stack((size[:, 1:] / 2 - s * ndc[..., 0], size[:, :1] / 2 - s * ndc[..., 1], ndc[..., 2]), -1)
        screen = camera.transform_points_screen(points, image_size=size)
        torch.testing.assert_close(screen, expected)
        plain = camera.transform_points_screen(points, image_size=size, with_xyflip=False)
        torch.testing.assert_close(plain, screen * torch.tensor([-1.0, -1.0, 1.0], dtype=torch.float64))
        to_screen = get_ndc_to_screen_transform(camera, with_xyflip=True, image_size=size)
        assert len(to_screen) == 3
        torch.testing.assert_close(to_screen.to("cpu", dtype=torch.float64).transform_points(ndc), screen)

    @pytest.mark.parametrize("kind", ["screen perspective", "screen orthographic"])
    def test_screen_cameras_count_pixels_from_the_top_left_corner(self, kind):
        camera, points = batch_of(kind), torch.rand(3, 5, 3, dtype=torch.float64)
        raw, p = camera.transform_points(points), camera.principal_point[:, None]
        torch.testing.assert_close(camera.transform_points_screen(points)[..., :2], 2 * p - raw[..., :2])

    @pytest.mark.parametrize("cls", [PerspectiveCameras, OrthographicCameras])
    def test_screen_camera_equals_its_ndc_camera(self, cls):
        screen = batch_of("screen perspective" if cls is PerspectiveCameras else "screen orthographic")
        s = screen.image_size.amin(1, keepdim=True) / 2
        center = screen.image_size.flip(1) / 2
        ndc = cls(screen.focal_length / s, -(screen.principal_point - center) / s, R=screen.R, T=screen.T)
        points = torch.rand(3, 5, 3, dtype=torch.float64)
        torch.testing.assert_close(screen.transform_points_ndc(points), ndc.transform_points(points))

    @every_kind
    def test_given_matrix_replaces_the_computed_one(self, kind):
        camera, points = batch_of(kind), torch.rand(3, 5, 3, dtype=torch.float64)
        K = camera.get_projection_transform().get_matrix().transpose(1, 2)
        fixed = type(camera)(K=K, R=camera.R, T=camera.T)
        torch.testing.assert_close(fixed.transform_points(points), camera.transform_points(points))
        torch.testing.assert_close(type(camera)().transform_points(points, K=K, R=camera.R, T=camera.T),
                                   camera.transform_points(points))  # fmt: skip

    def test_principal_point_is_read_from_the_matrix(self):
        K = torch.tensor([[[2.0, 0, 0.3, 0], [0, 2.0, 0.4, 0], [0, 0, 0, 1], [0, 0, 1, 0]]])
        assert torch.equal(PerspectiveCameras(K=K).get_principal_point(), torch.tensor([[0.3, 0.4]]))
        K = torch.tensor([[[2.0, 0, 0, 0.3], [0, 2.0, 0, 0.4], [0, 0, 1, 0], [0, 0, 0, 1]]])
        assert torch.equal(OrthographicCameras(K=K).get_principal_point(), torch.tensor([[0.3, 0.4]]))
        given = PerspectiveCameras().get_principal_point(principal_point=((0.1, 0.2),))
        assert torch.equal(given, torch.tensor([[0.1, 0.2]]))

    @pytest.mark.parametrize(
        ("focal", "expected"),
        [
            (2.0, [[2.0, 2.0]] * 3),
            (torch.tensor([1.0, 2.0, 3.0]), [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]),
            (torch.tensor([[1.0], [2.0], [3.0]]), [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]),
            (((1.0, 2.0),), [[1.0, 2.0]] * 3),
        ],
    )
    def test_focal_lengths(self, focal, expected):
        poses = {"R": torch.eye(3).expand(3, 3, 3), "T": torch.zeros(3, 3)}
        assert torch.equal(PerspectiveCameras(focal, **poses).focal_length, torch.tensor(expected))
        matrix = PerspectiveCameras(**poses).get_projection_transform(focal_length=focal).get_matrix()
        assert torch.equal(matrix.expand(3, 4, 4)[:, (0, 1), (0, 1)], torch.tensor(expected))

    def test_radians(self):
        points = torch.rand(4, 3) + torch.tensor([0.0, 0.0, 2.0])
        close(
            FoVPerspectiveCameras(fov=math.radians(50), degrees=False).transform_points(points),
            FoVPerspectiveCameras(fov=50).transform_points(points),
        )
        overridden = FoVPerspectiveCameras().transform_points(points, fov=math.radians(50), degrees=False)
        close(overridden, FoVPerspectiveCameras(fov=50).transform_points(points))

    def test_depth_runs_from_zero_at_the_near_plane_to_one_at_the_far(self):
        points = torch.tensor([[0.0, 0.0, 2.0], [0.0, 0.0, 7.0]], dtype=torch.float64)
        for cls in (FoVPerspectiveCameras, FoVOrthographicCameras):
            z = cls(znear=2.0, zfar=7.0).transform_points(points)[:, 2]
            torch.testing.assert_close(z, torch.tensor([0.0, 1.0], dtype=torch.float64))

    def test_eps_keeps_the_sign_and_floors_the_size_of_the_divisor(self):
        points = torch.tensor([[1.0, 2.0, 0.0], [1.0, 2.0, -1e-4], [1.0, 2.0, 2.0]])
        got = PerspectiveCameras().transform_points(points, eps=0.1)
        close(got[:, :2], [(10.0, 20.0), (-10.0, -20.0), (0.5, 1.0)])

    def test_points_in_the_camera_plane_are_infinite_without_eps(self):
        screen = FoVPerspectiveCameras(fov=90.0).transform_points_screen(
            torch.tensor([[1.0, 2.0, 0.0]]), image_size=SIZE
        )
        assert torch.equal(screen[0, :2], torch.tensor([-math.inf, -math.inf]))

    def test_principal_point_image_size_and_focal_length_may_be_single_vectors(self):
        camera = PerspectiveCameras(80.0, (70.0, 40.0), in_ndc=False, image_size=(100, 160))
        assert len(camera) == 1
        assert camera.image_size.shape == (1, 2)
        close(camera.transform_points_screen(torch.tensor([[0.5, 0.0, 2.0]])), [(50.0, 40.0, 0.5)])

    def test_one_camera_with_the_image_sizes_of_many(self):
        sizes = torch.tensor([[10, 20], [30, 30]])
        screen = PerspectiveCameras().transform_points_screen(torch.tensor([[0.0, 0.0, 1.0]]), image_size=sizes)
        close(screen, [[(10.0, 5.0, 1.0)], [(15.0, 15.0, 1.0)]])


class TestShapesAndDtypes:
    @every_kind
    @pytest.mark.parametrize(
        ("cameras", "points", "expected"),
        [(1, (5, 3), (5, 3)), (1, (2, 5, 3), (2, 5, 3)), (3, (5, 3), (3, 5, 3)), (3, (1, 5, 3), (3, 5, 3)),
         (3, (3, 5, 3), (3, 5, 3)), (3, (3, 0, 3), (3, 0, 3)), (1, (0, 3), (0, 3))],
    )  # fmt: skip
    def test_shapes(self, kind, cameras, points, expected):
        camera, points = batch_of(kind, cameras), torch.rand(points, dtype=torch.float64)
        size = torch.tensor([[100.0, 160.0]])
        assert camera.transform_points(points).shape == expected
        assert camera.transform_points_ndc(points).shape == expected
        assert camera.transform_points_screen(points, image_size=size).shape == expected
        assert camera.unproject_points(points).shape == expected
        assert camera.unproject_points(points, world_coordinates=False).shape == expected
        if kind.startswith("fov"):
            assert camera.unproject_points(points, scaled_depth_input=True).shape == expected

    @every_kind
    def test_an_element_alone_equals_itself_in_the_batch(self, kind):
        camera, points = batch_of(kind), torch.rand(3, 5, 3, dtype=torch.float64)
        together = camera.transform_points_ndc(points)
        back = camera.unproject_points(points)
        for i in range(3):
            torch.testing.assert_close(camera[i].transform_points_ndc(points[i]), together[i])
            torch.testing.assert_close(camera[i].unproject_points(points[i]), back[i])

    @every_kind
    def test_strides_do_not_matter(self, kind):
        camera, points = batch_of(kind), torch.rand(3, 5, 3, dtype=torch.float64)
        strided = points.transpose(0, 2).contiguous().transpose(0, 2)
        torch.testing.assert_close(camera.transform_points(strided), camera.transform_points(points))
        expanded = points[:1].expand(3, 5, 3)
        torch.testing.assert_close(camera.transform_points(expanded), camera.transform_points(points[:1]))

    @pytest.mark.parametrize(
        ("points", "camera", "expected"),
        [
            (torch.float32, torch.float32, torch.float32),
            (torch.float64, torch.float32, torch.float64),
            (torch.float32, torch.float64, torch.float64),
            (torch.float16, torch.float32, torch.float32),
            (torch.float16, torch.float16, torch.float32),
            (torch.int64, torch.float32, torch.float32),
        ],
    )
    def test_the_wider_dtype_wins(self, points, camera, expected):
        points = torch.tensor([[1, 2, 3]], dtype=points)
        R, T = torch.eye(3, dtype=camera)[None], torch.zeros(1, 3, dtype=camera)
        for made in (
            FoVPerspectiveCameras(R=R, T=T),
            FoVOrthographicCameras(R=R, T=T),
            PerspectiveCameras(R=R, T=T),
            OrthographicCameras(R=R, T=T, in_ndc=False, image_size=SIZE),
        ):
            assert made.transform_points(points).dtype == expected
            assert made.transform_points_ndc(points).dtype == expected
            assert made.transform_points_screen(points, image_size=SIZE).dtype == expected
            assert made.unproject_points(points).dtype == expected
            assert made.get_camera_center().dtype == (torch.float32 if camera == torch.float16 else camera)

    def test_numbers_take_the_dtype_of_the_tensors(self):
        R = torch.eye(3, dtype=torch.float64)[None]
        assert FoVPerspectiveCameras(fov=49.3, R=R).fov.item() == 49.3
        assert PerspectiveCameras(0.1, R=R).focal_length[0, 0].item() == 0.1
        assert FoVPerspectiveCameras().fov.dtype == torch.float32

    @every_kind
    @pytest.mark.parametrize(
        "method", ["transform_points", "transform_points_ndc", "transform_points_screen", "unproject_points"]
    )
    def test_bad_points(self, kind, method):
        camera = batch_of(kind)
        for shape in [(3,), (2, 2), (1, 1, 1, 3)]:
            with pytest.raises(ValueError, match=r"must be \(P, 3\) or \(N, P, 3\)"):
                getattr(camera, method)(torch.zeros(shape))
        with pytest.raises(ValueError, match="must hold 1 or 3 batches, as there are cameras, got 2"):
            getattr(camera, method)(torch.zeros(2, 5, 3))
        with pytest.raises(ValueError, match="must be on the camera's cpu, got meta"):
            getattr(camera, method)(torch.zeros(5, 3, device="meta"))

    @pytest.mark.gpu
    @every_kind
    def test_cuda_equals_cpu(self, kind):
        camera, points = batch_of(kind), torch.rand(3, 5, 3, dtype=torch.float64)
        expected = camera.transform_points_ndc(points), camera.unproject_points(points), camera.get_camera_center()
        camera.to("cuda")
        got = (
            camera.transform_points_ndc(points.cuda()),
            camera.unproject_points(points.cuda()),
            camera.get_camera_center(),
        )
        for a, b in zip(got, expected, strict=True):
            torch.testing.assert_close(a.cpu(), b)


class TestUnproject:
    @every_kind
    @pytest.mark.parametrize("world", [True, False])
    def test_undoes_the_projection(self, kind, world):
        camera, points = batch_of(kind), torch.rand(3, 50, 3, dtype=torch.float64) - 0.5
        view = camera.get_world_to_view_transform().transform_points(points)
        xy_depth = torch.cat((camera.transform_points(points)[..., :2], view[..., 2:]), dim=-1)
        torch.testing.assert_close(
            camera.unproject_points(xy_depth, world_coordinates=world), points if world else view
        )

    @pytest.mark.parametrize("kind", KINDS[:2])
    @pytest.mark.parametrize("world", [True, False])
    def test_scaled_depth(self, kind, world):
        camera, points = batch_of(kind), torch.rand(3, 50, 3, dtype=torch.float64) - 0.5
        view = camera.get_world_to_view_transform().transform_points(points)
        got = camera.unproject_points(camera.transform_points(points), world_coordinates=world, scaled_depth_input=True)
        torch.testing.assert_close(got, points if world else view)

    @pytest.mark.parametrize("kind", KINDS[2:])
    @pytest.mark.parametrize("world", [True, False])
    def test_from_ndc(self, kind, world):
        camera, points = batch_of(kind), torch.rand(3, 50, 3, dtype=torch.float64) - 0.5
        view = camera.get_world_to_view_transform().transform_points(points)
        xy_depth = torch.cat((camera.transform_points_ndc(points)[..., :2], view[..., 2:]), dim=-1)
        got = camera.unproject_points(xy_depth, world_coordinates=world, from_ndc=True)
        torch.testing.assert_close(got, points if world else view)

    def test_fov_cameras_ignore_from_ndc(self):
        camera, xyd = batch_of("fov perspective"), torch.rand(3, 5, 3, dtype=torch.float64)
        assert torch.equal(camera.unproject_points(xyd, from_ndc=True), camera.unproject_points(xyd))

    @pytest.mark.parametrize("scaled", [False, True])
    def test_overrides_reach_the_inverse(self, scaled):
        kwargs = {"znear": 0.5, "zfar": 30.0, "fov": 40.0, **pose()}
        xyd = torch.tensor([[0.1, 0.2, 0.7]])
        got = FoVPerspectiveCameras().unproject_points(xyd, scaled_depth_input=scaled, **kwargs)
        close(got, FoVPerspectiveCameras(**kwargs).unproject_points(xyd, scaled_depth_input=scaled))

    def test_far_depths_keep_their_digits_in_float32(self):
        camera = FoVPerspectiveCameras(znear=0.01, zfar=10000.0)
        depth = torch.tensor([3.0, 777.0, 9999.0])
        got = camera.unproject_points(torch.stack((torch.full_like(depth, 0.5), torch.zeros(3), depth), 1))
        assert torch.equal(got[:, 2], depth)
        torch.testing.assert_close(got[:, 0], 0.5 * depth * math.tan(math.pi / 6), rtol=1e-6, atol=0)

    @every_kind
    def test_any_matrix_is_inverted(self, kind):
        camera = batch_of(kind, 1)
        K = torch.eye(4, dtype=torch.float64) + 0.1 * torch.rand(1, 4, 4, dtype=torch.float64)
        points = torch.rand(6, 3, dtype=torch.float64) + 1
        camera = type(camera)(K=K, R=camera.R, T=camera.T)
        view = camera.get_world_to_view_transform().transform_points(points)
        xy_depth = torch.cat((camera.transform_points(points)[:, :2], view[:, 2:]), dim=-1)
        torch.testing.assert_close(camera.unproject_points(xy_depth), points)

    def test_depth_zero_is_the_camera_centre(self):
        camera = FoVPerspectiveCameras(**pose())
        close(camera.unproject_points(torch.tensor([[0.3, 0.4, 0.0]])), camera.get_camera_center())


class TestWorldToView:
    def test_defaults(self):
        assert torch.equal(get_world_to_view_transform().get_matrix(), torch.eye(4)[None])

    @every_kind
    def test_centre_maps_to_the_origin(self, kind):
        camera = batch_of(kind)
        center = camera.get_camera_center()
        view = camera.get_world_to_view_transform().transform_points(center[:, None])
        torch.testing.assert_close(view, torch.zeros_like(view), rtol=0, atol=1e-12)
        torch.testing.assert_close(center, -(camera.R @ camera.T[..., None])[..., 0])

    def test_matrices_that_are_no_rotations_have_a_centre_too(self):
        R = torch.eye(3, dtype=torch.float64)[None] + 0.3 * torch.rand(2, 3, 3, dtype=torch.float64)
        T = torch.rand(2, 3, dtype=torch.float64)
        center = PerspectiveCameras(R=R, T=T).get_camera_center()
        torch.testing.assert_close((center[:, None] @ R)[:, 0] + T, torch.zeros(2, 3, dtype=torch.float64))

    @pytest.mark.parametrize(
        ("R", "T", "message"),
        [
            ((2, 3, 3), (3, 3), "one batch size, got 2 and 3"),
            ((3, 3), (1, 3), r"R must be \(N, 3, 3\), got \(3, 3\)"),
            ((1, 3, 4), (1, 3), r"R must be \(N, 3, 3\), got \(1, 3, 4\)"),
            ((1, 3, 3), (3,), r"T must be \(N, 3\), got \(3,\)"),
            ((1, 3, 3), (1, 4), r"T must be \(N, 3\), got \(1, 4\)"),
        ],
    )
    def test_bad_shapes(self, R, T, message):
        with pytest.raises(ValueError, match=message):
            get_world_to_view_transform(torch.zeros(R), torch.zeros(T))


class TestOverrides:
    def test_pose_stays_and_the_rest_does_not(self):
        camera = FoVPerspectiveCameras()
        new = pose()
        got = camera.transform_points(POINT, fov=30.0, **new)
        assert torch.equal(camera.R, new["R"])
        assert torch.equal(camera.T, new["T"])
        assert camera.fov.item() == 60.0
        close(got, FoVPerspectiveCameras(fov=30.0, **new).transform_points(POINT))

    def test_many_poses_make_one_camera_a_batch(self):
        camera = FoVPerspectiveCameras(fov=50.0)
        new = random_pose(4)
        got = camera.transform_points(POINT.double(), **new)
        torch.testing.assert_close(got, FoVPerspectiveCameras(fov=50.0, **new).transform_points(POINT.double()))
        assert len(camera) == 4
        close(camera[3].transform_points(POINT.double()), got[3])

    def test_one_pose_serves_a_batch(self):
        camera = FoVPerspectiveCameras(fov=[30.0, 60.0])
        camera.transform_points(POINT, **pose())
        assert camera.R.shape == (2, 3, 3)
        assert len(camera) == 2

    def test_a_pose_for_another_number_of_cameras(self):
        with pytest.raises(ValueError, match="given once or for each of 2 cameras, got 3"):
            FoVPerspectiveCameras(fov=[30.0, 60.0]).transform_points(POINT, **random_pose(3))

    def test_parameters_can_be_given_at_each_call(self):
        camera, T = FoVPerspectiveCameras(), nn.Parameter(torch.tensor([[0.0, 0.0, 3.0]]))
        for _ in range(2):
            T.grad = None
            camera.transform_points(POINT, T=T).sum().backward()
            assert T.grad.abs().sum() > 0
        camera.transform_points(POINT, T=torch.zeros(1, 3))
        assert torch.equal(camera.T, torch.zeros(1, 3))
        assert list(camera.parameters()) == []

    def test_defaults_are_not_shared(self):
        camera = PerspectiveCameras()
        camera.T += 5
        camera.R.requires_grad_()
        fresh = PerspectiveCameras()
        assert torch.equal(fresh.T, torch.zeros(1, 3))
        assert not fresh.R.requires_grad


class TestGradients:
    @every_kind
    @pytest.mark.parametrize("method", ["transform_points_ndc", "unproject_points", "get_camera_center"])
    def test_of_points_pose_and_intrinsics(self, kind, method):
        camera = batch_of(kind, 2)
        names = [n for n in type(camera)._FIELDS if isinstance(getattr(camera, n), Tensor) and n != "image_size"]
        values = [getattr(camera, name).detach().clone().requires_grad_() for name in names]
        points = (torch.rand(2, 3, 3, dtype=torch.float64) + 0.5).requires_grad_()
        fixed = {} if camera.in_ndc() else {"in_ndc": False, "image_size": camera.image_size}

        def run(points, *values):
            made = type(camera)(**dict(zip(names, values, strict=True)), **fixed)
            return made.get_camera_center() if method == "get_camera_center" else getattr(made, method)(points)

        assert torch.autograd.gradcheck(run, (points, *values), check_undefined_grad=False)

    def test_of_a_given_matrix(self):
        K = (torch.eye(4, dtype=torch.float64) + 0.1 * torch.rand(1, 4, 4, dtype=torch.float64)).requires_grad_()
        points = torch.rand(4, 3, dtype=torch.float64) + 1
        assert torch.autograd.gradcheck(lambda K: PerspectiveCameras(K=K).transform_points(points), (K,))

    def test_of_look_at(self):
        values = [torch.rand(2, dtype=torch.float64, requires_grad=True) for _ in range(3)]
        vectors = [torch.rand(2, 3, dtype=torch.float64, requires_grad=True) for _ in range(2)]
        assert torch.autograd.gradcheck(
            lambda d, e, a, at, up: look_at_view_transform(d, e, a, degrees=False, at=at, up=up), (*values, *vectors)
        )
        eye = (torch.rand(2, 3, dtype=torch.float64) + 1).requires_grad_()
        assert torch.autograd.gradcheck(
            lambda eye, at, up: look_at_view_transform(eye=eye, at=at, up=up), (eye, *vectors)
        )

    @pytest.mark.parametrize("eye", [(0.0, 3.0, 0.0), (0.0, -3.0, 0.0), (0.0, 0.0, 0.0)])
    def test_of_look_at_is_finite_where_up_says_nothing(self, eye):
        eye = torch.tensor([eye], requires_grad=True)
        R, T = look_at_view_transform(eye=eye)
        (R.sum() + T.sum()).backward()
        assert eye.grad.isfinite().all()

    def test_survives_indexing_cloning_and_iteration(self):
        fov = torch.tensor([30.0, 60.0], requires_grad=True)
        camera = FoVPerspectiveCameras(fov=fov, T=torch.tensor([[0.0, 0.0, 3.0]]))
        for made, expected in [(camera[[1, 1]], (0, 2)), (camera.clone(), (1, 1)), (next(iter(camera)), (1, 0))]:
            (grad,) = torch.autograd.grad(made.fov.sum(), fov)
            assert grad.tolist() == list(expected)


class TestBatch:
    @every_kind
    @pytest.mark.parametrize(
        ("index", "rows"),
        [
            (1, [1]),
            (-1, [2]),
            ([2, 0, 0], [2, 0, 0]),
            ([-3], [0]),
            (torch.tensor([1, -1]), [1, 2]),
            (torch.tensor([True, False, True]), [0, 2]),
        ],
    )
    def test_index(self, kind, index, rows):
        camera = batch_of(kind)
        chosen = camera[index]
        assert type(chosen) is type(camera)
        assert len(chosen) == len(rows)
        for field in camera._FIELDS:
            value = getattr(camera, field)
            assert (
                torch.equal(getattr(chosen, field), value[rows])
                if isinstance(value, Tensor)
                else value == getattr(chosen, field)
            )

    @pytest.mark.parametrize(
        "index",
        [
            slice(0, 1), (0,), [True, False, True], True, 1.0, None, [], "a", [0, "a"],
            torch.tensor([0], dtype=torch.int32), torch.tensor([True, False]), torch.tensor(1), torch.zeros(0).long(),
            torch.zeros(3, dtype=torch.bool), torch.tensor([[0]]),
        ],
    )  # fmt: skip
    def test_other_indices(self, index):
        with pytest.raises(ValueError, match=r"FoVPerspectiveCameras: .*(index must|does not match cameras)"):
            batch_of("fov perspective")[index]

    @pytest.mark.parametrize("index", [3, -4, [0, 3], torch.tensor([-4])])
    def test_outside_the_batch(self, index):
        for kind in (IndexError, ValueError):  # the one ends iteration, the other is PyTorch3D's
            with pytest.raises(kind, match="out of bounds for a batch of 3 cameras"):
                batch_of("fov perspective")[index]

    @every_kind
    def test_iteration_yields_each_camera(self, kind):
        assert [len(camera) for camera in batch_of(kind)] == [1, 1, 1]

    @every_kind
    def test_clone_and_pickle(self, kind):
        camera, points = batch_of(kind), torch.rand(3, 5, 3, dtype=torch.float64)
        for copy in (camera.clone(), pickle.loads(pickle.dumps(camera))):
            assert type(copy) is type(camera)
            assert torch.equal(copy.transform_points(points), camera.transform_points(points))
            assert copy.R.data_ptr() != camera.R.data_ptr()

    @every_kind
    def test_gathered_cameras_project(self, kind):
        camera, points = batch_of(kind), torch.rand(4, 5, 3, dtype=torch.float64)
        index = torch.tensor([2, 0, 1, 2])
        expected = camera[index].transform_points_screen(points, image_size=SIZE)
        assert torch.equal(camera.gather_props(index).transform_points_screen(points, image_size=SIZE), expected)

    def test_base_class_leaves_the_projection_to_others(self):
        base = CamerasBase(R=torch.eye(3)[None], T=torch.ones(1, 3))
        for call in (
            base.get_projection_transform,
            base.is_perspective,
            base.in_ndc,
            lambda: base.unproject_points(POINT),
            lambda: base.transform_points(POINT),
        ):
            with pytest.raises(NotImplementedError, match="CamerasBase"):
                call()
        assert base.get_znear() is None
        assert base.get_image_size() is None
        assert try_get_projection_transform(base, {}) is None
        close(base.get_camera_center(), [(-1.0, -1.0, -1.0)])

    def test_a_screen_camera_of_ones_own(self):
        class Plain(PerspectiveCameras):
            get_ndc_camera_transform = CamerasBase.get_ndc_camera_transform

        camera = Plain(50.0, in_ndc=False, image_size=((100, 200),))
        close(camera.transform_points_ndc(torch.tensor([[1.0, 1.0, 1.0]])), [(3.0, 2.0, 1.0)])

    def test_a_field_that_cannot_be_indexed(self):
        class Odd(PerspectiveCameras):
            _FIELDS = (*PerspectiveCameras._FIELDS, "odd")

        camera = Odd()
        camera.odd = {}
        with pytest.raises(ValueError, match="field odd must be a tensor, str or bool"):
            camera[0]

    def test_znear_and_image_size(self):
        assert torch.equal(FoVPerspectiveCameras(znear=0.5).get_znear(), torch.tensor([0.5]))
        assert PerspectiveCameras().get_znear() is None
        assert torch.equal(PerspectiveCameras(image_size=SIZE).get_image_size(), torch.tensor([[100.0, 160.0]]))
        assert PerspectiveCameras().get_image_size() is None

    def test_try_get_projection_transform_takes_overrides(self):
        transform = try_get_projection_transform(FoVPerspectiveCameras(), {"fov": 90.0})
        close(transform.get_matrix()[:, 0, 0], [1.0])


class TestErrors:
    @pytest.mark.parametrize(
        "cls", [FoVPerspectiveCameras, FoVOrthographicCameras, PerspectiveCameras, OrthographicCameras]
    )
    @pytest.mark.parametrize("shape", [(4, 4), (1, 3, 3), (3, 4, 4)])
    def test_matrix(self, cls, shape):
        poses = {"R": torch.eye(3).expand(2, 3, 3), "T": torch.zeros(2, 3)}
        with pytest.raises(ValueError, match=r"K must be \(2, 4, 4\)"):
            cls(**poses).transform_points(POINT, K=torch.zeros(shape))

    @pytest.mark.parametrize("cls", [PerspectiveCameras, OrthographicCameras])
    def test_image_size_below_one(self, cls):
        with pytest.raises(ValueError, match="image_size must be at least 1"):
            cls(image_size=((0, 10),))

    def test_no_image_size(self):
        camera = PerspectiveCameras(**SCREEN)
        with pytest.raises(ValueError, match=r"transform_points_screen: image_size=\(height, width\) is needed"):
            PerspectiveCameras().transform_points_screen(POINT)
        with pytest.raises(ValueError, match=r"PerspectiveCameras\.get_ndc_camera_transform: image_size"):
            camera.transform_points_ndc(POINT)
        with pytest.raises(ValueError, match="image_size"):
            camera.unproject_points(POINT, from_ndc=True)
        for make in (get_ndc_to_screen_transform, get_screen_to_ndc_transform):
            with pytest.raises(ValueError, match=f"{make.__name__}: image_size"):
                make(camera)

    def test_image_sizes_of_wrong_shape(self):
        cameras = batch_of("ndc perspective")
        with pytest.raises(ValueError, match=r"image_size must be \(height, width\) or \(N, 2\)"):
            cameras.transform_points_screen(POINT, image_size=((1, 2, 3),))
        with pytest.raises(ValueError, match="image_size must be given once or 3 times, got 2"):
            get_ndc_to_screen_transform(cameras, image_size=((10, 10), (20, 20)))
        with pytest.raises(ValueError, match="image_size must be given once or 3 times, got 2"):
            cameras.transform_points_screen(POINT, image_size=((10, 10), (20, 20)))

    def test_focal_length_of_wrong_shape(self):
        with pytest.raises(ValueError, match=r"focal_length must be a number, \(N,\), \(N, 1\) or \(N, 2\)"):
            PerspectiveCameras(torch.zeros(1, 3))

    def test_batch_sizes_that_do_not_match(self):
        with pytest.raises(ValueError, match="first dimensions must be 1 or 3"):
            FoVPerspectiveCameras(fov=[1.0, 2.0], znear=[1.0, 2.0, 3.0])


class TestScreenAndNdc:
    @given(height=st.integers(1, 2000), width=st.integers(1, 2000), flip=st.booleans())
    @settings(deadline=None, max_examples=40)
    def test_are_inverse_and_corners_meet(self, height, width, flip):
        camera, size = PerspectiveCameras(), torch.tensor([[height, width]], dtype=torch.float64)
        to_screen = get_ndc_to_screen_transform(camera, with_xyflip=flip, image_size=size)
        to_ndc = get_screen_to_ndc_transform(camera, with_xyflip=flip, image_size=size)
        torch.testing.assert_close(
            to_screen.compose(to_ndc).get_matrix(), torch.eye(4, dtype=torch.float64)[None], rtol=0, atol=1e-9
        )
        shorter = min(height, width)
        corner = torch.tensor([[width / shorter, height / shorter, 0.5]], dtype=torch.float64)
        pixel = torch.tensor([[0.0, 0.0, 0.5]], dtype=torch.float64)
        torch.testing.assert_close(to_ndc.transform_points(pixel), corner)


class TestLookAt:
    def test_position_from_angles(self):
        close(camera_position_from_spherical_angles(2.0, 0.0, 0.0), [(0.0, 0.0, 2.0)])
        close(camera_position_from_spherical_angles(2.0, 0.0, 90.0), [(2.0, 0.0, 0.0)])
        close(camera_position_from_spherical_angles(2.0, math.pi / 2, 0.0, degrees=False), [(0.0, 2.0, 0.0)])
        many = camera_position_from_spherical_angles(torch.tensor([1, 2]), 30, torch.tensor([0.0, 180.0]))
        close(many, [(0.0, 0.5, 0.866025), (0.0, 1.0, -1.732051)])

    @given(
        scale=st.sampled_from([1e-6, 1e-3, 1.0, 1e3, 1e6]),
        seed=st.integers(0, 1000),
    )
    @settings(deadline=None, max_examples=40)
    def test_axes(self, scale, seed):
        generator = torch.Generator().manual_seed(seed)
        eye, at, up = torch.randn(3, 4, 3, dtype=torch.float64, generator=generator)
        R = look_at_rotation(eye * scale, at * scale, up)
        torch.testing.assert_close(R.transpose(1, 2) @ R, torch.eye(3, dtype=torch.float64).expand(4, 3, 3))
        torch.testing.assert_close(torch.linalg.det(R), torch.ones(4, dtype=torch.float64))
        torch.testing.assert_close(R[:, :, 2], torch.nn.functional.normalize(at - eye, dim=1))
        # up has no x, and points upwards
        up_view = (up[:, None] @ R)[:, 0]
        torch.testing.assert_close(up_view[:, 0], torch.zeros(4, dtype=torch.float64), rtol=0, atol=1e-9)
        assert (up_view[:, 1] > 0).all()

    def test_eye_and_angles_agree(self):
        dist, elev, azim, at = torch.tensor([1.0, 2.0]), 20.0, torch.tensor([10.0, 250.0]), ((0.1, 0.2, 0.3),)
        R, T = look_at_view_transform(dist, elev, azim, at=at)
        eye = camera_position_from_spherical_angles(dist, elev, azim) + torch.tensor(at)
        R2, T2 = look_at_view_transform(eye=eye, at=at)
        close(R, R2)
        close(T, T2)
        close(PerspectiveCameras(R=R, T=T).get_camera_center(), eye)
        assert R.shape == (2, 3, 3)

    def test_single_vectors(self):
        close(look_at_view_transform(eye=(1.0, 2.0, 3.0), at=(0.0, 1.0, 0.0))[0],
              look_at_view_transform(eye=((1.0, 2.0, 3.0),), at=((0.0, 1.0, 0.0),))[0])  # fmt: skip
        assert look_at_rotation(torch.rand(3, 3), at=(0, 0, 0), up=(0, 1, 0)).shape == (3, 3, 3)

    @pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
    def test_nearly_above_the_little_that_is_left_decides(self, scale):
        eye = torch.tensor([[-1e-7, 2.0, 0.0], [0.0, 2.0, 1e-7], [0.0, 2.0, 0.0]], requires_grad=True)
        R = look_at_rotation(scale * eye)
        expected = torch.tensor([[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
        torch.testing.assert_close(R[:, :, 0].detach(), expected)
        torch.testing.assert_close(R @ R.mT, torch.eye(3).expand(3, 3, 3))
        (grad,) = torch.autograd.grad(R.square().sum() + R.sum(), eye)
        assert grad.abs().max() < 10

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.parametrize("at", [(0.0, 0.0, 0.0), (5.0, 0.1, 0.2)])
    @pytest.mark.parametrize("elev", [90.0, -90.0])
    def test_from_straight_above_the_azimuth_turns_the_image(self, dtype, at, elev):
        azim = torch.tensor([0.0, 45.0, 200.0], dtype=dtype)
        R, T = look_at_view_transform(2.0, elev, azim, at=(at,))
        a = torch.deg2rad(azim)
        close(R[:, :, 0], torch.stack((a.cos(), torch.zeros(3, dtype=dtype), -a.sin()), dim=1))
        close(R[:, :, 2], torch.tensor([0.0, -math.copysign(1.0, elev), 0.0]).expand(3, 3))
        close(R.transpose(1, 2) @ R, torch.eye(3).expand(3, 3, 3))
        close(torch.linalg.det(R), [1.0, 1.0, 1.0])
        close(PerspectiveCameras(R=R, T=T).get_camera_center()[:, 1], [at[1] + math.copysign(2.0, elev)] * 3)

    @pytest.mark.parametrize("up", [(0, 1, 0), (1, 0, 0), (0, 0, 1), (-2, 0, 0), (1, 1, 1), (0, 0, 0)])
    def test_up_along_the_line_of_sight_gives_a_rotation(self, up):
        eye = 3 * torch.tensor([up], dtype=torch.float32) if any(up) else torch.tensor([[1.0, 2.0, 3.0]])
        R = look_at_rotation(torch.cat((eye, -eye)), up=up)
        close(R.transpose(1, 2) @ R, torch.eye(3).expand(2, 3, 3))
        close(torch.linalg.det(R), [1.0, 1.0])
        close(R[:, :, 2], torch.nn.functional.normalize(torch.cat((-eye, eye)), dim=1))

    def test_standing_on_the_target(self):
        R, T = look_at_view_transform(eye=(1.0, 2.0, 3.0), at=(1.0, 2.0, 3.0))
        close(R, torch.eye(3)[None])
        close(T, [(-1.0, -2.0, -3.0)])

    def test_bad_shapes(self):
        with pytest.raises(ValueError, match=r"look_at_rotation: camera_position must be \(N, 3\) or \(3,\)"):
            look_at_rotation(torch.zeros(1, 2))
        with pytest.raises(ValueError, match=r"look_at_rotation: up must be \(N, 3\)"):
            look_at_rotation(torch.ones(1, 3), up=((0, 1),))
        with pytest.raises(ValueError, match=r"look_at_view_transform: at must be \(N, 3\)"):
            look_at_view_transform(at=((0, 1, 2, 3),))
        with pytest.raises(ValueError, match="first dimensions must be 1 or 3"):
            look_at_view_transform(torch.ones(2), torch.ones(3))

    def test_dtype(self):
        R, T = look_at_view_transform(torch.ones(1, dtype=torch.float64), 20.0, 30.0)
        assert R.dtype == T.dtype == torch.float64
        assert look_at_rotation((1.0, 2.0, 3.0)).dtype == torch.float32
        eye = torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64)
        R, _ = look_at_view_transform(eye=eye, at=((0.1, 0.2, 0.3),))
        expected = torch.tensor([[0.1, 0.2, 0.3]], dtype=torch.float64) - eye
        torch.testing.assert_close(R[:, :, 2], expected / expected.norm(), rtol=1e-15, atol=1e-15)


class TestFormerNames:
    @pytest.mark.parametrize(
        ("name", "cls", "kwargs", "expected"),
        [
            ("OpenGLPerspectiveCameras", FoVPerspectiveCameras, {"fov": 30.0}, {"fov": 30.0}),
            (
                "OpenGLOrthographicCameras",
                FoVOrthographicCameras,
                {"top": 2.0, "bottom": -3.0, "left": -4.0, "right": 5.0},
                {"max_y": 2.0, "min_y": -3.0, "min_x": -4.0, "max_x": 5.0},
            ),
            ("SfMPerspectiveCameras", PerspectiveCameras, {"focal_length": 2.0}, {"focal_length": 2.0}),
            ("SfMOrthographicCameras", OrthographicCameras, {"focal_length": 2.0}, {"focal_length": 2.0}),
        ],
    )
    def test_warn_and_return_the_camera_of_today(self, name, cls, kwargs, expected):
        with pytest.warns(PendingDeprecationWarning, match=name):
            camera = getattr(module, name)(**kwargs)
        assert type(camera) is cls
        assert getattr(renderer, name) is getattr(module, name)
        for field, value in expected.items():
            assert (getattr(camera, field) == value).all()
