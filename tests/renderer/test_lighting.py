# SPDX-License-Identifier: Apache-2.0
"""Lights, and the diffuse and specular terms."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from patina3d.renderer.lighting import AmbientLights, DirectionalLights, PointLights, diffuse, specular

every_light = pytest.mark.parametrize("cls", [DirectionalLights, PointLights])


def unit(v: list[float]) -> list[float]:
    length = math.sqrt(sum(x * x for x in v))
    return [x / length for x in v]


def phong(point, normal, direction, camera, shininess) -> tuple[float, float]:
    """Diffuse and specular factor at one point, number by number."""
    n, d = unit(normal), unit(direction)
    v = unit([c - p for c, p in zip(camera, point, strict=True)])
    c = sum(a * b for a, b in zip(n, d, strict=True))
    r = [2 * c * a - b for a, b in zip(n, d, strict=True)]
    alpha = max(0.0, sum(a * b for a, b in zip(v, r, strict=True))) if c > 0 else 0.0
    return max(0.0, c), alpha**shininess


def scene(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Points and normals (*shape, 3)."""
    return torch.randn(*shape, 3, dtype=torch.float64), torch.randn(*shape, 3, dtype=torch.float64)


class TestAnchors:
    def test_point_light(self):
        lights = PointLights(location=((1.0, 2.0, 3.0),))
        normals, points = torch.tensor([[0.0, 0.6, 0.8]]), torch.tensor([[0.1, 0.2, 0.3]])
        torch.testing.assert_close(lights.diffuse(normals, points), torch.full((1, 3), 0.288642), rtol=0, atol=1e-6)
        got = lights.specular(normals, points, camera_position=torch.tensor([[0.0, 0.0, 5.0]]), shininess=8)
        torch.testing.assert_close(got, torch.full((1, 3), 0.013835), rtol=0, atol=1e-6)


class TestDefinition:
    @pytest.mark.parametrize("shape", [(2,), (2, 4), (2, 3, 4, 2)])
    @every_light
    def test_equals_the_formula(self, cls, shape):
        points, normals = scene(*shape)
        vector, color = torch.randn(2, 3, dtype=torch.float64), torch.rand(2, 3, dtype=torch.float64)
        camera, shininess = 3 * torch.randn(2, 3, dtype=torch.float64), torch.tensor([2.0, 0.5], dtype=torch.float64)
        name = "direction" if cls is DirectionalLights else "location"
        lights = cls(diffuse_color=color, specular_color=2 * color, **{name: vector})
        got = lights.diffuse(normals, points), lights.specular(normals, points, camera, shininess)
        for i in range(2):
            flat = points[i].reshape(-1, 3).tolist(), normals[i].reshape(-1, 3).tolist()
            v = vector[i].tolist()
            factors = [
                phong(
                    p,
                    n,
                    v if cls is DirectionalLights else [a - b for a, b in zip(v, p, strict=True)],
                    camera[i].tolist(),
                    shininess[i].item(),
                )
                for p, n in zip(*flat, strict=True)
            ]
            for term, factor, strength in zip(got, zip(*factors, strict=True), (1, 2), strict=True):
                expected = torch.tensor(factor, dtype=torch.float64)[:, None] * strength * color[i]
                torch.testing.assert_close(term[i].reshape(-1, 3), expected)

    def test_directional_lights_need_no_points(self):
        lights, (points, normals) = DirectionalLights(), scene(1, 5)
        assert torch.equal(lights.diffuse(normals), lights.diffuse(normals=normals, points=points))

    def test_one_light_serves_a_batch_and_packed_points(self):
        for shape in [(4,), (4, 2, 2, 3)]:
            points, normals = scene(*shape)
            lights = PointLights(location=(0.0, 1.0, 2.0))
            many = PointLights(location=torch.tensor([[0.0, 1.0, 2.0]]).expand(4, 3))
            assert torch.equal(lights.diffuse(normals, points), many.diffuse(normals, points))
            camera = torch.ones(1, 3)
            got = lights.specular(normals, points, camera, torch.tensor([3.0]))
            assert torch.equal(got, many.specular(normals, points, camera.expand(4, 3), torch.full((4,), 3.0)))

    def test_colours_and_directions_of_each_point(self):
        points, normals = scene(2, 5)
        color, direction = torch.rand(2, 5, 4, dtype=torch.float64), torch.randn(2, 5, 3, dtype=torch.float64)
        got = diffuse(normals, color, direction)
        assert got.shape == (2, 5, 4)
        torch.testing.assert_close(got[1, 3], diffuse(normals[1, 3:4], color[1, 3:4], direction[1, 3:4])[0])
        shininess = torch.rand(2, 5, dtype=torch.float64)
        got = specular(points, normals, direction, color, (0.0, 0.0, 5.0), shininess)
        alone = specular(points[1, 3:4], normals[1, 3:4], direction[1, 3:4], color[1, 3:4], (0, 0, 5), shininess[1, 3])
        torch.testing.assert_close(got[1, 3], alone[0])

    @pytest.mark.parametrize(
        ("dtype", "expected"),
        [(torch.float16, torch.float32), (torch.float32, torch.float32), (torch.float64, torch.float64)],
    )
    def test_dtypes(self, dtype, expected):
        points, normals = (x.to(dtype) for x in scene(2, 5))
        for lights in (PointLights(), DirectionalLights()):
            assert lights.diffuse(normals, points).dtype == expected
            assert lights.specular(normals, points, torch.ones(1, 3), 2.0).dtype == expected

    def test_no_points(self):
        points, normals = scene(2, 0)
        lights = PointLights()
        assert lights.diffuse(normals, points).shape == (2, 0, 3)
        assert lights.specular(normals, points, torch.ones(2, 3), 2.0).shape == (2, 0, 3)

    def test_shininess_zero_gives_the_colour_everywhere(self):
        points, normals = scene(50)
        lights = PointLights()
        got = lights.specular(normals, points, torch.ones(1, 3), torch.zeros(1))
        torch.testing.assert_close(got, torch.full_like(got, 0.2))

    def test_the_dark_side(self):
        up = torch.tensor([[0.0, 0.0, 1.0]])
        assert torch.equal(diffuse(up, up, -up), torch.zeros(1, 3))
        # mirrored towards the camera, but lit from behind
        assert torch.equal(specular(torch.zeros(1, 3), up, -up, up, (0.0, 0.0, -5.0), 2), torch.zeros(1, 3))

    def test_empty_slots_with_zero_normals(self):
        zero = torch.zeros(1, 2, 2, 1, 3, requires_grad=True)
        lights = PointLights(location=(0.0, 0.0, 0.0))
        total = lights.diffuse(zero, zero).sum() + lights.specular(zero, zero, torch.zeros(1, 3), 0.5).sum()
        total.backward()
        assert total == 0
        assert zero.grad.isfinite().all()

    @given(scale=st.sampled_from([1e-5, 1e-3, 1.0, 1e6]), seed=st.integers(0, 100))
    @settings(deadline=None, max_examples=20)
    def test_scale_and_rigid_motion(self, scale, seed):
        generator = torch.Generator().manual_seed(seed)
        points, normals, location, camera = torch.randn(4, 6, 3, dtype=torch.float64, generator=generator)
        basis, r = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64, generator=generator))
        basis = basis * torch.diagonal(r).sign()
        lights = PointLights(location=location[:1])
        moved = PointLights(location=location[:1] @ basis * scale)
        args = normals @ basis, points @ basis * scale
        torch.testing.assert_close(moved.diffuse(*args), lights.diffuse(normals, points))
        expected = lights.specular(normals, points, camera[:1], 3.0)
        torch.testing.assert_close(moved.specular(*args, camera[:1] @ basis * scale, 3.0), expected)

    @pytest.mark.gpu
    @every_light
    def test_cuda_equals_cpu(self, cls):
        points, normals = scene(2, 3, 4, 2)
        lights, camera = cls(), torch.ones(2, 3, dtype=torch.float64)
        expected = lights.diffuse(normals, points) + lights.specular(normals, points, camera, 3.0)
        lights.to("cuda")
        points, normals, camera = points.cuda(), normals.cuda(), camera.cuda()
        got = lights.diffuse(normals, points) + lights.specular(normals, points, camera, 3.0)
        torch.testing.assert_close(got.cpu(), expected)


class TestGradients:
    def test_diffuse(self):
        args = [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in ((2, 4, 3), (2, 3), (1, 3))]
        assert torch.autograd.gradcheck(diffuse, args)

    @pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 7.0])
    def test_specular(self, power):
        points, normals = (x.requires_grad_() for x in scene(2, 6))
        vectors = [torch.randn(2, 3, dtype=torch.float64, requires_grad=True) for _ in range(3)]
        shininess = torch.full((2,), power, dtype=torch.float64, requires_grad=power > 0)
        assert torch.autograd.gradcheck(specular, (points, normals, *vectors, shininess))

    @every_light
    def test_of_lights(self, cls):
        points, normals = scene(2, 4)
        name = "direction" if cls is DirectionalLights else "location"
        color, vector = (torch.rand(2, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))

        def run(color, vector):
            lights = cls(diffuse_color=color, specular_color=color, **{name: vector})
            return lights.diffuse(normals, points), lights.specular(normals, points, torch.ones(1, 3).double(), 2.0)

        assert torch.autograd.gradcheck(run, (color, vector))

    @pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 64.0])
    def test_is_finite_without_a_highlight(self, power):
        up = torch.tensor([[0.0, 0.0, 1.0]], requires_grad=True)
        shininess = torch.tensor([power], requires_grad=True)
        side = torch.tensor([[1.0, 0.0, 0.0]], requires_grad=True)
        # grazing light, light from behind, and a mirrored ray at a right angle to the view
        for direction, camera in [(side, (0.0, 0.0, 5.0)), (-up, (0.0, 0.0, 5.0)), (up, (5.0, 0.0, 0.0))]:
            got = specular(torch.zeros(1, 3), up, direction, torch.ones(1, 3), camera, shininess)
            grads = torch.autograd.grad(got.sum(), (up, side, shininess), allow_unused=True)
            assert all(g.isfinite().all() for g in grads if g is not None)
            assert torch.equal(got, torch.full((1, 3), 1.0 if power == 0 else 0.0))


class TestLightObjects:
    @every_light
    def test_defaults(self, cls):
        lights = cls()
        for name, value in [("ambient_color", 0.5), ("diffuse_color", 0.3), ("specular_color", 0.2)]:
            assert torch.equal(getattr(lights, name), torch.full((1, 3), value))
        vector = lights.direction if cls is DirectionalLights else lights.location
        assert torch.equal(vector, torch.tensor([[0.0, 1.0, 0.0]]))

    @every_light
    def test_one_vector_is_one_light(self, cls):
        assert len(cls(ambient_color=(1.0, 0.0, 0.0))) == 1
        assert len(cls(torch.rand(3), torch.rand(4, 3))) == 4

    @every_light
    def test_bad_shapes(self, cls):
        with pytest.raises(ValueError, match=rf"{cls.__name__}: diffuse_color must be \(N, 3\), got \(1, 4\)"):
            cls(diffuse_color=torch.ones(1, 4))
        name = "direction" if cls is DirectionalLights else "location"
        with pytest.raises(ValueError, match=rf"{name} must be \(N, 3\), got \(1, 1\)"):
            cls(**{name: 2.0})
        with pytest.raises(ValueError, match="first dimensions must be 1 or 3"):
            cls(diffuse_color=torch.ones(2, 3), specular_color=torch.ones(3, 3))

    @every_light
    def test_numbers_take_the_dtype_of_the_tensors(self, cls):
        lights = cls(ambient_color=torch.zeros(1, 3, dtype=torch.float64))
        assert lights.diffuse_color[0, 0].item() == 0.3

    @pytest.mark.parametrize("cls", [DirectionalLights, PointLights, AmbientLights])
    def test_clone(self, cls):
        color = torch.rand(2, 3, requires_grad=True)
        lights = cls(ambient_color=color)
        copy = lights.clone()
        assert type(copy) is cls
        assert copy.ambient_color.data_ptr() != color.data_ptr()
        (grad,) = torch.autograd.grad(copy.ambient_color.sum(), color)
        assert torch.equal(grad, torch.ones(2, 3))

    def test_elements_and_iteration(self):
        lights = PointLights(location=torch.arange(6.0).reshape(2, 3))
        assert [light.location.tolist() for light in lights] == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
        lights[1].ambient_color = (0.0, 0.0, 1.0)
        assert torch.equal(lights.ambient_color, torch.tensor([[0.5, 0.5, 0.5], [0.0, 0.0, 1.0]]))

    @pytest.mark.parametrize(
        ("points", "expected"),
        [((2, 3), (2, 3)), ((2, 5, 3), (2, 1, 3)), ((2, 4, 4, 1, 3), (2, 1, 1, 1, 3))],
    )
    def test_reshape_location(self, points, expected):
        lights = PointLights(location=torch.rand(2, 3))
        assert lights.reshape_location(torch.zeros(points)).shape == expected

    def test_to_moves_the_lights(self):
        lights = PointLights().to("meta")
        assert lights.location.is_meta

    def test_ambient_lights_shine_in_any_number_of_channels(self):
        points = torch.zeros(2, 4, 4, 1, 3, dtype=torch.float64)
        lights = AmbientLights(ambient_color=torch.rand(2, 5))
        for term in (lights.diffuse(points, points), lights.specular(points, points, torch.zeros(2, 3), 64)):
            assert term.shape == (2, 4, 4, 1, 5)
            assert term.dtype == torch.float64
            assert not term.any()
        assert torch.equal(AmbientLights().ambient_color, torch.ones(1, 3))


class TestErrors:
    def test_points_and_normals_of_different_shape(self):
        with pytest.raises(ValueError, match="specular: points and normals must have one shape"):
            specular(torch.zeros(2, 3), torch.zeros(3, 3), (0, 0, 1), (1, 1, 1), (0, 0, 1), 1)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("color", torch.ones(3, 3)),
            ("color", torch.ones(2, 4, 3)),
            ("direction", torch.ones(1, 2)),
            ("direction", torch.ones(2, 5, 1, 3)),
            ("camera_position", torch.ones(3, 3)),
            ("camera_position", torch.ones(1, 4)),
            ("shininess", torch.ones(3)),
        ],
    )
    def test_what_does_not_fit(self, name, value):
        args = {"direction": (0, 0, 1), "color": (1, 1, 1), "camera_position": (0, 0, 5), "shininess": 2.0, name: value}
        with pytest.raises(ValueError, match=f"specular: {name} of shape .* does not fit points of shape"):
            specular(torch.ones(2, 5, 3), torch.ones(2, 5, 3), **args)
        if name in ("color", "direction"):
            with pytest.raises(ValueError, match=f"diffuse: {name} of shape"):
                diffuse(torch.ones(2, 5, 3), args["color"], args["direction"])

    def test_points_that_are_no_vectors(self):
        with pytest.raises(ValueError, match=r"diffuse: normals must be \(N, ..., 3\), got \(3,\)"):
            diffuse(torch.ones(3), (1, 1, 1), (0, 0, 1))
        with pytest.raises(ValueError, match=r"specular: points must be \(N, ..., 3\), got \(2, 4\)"):
            specular(torch.ones(2, 4), torch.ones(2, 4), (0, 0, 1), (1, 1, 1), (0, 0, 1), 1)

    def test_locations_that_do_not_fit(self):
        with pytest.raises(ValueError, match="location of shape"):
            PointLights(location=torch.rand(3, 3)).diffuse(torch.ones(2, 5, 3), torch.ones(2, 5, 3))
