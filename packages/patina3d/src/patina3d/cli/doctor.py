# SPDX-License-Identifier: Apache-2.0
"""``patina3d doctor``."""

from rich.console import Console
from rich.table import Table

from patina3d.core import doctor

__all__ = ["run_doctor"]


def run_doctor() -> None:
    """Print versions, CPU features, threads, driver, devices and the PTX load check."""
    report = doctor()
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name in ("patina3d", "torch", "python", "platform"):
        table.add_row(name, str(report[name]))
    table.add_row("vector instructions", report["instruction_set"])
    table.add_row("threads", str(report["threads"]))
    table.add_row("driver", f"CUDA {report['driver']}" if report["driver"] else "none")
    for ordinal, device in enumerate(report["devices"]):
        major, minor = device["capability"]
        state = device["problem"] or "every kernel loads"
        table.add_row(f"cuda:{ordinal}", f"{device['name']}, sm_{major}{minor}, {state}")
    table.add_row("gpu", report["gpu"])
    Console().print(table)
