# SPDX-License-Identifier: Apache-2.0
"""Farthest point sampling."""

import random
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from patina3d.core import _native, register
from patina3d.ops._reference.sample_farthest_points import sample_farthest_points as _definition
from patina3d.ops._whole_number import whole_number
from patina3d.ops.knn import at_least_float32
from patina3d.ops.utils import masked_gather

__all__ = ["sample_farthest_points", "sample_farthest_points_naive"]

_MOST = (1 << 63) - 1
_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def _fake(points: Tensor, lengths: Tensor | None, counts: Tensor | None, start: Tensor | None, k: int) -> Tensor:
    return points.new_empty((points.shape[0], k), dtype=torch.int64)


_choose = register(
    "sample_farthest_points(Tensor points, Tensor? lengths, Tensor? counts, Tensor? start, SymInt k) -> Tensor",
    _native.ops.sample_farthest_points,
    _fake,
)


def sample_farthest_points(
    points: Tensor,
    lengths: Tensor | None = None,
    K: int | Sequence[int] | Tensor = 50,
    random_start_point: bool = False,
) -> tuple[Tensor, Tensor]:
    r"""Choose points of each cloud that lie far from each other.

    From a first point on, each next one is the farthest from those chosen before it:

    .. math:: i_{k+1} = \arg\max_i \min_{j \le k} \lVert x_i - x_{i_j} \rVert^2

    (Y. Eldar et al., "The Farthest Point Strategy for Progressive Image Sampling", 1997; for point networks C. R. Qi et
    al., "PointNet++", 2017.)

    Args:
        points: (N, P, D), float32, float64 or half precision, in any frame and unit.
        lengths: (N,) integers, how many points of each cloud count; ``None`` means P.
        K: how many points to choose of each cloud: one number, or N of them as a list or an integer tensor.
        random_start_point: begin with a random point instead of point 0. Without ``lengths`` it is drawn by
            ``torch.randint(high=P, size=(N,))``, with them it is ``floor(lengths * torch.rand(N))``; both from torch's
            generator of the points' device.

    Returns:
        The points (N, max K, D), of the dtype of ``points``, and their indices (N, max K) int64, in the order in which
        they are chosen. A cloud yields ``min(K, length)`` of them; the slots beyond are 0 and -1.

    Differentiable in ``points`` as a gather is; the choice is fixed. Its gradient has the same bits in every run.

    Ties go to the lowest index, and no index comes twice: K >= P gives a permutation, also of identical points.
    Distances are computed in the dtype of the points (half precision in float32), each rounding fixed, so that the
    choice is the same on every device. A distance that is not below infinity, by overflow or NaN, counts as infinity: a
    point that is not finite is infinitely far from all others and comes early, the lowest index first. Squares below
    the least positive number (float32: gaps below 1e-23) are 0, so that points this close come in order of index.

    Raises:
        TypeError, ValueError: types or shapes do not fit; K is negative; a length is outside [0, P] (seen on the CPU;
            on CUDA it is clamped, since looking would wait for the device).

    Cost: O(N K P D) where every point is looked at; on the CPU blocks of points that a choice is too far from to change
    are passed over, and from 256 choices on, up to six dimensions, points are sorted so that nearly all are. An int K
    waits for no device; a tensor K on CUDA waits once, for its greatest entry, and a list is copied to the device.

    Example:
        >>> line = torch.tensor([[[0.0], [1.0], [4.0], [9.0]]])
        >>> chosen, idx = sample_farthest_points(line, K=3)
        >>> idx
        tensor([[0, 3, 2]])
        >>> chosen[0, :, 0]
        tensor([0., 9., 4.])
    """
    lengths, counts, most = _checked("sample_farthest_points", points, lengths, K)
    start = None
    if random_start_point:
        n, p, _ = points.shape
        if lengths is None:
            start = torch.randint(high=max(p, 1), size=(n,), device=points.device)
        else:
            start = (lengths * torch.rand(n, device=points.device)).floor().long()
    idx = _choose(at_least_float32(points.detach()), lengths, counts, start, most)
    return masked_gather(points, idx), idx


def sample_farthest_points_naive(
    points: Tensor,
    lengths: Tensor | None = None,
    K: int | Sequence[int] | Tensor = 50,
    random_start_point: bool = False,
) -> tuple[Tensor, Tensor]:
    """:func:`sample_farthest_points` in plain torch, step by step: slow, and a definition to compare with.

    Arguments, results and errors are the same, but for three things: squared distances are rounded as torch does, so
    that points that are equally far to rounding may come in another order; a random start comes from Python's
    ``random.randint``, cloud by cloud; and it waits for the device, so that ``torch.compile`` with ``fullgraph=True``
    refuses it.

    Args:
        points: (N, P, D).
        lengths: (N,) integers, how many points of each cloud count.
        K: how many points to choose.
        random_start_point: begin with a random point.

    Returns:
        The points (N, max K, D) and their indices (N, max K) int64, padded with 0 and -1.

    Raises:
        TypeError, ValueError: as :func:`sample_farthest_points`; lengths outside [0, P] are seen on every device.

    Example:
        >>> sample_farthest_points_naive(torch.tensor([[[0.0], [1.0], [4.0], [9.0]]]), K=3)[1]
        tensor([[0, 3, 2]])
    """
    name = "sample_farthest_points_naive"
    lengths, counts, most = _checked(name, points, lengths, K)
    n, p, _ = points.shape
    of_clouds = [p] * n if lengths is None else lengths.tolist()
    for length in of_clouds:
        if not 0 <= length <= p:
            raise ValueError(f"{name}: lengths must be in [0, P] = [0, {p}], got {length}")
    start = [random.randint(0, max(length - 1, 0)) if random_start_point else 0 for length in of_clouds]
    chosen = [most] * n if counts is None else counts.tolist()
    idx = _definition(at_least_float32(points.detach()), of_clouds, chosen, start, most)
    return masked_gather(points, idx), idx


def _checked(name: str, points: Any, lengths: Any, k: Any) -> tuple[Tensor | None, Tensor | None, Any]:
    """The lengths, the number of choices of each cloud if they differ, and the greatest of them."""
    if not isinstance(points, Tensor):
        raise TypeError(f"{name}: points must be a torch.Tensor, got {type(points).__name__}")
    if not points.is_floating_point():
        raise TypeError(f"{name}: points must be float32 or float64, got {str(points.dtype).removeprefix('torch.')}")
    if points.dim() != 3:
        raise ValueError(f"{name}: points must be of shape (N, P, D), got {tuple(points.shape)}")
    if points.shape[2] == 0:
        raise ValueError(f"{name}: points must be of at least one coordinate a point, got 0")
    n = points.shape[0]
    if lengths is not None:
        _check_integers(name, "lengths", lengths, n, "points and lengths must have the same batch dimension")
        lengths = lengths.long()
    if isinstance(k, Tensor | list | tuple):
        _check_integers(name, "K", k, n, "K and points must have the same batch dimension")
        if isinstance(k, Tensor):
            low, most = torch.stack(k.aminmax()).tolist() if n > 0 else (0, 0)
            counts = k
        else:
            k = [whole_number(name, "K", value, "must hold int") for value in k]
            low, most = min(k, default=0), max(k, default=0)
            counts = k if low < 0 or most > _MOST else torch.tensor(k, dtype=torch.int64)
    else:
        low = most = whole_number(name, "K", k, "must be an int, a list or a torch.Tensor")
        counts = None
    if low < 0:
        raise ValueError(f"{name}: K must be at least 0, got {low}")
    if isinstance(most, int) and most > _MOST:
        raise ValueError(f"{name}: K must be so small that the result can be addressed, got {most}")
    return lengths, None if counts is None else counts.to(points.device, torch.int64), most


def _check_integers(name: str, argument: str, values: Any, n: int, rule: str) -> None:
    """One integer a cloud."""
    if isinstance(values, Tensor):
        if values.dtype not in _INTEGERS:
            got = str(values.dtype).removeprefix("torch.")
            raise TypeError(f"{name}: {argument} must be int64, got {got}")
        shape = tuple(values.shape)
    elif argument == "K":
        shape = (len(values),)
    else:
        raise TypeError(f"{name}: {argument} must be a torch.Tensor or None, got {type(values).__name__}")
    if shape != (n,):
        raise ValueError(f"{name}: {argument} must be of shape (N,) = ({n},), got {shape}: {rule}")
