# SPDX-License-Identifier: Apache-2.0
"""The command line: what it writes, and what it says when something is wrong."""

import contextlib
import errno
import io
import json
import signal
import sys
from pathlib import Path
from typing import NamedTuple

import imageio.v3 as iio
import numpy as np
import pytest
import torch

import patina3d.cli.fit as fit_command
from patina3d.cli import main
from patina3d.cli.inputs import into_unit_ball
from patina3d.io import load_objs_as_meshes, save_obj
from patina3d.models import MeshFit
from patina3d.structures import Meshes
from patina3d.utils import ico_sphere
from support.meshes import real_mesh


class Result(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def patina3d(*arguments):
    """Run the command line in this process."""
    out, err = io.StringIO(), io.StringIO()
    before, sys.argv = sys.argv, ["patina3d", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
        code = 0
    except SystemExit as ended:
        code = ended.code or 0
    finally:
        sys.argv = before
    return Result(code, out.getvalue(), err.getvalue())


def assert_one_sentence(result, *words):
    assert result.returncode == 2, result.stderr
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert all(word in result.stderr for word in words), result.stderr


SMALL = ("--views", 4, "--size", 24, "--iterations", 3)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fit")
    result = patina3d("fit", "star", *SMALL, "--out", folder)
    assert result.returncode == 0, result.stderr
    return folder


def test_fit_writes_mesh_metrics_and_pictures(fitted):
    assert {p.name for p in fitted.iterdir()} == {
        "fitted.obj",
        "metrics.json",
        "loss.png",
        "views.png",
        "turntable.gif",
    }
    mesh = load_objs_as_meshes([str(fitted / "fitted.obj")])
    assert mesh.faces_packed().shape == (5120, 3)
    metrics = json.loads((fitted / "metrics.json").read_text())
    assert 0 < metrics["silhouette_iou"] <= 1
    assert 0 < metrics["chamfer"] < metrics["chamfer_start"] * 1.5
    assert list(metrics["f1"]) == ["0.1", "0.3", "0.5"]
    assert iio.imread(fitted / "views.png").shape == (2 * 224, 4 * 224, 3)
    assert len(iio.imread(fitted / "turntable.gif")) == 24


def test_fitted_mesh_stands_where_the_target_does(tmp_path):
    target = ico_sphere(2).scale_verts(30.0).offset_verts(ico_sphere(2).verts_packed().new_tensor([100.0, -50.0, 7.0]))
    save_obj(tmp_path / "far.obj", target.verts_packed(), target.faces_packed())
    assert patina3d("fit", tmp_path / "far.obj", *SMALL, "--out", tmp_path / "out").returncode == 0
    verts = load_objs_as_meshes([str(tmp_path / "out" / "fitted.obj")]).verts_packed()
    assert (verts.mean(0) - target.verts_packed().mean(0)).abs().max() < 6


def test_an_interrupted_fit_leaves_a_checkpoint_that_resume_continues_from(tmp_path, monkeypatch):
    options = ("fit", "sphere", "--views", 4, "--size", 24, "--iterations", 5, "--out", tmp_path)
    advance = MeshFit.advance

    def advance_until_ctrl_c(fit):
        if fit.step == 2:
            signal.raise_signal(signal.SIGINT)
        return advance(fit)

    with monkeypatch.context() as patch:
        patch.setattr(MeshFit, "advance", advance_until_ctrl_c)
        stopped = patina3d(*options)
    assert stopped.returncode == 130
    assert "stopped after 3 steps; `--resume` goes on" in " ".join(stopped.stdout.split())
    assert {p.name for p in tmp_path.iterdir()} == {"checkpoint.pt"}
    assert_one_sentence(patina3d("fit", "star", *options[2:], "--resume"), "--resume", "same pictures")
    assert patina3d(*options, "--resume").returncode == 0
    assert json.loads((tmp_path / "metrics.json").read_text())["iterations"] == 5
    assert not (tmp_path / "checkpoint.pt").exists()
    assert patina3d(*options[:-1], tmp_path / "unbroken").returncode == 0
    assert (tmp_path / "fitted.obj").read_bytes() == (tmp_path / "unbroken" / "fitted.obj").read_bytes()


def test_a_fit_whose_results_could_not_be_written_is_not_lost(tmp_path, monkeypatch):
    options = ("fit", "sphere", *SMALL, "--out", tmp_path)

    def ctrl_c(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fit_command, "_measure", ctrl_c)
        assert patina3d(*options).returncode != 0
    assert {p.name for p in tmp_path.iterdir()} == {"checkpoint.pt", "fitted.obj"}
    with monkeypatch.context() as patch:
        patch.setattr(MeshFit, "advance", ctrl_c)
        assert patina3d(*options, "--resume").returncode == 0
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["iterations"] == 3
    assert metrics["seconds"] > 0
    assert not (tmp_path / "checkpoint.pt").exists()


def test_ctrl_c_while_the_checkpoint_is_written_does_not_break_it_off(tmp_path, monkeypatch):
    def impatiently(method):
        def with_ctrl_c(*arguments):
            signal.raise_signal(signal.SIGINT)
            return method(*arguments)

        return with_ctrl_c

    for name in ("advance", "save"):
        monkeypatch.setattr(MeshFit, name, impatiently(getattr(MeshFit, name)))
    assert patina3d("fit", "sphere", *SMALL, "--out", tmp_path).returncode == 130
    assert {p.name for p in tmp_path.iterdir()} == {"checkpoint.pt"}


def test_a_checkpoint_that_cannot_be_used_is_one_sentence(tmp_path, monkeypatch):
    resume = ("fit", "sphere", *SMALL, "--out", tmp_path, "--resume")
    torch.save(torch.zeros(3), tmp_path / "checkpoint.pt")
    assert_one_sentence(patina3d(*resume), "--resume", "checkpoint.pt", "MeshFit.save wrote")
    (tmp_path / "checkpoint.pt").write_text("nothing of the kind\n")
    assert_one_sentence(patina3d(*resume), "--resume", "checkpoint.pt", "MeshFit.save wrote")

    def forbidden(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(torch, "load", forbidden)
    assert_one_sentence(patina3d(*resume), "--resume", "checkpoint.pt", "Permission denied")


@pytest.mark.parametrize("scale", [1e-38, 1e-25, 1e20, 3e38])
def test_a_mesh_of_any_size_moves_into_the_unit_ball_and_back(scale):
    verts, faces = ico_sphere(1).get_mesh_verts_faces(0)
    verts = verts * torch.tensor([1.0, 0.5, 0.7])
    inside, centre, factor = into_unit_ball(Meshes([(verts.double() * scale).float()], [faces]))
    torch.testing.assert_close(inside.verts_packed().norm(dim=-1).max(), torch.tensor(1.0))
    torch.testing.assert_close(inside.verts_packed(), verts / verts.norm(dim=-1).max(), atol=1e-6, rtol=0)
    back = (inside.verts_packed().double() / factor + centre) / scale
    torch.testing.assert_close(back, verts.double(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("option", ["--elevation", "--azimuth"])
@pytest.mark.parametrize("angle", ["nan", "inf"])
def test_an_angle_that_is_not_finite_is_one_sentence(tmp_path, option, angle):
    result = patina3d("render", "sphere", "-o", tmp_path / "picture.png", option, angle)
    assert_one_sentence(result, option, "finite", angle)


def test_what_the_user_got_wrong_is_one_sentence_and_exit_code_2(tmp_path):
    (tmp_path / "bad.obj").write_text("v 0 0 zero\n")
    (tmp_path / "empty.obj").write_text("# nothing\n")
    (tmp_path / "point.obj").write_text("v 1 1 1\n" * 3 + "f 1 2 3\n")
    (tmp_path / "nan.obj").write_text("v 0 0 nan\nv 0 1 0\nv 1 0 0\nf 1 2 3\n")
    (tmp_path / "range.obj").write_text("v 0 0 0\nv 0 1 0\nv 1 0 0\nf 1 2 9\n")
    (tmp_path / "bad.ply").write_text("ply\nformat ascii 1.0\nelement vertex many\n")
    (tmp_path / "mesh.xyz").write_text("0 0 0\n")
    assert_one_sentence(patina3d("fit", tmp_path / "none.obj"), "none.obj", "no file")
    assert_one_sentence(patina3d("fit", tmp_path / "bad.obj"), "bad.obj", "line 1")
    assert_one_sentence(patina3d("fit", tmp_path / "empty.obj"), "empty.obj", "no faces")
    assert_one_sentence(patina3d("fit", tmp_path / "point.obj"), "no extent")
    assert_one_sentence(patina3d("fit", tmp_path / "nan.obj"), "nan.obj", "not finite")
    assert_one_sentence(patina3d("fit", tmp_path / "range.obj"), "range.obj", "vertex 8")
    assert_one_sentence(patina3d("fit", tmp_path / "bad.ply"), "bad.ply", "line 3")
    assert_one_sentence(patina3d("fit", tmp_path / "mesh.xyz"), "mesh.xyz", ".obj", ".glb")
    assert_one_sentence(patina3d("fit", "sphere", "--device", "tpu"), "--device", "tpu")
    assert_one_sentence(patina3d("fit", "sphere", "--resume", "--out", tmp_path), "--resume", "checkpoint")


def test_an_unwritable_folder_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way\n")
    assert_one_sentence(patina3d("fit", "sphere", "--out", tmp_path / "file" / "out"), "cannot be written")


def test_a_picture_of_no_known_format_is_one_sentence(tmp_path):
    for name in ("picture", "picture.obj"):
        assert_one_sentence(patina3d("render", "sphere", "-o", tmp_path / name), "--output", ".png", name)


TEXTURED = (
    "mtllib mesh.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nvt 0 0\nvt 1 0\nvt 0 1\nusemtl one\n"
    "f 1/1 3/3 2/2\nf 1/1 2/2 4/3\nf 1/1 4/2 3/3\nf 2/1 3/2 4/3\n"
)


def test_a_textured_mesh_is_drawn_with_its_picture_and_in_grey_where_that_is_missing(tmp_path):
    (tmp_path / "mesh.mtl").write_text("newmtl one\nmap_Kd red.png\n")
    (tmp_path / "mesh.obj").write_text(TEXTURED)
    for there in (False, True):
        if there:
            iio.imwrite(tmp_path / "red.png", np.full((4, 4, 3), (255, 0, 0), np.uint8))
        result = patina3d("render", tmp_path / "mesh.obj", "-o", tmp_path / "mesh.png", "--size", 32)
        assert result.returncode == 0, result.stderr
        red, green, _ = iio.imread(tmp_path / "mesh.png").astype(int).reshape(-1, 3).T
        assert red.min() < 200 or there
        assert (abs(red - green) < 30).all() != there
    fit = patina3d("fit", tmp_path / "mesh.obj", *SMALL, "--out", tmp_path / "out")
    assert fit.returncode == 0, fit.stderr
    (tmp_path / "red.png").write_text("no picture\n")
    assert_one_sentence(patina3d("render", tmp_path / "mesh.obj", "-o", tmp_path / "mesh.png"), "red.png", "decoded")


def test_render_writes_a_picture_of_the_size_asked_for(tmp_path):
    result = patina3d("render", "torus", "-o", tmp_path / "torus.png", "--size", 48)
    assert result.returncode == 0, result.stderr
    picture = iio.imread(tmp_path / "torus.png")
    assert picture.shape == (48, 48, 3)
    assert (picture[0, 0] == 255).all()
    assert picture[20:28].min() < 200


@pytest.mark.parametrize("name", ["spot.obj", "suzanne.obj", "teapot.obj"])
def test_render_takes_real_meshes(tmp_path, name):
    result = patina3d("render", real_mesh(name), "-o", tmp_path / "picture.png", "--size", 64)
    assert result.returncode == 0, result.stderr
    covered = (iio.imread(tmp_path / "picture.png") < 250).any(-1).mean()
    assert 0.1 < covered < 0.9


def test_doctor_says_in_a_sentence_whether_the_gpu_can_be_used():
    result = patina3d("doctor")
    assert result.returncode == 0, result.stderr
    text = " ".join(result.stdout.split())
    assert "The GPU can be used" in text or "The GPU cannot be used:" in text
    assert "threads" in text
    assert "vector instructions" in text


def test_the_command_is_installed():
    assert (Path(sys.executable).parent / "patina3d").exists()
