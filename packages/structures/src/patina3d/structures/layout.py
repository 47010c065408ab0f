# SPDX-License-Identifier: Apache-2.0
"""Where the rows of each element of a batch stand in list, packed and padded form.

The three forms of a batch of N elements, element n with ``counts[n]`` rows:

- list: N tensors (counts[n], ...);
- packed: (sum of counts, ...), the elements one after the other;
- padded: (N, width, ...), the rows of an element first, then padding.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from patina3d.structures.once import copy_with, once
from patina3d.structures.rows import gather_rows

__all__ = ["RowLayout"]


class RowLayout:
    """Row counts of a batch, and the index tensors that follow from them. Never changes.

    Args:
        counts: rows of each element.
        device: where index tensors are made.
        width: rows of the padded form; by default the largest count.

    Example:
        >>> layout = RowLayout([2, 1], torch.device("cpu"))
        >>> layout.padded_from_packed(torch.tensor([1.0, 2.0, 3.0]), padding=0.0)
        tensor([[1., 2.],
                [3., 0.]])
    """

    def __init__(self, counts: Sequence[int], device: torch.device, *, width: int | None = None) -> None:
        self.counts = tuple(counts)
        self.total = sum(self.counts)
        self.device = device
        self.width = max(self.counts, default=0) if width is None else width
        self.has_padding = any(count != self.width for count in self.counts)

    def __len__(self) -> int:
        return len(self.counts)

    def __repr__(self) -> str:
        """All counts of a small batch, else their range."""
        return str(list(self.counts)) if len(self) <= 8 else f"{min(self.counts)}..{max(self.counts)}"

    @property
    def is_uniform(self) -> bool:
        """Whether there is an element and all have equally many rows."""
        return len(set(self.counts)) == 1

    @once
    def num_rows(self) -> Tensor:
        """(N,) int64: rows of each element."""
        return torch.tensor(self.counts, dtype=torch.int64, device=self.device)

    @once
    def first_row(self) -> Tensor:
        """(N,) int64: the packed row at which each element begins."""
        return self.num_rows().cumsum(0) - self.num_rows()

    @once
    def element_of_row(self) -> Tensor:
        """(total,) int64: the element of each packed row."""
        elements = torch.arange(len(self), device=self.device)
        return torch.repeat_interleave(elements, self.num_rows(), output_size=self.total)

    @once
    def padded_row(self) -> Tensor:
        """(total,) int64: where each packed row stands in the padded form, flattened to (N * width, ...)."""
        packed_row = torch.arange(self.total, device=self.device)
        if not self.has_padding:
            return packed_row
        starts = torch.arange(len(self), device=self.device) * self.width
        return packed_row + gather_rows(starts - self.first_row(), self.element_of_row())

    def computed(self, name: str) -> Tensor | None:
        """What the method ``name`` would return if it was computed, else None."""
        return getattr(self, f"_{name}", None)

    def packed_from_list(self, rows: Sequence[Tensor]) -> Tensor:
        """(total, ...): the elements one after the other. ``rows`` must not be empty."""
        return rows[0] if len(rows) == 1 else torch.cat(list(rows))

    def packed_from_padded(self, padded: Tensor) -> Tensor:
        """(total, ...): a view where there is no padding."""
        flat = padded.reshape(len(self) * self.width, *padded.shape[2:])
        return gather_rows(flat, self.padded_row()) if self.has_padding else flat

    def padded_from_packed(self, packed: Tensor, *, padding: float) -> Tensor:
        """(N, width, ...): a view where there is no padding."""
        if self.has_padding:
            flat = packed.new_full((len(self) * self.width, *packed.shape[1:]), padding)
            packed = flat.index_copy(0, self.padded_row(), packed)
        return packed.reshape(len(self), self.width, *packed.shape[1:])

    def list_from_packed(self, packed: Tensor) -> list[Tensor]:
        """N views (counts[n], ...)."""
        return list(packed.split(self.counts))

    def list_from_padded(self, padded: Tensor) -> list[Tensor]:
        """N views (counts[n], ...)."""
        return [rows[:count] for rows, count in zip(padded, self.counts, strict=True)]

    def bounding_boxes(self, padded: Tensor) -> Tensor:
        """(N, D, 2): least and greatest value of each column of (N, width, D); (inf, -inf) where there is no row."""
        # One row of padding more than there is keeps the reductions defined for width 0.
        inside = torch.arange(self.width + 1, device=self.device) < self.num_rows()[:, None]
        low = torch.nn.functional.pad(padded, (0, 0, 0, 1))
        return torch.stack(
            [
                low.masked_fill(~inside[..., None], torch.inf).amin(1),
                low.masked_fill(~inside[..., None], -torch.inf).amax(1),
            ],
            dim=-1,
        )

    def clone(self) -> "RowLayout":
        """A copy that shares no tensor."""
        return copy_with(self, torch.clone)

    def to(self, device: torch.device) -> "RowLayout":
        """The same layout with its index tensors on another device."""
        other = copy_with(self, lambda tensor: tensor.to(device))
        other.device = device
        return other
