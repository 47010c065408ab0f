# SPDX-License-Identifier: Apache-2.0
"""Texture maps as PNG files (Portable Network Graphics, second edition, W3C 2003): 8-bit RGB."""

import struct
import zlib

import torch
from torch import Tensor

__all__ = ["encode_png"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_BIT_DEPTH, _COLOUR_TYPE_RGB = 8, 2


def encode_png(image: Tensor) -> bytes:
    """Encode an image.

    Args:
        image: (H, W, 3) floating tensor with H, W > 0, row 0 at the top. Values are clamped to [0, 1] and rounded to
            the nearest of 256 steps; nan counts as 0.

    Returns:
        The bytes of the file.
    """
    height, width, _ = image.shape
    values = image.detach().to(device="cpu", dtype=torch.float64).nan_to_num(nan=0.0).clamp(0, 1)
    rows = (values * 255).round().to(torch.uint8).reshape(height, 3 * width)
    unfiltered = torch.zeros((height, 1), dtype=torch.uint8)
    header = struct.pack(">IIBBBBB", width, height, _BIT_DEPTH, _COLOUR_TYPE_RGB, 0, 0, 0)
    data = zlib.compress(torch.cat([unfiltered, rows], dim=1).numpy().tobytes())
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
