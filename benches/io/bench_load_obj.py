# SPDX-License-Identifier: Apache-2.0
"""Reading of Wavefront OBJ: real meshes and grids with normals."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from harness import Case, available
from patina3d.io import load_obj

sys.path.insert(0, str(Path(__file__).resolve().parent))
from mesh_files import SIDES, Files, real_meshes


def cases(device: torch.device) -> Iterator[Case]:
    if device.type != "cpu":
        return  # files are read on the CPU
    files = Files()
    for path in [*real_meshes(), *map(files.obj, SIDES)]:
        yield case(path)


def case(path: Path) -> Case:
    contestants: dict[str, Callable[[], object]] = {
        "patina3d": lambda: load_obj(path),
        "plain Python": lambda: by_words(path),
    }
    if available("pytorch3d"):
        from pytorch3d.io import load_obj as theirs

        contestants["pytorch3d"] = lambda: theirs(path)
    if available("trimesh"):
        import trimesh

        contestants["trimesh"] = lambda: trimesh.load(path, process=False)
    return Case("load_obj", "bytes", {"file": path.stem, "bytes": path.stat().st_size}, contestants)


def by_words(path: Path) -> tuple[torch.Tensor, ...]:
    """The straightforward reader: one line after the other, split into words."""
    verts, normals, uvs, faces = [], [], [], []
    numbers = {"v": verts, "vn": normals, "vt": uvs}
    with path.open() as lines:
        for line in lines:
            words = line.split()
            if not words:
                continue
            if words[0] in numbers:
                numbers[words[0]].append([float(word) for word in words[1:4]])
            elif words[0] == "f":
                corners = [[int(index or 0) - 1 for index in word.split("/")] for word in words[1:]]
                faces += [(corners[0], corners[i], corners[i + 1]) for i in range(1, len(corners) - 1)]
    return (*map(torch.tensor, (verts, normals, uvs)), torch.tensor(faces))
