# SPDX-License-Identifier: Apache-2.0
"""A search tree over points, built once and searched often."""

import copy
from typing import Any, NamedTuple

import torch
from torch import Tensor

from patina3d.core import _native, register

__all__ = ["PointIndex"]

_HALF = (torch.float16, torch.bfloat16)
_WIDTH = 16
"""Points of a leaf, and boxes of a node."""


def at_least_float32(points: Tensor) -> Tensor:
    """float16 and bfloat16 as float32, the rest as it is."""
    return points.float() if points.dtype in _HALF else points


class Trees(NamedTuple):
    """The tensors of the trees of a batch as the native operators take them; ``None`` each where there are none."""

    leaves: Tensor | None = None
    """Points in the order of the tree, (N, leaves, D, 16)."""
    boxes: Tensor | None = None
    """Level by level from the root, least coordinates, then greatest, (N, nodes, 2, D, 16)."""
    ids: Tensor | None = None
    """The least number in each box, then the number of each point, (N, nodes + leaves, 16) int32."""


def _fake_forward(points: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    n, most, d = points.shape
    leaves = (most + _WIDTH - 1) // _WIDTH
    nodes, level = 0, leaves
    while level > 0:
        level = (level + _WIDTH - 1) // _WIDTH
        nodes += level
        level = 0 if level == 1 else level
    return (
        points.new_empty((n, leaves, d, _WIDTH)),
        points.new_empty((n, nodes, 2, d, _WIDTH)),
        points.new_empty((n, nodes + leaves, _WIDTH), dtype=torch.int32),
    )


_forward = register(
    "point_index_forward(Tensor points, Tensor? lengths) -> (Tensor, Tensor, Tensor)",
    _native.ops.point_index_forward,
    _fake_forward,
)


class PointIndex:
    r"""Clouds of points with a tree over each that finds neighbours.

    :func:`~patina3d.ops.knn_points` and its like build such a tree on their own, and forget it, where it pays. Keep one
    where many calls search the same points: registration (ICP), queries that arrive in batches, a loss against a fixed
    target. What is found is the same to the bit.

    The tree has leaves of 16 points and nodes of 16 axis-aligned boxes, split at medians on the CPU, along a
    space-filling curve on CUDA.

    Args:
        points: (N, P, D), any D >= 1, or ``Pointclouds``. float32 or float64; float16 and bfloat16 are converted to
            float32. The index keeps the tensor, not a copy.
        lengths: (N,) int64, how many points of each cloud count; ``None`` means P. Clamped to [0, P]. Must be ``None``
            for ``Pointclouds``, which have their own.

    An index is immutable. The tree is a constant; gradients of what a search computes flow to :attr:`points`, and so to
    what they were computed from. A deep copy or a pickle of an index is cut off from that.

    Changing ``points`` or ``lengths`` in place makes the index stale: a search then raises ``ValueError``. That goes by
    the counter that torch keeps of such changes. What torch does not count is not seen, and a search of a stale index
    finds wrong neighbours (but reads no memory that is not its own): steps of optimizers with ``fused=True``, writes
    through ``.data``, NumPy, DLPack or another library, tensors made in inference mode, and whatever happens within
    ``torch.compile``. Build a new index after those.

    Points with a coordinate that is not finite are in no leaf; searches treat them as they do without an index.

    Raises:
        TypeError: an argument is no tensor, or has another dtype than stated.
        ValueError: shapes or devices do not fit, or ``lengths`` were given with ``Pointclouds``.

    Cost: O(N P log P) time, about 70 ns a point on one core; memory of about one and
        a half times the points.

    Example:
        >>> from patina3d.ops import knn_points
        >>> target = PointIndex(torch.tensor([[[0.0, 0.0], [3.0, 4.0]]]))
        >>> knn_points(torch.tensor([[[3.0, 3.0], [0.0, 1.0]]]), target).idx
        tensor([[[1],
                 [0]]])
        >>> target
        PointIndex(N=1, P=2, D=2, dtype=torch.float32, device=cpu)
    """

    __slots__ = ("_lengths", "_points", "_trees", "_versions")

    def __init__(self, points: Any, lengths: Tensor | None = None) -> None:
        from patina3d.ops.utils import is_pointclouds  # which needs knn_points, and that an index

        if is_pointclouds(points):
            if lengths is not None:
                raise ValueError("PointIndex: lengths must be None where points are Pointclouds, which have their own")
            points, lengths = points.points_padded(), points.num_points_per_cloud()
        if not isinstance(points, Tensor):
            raise TypeError(f"PointIndex: points must be a torch.Tensor or Pointclouds, got {type(points).__name__}")
        if lengths is not None and not isinstance(lengths, Tensor):
            raise TypeError(f"PointIndex: lengths must be a torch.Tensor or None, got {type(lengths).__name__}")
        points = at_least_float32(points)
        self._set(points, lengths, Trees(*_forward(points.detach(), lengths)))

    def _set(self, points: Tensor, lengths: Tensor | None, trees: Trees) -> None:
        self._points, self._lengths, self._trees = points, lengths, trees
        self._versions = None if torch.compiler.is_compiling() else (_version(points), _version(lengths))

    @property
    def points(self) -> Tensor:
        """The points, (N, P, D)."""
        return self._points

    @property
    def lengths(self) -> Tensor | None:
        """How many points of each cloud count, (N,), or ``None`` where all do."""
        return self._lengths

    @property
    def device(self) -> torch.device:
        """Where the points and the tree are."""
        return self._points.device

    @property
    def dtype(self) -> torch.dtype:
        """float32 or float64."""
        return self._points.dtype

    def to(self, device: torch.device | str) -> "PointIndex":
        """The index on another device; the tree is copied, not built anew. On the same device the index itself.

        Gradients flow back to :attr:`points` of this index.

        Raises:
            ValueError: the points were changed in place since the index was built.
        """
        points = self._points.to(device)
        if points is self._points:
            return self
        trees = self.trees("PointIndex.to", "the index")
        lengths = None if self._lengths is None else self._lengths.to(device)
        return _restored(points, lengths, Trees(*(None if part is None else part.to(device) for part in trees)))

    def __deepcopy__(self, memo: dict[int, Any]) -> "PointIndex":
        """As of tensors, but points that were computed are detached, where torch would refuse."""
        trees = self.trees("PointIndex", "the index")
        points = self._points if self._points.is_leaf else self._points.detach()
        return _restored(*copy.deepcopy((points, self._lengths, trees), memo))

    def __reduce__(self) -> tuple[Any, ...]:
        """For copies and pickles: the tree goes with the points."""
        return _restored, (self._points, self._lengths, self.trees("PointIndex", "the index"))

    def trees(self, operator: str, name: str) -> Trees:
        """The tensors of the trees, for an operator whose argument ``name`` the index is.

        Raises:
            ValueError: the points were changed in place since.
        """
        if not torch.compiler.is_compiling() and self._versions is not None:
            now = (_version(self._points), _version(self._lengths))
            if now != self._versions:
                raise ValueError(
                    f"{operator}: {name} must be an index of points that did not change since, got points or lengths"
                    " that were changed in place. Build a new PointIndex."
                )
        return self._trees

    def __len__(self) -> int:
        """The number of clouds."""
        return self._points.shape[0]

    def __repr__(self) -> str:
        n, p, d = self._points.shape
        return f"PointIndex(N={n}, P={p}, D={d}, dtype={self.dtype}, device={self.device})"


def _restored(points: Tensor, lengths: Tensor | None, trees: Trees) -> PointIndex:
    """An index whose tree is known."""
    index = object.__new__(PointIndex)
    index._set(points, lengths, trees)
    return index


def _version(x: Tensor | None) -> int:
    """Rises with each change in place; tensors made in inference mode do not count."""
    return 0 if x is None or x.is_inference() else x._version


def searched(
    operator: str, name: str, points: Any, lengths_name: str, lengths: Tensor | None
) -> tuple[Any, Tensor | None, Trees]:
    """The points, lengths and trees of an argument that may be an index.

    Raises:
        ValueError: lengths beside an index, or a stale index.
    """
    if not isinstance(points, PointIndex):
        return points, lengths, NO_TREES
    if lengths is not None:
        raise ValueError(
            f"{operator}: {lengths_name} must be None where {name} is a PointIndex, which has its own, got a tensor"
        )
    return points.points, points.lengths, points.trees(operator, name)


NO_TREES = Trees()
