# SPDX-License-Identifier: Apache-2.0
"""Threads: torch's number of them, the GIL, forks."""

import sys
import threading

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from patina3d.core import _native
from patina3d.ops import knn_points

pytestmark = pytest.mark.skipif(_native.is_emulating(), reason="the emulator runs on the calling thread")

# Enough work for the pool: small work stays on the calling thread.
QUERIES, POINTS = torch.rand(2, 1500, 3), torch.rand(2, 1500, 3)


@pytest.fixture
def _threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_threads")
def test_follows_torchs_number_of_threads():
    torch.set_num_threads(1)
    want = knn_points(QUERIES, POINTS, K=4)
    for threads in (2, 7, 3, 1):
        torch.set_num_threads(threads)
        got = knn_points(QUERIES, POINTS, K=4)
        assert torch.equal(got.dists, want.dists)
        assert torch.equal(got.idx, want.idx)


@pytest.mark.usefixtures("_threads")
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="names of threads are read from /proc")
def test_the_pool_has_as_many_threads_as_torch():
    from pathlib import Path

    def ours() -> int:
        names = [path.read_text() for path in Path("/proc/self/task").glob("*/comm")]
        return sum(name.startswith("patina3d-") for name in names)

    torch.set_num_threads(3)
    knn_points(QUERIES, POINTS)
    assert ours() >= 3


def test_the_gil_is_released():
    done = threading.Event()
    ticks = 0

    def count() -> None:
        nonlocal ticks
        while not done.wait(1e-3):
            ticks += 1

    points = torch.rand(1, 8000, 40, dtype=torch.float64)
    counter = threading.Thread(target=count)
    counter.start()
    try:
        before = ticks
        knn_points(points, points, K=8)
        during = ticks - before
    finally:
        done.set()
        counter.join()
    # A call that kept the GIL would let the other thread in only while torch allocates, a few times.
    assert during >= 20


def test_calls_from_several_threads():
    want = knn_points(QUERIES, POINTS, K=4).idx
    results: list[torch.Tensor] = []
    callers = [threading.Thread(target=lambda: results.append(knn_points(QUERIES, POINTS, K=4).idx)) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(120)
    assert len(results) == 8
    assert all(torch.equal(result, want) for result in results)


class Neighbours(Dataset):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, i: int) -> torch.Tensor:
        # Workers of a DataLoader begin with one thread.
        torch.set_num_threads(2)
        return knn_points(QUERIES, POINTS, K=3).idx


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.usefixtures("_threads")
def test_forked_workers_do_not_wait_for_the_parents_pool():
    torch.set_num_threads(2)
    want = knn_points(QUERIES, POINTS, K=3).idx
    loader = DataLoader(Neighbours(), batch_size=1, num_workers=2, multiprocessing_context="fork", timeout=120)
    batches = list(loader)
    assert len(batches) == 4
    assert all(torch.equal(batch[0], want) for batch in batches)
    assert torch.equal(knn_points(QUERIES, POINTS, K=3).idx, want)
