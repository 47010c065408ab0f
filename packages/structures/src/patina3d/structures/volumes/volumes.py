# SPDX-License-Identifier: Apache-2.0
"""``Volumes``: a batch of voxel grids."""

from __future__ import annotations

import copy as copying
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from patina3d.common.batch_index import BatchIndex, normalized_index, selected_elements
from patina3d.common.datatypes import Device, make_device
from patina3d.structures.rows import gather_rows
from patina3d.structures.utils import list_to_padded
from patina3d.structures.volumes.locator import AxisValues, VolumeLocator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Self

    from patina3d.transforms.transform3d import Transform3d

__all__ = ["Volumes"]


class Volumes:
    """A batch of N voxel grids: C_d densities, and C features if they are given, at each voxel.

    Grids of different sizes are kept in one tensor of the largest depth, height and width, padded with 0 at the far
    end. Where the voxels are, in world and in local coordinates, is told by ``VolumeLocator``: the centre of a volume
    is at world **-volume_translation**, neighbouring voxels are one voxel size apart.

    Args:
        densities: (N, C_d, D, H, W), kept without a copy, or a list or tuple of (C_d, D_n, H_n, W_n).
        features: (N, C, D, H, W), or a list or tuple of (C, D_n, H_n, W_n), of the same sizes as the densities.
        voxel_size: see ``VolumeLocator``.
        volume_translation: see ``VolumeLocator``.
        align_corners: see ``VolumeLocator``.

    Attributes:
        device: device of all tensors.
        locator: the ``VolumeLocator``.

    Raises:
        ValueError: wrong types, shapes or sizes, or different devices.

    Example:
        >>> volumes = Volumes(torch.zeros(2, 1, 3, 4, 5), voxel_size=0.5)
        >>> volumes
        Volumes(N=2, densities=1, grid=(3, 4, 5), device=cpu)
        >>> volumes.get_coord_grid()[0, 0, 0, 0]
        tensor([-1.0000, -0.7500, -0.5000])
    """

    def __init__(
        self,
        densities: Tensor | Sequence[Tensor],
        features: Tensor | Sequence[Tensor] | None = None,
        voxel_size: AxisValues = 1.0,
        volume_translation: AxisValues = (0.0, 0.0, 0.0),
        align_corners: bool = True,
    ) -> None:
        self._densities, sizes = _padded("densities", densities)
        self.device = self._densities.device
        self.locator = VolumeLocator(
            len(sizes), sizes, self.device, voxel_size, volume_translation, align_corners=align_corners
        )
        self._features = None if features is None else self._checked("features", features)

    def _checked(self, name: str, values: Tensor | Sequence[Tensor]) -> Tensor:
        """Values on these grids: padded as the densities are, or a list of the own sizes."""
        padded, sizes = _padded(name, values)
        if isinstance(values, Tensor):
            fits = padded.shape[0] == len(self) and padded.shape[2:] == self._densities.shape[2:]
        else:
            fits = sizes == self.locator._sizes
            missing = [want - have for have, want in zip(padded.shape[2:], self._densities.shape[2:], strict=True)]
            if fits and any(missing):
                padded = list_to_padded(list(values), (padded.shape[1], *self._densities.shape[2:]))
        if not fits:
            raise ValueError(
                f"Volumes: {name} must be on the grids of the densities, {self.locator._sizes} (D, H, W) in "
                f"{tuple(self._densities.shape[2:])}, got {sizes}"
            )
        if padded.device != self.device:
            raise ValueError(f"Volumes: {name} must be on {self.device} like densities, got {padded.device}")
        return padded

    def __len__(self) -> int:
        return self._densities.shape[0]

    def __repr__(self) -> str:
        parts = [f"N={len(self)}", f"densities={self._densities.shape[1]}"]
        if self._features is not None:
            parts.append(f"features={self._features.shape[1]}")
        parts += [f"grid={tuple(self._densities.shape[2:])}", f"device={self.device}"]
        return f"{type(self).__name__}({', '.join(parts)})"

    def __getitem__(self, index: BatchIndex | tuple[int, ...]) -> Self:
        """The chosen volumes, at the padded size of this batch; an int or a slice gives views.

        Args:
            index: an int (negative counts from the end), a slice, a list or tuple of ints, a list of N bools, or a 1-D
                bool (N,) or integer tensor.

        Raises:
            IndexError: out of range, a mask that has not N entries, or any other type.
        """
        chosen = normalized_index(list(index) if isinstance(index, tuple) else index, len(self), "Volumes")
        elements = selected_elements(chosen, len(self))

        def select(values: Tensor) -> Tensor:
            if isinstance(chosen, slice):
                return values[chosen]
            if isinstance(chosen, int):
                return values[chosen : chosen + 1]
            return gather_rows(values, torch.tensor(elements, dtype=torch.int64, device=self.device))

        other = copying.copy(self)
        other._densities = select(self._densities)
        other._features = None if self._features is None else select(self._features)
        other.locator = self.locator._select(elements)
        return other

    def densities(self) -> Tensor:
        """(N, C_d, D, H, W), padded with 0."""
        return self._densities

    def features(self) -> Tensor | None:
        """(N, C, D, H, W), padded with 0, or None."""
        return self._features

    def densities_list(self) -> list[Tensor]:
        """Views (C_d, D_n, H_n, W_n) of the densities, each at its own size."""
        return self._cut(self._densities)

    def features_list(self) -> list[Tensor] | None:
        """Views (C, D_n, H_n, W_n) of the features, each at its own size, or None."""
        return None if self._features is None else self._cut(self._features)

    def _cut(self, padded: Tensor) -> list[Tensor]:
        return [
            values[:, :depth, :height, :width]
            for values, (depth, height, width) in zip(padded, self.locator._sizes, strict=True)
        ]

    def get_align_corners(self) -> bool:
        """Which local coordinates: those of ``grid_sample`` with this ``align_corners``."""
        return self.locator._align_corners

    def update_padded(self, new_densities: Tensor, new_features: Tensor | None = None) -> Self:
        """The same grids with other values; the locator is shared, nothing is copied.

        Args:
            new_densities: (N, C_d, D, H, W) at the padded size, or a list of (C_d, D_n, H_n, W_n).
            new_features: the same with C channels; without them the result has no features.

        Raises:
            ValueError: other grids, or another device.
        """
        other = copying.copy(self)
        other._set_densities(new_densities)
        other._features = None
        if new_features is not None:
            other._set_features(new_features)
        return other

    def _set_densities(self, densities: Tensor | Sequence[Tensor]) -> None:
        self._densities = self._checked("densities", densities)

    def _set_features(self, features: Tensor | Sequence[Tensor]) -> None:
        self._features = self._checked("features", features)

    def clone(self) -> Self:
        """A copy that shares no memory; the autograd graph is kept."""
        other = copying.copy(self)
        other._densities = self._densities.clone()
        other._features = None if self._features is None else self._features.clone()
        other.locator = self.locator.clone()
        return other

    def to(self, device: Device, copy: bool = False) -> Self:
        """The same volumes on another device; differentiable.

        Args:
            device: a device or its name; plain ``"cuda"`` is the current CUDA device.
            copy: make a clone even where the volumes are there already.

        Returns:
            This object if it is there already and no copy is asked for, else a new one.
        """
        target = make_device(device)
        if target == self.device:
            return self.clone() if copy else self
        other = copying.copy(self)
        other.device = target
        other._densities = self._densities.to(target)
        other._features = None if self._features is None else self._features.to(target)
        other.locator = self.locator.to(target)
        return other

    def cpu(self) -> Self:
        """The same volumes on the CPU."""
        return self.to("cpu")

    def cuda(self) -> Self:
        """The same volumes on the current CUDA device."""
        return self.to("cuda")

    def get_grid_sizes(self) -> Tensor:
        """(N, 3) int64: rows (D, H, W)."""
        return self.locator.get_grid_sizes()

    def get_local_to_world_coords_transform(self) -> Transform3d:
        """N transforms from local to world coordinates."""
        return self.locator.get_local_to_world_coords_transform()

    def get_world_to_local_coords_transform(self) -> Transform3d:
        """N transforms from world to local coordinates."""
        return self.locator.get_world_to_local_coords_transform()

    def world_to_local_coords(self, points_3d_world: Tensor) -> Tensor:
        """Local coordinates of world ones, of any shape (N, ..., 3), in the dtype of the points. Differentiable."""
        return self.locator.world_to_local_coords(points_3d_world)

    def local_to_world_coords(self, points_3d_local: Tensor) -> Tensor:
        """World coordinates of local ones, of any shape (N, ..., 3), in the dtype of the points. Differentiable."""
        return self.locator.local_to_world_coords(points_3d_local)

    def get_coord_grid(self, world_coordinates: bool = True) -> Tensor:
        """(N, D, H, W, 3): (x, y, z) of all voxels; see ``VolumeLocator.get_coord_grid``."""
        return self.locator.get_coord_grid(world_coordinates)


def _padded(name: str, values: Tensor | Sequence[Tensor]) -> tuple[Tensor, list[tuple[int, int, int]]]:
    """The padded tensor, and (D, H, W) of each volume."""
    if isinstance(values, Tensor):
        if values.ndim != 5:
            raise ValueError(f"Volumes: {name} must have shape (N, C, D, H, W), got {tuple(values.shape)}")
        depth, height, width = values.shape[2:]
        return values, [(depth, height, width)] * values.shape[0]
    if not isinstance(values, (list, tuple)) or not all(isinstance(value, Tensor) for value in values):
        raise ValueError(f"Volumes: {name} must be a tensor, or a list or tuple of tensors")
    if len(values) == 0:
        raise ValueError(f"Volumes: {name} must have at least one volume, or be a tensor (0, C, D, H, W)")
    for n, value in enumerate(values):
        if value.ndim != 4 or value.shape[0] != values[0].shape[0]:
            raise ValueError(
                f"Volumes: {name}[{n}] must have shape (C, D, H, W) with C = {values[0].shape[0]}, "
                f"got {tuple(value.shape)}"
            )
        if value.device != values[0].device:
            raise ValueError(f"Volumes: {name} must be on one device, got {values[0].device} and {value.device}")
    return list_to_padded(list(values)), [(value.shape[1], value.shape[2], value.shape[3]) for value in values]
