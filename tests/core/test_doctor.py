# SPDX-License-Identifier: Apache-2.0
"""The driver: found when there is one, left alone until then, and a sentence that says what is wrong."""

import sys
from pathlib import Path

import pytest
import torch

from patina3d.core import _native, doctor

from .test_call import python

LIBCUDA = Path(__file__).parents[2] / ".tools/libcuda"


def test_the_report():
    report = doctor()
    assert set(report) == {
        *("patina3d", "torch", "python", "platform"),
        *("instruction_set", "threads", "driver", "devices", "gpu"),
    }
    assert report["torch"] == torch.__version__
    assert report["threads"] == torch.get_num_threads()
    assert report["instruction_set"] == _native.instruction_set() != ""
    assert report["gpu"].startswith(("The GPU cannot be used: ", "The GPU can be used: "))
    assert report["gpu"].endswith(".")
    for device in report["devices"]:
        assert set(device) == {"name", "capability", "problem"}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_neither_importing_nor_computing_on_the_cpu_opens_the_driver():
    code = """
        import patina3d.core
        from pathlib import Path
        maps = Path("/proc/self/maps")
        print("libcuda.so" in maps.read_text())
        import torch
        from patina3d.ops import knn_points
        points = torch.rand(1, 10, 3, requires_grad=True)
        knn_points(points, points.detach()).dists.sum().backward()
        print("libcuda.so" in maps.read_text())
    """
    assert python(code) == "False\nFalse\n"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_no_gpu_is_one_sentence():
    report = doctor()
    assert report["gpu"].startswith("The GPU cannot be used: ")
    assert report["gpu"].count("\n") == 0
    if report["driver"] is None:
        assert report["devices"] == []
        assert report["gpu"] != "The GPU cannot be used: None."


@pytest.mark.skipif(not (LIBCUDA / "libcuda.so.1").exists(), reason="tools/libcuda.sh has not fetched a libcuda")
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_driver_without_a_device_is_one_sentence():
    code = """
        from patina3d.core import doctor
        report = doctor()
        print(report["devices"], report["gpu"])
    """
    printed = python(code, LD_LIBRARY_PATH=str(LIBCUDA))
    assert printed.startswith("[] The GPU cannot be used: ")
    assert printed.endswith(".\n")


@pytest.mark.gpu
def test_every_kernel_loads():
    report = doctor()
    assert report["driver"] is not None
    assert all(device["problem"] is None for device in report["devices"])
    assert report["gpu"].startswith("The GPU can be used: ")
