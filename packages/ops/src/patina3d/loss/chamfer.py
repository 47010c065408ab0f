# SPDX-License-Identifier: Apache-2.0
"""Chamfer distance between point clouds."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function

from patina3d.core import _native, at_hand, is_differentiated, register
from patina3d.ops.knn import along_neighbours, at_least_float32, knn_gather, knn_points
from patina3d.ops.utils import is_pointclouds

__all__ = ["chamfer_distance"]

_NAME = "chamfer_distance"


def _fake_forward(
    x: Tensor, y: Tensor, x_lengths: Tensor | None, y_lengths: Tensor | None, norm: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    of_x, of_y = x.shape[:2], y.shape[:2]
    index = torch.int64
    return x.new_empty(of_x), x.new_empty(of_x, dtype=index), y.new_empty(of_y), y.new_empty(of_y, dtype=index)


def _fake_backward(
    x: Tensor,
    y: Tensor,
    x_lengths: Tensor | None,
    y_lengths: Tensor | None,
    norm: int,
    idx_x: Tensor,
    idx_y: Tensor,
    grad_dists_x: Tensor,
    grad_dists_y: Tensor,
    of_x: bool,
    of_y: bool,
) -> list[Tensor]:
    return [points.new_empty(points.shape) for points, wanted in ((x, of_x), (y, of_y)) if wanted]


_forward = register(
    "chamfer_forward(Tensor x, Tensor y, Tensor? x_lengths, Tensor? y_lengths, int norm)"
    " -> (Tensor, Tensor, Tensor, Tensor)",
    _native.ops.chamfer_forward,
    _fake_forward,
)
_backward = register(
    "chamfer_backward(Tensor x, Tensor y, Tensor? x_lengths, Tensor? y_lengths, int norm, Tensor idx_x, Tensor idx_y,"
    " Tensor grad_dists_x, Tensor grad_dists_y, bool of_x, bool of_y) -> Tensor[]",
    _native.ops.chamfer_backward,
    _fake_backward,
)


class _Nearest(Function):
    """Distances and indices of the points of x nearest in y, then those of the points of y nearest in x."""

    @staticmethod
    def forward(
        x: Tensor, y: Tensor, x_lengths: Tensor | None, y_lengths: Tensor | None, norm: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return _forward(x, y, x_lengths, y_lengths, norm)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        x, y, x_lengths, y_lengths, ctx.norm = inputs
        _, idx_x, _, idx_y = output
        ctx.mark_non_differentiable(idx_x, idx_y)
        ctx.save_for_backward(x, y, x_lengths, y_lengths, idx_x, idx_y)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, y, x_lengths, y_lengths, idx_x, idx_y = ctx.saved_tensors
        wanted = ctx.needs_input_grad[:2]
        found = _NearestGradient.apply(x, y, x_lengths, y_lengths, ctx.norm, idx_x, idx_y, grads[0], grads[2], *wanted)
        return *found, None, None, None


class _NearestGradient(Function):
    """The gradient is linear in those of the distances and, for the squared norm, in (x, y): its own is itself."""

    @staticmethod
    def forward(
        x: Tensor,
        y: Tensor,
        x_lengths: Tensor | None,
        y_lengths: Tensor | None,
        norm: int,
        idx_x: Tensor,
        idx_y: Tensor,
        grad_dists_x: Tensor,
        grad_dists_y: Tensor,
        of_x: bool,
        of_y: bool,
    ) -> tuple[Tensor | None, Tensor | None]:
        found = iter(_backward(x, y, x_lengths, y_lengths, norm, idx_x, idx_y, grad_dists_x, grad_dists_y, of_x, of_y))
        return next(found) if of_x else None, next(found) if of_y else None

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor | None, Tensor | None]) -> None:
        x, y, x_lengths, y_lengths, ctx.norm, *rest, _, _ = inputs
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, y, x_lengths, y_lengths, *rest)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        x, y, x_lengths, y_lengths, idx_x, idx_y, grad_dists_x, grad_dists_y = ctx.saved_tensors
        along_x, along_y = (torch.zeros_like(p) if v is None else v for p, v in zip((x, y), grads, strict=True))
        of_x = along_neighbours(x, y, x_lengths, y_lengths, ctx.norm, idx_x[..., None], along_x, along_y)
        of_y = along_neighbours(y, x, y_lengths, x_lengths, ctx.norm, idx_y[..., None], along_y, along_x)
        grad_x = grad_y = None
        if ctx.norm == 2:
            lengths, wanted = (x_lengths, y_lengths), ctx.needs_input_grad[:2]
            grad_x, grad_y = _NearestGradient.apply(
                along_x, along_y, *lengths, 2, idx_x, idx_y, grad_dists_x, grad_dists_y, *wanted
            )
        return grad_x, grad_y, None, None, None, None, None, of_x[..., 0], of_y[..., 0], None, None


class _Cloud(NamedTuple):
    """A padded batch of clouds."""

    points: Tensor  # (N, P, D)
    lengths: Tensor | None  # (N,), or None where every point counts
    normals: Tensor | None  # (N, P, D)


def chamfer_distance(
    x: Any,
    y: Any,
    x_lengths: Tensor | None = None,
    y_lengths: Tensor | None = None,
    x_normals: Tensor | None = None,
    y_normals: Tensor | None = None,
    weights: Tensor | None = None,
    batch_reduction: str | None = "mean",
    point_reduction: str | None = "mean",
    norm: int = 2,
    single_directional: bool = False,
    abs_cosine: bool = True,
) -> tuple[Any, Any]:
    r"""Distance of each point to the other cloud, reduced over points, directions and the batch.

    .. math::
        d_i = \min_j \lVert x_i - y_j \rVert_2^2 \ \text{or}\ \lVert x_i - y_j \rVert_1, \qquad
        c_i = 1 - |\cos(n^x_i, n^y_{j(i)})|

    and the same from y to x; the two directions are added (for ``point_reduction="max"`` the larger one is taken: the
    Hausdorff distance). From H. Fan, H. Su, L. Guibas, "A Point Set Generation Network", CVPR 2017.

    Args:
        x: (N, P1, D) float32 or float64 tensor, or `Pointclouds`, whose own lengths and normals then replace the
            arguments. float16 and bfloat16 are computed in float32.
        y: (N, P2, D), or `Pointclouds`, likewise.
        x_lengths: (N,) int64, points of each cloud that count; ``None`` means all.
        y_lengths: (N,) int64, likewise.
        x_normals: (N, P1, D), any length; used only when both clouds have normals.
        y_normals: (N, P2, D).
        weights: (N,) non-negative, multiplies each cloud's terms. (Negative values are seen on the CPU only: looking
            at them would wait for the device, or break a compiled graph.)
        batch_reduction: "mean" (over the batch, or over the weights), "sum", or ``None`` for (N,).
        point_reduction: "mean" (over the points that count), "sum", "max", or ``None`` for one value a point; with
            ``None`` ``batch_reduction`` must be ``None`` too.
        norm: 2 for squared Euclidean distance, 1 for the sum of absolute differences.
        single_directional: only from x to y.
        abs_cosine: whether normals may point either way.

    Returns:
        A pair ``(loss, loss_normals)``; ``loss_normals`` is ``None`` without normals, unless all weights are seen to be
        0: then both are 0. With ``point_reduction=None`` each is (N, P1) and (N, P2) in a tuple, or (N, P1) alone when
        single-directional.

    Differentiable in x, y and both normals, with the matching held fixed. A cloud without points adds 0 in both
    directions, with zero gradients. At ties the lower index matches.

    Raises:
        ValueError: shapes, lengths, reductions, norm or weights do not fit, or x or y is neither a tensor nor
            `Pointclouds`.
        TypeError: lengths or normals are not tensors.

    Cost: at most that of two calls of `knn_points` with K = 1. Nothing waits for the device.

    Example:
        >>> x = torch.tensor([[[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]])
        >>> chamfer_distance(x, x + torch.tensor([0.0, 0.0, 2.0]))
        (tensor(8.), None)
    """
    _check_reductions(batch_reduction, point_reduction, norm)
    cloud_x, cloud_y = _cloud("x", x, x_lengths, x_normals), _cloud("y", y, y_lengths, y_normals)
    _check_pair(cloud_x, cloud_y, weights)
    if point_reduction == "max" and cloud_x.normals is not None and cloud_y.normals is not None:
        raise ValueError(f'{_NAME}: point_reduction must not be "max" when normals are given')

    matches = _match(cloud_x, cloud_y, norm, single_directional)
    clouds = (cloud_x, cloud_y)[: len(matches)]
    distances = _reduce([dists for dists, _ in matches], clouds, weights, batch_reduction, point_reduction)
    sides = ((cloud_x, cloud_y), (cloud_y, cloud_x))[: len(matches)]
    cosines = [_normal_terms(*side, idx, abs_cosine) for side, (_, idx) in zip(sides, matches, strict=True)]
    normal_terms = [term for term in cosines if term is not None]
    if not normal_terms and weights is not None and at_hand(weights) and not bool(weights.any()):
        normal_terms = [0 * dists for dists, _ in matches]
    normals = _reduce(normal_terms, clouds, weights, batch_reduction, point_reduction) if normal_terms else None
    return distances, normals


def _match(x: _Cloud, y: _Cloud, norm: int, single_directional: bool) -> list[tuple[Tensor, Tensor]]:
    """For each point of x the distance and index (N, P1) of the nearest of y and, if both ways, the same from y to x.

    0 where there is no point, or nothing to match it with.
    """
    if single_directional:
        nearest = knn_points(x.points, y.points, x.lengths, y.lengths, norm=norm, K=1)
        return [(nearest.dists[..., 0], nearest.idx[..., 0])]
    find = _Nearest.apply if is_differentiated(x.points, y.points) else _forward
    dists_x, idx_x, dists_y, idx_y = find(x.points, y.points, x.lengths, y.lengths, norm)
    return [(dists_x, idx_x), (dists_y, idx_y)]


def _normal_terms(x: _Cloud, y: _Cloud, idx: Tensor, abs_cosine: bool) -> Tensor | None:
    """The terms (N, P1) of the normals of each point of x; 0 where the distances are."""
    if x.normals is None or y.normals is None:
        return None
    matched = knn_gather(y.normals, idx[..., None], y.lengths)[:, :, 0]
    cosine = torch.nn.functional.cosine_similarity(x.normals, matched, dim=2, eps=1e-6)
    cosines = 1 - (cosine.abs() if abs_cosine else cosine)
    valid = _valid(x, y)
    return cosines if valid is None else torch.where(valid, cosines, 0)


def _valid(x: _Cloud, y: _Cloud) -> Tensor | None:
    """(N or 1, P1 or 1): which points of x count and have something to match."""
    if y.points.shape[1] == 0:
        return torch.zeros((1, 1), dtype=torch.bool, device=x.points.device)
    valid = None if y.lengths is None else (y.lengths > 0)[:, None]
    if x.lengths is not None:
        within = torch.arange(x.points.shape[1], device=x.points.device) < x.lengths[:, None]
        valid = within if valid is None else within & valid
    return valid


def _reduce(
    terms: list[Tensor],
    clouds: tuple[_Cloud, ...],
    weights: Tensor | None,
    batch_reduction: str | None,
    point_reduction: str | None,
) -> Any:
    if weights is not None:
        terms = [term * weights[:, None] for term in terms]
    if point_reduction is None:
        return tuple(terms) if len(terms) > 1 else terms[0]
    per_cloud = [_over_points(term, cloud, point_reduction) for term, cloud in zip(terms, clouds, strict=True)]
    total = per_cloud[0]
    if len(per_cloud) > 1:
        total = torch.maximum(*per_cloud) if point_reduction == "max" else per_cloud[0] + per_cloud[1]
    if batch_reduction is None:
        return total
    if batch_reduction == "sum":
        return total.sum()
    if weights is None:
        return _mean(total, 0)
    weight = weights.sum()
    return torch.where(weight > 0, total.sum() / torch.where(weight > 0, weight, 1), 0)


def _over_points(term: Tensor, cloud: _Cloud, point_reduction: str) -> Tensor:
    if point_reduction == "max":
        return term.amax(1) if term.shape[1] > 0 else term.sum(1)
    if point_reduction == "sum":
        return term.sum(1)
    return _mean(term, 1) if cloud.lengths is None else term.sum(1) / cloud.lengths.clamp(min=1)


def _mean(terms: Tensor, dim: int) -> Tensor:
    """The mean along an axis, 0 where it is empty."""
    return terms.mean(dim) if terms.shape[dim] > 0 else terms.sum(dim)


def _cloud(name: str, points: Any, lengths: Tensor | None, normals: Tensor | None) -> _Cloud:
    if is_pointclouds(points):
        lengths, normals, points = points.num_points_per_cloud(), points.normals_padded(), points.points_padded()
    if not isinstance(points, Tensor):
        raise ValueError(
            f"{_NAME}: {name} must be one of Pointclouds objects or torch.Tensor, got {type(points).__name__}"
        )
    for part, value in (("lengths", lengths), ("normals", normals)):
        if value is not None and not isinstance(value, Tensor):
            raise TypeError(f"{_NAME}: {name}_{part} must be a torch.Tensor or None, got {type(value).__name__}")
    if points.dim() != 3:
        raise ValueError(
            f"{_NAME}: {name} must be of shape (N, P, D), got {tuple(points.shape)}."
            " Expected points to be of shape (N, P, D)."
        )
    if lengths is not None:
        n, most, _ = points.shape
        if lengths.shape != (n,):
            raise ValueError(
                f"{_NAME}: {name}_lengths must be of shape ({n},), got {tuple(lengths.shape)}."
                " Expected lengths to be of shape (N,)."
            )
        if at_hand(lengths) and bool(((lengths < 0) | (lengths > most)).any()):
            raise ValueError(f"{_NAME}: {name}_lengths must be in [0, {most}], got {lengths.tolist()}")
    if normals is not None and normals.shape[:2] != points.shape[:2]:
        raise ValueError(
            f"{_NAME}: {name}_normals must be of shape {tuple(points.shape[:2])} + (D,), got {tuple(normals.shape)}."
            " Expected normals to be of shape (N, P, D)."
        )
    return _Cloud(at_least_float32(points), lengths, None if normals is None else at_least_float32(normals))


def _check_reductions(batch_reduction: str | None, point_reduction: str | None, norm: int) -> None:
    if batch_reduction not in ("mean", "sum", None):
        raise ValueError(f'{_NAME}: batch_reduction must be one of "mean", "sum" or None, got {batch_reduction!r}')
    if point_reduction not in ("mean", "sum", "max", None):
        raise ValueError(
            f'{_NAME}: point_reduction must be one of "mean", "sum", "max" or None, got {point_reduction!r}'
        )
    if point_reduction is None and batch_reduction is not None:
        raise ValueError(f"{_NAME}: batch_reduction must be None when point_reduction is None, got {batch_reduction!r}")
    if norm not in (1, 2):
        raise ValueError(f"{_NAME}: norm must be 1 or 2, got {norm!r}. Support for 1 or 2 norm.")


def _check_pair(x: _Cloud, y: _Cloud, weights: Tensor | None) -> None:
    n, _, d = x.points.shape
    if y.points.shape[0] != n or y.points.shape[2] != d:
        raise ValueError(f"{_NAME}: y must be of shape ({n}, P2, {d}), got {tuple(y.points.shape)}")
    if x.normals is not None and y.normals is not None and x.normals.shape[2] != y.normals.shape[2]:
        raise ValueError(f"{_NAME}: y_normals must have {x.normals.shape[2]} channels, got {y.normals.shape[2]}")
    if weights is None:
        return
    if weights.shape != (n,):
        raise ValueError(f"{_NAME}: weights must be of shape ({n},), got {tuple(weights.shape)}")
    if at_hand(weights) and bool((weights < 0).any()):
        raise ValueError(f"{_NAME}: weights must be non-negative, got {weights.tolist()}")
