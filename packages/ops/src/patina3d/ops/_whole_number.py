# SPDX-License-Identifier: Apache-2.0
"""Arguments that count something."""

import operator
from typing import Any

import torch

__all__ = ["whole_number"]


def whole_number(name: str, argument: str, value: Any, expected: str = "must be an int") -> int:
    """The value as an int, if it is an integer of any kind (of numpy, say). A bool is none.

    Example:
        >>> whole_number("knn_points", "K", 3)
        3
    """
    if not isinstance(value, bool):
        if isinstance(value, int | torch.SymInt):
            return value  # pyright: ignore[reportReturnType]
        try:
            return operator.index(value)
        except TypeError:
            pass
    raise TypeError(f"{name}: {argument} {expected}, got {type(value).__name__}")
