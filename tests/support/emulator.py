# SPDX-License-Identifier: Apache-2.0
"""Kernels on the emulator beside the CPU path, in one process."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest

from patina3d.core import _native

T = TypeVar("T")

needs_emulator = pytest.mark.skipif(
    not _native.has_emulator(), reason="this build of the native module has no emulator"
)


@contextmanager
def emulation(on: bool) -> Iterator[None]:
    """Within, CUDA is emulated or not, whatever it is outside."""
    before = _native.is_emulating()
    _native.emulate(on)
    try:
        yield
    finally:
        _native.emulate(before)


def on_cpu_and_emulated(compute: Callable[[], T]) -> tuple[T, T]:
    """What a function of tensors on the CPU gives there, and what it gives by the kernels."""
    with emulation(False):
        on_cpu = compute()
    with emulation(True):
        return on_cpu, compute()
