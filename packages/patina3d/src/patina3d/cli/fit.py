# SPDX-License-Identifier: Apache-2.0
"""``patina3d fit``."""

import contextlib
import json
import signal
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from patina3d.cli.errors import UserError
from patina3d.cli.fit_report import write_loss, write_turntable, write_views
from patina3d.cli.inputs import into_unit_ball, load_target, open_folder, pick_device
from patina3d.io import save_obj
from patina3d.models import FitSettings, MeshFit, Views, surface_metrics, views_around
from patina3d.structures import Meshes

__all__ = ["FitOptions", "run_fit"]

_HELD_OUT_VIEWS = 8
_HELD_OUT_PHASE = 0.7
_CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True)
class FitOptions:
    """The options of the command, in its order."""

    target: str
    views: int
    size: int
    iterations: int
    device: str
    out: Path
    seed: int
    resume: bool


def run_fit(options: FitOptions) -> None:
    """Fit, and write fitted.obj, metrics.json, loss.png, views.png and turntable.gif."""
    console = Console()
    device = pick_device(options.device)
    true, centre, scale = into_unit_ball(load_target(options.target, device))
    folder = open_folder(options.out)
    checkpoint = folder / _CHECKPOINT
    torch.manual_seed(options.seed)

    views = views_around(true, options.views, options.size)
    held_out = _held_out_views(true, options.size)
    fit = MeshFit(views, FitSettings(iterations=options.iterations, seed=options.seed))
    start = fit.mesh().detach()
    if options.resume:
        _resume(fit, checkpoint)

    with _ctrl_c() as stop:
        _optimise(fit, options.iterations, stop, console)
        # Also of a finished fit: until its results are written, `--resume` can write them.
        fit.save(checkpoint)
    if fit.step < options.iterations:
        console.print(f"stopped after {fit.step} steps; `--resume` goes on from {checkpoint}")
        raise SystemExit(130)

    fitted = fit.mesh().detach()
    verts = (fitted.verts_packed().double() / scale + centre).float()
    save_obj(folder / "fitted.obj", verts.cpu(), fitted.faces_packed().cpu())
    metrics = _measure(options, fitted, start, true, held_out, fit)
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    write_loss(folder / "loss.png", fit.history)
    write_views(folder / "views.png", true, fitted)
    write_turntable(folder / "turntable.gif", fitted)
    checkpoint.unlink()
    _print(console, metrics, folder)


def _resume(fit: MeshFit, checkpoint: Path) -> None:
    if not checkpoint.is_file():
        raise UserError(f"--resume: there is no checkpoint {checkpoint}")
    try:
        fit.load(checkpoint)
    except OSError as error:
        raise UserError(f"--resume: {checkpoint} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"--resume: {checkpoint} does not fit: {error}") from None


@contextlib.contextmanager
def _ctrl_c() -> Iterator[threading.Event]:
    """What Ctrl-C sets meanwhile, instead of breaking off."""
    pressed = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: pressed.set())
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


def _optimise(fit: MeshFit, iterations: int, stop: threading.Event, console: Console) -> None:
    """Make the steps that are left, until asked to stop."""
    loss = TextColumn("loss {task.fields[loss]:.4f}")
    columns = (TextColumn("fit"), BarColumn(), MofNCompleteColumn(), loss, TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("fit", total=iterations, completed=fit.step, loss=float("nan"))
        while fit.step < iterations and not stop.is_set():
            progress.update(task, advance=1, loss=fit.advance()["loss"])


def _measure(
    options: FitOptions, fitted: Meshes, start: Meshes, true: Meshes, held_out: Views, fit: MeshFit
) -> dict[str, Any]:
    torch.manual_seed(options.seed)
    before, after = surface_metrics(start, true), surface_metrics(fitted, true)
    return {
        "target": options.target,
        "iterations": fit.step,
        "seconds": round(fit.seconds, 2),
        "device": str(true.device),
        "silhouette_iou": held_out_iou(fitted, held_out),
        "chamfer": after.chamfer,
        "chamfer_start": before.chamfer,
        "normal_consistency": after.normal_consistency,
        "f1": {str(threshold): value for threshold, value in after.f1.items()},
        "loss": fit.history[-1],
        "settings": asdict(fit.settings),
    }


def _held_out_views(mesh: Meshes, size: int) -> Views:
    """Another phase, and another number than a fit's: other directions."""
    return views_around(mesh, _HELD_OUT_VIEWS, size, phase=_HELD_OUT_PHASE)


def held_out_iou(mesh: Meshes, views: Views) -> float:
    """Intersection over union of hard silhouettes, averaged over views that the fit never saw."""
    again = _held_out_views(mesh, views.rgb.shape[1]).silhouette > 0
    true = views.silhouette > 0
    return ((again & true).sum((1, 2)) / (again | true).sum((1, 2)).clamp(min=1)).mean().item()


def _print(console: Console, metrics: dict[str, Any], folder: Path) -> None:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_row("held-out silhouette IoU", f"{metrics['silhouette_iou']:.4f}")
    ratio = metrics["chamfer_start"] / max(metrics["chamfer"], 1e-12)
    table.add_row("Chamfer distance", f"{metrics['chamfer']:.4f} ({ratio:.0f}x below the start's)")
    table.add_row("normal consistency", f"{metrics['normal_consistency']:.4f}")
    table.add_row("F1 at 0.1, 0.3, 0.5", ", ".join(f"{value:.1f}" for value in metrics["f1"].values()))
    table.add_row("seconds", f"{metrics['seconds']:.1f}")
    table.add_row("written to", str(folder))
    console.print(table)
