# SPDX-License-Identifier: Apache-2.0
"""What the writers ask of their arguments."""

import torch
from torch import Tensor

__all__ = ["check_indices", "check_rows", "checked_decimal_places", "num_rows"]

_MOST_DECIMAL_PLACES = 1074  # no double has more


def num_rows(values: Tensor) -> int:
    """The number of rows of a tensor that may be empty in any shape."""
    return len(values) if values.numel() else 0


def check_rows(operator: str, name: str, values: Tensor, columns: int) -> None:
    """Refuse what is not a real tensor of shape (., columns); an empty one may have any shape."""
    if not isinstance(values, Tensor):
        raise TypeError(f"{operator}: {name} must be a tensor, got {type(values).__name__}")
    if values.is_complex():
        raise ValueError(f"{operator}: {name} must be real, got {values.dtype}")
    if values.numel() and (values.dim() != 2 or values.shape[1] != columns):
        raise ValueError(f"{operator}: {name} must have shape (., {columns}), got {tuple(values.shape)}")


def check_indices(operator: str, name: str, indices: Tensor, faces: Tensor | None) -> None:
    """Refuse what is not an integer tensor of shape (., 3), or has another number of rows than ``faces``, if given."""
    check_rows(operator, name, indices, 3)
    if indices.numel() and (indices.is_floating_point() or indices.dtype == torch.bool):
        raise ValueError(f"{operator}: {name} must hold integers, got {indices.dtype}")
    if faces is not None and num_rows(indices) != num_rows(faces):
        expected, got = (num_rows(faces), 3), tuple(indices.shape)
        raise ValueError(f"{operator}: {name} must have one row for each face, {expected}, got {got}")


def checked_decimal_places(operator: str, decimal_places: int | None) -> int:
    """The number of digits after the point; None: 6."""
    if decimal_places is None:
        return 6
    if not isinstance(decimal_places, int) or not 0 <= decimal_places <= _MOST_DECIMAL_PLACES:
        bounds = f"[0, {_MOST_DECIMAL_PLACES}]"
        raise ValueError(f"{operator}: decimal_places must be None or an integer in {bounds}, got {decimal_places!r}")
    return decimal_places
