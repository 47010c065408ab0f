# SPDX-License-Identifier: Apache-2.0
"""Write docs/benchmarks.md from benches/results.

bench_table.py          write the page
bench_table.py --check  write nothing; fail where the page is not what would be written
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benches"))

from report import OURS, RESULTS, duration, factor, size  # noqa: E402 - the benches' own way of writing numbers

PAGE = ROOT / "docs/benchmarks.md"
HEAD = """# Benchmarks

Written by `tools/bench_table.py` from `benches/results/`; `just bench` measures. A cell is the median time of a run, in
brackets how many times ours that is, in the same run, and the peak memory of the run.
"""


def page() -> str:
    """The whole page: a part for each machine, a table for each series."""
    parts = [HEAD]
    for folder in sorted(path for path in RESULTS.glob("*/") if any(path.glob("*.json"))):
        reports = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
        versions = reports[0]["versions"]
        parts.append(f"\n## {folder.name}\n\ntorch {versions['torch']}, Python {versions['python']}")
        parts.append(f", driver {versions['driver']}.\n" if versions["driver"] else ".\n")
        results = [result for report in reports for result in report["results"]]
        for series in dict.fromkeys(result["series"] for result in results):
            parts.append(table(series, [result for result in results if result["series"] == series]))
            if (plot := folder / f"{series}.png").is_file():
                parts.append(f"\n![{series}](../{plot.relative_to(ROOT).as_posix()})\n")
    return "".join(parts)


def table(series: str, results: list[dict[str, Any]]) -> str:
    """A row for each case, a column for each contestant, ours first."""
    parameters = list(results[0]["parameters"])
    names = dict.fromkeys(name for result in results for name in result["contestants"])
    contestants = sorted(names, key=lambda name: name != OURS)
    rows = [[*parameters, *contestants], ["---:"] * (len(parameters) + len(contestants))]
    for result in results:
        cells = [cell(result["contestants"].get(name)) for name in contestants]
        rows.append([*(str(result["parameters"][name]) for name in parameters), *cells])
    return f"\n### {series}\n\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def cell(contestant: dict[str, Any] | None) -> str:
    """What one contestant took."""
    if contestant is None:
        return ""
    if contestant["problem"] is not None:
        return contestant["problem"]
    times = contestant["times_ours"]
    ratio = f" ({factor(times)}x)" if times is not None and times != 1 else ""
    return f"{duration(contestant['seconds'])}{ratio}, {size(contestant['peak_bytes'])}".removesuffix(", ")


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    text = page()
    if parser.parse_args().check:
        return 0 if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text else 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
