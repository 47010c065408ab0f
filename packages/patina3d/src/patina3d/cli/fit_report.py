# SPDX-License-Identifier: Apache-2.0
"""The pictures that a fit leaves behind."""

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from patina3d.cli.pictures import portrait, to_bytes
from patina3d.structures import Meshes

__all__ = ["write_loss", "write_turntable", "write_views"]

_VIEWS = ((15.0, 0.0), (15.0, 90.0), (15.0, 180.0), (15.0, 270.0))
_FRAMES = 24


def write_loss(path: Path, history: list[dict[str, float]]) -> None:
    """The terms of the loss over the steps, on a logarithmic scale."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for name in history[0]:
        values = [max(terms[name], 1e-8) for terms in history]
        axes.plot(values, label=name, linewidth=2.0 if name == "loss" else 1.0)
    axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.set_ylabel("loss (terms without their weights)")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def write_views(path: Path, true: Meshes, fitted: Meshes, size: int = 224) -> None:
    """Target above, fitted below, a column a view."""
    with torch.no_grad():
        columns = [
            torch.cat([portrait(mesh, size, elevation, azimuth) for mesh in (true, fitted)])
            for elevation, azimuth in _VIEWS
        ]
    iio.imwrite(path, to_bytes(torch.cat(columns, dim=1)))


def write_turntable(path: Path, fitted: Meshes, size: int = 224) -> None:
    """One turn around the fitted mesh."""
    with torch.no_grad():
        frames = [to_bytes(portrait(fitted, size, 15.0, 360.0 * i / _FRAMES)) for i in range(_FRAMES)]
    iio.imwrite(path, np.stack(frames), duration=80, loop=0)
