# SPDX-License-Identifier: Apache-2.0
"""K nearest neighbours."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn.functional import pad

from patina3d.core import _native, distinct, is_differentiated, register
from patina3d.ops._whole_number import whole_number
from patina3d.ops.point_index import PointIndex, Trees, at_least_float32, searched
from patina3d.structures.rows import gather_rows

__all__ = ["knn_gather", "knn_points"]

_MOST = 1 << 63


class _KNN(NamedTuple):
    """What :func:`knn_points` returns."""

    dists: Tensor
    idx: Tensor
    knn: Tensor | None


KNN = _KNN
_KNN.__name__ = _KNN.__qualname__ = "KNN"


def _fake_forward(
    p1: Tensor,
    p2: Tensor,
    lengths1: Tensor | None,
    lengths2: Tensor | None,
    leaves: Tensor | None,
    boxes: Tensor | None,
    ids: Tensor | None,
    norm: int,
    k: int,
) -> tuple[Tensor, Tensor]:
    shape = (p1.shape[0], p1.shape[1], k)
    return p1.new_empty(shape), p1.new_empty(shape, dtype=torch.int64)


def _fake_backward(
    p1: Tensor,
    p2: Tensor,
    lengths1: Tensor | None,
    lengths2: Tensor | None,
    norm: int,
    idx: Tensor,
    grad_dists: Tensor,
    of_p1: bool,
    of_p2: bool,
) -> list[Tensor]:
    return [x.new_empty(x.shape) for x, wanted in ((p1, of_p1), (p2, of_p2)) if wanted]


_forward = register(
    "knn_forward(Tensor p1, Tensor p2, Tensor? lengths1, Tensor? lengths2, Tensor? leaves, Tensor? boxes, Tensor? ids,"
    " int norm, SymInt k) -> (Tensor, Tensor)",
    _native.ops.knn_forward,
    _fake_forward,
)
_backward = register(
    "knn_backward(Tensor p1, Tensor p2, Tensor? lengths1, Tensor? lengths2, int norm, Tensor idx, Tensor grad_dists,"
    " bool of_p1, bool of_p2) -> Tensor[]",
    _native.ops.knn_backward,
    _fake_backward,
)


class _KnnPoints(Function):
    @staticmethod
    def forward(
        p1: Tensor,
        p2: Tensor,
        lengths1: Tensor | None,
        lengths2: Tensor | None,
        leaves: Tensor | None,
        boxes: Tensor | None,
        ids: Tensor | None,
        norm: int,
        k: int,
    ) -> tuple[Tensor, Tensor]:
        return _forward(p1, p2, lengths1, lengths2, leaves, boxes, ids, norm, k)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        p1, p2, lengths1, lengths2, _, _, _, ctx.norm, _ = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(p1, p2, lengths1, lengths2, output[1])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        p1, p2, lengths1, lengths2, idx = ctx.saved_tensors
        wanted = ctx.needs_input_grad[:2]
        grad1, grad2 = KnnGradient.apply(p1, p2, lengths1, lengths2, ctx.norm, idx, grads[0], *wanted)
        return grad1, grad2, None, None, None, None, None, None, None


class KnnGradient(Function):
    """The gradient of distances to the points ``idx``, none in slots where that is -1.

    It is linear in ``grad_dists`` and, for the squared norm, in (p1, p2): its own gradient is itself.
    """

    @staticmethod
    def forward(
        p1: Tensor,
        p2: Tensor,
        lengths1: Tensor | None,
        lengths2: Tensor | None,
        norm: int,
        idx: Tensor,
        grad_dists: Tensor,
        of_p1: bool,
        of_p2: bool,
    ) -> tuple[Tensor | None, Tensor | None]:
        found = iter(_backward(p1, p2, lengths1, lengths2, norm, idx, grad_dists, of_p1, of_p2))
        return next(found) if of_p1 else None, next(found) if of_p2 else None

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor | None, Tensor | None]) -> None:
        p1, p2, lengths1, lengths2, ctx.norm, idx, grad_dists, _, _ = inputs
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(p1, p2, lengths1, lengths2, idx, grad_dists)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        p1, p2, lengths1, lengths2, idx, grad_dists = ctx.saved_tensors
        v1, v2 = (torch.zeros_like(p) if v is None else v for p, v in zip((p1, p2), grads, strict=True))
        grad_grad = along_neighbours(p1, p2, lengths1, lengths2, ctx.norm, idx, v1, v2)
        grad1 = grad2 = None
        if ctx.norm == 2:
            wanted = ctx.needs_input_grad[:2]
            grad1, grad2 = KnnGradient.apply(v1, v2, lengths1, lengths2, ctx.norm, idx, grad_dists, *wanted)
        return grad1, grad2, None, None, None, None, grad_grad, None, None


def along_neighbours(
    p1: Tensor,
    p2: Tensor,
    lengths1: Tensor | None,
    lengths2: Tensor | None,
    norm: int,
    idx: Tensor,
    v1: Tensor,
    v2: Tensor,
) -> Tensor:
    """The derivative (N, P1, K) of the distances to the neighbours ``idx`` where the points move along (v1, v2)."""
    named = idx.clamp(min=0)
    valid = _valid(idx, lengths1, lengths2, p2.shape[1])
    # Padding may be NaN, and a product with it would be in every further derivative.
    difference = torch.where(valid[..., None], p1.unsqueeze(2) - knn_gather(p2, named), 0)
    slope = 2 * difference if norm == 2 else difference.sign()
    along = ((v1.unsqueeze(2) - knn_gather(v2, named)) * slope).sum(-1)
    return torch.where(valid, along, 0)


def _valid(idx: Tensor, lengths1: Tensor | None, lengths2: Tensor | None, num_points: int) -> Tensor:
    """Which slots of ``idx`` hold a neighbour."""
    _, rows, k = idx.shape
    slot = torch.arange(k, device=idx.device)
    valid = slot < (num_points if lengths2 is None else lengths2[:, None, None].clamp(max=num_points))
    valid = valid & (idx >= 0)
    if lengths1 is not None:
        valid = valid & (torch.arange(rows, device=idx.device)[:, None] < lengths1[:, None, None])
    return valid.expand(idx.shape)


def knn_points(
    p1: Tensor,
    p2: Tensor | PointIndex,
    lengths1: Tensor | None = None,
    lengths2: Tensor | None = None,
    norm: int = 2,
    K: int = 1,
    version: int = -1,
    return_nn: bool = False,
    return_sorted: bool = True,
) -> _KNN:
    r"""Find, for each point of ``p1``, its K nearest neighbours in the same cloud of ``p2``.

    .. math::
        \mathrm{dists}_{nik} = \lVert p1_{ni} - p2_{n,\,\mathrm{idx}_{nik}} \rVert_2^2
        \quad\text{or}\quad \lVert p1_{ni} - p2_{n,\,\mathrm{idx}_{nik}} \rVert_1

    where ``idx[n, i, :]`` are the first K points in the order (distance, index). The order is total, so the result is
    unique: the same bits in every run, on every device, for every number of threads. Slots whose distance is not below
    infinity (overflow, NaN) come last, in order of index.

    Args:
        p1: queries, (N, P1, D), any D >= 1. float32 or float64; float16 and bfloat16 are converted to float32.
        p2: points to find, (N, P2, D), of the same device and, once converted, dtype; or a
            :class:`~patina3d.ops.PointIndex` of them, which saves building a tree in each call.
        lengths1: (N,) int64, how many queries of each cloud count; ``None`` means P1. Clamped to [0, P1].
        lengths2: (N,) int64, how many points of each cloud count; ``None`` means P2. Clamped to [0, P2]. Must be
            ``None`` for an index, which has its own.
        norm: 2 for squared Euclidean distances, 1 for sums of absolute differences.
        K: neighbours to keep; may exceed P2.
        version: accepted for compatibility; has no effect.
        return_nn: whether to gather the neighbours' coordinates.
        return_sorted: accepted for compatibility; neighbours are always sorted.

    Returns:
        A named tuple ``KNN(dists, idx, knn)``: ``dists`` (N, P1, K), ascending; ``idx`` (N, P1, K) int64; ``knn``
        (N, P1, K, D), or ``None`` without ``return_nn``. Slots ``k >= lengths2[n]`` and rows ``i >= lengths1[n]`` hold
        0 in ``dists`` and ``idx``; ``knn`` is 0 in slots ``k >= lengths2[n]``.

    Differentiable in ``p1`` and ``p2`` through ``dists`` (twice and more) and, for ``p2``, through ``knn``; ``idx`` is
    a constant. For ``norm=1`` the derivative at equal coordinates is 0. Gradients are summed in a fixed order. Forward
    mode raises ``NotImplementedError``.

    Raises:
        TypeError: an argument is no tensor, or has another dtype than stated.
        ValueError: shapes, devices, ``norm`` or ``K`` do not fit.

    Cost: about O(N (P1 + P2) log P2) time for large clouds of few dimensions, otherwise O(N P1 P2 D); O(N P1 K) memory.
    An index saves the part of P2.

    Example:
        >>> p1 = torch.tensor([[[0.0, 0.0], [1.0, 0.0]]])
        >>> p2 = torch.tensor([[[0.0, 1.0], [3.0, 0.0], [1.0, 0.0]]])
        >>> dists, idx, _ = knn_points(p1, p2, K=2)
        >>> dists
        tensor([[[1., 1.],
                 [0., 2.]]])
        >>> idx
        tensor([[[0, 2],
                 [2, 0]]])
    """
    points, lengths2, trees = searched("knn_points", "p2", p2, "lengths2", lengths2)
    plain = isinstance(p1, Tensor) and isinstance(points, Tensor) and type(norm) is int and type(K) is int and K < _MOST
    if not plain or lengths1 is not None or lengths2 is not None:
        norm, K = check_types("knn_points", p1, points, lengths1, lengths2, norm=norm, K=K)
    if norm not in (1, 2):
        raise ValueError(f"knn_points: norm must be 1 or 2, got {norm}. Support for 1 or 2 norm.")
    p1, points = at_least_float32(p1), at_least_float32(points)
    dists, idx = knn_in(p1, points, lengths1, lengths2, trees, norm, K)
    if not return_nn:
        return _KNN(dists, idx, None)
    slots = None if lengths2 is None else lengths2.clamp(max=points.shape[1])
    return _KNN(dists, idx, knn_gather(points, idx, slots))


def knn_in(
    p1: Tensor, p2: Tensor, lengths1: Tensor | None, lengths2: Tensor | None, trees: Trees, norm: int, k: int
) -> tuple[Tensor, Tensor]:
    """Distances and indices of :func:`knn_points` once p2 is known to have these trees."""
    find = _KnnPoints.apply if is_differentiated(p1, p2) else _forward
    return find(*distinct(p1, p2, lengths1, lengths2, *trees), norm, k)


def check_types(operator: str, p1: Any, p2: Any, lengths1: Any, lengths2: Any, **integers: Any) -> list[int]:
    """What torch's dispatcher would refuse with a message about the operator's schema; the rest the operator checks.

    Returns the integers, in their order.
    """
    for name, value in (("p1", p1), ("p2", p2)):
        if not isinstance(value, Tensor):
            raise TypeError(f"{operator}: {name} must be a torch.Tensor, got {type(value).__name__}")
    for name, value in (("lengths1", lengths1), ("lengths2", lengths2)):
        if value is not None and not isinstance(value, Tensor):
            raise TypeError(f"{operator}: {name} must be a torch.Tensor or None, got {type(value).__name__}")
    given = {name: whole_number(operator, name, value) for name, value in integers.items()}
    k = given["K"]
    if isinstance(k, int) and k >= _MOST:
        raise ValueError(f"{operator}: K must be so small that the result can be addressed, got {k}")
    return list(given.values())


def knn_gather(x: Tensor, idx: Tensor, lengths: Tensor | None = None) -> Tensor:
    r"""Gather the features of neighbours: ``out[n, l, k] = x[n, idx[n, l, k]]``.

    Args:
        x: features, (N, M, U), any dtype.
        idx: (N, L, K) int64, entries in [0, M), as :func:`knn_points` returns them.
        lengths: (N,) int64; slots ``k >= lengths[n]`` of the result are 0. ``None`` means M.

    Returns:
        (N, L, K, U). Differentiable in ``x``.

    Raises:
        ValueError: shapes do not fit.
        IndexError: an entry of ``idx`` is out of range (an assertion of the device on CUDA).

    Example:
        >>> knn_gather(torch.tensor([[[1.0], [2.0]]]), torch.tensor([[[1, 0]]]))
        tensor([[[[2.],
                  [1.]]]])
    """
    if x.dim() != 3:
        raise ValueError(f"knn_gather: x must be of shape (N, M, U), got {tuple(x.shape)}")
    n, m, u = x.shape
    if idx.dim() != 3 or idx.shape[0] != n:
        raise ValueError(f"knn_gather: idx must be of shape (N, L, K) = ({n}, _, _), got {tuple(idx.shape)}")
    _, rows, k = idx.shape
    if m == 0:
        # Zeros that still depend on x: who asks for its gradient gets one.
        return pad(x, (0, 0, 0, rows * k)).reshape(n, rows, k, u)
    first = m * torch.arange(n, device=idx.device)[:, None, None]
    # What is out of range here must not become a row of another cloud.
    row = torch.where((idx >= 0) & (idx < m), first + idx, n * m)
    out = gather_rows(x.reshape(n * m, u), row)
    if lengths is None and k <= m:
        return out
    within = torch.arange(k, device=idx.device) < (m if lengths is None else lengths[:, None])
    return torch.where(within.expand(n, k)[:, None, :, None], out, 0)
