# SPDX-License-Identifier: Apache-2.0
"""Results as a table for people, JSON for machines and a plot, log-log like a paper's."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from harness import Measurement, Result
from patina3d.core import doctor

RESULTS = Path(__file__).resolve().parent / "results"
OURS = "patina3d"


def machine(device: torch.device) -> str:
    """The name of the folder that results of this machine go to: the GPU, or the CPU and its cores."""
    if device.type == "cuda":
        return _slug(torch.cuda.get_device_name(device))
    return _slug(f"{_cpu()} {os.cpu_count()} cores")


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _slug(name: str) -> str:
    name = re.sub(r"\((?:r|tm)\)|@.*|\bcpu\b|\bprocessor\b", " ", name.lower())
    return "-".join(re.findall(r"[a-z0-9]+", name))


def ratio(measurement: Measurement, result: Result) -> float | None:
    """How many times the time of ours a contestant takes, in the same run."""
    ours = next((m.seconds for m in result.measurements if m.contestant == OURS), None)
    return measurement.seconds / ours if ours and measurement.seconds else None


def print_result(result: Result, console: Console) -> None:
    """A row for each contestant."""
    parameters = ", ".join(f"{name}={value}" for name, value in result.case.parameters.items())
    table = Table(title=f"{result.case.series}: {parameters}", title_justify="left")
    for column in ("", "time", "±", "CPU time", "peak memory", "times ours"):
        table.add_column(column, justify="left" if not column else "right")
    for m in result.measurements:
        if m.problem is not None:
            table.add_row(m.contestant, m.problem)
            continue
        times = ratio(m, result)
        table.add_row(
            m.contestant,
            duration(m.seconds),
            "" if m.spread is None else f"{m.spread:.0%}",
            duration(m.cpu_seconds),
            size(m.peak_bytes),
            "" if times is None or m.contestant == OURS else factor(times),
        )
    console.print(table)


def duration(seconds: float | None) -> str:
    """Seconds with a unit of three digits."""
    if seconds is None:
        return ""
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def factor(times: float) -> str:
    """A ratio in two digits, or in whole numbers."""
    return f"{times:.0f}" if times >= 10 else f"{times:.2g}"


def size(count: int | None) -> str:
    """Bytes with a binary unit."""
    if count is None:
        return ""
    for unit, scale in (("GiB", 2**30), ("MiB", 2**20)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count / 2**10:.3g} KiB"


def write(results: list[Result], device: torch.device, name: str) -> list[Path]:
    """Write `<name>.json` and a plot a series into the machine's folder; return what was written."""
    folder = RESULTS / machine(device)
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / f"{name}.json"]
    written[0].write_text(json.dumps(as_json(results, device), indent=1) + "\n")
    for series in dict.fromkeys(result.case.series for result in results):
        if path := _plot(series, [result for result in results if result.case.series == series], folder):
            written.append(path)
    return written


def as_json(results: Iterable[Result], device: torch.device) -> dict[str, Any]:
    """Results as plain values, with what they were measured on."""
    report = doctor()
    return {
        "machine": machine(device),
        "device": device.type,
        "versions": {name: report[name] for name in ("patina3d", "torch", "python", "driver")},
        "instruction_set": report["instruction_set"],
        "threads": report["threads"],
        "results": [
            {
                "series": result.case.series,
                "x": result.case.x,
                "parameters": dict(result.case.parameters),
                "contestants": {
                    m.contestant: {
                        "seconds": m.seconds,
                        "spread": m.spread,
                        "runs": len(m.runs),
                        "cpu_seconds": m.cpu_seconds,
                        "peak_bytes": m.peak_bytes,
                        "times_ours": ratio(m, result),
                        "problem": m.problem,
                    }
                    for m in result.measurements
                },
            }
            for result in results
        ],
    }


def _plot(series: str, results: list[Result], folder: Path) -> Path | None:
    """Time and peak memory over the parameter `x`, a line for each contestant and each setting of the others."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    x = results[0].case.x
    lines: dict[str, list[tuple[float, float, float | None]]] = {}
    for result in results:
        others = " ".join(f"{name}={value}" for name, value in result.case.parameters.items() if name != x)
        for m in result.measurements:
            if m.seconds is not None:
                point = (float(result.case.parameters[x]), 1e3 * m.seconds, m.peak_bytes and m.peak_bytes / 2**20)
                lines.setdefault(f"{m.contestant} {others}".strip(), []).append(point)
    if max((len(points) for points in lines.values()), default=0) < 2:
        return None
    figure, (time_axes, memory_axes) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    figure.suptitle(series)
    for label, points in sorted(lines.items(), key=lambda line: not line[0].startswith(OURS)):
        ours = label.startswith(OURS)
        style = {"marker": "o", "markersize": 3, "linewidth": 2 if ours else 1, "linestyle": "-" if ours else "--"}
        time_axes.loglog([p[0] for p in points], [p[1] for p in points], label=label, **style)
        memory_axes.loglog([p[0] for p in points], [p[2] or float("nan") for p in points], label=label, **style)
    time_axes.set(xlabel=x, ylabel="time of a run, ms")
    memory_axes.set(xlabel=x, ylabel="peak memory, MiB")
    time_axes.legend(fontsize="x-small")
    for axes in (time_axes, memory_axes):
        axes.grid(visible=True, which="both", linewidth=0.3)
    path = folder / f"{series}.png"
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path
