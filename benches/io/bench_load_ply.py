# SPDX-License-Identifier: Apache-2.0
"""Reading of PLY, as text and packed: real meshes and grids."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from harness import Case, available
from patina3d.io import load_ply

sys.path.insert(0, str(Path(__file__).resolve().parent))
from mesh_files import SIDES, Files, real_meshes


def cases(device: torch.device) -> Iterator[Case]:
    if device.type != "cpu":
        return  # files are read on the CPU
    files = Files()
    for form in ("ascii", "binary"):
        for source in [*real_meshes(), *SIDES]:
            yield case(files.ply(source, form), form)


def case(path: Path, form: str) -> Case:
    contestants: dict[str, Callable[[], object]] = {"patina3d": lambda: load_ply(path)}
    if form == "ascii":
        contestants["plain Python"] = lambda: by_words(path)
    if available("pytorch3d"):
        from pytorch3d.io import load_ply as theirs

        contestants["pytorch3d"] = lambda: theirs(path)
    if available("trimesh"):
        import trimesh

        contestants["trimesh"] = lambda: trimesh.load(path, process=False)
    return Case(f"load_ply_{form}", "bytes", {"file": path.stem, "bytes": path.stat().st_size}, contestants)


def by_words(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """The straightforward reader of positions and triangles: one line after the other, split into words."""
    with path.open() as lines:
        counts = {}
        for line in lines:
            words = line.split()
            if words[0] == "element":
                counts[words[1]] = int(words[2])
            elif words[0] == "end_header":
                break
        verts = [[float(word) for word in next(lines).split()] for _ in range(counts["vertex"])]
        faces = [[int(word) for word in next(lines).split()[1:]] for _ in range(counts["face"])]
    return torch.tensor(verts), torch.tensor(faces)
