# SPDX-License-Identifier: Apache-2.0
"""What the benches of readers read: real meshes where there are any, and grids of any size."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

from patina3d.io import load_obj, save_obj, save_ply

FOLDER = Path(os.environ.get("PATINA3D_MESHES", Path(__file__).resolve().parents[3] / "shared" / "data" / "meshes"))
REAL = ["spot", "stanford-bunny"]
SIDES = [32, 128, 512]
"""Vertices along a side of a grid: 2 thousand, 32 thousand and half a million triangles."""


def real_meshes() -> Iterator[Path]:
    """The real meshes that there are; what is missing is named."""
    for name in REAL:
        path = FOLDER / f"{name}.obj"
        if path.is_file():
            yield path
        else:
            print(f"left out: {name}.obj is not in {FOLDER}; set PATINA3D_MESHES to a folder of common 3D test models")


def grid(side: int) -> dict[str, torch.Tensor]:
    """A wavy square with texture coordinates and normals: the arguments of `save_obj`."""
    generator = torch.Generator().manual_seed(0)
    u, v = torch.meshgrid(torch.linspace(0, 1, side), torch.linspace(0, 1, side), indexing="ij")
    verts = torch.stack([u, v, 0.1 * torch.rand((side, side), generator=generator)], dim=-1).reshape(-1, 3)
    corner = (torch.arange(side - 1)[:, None] * side + torch.arange(side - 1)).reshape(-1, 1)
    faces = torch.cat([corner + torch.tensor([0, side, side + 1]), corner + torch.tensor([0, side + 1, 1])])
    return {"verts": verts, "faces": faces, "verts_uvs": verts[:, :2], "normals": verts}


class Files:
    """Files in a temporary folder, which is removed with the object."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="patina3d-bench-")

    def obj(self, side: int) -> Path:
        """A grid as OBJ with normals: `f 1//1 2//2 3//3`."""
        path, mesh = Path(self._folder.name) / f"grid{side}.obj", grid(side)
        normals = {"normals": mesh["normals"], "faces_normals_idx": mesh["faces"]}
        save_obj(path, mesh["verts"], mesh["faces"], **normals)
        return path

    def ply(self, source: Path | int, form: str) -> Path:
        """A grid of a side, or the mesh of an OBJ file, as PLY: "ascii" or "binary"."""
        if isinstance(source, Path):
            verts, faces, _ = load_obj(source)
            name, faces = source.stem, faces.verts_idx
        else:
            name, verts, faces = f"grid{source}", *(grid(source)[part] for part in ("verts", "faces"))
        path = Path(self._folder.name) / f"{name}-{form}.ply"
        save_ply(path, verts, faces, ascii=form == "ascii")
        return path
