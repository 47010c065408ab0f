# SPDX-License-Identifier: Apache-2.0
"""``Pointclouds``: a batch of point clouds of different sizes, with normals and features."""

from __future__ import annotations

import copy
import importlib
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from patina3d.common.batch_index import (
    BatchIndex,
    checked_copies,
    checked_splits,
    normalized_index,
    selected_elements,
)
from patina3d.common.datatypes import Device, make_device
from patina3d.structures.layout import RowLayout
from patina3d.structures.once import computed_form
from patina3d.structures.pointclouds.checks import checked_attribute, checked_points
from patina3d.structures.ragged import RaggedRows
from patina3d.structures.rows import gather_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from typing_extensions import Self

__all__ = ["Pointclouds"]


class Pointclouds:
    r"""A batch of N point clouds; cloud n has P_n points, with normals and C features each if they are given.

    The same data is seen in three forms: list (N tensors (P_n, D)), packed (one tensor (sum P_n, D), one cloud after
    the other) and padded ((N, max P_n, D), padded with 0). What was given is kept as it is; the other forms are made
    when first asked for, and the same object is returned from then on. Each of points, normals and features may be
    given in either form. Forms may share memory with one another and with the input: treat them as read-only.

    Everything is differentiable, in every form. Index tensors are int64.

    Args:
        points: list of N floating tensors (P_n, 3), or one tensor (N, P, 3), of which every row counts as a point. A
            cloud without points may be (0, 3) or (0,).
        normals: list of (P_n, 3), or (N, max P_n, 3); used as they are. A cloud without points may have None.
        features: list of (P_n, C), or (N, max P_n, C), of any dtype. A cloud without points may have None.

    Attributes:
        device: device of all tensors.
        valid: (N,) bool, whether a cloud has a point.
        equisized: whether N > 0 and all clouds have equally many points.

    Raises:
        ValueError: wrong types, shapes or lengths, or different devices.
        TypeError: points or normals that are not floating, or more than one dtype among points, normals or features.

    Example:
        >>> clouds = Pointclouds([torch.rand(3, 3), torch.rand(5, 3)], features=[torch.rand(3, 4), torch.rand(5, 4)])
        >>> clouds
        Pointclouds(N=2, points=[3, 5], features=4, dtype=float32, device=cpu)
        >>> clouds.features_padded().shape
        torch.Size([2, 5, 4])
    """

    def __init__(
        self,
        points: list[Tensor] | Tensor,
        normals: Sequence[Tensor | None] | Tensor | None = None,
        features: Sequence[Tensor | None] | Tensor | None = None,
    ) -> None:
        rows = checked_points(points)
        self._hold(
            rows, checked_attribute("normals", normals, rows, 3), checked_attribute("features", features, rows, None)
        )

    def _hold(self, points: RaggedRows, normals: RaggedRows | None, features: RaggedRows | None) -> Self:
        """Fill this object with checked parts."""
        self._layout = points.layout
        self._points, self._normals, self._features = points, normals, features
        self.device = self._layout.device
        self._N = len(self._layout)
        self._P = self._layout.width
        self._C = None if features is None else features.columns
        self.equisized = self._layout.is_uniform
        self.valid = torch.tensor([count > 0 for count in self._layout.counts], dtype=torch.bool, device=self.device)
        return self

    def _each(self, change: Callable[[RaggedRows], RaggedRows]) -> Self:
        """New clouds of this class whose points, normals and features have gone through ``change``."""
        parts = [None if part is None else change(part) for part in (self._points, self._normals, self._features)]
        points, normals, features = parts
        assert points is not None
        return copy.copy(self)._hold(points, normals, features)

    # What is kept. Programs may look at these, and find None where nothing is there yet.

    _points_list = computed_form("_points", "list")
    _points_packed = computed_form("_points", "packed")
    _points_padded = computed_form("_points", "padded")
    _normals_list = computed_form("_normals", "list")
    _normals_packed = computed_form("_normals", "packed")
    _normals_padded = computed_form("_normals", "padded")
    _features_list = computed_form("_features", "list")
    _features_packed = computed_form("_features", "packed")
    _features_padded = computed_form("_features", "padded")
    _num_points_per_cloud = computed_form("_layout", "num_rows")
    _packed_to_cloud_idx = computed_form("_layout", "element_of_row")
    _cloud_to_packed_first_idx = computed_form("_layout", "first_row")
    _padded_to_packed_idx = computed_form("_layout", "padded_row")

    def _compute_packed(self, refresh: bool = False) -> None:
        for rows in (self._points, self._normals, self._features):
            if rows is not None:
                rows.as_packed()

    def _compute_padded(self, refresh: bool = False) -> None:
        for rows in (self._points, self._normals, self._features):
            if rows is not None:
                rows.as_padded()

    def __len__(self) -> int:
        return self._N

    def __repr__(self) -> str:
        parts = [f"N={self._N}", f"points={self._layout}"]
        if self._normals is not None:
            parts.append("normals=given")
        if self._C is not None:
            parts.append(f"features={self._C}")
        parts += [f"dtype={str(self._points.dtype).removeprefix('torch.')}", f"device={self.device}"]
        return f"{type(self).__name__}({', '.join(parts)})"

    def __getitem__(self, index: BatchIndex) -> Self:
        """The chosen clouds, as a batch; their tensors are shared.

        Args:
            index: an int (negative counts from the end), a slice, a list of ints, a list of N bools, or a 1-D bool (N,)
                or integer tensor; repeats are allowed.

        Raises:
            IndexError: out of range, a mask that has not N entries, or any other type.
        """
        elements = selected_elements(normalized_index(index, self._N, "Pointclouds"), self._N)
        layout = RowLayout([self._layout.counts[n] for n in elements], self.device)
        return self._each(lambda rows: rows.select(elements, layout))

    def isempty(self) -> bool:
        """Whether no cloud has a point."""
        return self._layout.total == 0

    # Points, normals and features in their three forms.

    def points_list(self) -> list[Tensor]:
        """Points of each cloud: list of N tensors (P_n, 3)."""
        return list(self._points.as_list())

    def points_packed(self) -> Tensor:
        """Points of all clouds: (sum P_n, 3)."""
        return self._points.as_packed()

    def points_padded(self) -> Tensor:
        """Points of each cloud, padded with 0: (N, max P_n, 3)."""
        return self._points.as_padded()

    def normals_list(self) -> list[Tensor] | None:
        """Normals of each cloud: list of N tensors (P_n, 3), or None."""
        return None if self._normals is None else list(self._normals.as_list())

    def normals_packed(self) -> Tensor | None:
        """Normals of all clouds: (sum P_n, 3), or None."""
        return None if self._normals is None else self._normals.as_packed()

    def normals_padded(self) -> Tensor | None:
        """Normals of each cloud, padded with 0: (N, max P_n, 3), or None."""
        return None if self._normals is None else self._normals.as_padded()

    def features_list(self) -> list[Tensor] | None:
        """Features of each cloud: list of N tensors (P_n, C), or None."""
        return None if self._features is None else list(self._features.as_list())

    def features_packed(self) -> Tensor | None:
        """Features of all clouds: (sum P_n, C), or None."""
        return None if self._features is None else self._features.as_packed()

    def features_padded(self) -> Tensor | None:
        """Features of each cloud, padded with 0: (N, max P_n, C), or None."""
        return None if self._features is None else self._features.as_padded()

    # Index tensors.

    def packed_to_cloud_idx(self) -> Tensor:
        """(sum P_n,): the cloud of each packed point."""
        return self._layout.element_of_row()

    def cloud_to_packed_first_idx(self) -> Tensor:
        """(N,): the packed point at which each cloud begins; an empty cloud has that of the next."""
        return self._layout.first_row()

    def num_points_per_cloud(self) -> Tensor:
        """(N,): P_n."""
        return self._layout.num_rows()

    def padded_to_packed_idx(self) -> Tensor:
        """(sum P_n,): where each packed point stands in ``points_padded().reshape(-1, 3)``."""
        return self._layout.padded_row()

    # Copies.

    def clone(self) -> Self:
        """A copy that shares no memory. The autograd graph is kept."""
        layout = self._layout.clone()
        return self._each(lambda rows: rows.mapped(torch.clone, layout))

    def detach(self) -> Self:
        """The same clouds, sharing memory, from which no gradient flows back."""
        return self._each(lambda rows: rows.mapped(torch.detach, self._layout))

    def to(self, device: Device, copy: bool = False) -> Self:
        """The same clouds on another device; differentiable.

        Args:
            device: a device or its name; plain ``"cuda"`` is the current CUDA device.
            copy: make a clone even where the clouds are there already.

        Returns:
            This object if it is there already and no copy is asked for, else a new one.
        """
        target = make_device(device)
        if target == self.device:
            return self.clone() if copy else self
        layout = self._layout.to(target)
        return self._each(lambda rows: rows.mapped(lambda tensor: tensor.to(target), layout))

    def cpu(self) -> Self:
        """The same clouds on the CPU."""
        return self.to("cpu")

    def cuda(self) -> Self:
        """The same clouds on the current CUDA device."""
        return self.to("cuda")

    # Parts and repetitions.

    def get_cloud(self, index: int) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Points (P_n, 3), and normals and features or None, of cloud ``index``.

        Raises:
            ValueError: not an int, or not in [0, N).
        """
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < self._N:
            raise ValueError(f"Pointclouds.get_cloud: index must be an int in [0, {self._N}), got {index!r}")
        normals, features = self._normals, self._features
        return (
            self._points.as_list()[index],
            None if normals is None else normals.as_list()[index],
            None if features is None else features.as_list()[index],
        )

    def split(self, split_sizes: list[int]) -> list[Self]:
        """Consecutive batches of the given sizes, which must sum to N.

        Raises:
            ValueError: a size is not an int or negative, or the sizes do not sum to N.
        """
        return [self[part] for part in checked_splits(split_sizes, self._N, "Pointclouds")]

    def extend(self, N: int) -> Self:
        """Each cloud N times in a row: a a b b; every copy has its own memory.

        Raises:
            ValueError: N is not an int, or not positive.
        """
        copies = checked_copies(N, "Pointclouds")
        elements = [n for n in range(self._N) for _ in range(copies)]
        layout = RowLayout([self._layout.counts[n] for n in elements], self.device)
        return self._each(lambda rows: rows.select(elements, layout).mapped(torch.clone, layout))

    def subsample(self, max_points: int | Sequence[int]) -> Self:
        """At most so many points of each cloud, drawn uniformly without replacement, in random order.

        Normals and features follow their points. The draws come from torch's global generator of the device.

        Args:
            max_points: a number for all clouds, or one for each.

        Returns:
            This object if no cloud has more points, else new clouds; a cloud that has not more keeps its points.

        Raises:
            ValueError: not one number for each cloud.

        Example:
            >>> Pointclouds([torch.rand(3, 3), torch.rand(5, 3)]).subsample(4)
            Pointclouds(N=2, points=[3, 4], dtype=float32, device=cpu)
        """
        limits = [max_points] * self._N if isinstance(max_points, int) else list(max_points)
        if len(limits) != self._N:
            raise ValueError(f"Pointclouds.subsample: max_points must have {self._N} entries, got {len(limits)}")
        if any(limit < 0 for limit in limits):
            raise ValueError(f"Pointclouds.subsample: max_points must be >= 0, got {max_points}")
        pairs = list(zip(self._layout.counts, limits, strict=True))
        if all(count <= limit for count, limit in pairs):
            return self
        chosen = [
            torch.arange(count, device=self.device)
            if count <= limit
            else torch.randperm(count, device=self.device)[:limit]
            for count, limit in pairs
        ]
        layout = RowLayout([index.shape[0] for index in chosen], self.device)
        return self._each(lambda rows: rows.gathered([[index] for index in chosen], layout))

    # Other positions.

    def offset_(self, offsets_packed: Tensor) -> Self:
        """Shift the points of this object; see ``offset``. The tensors it was made from do not change."""
        return self._hold(self._points.shifted(offsets_packed, "Pointclouds.offset"), self._normals, self._features)

    def offset(self, offsets_packed: Tensor) -> Self:
        """The same clouds with shifted points; normals and features are shared.

        Args:
            offsets_packed: (3,), one shift for all points; or (sum P_n, 3), one for each packed point.

        Raises:
            ValueError: any other shape.
        """
        return copy.copy(self).offset_(offsets_packed)

    def scale_(self, scale: float | Tensor) -> Self:
        """Scale the points of this object; see ``scale``. The tensors it was made from do not change."""
        return self._hold(self._points.scaled(scale, "Pointclouds.scale"), self._normals, self._features)

    def scale(self, scale: float | Tensor) -> Self:
        """The same clouds with their points multiplied by a number; normals and features are shared.

        Args:
            scale: a number or 0-d tensor for all clouds, or (N,), one for each cloud.

        Raises:
            ValueError: a tensor of any other shape.
        """
        return copy.copy(self).scale_(scale)

    def update_padded(
        self,
        new_points_padded: Tensor,
        new_normals_padded: Tensor | None = None,
        new_features_padded: Tensor | None = None,
    ) -> Self:
        """The same clouds with other points; what is not given is shared, and nothing is copied.

        Args:
            new_points_padded: (N, max P_n, 3); rows beyond P_n are not points.
            new_normals_padded: (N, max P_n, 3), or None to keep the normals.
            new_features_padded: (N, max P_n, C), or None to keep the features; any C if there were none.

        Raises:
            ValueError: another shape or device.
        """
        parts = []
        for name, new, old, columns in (
            ("new_points_padded", new_points_padded, self._points, 3),
            ("new_normals_padded", new_normals_padded, self._normals, 3),
            ("new_features_padded", new_features_padded, self._features, self._C),
        ):
            if new is None:
                parts.append(old)
                continue
            expected = (self._N, self._P, columns if columns is not None else new.shape[-1])
            if new.shape != expected or new.device != self.device:
                raise ValueError(
                    f"Pointclouds.update_padded: {name} must have shape {expected} on {self.device}, "
                    f"got {tuple(new.shape)} on {new.device}"
                )
            parts.append(RaggedRows(self._layout, padded=new))
        return copy.copy(self)._hold(*parts)

    # Questions about a whole cloud.

    def get_bounding_boxes(self) -> Tensor:
        """(N, 3, 2): ``[n, axis, 0]`` is the least and ``[n, axis, 1]`` the greatest coordinate of cloud n.

        A cloud without points has (inf, -inf), the box that contains nothing. Differentiable; at ties the gradient is
        shared.
        """
        return self._layout.bounding_boxes(self.points_padded())

    def inside_box(self, box: Tensor) -> Tensor:
        """Which points lie in a box, its faces included.

        Args:
            box: (2, 3) or (1, 2, 3) for all clouds, or (N, 2, 3): row 0 is the least corner, row 1 the greatest.

        Returns:
            (sum P_n,) bool.

        Raises:
            ValueError: another shape, or a least corner above the greatest. This waits for the device.

        Example:
            >>> cloud = Pointclouds([torch.tensor([[0.0, 0.0, 0.0], [0.5, 0.5, 2.0]])])
            >>> cloud.inside_box(torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]))
            tensor([ True, False])
        """
        boxes = box[None] if box.ndim == 2 else box
        if boxes.ndim != 3 or boxes.shape[1:] != (2, 3):
            raise ValueError(
                f"Pointclouds.inside_box: Input box must be of shape (2, 3), (1, 2, 3) or {(self._N, 2, 3)}, "
                f"got {tuple(box.shape)}"
            )
        if boxes.shape[0] not in (1, self._N):
            raise ValueError(
                f"Pointclouds.inside_box: Input box dimension is {boxes.shape[0]}, expected 1 or {self._N}, one a cloud"
            )
        if bool((boxes[:, 0] > boxes[:, 1]).any()):
            raise ValueError(
                "Pointclouds.inside_box: Input box is invalid: its least corner must stand in row 0, its greatest in "
                "row 1"
            )
        if boxes.shape[0] != 1:
            boxes = gather_rows(boxes, self.packed_to_cloud_idx())
        points = self.points_packed()
        return ((boxes[:, 0] <= points) & (points <= boxes[:, 1])).all(-1)

    def estimate_normals(
        self, neighborhood_size: int = 50, disambiguate_directions: bool = True, assign_to_self: bool = False
    ) -> Tensor:
        """Normals from the neighbours of each point, by ``patina3d.ops.estimate_pointcloud_normals``.

        Args:
            neighborhood_size: how many neighbours are looked at.
            disambiguate_directions: whether normals point to the side on which more of the neighbours lie; otherwise
                their signs are arbitrary.
            assign_to_self: keep them as the normals of this object.

        Returns:
            (N, max P_n, 3), padded with 0.

        Raises:
            ImportError: patina3d-ops is not installed, or has no such operator.
            ValueError: a cloud has too few points for the neighbourhood.
        """
        try:
            estimate = vars(importlib.import_module("patina3d.ops"))["estimate_pointcloud_normals"]
        except (ImportError, KeyError) as error:
            message = "Pointclouds.estimate_normals needs a patina3d-ops that has estimate_pointcloud_normals"
            raise ImportError(message) from error
        normals = estimate(self, neighborhood_size=neighborhood_size, disambiguate_directions=disambiguate_directions)
        if assign_to_self:
            self._normals = RaggedRows(self._layout, padded=normals)
        return normals
