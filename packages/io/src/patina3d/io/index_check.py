# SPDX-License-Identifier: Apache-2.0
"""The warning about indices that point outside their array."""

import warnings

from torch import Tensor

__all__ = ["warn_of_invalid_indices"]


def warn_of_invalid_indices(
    operator: str, name: str, indices: Tensor, size: int, *, pad: int | None = None, stacklevel: int = 3
) -> None:
    """Give one ``UserWarning`` if an entry of ``indices`` lies outside [0, size).

    Args:
        operator: who found them.
        name: what the indices are called.
        indices: (F, 3) integer tensor.
        size: length of the array that is pointed into.
        pad: rows that hold nothing but this value are meant to point nowhere.
        stacklevel: of the warning, so that it names the caller's line.
    """
    if indices.numel() == 0:
        return
    low, high = (int(bound) for bound in indices.aminmax())
    if (low >= 0 and high < size) or low == high == pad:
        return
    invalid = (indices < 0) | (indices >= size)
    if pad is not None:
        invalid &= (indices != pad).any(dim=1, keepdim=True)
    rows = invalid.any(dim=1)
    count = int(rows.sum())
    if count:
        first = int(rows.nonzero()[0])
        warnings.warn(
            f"Faces have invalid indices. {operator}: {count} of {len(indices)} rows of {name} hold an index outside "
            f"[0, {size}); the first is row {first}: {indices[first].tolist()}",
            UserWarning,
            stacklevel=stacklevel,
        )
