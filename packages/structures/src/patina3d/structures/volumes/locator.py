# SPDX-License-Identifier: Apache-2.0
"""Where the voxels of a batch of grids are."""

from __future__ import annotations

import copy as copying
import numbers
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from patina3d.common.datatypes import Device, make_device
from patina3d.structures.once import copy_with
from patina3d.transforms.transform3d import Scale, Transform3d

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["VolumeLocator"]

GridSizes = Sequence[int] | Sequence[Sequence[int]] | Sequence[Tensor] | Tensor
AxisValues = float | Sequence[float] | Tensor


class VolumeLocator:
    r"""Positions of the voxels of N grids, in world and in local coordinates.

    Tensor axes are (z, y, x) = (depth, height, width); coordinates are (x, y, z). Voxel i of the S along an axis has
    its centre at

    .. math::
        x_{\text{world}} = (i - \tfrac{S - 1}{2})\, \text{voxel size} - \text{translation}, \qquad
        x_{\text{local}} = \frac{2 i - (S - 1)}{L}

    where L = S - 1 (1 for an axis with one voxel) with ``align_corners``, and L = S without. So neighbours are one
    voxel size apart, the centre of the grid is at local 0 and at world **-translation**, and local coordinates are
    those of ``torch.nn.functional.grid_sample`` with the same ``align_corners``, on the grid at its own size. In world
    coordinates ``align_corners`` makes no difference.

    Args:
        batch_size: N.
        grid_sizes: (D, H, W) of all grids, or N such triples, as numbers or int64 tensors.
        device: of all results.
        voxel_size: distance of neighbours in world units: a number, three (x, y, z), or a tensor of one element, (3,),
            (1, 3), (N, 3) or (N, 1).
        volume_translation: like ``voxel_size``, but not a plain number.
        align_corners: which local coordinates.

    Gradients flow to ``voxel_size`` and ``volume_translation`` if they are tensors. Results are float32, or float64 if
    one of these is float64; points are transformed in their own dtype.

    Raises:
        ValueError: shapes or numbers of grids that do not fit.

    Example:
        >>> locator = VolumeLocator(1, (1, 1, 3), torch.device("cpu"), voxel_size=0.5)
        >>> locator.get_coord_grid()[0, 0, 0]
        tensor([[-0.5000,  0.0000,  0.0000],
                [ 0.0000,  0.0000,  0.0000],
                [ 0.5000,  0.0000,  0.0000]])
    """

    def __init__(
        self,
        batch_size: int,
        grid_sizes: GridSizes,
        device: Device,
        voxel_size: AxisValues = 1.0,
        volume_translation: AxisValues = (0.0, 0.0, 0.0),
        align_corners: bool = True,
    ) -> None:
        self.device = make_device(device)
        sizes = _checked_sizes(grid_sizes, batch_size)
        depth, height, width = (max(axis) for axis in zip(*sizes, (0, 0, 0), strict=True))
        if isinstance(volume_translation, numbers.Number):
            raise ValueError(f"VolumeLocator: volume_translation must be (x, y, z), got {volume_translation}")
        self._hold(
            sizes,
            (depth, height, width),
            _per_axis("voxel_size", voxel_size, batch_size, self.device),
            _per_axis("volume_translation", volume_translation, batch_size, self.device),
        )
        self._align_corners = align_corners
        given = [value for value in (voxel_size, volume_translation) if isinstance(value, Tensor)]
        self._dtype = torch.float64 if any(value.dtype == torch.float64 for value in given) else torch.float32

    def _hold(
        self, sizes: list[tuple[int, int, int]], resolution: tuple[int, int, int], voxel_size: Tensor, shift: Tensor
    ) -> None:
        self._sizes = sizes
        self._resolution = resolution
        self._grid_sizes = torch.tensor(sizes, dtype=torch.int64, device=self.device).reshape(-1, 3)
        self._voxel_size = voxel_size
        self._translation = shift
        self._transform: Transform3d | None = None

    def __len__(self) -> int:
        return len(self._sizes)

    def get_grid_sizes(self) -> Tensor:
        """(N, 3) int64: rows (D, H, W)."""
        return self._grid_sizes

    def get_coord_grid(self, world_coordinates: bool = True) -> Tensor:
        """Centres of all voxels.

        Args:
            world_coordinates: world coordinates, else local ones.

        Returns:
            (N, D, H, W, 3), (x, y, z) of each voxel, for the largest D, H, W of the batch. Smaller grids go on beyond
            their last voxel at the same distances. Computed anew at each call.
        """
        steps = [torch.arange(size, device=self.device, dtype=self._dtype) for size in reversed(self._resolution)]
        last, local_extent = self._extents(self._dtype)
        scale, shift = self._local_to_world(self._dtype)
        axes = []
        for axis, step in enumerate(steps):
            local = (2 * step - last[:, axis, None]) / local_extent[:, axis, None]
            axes.append(local * scale[:, axis, None] + shift[:, axis, None] if world_coordinates else local)
        x, y, z = axes
        shape = (len(self), *self._resolution)
        return torch.stack(
            [x[:, None, None, :].expand(shape), y[:, None, :, None].expand(shape), z[:, :, None, None].expand(shape)],
            -1,
        )

    def get_local_to_world_coords_transform(self) -> Transform3d:
        """N transforms from local to world coordinates."""
        if self._transform is not None:
            return self._transform
        scale, shift = self._local_to_world(self._dtype)
        transform = Scale(scale, dtype=self._dtype).translate(shift)
        # One with a history serves one backward pass only.
        if not (scale.requires_grad or shift.requires_grad):
            self._transform = transform
        return transform

    def get_world_to_local_coords_transform(self) -> Transform3d:
        """N transforms from world to local coordinates."""
        return self.get_local_to_world_coords_transform().inverse()

    def local_to_world_coords(self, points_3d_local: Tensor) -> Tensor:
        """World coordinates of local ones, of any shape (N, ..., 3), in the dtype of the points. Differentiable."""
        scale, shift = self._per_point("local_to_world_coords", points_3d_local)
        return points_3d_local * scale + shift

    def world_to_local_coords(self, points_3d_world: Tensor) -> Tensor:
        """Local coordinates of world ones, of any shape (N, ..., 3), in the dtype of the points. Differentiable."""
        scale, shift = self._per_point("world_to_local_coords", points_3d_world)
        return (points_3d_world - shift) / scale

    @property
    def _local_to_world_transform(self) -> Transform3d:
        return self.get_local_to_world_coords_transform()

    def clone(self) -> Self:
        """A copy that shares no memory; the autograd graph is kept."""
        other = copy_with(self, torch.clone)
        other._transform = None
        return other

    def to(self, device: Device, copy: bool = False) -> Self:
        """The same on another device; this object if it is there already and no copy is asked for."""
        target = make_device(device)
        if target == self.device:
            return self.clone() if copy else self
        other = copy_with(self, lambda tensor: tensor.to(target))
        other.device = target
        other._transform = None
        return other

    def cpu(self) -> Self:
        """The same on the CPU."""
        return self.to("cpu")

    def cuda(self) -> Self:
        """The same on the current CUDA device."""
        return self.to("cuda")

    def _select(self, elements: list[int]) -> Self:
        """The chosen grids; the largest size of the batch stays what it was."""
        index = torch.tensor(elements, dtype=torch.int64, device=self.device)
        other = copying.copy(self)
        other._hold(
            [self._sizes[n] for n in elements], self._resolution, self._voxel_size[index], self._translation[index]
        )
        return other

    def _extents(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """(N, 3) in (x, y, z): S - 1, and the number of voxels that local coordinates -1 to 1 span."""
        sizes = self._grid_sizes.flip(1).to(dtype)
        return sizes - 1, (sizes - 1).clamp(min=1) if self._align_corners else sizes

    def _local_to_world(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Scale and shift (N, 3) of ``world = local * scale + shift``."""
        return self._extents(dtype)[1] * self._voxel_size.to(dtype) / 2, -self._translation.to(dtype)

    def _per_point(self, operator: str, points: Tensor) -> tuple[Tensor, Tensor]:
        if points.ndim < 2 or points.shape[-1] != 3 or len(self) not in (1, points.shape[0]):
            raise ValueError(f"{operator}: points must have shape ({len(self)}, ..., 3), got {tuple(points.shape)}")
        scale, shift = self._local_to_world(points.dtype)
        shape = (len(self), *[1] * (points.ndim - 2), 3)
        return scale.reshape(shape), shift.reshape(shape)


def _checked_sizes(grid_sizes: GridSizes, batch_size: int) -> list[tuple[int, int, int]]:
    rows: list[Any] = grid_sizes.tolist() if isinstance(grid_sizes, Tensor) else list(grid_sizes)
    if len(rows) == 3 and all(isinstance(size, numbers.Integral) for size in rows):
        rows = [rows] * batch_size
    rows = [row.tolist() if isinstance(row, Tensor) else row for row in rows]
    if len(rows) != batch_size or not all(isinstance(row, Sequence) and len(row) == 3 for row in rows):
        raise ValueError(
            f"VolumeLocator: grid_sizes must be (D, H, W), or {batch_size} of them, one a grid, got {grid_sizes}"
        )
    return [(int(row[0]), int(row[1]), int(row[2])) for row in rows]


def _per_axis(name: str, value: AxisValues, batch_size: int, device: torch.device) -> Tensor:
    """(N, 3) in (x, y, z). Numbers are kept in float64, so that points of any dtype see them exactly."""
    if not isinstance(value, (Tensor, Sequence, numbers.Number)):
        raise ValueError(f"VolumeLocator: {name} must be numbers or a tensor, got {type(value).__name__}")
    tensor = value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
    tensor = tensor.to(device)
    if tensor.numel() == 1:
        tensor = tensor.reshape(1, 1)
    elif tensor.shape == (3,):
        tensor = tensor[None]
    if tensor.ndim != 2 or tensor.shape[0] not in (1, batch_size) or tensor.shape[1] not in (1, 3):
        raise ValueError(
            f"VolumeLocator: {name} must be a number, three numbers, or a tensor of one element or of shape (3,), "
            f"(1, 3), {(batch_size, 3)} or {(batch_size, 1)}, got {tuple(tensor.shape)}"
        )
    return tensor.expand(batch_size, 3)
