# SPDX-License-Identifier: Apache-2.0
"""Pictures that a person has looked at, and a comparison that knows where a picture jumps.

`just golden` renders them anew and shows what changed; `just golden --accept` keeps the new ones.
"""

import os
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[2]
NEW = "PATINA3D_GOLDEN"
"""Names a folder: each picture is written there, under its path in the repository, and nothing is compared."""

STEP = 24
"""A pixel whose neighbours differ by more than this (of 255) lies at an edge: coverage may flip there."""
WITHIN = 2
"""Elsewhere a pixel may differ by this: rounding to 8 bits, twice."""
FLIPPED = 0.02
"""The part of the pixels at edges that may differ by more."""


def assert_golden(path: Path, picture: Tensor) -> None:
    """A picture (H, W, 3) with values in [0, 1] is the accepted one, but for a few pixels at its edges."""
    pixels = (picture.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    if folder := os.environ.get(NEW):
        new = Path(folder) / path.relative_to(ROOT)
        new.parent.mkdir(parents=True, exist_ok=True)
        iio.imwrite(new, pixels)
        return
    assert path.is_file(), f"no picture {path.relative_to(ROOT)}: run `just golden --accept` and look at it"
    golden = iio.imread(path)
    assert golden.shape == pixels.shape, f"{path.name}: {golden.shape} became {pixels.shape}"
    away = difference(golden, pixels) > WITHIN
    edge = edges(golden)
    inside, flipped = int((away & ~edge).sum()), int((away & edge).sum())
    advice = f"{path.name}: run `just golden` to see it"
    assert inside == 0, f"{advice}; {inside} pixels inside surfaces differ"
    assert flipped <= FLIPPED * edge.sum(), f"{advice}; {flipped} of {edge.sum()} pixels at edges differ"


def difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The largest difference of a channel, (H, W)."""
    return np.abs(a.astype(int) - b.astype(int)).max(-1)


def edges(pixels: np.ndarray) -> np.ndarray:
    """Where a pixel or one of its eight neighbours is far from another of them, (H, W)."""
    padded = np.pad(pixels.astype(int), ((1, 1), (1, 1), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))
    return (windows.max((-1, -2)) - windows.min((-1, -2))).max(-1) > STEP
