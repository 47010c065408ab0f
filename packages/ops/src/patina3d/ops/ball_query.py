# SPDX-License-Identifier: Apache-2.0
"""Points in balls."""

import numbers
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd import Function

from patina3d.core import _native, distinct, is_differentiated, register
from patina3d.ops.knn import _KNN, KnnGradient, check_types, knn_gather
from patina3d.ops.point_index import PointIndex, at_least_float32, searched

__all__ = ["ball_query"]

_ORDERS = ("index", "nearest")


def _fake_forward(
    p1: Tensor,
    p2: Tensor,
    lengths1: Tensor | None,
    lengths2: Tensor | None,
    leaves: Tensor | None,
    boxes: Tensor | None,
    ids: Tensor | None,
    k: int,
    radius: float,
    nearest: bool,
) -> tuple[Tensor, Tensor]:
    n, num1, d = p1.shape
    torch._check_value(
        p2.shape[0] == n and p2.shape[2] == d,
        lambda: f"ball_query: p2 must be of shape (N, P2, D) = ({n}, _, {d}), got {tuple(p2.shape)}",
    )
    shape = (n, num1, k)
    return p1.new_empty(shape), p1.new_empty(shape, dtype=torch.int64)


_forward = register(
    "ball_query_forward(Tensor p1, Tensor p2, Tensor? lengths1, Tensor? lengths2, Tensor? leaves, Tensor? boxes,"
    " Tensor? ids, SymInt k, float radius, bool nearest) -> (Tensor, Tensor)",
    _native.ops.ball_query_forward,
    _fake_forward,
)


def _fake_gather(points: Tensor, idx: Tensor) -> Tensor:
    return points.new_empty((*idx.shape, points.shape[2]))


_gather = register(
    "ball_query_gather(Tensor points, Tensor idx) -> Tensor", _native.ops.ball_query_gather, _fake_gather
)


class _BallQuery(Function):
    @staticmethod
    def forward(
        p1: Tensor,
        p2: Tensor,
        lengths1: Tensor | None,
        lengths2: Tensor | None,
        leaves: Tensor | None,
        boxes: Tensor | None,
        ids: Tensor | None,
        k: int,
        radius: float,
        nearest: bool,
    ) -> tuple[Tensor, Tensor]:
        return _forward(p1, p2, lengths1, lengths2, leaves, boxes, ids, k, radius, nearest)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(*inputs[:4], output[1])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        p1, p2, lengths1, lengths2, idx = ctx.saved_tensors
        wanted = ctx.needs_input_grad[:2]
        grad1, grad2 = KnnGradient.apply(p1, p2, lengths1, lengths2, 2, idx, grads[0], *wanted)
        return grad1, grad2, None, None, None, None, None, None, None, None


def ball_query(
    p1: Tensor,
    p2: Tensor | PointIndex,
    lengths1: Tensor | None = None,
    lengths2: Tensor | None = None,
    K: int = 500,
    radius: float = 0.2,
    return_nn: bool = True,
    skip_points_outside_cube: bool = False,
    *,
    order: Literal["index", "nearest"] = "index",
) -> _KNN:
    r"""Find, for each point of ``p1``, up to K points of the same cloud of ``p2`` that are nearer than ``radius``.

    .. math::
        B_{ni} = \{\, j < \mathrm{lengths2}_n : \lVert p1_{ni} - p2_{nj} \rVert^2 < r^2 \,\}, \qquad
        \mathrm{dists}_{nik} = \lVert p1_{ni} - p2_{n,\,\mathrm{idx}_{nik}} \rVert^2

    where ``idx[n, i, :]`` are the first K of :math:`B_{ni}`: in ascending order of the index with ``order="index"``, of
    (distance, index) with ``order="nearest"``. The result is unique: the same bits in every run, on every device, for
    every number of threads.

    A distance that equals the radius is outside. ``r^2`` is the radius rounded to the dtype of the points, squared with
    one rounding; where that is 0 although the radius is not, every point whose squared distance rounds to 0 is still
    inside. Points at a distance that is not below infinity (overflow, NaN) are in no ball, not even one of infinite
    radius.

    Args:
        p1: centres, (N, P1, D), any D >= 1. float32 or float64; float16 and bfloat16 are converted to float32.
        p2: points to find, (N, P2, D), of the same device and, once converted, dtype; or a
            :class:`~patina3d.ops.PointIndex` of them, for points that are searched again and again.
        lengths1: (N,) int64, how many centres of each cloud count; ``None`` means P1. Clamped to [0, P1].
        lengths2: (N,) int64, how many points of each cloud count; ``None`` means P2. Clamped to [0, P2].
            Must be ``None`` for a ``PointIndex``, which has its own.
        K: points to keep of each ball; may exceed P2.
        radius: in the unit of the points, at least 0 (then balls are empty), may be infinite. ``torch.compile``
            holds it for a constant: each radius gets a graph of its own.
        return_nn: whether to gather the points' coordinates.
        skip_points_outside_cube: accepted for compatibility; the result is the same.
        order: which points are kept where a ball holds more than K, and how they are sorted.

    Returns:
        A named tuple ``KNN(dists, idx, knn)``: ``dists`` (N, P1, K), squared; ``idx`` (N, P1, K) int64; ``knn``
        (N, P1, K, D), or ``None`` without ``return_nn``. Slots without a point, and rows ``i >= lengths1[n]``, hold 0
        in ``dists`` and ``knn`` and -1 in ``idx``.

    Differentiable in ``p1`` and ``p2`` through ``dists`` (twice and more) and, for ``p2``, through ``knn``; which
    points are found is a constant. Gradients are summed in a fixed order. Forward mode raises
    ``NotImplementedError``.

    Raises:
        TypeError: an argument is no tensor or number, or has another dtype than stated.
        ValueError: shapes, devices, ``K``, ``radius`` or ``order`` do not fit.

    Cost: a scan takes O(N P1 P2 D), and ends early in balls of more than K points; a tree takes O(N (P1 + P2) log P2)
    and O(1) for each point of a ball (on the CPU: for each point near any of up to 32 centres that are close to each
    other), and an index saves the part of P2. The CPU takes the less, and an index of up to six dimensions. CUDA scans,
    unless P2 > 8192, D <= 3 and P2 >= 8 K, or there is an index, D <= 8 and P2 >= 8 K: then each row scans, and leaves
    for the tree after 256 points in a row outside of its ball (with ``order="nearest"``, at once). O(N P1 K) memory:
    ``K`` slots for each centre, however few are used.

    Example:
        >>> p1 = torch.tensor([[[0.0, 0.0], [9.0, 9.0]]])
        >>> p2 = torch.tensor([[[0.5, 0.0], [3.0, 0.0], [0.25, 0.0], [1.0, 0.0]]])
        >>> dists, idx, _ = ball_query(p1, p2, K=3, radius=1.0)
        >>> idx
        tensor([[[ 0,  2, -1],
                 [-1, -1, -1]]])
        >>> ball_query(p1, p2, K=3, radius=1.0, order="nearest").dists[0, 0]
        tensor([0.0625, 0.2500, 0.0000])
    """
    points, lengths2, trees = searched("ball_query", "p2", p2, "lengths2", lengths2)
    (K,) = check_types("ball_query", p1, points, lengths1, lengths2, K=K)
    radius = _as_float(radius)
    if order not in _ORDERS:
        raise ValueError(f"ball_query: order must be 'index' or 'nearest', got {order!r}")
    p1, points = at_least_float32(p1), at_least_float32(points)
    find = _BallQuery.apply if is_differentiated(p1, points) else _forward
    dists, idx = find(*distinct(p1, points, lengths1, lengths2, *trees), K, radius, order == "nearest")
    return _KNN(dists, idx, _gathered(points, idx) if return_nn else None)


def _as_float(radius: Any) -> float:
    if not isinstance(radius, int | float | torch.SymInt | torch.SymFloat | numbers.Real):
        raise TypeError(f"ball_query: radius must be a float, got {type(radius).__name__}")
    if torch.compiler.is_compiling():
        return radius  # pyright: ignore[reportReturnType]
    try:
        return float(radius)
    except OverflowError:
        raise ValueError("ball_query: radius must be in the range of a float, got a number beyond it") from None


def _gathered(points: Tensor, idx: Tensor) -> Tensor:
    """The points (N, P1, K, D) that the slots hold, 0 in slots without one."""
    if not is_differentiated(points):
        return _gather(points, idx)
    num1, k = idx.shape[1:]
    # What slots without a point read is dropped, but their gradient, 0, is added somewhere: spread out, for many things
    # to be added to one point are added one after the other.
    anywhere = torch.arange(num1 * k, device=idx.device).reshape(num1, k) % max(points.shape[1], 1)
    used = idx >= 0
    return torch.where(used[..., None], knn_gather(points, torch.where(used, idx, anywhere)), 0)
