# SPDX-License-Identifier: Apache-2.0
"""Why, or why not, the GPU is used."""

import platform
from importlib import metadata
from typing import Any

import torch

from patina3d.core import _native

__all__ = ["doctor"]


def doctor() -> dict[str, Any]:
    """Describe what Patina3D runs on here.

    Opens the NVIDIA driver if there is one, and loads every kernel's PTX on every device once.

    Returns:
        A dict of plain values: ``patina3d``, ``torch``, ``python`` (versions), ``platform``, ``instruction_set`` (the
        vector instructions that CPU operators use), ``threads`` (``torch.get_num_threads()``), ``driver`` (the driver's
        CUDA level, or ``None``), ``devices`` (a list of ``name``, ``capability`` and ``problem``), and ``gpu``: one
        sentence that says whether the GPU can be used, and if not, why.

    Example:
        >>> report = doctor()
        >>> report["threads"] >= 1, isinstance(report["gpu"], str)
        (True, True)
    """
    report = _native.cuda_report()
    return {
        "patina3d": metadata.version("patina3d-core"),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "instruction_set": _native.instruction_set(),
        "threads": torch.get_num_threads(),
        "driver": report["driver"],
        "devices": report["devices"],
        "gpu": _sentence(report),
    }


def _sentence(report: dict[str, Any]) -> str:
    if report["reason"] is not None:
        return f"The GPU cannot be used: {report['reason']}."
    problems = [f"cuda:{i}: {device['problem']}" for i, device in enumerate(report["devices"]) if device["problem"]]
    if problems:
        return f"The GPU cannot be used: {'; '.join(problems)}."
    if not report["devices"]:
        return "The GPU cannot be used: the NVIDIA driver finds no CUDA device."
    if not torch.cuda.is_available():
        return "The GPU cannot be used: the driver works, but torch has no CUDA (torch.cuda.is_available() is False)."
    return f"The GPU can be used: {len(report['devices'])} device(s), every kernel loads."
