# SPDX-License-Identifier: Apache-2.0
"""Run benches and keep what they say.

    run.py                  all, on each device there is
    run.py knn chamfer      benches/*/bench_knn.py and benches/*/bench_chamfer.py
    run.py knn --device cpu

Results go to benches/results/<machine>/: JSON and a plot for each series.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import torch
from rich.console import Console

import harness
import report

BENCHES = Path(__file__).resolve().parent


def load(path: Path) -> ModuleType:
    """A bench file as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--device", choices=["cpu", "cuda"])
    arguments = parser.parse_args()
    files = {path.stem.removeprefix("bench_"): path for path in sorted(BENCHES.glob("*/bench_*.py"))}
    if unknown := sorted(set(arguments.names) - files.keys()):
        parser.error(f"no bench is named {', '.join(unknown)}; there are: {', '.join(files)}")
    devices = [arguments.device] if arguments.device else ["cuda", "cpu"] if torch.cuda.is_available() else ["cpu"]
    console = Console()
    for name in arguments.names or files:
        module = load(files[name])
        for device in map(torch.device, devices):
            results = harness.run(module.cases(device), device, lambda result: report.print_result(result, console))
            for path in report.write(results, device, name):
                console.print(f"wrote {path.relative_to(BENCHES.parent)}", highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
