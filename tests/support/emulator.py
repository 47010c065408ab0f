# SPDX-License-Identifier: Apache-2.0
"""Kernels on the emulator beside the CPU path, in one process."""

from collections.abc import Callable
from typing import TypeVar

import pytest

from patina3d.core import _native

T = TypeVar("T")

needs_emulator = pytest.mark.skipif(
    not _native.has_emulator(), reason="this build of the native module has no emulator"
)


def on_cpu_and_emulated(compute: Callable[[], T]) -> tuple[T, T]:
    """What a function of tensors on the CPU gives there, and what it gives by the kernels."""
    before = _native.is_emulating()
    try:
        _native.emulate(False)
        on_cpu = compute()
        _native.emulate(True)
        return on_cpu, compute()
    finally:
        _native.emulate(before)
