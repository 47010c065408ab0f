# SPDX-License-Identifier: Apache-2.0
"""What ``Pointclouds`` accepts, and the one form each input is brought to."""

from collections.abc import Sequence

import torch
from torch import Tensor

from patina3d.structures.layout import RowLayout
from patina3d.structures.ragged import RaggedRows, rows_of_one_dtype

__all__ = ["checked_attribute", "checked_points"]


def checked_points(points: Sequence[Tensor] | Tensor) -> RaggedRows:
    """Points as a list of (P_n, 3) or padded (N, P, 3), of which every row counts."""
    if isinstance(points, Tensor):
        if points.ndim != 3 or points.shape[2] != 3:
            raise ValueError(f"Pointclouds: padded points must have shape (N, P, 3), got {tuple(points.shape)}")
        _check_floating(points, "points")
        num, width, _ = points.shape
        return RaggedRows(RowLayout([width] * num, points.device, width=width), padded=points)
    if not isinstance(points, list):
        raise ValueError(f"Pointclouds: points must be a list or a tensor, got {type(points).__name__}")
    for n, tensor in enumerate(points):
        _check_rows(tensor, f"points[{n}]", points[0])
        if tensor.shape != (0,) and (tensor.ndim != 2 or tensor.shape[1] != 3):
            raise ValueError(f"Pointclouds: points[{n}] must have shape (P, 3), got {tuple(tensor.shape)}")
        _check_floating(tensor, f"points[{n}]")
    if not points:
        return RaggedRows(RowLayout([], torch.device("cpu")), packed=torch.zeros((0, 3)))
    rows = rows_of_one_dtype(points, 3, "Pointclouds: points")
    return RaggedRows(RowLayout([tensor.shape[0] for tensor in rows], rows[0].device), rows=rows)


def checked_attribute(
    name: str, values: Sequence[Tensor | None] | Tensor | None, points: RaggedRows, columns: int | None
) -> RaggedRows | None:
    """Normals or features as a list of (P_n, C) or padded (N, P, C), with C = ``columns`` if that is given."""
    layout = points.layout
    if values is None or len(layout) == 0:
        return None
    if isinstance(values, Tensor):
        expected = (len(layout), layout.width)
        if values.ndim != 3 or values.shape[:2] != expected or columns not in (None, values.shape[2]):
            raise ValueError(
                f"Pointclouds: {name} must have shape {(*expected, columns or 'C')}, got {tuple(values.shape)}"
            )
        _check_rows(values, name, points.as_padded())
        attribute = RaggedRows(layout, padded=values)
    elif isinstance(values, list):
        attribute = RaggedRows(layout, rows=_checked_list(name, values, points, columns))
    else:
        raise ValueError(f"Pointclouds: {name} must be a list or a tensor, got {type(values).__name__}")
    return attribute


def _checked_list(name: str, values: Sequence[Tensor | None], points: RaggedRows, columns: int | None) -> list[Tensor]:
    counts, like = points.layout.counts, points.as_list()[0]
    if len(values) != len(counts):
        raise ValueError(f"Pointclouds: {name} must have {len(counts)} entries, one a cloud, got {len(values)}")
    widths = [value.shape[1] for value in values if isinstance(value, Tensor) and value.ndim == 2]
    columns = columns if columns is not None else (widths[0] if widths else 0)
    rows = []
    for n, (value, count) in enumerate(zip(values, counts, strict=True)):
        if count == 0 and (value is None or value.ndim != 2):
            value = like.new_zeros((0, columns))
        value = _check_rows(value, f"{name}[{n}]", like)
        if value.shape != (count, columns):
            raise ValueError(f"Pointclouds: {name}[{n}] must have shape {(count, columns)}, got {tuple(value.shape)}")
        rows.append(value)
    return rows_of_one_dtype(rows, columns, f"Pointclouds: {name}")


def _check_rows(tensor: Tensor | None, name: str, like: Tensor) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise ValueError(f"Pointclouds: {name} must be a tensor, got {type(tensor).__name__}")
    if tensor.device != like.device:
        raise ValueError(f"Pointclouds: all tensors must be on the same device, got {like.device} and {tensor.device}")
    return tensor


def _check_floating(tensor: Tensor, name: str) -> None:
    if not tensor.is_floating_point():
        raise TypeError(f"Pointclouds: {name} must be floating, got {tensor.dtype}")
