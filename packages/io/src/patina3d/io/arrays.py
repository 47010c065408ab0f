# SPDX-License-Identifier: Apache-2.0
"""Tensors to and from the bytes that cross into the native module."""

import torch
from torch import Tensor

__all__ = ["tensor_from_bytes", "tensor_to_bytes"]


def tensor_from_bytes(data: bytearray, dtype: torch.dtype, columns: int | None = None) -> Tensor:
    """A tensor of shape (rows, columns), or (rows,), over the memory of ``data``, which it keeps alive."""
    flat = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
    return flat if columns is None else flat.view(-1, columns)


def tensor_to_bytes(values: Tensor, dtype: torch.dtype) -> bytes:
    """The values as ``dtype``, row by row, in the machine's byte order."""
    return values.detach().to(device="cpu", dtype=dtype).resolve_neg().numpy().tobytes()
