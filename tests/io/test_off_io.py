# SPDX-License-Identifier: Apache-2.0
"""Reading and writing of OFF."""

import io
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from patina3d.io import IO, load_obj
from patina3d.io.off_io import MeshOffFormat
from patina3d.renderer.mesh.textures import TexturesAtlas, TexturesUV, TexturesVertex
from patina3d.structures import Meshes
from patina3d.utils import ico_sphere
from support.meshes import real_mesh
from support.mutations import outcomes

VERTS = torch.tensor([[0.01, 0.2, 0.301], [0.2, 0.03, 0.408], [0.3, 0.4, 0.05], [0.6, 0.7, 0.8]])
FACES = torch.tensor([[0, 2, 1], [0, 1, 2], [3, 2, 1]])


def read(text: str | bytes, **kwargs) -> Meshes:
    file = io.BytesIO(text) if isinstance(text, bytes) else io.StringIO(text)
    kwargs = {"include_textures": True, "device": "cpu", "path_manager": None} | kwargs
    return MeshOffFormat().read(file, **kwargs)


def text_of(mesh: Meshes, **kwargs) -> str:
    file = io.StringIO()
    assert MeshOffFormat().save(mesh, file, path_manager=None, binary=None, **kwargs)
    return file.getvalue()


# Reading

BODY = "0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"


@pytest.mark.parametrize(
    "text",
    [
        f"OFF\n3 1 0\n{BODY}",
        f"off 3 1 0\n{BODY}",
        f"OFF3 1 0\n{BODY}",
        f"3 1 0\n{BODY}",
        f"\n# a comment\n  \nOff # another\n# 9 9 9\n3 1 0 # counts\n{BODY}  # the end\n\n",
        f"OFF\r\n3 1 0\r\n{BODY}".replace("\n", "\r\n"),
        f"OFF\n3 1 edges\n{BODY}",
        "OFF\n3 1 0\n0 0 0 # first\n\n1 0 0\n# between\n0 1 0\n3 0 1 2 # face",
        "COFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n",
    ],
)
def test_headers_and_comments(text):
    for file in (text, text.encode()):
        mesh = read(file)
        assert mesh.verts_packed().tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
        assert mesh.verts_packed().dtype == torch.float32
        assert mesh.faces_packed().tolist() == [[0, 1, 2]]
        assert mesh.textures is None
        assert not mesh.has_verts_normals()


def test_polygons_become_fans():
    square = "0 0 0\n1 0 0\n1 1 0\n0 1 0\n"
    equal = read(f"OFF\n4 2 0\n{square}4 0 1 2 3 1 0 0\n4 3 2 1 0 0 0.5 0\n")
    assert equal.faces_packed().tolist() == [[0, 1, 2], [3, 2, 1], [0, 2, 3], [3, 1, 0]]
    assert equal.textures.atlas_packed()[:, 0, 0].tolist() == [[1, 0, 0], [0, 0.5, 0], [1, 0, 0], [0, 0.5, 0]]
    mixed = read(f"OFF\n4 2 0\n{square}4 0 1 2 3 255 0 51\n3 3 2 1 0 255 0\n")
    assert mixed.faces_packed().tolist() == [[0, 1, 2], [0, 2, 3], [3, 2, 1]]
    torch.testing.assert_close(
        mixed.textures.atlas_packed()[:, 0, 0], torch.tensor([[1, 0, 0.2], [1, 0, 0.2], [0, 1, 0]]), rtol=0, atol=1e-7
    )


@pytest.mark.parametrize("channels", [3, 4])
def test_colours_of_vertices(channels):
    bytes_ = [[255, 0, 51, 102][:channels], [0, 1, 2, 3][:channels]]
    rows = [" ".join(map(str, ["1 2 3", *row])) for row in bytes_]
    expected = torch.tensor(bytes_) / 255
    # Integers are scaled, also beside positions that are integers.
    for text in (rows, [row.replace("1 2 3", "1.5 2 3", 1) for row in rows]):
        mesh = read("OFF 2 0 0\n" + "\n".join(text))
        torch.testing.assert_close(mesh.textures.verts_features_packed(), expected, rtol=0, atol=1e-7)
    # One number that is no integer, in any row, and all are as they stand.
    mesh = read("OFF 2 0 0\n" + "\n".join([rows[0], rows[1] + ".5"]))
    assert mesh.textures.verts_features_packed()[0].tolist() == bytes_[0]


def test_normals():
    mesh = read("NOFF\n3 1 0\n0 0 0 0 0 2\n1 0 0 0 0 1\n0 1 0 0 1 0\n3 0 1 2\n")
    assert mesh.verts_normals_packed().tolist() == [[0, 0, 2], [0, 0, 1], [0, 1, 0]]
    mesh = read("CNOFF\n1 0 0\n0 0 0 0 0 1 255 0 255\n")
    assert mesh.verts_normals_packed().tolist() == [[0, 0, 1]]
    assert mesh.textures.verts_features_packed().tolist() == [[1, 0, 1]]


def test_colours_of_both_warn_and_those_of_vertices_stay():
    text = "OFF\n3 1 0\n0 0 0 1.0 0 0\n1 0 0 1 0 0\n0 1 0 1 0 0\n3 0 1 2 1 1 1\n"
    with pytest.warns(UserWarning, match="Faces colors ignored because vertex colors provided too") as caught:
        assert isinstance(read(text).textures, TexturesVertex)
    assert len(caught) == 1
    assert read(text, include_textures=False).textures is None


def test_without_vertices_or_faces():
    for text in ("OFF 0 0 0", "OFF\n0 0 0\n", text_of(Meshes([torch.empty(0, 3)], [torch.empty(0, 3).long()]))):
        mesh = read(text)
        assert mesh.verts_packed().shape == mesh.faces_packed().shape == (0, 3)
    assert read("OFF\n1 0 0\n1 2 3\n").verts_packed().tolist() == [[1, 2, 3]]


def test_indices_beyond_float32_are_exact():
    with pytest.raises(ValueError, match=r"line 3: indices must be in \[0, 1\), got 16777217 16777217 0"):
        read("OFF 1 1 0\n0 0 0\n3 16777217 16777217 0")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "<StringIO>: the file is empty"),
        ("# nothing\n", "<StringIO>: the file is empty"),
        ("OFF", "<StringIO>: Not enough header data: 1 lines expected, got 0"),
        ("OFF\n3 1\n", "line 2: must be 3 numbers, of vertices, faces and edges, got 2 words"),
        ("OFF\n3 1 0 0\n", "line 2: must be 3 numbers"),
        ("OFF\n3 -1 0\n", "line 2: the numbers of vertices and faces must be >= 0, got 3 -1 0"),
        ("OFF\n3 1.5 0\n", "line 2: must be an integer, got '1.5'"),
        ("OFF\n1_0 1 0\n", "line 2: must be an integer, got '1_0'"),
        ("FOO\n3 1 0\n", "line 1: must be 3 numbers"),
        ("STOFF\n3 1 0\n", "line 1: must be OFF, COFF, NOFF or CNOFF, got 'STOFF'"),
        ("4OFF\n3 1 0\n", "line 1: must be OFF, COFF, NOFF or CNOFF, got '4OFF'"),
        ("nOFF\n3\n3 1 0\n", "line 1: must be OFF, COFF, NOFF or CNOFF, got 'nOFF'"),
        ("OFF BINARY\n3 1 0\n", "line 1: binary OFF is not read"),
        ("OFF\n2 0 0\n0 0 0\n", "Not enough vertex data: 2 lines expected, got 1"),
        ("OFF\n1 1 0\n0 0 0\n", "Not enough face data: 1 lines expected, got 0"),
        ("OFF\n99999999999999 1 0\n0 0 0\n", "Not enough vertex data: 99999999999999 lines expected"),
        ("OFF\n1 0 0\n0 0\n", "line 3: Bad vertex data: a vertex must have 3, 6 or 7 numbers, got 2"),
        ("OFF\n1 0 0\n0 0 0 1\n", "line 3: Bad vertex data: a vertex must have 3, 6 or 7 numbers, got 4"),
        (
            "OFF\n2 0 0\n0 0 0\n0 0 0 1 1 1\n",
            "line 4: Wrong number of columns: a vertex must have 3 numbers as the first has, got 6",
        ),
        ("NOFF\n1 0 0\n0 0 0\n", "line 3: Bad vertex data: a vertex must have 6, 9 or 10 numbers, got 3"),
        ("OFF\n1 0 0\n0 x 0\n", "line 3: must be a number, got 'x'"),
        ("OFF\n1 0 0\n0 1_0 0\n", "line 3: must be a number, got '1_0'"),
        ("OFF\n3 1 0\n0 0 0\n0 0 0\n0 0 0\n2 0 1\n", "line 6: Faces must have at least 3 vertices, got 2"),
        (
            "OFF\n3 1 0\n0 0 0\n0 0 0\n0 0 0\n4 0 1 2\n",
            "line 6: A line of face data did not have the specified length: 4 vertices expected, got 3",
        ),
        (
            "OFF\n3 1 0\n0 0 0\n0 0 0\n0 0 0\n3 0 1 2 7\n",
            "line 6: Unexpected number of colors: must be 0, 3 or 4, got 1",
        ),
        (
            "OFF\n3 2 0\n0 0 0\n0 0 0\n0 0 0\n3 0 1 2\n3 0 1 2 1 1 1\n",
            "line 7: Unexpected number of colors: must be 0, as of the first face, got 3",
        ),
        ("OFF\n3 1 0\n0 0 0\n0 0 0\n0 0 0\n3 0 1 3\n", r"line 6: indices must be in \[0, 3\), got 0 1 3"),
        ("OFF\n3 1 0\n0 0 0\n0 0 0\n0 0 0\n3 0 -1 2\n", r"line 6: indices must be in \[0, 3\), got 0 -1 2"),
        ("OFF\n3 1 0\n0 0 0\n0 0 0\n0 0 0\n3 0 1 2.0\n", "line 6: must be an integer, got '2.0'"),
        ("OFF\n1 0 0\n0 0 0\n3 0 0 0\n", "line 4: Extra data at end of file: it must end after 0 faces"),
        # What comes first is reported first: a line of another kind rather than the missing ones after it.
        ("OFF\n9 1 0\n0 0 0\n3 0 0 0\n", "line 4: Wrong number of columns: .* 3 numbers as the first has, got 4"),
        ("OFF\n1 1 0\n0 0 0\n0.0 1 2\n", "line 4: Faces must have at least 3 vertices, got 0"),
        ("OFF\n1 1 0\n0 0 0\n7.5 1 2\n", "line 4: A line of face data did not have .*: 7.5 vertices expected, got 2"),
        ("OFF\n1 1 0\n0 0 0\n3.5 0 0 0 1 1 1\n", "line 4: Unexpected number of colors: must be 0, 3 or 4, got 2.5"),
        ("OFF\n1 1 0\n0 0 0\nnan 0 0 0\n", "line 4: Unexpected number of colors: must be 0, 3 or 4, got nan"),
        ("OFF\n1 1 0\n0 0 0\ninf 0 0 0\n", "line 4: A line of face data did not have the specified length: inf"),
    ],
)
def test_bad_files_are_refused(text, message):
    with pytest.raises(ValueError, match=f"^MeshOffFormat.read: <StringIO>.*{message.removeprefix('<StringIO>')}"):
        read(text)


def test_errors_name_the_file(tmp_path):
    path = tmp_path / "bad.off"
    path.write_text("OFF\n1 0 0\n0 0\n")
    with pytest.raises(ValueError, match=f"^MeshOffFormat.read: {re.escape(str(path))}, line 3: "):
        IO().load_mesh(path)


def test_other_suffixes_are_not_taken():
    assert MeshOffFormat().read("a.obj", include_textures=True, device="cpu", path_manager=None) is None
    assert not MeshOffFormat().save(ico_sphere(0), "a.obj", path_manager=None, binary=None)


COLOURED = "OFF\n4 2 0\n0 0 0\n1 0 0\n1 1 0\n0 1 0 # corner\n4 0 1 2 3 255 0 51\n3 3 2 1 0 255 0\n"


def test_damaged_files_are_read_or_refused():
    assert outcomes(read, COLOURED.encode(), 400, "MeshOffFormat.read: <BytesIO>") == {Meshes, ValueError}


# Writing


def test_writes_text():
    rows = "0.01 0.20 0.30\n0.20 0.03 0.41\n0.30 0.40 0.05\n0.60 0.70 0.80\n"
    faces = "3 0 2 1\n3 0 1 2\n3 3 2 1\n"
    assert text_of(Meshes([VERTS], [FACES]), decimal_places=2) == f"OFF\n4 3 0\n{rows}{faces}"
    one = Meshes([VERTS[:1]], [FACES[:0]])
    assert text_of(one) == "OFF\n1 0 0\n0.010000 0.200000 0.301000\n"
    one.textures = TexturesVertex([torch.tensor([[0.0, 0.25, 1.0, 0.5]])])
    assert text_of(one, decimal_places=1) == "COFF\n1 0 0\n0.0 0.2 0.3 0.000000 0.250000 1.000000 0.500000\n"
    normals = Meshes([VERTS[:1]], [FACES[:0]], verts_normals=[torch.tensor([[0.0, 0.0, 1.0]])])
    assert text_of(normals, decimal_places=0) == "NOFF\n1 0 0\n0 0 0 0 0 1\n"
    normals.textures = TexturesVertex([torch.ones(1, 3)])
    assert text_of(normals, decimal_places=0) == "CNOFF\n1 0 0\n0 0 0 0 0 1 1.000000 1.000000 1.000000\n"
    coloured = Meshes([VERTS], [FACES[:1]], TexturesAtlas([torch.tensor([[[[0.0, 0.5, 1.0]]]])]))
    assert text_of(coloured, decimal_places=0).endswith("\n3 0 2 1 0.000000 0.500000 1.000000\n")


def test_colours_do_not_become_bytes_for_want_of_digits():
    mesh = Meshes([VERTS], [FACES], TexturesVertex([torch.ones(4, 3)]))
    assert torch.equal(read(text_of(mesh, decimal_places=0)).textures.verts_features_packed(), torch.ones(4, 3))


def test_bad_arguments_are_refused():
    mesh = ico_sphere(0)
    with pytest.raises(ValueError, match=r"^MeshOffFormat.save: decimal_places must be"):
        text_of(mesh, decimal_places=-1)
    with pytest.raises(ValueError, match=r"^MeshOffFormat.save: binary must be None or False"):
        MeshOffFormat().save(mesh, io.BytesIO(), path_manager=None, binary=True)
    for textures in (
        TexturesVertex([torch.ones(12, 2)]),
        TexturesAtlas([torch.ones(20, 2, 2, 3)]),
        TexturesUV([torch.ones(2, 2, 3)], [mesh.faces_packed()], [torch.ones(12, 2)]),
    ):
        mesh.textures = textures
        with pytest.warns(UserWarning, match=rf"{type(textures).__name__}\(.*\) cannot be written as OFF has it"):
            assert text_of(mesh) == text_of(ico_sphere(0))


@pytest.mark.parametrize("name", ["spot", "suzanne"])
def test_agrees_with_trimesh_on_real_meshes(name, tmp_path):
    trimesh = pytest.importorskip("trimesh")
    verts, faces, _ = load_obj(real_mesh(f"{name}.obj"), load_textures=False)
    mesh = trimesh.Trimesh(verts.numpy(), faces.verts_idx.numpy(), process=False)
    loaded = read(trimesh.exchange.off.export_off(mesh, digits=12))
    torch.testing.assert_close(loaded.verts_packed(), verts, rtol=0, atol=1e-7)
    assert torch.equal(loaded.faces_packed(), faces.verts_idx)
    IO().save_mesh(Meshes([verts], [faces.verts_idx]), tmp_path / "a.off", decimal_places=12)
    other = trimesh.load(tmp_path / "a.off", process=False)
    np.testing.assert_array_equal(np.asarray(other.faces), faces.verts_idx.numpy())
    np.testing.assert_allclose(np.asarray(other.vertices), verts.numpy(), rtol=0, atol=1e-11)


@st.composite
def meshes(draw):
    number = st.floats(width=32, allow_nan=False)
    count = draw(st.integers(0, 6))
    rows = [draw(st.tuples(number, number, number)) for _ in range(count)]
    verts = torch.tensor(rows, dtype=torch.float32).view(-1, 3)
    index = st.integers(0, max(count - 1, 0))
    faces = draw(st.lists(st.tuples(index, index, index), max_size=6)) if count else []
    faces = torch.tensor(faces, dtype=torch.int64).view(-1, 3)
    unit = st.floats(0, 1, width=16)
    channels = draw(st.sampled_from([3, 4]))
    kind = draw(st.sampled_from(["none", "verts", "faces"]))
    textures = None
    if kind == "verts" and count:
        textures = TexturesVertex([torch.tensor([[draw(unit) for _ in range(channels)] for _ in range(count)])])
    elif kind == "faces" and len(faces):
        colors = torch.tensor([[draw(unit) for _ in range(channels)] for _ in range(len(faces))])
        textures = TexturesAtlas([colors[:, None, None]])
    normals = [torch.tensor(rows, dtype=torch.float32).view(-1, 3)] if draw(st.booleans()) and count else None
    return Meshes([verts], [faces], textures, verts_normals=normals)


@given(meshes())
def test_what_is_saved_is_loaded(mesh):
    text = text_of(mesh, decimal_places=150)
    loaded = read(text)
    assert torch.equal(loaded.verts_packed(), mesh.verts_packed())
    assert torch.equal(loaded.faces_packed(), mesh.faces_packed())
    assert type(loaded.textures) is type(mesh.textures)
    assert loaded.has_verts_normals() == mesh.has_verts_normals()
    if mesh.has_verts_normals():
        assert torch.equal(loaded.verts_normals_packed(), mesh.verts_normals_packed())
    assert text_of(loaded, decimal_places=150) == text
