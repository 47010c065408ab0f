# SPDX-License-Identifier: Apache-2.0
"""One quantity of a batch (positions, normals, features) in its three forms."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from patina3d.structures.layout import RowLayout
from patina3d.structures.once import copy_with, once
from patina3d.structures.rows import gather_rows

__all__ = ["RaggedRows", "rows_of_one_dtype"]


class RaggedRows:
    """Rows of D columns for each element of a batch. Never changes; each form is made when first asked for.

    Args:
        layout: how many rows each element has.
        rows: the list form, not empty; or
        packed: the packed form; or
        padded: the padded form; what stands in the padding is not looked at.

    Example:
        >>> rows = RaggedRows(RowLayout([2, 1], torch.device("cpu")), rows=[torch.ones(2, 1), 2 * torch.ones(1, 1)])
        >>> rows.as_packed()
        tensor([[1.],
                [1.],
                [2.]])
    """

    def __init__(
        self,
        layout: RowLayout,
        *,
        rows: list[Tensor] | None = None,
        packed: Tensor | None = None,
        padded: Tensor | None = None,
    ) -> None:
        self.layout = layout
        self._as_list = rows
        self._as_packed = packed
        self._as_padded = padded

    @once
    def as_list(self) -> list[Tensor]:
        """N tensors (counts[n], D)."""
        if self._as_padded is not None:
            return self.layout.list_from_padded(self._as_padded)
        return self.layout.list_from_packed(self.as_packed())

    @once
    def as_packed(self) -> Tensor:
        """(total, D)."""
        if self._as_list:
            return self.layout.packed_from_list(self._as_list)
        return self.layout.packed_from_padded(self.as_padded())

    @once
    def as_padded(self) -> Tensor:
        """(N, width, D), padded with 0 unless it was given."""
        return self.layout.padded_from_packed(self.as_packed(), padding=0)

    def computed(self, form: str) -> Tensor | list[Tensor] | None:
        """The form ``list``, ``packed`` or ``padded`` if it is there already, else None."""
        return getattr(self, f"_as_{form}", None)

    @property
    def dtype(self) -> torch.dtype:
        """Of all rows."""
        return self._some_form().dtype

    @property
    def columns(self) -> int:
        """D."""
        return self._some_form().shape[-1]

    def select(self, elements: Sequence[int], layout: RowLayout) -> "RaggedRows":
        """The chosen elements; their tensors are shared."""
        if len(elements) == 0:
            return RaggedRows(layout, packed=self.as_packed()[:0])
        rows = self.as_list()
        return RaggedRows(layout, rows=[rows[n] for n in elements])

    def gathered(self, index: Sequence[Sequence[Tensor]], layout: RowLayout) -> "RaggedRows":
        """For each element and each of its index sets the rows named, as elements of their own."""
        chosen = [gather_rows(rows, ids) for rows, sets in zip(self.as_list(), index, strict=True) for ids in sets]
        return RaggedRows(layout, rows=chosen) if chosen else RaggedRows(layout, packed=self.as_packed()[:0])

    def shifted(self, offsets: Tensor, operator: str) -> "RaggedRows":
        """All rows moved by (D,), or each packed row by its own of (total, D).

        Raises:
            ValueError: another shape.
        """
        packed = self.as_packed()
        if offsets.shape not in (packed.shape, packed.shape[1:]):
            raise ValueError(
                f"{operator}: offsets must have shape {tuple(packed.shape[1:])} or {tuple(packed.shape)}, "
                f"got {tuple(offsets.shape)}"
            )
        return RaggedRows(self.layout, packed=packed + offsets)

    def scaled(self, scale: float | Tensor, operator: str) -> "RaggedRows":
        """All rows times a number, or those of each element times its own of (N,).

        Raises:
            ValueError: another shape.
        """
        if isinstance(scale, Tensor) and scale.ndim > 0:
            if scale.shape != (len(self.layout),):
                raise ValueError(
                    f"{operator}: scale must be a number or have shape {(len(self.layout),)}, got {tuple(scale.shape)}"
                )
            scale = gather_rows(scale.to(self.layout.device), self.layout.element_of_row())[:, None]
        return RaggedRows(self.layout, packed=self.as_packed() * scale)

    def mapped(self, change: Callable[[Tensor], Tensor], layout: RowLayout) -> "RaggedRows":
        """The same rows with every tensor gone through ``change``: a clone, a detached or a moved one."""
        other = copy_with(self, change)
        other.layout = layout
        return other

    def _some_form(self) -> Tensor:
        if self._as_list:
            return self._as_list[0]
        return self.as_packed() if self._as_padded is None else self._as_padded


def rows_of_one_dtype(tensors: list[Tensor], columns: int, what: str) -> list[Tensor]:
    """Tensors (rows, columns) of one dtype: those without rows may be (0,), and take the dtype of the others.

    Raises:
        TypeError: tensors with rows differ in dtype.

    Example:
        >>> rows_of_one_dtype([torch.zeros(0), torch.ones(1, 2, dtype=torch.float64)], 2, "Meshes: verts")[0].dtype
        torch.float64
    """
    occupied = [tensor for tensor in tensors if tensor.shape[0] > 0] or tensors
    dtypes = {tensor.dtype for tensor in occupied}
    if len(dtypes) > 1:
        raise TypeError(f"{what} must have one dtype, got {' and '.join(sorted(map(str, dtypes)))}")
    empty = [tensor.to(occupied[0].dtype) if tensor.shape[0] == 0 else tensor for tensor in tensors]
    return [tensor if tensor.ndim == 2 else tensor.reshape(0, columns) for tensor in empty]
