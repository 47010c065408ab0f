# SPDX-License-Identifier: Apache-2.0
"""Transforms of points and normals, their compositions and inverses."""

import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from patina3d.transforms import Rotate, RotateAxisAngle, Scale, Transform3d, Translate, random_rotations, se3_exp_map

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def each_kind(dtype: torch.dtype = torch.float64, n: int = 3) -> list[Transform3d]:
    return [
        Transform3d(matrix=torch.randn(n, 4, 4, dtype=dtype)),
        Translate(torch.randn(n, 3, dtype=dtype), dtype=dtype),
        Scale(torch.rand(n, 3, dtype=dtype) + 0.5, dtype=dtype),
        Rotate(random_rotations(n, dtype), dtype=dtype),
        RotateAxisAngle(torch.rand(n, dtype=dtype) * 90, "Y", dtype=dtype),
    ]


def by_definition(matrix: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    homogeneous = torch.cat([points, torch.ones_like(points[..., :1])], -1) @ matrix
    return homogeneous[..., :3] / homogeneous[..., 3:]


# Points and normals.


def test_anchor_values():
    origin = torch.zeros(1, 3)
    assert Translate(1, 2, 3).compose(Scale(2)).transform_points(origin).tolist() == [[2, 4, 6]]
    assert Scale(2).compose(Translate(1, 2, 3)).transform_points(origin).tolist() == [[1, 2, 3]]
    assert Scale(2, 1, 1).transform_normals(torch.tensor([[1.0, 1, 0]])).tolist() == [[0.5, 1, 0]]


def test_anchor_projective():
    matrix = torch.eye(4)
    matrix[3, 3] = 0
    point = torch.ones(1, 3)
    assert Transform3d(matrix=matrix).transform_points(point).isinf().all()
    torch.testing.assert_close(Transform3d(matrix=matrix).transform_points(point, eps=0.01), torch.full((1, 3), 100.0))
    matrix[2, 3] = 1
    got = Transform3d(matrix=matrix).transform_points(torch.tensor([[1.0, 1, -1e-5]]), eps=0.01)
    torch.testing.assert_close(got, torch.tensor([[-100.0, -100, 0.001]]))


def test_clamped_depth_has_no_gradient():
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[3, 3], matrix[2, 3] = 0, 1
    points = torch.tensor(
        [[1.0, 2, 1e-3], [1, 2, -1e-3], [1, 2, 0], [1, 2, 3]], dtype=torch.float64, requires_grad=True
    )
    Transform3d(matrix=matrix).transform_points(points, eps=0.01)[:, :2].sum().backward()
    assert points.grad[:3, 2].tolist() == [0, 0, 0]
    assert points.grad[3, 2] == pytest.approx(-3 / 9)


@DTYPES
@pytest.mark.parametrize(
    ("n", "shape", "expected"),
    [
        (1, (5, 3), (5, 3)),
        (3, (5, 3), (3, 5, 3)),
        (3, (1, 5, 3), (3, 5, 3)),
        (1, (3, 5, 3), (3, 5, 3)),
        (1, (1, 5, 3), (1, 5, 3)),
        (3, (3, 0, 3), (3, 0, 3)),
        (0, (5, 3), (0, 5, 3)),
        (1, (0, 3), (0, 3)),
    ],
)
def test_shapes_and_values(n, shape, expected, dtype, device):
    matrix = torch.randn(n, 4, 4, dtype=dtype, device=device)
    transform, points = Transform3d(matrix=matrix), torch.randn(shape, dtype=dtype, device=device)
    assert len(transform) == n
    got, normals = transform.transform_points(points), transform.transform_normals(points)
    assert got.shape == normals.shape == expected
    torch.testing.assert_close(got, by_definition(matrix, points).reshape(expected))
    torch.testing.assert_close(normals, (points @ torch.linalg.inv(matrix[:, :3, :3]).mT).reshape(expected))


def test_normals_stay_normal():
    transform = Transform3d(matrix=torch.randn(1, 4, 4, dtype=torch.float64))
    u, v = torch.randn(2, 1, 3, dtype=torch.float64)
    moved_u, moved_v = u @ transform.get_matrix()[0, :3, :3], v @ transform.get_matrix()[0, :3, :3]
    normal = transform.transform_normals(torch.linalg.cross(u, v))
    assert (normal * moved_u).sum().abs() < 1e-10
    assert (normal * moved_v).sum().abs() < 1e-10


def test_strange_strides():
    points = torch.randn(3, 5).t().expand(2, 5, 3)
    transform = each_kind(torch.float32, 2)[0]
    torch.testing.assert_close(transform.transform_points(points), transform.transform_points(points.contiguous()))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda t: t.transform_points(torch.zeros(3)),
            ValueError,
            r"points must be \(P, 3\) or \(N, P, 3\), got \(3,\)",
        ),
        (lambda t: t.transform_points(torch.zeros(5, 2)), ValueError, "points must be"),
        (lambda t: t.transform_normals(torch.zeros(1, 1, 5, 3)), ValueError, "normals must be"),
        (lambda t: t.transform_points(torch.zeros(2, 5, 3)), ValueError, "equal batch sizes, or 1, got 2 and 3"),
        (
            lambda t: t.transform_points(torch.zeros(5, 3).double()),
            TypeError,
            "points must be torch.float32, got torch.float64",
        ),
        (
            lambda t: t.transform_normals(torch.zeros(5, 3).long()),
            TypeError,
            "normals must be torch.float32, got torch.int64",
        ),
        (lambda t: t.compose(torch.eye(4)), ValueError, "others must be Transform3d, got Tensor"),
        (lambda t: t.compose(Scale(torch.ones(2))).get_matrix(), ValueError, "equal batch sizes, or 1, got 3 and 2"),
        (
            lambda t: Transform3d(matrix=torch.eye(3)),
            ValueError,
            r"matrix must be \(4, 4\) or \(N, 4, 4\), got \(3, 3\)",
        ),
        (lambda t: Translate(1.0), ValueError, r"give x, y and z, or one tensor \(N, 3\)"),
        (lambda t: Translate(1.0, 2.0), ValueError, "give x, y and z"),
        (lambda t: Scale(1.0, 2.0), ValueError, "give x, y and z"),
        (lambda t: Translate(torch.zeros(4)), ValueError, "give x, y and z"),
        (lambda t: Translate(torch.zeros(2, 3), 1.0), ValueError, "y and z must be None"),
        (lambda t: Translate(torch.zeros(2, 4)), ValueError, r"x must be \(N, 3\), got \(2, 4\)"),
        (lambda t: Scale(torch.zeros(2), torch.zeros(3), 1.0), ValueError, r"size 1 or N, got \[2, 3\]"),
        (lambda t: Scale(torch.zeros(2, 2, 3)), ValueError, "numbers, 0-d or 1-D"),
        (lambda t: Rotate(torch.eye(4)), ValueError, r"R must be \(3, 3\) or \(N, 3, 3\), got \(4, 4\)"),
        (lambda t: RotateAxisAngle(torch.zeros(1, 1)), ValueError, r"angle must be a number or \(N,\), got \(1, 1\)"),
        (lambda t: RotateAxisAngle(1.0, "W"), ValueError, "axis must be X, Y or Z, got 'W'"),
    ],
)
def test_errors_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call(Scale(torch.ones(3)))


# Composition and inverse.


@DTYPES
def test_compose_is_the_product_of_matrices(dtype):
    first, *rest = each_kind(dtype)
    composed = first.compose(*rest)
    expected = first.get_matrix()
    for other in rest:
        expected = expected @ other.get_matrix()
    torch.testing.assert_close(composed.get_matrix(), expected)
    points = torch.randn(3, 5, 3, dtype=dtype)
    one_by_one = points
    for transform in (first, *rest):
        one_by_one = transform.transform_points(one_by_one)
    torch.testing.assert_close(composed.transform_points(points), one_by_one)
    assert type(composed) is Transform3d
    nested = first.compose(rest[0]).compose(*rest[1:])
    torch.testing.assert_close(nested.get_matrix(), expected)
    assert first._transforms == []


def test_compose_keeps_the_parts():
    shift = torch.zeros(1, 3, requires_grad=True)
    part = Translate(shift)
    composed = Transform3d().compose(part)
    assert composed._transforms[0] is part
    composed.transform_points(torch.zeros(4, 3)).sum().backward()
    assert shift.grad.tolist() == [[4, 4, 4]]
    own = Scale(2.0)
    copy = own.compose()
    own._matrix.zero_()
    assert copy.get_matrix()[0, 0, 0] == 2
    matrix = own.get_matrix()
    matrix.fill_(7)
    assert not (own.get_matrix() == 7).any()


@pytest.mark.parametrize("kind", range(5))
@pytest.mark.parametrize("invert_composed", [False, True])
def test_inverse_of_each_kind(kind, invert_composed):
    transform = each_kind()[kind]
    eye = torch.eye(4, dtype=torch.float64).expand(3, 4, 4)
    inverse = transform.inverse(invert_composed)
    torch.testing.assert_close(transform.get_matrix() @ inverse.get_matrix(), eye)
    assert inverse.dtype == torch.float64
    composed = transform.compose(*each_kind()[1:])
    torch.testing.assert_close(composed.compose(composed.inverse(invert_composed)).get_matrix(), eye)
    torch.testing.assert_close(composed.inverse().inverse().get_matrix(), composed.get_matrix())


def test_cheap_inverses_are_used():
    assert Scale(0.0).inverse().get_matrix()[0, 0, 0].isinf()
    with pytest.raises(torch.linalg.LinAlgError):
        Scale(0.0).inverse(invert_composed=True)
    shear = torch.eye(3)
    shear[0, 1] = 1
    assert torch.equal(Rotate(shear).inverse().get_matrix()[0, :3, :3], shear.T)
    moved = Rotate(shear).to("cpu", dtype=torch.float64)
    assert torch.equal(moved.inverse().get_matrix()[0, :3, :3], shear.double().T)
    assert torch.equal(Rotate(shear).clone().inverse().get_matrix()[0, :3, :3], shear.T)


def test_methods_compose_with_own_dtype():
    start = Transform3d(dtype=torch.float64)
    end = start.translate(1, 2, 3).scale(2).rotate(random_rotations(1)[0]).rotate_axis_angle(30, axis="x")
    assert end.dtype == torch.float64
    assert end.get_matrix().dtype == torch.float64
    torch.testing.assert_close(
        start.translate(1, 2, 3).scale(2).get_matrix()[0, 3], torch.tensor([2.0, 4, 6, 1]).double()
    )


def test_stack():
    a, b = each_kind(torch.float32, 2)[1], each_kind(torch.float64, 3)[0]
    stacked = a.stack(b)
    assert len(stacked) == 5
    assert stacked.dtype == stacked.get_matrix().dtype == torch.float64
    torch.testing.assert_close(stacked.get_matrix(), torch.cat([a.get_matrix().double(), b.get_matrix()]))


@settings(deadline=None)
@given(st.integers(0, 2**31), st.floats(-6, 6))
def test_rigid_motions_keep_distances(seed, exponent):
    generator = torch.Generator().manual_seed(seed)
    log = torch.randn((1, 6), generator=generator, dtype=torch.float64)
    points = 10**exponent * torch.randn((4, 3), generator=generator, dtype=torch.float64)
    transform = Transform3d(matrix=se3_exp_map(log))
    moved = transform.transform_points(points)
    torch.testing.assert_close(torch.cdist(moved, moved), torch.cdist(points, points), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(transform.inverse().transform_points(moved), points, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(transform.get_se3_log(), log) if log[0, 3:].norm() < 3 else None


def test_gradcheck():
    kinds = [torch.randn(2, 3, dtype=torch.float64), torch.rand(2, 3, dtype=torch.float64) + 0.5]
    angle, points = torch.rand(2, dtype=torch.float64), torch.randn(2, 4, 3, dtype=torch.float64)
    leaves = [x.requires_grad_() for x in (*kinds, angle, points)]

    def run(shift, scale, angle, points):
        t = Translate(shift, dtype=torch.float64).scale(scale).rotate_axis_angle(angle, "Z")
        return t.transform_points(points), t.inverse().transform_points(points), t.transform_normals(points)

    assert torch.autograd.gradcheck(run, leaves)


# The kinds.


def test_translate_forms():
    expected = [1, 2, 3, 1]
    for transform in (
        Translate(1, 2.0, 3),
        Translate(torch.tensor(1), 2, torch.tensor([3.0])),
        Translate(torch.tensor([[1.0, 2, 3]])),
        Translate(torch.tensor([1, 2, 3])),
    ):
        assert transform.get_matrix()[0, 3].tolist() == expected
        assert transform.dtype == torch.float32
    several = Translate(torch.arange(4.0), 0, torch.tensor([5.0]))
    assert several.get_matrix()[:, 3, :3].tolist() == [[0, 0, 5], [1, 0, 5], [2, 0, 5], [3, 0, 5]]


def test_scale_forms():
    for transform in (Scale(2), Scale(torch.tensor(2.0)), Scale(2, 2, 2), Scale(torch.full((1, 3), 2.0))):
        assert transform.get_matrix()[0].diag().tolist() == [2, 2, 2, 1]
    three = Scale(torch.tensor([1.0, 2, 3]))
    assert len(three) == 3
    assert three.get_matrix()[2].diag().tolist() == [3, 3, 3, 1]


def test_rotate_acts_on_row_vectors():
    rotation = random_rotations(1)[0]
    points = torch.randn(5, 3)
    torch.testing.assert_close(Rotate(rotation).transform_points(points), points @ rotation)


@DTYPES
@pytest.mark.parametrize(
    ("axis", "start", "end"),
    [("Z", [1, 0, 0], [0, 1, 0]), ("x", [0, 1, 0], [0, 0, 1]), ("Y", [0, 0, 1], [1, 0, 0])],
)
def test_positive_angles_turn_counter_clockwise(axis, start, end, dtype):
    start, end = torch.tensor([start], dtype=dtype), torch.tensor([end], dtype=dtype)
    for transform in (
        RotateAxisAngle(90, axis, dtype=dtype),
        RotateAxisAngle(torch.tensor(math.pi / 2, dtype=dtype), axis, degrees=False, dtype=dtype),
    ):
        torch.testing.assert_close(
            transform.transform_points(start), end, rtol=0, atol=1e-6 if dtype == torch.float32 else 1e-15
        )
    assert len(RotateAxisAngle(torch.rand(4), axis)) == 4


@pytest.mark.parametrize("name", ["PATINA3D_CHECK_ROTATION_MATRICES", "PYTORCH3D_CHECK_ROTATION_MATRICES"])
def test_rotations_are_checked_on_demand(name, monkeypatch):
    no_rotation = 1.01 * torch.eye(3)
    Rotate(no_rotation)
    monkeypatch.setenv(name, "1")
    Rotate(torch.eye(3))
    for bad in (no_rotation, torch.diag(torch.tensor([1.0, 1, -1]))):
        with pytest.warns(UserWarning, match="not a rotation to within 1e-05"):
            Rotate(bad)
    Rotate(no_rotation, orthogonal_tol=0.1)


@pytest.mark.parametrize("kind", range(5))
def test_indexing_keeps_class_dtype_and_gradient(kind):
    transform = each_kind()[kind]
    matrix = transform.get_matrix()
    mask = torch.tensor([True, False, True])
    for index, expected in (
        (0, matrix[:1]),
        (-1, matrix[2:]),
        (np.int64(1), matrix[1:2]),
        (slice(0, 2), matrix[:2]),
        ([2, 0], matrix[[2, 0]]),
        (mask, matrix[mask]),
        (torch.tensor([1, 1]), matrix[[1, 1]]),
    ):
        part = transform[index]
        assert type(part) is type(transform)
        assert part.dtype == torch.float64
        assert torch.equal(part.get_matrix(), expected)
        torch.testing.assert_close(part.inverse().get_matrix(), torch.linalg.inv(expected))
    for bad in (3, (0, 1), torch.tensor([[0]]), torch.tensor(0), 0.5, torch.tensor([0.5]), [5]):
        with pytest.raises(IndexError):
            transform[bad]


def test_indexing_a_composition():
    composed = Translate(torch.rand(3, 3)).scale(2.0)
    assert torch.equal(composed[1].get_matrix(), composed.get_matrix()[1:2])
    assert composed[1]._transforms == []


def test_clone_and_to():
    transform = Translate(torch.rand(2, 3)).rotate_axis_angle(30)
    assert transform.to("cpu") is transform
    assert transform.cpu() is transform
    copy = transform.to("cpu", copy=True)
    assert copy is not transform
    assert copy._matrix.data_ptr() != transform._matrix.data_ptr()
    assert copy._transforms[0]._matrix.data_ptr() != transform._transforms[0]._matrix.data_ptr()
    double = transform.to("cpu", dtype=torch.float64)
    assert double.dtype == double.get_matrix().dtype == double._transforms[0].dtype == torch.float64
    assert transform.dtype == torch.float32
    there = transform.to("meta")
    assert there.device.type == there.get_matrix().device.type == "meta"
    assert type(Translate(1, 2, 3).clone()) is Translate


@pytest.mark.gpu
def test_cuda():
    there = Translate(torch.rand(2, 3)).rotate_axis_angle(30).cuda()
    assert there.to("cuda") is there
    points = torch.rand(5, 3)
    torch.testing.assert_close(there.transform_points(points.cuda()).cpu(), there.cpu().transform_points(points))


def test_device_follows_the_tensors():
    assert Translate(torch.zeros(1, 3, device="meta")).device.type == "meta"
    assert Scale(1.0, torch.ones(2, device="meta"), 1.0).device.type == "meta"
    assert Rotate(torch.zeros(3, 3, device="meta")).device.type == "meta"
    assert RotateAxisAngle(torch.zeros(2, device="meta")).device.type == "meta"


def test_matrix_is_kept():
    matrix = torch.randn(2, 4, 4)
    assert Transform3d(matrix=matrix)._matrix is matrix
    single = torch.eye(4)
    assert Transform3d(matrix=single)._matrix.data_ptr() == single.data_ptr()
    assert Transform3d(matrix=matrix.double(), dtype=torch.float32).dtype == torch.float64


def test_half_precision():
    transform = Translate(1.0, 2.0, 3.0, dtype=torch.float16).scale(2.0)
    points = torch.ones(2, 3, dtype=torch.float16)
    assert transform.transform_points(points).tolist() == [[4, 6, 8]] * 2
    assert transform.transform_normals(points).tolist() == [[0.5] * 3] * 2


def test_repr_and_pickle():
    transform = Translate(torch.rand(2, 3)).scale(2.0)
    assert repr(transform) == "Transform3d(N=2, dtype=float32, device=cpu)"
    again = pickle.loads(pickle.dumps(transform))
    assert torch.equal(again.get_matrix(), transform.get_matrix())
