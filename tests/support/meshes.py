# SPDX-License-Identifier: Apache-2.0
"""Real meshes: common 3D test models that live outside the repository."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("PATINA3D_MESHES", ROOT.parent / "shared" / "data" / "meshes"))


def real_mesh(name: str) -> Path:
    """The path of a real mesh, or a skip that says what is missing."""
    path = FOLDER / name
    if not path.is_file():
        pytest.skip(f"{name} is not in {FOLDER}; set PATINA3D_MESHES to a folder of common 3D test models")
    return path
