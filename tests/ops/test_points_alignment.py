# SPDX-License-Identifier: Apache-2.0
"""Alignment of points that correspond: definition, gradients, laws, edges, errors."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from patina3d.ops import corresponding_points_alignment as align
from patina3d.ops import points_alignment
from patina3d.ops._procrustes import nearest_rotation
from patina3d.ops.points_alignment import SimilarityTransform, _apply_similarity_transform
from patina3d.structures import Pointclouds
from support.similarities import cost, moved, rotations, similarity

laws = settings(max_examples=15, deadline=None)
seeds = st.integers(0, 2**31 - 1)
DTYPES = pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 2e-5), (torch.float64, 1e-12)])


def clouds(n: int = 3, points: int = 20, dim: int = 3, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn((n, points, dim), generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def pair(seed: int = 0, noise: float = 0.1, dim: int = 3, points: int = 20) -> tuple[Tensor, Tensor, Tensor]:
    """Clouds, their moved and disturbed copies, and weights."""
    generator = torch.Generator().manual_seed(seed)
    x = clouds(seed=seed, dim=dim, points=points)
    y = moved(x, *similarity(3, dim, seed))
    y = y + noise * torch.randn(y.shape, generator=generator, dtype=y.dtype)
    return x, y, torch.rand(x.shape[:2], generator=generator, dtype=x.dtype) + 0.1


@DTYPES
@pytest.mark.parametrize("reflect", [False, True])
@pytest.mark.parametrize("dim", [1, 2, 3, 5])
def test_recovers_a_similarity(dim, reflect, dtype, atol, device):
    x = clouds(dim=dim, dtype=dtype).to(device)
    expected = similarity(3, dim, reflect=reflect)
    y = moved(x, *expected)
    R, T, s = align(x, y, estimate_scale=True, allow_reflection=reflect)
    assert R.dtype == T.dtype == s.dtype == dtype
    for got, want in zip((R, T, s), expected, strict=True):
        torch.testing.assert_close(got, want.to(got), atol=atol, rtol=0)
    torch.testing.assert_close(_apply_similarity_transform(x, R, T, s), y, atol=atol, rtol=0)


@pytest.mark.parametrize("seed", range(5))
def test_orthogonal_part_is_that_of_scipy(seed):
    x, y, w = pair(seed)
    R, T, s = align(x, y, w, allow_reflection=True)
    for n in range(3):
        share = (w[n] / w[n].sum()).numpy()
        xc = x[n].numpy() - share @ x[n].numpy()
        yc = y[n].numpy() - share @ y[n].numpy()
        expected, _ = orthogonal_procrustes(np.sqrt(share)[:, None] * xc, np.sqrt(share)[:, None] * yc)
        np.testing.assert_allclose(R[n].numpy(), expected, atol=1e-12)
        np.testing.assert_allclose(T[n].numpy(), share @ y[n].numpy() - share @ x[n].numpy() @ expected, atol=1e-12)
    assert torch.equal(s, torch.ones_like(s))


@pytest.mark.parametrize("seed", range(5))
def test_rotation_is_that_of_scipy(seed):
    x, y, w = pair(seed)
    R, *_ = align(x, y, w)
    for n in range(3):
        xc, yc = (p[n] - (w[n, :, None] * p[n]).sum(0) / w[n].sum() for p in (x, y))
        expected, _ = Rotation.align_vectors(yc.numpy(), xc.numpy(), weights=w[n].numpy())
        # scipy turns columns.
        np.testing.assert_allclose(R[n].numpy(), expected.as_matrix().T, atol=1e-10)


@pytest.mark.parametrize("estimate_scale", [False, True])
def test_weights_act_once(estimate_scale):
    # The optimum of the weighted sum of squares, found by a general optimiser.
    x, y, w = (t[:1] for t in pair(noise=0.5))
    found = align(x, y, w, estimate_scale=estimate_scale)

    def objective(parameters):
        R = torch.from_numpy(Rotation.from_rotvec(parameters[:3]).as_matrix())[None]
        s = torch.tensor([np.exp(parameters[6]) if estimate_scale else 1.0])
        return float(cost(x, y, w, R, torch.from_numpy(parameters[3:6].copy())[None], s))

    start = np.concatenate(
        [Rotation.from_matrix(found.R[0].numpy()).as_rotvec() + 0.1, found.T[0].numpy() - 0.1, [0.2]]
    )
    best = minimize(objective, start, method="BFGS", options={"gtol": 1e-8})
    np.testing.assert_allclose(Rotation.from_rotvec(best.x[:3]).as_matrix(), found.R[0].numpy(), atol=1e-5)
    np.testing.assert_allclose(best.x[3:6], found.T[0].numpy(), atol=1e-5)
    assert float(cost(x, y, w, *found)) <= best.fun + 1e-12
    if estimate_scale:
        assert np.exp(best.x[6]) == pytest.approx(float(found.s), abs=1e-5)


def test_a_weight_of_two_is_a_point_twice():
    x, y, _ = pair()
    w = torch.ones(3, 20, dtype=x.dtype)
    w[:, :5] = 2
    twice = [torch.cat([t, t[:, :5]], 1) for t in (x, y)]
    for got, want in zip(align(x, y, w, estimate_scale=True), align(*twice, estimate_scale=True), strict=True):
        torch.testing.assert_close(got, want)


def test_mirrored_points_get_the_best_rotation(device):
    x = clouds().to(device)
    y = moved(x, *similarity(3, 3, reflect=True))
    free, proper = align(x, y, allow_reflection=True), align(x, y)
    ones = torch.ones(3, dtype=x.dtype, device=device)
    torch.testing.assert_close(torch.linalg.det(free.R), -ones)
    torch.testing.assert_close(torch.linalg.det(proper.R), ones)
    w = torch.ones_like(x[..., 0])
    best = cost(x, y, w, *proper)
    for seed in range(50):
        R = proper.R @ rotations(3, 3, seed).to(x)
        T = y.mean(1) - (x.mean(1)[:, None] @ R)[:, 0]
        assert (cost(x, y, w, R, T, ones) >= best).all()


@pytest.mark.parametrize("weighted", [False, True])
def test_pointclouds_are_aligned_one_by_one(weighted):
    lengths = [5, 20, 9]
    x, y, w = pair()
    x_list, y_list, w_list = ([t[n, :length] for n, length in enumerate(lengths)] for t in (x, y, w))
    weights = w_list if weighted else None
    together = align(Pointclouds(x_list), Pointclouds(y_list), weights, estimate_scale=True)
    for n in range(3):
        one = align(x_list[n][None], y_list[n][None], w_list[n][None] if weighted else None, estimate_scale=True)
        for got, want in zip(together, one, strict=True):
            torch.testing.assert_close(got[n : n + 1], want)
    if weighted:
        padded = align(Pointclouds(x_list), Pointclouds(y_list), w, estimate_scale=True)
        assert all(torch.equal(a, b) for a, b in zip(padded, together, strict=True))


def test_padding_is_not_looked_at():
    x, y, _ = pair()
    lists = [[t[n, :length] for n, length in enumerate([5, 20, 9])] for t in (x, y)]
    clean = [Pointclouds(rows) for rows in lists]
    dirty = [c.update_padded(torch.where(c.points_padded() == 0, torch.nan, c.points_padded())) for c in clean]
    assert all(c.points_padded().isnan().any() for c in dirty)
    for got, want in zip(align(*dirty), align(*clean), strict=True):
        assert torch.equal(got, want)


def test_gradcheck():
    x, y, w = (t[:2, :6].requires_grad_() for t in pair())
    for reflection in (False, True):

        def function(*inputs, reflection=reflection):
            return tuple(align(*inputs, estimate_scale=True, allow_reflection=reflection))

        assert gradcheck(function, (x, y, w))
        assert gradgradcheck(function, (x, y, w))


def test_gradcheck_at_equal_singular_values():
    # The corners of a cube, aligned with themselves: the covariance is the identity.
    x = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * 3)[None]
    assert torch.equal(nearest_rotation(x.mT @ x)[2], torch.full((1, 3), 8.0, dtype=x.dtype))
    y = x.clone()
    assert gradcheck(lambda x, y: tuple(align(x, y, estimate_scale=True)), (x.requires_grad_(), y.requires_grad_()))


@DTYPES
@pytest.mark.parametrize(
    "shape", ["one point", "identical", "collinear", "coplanar", "mirrored cube", "origin", "no points", "no clouds"]
)
@pytest.mark.parametrize("zero_weights", [False, True])
@pytest.mark.filterwarnings("ignore:corresponding_points_alignment")
def test_degenerate_input_gives_finite_results(shape, zero_weights, dtype, atol, device):
    x = clouds(2, 8, dtype=dtype)
    cube = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=dtype)] * 3).expand(2, 8, 3)
    line = torch.linspace(0, 1, 8, dtype=dtype)[:, None]
    x = {
        "one point": x[:, :1],
        "identical": x[:, :1].expand(2, 8, 3),
        "collinear": x[:, :1] + line * x[:, 1:2],
        "coplanar": x * x.new_tensor([1, 1, 0]),
        "mirrored cube": cube,
        "origin": torch.zeros_like(x),
        "no points": x[:, :0],
        "no clouds": x[:0],
    }[shape].to(device)
    y = x * x.new_tensor([1, 1, -1]) + 1 if shape == "mirrored cube" else moved(x, *similarity(2, 3)) if len(x) else x
    x, y = x.clone().requires_grad_(), y.detach().clone().requires_grad_()
    w = torch.full(x.shape[:2], 0.0 if zero_weights else 0.5, dtype=dtype, device=device, requires_grad=True)
    R, T, s = align(x, y, w, estimate_scale=True)
    eye = torch.eye(3, dtype=dtype, device=device).expand_as(R)
    torch.testing.assert_close(R @ R.mT, eye, atol=atol, rtol=0)
    torch.testing.assert_close(torch.linalg.det(R), torch.ones_like(s), atol=atol, rtol=0)
    assert all(value.isfinite().all() for value in (R, T, s))
    if zero_weights or x.shape[1] == 0:
        assert torch.equal(R, eye)
        assert torch.equal(s, torch.ones_like(s))
        assert not T.any()
    elif shape != "mirrored cube":
        # Whichever transform it is, it fits.
        torch.testing.assert_close(_apply_similarity_transform(x, R, T, s), y, atol=10 * atol, rtol=0)
    if shape in ("one point", "identical", "origin"):
        assert torch.equal(s, torch.ones_like(s))
    loss = (R * torch.randn(3, 3, dtype=dtype, device=device)).sum() + T.sum() + s.sum()
    for gradient in torch.autograd.grad(loss, (x, y, w)):
        assert gradient.isfinite().all()


@DTYPES
@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1e6])
def test_the_unit_does_not_matter(scale, dtype, atol):
    x, y, w = (t.to(dtype) for t in pair())
    expected = align(x, y, w, estimate_scale=True)
    got = align(scale * x, scale * y, scale * w, estimate_scale=True)
    torch.testing.assert_close(got.R, expected.R, atol=atol, rtol=0)
    torch.testing.assert_close(got.T / scale, expected.T, atol=atol, rtol=0)
    torch.testing.assert_close(got.s, expected.s, atol=atol, rtol=0)
    grown = align(x, scale * y, w, estimate_scale=True)
    torch.testing.assert_close(grown.s / scale, expected.s, atol=atol, rtol=0)


@pytest.mark.parametrize("scale", [1e-30, 1e-22, 1e22, 1e30])
def test_the_range_of_squares_does_not_matter(scale):
    x, y, _ = (t.float() for t in pair())
    expected, got = (align(k * x, k * y, estimate_scale=True) for k in (1, scale))
    torch.testing.assert_close(got.R, expected.R, atol=2e-5, rtol=0)
    torch.testing.assert_close(got.T / scale, expected.T, atol=2e-5, rtol=0)
    torch.testing.assert_close(got.s, expected.s, atol=2e-5, rtol=0)
    far = torch.cat([x, 1e30 * torch.ones_like(x[:, :1])], 1)
    weights = torch.ones(3, 21).index_fill(1, torch.tensor([20]), 0)
    torch.testing.assert_close(align(far, far, weights).R, torch.eye(3).expand(3, 3, 3), atol=2e-5, rtol=0)


@pytest.mark.parametrize("weight", [2e37, 3e38])
def test_a_sum_of_weights_out_of_range(weight):
    x, y, _ = (t.float() for t in pair())
    for got, want in zip(align(x, y, torch.full((3, 20), weight)), align(x, y), strict=True):
        torch.testing.assert_close(got, want)
    sizes = torch.full((3, 20), weight, requires_grad=True)
    align(x, y, sizes).T.sum().backward()
    assert sizes.grad.isfinite().all()


@laws
@given(seeds, st.integers(2, 4))
def test_law_motion_of_either_side(seed, dim):
    x, y, w = pair(seed, dim=dim)
    R, T, s = align(x, y, w, estimate_scale=True)
    R0, T0, s0 = similarity(3, dim, seed + 7)
    of_y = align(x, moved(y, R0, T0, s0), w, estimate_scale=True)
    torch.testing.assert_close(of_y.R, R @ R0)
    torch.testing.assert_close(of_y.s, s * s0)
    torch.testing.assert_close(of_y.T, s0[:, None] * (T[:, None] @ R0)[:, 0] + T0)
    of_x = align(moved(x, R0, T0, s0), y, w, estimate_scale=True)
    torch.testing.assert_close(of_x.R, R0.mT @ R)
    torch.testing.assert_close(of_x.s, s / s0)


@laws
@given(seeds)
def test_law_order_and_batch(seed):
    x, y, w = pair(seed)
    expected = align(x, y, w, estimate_scale=True)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(seed))
    permuted = align(x[:, order], y[:, order], w[:, order], estimate_scale=True)
    alone = [align(x[n : n + 1], y[n : n + 1], w[n : n + 1], estimate_scale=True) for n in range(3)]
    for part, want in enumerate(expected):
        torch.testing.assert_close(permuted[part], want)
        torch.testing.assert_close(torch.cat([one[part] for one in alone]), want)


def test_layouts_and_halves():
    x, y, _ = pair()
    expected = align(x, y)
    strided = torch.stack([x, x], -1)[..., 0].transpose(0, 1).contiguous().transpose(0, 1)
    assert not strided.is_contiguous()
    assert torch.equal(align(strided, y).R, expected.R)
    assert torch.equal(align(x[:1].expand(3, 20, 3), y[:1].expand(3, 20, 3)).R[2], expected.R[0])
    half = align(x.half(), y.half())
    assert half.R.dtype == torch.float32
    torch.testing.assert_close(half.R, align(x.half().float(), y.half().float()).R)


def test_compiles():
    x, y, w = (t.requires_grad_() for t in pair())
    compiled = torch.compile(lambda *inputs: align(*inputs, estimate_scale=True), fullgraph=True, backend="aot_eager")
    expected, got = align(x, y, w, estimate_scale=True), compiled(x, y, w)
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b)
    gradients = [torch.autograd.grad(sum(part.sum() for part in parts), (x, y, w)) for parts in (got, expected)]
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)


def test_named_tuple():
    assert SimilarityTransform._fields == ("R", "T", "s")
    assert points_alignment.AMBIGUOUS_ROT_SINGULAR_THR == 1e-15


def test_warnings():
    x, y, _ = pair()
    with pytest.warns(UserWarning, match=r"size of one of the point clouds is < dim \+ 1 = 4.* unique rotation"):
        align(x[:, :3], y[:, :3])
    with pytest.warns(UserWarning, match="size of one of the point clouds"):
        align(Pointclouds([x[0], x[1, :2]]), Pointclouds([y[0], y[1, :2]]))
    flat = x * torch.tensor([1.0, 1, 0])
    for scale in (1e-9, 1.0):
        with pytest.warns(UserWarning, match=r"low rank of the cross-correlation.* unique rotation"):
            align(scale * flat, scale * flat)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        align(1e-9 * x, 1e-9 * y)  # small is not of low rank
        align(x[:, :4], y[:, :4])


ERRORS = [
    (lambda x, y: (x, y[:, :5]), ValueError, "X and Y must have the same number of batches, points and dimensions"),
    (lambda x, y: (x, y[:2]), ValueError, "X and Y must have the same number of batches and data dimensions"),
    (lambda x, y: (x, y[..., :2]), ValueError, r"data dimensions, got \(3, 20, 3\) and \(3, 20, 2\)"),
    (lambda x, y: (x[..., :0], y[..., :0]), ValueError, "at least one dimension"),
    (lambda x, y: (Pointclouds([x[0]]), Pointclouds([y[0, :9]])), ValueError, "the same number of batches, points"),
    (
        lambda x, y: (Pointclouds([x[0], x[1, :9]]), Pointclouds([y[0, :9], y[1]])),
        ValueError,
        r"\[20, 9\] and \(2, 20, 3\) with \[9, 20\] points",
    ),
    (lambda x, y: (x, y[0]), ValueError, r"Y must be of shape \(N, P, D\), got \(20, 3\)"),
    (lambda x, y: (x, [1]), ValueError, "Y should be either Pointclouds or a tensor .* got list"),
    (lambda x, y: (x.long(), y.long()), TypeError, "X must be floating, got torch.int64"),
    (lambda x, y: (x, y.float()), TypeError, "Y must be torch.float64, as X, got torch.float32"),
    (lambda x, y: (x, y.to("meta")), ValueError, "Y must be on cpu, as X, got meta"),
    (lambda x, y: (x, y, torch.ones(3, 19)), ValueError, r"first two dimensions as X, \(3, 20\), got \(3, 19\)"),
    (lambda x, y: (x, y, [torch.ones(20)] * 2), ValueError, "the number of weights should equal"),
    (lambda x, y: (x, y, [torch.ones(19)] * 3), ValueError, r"\[20, 20, 20\], got \[\(19,\)"),
    (lambda x, y: (x, y, 1.0), TypeError, "weights must be a torch.Tensor, a list of them or None, got float"),
    (lambda x, y: (x, y, -torch.ones(3, 20)), ValueError, "weights must be non-negative, got -1"),
    (lambda x, y: (x, y, [-torch.ones(20)] * 3), ValueError, "weights must be non-negative, got -1"),
    (lambda x, y: (x, y, torch.full((3, 20), torch.nan)), ValueError, "weights must be non-negative, got nan"),
    (lambda x, y: (x * torch.nan, y), ValueError, "X, Y and weights must be finite"),
    (lambda x, y: (x, y, torch.full((3, 20), torch.inf)), ValueError, "X, Y and weights must be finite"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), ERRORS)
def test_errors(arguments, error, message):
    with pytest.raises(error, match=message) as raised:
        align(*arguments(*pair()[:2]))
    assert str(raised.value).startswith("corresponding_points_alignment: ")


def test_nearest_rotation_gradients():
    for dim in (1, 2, 4):
        matrix = clouds(3, dim, dim).requires_grad_()
        for reflection in (False, True):

            def function(matrix, reflection=reflection):
                return nearest_rotation(matrix, allow_reflection=reflection)[:2]

            assert gradcheck(function, matrix)
            assert gradgradcheck(function, matrix)
    # Where two signed singular values add up to zero any turn in their plane is as good: nothing flows there.
    matrix = torch.diag(torch.tensor([2.0, 1.0, -1.0], dtype=torch.float64))[None].requires_grad_()
    rotation, *_ = nearest_rotation(matrix)
    gradient = torch.autograd.grad((rotation * torch.randn(3, 3, dtype=torch.float64)).sum(), matrix)[0]
    assert gradient.abs().max() < 10
