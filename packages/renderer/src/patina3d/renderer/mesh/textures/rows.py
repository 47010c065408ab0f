# SPDX-License-Identifier: Apache-2.0
"""Values that belong to the vertices or to the faces of each mesh of a batch."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from patina3d.structures.utils import list_to_padded, padded_to_list

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["MeshRows"]


class MeshRows:
    """N tensors with a row for each vertex (or face) of their mesh, kept as they were given: a list, or padded.

    The other form is made at each call, so that it is never out of date with what was given. How many rows of a padded
    element count is for its user to say: that is known once there is a mesh.

    Args:
        values: a list or tuple of N tensors (R_n, ...) equal in all sizes but the first, in dtype and in device; or one
            tensor (N, R, ...).
        row_dims: number of dimensions of an element, its rows included.
        name: the argument's name for error messages, such as "TexturesVertex: verts_features".

    Raises:
        ValueError: for anything else.
    """

    # From this one on, the sizes of an element are those of all.
    _FIRST_SHARED_SIZE = 1

    def __init__(self, values: Tensor | Sequence[Tensor], row_dims: int, name: str) -> None:
        if isinstance(values, Tensor):
            if values.dim() != row_dims + 1:
                raise ValueError(f"{name} must have {row_dims + 1} dimensions when padded, got {tuple(values.shape)}")
        elif isinstance(values, (list, tuple)):
            values = list(values)
            self._check_list(values, row_dims, name)
        else:
            raise ValueError(f"{name} must be a tensor or a list of tensors, got {type(values).__name__}")
        self.values: Tensor | list[Tensor] = values
        self.name = name
        self._row_dims = row_dims

    def __len__(self) -> int:
        return len(self.values)

    @property
    def device(self) -> torch.device:
        """Where the values are; the CPU for an empty list."""
        values = self.values
        return values.device if isinstance(values, Tensor) else values[0].device if values else torch.device("cpu")

    @property
    def sizes(self) -> list[int]:
        """The number of rows of each element as given, padding included."""
        return [rows.shape[0] for rows in self.values]

    @property
    def width(self) -> int:
        """The number of rows of the padded form."""
        return self.values.shape[1] if isinstance(self.values, Tensor) else max(self.sizes, default=0)

    def as_list(self, counts: Sequence[int]) -> list[Tensor]:
        """N tensors (counts[n], ...): what was given, or views of it."""
        if isinstance(self.values, Tensor):
            if any(count > self.width for count in counts):
                raise ValueError(f"{self.name} must have a row for each of {max(counts)} rows, got {self.width}")
            return padded_to_list(self.values, list(counts))
        if self.sizes != list(counts):
            raise ValueError(f"{self.name} must have {list(counts)} rows, got {self.sizes}")
        return self.values

    def as_padded(self) -> Tensor:
        """(N, R, ...): what was given, or a copy with zeros after each element's rows."""
        if isinstance(self.values, Tensor):
            return self.values
        if not self.values:
            return torch.zeros((0,) * (self._row_dims + 1))
        return list_to_padded(self.values, (self.width, *self.values[0].shape[1:]))

    def as_packed(self, counts: Sequence[int]) -> Tensor:
        """(sum of counts, ...): a view where there is no padding to leave out."""
        if isinstance(self.values, Tensor) and all(count == self.width for count in counts):
            return self.values.flatten(0, 1)
        rows = self.as_list(counts)
        if not rows:
            return torch.zeros((0,) * self._row_dims)
        return rows[0] if len(rows) == 1 else torch.cat(rows)

    def map(self, change: Callable[[Tensor], Tensor]) -> "Self":
        """The same rows with each tensor changed; one that several elements share is changed once and stays shared."""
        if isinstance(self.values, Tensor):
            return type(self)(change(self.values), self._row_dims, self.name)
        changed: dict[int, Tensor] = {}
        for rows in self.values:
            if id(rows) not in changed:
                changed[id(rows)] = change(rows)
        return self.with_elements([changed[id(rows)] for rows in self.values])

    def select(self, elements: Sequence[int], counts: Sequence[int]) -> "Self":
        """Some elements, without padding, in the order asked for; an element may be repeated and is not copied."""
        rows = self.as_list(counts)
        return self.with_elements([rows[element] for element in elements])

    def with_elements(self, rows: Sequence[Tensor]) -> "Self":
        """Other elements of the same kind."""
        return type(self)(list(rows), self._row_dims, self.name)

    def _check_list(self, values: list[Tensor], row_dims: int, name: str) -> None:
        if not all(isinstance(rows, Tensor) and rows.dim() == row_dims for rows in values):
            got = [tuple(rows.shape) if isinstance(rows, Tensor) else type(rows).__name__ for rows in values]
            raise ValueError(f"{name} must be a list of tensors of {row_dims} dimensions, got {got}")
        kinds = {(tuple(rows.shape[self._FIRST_SHARED_SIZE :]), rows.dtype, rows.device) for rows in values}
        if len(kinds) > 1:
            shared = "all sizes but the first" if self._FIRST_SHARED_SIZE == 1 else "the last size"
            raise ValueError(f"{name} must be a list of tensors equal in dtype, device and {shared}")
