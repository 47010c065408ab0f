# SPDX-License-Identifier: Apache-2.0
"""Image files as tensors."""

import io

import numpy as np
import torch
from torch import Tensor

__all__ = ["decode_image"]

_GREATEST = {"I": 65535, "I;16": 65535, "I;16L": 65535, "I;16B": 65535, "I;16N": 65535, "F": 1}
"""Of grey in modes of more than 8 bits."""


def decode_image(operator: str, data: bytes, source: str) -> Tensor:
    """Decode an image of any format and mode that Pillow reads.

    Args:
        operator: who reads, for errors.
        data: the bytes of the file.
        source: its name for errors.

    Returns:
        (H, W, 3) float32 in [0, 1], row 0 at the top. Grey is replicated, alpha is dropped, a palette is looked up; 16
        bits are divided by 65535; floats are taken as they are.

    Raises:
        ImportError: Pillow is not installed.
        ValueError: the file is no image, or a damaged one.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(f"{operator}: images are read with Pillow; install it by `pip install pillow`") from error
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.mode in _GREATEST:
                grey = torch.from_numpy(np.asarray(image, dtype=np.float32) / np.float32(_GREATEST[image.mode]))
                return grey[:, :, None].repeat(1, 1, 3)
            pixels = np.array(image.convert("RGB"))
    except MemoryError:
        raise
    except Exception as error:  # decoders raise whatever a damaged file leads them to
        raise ValueError(f"{operator}: {source} cannot be decoded as an image: {error}") from error
    return torch.from_numpy(pixels).to(torch.float32) / 255
