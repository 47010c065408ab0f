# SPDX-License-Identifier: Apache-2.0
"""The pose of a camera from points: definition, gradients, laws, degenerate points, errors."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import null_space
from torch import Tensor
from torch.autograd import gradcheck

from patina3d.ops import efficient_pnp as pnp
from patina3d.ops.perspective_n_points import _LINEARISATIONS, EpnpSolution, _coefficients
from support.similarities import rotations

laws = settings(max_examples=10, deadline=None)
seeds = st.integers(0, 2**31 - 1)
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
BOTH = pytest.mark.parametrize("skip_quadratic_eq", [False, True])


def scene(n: int = 20, batch: int = 4, seed: int = 0, noise: float = 0.0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Points of the world, where they are seen, and the pose R, T."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.randn((batch, n, 2), generator=generator, dtype=torch.float64) / 3
    depth = 3.5 + 2 * torch.rand((batch, n, 1), generator=generator, dtype=torch.float64)
    R = rotations(batch, 3, seed)
    T = torch.randn((batch, 3), generator=generator, dtype=torch.float64)
    x = (torch.cat([y * depth, depth], -1) - T[:, None]) @ R.mT
    return x, y + noise * torch.randn(y.shape, generator=generator, dtype=y.dtype), R, T


def projected(x: Tensor, R: Tensor, T: Tensor) -> Tensor:
    in_view = x @ R + T[:, None]
    return in_view[..., :2] / in_view[..., 2:]


@DTYPES
@BOTH
@pytest.mark.parametrize("n", [6, 7, 20, 300])
def test_recovers_the_pose(n, skip_quadratic_eq, dtype, device):
    x, y, R, T = (t.to(device, dtype) for t in scene(n))
    solution = pnp(x, y, skip_quadratic_eq=skip_quadratic_eq)
    assert isinstance(solution, EpnpSolution)
    assert {value.dtype for value in solution} == {dtype}
    atol = 5e-5 if dtype == torch.float32 else 1e-9
    torch.testing.assert_close(solution.R, R, atol=atol, rtol=0)
    torch.testing.assert_close(solution.T, T, atol=10 * atol, rtol=0)
    torch.testing.assert_close(solution.x_cam, x @ R + T[:, None], atol=10 * atol, rtol=0)
    assert solution.err_2d.max() < atol
    assert solution.err_3d.max() < atol


@pytest.mark.filterwarnings("ignore:efficient_pnp")
def test_five_points_need_the_quadratic_equations():
    x, y, R, _ = scene(5, batch=16)
    torch.testing.assert_close(pnp(x, y).R, R, atol=1e-6, rtol=0)
    assert (pnp(x, y, skip_quadratic_eq=True).R - R).abs().max() > 0.1


@pytest.mark.parametrize("weighted", [False, True])
def test_first_candidate_equals_definition(weighted):
    # With one kernel vector of the system, written out point by point, and the similarity by an SVD of its own.
    x, y, *_ = scene(9, noise=0.02)
    weights = torch.rand(4, 9, dtype=x.dtype) + 0.1 if weighted else None
    solution = pnp(x, y, weights, skip_quadratic_eq=True)
    for n in range(4):
        world, seen = x[n].numpy(), y[n].numpy()
        w = np.ones(9) if weights is None else weights[n].numpy()
        w = w / w.sum()
        centred = world - w @ world
        unit = np.sqrt(w @ np.square(centred).sum(1))
        alphas = np.concatenate([centred / unit, 1 - (centred / unit).sum(1, keepdims=True)], 1)
        rows = [np.sqrt(wi) * np.kron(a, [1, 0, -u]) for wi, a, (u, _) in zip(w, alphas, seen, strict=True)]
        rows += [np.sqrt(wi) * np.kron(a, [0, 1, -v]) for wi, a, (_, v) in zip(w, alphas, seen, strict=True)]
        in_view = alphas @ np.linalg.svd(np.stack(rows))[2][-1].reshape(4, 3)
        in_view *= np.sign(w @ in_view[:, 2])
        target = in_view - w @ in_view
        u, singular, vt = np.linalg.svd(centred.T @ (w[:, None] * target))
        signs = np.array([1, 1, np.linalg.det(u @ vt)])
        R = u @ np.diag(signs) @ vt
        s = (signs * singular).sum() / unit**2
        T = w @ in_view / s - w @ world @ R
        np.testing.assert_allclose(solution.R[n].numpy(), R, atol=1e-9)
        np.testing.assert_allclose(solution.T[n].numpy(), T, atol=1e-8)
        np.testing.assert_allclose(solution.x_cam[n].numpy(), in_view / s, atol=1e-8)
        again = world @ R + T
        err_2d = w @ np.linalg.norm(seen - again[:, :2] / again[:, 2:], axis=1)
        assert float(solution.err_2d[n]) == pytest.approx(err_2d, abs=1e-9)
        assert float(solution.err_3d[n]) == pytest.approx(w @ np.square(again - in_view / s).sum(1), abs=1e-8)


def test_quadratic_equations_never_fit_worse():
    x, y, R, T = scene(7, batch=50, noise=0.01)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        all_candidates, first = pnp(x, y), pnp(x, y, skip_quadratic_eq=True)
    assert (all_candidates.err_2d <= first.err_2d).all()
    assert (all_candidates.err_2d < first.err_2d).any()
    truth = (projected(x, R, T) - y).norm(dim=-1).mean(-1)
    assert (all_candidates.err_2d < 10 * truth).double().mean() > 0.9


@pytest.mark.parametrize("products", _LINEARISATIONS)
def test_linearisations_equal_definition(products):
    kernels = torch.randn(40, 4, 4, 3, dtype=torch.float64)
    found = _coefficients(kernels, products)
    negative = 0
    for kernel, got in zip(kernels.numpy(), found.numpy(), strict=True):
        system, right = [], []
        for i in range(4):
            for j in range(i):
                edge = kernel[:, i] - kernel[:, j]
                system.append([(2 - (k == m)) * (edge[k] @ edge[m]) for k, m in products])
                right.append(1.0 if i == 3 else 2.0)
        b = dict(zip(products, np.linalg.lstsq(np.array(system), np.array(right), rcond=None)[0], strict=True))
        negative += b[0, 0] < 0
        # Coefficients (c0, c1, ..) and (i c0, i c1, ..) are told apart by the sign of c0 c0 alone.
        b = {product: value * np.sign(b[0, 0]) for product, value in b.items()}
        expected = np.zeros(4)
        expected[0] = np.sqrt(b[0, 0])
        for k in (1, 2, 3):
            if (k, k) in b:
                expected[k] = np.copysign(np.sqrt(max(b[k, k], 0)), b[0, k])
            elif (0, k) in b:
                expected[k] = b[0, k] / expected[0]
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-9)
    assert 0 < negative < 40


def test_linearisations_find_a_congruent_simplex():
    # Control points that are a simplex, written in two kernel vectors of either sign.
    simplex = torch.cat([torch.eye(3), torch.zeros(1, 3)]).double() @ rotations(1, 3, 3)[0] + 4
    other = torch.randn(4, 3, dtype=torch.float64)
    for signs in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        kernel = torch.zeros(1, 4, 4, 3, dtype=torch.float64)
        kernel[0, 0], kernel[0, 1] = signs[0] * (simplex - 0.5 * other), signs[1] * other
        for products in _LINEARISATIONS[1:]:
            controls = torch.einsum("bk,bkij->bij", _coefficients(kernel, products), kernel)[0]
            torch.testing.assert_close(torch.pdist(controls), torch.pdist(simplex))


def test_weights_act_once():
    x, y, *_ = scene(9, noise=0.02)
    w = torch.ones(4, 9, dtype=x.dtype)
    w[:, :3] = 2
    twice = [torch.cat([t, t[:, :3]], 1) for t in (x, y)]
    for got, want in zip(pnp(x, y, w)[1:], pnp(*twice)[1:], strict=True):
        torch.testing.assert_close(got, want)


def test_points_of_weight_zero_do_not_count():
    x, y, R, T = scene(12)
    y = y.clone()
    y[:, 8:] += 1
    w = torch.ones(4, 12, dtype=x.dtype)
    w[:, 8:] = 0
    solution = pnp(x, y, w)
    torch.testing.assert_close(solution.R, R)
    torch.testing.assert_close(solution.T, T)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert (pnp(x, y).R - R).abs().max() > 0.01


def test_kernel_is_that_of_scipy():
    # Six points and more leave one kernel vector, which does not depend on how the system is solved.
    x, y, *_ = scene(6, batch=1)
    homogeneous = np.concatenate([x[0].numpy(), np.ones((6, 1))], 1)
    rows = [np.kron(h, [1, 0, -u]) for h, (u, _) in zip(homogeneous, y[0].numpy(), strict=True)]
    rows += [np.kron(h, [0, 1, -v]) for h, (_, v) in zip(homogeneous, y[0].numpy(), strict=True)]
    kernel = null_space(np.stack(rows), rcond=1e-9)
    assert kernel.shape == (12, 1)
    pose = kernel.reshape(4, 3) / np.linalg.norm(kernel.reshape(4, 3)[0]) * np.sign(kernel[-1])
    solution = pnp(x, y)
    np.testing.assert_allclose(solution.R[0].numpy(), pose[:3], atol=1e-8)
    np.testing.assert_allclose(solution.T[0].numpy(), pose[3], atol=1e-7)


@BOTH
def test_gradcheck(skip_quadratic_eq):
    x, y, *_ = scene(8, batch=2, noise=0.01)
    w = torch.rand(2, 8, dtype=x.dtype) + 0.2
    inputs = [t.requires_grad_() for t in (x, y, w)]
    assert gradcheck(lambda *a: tuple(pnp(*a, skip_quadratic_eq=skip_quadratic_eq)), inputs, atol=1e-4, rtol=1e-3)


@DTYPES
@BOTH
@pytest.mark.parametrize(
    "shape",
    ["4", "5", "identical", "one pixel", "origin", "collinear", "coplanar", "coplanar seen", "w0", "w2", "none"],
)
@pytest.mark.filterwarnings("ignore:efficient_pnp")
def test_degenerate_input_gives_finite_results(shape, skip_quadratic_eq, dtype, device):
    x, y, *_ = (t.to(device, dtype) for t in scene(int(shape) if shape.isdigit() else 12))
    weights = None
    if shape in ("identical", "one pixel"):
        x = x[:, :1].expand_as(x)
    if shape == "one pixel":
        y = y[:, :1].expand_as(y)
    if shape == "origin":
        x, y = 0 * x, 0 * y
    if shape == "collinear":
        x = x[:, :1] * torch.linspace(0.5, 1, 12, device=device, dtype=dtype)[:, None]
    if shape.startswith("coplanar"):
        x = x * x.new_tensor([1, 1, 0])
    if shape == "coplanar seen":
        y = x[..., :2] / 4
    if shape.startswith("w"):
        weights = torch.zeros_like(x[..., 0])
        weights[:, : int(shape[1])] = 1
    if shape == "no":
        x, y = x[:0], y[:0]
    x, y = (t.clone().requires_grad_() for t in (x, y))
    solution = pnp(x, y, weights, skip_quadratic_eq=skip_quadratic_eq)
    assert all(value.isfinite().all() for value in solution)
    torch.testing.assert_close(
        solution.R @ solution.R.mT, torch.eye(3, device=device, dtype=dtype).expand_as(solution.R), atol=1e-5, rtol=0
    )
    loss = sum((value * torch.rand_like(value)).sum() for value in (solution.R, solution.T, solution.x_cam))
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(loss, (x, y)))


@pytest.mark.parametrize("unit", [1e-6, 1e6])
@DTYPES
def test_the_unit_does_not_matter(unit, dtype):
    x, y, R, T = (t.to(dtype) for t in scene(8))
    solution = pnp(unit * x, y, torch.full((4, 8), unit, dtype=dtype))
    atol = 5e-5 if dtype == torch.float32 else 1e-9
    torch.testing.assert_close(solution.R, R, atol=atol, rtol=0)
    torch.testing.assert_close(solution.T / unit, T, atol=10 * atol, rtol=0)
    torch.testing.assert_close(solution.err_2d, torch.zeros_like(solution.err_2d), atol=atol, rtol=0)


@laws
@given(seeds)
def test_law_order_batch_and_motion_of_the_world(seed):
    x, y, *_ = scene(9, seed=seed, noise=0.01)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = pnp(x, y, skip_quadratic_eq=True)
        order = torch.randperm(9, generator=torch.Generator().manual_seed(seed))
        permuted = pnp(x[:, order], y[:, order], skip_quadratic_eq=True)
        alone = pnp(x[1:2], y[1:2], skip_quadratic_eq=True)
        shifted = pnp(x + 3, y, skip_quadratic_eq=True)
    torch.testing.assert_close(permuted.x_cam, expected.x_cam[:, order], atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(alone.x_cam, expected.x_cam[1:2], atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(shifted.R, expected.R, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(shifted.T, expected.T - 3 * expected.R.sum(1), atol=1e-6, rtol=1e-6)


def test_compiles():
    x, y, *_ = scene(8, noise=0.01)
    compiled = torch.compile(pnp, fullgraph=True, backend="aot_eager")
    for a, b in zip(compiled(x.requires_grad_(), y), pnp(x, y), strict=True):
        torch.testing.assert_close(a, b)


def test_transforms_of_functions():
    x, y, *_ = scene(8, noise=0.01)
    leaf = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(pnp(leaf, y).T.sum(), leaf)
    torch.testing.assert_close(torch.func.grad(lambda x: pnp(x, y).T.sum())(x), expected)
    torch.testing.assert_close(torch.func.vmap(lambda x, y: pnp(x[None], y[None]).R[0])(x, y), pnp(x, y).R)
    each = torch.func.vmap(torch.func.grad(lambda x, y: pnp(x[None], y[None]).T.sum()))(x, y)
    torch.testing.assert_close(each, expected)


def test_layouts_and_halves():
    x, y, *_ = scene(8, batch=1)
    expanded = pnp(x.expand(3, 8, 3), y.expand(3, 8, 2))
    torch.testing.assert_close(expanded.R, pnp(x, y).R.expand(3, 3, 3))
    assert pnp(x.half(), y.half()).R.dtype == torch.float32


def test_warns_of_points_behind_the_camera():
    x, y, *_ = scene(8, batch=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pnp(x, y)  # losing candidates say nothing
    with pytest.warns(UserWarning, match=r"efficient_pnp: \d+ points of the solution lie behind the camera"):
        pnp(torch.randn(1, 8, 3, dtype=x.dtype), torch.randn(1, 8, 2, dtype=x.dtype))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (lambda x, y: (x[:, :3], y[:, :3]), ValueError, "x must have at least 4 points, got 3"),
        (lambda x, y: (x[..., :2], y), ValueError, r"x must be of shape \(B, n, 3\), got \(4, 20, 2\)"),
        (lambda x, y: (x, x), ValueError, r"y must be of shape \(B, n, 2\), got \(4, 20, 3\)"),
        (lambda x, y: (x[0], y), ValueError, r"x must be of shape \(B, n, 3\), got \(20, 3\)"),
        (lambda x, y: (x, y[:1]), ValueError, r"y must be of shape \(4, 20, 2\), as x, got \(1, 20, 2\)"),
        (lambda x, y: (x, y.float()), TypeError, "y must be torch.float64, as x, got torch.float32"),
        (lambda x, y: (x.long(), y), TypeError, "x must be floating, got torch.int64"),
        (lambda x, y: (None, y), TypeError, "x must be a torch.Tensor, got NoneType"),
        (lambda x, y: (x, y, torch.ones(20)), ValueError, r"weights must be of shape \(4, 20\), got \(20,\)"),
        (lambda x, y: (x, y, [1]), ValueError, r"weights must be of shape \(4, 20\), got list"),
        (lambda x, y: (x, y.to("meta")), ValueError, "y must be on cpu, as x, got meta"),
        (lambda x, y: (x, y, -torch.ones(4, 20)), ValueError, "weights must be non-negative, got -1"),
        (lambda x, y: (x, y, torch.full((4, 20), torch.nan)), ValueError, "weights must be non-negative, got nan"),
        (lambda x, y: (x * torch.nan, y), ValueError, "x, y and weights must be finite"),
        (lambda x, y: (x, y * torch.inf), ValueError, "x, y and weights must be finite"),
    ],
)
def test_errors(arguments, error, message):
    with pytest.raises(error, match=message) as raised:
        pnp(*arguments(*scene()[:2]))
    assert str(raised.value).startswith("efficient_pnp: ")
