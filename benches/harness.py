# SPDX-License-Identifier: Apache-2.0
"""Measure ourselves and others side by side.

A bench file defines `cases(device)`, which yields a `Case` for each problem, smallest first. All contestants of a case
run in turns in one process, so that whatever slows the machine down slows all of them.
"""

from __future__ import annotations

import ctypes
import gc
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import torch

WARM_UP_SECONDS = 0.2
SECONDS = 1.0
FEWEST, MOST = 5, 200
GIVE_UP_SECONDS = 5.0
"""Who takes longer than this for one run is left out of the larger cases of the series."""


def available(*modules: str) -> bool:
    """Whether peers can be imported here."""
    return all(find_spec(module) is not None for module in modules)


@dataclass(frozen=True)
class Case:
    """One problem and those who solve it."""

    series: str
    """The name of the experiment, such as `fig1c_knn`: cases of one series share a table and a plot."""
    x: str
    """The parameter on the plot's horizontal axis."""
    parameters: Mapping[str, float | str]
    """What describes the problem, `x` among it."""
    contestants: Mapping[str, Callable[[], object]]
    """Who solves it, by name; `patina3d` is the one that ratios are taken against. Each call is one run."""


@dataclass
class Measurement:
    """What one contestant took for one case. Times are seconds a run, memory is bytes beyond what was there before."""

    contestant: str
    problem: str | None = None
    """Why there are no numbers."""
    runs: list[float] = field(default_factory=list)
    cpu_seconds: float | None = None
    peak_bytes: int | None = None

    @property
    def seconds(self) -> float | None:
        """The median."""
        return statistics.median(self.runs) if self.runs else None

    @property
    def spread(self) -> float | None:
        """Half the distance of the quartiles, relative to the median."""
        if len(self.runs) < 2:
            return None
        low, middle, high = statistics.quantiles(self.runs, n=4)
        return (high - low) / (2 * middle)


@dataclass
class Result:
    """A case and what each contestant took."""

    case: Case
    measurements: list[Measurement]


def run(cases: Iterable[Case], device: torch.device, progress: Callable[[Result], None]) -> list[Result]:
    """Measure every case; `progress` hears of each as soon as it is done."""
    results = []
    given_up: set[tuple[str, str]] = set()
    for case in cases:
        left_out = {name for series, name in given_up if series == case.series}
        result = measure(case, device, left_out=left_out)
        given_up |= {
            (case.series, m.contestant)
            for m in result.measurements
            if m.problem is not None or (m.seconds or 0) > GIVE_UP_SECONDS
        }
        results.append(result)
        progress(result)
    return results


def measure(case: Case, device: torch.device, *, left_out: Iterable[str] = ()) -> Result:
    """Warm up, measure memory once, then take turns until each contestant has had its time."""
    measurements = [Measurement(name) for name in case.contestants]
    for m in measurements:
        if m.contestant in left_out:
            m.problem = "too slow or too large before"
        else:
            _try(m, lambda body=case.contestants[m.contestant], m=m: _first_runs(body, m, device))
    active = [m for m in measurements if m.problem is None]
    while active:
        for m in active:
            _try(m, lambda body=case.contestants[m.contestant], m=m: m.runs.append(_timed(body, device)[0]))
        active = [m for m in active if m.problem is None and not _done(m.runs)]
    return Result(case, measurements)


def _done(runs: list[float]) -> bool:
    return len(runs) >= MOST or sum(runs) >= 2 * GIVE_UP_SECONDS or (len(runs) >= FEWEST and sum(runs) >= SECONDS)


def _try(m: Measurement, body: Callable[[], object]) -> None:
    try:
        body()
    except (torch.OutOfMemoryError, MemoryError):
        m.problem = "out of memory"
    except RuntimeError as error:
        # torch's CPU allocator has no error class of its own.
        if "can't allocate memory" not in str(error):
            raise
        m.problem = "out of memory"


def _first_runs(body: Callable[[], object], m: Measurement, device: torch.device) -> None:
    deadline = time.perf_counter() + WARM_UP_SECONDS
    body()
    while time.perf_counter() < deadline:
        body()
    _synchronize(device)
    gc.collect()
    with _Peak(device) as peak:
        kept = body()
        _synchronize(device)
    m.peak_bytes = peak.bytes
    del kept
    _, m.cpu_seconds = _timed(body, device)


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _timed(body: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """Seconds on the wall, from the call until the device is idle, and seconds of all of this process's threads."""
    _synchronize(device)
    cpu, wall = time.process_time(), time.perf_counter()
    body()
    _synchronize(device)
    return time.perf_counter() - wall, time.process_time() - cpu


class _Peak:
    """The most memory in use inside the block, beyond what was in use before: the device's, or this process's.

    `bytes` stays None where the operating system does not tell.
    """

    _trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._before = 0
        self.bytes: int | None = None

    def __enter__(self) -> _Peak:
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            self._before = torch.cuda.memory_allocated(self._device)
        elif _STATUS.exists():
            # What glibc keeps of earlier runs would hide what this one needs.
            if self._trim is not None:
                self._trim(0)
            # Linux: 5 resets the high-water mark of resident memory.
            Path("/proc/self/clear_refs").write_text("5")
            self._before = _status("VmRSS")
        return self

    def __exit__(self, *_: object) -> None:
        if self._device.type == "cuda":
            self.bytes = torch.cuda.max_memory_allocated(self._device) - self._before
        elif _STATUS.exists():
            self.bytes = max(_status("VmHWM") - self._before, 0)


_STATUS = Path("/proc/self/status")


def _status(key: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(f"{key}:"))
    return 1024 * int(line.split()[1])
