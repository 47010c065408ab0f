# SPDX-License-Identifier: Apache-2.0
"""Rotation, translation and scale that move one cloud onto another."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from patina3d.core import at_hand
from patina3d.ops._padded_points import PaddedPoints, padded_points
from patina3d.ops._procrustes import nearest_rotation
from patina3d.ops._units import unit_of
from patina3d.ops.knn import knn_gather, knn_points
from patina3d.ops.point_index import PointIndex
from patina3d.ops.utils import eyes
from patina3d.structures.utils import list_to_padded

if TYPE_CHECKING:
    from typing import Any

    from patina3d.structures import Pointclouds

__all__ = ["ICPSolution", "SimilarityTransform", "corresponding_points_alignment", "iterative_closest_point"]

AMBIGUOUS_ROT_SINGULAR_THR = 1e-15
"""A singular value of the cross-covariance counts as 0 up to this share of the largest one."""

_ALIGNMENT = "corresponding_points_alignment"
_ICP = "iterative_closest_point"

# Points coincide where they lie this many units in the last place of their coordinates apart.
_NOISE_ULPS = 4


class SimilarityTransform(NamedTuple):
    """``y = s x R + T`` for row vectors x."""

    R: Tensor
    """(N, d, d), orthonormal."""
    T: Tensor
    """(N, d)."""
    s: Tensor
    """(N,)."""


class ICPSolution(NamedTuple):
    """What :func:`iterative_closest_point` returns."""

    converged: bool
    """Whether every cloud of the batch came to rest."""
    rmse: Tensor | None
    """(N,), root mean square distance to the points matched last; None after no iterations."""
    Xt: Tensor | Pointclouds
    """X, moved."""
    RTs: SimilarityTransform
    """How it was moved, from where it stood at first."""
    t_history: list[SimilarityTransform]
    """``RTs`` after each iteration."""


def corresponding_points_alignment(
    X: Tensor | Pointclouds,
    Y: Tensor | Pointclouds,
    weights: Tensor | list[Tensor] | None = None,
    estimate_scale: bool = False,
    allow_reflection: bool = False,
    eps: float = 1e-9,
) -> SimilarityTransform:
    r"""Find the rigid or similarity transform that moves the points of X onto those of Y of the same index.

    For each cloud of the batch the weighted sum of squared distances is least:

    .. math:: \min_{R,\, T,\, s} \sum_i w_i \lVert s\, x_i R + T - y_i \rVert^2, \qquad R^T R = I

    in closed form. With means :math:`\bar x, \bar y` and the singular value decomposition

    .. math:: \frac{1}{\sum w} \sum_i w_i (x_i - \bar x)^T (y_i - \bar y) = U S V^T

    it is :math:`R = U E V^T`, :math:`s = \operatorname{tr}(E S) / \operatorname{var}(x)`,
    :math:`T = \bar y - s \bar x R`, where E is the identity but for the sign of its last entry, which makes
    :math:`\det R = 1` (S. Umeyama, "Least-Squares Estimation of Transformation Parameters Between Two Point Patterns",
    1991).

    Args:
        X: (N, P, d) tensor, any d >= 1, or `Pointclouds`. float32 or float64; halves are computed in float32.
        Y: the same shape or counts, dtype and device.
        weights: non-negative, (N, P), or a list of N tensors (P_n,); ``None`` means ones. Only their ratios matter.
        estimate_scale: whether s is looked for; otherwise s = 1.
        allow_reflection: whether R may have determinant -1, where that fits better.
        eps: accepted for compatibility. What guards divisions is relative to the size of the points.

    Returns:
        A named tuple ``SimilarityTransform(R, T, s)`` of (N, d, d), (N, d), (N,). Where nothing is known, nothing
        moves: a cloud without points or whose weights are all 0 gets the identity, and s = 1 where the points of X
        coincide. Where several rotations fit equally well (collinear points, say) R is one of them.

    Differentiable in X, Y and the weights, twice and more. The gradient does not go through singular vectors, so equal
    singular values have no effect on it; it is finite also where R is not unique: there the rotations that fit equally
    well get none.

    Raises:
        ValueError: shapes, counts or devices do not fit; an argument is neither tensor nor `Pointclouds`; a value is
            not finite or a weight negative (seen on the CPU only: looking would wait for the device, or break a
            compiled graph).
        TypeError: X or Y is not floating, or their dtypes differ.

    Warns:
        UserWarning: the rotation is not unique, as a cloud has fewer than d + 1 points; or, else, it may not be, as a
            singular value is at most ``AMBIGUOUS_ROT_SINGULAR_THR`` times the largest (seen on the CPU only).

    Cost: O(N P d^2). On CUDA torch's singular value decomposition waits for the device.

    Example:
        >>> X = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]]])
        >>> quarter_turn = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
        >>> R, T, s = corresponding_points_alignment(X, 3 * X @ quarter_turn + 1, estimate_scale=True)
        >>> R.round().long(), T.round().long(), s.round().long()
        (tensor([[[ 0,  1],
                 [-1,  0]]]), tensor([[1, 1]]), tensor([3]))
    """
    x, y = _pair(_ALIGNMENT, X, Y)
    if x.points.shape != y.points.shape or x.counts != y.counts:
        got = f"{tuple(x.points.shape)} with {x.counts} and {tuple(y.points.shape)} with {y.counts} points"
        raise ValueError(
            f"{_ALIGNMENT}: X and Y must have the same number of batches, points and dimensions, got {got}"
        )
    share = shares(_checked_weights(x, weights))
    is_short = _warn_of_few_points(_ALIGNMENT, x)
    transform, singular = align(
        _ALIGNMENT, x.points, y.points, share, estimate_scale=estimate_scale, allow_reflection=allow_reflection
    )
    if not is_short and at_hand(singular):
        is_low = singular <= AMBIGUOUS_ROT_SINGULAR_THR * singular[:, :1]
        if bool(is_low.any()):
            message = "excessively low rank of the cross-correlation between aligned point clouds"
            warnings.warn(f"{_ALIGNMENT}: {message}. It cannot return a unique rotation.", stacklevel=2)
    return transform


def iterative_closest_point(
    X: Tensor | Pointclouds,
    Y: Tensor | Pointclouds,
    init_transform: SimilarityTransform | None = None,
    max_iterations: int = 100,
    relative_rmse_thr: float = 1e-6,
    estimate_scale: bool = False,
    allow_reflection: bool = False,
    verbose: bool = False,
) -> ICPSolution:
    r"""Move X onto Y, when nobody knows which point belongs to which.

    In each iteration the nearest point of Y is found for each point of X as it stands, and X, as it stood at first, is
    aligned with those by :func:`corresponding_points_alignment` (P. Besl and N. McKay, "A Method for Registration of
    3-D Shapes", 1992). This ends in the local minimum of the mean squared distance that is nearest to the start.

    Args:
        X: (N, P, d) tensor or `Pointclouds`. float32 or float64; halves are computed in float32.
        Y: (N, Q, d) tensor or `Pointclouds`, of the same dtype and device.
        init_transform: ``(R, T, s)`` of (N, d, d), (N, d), (N,), as :class:`SimilarityTransform`: where X stands for
            the first matching.
        max_iterations: how many iterations there are at most.
        relative_rmse_thr: the clouds are at rest when the root mean square distance of none of them has shrunk by a
            larger share than this since the iteration before.
        estimate_scale: whether s is looked for; otherwise s = 1.
        allow_reflection: whether R may have determinant -1.
        verbose: whether to print how the distances shrink.

    Returns:
        A named tuple ``ICPSolution(converged, rmse, Xt, RTs, t_history)``. ``RTs`` moves X, as it was given, to ``Xt``,
        a `Pointclouds` if X is one. ``rmse`` (N,) is the root mean square distance from ``Xt`` to the points matched in
        the last iteration, before matching anew. With ``max_iterations=0`` it is None, and ``RTs`` is
        ``init_transform`` or the identity. A cloud that is empty, or has an empty partner, stays where it is.

    Differentiable in X and Y, with the matching held fixed: through the last alignment, as only matching looks at the
    ones before. Gradients are finite also where X and Y coincide.

    Raises:
        ValueError: shapes or devices do not fit; an argument is neither tensor nor `Pointclouds`; a value is not finite
            (seen on the CPU only).
        TypeError: X or Y is not floating, or their dtypes differ.

    Warns:
        UserWarning: the rotation is not unique, as a cloud of X has fewer than d + 1 points.

    Squares of the distances between X and Y must be within the range of the dtype (in float32, distances from about
    1e-18 to 1e18), as those of `knn_points` must.

    Cost: one :class:`~patina3d.ops.PointIndex` of Y, then a search in it and an alignment an iteration. The loop ends
    by what it sees, so each iteration waits for the device once, and `torch.compile` leaves the loop to Python.

    Example:
        >>> X = torch.rand(1, 100, 3)
        >>> solution = iterative_closest_point(X, X + 0.01)
        >>> solution.converged, solution.RTs.T
        (True, tensor([[0.0100, 0.0100, 0.0100]]))
    """
    x, y = _pair(_ICP, X, Y)
    transform = _checked_start(x.points, init_transform)
    _warn_of_few_points(_ICP, x)
    share = shares(_counting(x) * (_counting(y).sum(1, keepdim=True) > 0))
    moved = _apply_similarity_transform(x.points, *transform)
    history: list[SimilarityTransform] = []
    index = PointIndex(y.points, y.lengths)
    rmse, converged = None, False
    for iteration in range(max_iterations):
        matched = _nearest(moved, x.lengths, index)
        transform, _ = align(
            _ICP, x.points, matched, share, estimate_scale=estimate_scale, allow_reflection=allow_reflection
        )
        moved = _apply_similarity_transform(x.points, *transform)
        history.append(transform)
        previous, rmse = rmse, root((share * (moved - matched).square()).sum((1, 2)))
        shrunk = _relative_decrease(previous, rmse)
        if verbose:
            print(f"{_ICP}: iteration {iteration}, mean rmse {rmse.mean():1.2e}, mean decrease {shrunk.mean():1.2e}")
        converged = bool((shrunk <= relative_rmse_thr).all())
        if converged:
            break
    if verbose:
        print(f"{_ICP}: {'converged' if converged else 'did not converge'} in {len(history)} iterations")
    if x.mask is not None:
        moved = torch.where(x.mask[..., None], moved, 0)
    Xt = moved if isinstance(X, Tensor) else X.update_padded(moved)
    return ICPSolution(converged, rmse, Xt, transform, history)


def _apply_similarity_transform(X: Tensor, R: Tensor, T: Tensor, s: Tensor) -> Tensor:
    """``s X R + T`` of (N, P, d), (N, d, d), (N, d) and (N,)."""
    return s[:, None, None] * (X @ R) + T[:, None]


def align(
    operator: str, x: Tensor, y: Tensor, share: Tensor, *, estimate_scale: bool, allow_reflection: bool
) -> tuple[SimilarityTransform, Tensor]:
    """The transform, and the singular values of the cross-covariance. ``share`` (N, P, 1) adds up to 1, or is 0."""
    # A square of a length may leave the range of the dtype where the length does not.
    unit_x, unit_y = (unit_of(torch.where(share > 0, points, 0)) for points in (x, y))
    x, y = x / unit_x, y / unit_y
    mean_x, mean_y = (share * x).sum(1, keepdim=True), (share * y).sum(1, keepdim=True)
    centred = x - mean_x
    covariance = (share * centred).mT @ (y - mean_y)
    if at_hand(covariance) and not bool(torch.isfinite(covariance).all()):
        raise ValueError(f"{operator}: X, Y and weights must be finite")
    R, trace, singular = nearest_rotation(covariance, allow_reflection=allow_reflection)
    s = torch.ones_like(trace)
    if estimate_scale:
        variance = (share * centred.square()).sum((1, 2))
        is_one = coincide(variance, mean_x[:, 0])
        s = torch.where(is_one, 1, trace / torch.where(is_one, 1, variance) * (unit_y / unit_x)[:, 0, 0])
    T = mean_y * unit_y - s[:, None, None] * (mean_x * unit_x @ R)
    return SimilarityTransform(R, T[:, 0], s), singular


def coincide(variance: Tensor, mean: Tensor) -> Tensor:
    """Whether points of this variance (...) about their mean (..., d) are all one point, to within rounding."""
    noise = _NOISE_ULPS * torch.finfo(mean.dtype).eps * mean.detach().norm(dim=-1)
    return variance <= noise.square()


def shares(weights: Tensor) -> Tensor:
    """Weights (N, P) as shares of the sum of their row: (N, P, 1), 0 where that is 0."""
    # In a unit of their own their sum is finite.
    weights = weights[..., None]
    weights = weights / unit_of(weights)
    total = weights.sum(1, keepdim=True)
    return torch.where(total != 0, weights / torch.where(total != 0, total, 1), 0)


def _nearest(moved: Tensor, lengths: Tensor | None, index: PointIndex) -> Tensor:
    """The point of the index that is nearest to each point: (N, P, d). Differentiable in it; the choice is fixed."""
    with torch.no_grad():
        idx = knn_points(moved, index, lengths).idx
    return knn_gather(index.points, idx)[:, :, 0]


def root(squares: Tensor) -> Tensor:
    """Square roots; their gradient at 0 is 0."""
    positive = squares > 0
    return torch.where(positive, torch.where(positive, squares, 1).sqrt(), squares)


def _relative_decrease(previous: Tensor | None, rmse: Tensor) -> Tensor:
    """By which share of the distances before they have shrunk; nothing is left to gain where those were 0."""
    with torch.no_grad():
        if previous is None:
            return torch.ones_like(rmse)
        return torch.where(previous == 0, 0, (previous - rmse) / torch.where(previous == 0, 1, previous))


def _warn_of_few_points(operator: str, x: PaddedPoints) -> bool:
    """Whether a cloud has too few points for a unique rotation; warns of it."""
    dim = x.points.shape[2]
    is_short = any(count <= dim for count in x.counts)
    if is_short:
        message = f"the size of one of the point clouds is < dim + 1 = {dim + 1}"
        warnings.warn(f"{operator}: {message}. It cannot return a unique rotation.", stacklevel=3)
    return is_short


def _pair(operator: str, X: Any, Y: Any) -> tuple[PaddedPoints, PaddedPoints]:
    x, y = padded_points(operator, "X", X), padded_points(operator, "Y", Y)
    (n, _, dim), (n_y, _, dim_y) = x.points.shape, y.points.shape
    if (n, dim) != (n_y, dim_y):
        got = f"{tuple(x.points.shape)} and {tuple(y.points.shape)}"
        raise ValueError(f"{operator}: X and Y must have the same number of batches and data dimensions, got {got}")
    if dim == 0:
        raise ValueError(f"{operator}: X must have at least one dimension, got {tuple(x.points.shape)}")
    if x.points.dtype != y.points.dtype:
        raise TypeError(f"{operator}: Y must be {x.points.dtype}, as X, got {y.points.dtype}")
    if x.points.device != y.points.device:
        raise ValueError(f"{operator}: Y must be on {x.points.device}, as X, got {y.points.device}")
    return x, y


def _counting(x: PaddedPoints) -> Tensor:
    """Weights (N, P): 1 for points and 0 for padding."""
    ones = x.points.new_ones(x.points.shape[:2])
    return ones if x.mask is None else ones * x.mask


def _checked_weights(x: PaddedPoints, weights: Any) -> Tensor:
    """(N, P) of the dtype and device of the points, 0 in the padding."""
    if weights is None:
        return _counting(x)
    if isinstance(weights, list | tuple):
        shapes = [tuple(weight.shape) for weight in weights]
        if shapes != [(count,) for count in x.counts]:
            raise ValueError(
                f"{_ALIGNMENT}: the number of weights should equal the number of points in each point cloud, "
                f"{x.counts}, got {shapes}"
            )
        weights = list_to_padded([weight.to(x.points) for weight in weights], (x.points.shape[1],))
    if not isinstance(weights, Tensor):
        kind = type(weights).__name__
        raise TypeError(f"{_ALIGNMENT}: weights must be a torch.Tensor, a list of them or None, got {kind}")
    if weights.shape != x.points.shape[:2]:
        expected, got = tuple(x.points.shape[:2]), tuple(weights.shape)
        raise ValueError(f"{_ALIGNMENT}: weights should have the same first two dimensions as X, {expected}, got {got}")
    weights = weights.to(x.points)
    weights = weights if x.mask is None else torch.where(x.mask, weights, 0)
    check_weights(_ALIGNMENT, weights)
    return weights


def check_weights(operator: str, weights: Tensor) -> None:
    """Raise ValueError where a weight is seen to be negative or NaN."""
    if at_hand(weights) and not bool((weights >= 0).all()):
        raise ValueError(f"{operator}: weights must be non-negative, got {weights.min().item():g}")


def _checked_start(points: Tensor, start: Any) -> SimilarityTransform:
    """The transform to start from: the one given, or the identity."""
    n, _, dim = points.shape
    if start is None:
        return SimilarityTransform(
            eyes(dim, n, points.device, points.dtype), points.new_zeros(n, dim), points.new_ones(n)
        )
    expected = [(n, dim, dim), (n, dim), (n,)]
    try:
        got = [tuple(part.shape) for part in start]
    except (AttributeError, TypeError):
        got = type(start).__name__
    if got != expected:
        raise ValueError(
            f"{_ICP}: the initial transform init_transform has to be a SimilarityTransform (R, T, s) of shapes "
            f"{expected}, got {got}"
        )
    return SimilarityTransform(*(part.to(points) for part in start))
