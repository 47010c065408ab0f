# SPDX-License-Identifier: Apache-2.0
"""What all textures have in common."""

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from patina3d.common.batch_index import BatchIndex, checked_copies, normalized_index, selected_elements
from patina3d.renderer.mesh.textures.rows import MeshRows
from patina3d.structures.rows import gather_rows

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["TexturesBase"]


class TexturesBase:
    """The appearance of a batch of N meshes.

    A texture is made before the mesh that wears it. ``Meshes`` adopts it: it asks ``check_shapes`` and then writes the
    true numbers of vertices and faces, and ``valid``, into the same object.

    Derived classes hold their values in attributes that `_parts` names. A part has ``map``, ``select``, ``as_list`` and
    ``with_elements``, as `MeshRows` has; copies, moves, indexing and joining follow from these.

    Attributes:
        device: where the values are.
        valid: (N,) bool, False for an element without anything.
    """

    device: torch.device
    valid: Tensor
    _N: int
    _num_verts_per_mesh: list[int] | None = None
    _num_faces_per_mesh: list[int] | None = None

    def __len__(self) -> int:
        return self._N

    def __repr__(self) -> str:
        """The class, the batch size, and the shape of each part: padded, or of each element of a small batch."""
        described = [f"N={self._N}"]
        for part in self._parts():
            rows: MeshRows = getattr(self, part)
            shapes = [tuple(row.shape) for row in rows.values]
            shape = (
                tuple(rows.values.shape) if isinstance(rows.values, Tensor) else shapes if len(shapes) <= 8 else "[...]"
            )
            described.append(f"{part.removeprefix('_')}={shape}")
        return f"{type(self).__name__}({', '.join(described)}, device={self.device})"

    def __getitem__(self, index: BatchIndex) -> "Self":
        """Some elements, as a new texture without padding.

        Args:
            index: an int, a slice, a list of ints, or a 1-D integer or bool tensor.

        Raises:
            IndexError: out of range, or any other type.
        """
        name = type(self).__name__
        return self._select(selected_elements(normalized_index(index, self._N, name), self._N))

    def isempty(self) -> bool:
        """Whether no element has anything."""
        return self._N == 0 or not bool(self.valid.any())

    def to(self, device: torch.device | str) -> "Self":
        """Move the values in place.

        Returns:
            This object.
        """
        self.device = torch.device(device)
        self._change(lambda tensor: tensor.to(device))
        self.valid = self.valid.to(device)
        return self

    def clone(self) -> "Self":
        """A copy that shares no memory; gradients reach the original values."""
        return self._copy()._change(torch.clone)

    def detach(self) -> "Self":
        """The same values without their history."""
        return self._copy()._change(Tensor.detach)

    def extend(self, N: int) -> "Self":
        """Each element N times in a row; nothing is copied.

        Raises:
            ValueError: when N is not a positive int.
        """
        copies = checked_copies(N, type(self).__name__)
        return self._select([element for element in range(self._N) for _ in range(copies)])

    def join_batch(self, textures: "Sequence[Self]") -> "Self":
        """This batch, then the others, as one batch.

        Args:
            textures: textures of the same class.

        Raises:
            ValueError: for another class or another device among them.
        """
        name = type(self).__name__
        for other in textures:
            if type(other) is not type(self):
                raise ValueError(f"{name}.join_batch: textures must all be {name}, got {type(other).__name__}")
            if other.device != self.device:
                raise ValueError(
                    f"{name}.join_batch: textures must be on one device, got {self.device} and {other.device}"
                )
            self._check_joinable(other)
        batches = [self, *textures]
        joined = self._copy()
        for part in self._parts():
            rows = [row for batch in batches for row in getattr(batch, part).as_list(batch._parts()[part])]
            setattr(joined, part, getattr(self, part).with_elements(rows))
        joined._N = sum(batch._N for batch in batches)
        joined.valid = torch.cat([batch.valid for batch in batches])
        for counts in ("_num_verts_per_mesh", "_num_faces_per_mesh"):
            known = [getattr(batch, counts) for batch in batches]
            setattr(joined, counts, None if None in known else [count for batch in known for count in batch])
        return joined

    def join_scene(self) -> "Self":
        """One texture for all meshes as one mesh."""
        raise NotImplementedError(f"{type(self).__name__} does not implement join_scene")

    def sample_textures(self, fragments: Any, **kwargs: Any) -> Tensor:
        """(N, H, W, K, C): the value at each point that a rasterizer found."""
        raise NotImplementedError(f"{type(self).__name__} does not implement sample_textures")

    def submeshes(
        self, vertex_ids_list: Sequence[Sequence[Tensor]], faces_ids_list: Sequence[Sequence[Tensor]]
    ) -> "TexturesBase":
        """A texture for parts of the meshes.

        Args:
            vertex_ids_list: for each mesh, for each of its parts, the vertices it has.
            faces_ids_list: for each mesh, for each of its parts, the faces it has.

        Returns:
            One element a part, in order.

        Raises:
            IndexError: when the lists do not have one entry a mesh.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement submeshes")

    def faces_verts_textures_packed(self) -> Tensor:
        """(sum of faces, 3, C): the value at each corner of each face."""
        raise NotImplementedError(f"{type(self).__name__} does not implement faces_verts_textures_packed")

    def check_shapes(self, batch_size: int, max_num_verts: int, max_num_faces: int) -> bool:
        """Whether the texture fits a batch of meshes of these sizes."""
        raise NotImplementedError(f"{type(self).__name__} does not implement check_shapes")

    def _parts(self) -> dict[str, list[int]]:
        """The attributes that hold values, and for each the number of rows of each element."""
        raise NotImplementedError(f"{type(self).__name__} does not implement _parts")

    def _check_joinable(self, other: "TexturesBase") -> None:
        """Raise unless another texture of this class samples as this one does."""

    def _rows_of_parts(
        self, rows: Sequence[Tensor], ids_list: Sequence[Sequence[Tensor]], argument: str
    ) -> list[Tensor]:
        """For each element and each of its parts the rows that the part names."""
        if len(ids_list) != self._N:
            raise IndexError(
                f"{type(self).__name__}.submeshes: {argument} must have {self._N} entries, got {len(ids_list)}"
            )
        return [gather_rows(row, ids) for row, parts in zip(rows, ids_list, strict=True) for ids in parts]

    def _copy(self) -> "Self":
        other = copy.copy(self)
        for counts in ("_num_verts_per_mesh", "_num_faces_per_mesh"):
            setattr(other, counts, copy.copy(getattr(self, counts)))
        other.valid = self.valid.clone()
        return other

    def _change(self, change: Callable[[Tensor], Tensor]) -> "Self":
        for part in self._parts():
            setattr(self, part, getattr(self, part).map(change))
        return self

    def _select(self, elements: list[int]) -> "Self":
        other = self._copy()
        for part, counts in self._parts().items():
            setattr(other, part, getattr(self, part).select(elements, counts))
        other._N = len(elements)
        other.valid = self.valid[torch.tensor(elements, dtype=torch.int64, device=self.valid.device)]
        for counts in ("_num_verts_per_mesh", "_num_faces_per_mesh"):
            known = getattr(self, counts)
            setattr(other, counts, known and [known[element] for element in elements])
        return other
