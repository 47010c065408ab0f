# SPDX-License-Identifier: Apache-2.0
"""Every real mesh there is, against what trimesh reads."""

import io
import warnings

import numpy as np
import pytest
import torch

from patina3d.io import load_obj, load_objs_as_meshes, load_ply, save_obj, save_ply
from support.meshes import FOLDER

SUFFIXES = (".obj", ".ply")
FILES = sorted(path for path in FOLDER.glob("*") if path.suffix.lower() in SUFFIXES) if FOLDER.is_dir() else []
NONE = pytest.param(
    None,
    marks=pytest.mark.skip(reason=f"no real meshes in {FOLDER}; set PATINA3D_MESHES to a folder of OBJ and PLY files"),
)

each_file = pytest.mark.parametrize("path", FILES or [NONE], ids=lambda path: getattr(path, "name", "none"))


def load(path) -> tuple[torch.Tensor, torch.Tensor]:
    with warnings.catch_warnings():
        # Models are passed around without their materials.
        warnings.filterwarnings("ignore", message="load_obj: .*(material|image)", category=UserWarning)
        if path.suffix.lower() == ".ply":
            return load_ply(path)
        verts, faces, _ = load_obj(path)
        return verts, faces.verts_idx


@each_file
def test_agrees_with_trimesh(path):
    trimesh = pytest.importorskip("trimesh")
    verts, faces = load(path)
    mesh = trimesh.load(path, process=False, force="mesh")
    corners, expected = verts[faces].double(), torch.from_numpy(np.array(mesh.triangles))
    assert len(faces) == len(mesh.faces)
    if len(mesh.vertices) != len(verts):  # trimesh splits vertices at seams, and drops those of no face
        assert len(np.unique(np.array(mesh.vertices), axis=0)) == len(torch.unique(verts[faces.unique()], dim=0))
    torch.testing.assert_close(corners.amin((0, 1)), expected.amin((0, 1)), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(corners.amax((0, 1)), expected.amax((0, 1)), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(area(corners), area(expected), rtol=1e-5, atol=0)


def area(corners: torch.Tensor) -> torch.Tensor:
    a, b, c = corners.unbind(1)
    return torch.linalg.vector_norm(torch.linalg.cross(b - a, c - a), dim=1).sum() / 2


@each_file
def test_survives_saving(path):
    verts, faces = load(path)
    text = io.StringIO()
    save_obj(text, verts, faces, 12)
    again = load_obj(io.StringIO(text.getvalue()))
    torch.testing.assert_close(again[0], verts, rtol=1e-7, atol=1e-12)
    assert torch.equal(again[1].verts_idx, faces)
    for ascii in (False, True):
        file = io.BytesIO()
        save_ply(file, verts, faces, ascii=ascii, decimal_places=12)
        file.seek(0)
        again_verts, again_faces = load_ply(file)
        torch.testing.assert_close(again_verts, verts, rtol=1e-7 if ascii else 0, atol=1e-12 if ascii else 0)
        assert torch.equal(again_faces, faces)


@pytest.mark.parametrize("files", [[path for path in FILES if path.suffix == ".obj"] or NONE])
def test_all_make_one_batch(files):
    batch = load_objs_as_meshes(files, load_textures=False)
    assert len(batch) == len(files)
    areas = torch.stack([area(verts[faces]) for verts, faces in map(load, files)])
    faces_per_mesh = batch.num_faces_per_mesh().tolist()
    totals = torch.stack([part.sum() for part in batch.faces_areas_packed().split(faces_per_mesh)])
    torch.testing.assert_close(totals, areas, rtol=1e-4, atol=0)
