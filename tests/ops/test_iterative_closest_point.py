# SPDX-License-Identifier: Apache-2.0
"""Iterative closest point: definition, stopping, padding, gradients, real shapes, errors."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from torch import Tensor
from torch.autograd import gradcheck

from patina3d.io import load_obj
from patina3d.ops import iterative_closest_point as icp
from patina3d.ops.points_alignment import ICPSolution, SimilarityTransform, _apply_similarity_transform
from patina3d.structures import Pointclouds
from patina3d.transforms import axis_angle_to_matrix
from support.meshes import real_mesh
from support.similarities import moved

laws = settings(max_examples=10, deadline=None)
seeds = st.integers(0, 2**31 - 1)


def clouds(n: int = 2, points: int = 40, seed: int = 0, dim: int = 3, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand((n, points, dim), generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def small_motion(n: int = 2, angle: float = 0.05, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    R = axis_angle_to_matrix(angle * torch.randn((n, 3), generator=generator, dtype=torch.float64))
    return R.to(dtype), (0.02 * torch.randn((n, 3), generator=generator, dtype=torch.float64)).to(dtype)


def by_numpy(x: np.ndarray, y: np.ndarray, iterations: int, estimate_scale: bool) -> list[tuple[np.ndarray, ...]]:
    """The textbook loop for one cloud: R, T, s and the rmse after each iteration."""
    tree, now, history = cKDTree(y), x, []
    for _ in range(iterations):
        matched = y[tree.query(now)[1]]
        u, singular, vt = np.linalg.svd((x - x.mean(0)).T @ (matched - matched.mean(0)))
        signs = np.ones(len(singular))
        signs[-1] = np.linalg.det(u @ vt)
        R = u @ np.diag(signs) @ vt
        s = (signs * singular).sum() / np.square(x - x.mean(0)).sum() if estimate_scale else 1.0
        T = matched.mean(0) - s * x.mean(0) @ R
        now = s * x @ R + T
        history.append((R, T, s, np.sqrt(np.square(now - matched).sum(1).mean())))
    return history


@pytest.mark.parametrize("estimate_scale", [False, True])
@pytest.mark.parametrize("dim", [2, 3, 5])
def test_equals_definition_in_each_iteration(dim, estimate_scale):
    x, y = clouds(dim=dim), clouds(points=60, seed=1, dim=dim)
    solution = icp(x, y, estimate_scale=estimate_scale, max_iterations=7, relative_rmse_thr=-1)
    assert len(solution.t_history) == 7
    assert not solution.converged
    for n in range(2):
        expected = by_numpy(x[n].numpy(), y[n].numpy(), 7, estimate_scale)
        for transform, (R, T, s, _) in zip(solution.t_history, expected, strict=True):
            np.testing.assert_allclose(transform.R[n].numpy(), R, atol=1e-9)
            np.testing.assert_allclose(transform.T[n].numpy(), T, atol=1e-9)
            np.testing.assert_allclose(transform.s[n].numpy(), s, atol=1e-9)
        assert float(solution.rmse[n]) == pytest.approx(expected[-1][3])
    torch.testing.assert_close(solution.Xt, moved(x, *solution.RTs))
    assert all(a is b for a, b in zip(solution.RTs, solution.t_history[-1], strict=True))


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_recovers_a_small_motion(dtype, atol, device):
    x = clouds(points=100, dtype=dtype).to(device)
    R, T = (t.to(device) for t in small_motion(dtype=dtype))
    solution = icp(x, moved(x, R, T))
    assert solution.converged is True
    torch.testing.assert_close(solution.RTs.R, R, atol=atol, rtol=0)
    torch.testing.assert_close(solution.RTs.T, T, atol=atol, rtol=0)
    torch.testing.assert_close(solution.Xt, moved(x, R, T), atol=atol, rtol=0)
    assert solution.rmse.max() < atol


@pytest.mark.parametrize("name", ["spot", "stanford-bunny"])
def test_recovers_the_motion_of_a_real_shape(name):
    verts, *_ = load_obj(real_mesh(f"{name}.obj"), load_textures=False)
    x = (verts - verts.mean(0)) / verts.std()
    x = x[torch.randperm(len(x), generator=torch.Generator().manual_seed(0))[:3000]][None]
    R, T = small_motion(1, dtype=torch.float32)
    # Half of the points of X have a partner, so that the clouds fit as well as they are dense.
    third = x.shape[1] // 3
    part = x[:, : 2 * third]
    solution = icp(part, moved(x, R, T)[:, third:])
    assert solution.converged
    wrong_by, moved_by = ((points - moved(part, R, T)).square().sum(2).mean().sqrt() for points in (solution.Xt, part))
    assert wrong_by < min(solution.rmse, moved_by / 2)
    exact = icp(x, moved(x, R, T))
    torch.testing.assert_close(exact.RTs.R, R, atol=1e-5, rtol=0)
    torch.testing.assert_close(exact.RTs.T, T, atol=1e-5, rtol=0)


def test_distances_never_grow(capsys):
    x, y = clouds(points=80), clouds(points=80, seed=1)
    rmse = [icp(x, y, max_iterations=k).rmse for k in range(1, 12)]
    assert (torch.stack(rmse).diff(dim=0) <= 1e-12).all()
    assert capsys.readouterr().out == ""


def test_stops_when_all_are_at_rest():
    x, y = clouds(points=80), clouds(points=80, seed=1)
    together = icp(x, y)
    alone = [icp(x[n : n + 1], y[n : n + 1]) for n in range(2)]
    assert together.converged
    assert all(solution.converged for solution in alone)
    assert len(together.t_history) == max(len(solution.t_history) for solution in alone)
    history = icp(x, y, max_iterations=200, relative_rmse_thr=-1)
    torch.testing.assert_close(history.RTs.R, together.RTs.R)


def test_exact_match_converges(device):
    # Half-integer coordinates: nothing is rounded, the distance is exactly 0 from the start.
    grid = torch.cartesian_prod(*[torch.arange(3.0, device=device)] * 3)[None]
    solution = icp(grid, grid)
    assert solution.converged
    assert len(solution.t_history) == 2
    nothing = torch.zeros(1, 5, 3, device=device)
    solution = icp(nothing, nothing)
    assert solution.converged
    assert len(solution.t_history) == 2
    assert solution.rmse.item() == 0


def test_no_iterations():
    x, y = clouds(), clouds(seed=1)
    solution = icp(x, y, max_iterations=0)
    assert isinstance(solution, ICPSolution)
    assert solution.rmse is None
    assert not solution.converged
    assert solution.t_history == []
    assert torch.equal(solution.Xt, x)
    assert torch.equal(solution.RTs.R, torch.eye(3, dtype=x.dtype).expand(2, 3, 3))
    R, T = small_motion()
    start = SimilarityTransform(R, T, torch.full((2,), 2.0, dtype=x.dtype))
    solution = icp(x, y, init_transform=start, max_iterations=0)
    assert all(torch.equal(a, b) for a, b in zip(solution.RTs, start, strict=True))
    assert torch.equal(solution.Xt, _apply_similarity_transform(x, *start))


def test_starts_where_it_is_told():
    x, y = clouds(points=80), clouds(points=80, seed=1)
    full = icp(x, y)
    again = icp(x, y, init_transform=full.t_history[2])
    assert len(again.t_history) == len(full.t_history) - 3
    for got, want in zip(again.RTs, full.RTs, strict=True):
        torch.testing.assert_close(got, want)
    # A quarter turn is too far for matching, but not with a start near it.
    turn = torch.tensor([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]], dtype=x.dtype).expand(2, 3, 3)
    target = x @ turn
    near = SimilarityTransform(turn @ small_motion()[0], torch.zeros(2, 3), torch.ones(2))
    torch.testing.assert_close(icp(x, target, init_transform=near).RTs.R, turn)
    assert (icp(x, target).RTs.R - turn).abs().max() > 0.1


@pytest.mark.parametrize("same_counts", [False, True])
@pytest.mark.parametrize("estimate_scale", [False, True])
def test_clouds_of_different_sizes(same_counts, estimate_scale, device):
    lengths_x = [10, 40, 25]
    lengths_y = lengths_x if same_counts else [33, 12, 40]
    x_list, y_list = (
        [cloud[:length].to(device) for cloud, length in zip(clouds(3, seed=seed) + 3, lengths, strict=True)]
        for seed, lengths in enumerate((lengths_x, lengths_y))
    )
    options = {"estimate_scale": estimate_scale, "max_iterations": 5, "relative_rmse_thr": -1}
    together = icp(Pointclouds(x_list), Pointclouds(y_list), **options)
    assert isinstance(together.Xt, Pointclouds)
    for n in range(3):
        one = icp(x_list[n][None], y_list[n][None], **options)
        for got, want in zip(together.RTs, one.RTs, strict=True):
            torch.testing.assert_close(got[n : n + 1], want)
        torch.testing.assert_close(together.rmse[n : n + 1], one.rmse)
        torch.testing.assert_close(together.Xt.points_list()[n], one.Xt[0])
        assert not together.Xt.points_padded()[n, lengths_x[n] :].any()
    mixed = icp(clouds(3).to(device), Pointclouds(y_list), **options)
    assert isinstance(mixed.Xt, Tensor)


@pytest.mark.filterwarnings("ignore:iterative_closest_point. the size")
def test_empty_clouds_stay(device):
    point = clouds(1, 10)[0].to(device)
    none = point[:0]
    x, y = Pointclouds([point, none, point, none]), Pointclouds([point + 0.01, point, none, none])
    solution = icp(x, y, estimate_scale=True)
    assert solution.converged
    eye = torch.eye(3, dtype=point.dtype, device=device)
    assert torch.equal(solution.RTs.R[1:], eye.expand(3, 3, 3))
    assert not solution.RTs.T[1:].any()
    assert torch.equal(solution.Xt.points_list()[2], point)
    torch.testing.assert_close(solution.Xt.points_list()[0], point + 0.01)
    for x, y in ((point[None, :0], point[None]), (point[None], point[None, :0]), (point[None][:0], point[None][:0])):
        assert torch.equal(icp(x, y).Xt, x)


def test_gradcheck_through_the_loop():
    x, y = (t.requires_grad_() for t in (clouds(points=12), clouds(points=15, seed=1)))

    def function(x, y):
        solution = icp(x, y, max_iterations=4, relative_rmse_thr=-1, estimate_scale=True)
        return (*solution.RTs, solution.Xt, solution.rmse, solution.t_history[1].R)

    assert gradcheck(function, (x, y))


@pytest.mark.parametrize(("size", "distance"), [(1.0, 0.0), (1.0, 0.01), (0.0, 0.0)])
def test_gradients_are_finite_at_a_match(size, distance):
    x = (size * clouds(dtype=torch.float32)).requires_grad_()
    y = (x.detach() + distance).requires_grad_()
    solution = icp(x, y, estimate_scale=True)
    assert size > 0 or not solution.rmse.any()
    gradients = torch.autograd.grad(sum(part.sum() for part in solution.RTs) + solution.rmse.sum(), (x, y))
    assert all(gradient.isfinite().all() for gradient in gradients)


@laws
@given(seeds, st.sampled_from([1e-6, 1.0, 1e6]))
def test_law_order_and_unit(seed, unit):
    x, y = clouds(seed=seed), clouds(seed=seed + 1)
    expected = icp(x, y, max_iterations=5, relative_rmse_thr=-1)
    generator = torch.Generator().manual_seed(seed)
    order, other = torch.randperm(40, generator=generator), torch.randperm(40, generator=generator)
    got = icp(unit * x[:, order], unit * y[:, other], max_iterations=5, relative_rmse_thr=-1)
    torch.testing.assert_close(got.RTs.R, expected.RTs.R)
    torch.testing.assert_close(got.RTs.T / unit, expected.RTs.T)
    torch.testing.assert_close(got.rmse / unit, expected.rmse)


def test_verbose_prints(capsys):
    icp(torch.zeros(1, 5, 3), torch.zeros(1, 5, 3), verbose=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "iterative_closest_point: iteration 0, mean rmse 0.00e+00, mean decrease 1.00e+00"
    assert len(lines) == 3
    assert lines[-1] == "iterative_closest_point: converged in 2 iterations"
    icp(clouds(), clouds(seed=1), verbose=True, max_iterations=1)
    assert "did not converge in 1 iterations" in capsys.readouterr().out


def test_warns_of_few_points_once():
    x = clouds(points=3)
    with pytest.warns(UserWarning, match="iterative_closest_point: the size of one of the point clouds") as caught:
        icp(x, x + 0.01)
    assert len(caught) == 1


IDENTITY = (torch.eye(3).expand(2, 3, 3), torch.zeros(2, 3), torch.ones(2))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (lambda x: (x, x[:1]), ValueError, "X and Y must have the same number of batches and data dimensions"),
        (lambda x: (x, x[..., :2]), ValueError, r"got \(2, 40, 3\) and \(2, 40, 2\)"),
        (lambda x: (x, None), ValueError, "Y should be either Pointclouds or a tensor .* got NoneType"),
        (lambda x: (x, x.float()), TypeError, "Y must be torch.float64, as X"),
        (lambda x: (x, x, 1), ValueError, r"init_transform has to be a SimilarityTransform .* got int"),
        (lambda x: (x, x, IDENTITY[:2]), ValueError, "init_transform has to be a SimilarityTransform"),
        (lambda x: (x, x, (*IDENTITY[:2], torch.ones(1))), ValueError, r"\(2, 3\), \(1,\)\]"),
        (lambda x: (x * torch.nan, x), ValueError, "X, Y and weights must be finite"),
        (lambda x: (x, x * torch.inf), ValueError, "must be finite"),
    ],
)
def test_errors(arguments, error, message):
    with pytest.raises(error, match=message) as raised:
        icp(*arguments(clouds()))
    assert str(raised.value).startswith("iterative_closest_point: ")
