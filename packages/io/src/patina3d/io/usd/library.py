# SPDX-License-Identifier: Apache-2.0
"""The library that reads and writes USD, which need not be installed."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["errors_of_usd", "pxr"]


def pxr(module: str) -> Any:
    """A module of the package usd-core.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    try:
        return importlib.import_module(f"pxr.{module}")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "USD files need the package usd-core: pip install 'patina3d-io[usd]'", name="pxr"
        ) from error


@contextmanager
def errors_of_usd(where: str) -> Iterator[None]:
    """Turn the library's errors into ``ValueError``, which says where they come from."""
    try:
        yield
    except pxr("Tf").ErrorException as error:
        raise ValueError(f"{where}: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    """What the library says is wrong, without the place in its sources."""
    try:
        text = str(error)
    except UnicodeDecodeError:
        # It quotes the file, which may hold anything.
        return "the file is damaged"
    lines = [line.split(" : ", 1)[-1].strip().strip("'") for line in text.splitlines() if " : " in line]
    return lines[0] if lines else text.strip()
