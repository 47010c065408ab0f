# SPDX-License-Identifier: Apache-2.0
"""The harness measures what it says."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch

BENCHES = Path(__file__).resolve().parents[1] / "benches"
CPU = torch.device("cpu")


@pytest.fixture(scope="module", autouse=True)
def _path():
    sys.path.insert(0, str(BENCHES))
    yield
    sys.path.remove(str(BENCHES))


@pytest.fixture
def harness(monkeypatch):
    import harness

    monkeypatch.setattr(harness, "WARM_UP_SECONDS", 0.0)
    monkeypatch.setattr(harness, "SECONDS", 0.01)
    return harness


def case(harness, x=1, **contestants):
    return harness.Case("series", "x", {"x": x}, contestants)


def test_contestants_take_turns(harness):
    calls = []
    contestants = {name: lambda name=name: calls.append(name) for name in ("patina3d", "peer")}
    result = harness.measure(case(harness, **contestants), CPU)
    runs = len(result.measurements[0].runs)
    assert runs >= harness.FEWEST
    assert calls[-2 * runs :] == ["patina3d", "peer"] * runs


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the peak of a block")
def test_peak_memory_is_that_of_a_run(harness):
    size = 64 * 2**20
    kept = torch.ones(size, dtype=torch.uint8)
    result = harness.measure(case(harness, patina3d=lambda: torch.ones(size, dtype=torch.uint8)), CPU)
    assert 0.9 * kept.nbytes <= result.measurements[0].peak_bytes < 1.9 * size


def test_running_out_of_memory_is_a_result(harness):
    def hungry():
        raise torch.OutOfMemoryError("no")

    result = harness.measure(case(harness, patina3d=lambda: None, naive=hungry), CPU)
    assert result.measurements[0].seconds is not None
    assert result.measurements[1].problem == "out of memory"


def test_other_errors_are_errors(harness):
    def broken():
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        harness.measure(case(harness, patina3d=broken), CPU)


def test_who_was_too_slow_is_left_out_of_larger_cases(harness, monkeypatch):
    monkeypatch.setattr(harness, "GIVE_UP_SECONDS", 0.0)
    ran = []
    cases = [case(harness, x=x, patina3d=lambda x=x: ran.append(x)) for x in (1, 2)]
    results = harness.run(cases, CPU, lambda _: None)
    assert set(ran) == {1}
    assert results[1].measurements[0].problem == "too slow or too large before"


def test_a_report_has_ratios_tables_and_plots(harness, monkeypatch, tmp_path):
    import report

    monkeypatch.setattr(report, "RESULTS", tmp_path)
    results = []
    for x in (1, 10):
        result = harness.Result(case(harness, x=x), [harness.Measurement("patina3d"), harness.Measurement("peer")])
        result.measurements[0].runs, result.measurements[1].runs = [0.5 * x] * 5, [2.0 * x] * 5
        results.append(result)
    written = report.write(results, CPU, "example")
    assert sorted(path.name for path in written) == ["example.json", "series.png"]
    peer = json.loads(written[0].read_text(encoding="utf-8"))["results"][1]["contestants"]["peer"]
    assert (peer["seconds"], peer["times_ours"], peer["spread"]) == (20.0, 4.0, 0.0)

    spec = importlib.util.spec_from_file_location("bench_table", BENCHES.parent / "tools/bench_table.py")
    bench_table = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench_table)
    rows = json.loads(written[0].read_text(encoding="utf-8"))["results"]
    assert "| 10 | 5 s | 20 s (4x) |" in bench_table.table("series", rows)


def test_machines_have_plain_names():
    import report

    assert report._slug("AMD EPYC(TM) 7B13 Processor @ 2.2GHz") == "amd-epyc-7b13"
    assert report._slug("NVIDIA H200") == "nvidia-h200"
