# SPDX-License-Identifier: Apache-2.0
"""Programs written for PyTorch3D run as they are."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from patina3d import compat
from patina3d.compat.__main__ import main

PROGRAM = """
import sys
import torch
import pytorch3d
from pytorch3d.renderer import OpenGLPerspectiveCameras, TexturesVertex, look_at_view_transform
from pytorch3d.structures import Meshes
from pytorch3d.utils import ico_sphere
import helper

mesh = ico_sphere(1)
R, T = look_at_view_transform(2.7, 0, 0)
mesh.textures = TexturesVertex(torch.ones_like(mesh.verts_padded()))
assert isinstance(mesh, Meshes)
print(__name__, sys.argv[1:], mesh.verts_packed().shape[0], helper.NAME, pytorch3d.__version__)
"""


def python(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, check=False, encoding="utf-8", cwd=cwd, env=environment
    )


def output_of(code: str) -> str:
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program, a module beside it, and a PyTorch3D, which is not to be found."""
    (tmp_path / "helper.py").write_text('NAME = "beside"')
    (tmp_path / "pytorch3d.py").write_text("raise RuntimeError('PyTorch3D itself')")
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


def test_an_unchanged_program(program: Path):
    done = python("-m", "patina3d.compat", str(program), "--level", "-m")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "__main__ ['--level', '-m'] 42 beside 0.7.9"


def test_an_unchanged_module(program: Path):
    done = python("-m", "patina3d.compat", "-m", "program", "x", cwd=program.parent)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "__main__ ['x'] 42 beside 0.7.9"


def test_the_program_decides_how_it_ends(tmp_path: Path):
    program = tmp_path / "program.py"
    program.write_text("import sys; sys.exit(7)")
    assert python("-m", "patina3d.compat", str(program)).returncode == 7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "usage: python -m patina3d.compat PROGRAM"),
        (["-m"], "usage: python -m patina3d.compat PROGRAM"),
        (["missing.py"], "patina3d.compat: there is no program missing.py"),
    ],
)
def test_command_line_errors(arguments: list[str], message: str, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["compat", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert str(ended.value.code).startswith(message)


def test_help(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["compat", "--help"])
    main()
    assert capsys.readouterr().out.startswith("usage: python -m patina3d.compat PROGRAM")


def test_modules_are_the_same_objects():
    output_of("""
import sys
import patina3d.compat
patina3d.compat.install()
patina3d.compat.install()
assert sum(type(finder).__module__ == "patina3d.compat.finder" for finder in sys.meta_path) == 1
import pytorch3d.structures.meshes
import pytorch3d.renderer.mesh.textures as textures
import patina3d.structures.meshes, patina3d.renderer.mesh.textures
assert pytorch3d.structures.meshes is patina3d.structures.meshes
assert pytorch3d.structures is patina3d.structures
assert textures is patina3d.renderer.mesh.textures
assert patina3d.structures.__spec__.name == patina3d.structures.__name__ == "patina3d.structures"
assert sys.modules["pytorch3d.structures.meshes"] is sys.modules["patina3d.structures.meshes"]
import pytorch3d.io.obj_io
assert pytorch3d.io.obj_io is patina3d.io.obj_io

# A module does not hide a function of its name.
import pytorch3d.utils.ico_sphere
from pytorch3d.utils.torus import torus
import pytorch3d.renderer.mesh.rasterize_meshes
assert callable(pytorch3d.utils.ico_sphere)
assert pytorch3d.utils.torus is torus
assert callable(pytorch3d.renderer.mesh.rasterize_meshes)

# The top finds packages that nobody imported.
assert pytorch3d.loss.chamfer_distance
assert not hasattr(pytorch3d, "implicitron")
try:
    import pytorch3d.implicitron.tools
except ModuleNotFoundError as error:
    assert str(error) == "No module named 'pytorch3d.implicitron': there is no 'patina3d.implicitron'"
else:
    raise AssertionError
""")


def test_modules_are_loaded_when_asked_for():
    assert (
        output_of("""
import sys
from patina3d.compat import install
install()
import pytorch3d
print("patina3d.loss" in sys.modules, end=" ")
import pytorch3d.loss
print("patina3d.loss" in sys.modules)
""")
        == "False True"
    )


def test_what_a_module_lacks_is_not_a_missing_attribute():
    code = """
import sys
from patina3d.compat import install
install()
import pytorch3d
sys.modules["torch"] = None
try:
    pytorch3d.loss
except ModuleNotFoundError as error:
    print(error.name)
try:
    pytorch3d.nothing
except AttributeError as error:
    print(error)
"""
    assert output_of(code).splitlines() == ["torch", "module 'pytorch3d' has no attribute 'nothing'"]


def test_pytorch3d_itself_must_not_be_there(tmp_path: Path):
    (tmp_path / "pytorch3d.py").write_text("")
    done = python("-c", "import pytorch3d, patina3d.compat as c; c.install()", cwd=tmp_path)
    assert "RuntimeError: patina3d.compat.install: pytorch3d has been imported already, from" in done.stderr


def test_deprecated_names_warn_and_mean_those_of_today():
    features = torch.rand(1, 3, 3)
    for call, kind in [
        (compat.OpenGLPerspectiveCameras, "FoVPerspectiveCameras"),
        (compat.OpenGLOrthographicCameras, "FoVOrthographicCameras"),
        (compat.SfMPerspectiveCameras, "PerspectiveCameras"),
        (compat.SfMOrthographicCameras, "OrthographicCameras"),
        (compat.TexturedSoftPhongShader, "SoftPhongShader"),
        (lambda: compat.Textures(verts_rgb=features), "TexturesVertex"),
        (
            lambda: compat.Textures(features[..., None], torch.zeros(1, 1, 3, dtype=torch.int64), features[..., :2]),
            "TexturesUV",
        ),
        (lambda: compat.so3_exponential_map(features[0]), "Tensor"),
    ]:
        with pytest.warns(PendingDeprecationWarning):
            assert type(call()).__name__ == kind
    with pytest.warns(PendingDeprecationWarning), pytest.raises(ValueError, match="Textures: give maps"):
        compat.Textures(maps=features)
