# SPDX-License-Identifier: Apache-2.0
"""The registry of formats, and what the page about formats says."""

import importlib.util
import io
import re
from pathlib import Path

import pytest
import torch

from patina3d.io import IO
from patina3d.io.pluggable import LocalFiles
from patina3d.io.pluggable_formats import MeshFormatInterpreter, PointcloudFormatInterpreter, endswith
from patina3d.renderer.mesh.textures import TexturesAtlas, TexturesUV, TexturesVertex
from patina3d.structures import Meshes, Pointclouds
from patina3d.utils import ico_sphere

PAGE = Path(__file__).resolve().parents[2] / "docs/io/formats.md"


def table() -> dict[str, dict[str, str]]:
    """The page's table: for each format the cell of each column."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| format | suffixes"))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[start:]]
    end = next(i for i, row in enumerate(rows) if len(row) < 2)
    return {row[0]: dict(zip(rows[0], row, strict=True)) for row in rows[2:end]}


FORMATS = table()


def suffixes_of(cell: str) -> list[str]:
    return re.findall(r"`(\.\w+)`", cell)


@pytest.fixture(params=[(name, suffix) for name in FORMATS for suffix in suffixes_of(FORMATS[name]["suffixes"])])
def row(request):
    name, suffix = request.param
    if name == "USD" and importlib.util.find_spec("pxr") is None:
        pytest.skip("the package usd-core is not installed")
    return FORMATS[name] | {"suffix": suffix}


@pytest.fixture
def sphere() -> Meshes:
    return ico_sphere(0)


def wearing(mesh: Meshes, textures, normals=None) -> Meshes:
    return Meshes(mesh.verts_list(), mesh.faces_list(), textures, verts_normals=normals)


def reloaded(mesh: Meshes, path: Path) -> Meshes:
    IO().save_mesh(mesh, path)
    return IO().load_mesh(path)


# The page


def test_the_page_lists_the_registry():
    documented = {suffix for row in FORMATS.values() for suffix in suffixes_of(row["suffixes"])}
    assert documented == {suffix for each in IO().mesh_interpreters for suffix in each.known_suffixes}
    clouds = {
        suffix for row in FORMATS.values() if row["point clouds"] == "✓" for suffix in suffixes_of(row["suffixes"])
    }
    assert clouds == {suffix for each in IO().pointcloud_interpreters for suffix in each.known_suffixes}
    assert all(row["meshes"] == "✓" for row in FORMATS.values())


def test_the_page_says_whether_there_is_binary_and_text(row, sphere, tmp_path):
    kinds = set()
    for suffix in suffixes_of(row["suffixes"]):
        IO().save_mesh(sphere, tmp_path / f"a{suffix}")
        kinds.add(b"\0" in (tmp_path / f"a{suffix}").read_bytes())
        for binary in (True, False) if suffix in (".ply", ".stl", ".usd") else ():
            IO().save_mesh(sphere, tmp_path / f"b{suffix}", binary=binary)
            assert (b"\0" in (tmp_path / f"b{suffix}").read_bytes()) == binary
            kinds.add(binary)
    assert (True in kinds, False in kinds) == (row["binary"] == "✓", row["text"] == "✓")


def test_the_page_says_whether_there_are_normals(row, sphere, tmp_path):
    normals = torch.nn.functional.normalize(torch.rand(12, 3), dim=1)
    loaded = reloaded(wearing(sphere, None, [normals]), tmp_path / f"a{row['suffix']}")
    assert loaded.has_verts_normals() == (row["normals"] == "✓")
    if row["normals"] == "✓":
        torch.testing.assert_close(loaded.verts_normals_packed(), normals, rtol=0, atol=1e-6)
        assert not reloaded(sphere, tmp_path / f"b{row['suffix']}").has_verts_normals()


@pytest.mark.parametrize("kind", ["vertex colours", "face colours", "uv and image"])
def test_the_page_says_which_textures_there_are(row, kind, sphere, tmp_path):
    textures = {
        "vertex colours": lambda: TexturesVertex([torch.rand(12, 3)]),
        "face colours": lambda: TexturesAtlas([torch.rand(20, 1, 1, 3)]),
        "uv and image": lambda: TexturesUV([torch.rand(3, 4, 3)], [torch.randint(9, (20, 3))], [torch.rand(9, 2)]),
    }[kind]()
    mesh, path = wearing(sphere, textures), tmp_path / f"a{row['suffix']}"
    if row[kind] != "✓":
        with pytest.warns(UserWarning, match="Texture will not be saved|left out|only the shape"):
            assert reloaded(mesh, path).textures is None
        return
    loaded = reloaded(mesh, path)
    torch.testing.assert_close(corner_colors(loaded), corner_colors(mesh), rtol=0, atol=0.5 / 255 + 1e-6)
    assert IO().load_mesh(path, include_textures=False).textures is None
    IO().save_mesh(mesh, path, include_textures=False)
    assert mesh.textures is textures
    assert IO().load_mesh(path).textures is None


def corner_colors(mesh: Meshes) -> torch.Tensor:
    textures = mesh.textures
    if isinstance(textures, TexturesVertex):
        return textures.faces_verts_textures_packed(mesh.faces_packed())
    return textures.faces_verts_textures_packed()


def test_a_mesh_without_anything_is_written_and_read(row, tmp_path):
    empty = Meshes([torch.empty(0, 3)], [torch.empty((0, 3), dtype=torch.int64)])
    path = tmp_path / f"a{row['suffix']}"
    if row["format"] in ("PLY", "OBJ"):
        with pytest.warns(UserWarning, match="Empty 'verts'"):
            loaded = reloaded(empty, path)
    else:
        loaded = reloaded(empty, path)
    assert len(loaded) == 1
    assert loaded.verts_packed().shape == loaded.faces_packed().shape == (0, 3)


def test_any_mesh_is_written_by_value(row, device, tmp_path):
    verts = ico_sphere(0).verts_packed().double().to(device).t().contiguous().t().requires_grad_()
    mesh = Meshes([verts], [ico_sphere(0).faces_packed().to(device)], TexturesVertex([verts.abs() / 2]))
    path = tmp_path / f"a{row['suffix']}"
    if row["vertex colours"] == "✓":
        IO().save_mesh(mesh, path)
    else:
        with pytest.warns(UserWarning, match="only the shape"):
            IO().save_mesh(mesh, path)
    loaded = IO().load_mesh(path, device=device)
    assert loaded.device.type == device.type
    expected = verts[mesh.faces_packed()].detach().float()
    torch.testing.assert_close(loaded.verts_packed()[loaded.faces_packed()], expected, rtol=0, atol=1e-6)


# The registry


class Recorder(MeshFormatInterpreter):
    """Takes what ends with ``.rec`` and remembers how it was asked."""

    known_suffixes = (".rec",)

    def __init__(self, name, log):
        self.name, self.log = name, log

    def read(self, path, include_textures, device, path_manager, **kwargs):
        self.log.append((self.name, path, include_textures, device, path_manager, kwargs))
        return ico_sphere(0) if endswith(path, self.known_suffixes) else None

    def save(self, data, path, path_manager, binary, **kwargs):
        self.log.append((self.name, data, path, path_manager, binary, kwargs))
        return endswith(path, self.known_suffixes)


def test_the_latest_is_asked_first_until_one_answers():
    log, manager = [], LocalFiles()
    files = IO(include_default_formats=False, path_manager=manager)
    files.register_meshes_format(Recorder("first", log))
    assert [type(each).__name__ for each in files.mesh_interpreters] == ["Recorder"]
    files.register_meshes_format(Recorder("second", log))
    files.load_mesh("a.rec", False, "cpu", option=3)
    assert log == [("second", "a.rec", False, "cpu", manager, {"option": 3})]
    log.clear()
    mesh = ico_sphere(0)
    files.save_mesh(mesh, "a.rec", True, option=4)
    assert log == [("second", mesh, "a.rec", manager, True, {"option": 4})]
    log.clear()
    with pytest.raises(ValueError, match=r"^IO.load_mesh: No mesh interpreter found to read a.txt: known are .rec$"):
        files.load_mesh("a.txt")
    assert [entry[0] for entry in log] == ["second", "first"]


def test_the_order_of_the_defaults():
    files = IO()
    names = [type(each).__name__.removeprefix("Mesh") for each in files.mesh_interpreters]
    assert names == [f"{name}Format" for name in ("Ply", "Off", "Obj", "Glb", "Stl", "Usd")]
    assert [type(each).__name__ for each in files.pointcloud_interpreters] == ["PointcloudPlyFormat"]
    assert isinstance(files.path_manager, LocalFiles)


def test_a_format_that_is_only_read_does_not_stand_in_the_way_of_writing(tmp_path):
    class OnlyRead(MeshFormatInterpreter):
        known_suffixes = (".once",)

        def read(self, path, include_textures, device, path_manager, **kwargs):
            return None

    class OnlyReadCloud(PointcloudFormatInterpreter):
        def read(self, path, device, path_manager, **kwargs):
            return None

    files = IO()
    files.register_meshes_format(OnlyRead())
    files.register_pointcloud_format(OnlyReadCloud())
    files.save_mesh(ico_sphere(0), tmp_path / "a.ply")
    files.save_pointcloud(Pointclouds([torch.rand(3, 3)]), tmp_path / "b.ply")
    assert len(files.load_pointcloud(tmp_path / "b.ply").points_packed()) == 3
    with pytest.raises(
        ValueError, match=r"^IO.save_mesh: No mesh interpreter found to write to a.once: known are \.ply, \.off, "
    ):
        files.save_mesh(ico_sphere(0), "a.once")
    for base in (MeshFormatInterpreter(), PointcloudFormatInterpreter()):
        with pytest.raises(NotImplementedError, match="does not read"):
            base.read("a", *([True] if base.__class__ is MeshFormatInterpreter else []), "cpu", LocalFiles())
        with pytest.raises(NotImplementedError, match="does not write"):
            base.save(None, "a", LocalFiles(), None)


def test_strings_go_through_the_path_manager_and_paths_do_not(row, tmp_path):
    class Scheme:
        def __init__(self):
            self.opened = []

        def open(self, path, mode="r"):
            self.opened.append((path, mode))
            return (tmp_path / path.removeprefix("scheme://")).open(mode)

    manager, suffix = Scheme(), row["suffix"]
    files = IO(path_manager=manager)
    mesh = wearing(
        ico_sphere(0), TexturesUV([torch.rand(2, 2, 3)], [ico_sphere(0).faces_packed()], [torch.rand(12, 2)])
    )
    if row["uv and image"] != "✓":
        mesh = ico_sphere(0)
    files.save_mesh(mesh, f"scheme://a{suffix}")
    written = {path.removeprefix("scheme://") for path, mode in manager.opened if mode == "wb"}
    assert written == {path.name for path in tmp_path.iterdir()}
    manager.opened.clear()
    # Images of USD are found by its library, which knows files of this machine only.
    loaded = files.load_mesh(f"scheme://a{suffix}", include_textures=row["format"] != "USD")
    assert len(loaded.faces_packed()) == 20
    assert (f"scheme://a{suffix}", "rb") in manager.opened
    manager.opened.clear()
    files.save_mesh(mesh, tmp_path / f"b{suffix}")
    files.load_mesh(tmp_path / f"b{suffix}")
    assert manager.opened == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda files: files.load_mesh("a.doc"),
            r"IO.load_mesh: No mesh interpreter found to read a.doc: known are \.ply, \.off, \.obj, ",
        ),
        (lambda files: files.load_mesh(Path("ply")), "IO.load_mesh: No mesh interpreter found to read ply: known are"),
        (
            lambda files: files.load_pointcloud("a.off"),
            r"IO.load_pointcloud: No point cloud interpreter found to read a.off: known are \.ply$",
        ),
        (
            lambda files: files.save_mesh(ico_sphere(0), "a"),
            "IO.save_mesh: No mesh interpreter found to write to a: known are",
        ),
        (
            lambda files: files.save_pointcloud(Pointclouds([torch.rand(3, 3)]), "a.obj"),
            r"IO.save_pointcloud: No point cloud interpreter found to write to a.obj: known are \.ply$",
        ),
        (
            lambda files: files.save_mesh(ico_sphere(0).extend(2), "a.ply"),
            "IO.save_mesh: data must be a Meshes of length 1, got Meshes of length 2",
        ),
        (
            lambda files: files.save_mesh(Pointclouds([torch.rand(3, 3)]), "a.ply"),
            "IO.save_mesh: data must be a Meshes of length 1, got Pointclouds of length 1",
        ),
        (
            lambda files: files.save_pointcloud(ico_sphere(0), "a.ply"),
            "IO.save_pointcloud: data must be a Pointclouds of length 1, got Meshes of length 1",
        ),
        (
            lambda files: files.register_meshes_format(PointcloudFormatInterpreter()),
            "IO.register_meshes_format: interpreter must be a MeshFormatInterpreter, got PointcloudFormatInterpreter",
        ),
        (
            lambda files: files.register_pointcloud_format(3),
            "IO.register_pointcloud_format: interpreter must be a PointcloudFormatInterpreter, got int",
        ),
        (
            lambda files: IO(include_default_formats=False).load_mesh("a.ply"),
            "IO.load_mesh: No mesh interpreter found to read a.ply: known are none",
        ),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        call(IO())


def test_a_missing_file_is_the_openers_error(row, tmp_path):
    with pytest.raises(FileNotFoundError, match="missing"):
        IO().load_mesh(tmp_path / f"missing{row['suffix']}")


# Suffixes


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.ply", True),
        ("a.PLY", True),
        ("ply", False),
        ("folder.ply/a", False),
        (b"a.ply", True),
        (Path("a.ply"), True),
        (Path("a.Ply"), True),
        (Path("a.ply.gz"), False),
        (Path(".ply"), False),
        (io.BytesIO(), True),
    ],
)
def test_endswith(path, expected):
    assert endswith(path, (".obj", ".Ply")) == expected


def test_a_string_may_have_a_suffix_of_two_parts():
    assert endswith("a.ply.gz", (".ply.gz",))
