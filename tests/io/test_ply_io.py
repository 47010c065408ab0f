# SPDX-License-Identifier: Apache-2.0
"""Reading and writing of PLY."""

import gzip
import io
import os
import re
from contextlib import ExitStack
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from patina3d.io import load_obj, load_ply, save_ply
from support.meshes import real_mesh

VERTS = torch.tensor([[0.01, 0.2, 0.301], [0.2, 0.03, 0.408], [0.3, 0.4, 0.05], [0.6, 0.7, 0.8]])
FACES = torch.tensor([[0, 2, 1], [0, 1, 2], [3, 2, 1]])
TYPES = {
    "char": "i1",
    "uchar": "u1",
    "short": "i2",
    "ushort": "u2",
    "int": "i4",
    "uint": "u4",
    "float": "f4",
    "double": "f8",
}
FORMATS = ["ascii", "binary_little_endian", "binary_big_endian"]


def ply(lines: str, body: str | bytes = "", form: str = "ascii") -> io.BytesIO:
    """A file from the lines of its header between ``format`` and ``end_header``, and its body."""
    head = f"ply\nformat {form} 1.0\n{lines}end_header\n"
    return io.BytesIO(head.encode() + (body.encode() if isinstance(body, str) else body))


def cube(form: str, coordinate: str = "float", index: str = "int", length: str = "uchar") -> io.BytesIO:
    """Eight corners and six quadrangles, among much else, in one of the formats and with given types."""
    corners = [(x, y, z) for x in (0, 1) for y in (0, 2) for z in (0, 3)]
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    lines = "comment a cube\nelement camera 1\nproperty list ushort double pose\nproperty char id\n"
    lines += f"element vertex 8\nproperty uchar red\nproperty {coordinate} z\nproperty {coordinate} x\n"
    lines += f"property double quality\nproperty {coordinate} y\nelement face 6\nproperty list uchar float uvs\n"
    lines += f"property list {length} {index} vertex_indices\nproperty short group\nelement edge 1\nproperty int a\n"
    if form == "ascii":
        rows = ["2 0.5 1.5 -1"] + [f"255 {z} {x} 0.25 {y}" for x, y, z in corners]
        rows += [f"1 0.5 4 {a} {b} {c} {d} -7" for a, b, c, d in quads] + ["1"]
        return ply(lines, "\n".join(rows) + "\n")
    order = "<" if form == "binary_little_endian" else ">"
    parts = [np.array(2, order + "u2"), np.array([0.5, 1.5], order + "f8"), np.array(-1, "i1")]
    for x, y, z in corners:
        position = [np.array(value, order + TYPES[coordinate]) for value in (z, x, y)]
        parts += [np.array(255, "u1"), *position[:2], np.array(0.25, order + "f8"), position[2]]
    for quad in quads:
        parts += [np.array(1, "u1"), np.array(0.5, order + "f4"), np.array(4, order + TYPES[length])]
        parts += [np.array(quad, order + TYPES[index]), np.array(-7, order + "i2")]
    return ply(lines, b"".join(part.tobytes() for part in [*parts, np.array(1, order + "i4")]), form)


CUBE_VERTS = torch.tensor([[x, y, z] for x in (0.0, 1) for y in (0.0, 2) for z in (0.0, 3)])
CUBE_FACES = [[0, 1, 3], [4, 6, 7], [0, 4, 5], [2, 3, 7], [0, 2, 6], [1, 5, 7]]
CUBE_FACES += [[0, 3, 2], [4, 7, 5], [0, 5, 1], [2, 7, 6], [0, 6, 4], [1, 7, 3]]


def triangles_file(body: str, faces: int, prefix: str = "") -> io.BytesIO:
    lines = "element vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
    lines += f"element face {faces}\n{prefix}property list uchar int vertex_index\n"
    return ply(lines, "0 0 0\n1 0 0\n0 1 0\n" + body)


# Reading


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("coordinate", TYPES)
@pytest.mark.parametrize("index", ["char", "uchar", "short", "ushort", "int", "uint"])
def test_reads_every_format_and_type(form, coordinate, index):
    verts, faces = load_ply(cube(form, coordinate, index, length=index))
    assert verts.dtype == torch.float32
    assert torch.equal(verts, CUBE_VERTS)
    assert faces.dtype == torch.int64
    assert faces.tolist() == CUBE_FACES


def test_polygons_of_several_sizes_are_split_face_by_face():
    _, faces = load_ply(triangles_file("5 0 1 2 1 0\n3 2 1 0\n4 0 1 2 1\n", 3))
    assert faces.tolist() == [[0, 1, 2], [0, 2, 1], [0, 1, 0], [2, 1, 0], [0, 1, 2], [0, 2, 1]]


def test_unsigned_indices_do_not_wrap():
    body = np.array([(3, 2**31, 2**32 - 1, 0)], np.dtype("u1,<u4,<u4,<u4")).tobytes()
    lines = "element vertex 0\nproperty float x\nproperty float y\nproperty float z\n"
    lines += "element face 1\nproperty list uchar uint i\n"
    with pytest.warns(UserWarning, match="Faces have invalid indices"):
        _, faces = load_ply(ply(lines, body, "binary_little_endian"))
    assert faces.tolist() == [[2**31, 2**32 - 1, 0]]


@pytest.mark.parametrize(
    "faces", ["", "element face 0\nproperty list uchar int vertex_index\n", "element face 0\nproperty int a\n"]
)
def test_without_faces(faces):
    lines = f"element vertex 1\nproperty float x\nproperty float y\nproperty float z\n{faces}"
    verts, faces = load_ply(ply(lines, "1 2 3\n"))
    assert verts.tolist() == [[1, 2, 3]]
    assert faces.shape == (0, 3)
    assert faces.dtype == torch.int64


@pytest.mark.parametrize("form", FORMATS)
def test_without_vertices(form):
    lines = "element vertex 0\nproperty float x\nproperty float y\nproperty float z\n"
    verts, faces = load_ply(ply(lines, "", form))
    assert verts.shape == faces.shape == (0, 3)


def test_the_result_can_be_written_to():
    verts, faces = load_ply(cube("ascii"))
    verts += 1
    faces += 1
    assert verts.min() == 1


@pytest.mark.parametrize("form", FORMATS)
def test_each_kind_of_input_gives_the_same(form, tmp_path):
    data = cube(form).getvalue()
    path, packed = tmp_path / "cube.ply", tmp_path / "cube.ply.gz"
    path.write_bytes(data)
    packed.write_bytes(gzip.compress(data))
    modes = ("rb", "rt") if form == "ascii" else ("rb",)
    with ExitStack() as stack:
        streams = [
            stack.enter_context(opener(mode)) for mode in modes for opener in (path.open, partial(gzip.open, packed))
        ]
        for source in (path, str(path), os.fsencode(path), io.BytesIO(data), *streams):
            verts, faces = load_ply(source)
            assert torch.equal(verts, CUBE_VERTS)
            assert faces.tolist() == CUBE_FACES
        assert not any(stream.closed for stream in streams)


def test_a_path_manager_opens_strings():
    class Scheme:
        def open(self, name, mode="r"):
            assert (name, mode) == ("scheme://cube", "rb")
            return cube("binary_big_endian")

    assert load_ply("scheme://cube", path_manager=Scheme())[1].tolist() == CUBE_FACES


def test_errors_name_the_file_and_the_line(tmp_path):
    path = tmp_path / "bad.ply"
    path.write_bytes(triangles_file("3 0 1\n", 1).getvalue())
    for source in (path, str(path)):
        message = f"load_ply: {path}, line 13: A line of face data did not have the specified length: "
        message += "property vertex_index is a list of 3 items, got 2"
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            load_ply(source)


def one_face(properties: str, row: str) -> io.BytesIO:
    return ply(f"{VERTEX}element face 1\n{properties}", f"0 0 0\n{row}")


VERTEX = "element vertex 1\nproperty float x\nproperty float y\nproperty float z\n"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (io.BytesIO(), r"<BytesIO>, line 1: Invalid file header: the first line must be"),
        (io.BytesIO(b"ply\nformat ascii 1.0\n"), r"<BytesIO>, line 2: the header ends without end_header"),
        (ply(VERTEX, b"\0" * 11, "binary_little_endian"), "<BytesIO>: Not enough data for vertex: .* record 1 of"),
        (ply(VERTEX, b"\0" * 13, "binary_little_endian"), "<BytesIO>: Extra data at end of file: 1 bytes"),
        (io.StringIO(cube("binary_big_endian").getvalue().decode("latin-1")), "a binary file needs a stream of bytes"),
        (ply("element v 1\nproperty float x\n", "1\n"), "Invalid vertices in file: there must be an"),
        (ply(VERTEX.replace("z", "w"), "1 2 3\n"), "must be an element vertex with the properties x, y and z"),
        (ply(VERTEX.replace("float z", "list uchar float z"), "1 2 1 3\n"), "x, y and z, all scalars"),
        (triangles_file("2 0 1\n", 1), "Faces must have at least 3 vertices, got 2 in face 0"),
        (triangles_file("3 0 1 2\n0\n", 2), "Faces must have at least 3 vertices, got 0 in face 1"),
        (one_face("property list uchar float i\n", "3 0 0 0\n"), "the corners of faces must be integers, got float"),
        (one_face("property int i\n", "1\n"), r"the element face must have a list property .*, got \[\]"),
        (one_face("property list char int i\nproperty list char int j\n", "0 0\n"), r"got \['i', 'j'\]"),
        (
            one_face("property list char int vertex_index\nproperty list char int vertex_indices\n", "0 0\n"),
            r"got \['vertex_index', 'vertex_indices'\]",
        ),
    ],
)  # fmt: skip
def test_bad_files_are_refused(source, message):
    with pytest.raises(ValueError, match=f"^load_ply: .*{message}"):
        load_ply(source)


def test_other_errors():
    with pytest.raises(FileNotFoundError, match=r"no_such_file\.ply"):
        load_ply("no_such_file.ply")
    with pytest.raises(TypeError, match="load_ply: f must be a path or a readable stream, got int"):
        load_ply(3)


def test_an_index_outside_the_vertices_warns_and_is_kept():
    for body, row in (("3 0 1 3\n", [0, 1, 3]), ("3 0 -1 2\n", [0, -1, 2])):
        with pytest.warns(UserWarning, match="Faces have invalid indices") as caught:
            _, faces = load_ply(triangles_file(f"3 0 1 2\n{body}", 2))
        assert len(caught) == 1
        assert f"load_ply: 1 of 2 rows of faces hold an index outside [0, 3); the first is row 1: {row}" in str(
            caught[0].message
        )
        assert faces[1].tolist() == row


# Real meshes, and what others write


@pytest.mark.parametrize("name", ["spot", "stanford-bunny", "suzanne"])
def test_agrees_with_trimesh_on_real_meshes(name, tmp_path):
    trimesh = pytest.importorskip("trimesh")
    verts, faces, _ = load_obj(real_mesh(f"{name}.obj"))
    faces = faces.verts_idx
    mesh = trimesh.Trimesh(verts.numpy(), faces.numpy(), process=False)
    for encoding in ("ascii", "binary_little_endian"):
        encoded = trimesh.exchange.ply.export_ply(mesh, encoding=encoding, vertex_normal=True)
        loaded_verts, loaded_faces = load_ply(io.BytesIO(encoded))
        torch.testing.assert_close(loaded_verts, verts, rtol=0, atol=1e-7 if encoding == "ascii" else 0)
        assert torch.equal(loaded_faces, faces)
    for ascii in (False, True):
        save_ply(tmp_path / "a.ply", verts, faces, ascii=ascii, decimal_places=12)
        read = trimesh.load(tmp_path / "a.ply", process=False)
        np.testing.assert_array_equal(np.asarray(read.faces), faces.numpy())
        np.testing.assert_allclose(np.asarray(read.vertices), verts.numpy(), rtol=0, atol=1e-11 if ascii else 0)


# Writing


def saved(*args, **kwargs) -> bytes:
    file = io.BytesIO()
    save_ply(file, *args, **kwargs)
    assert not file.closed
    return file.getvalue()


NATIVE = "binary_little_endian" if np.little_endian else "binary_big_endian"


def header(form: str, verts: int, faces: int | None, normals: bool = False) -> bytes:
    names = ["x", "y", "z", *(["nx", "ny", "nz"] if normals else [])]
    lines = ["ply", f"format {form} 1.0", f"element vertex {verts}", *(f"property float {name}" for name in names)]
    if faces is not None:
        lines += [f"element face {faces}", "property list uchar int vertex_index"]
    return "\n".join([*lines, "end_header", ""]).encode()


def test_writes_text():
    rows = "0.01 0.20 0.30\n0.20 0.03 0.41\n0.30 0.40 0.05\n0.60 0.70 0.80\n"
    faces = "3 0 2 1\n3 0 1 2\n3 3 2 1\n"
    assert saved(VERTS, FACES, ascii=True, decimal_places=2) == header("ascii", 4, 3) + (rows + faces).encode()
    assert saved(VERTS[:1], ascii=True) == header("ascii", 1, None) + b"0.010000 0.200000 0.301000\n"
    assert saved(VERTS[:1], FACES[:0], ascii=True, decimal_places=0) == header("ascii", 1, 0) + b"0 0 0\n"
    text = saved(VERTS[:1], None, VERTS[3:], True, 1)
    assert text == header("ascii", 1, None, normals=True) + b"0.0 0.2 0.3 0.6 0.7 0.8\n"


def test_writes_binary():
    packed = np.zeros(3, np.dtype("u1,3=i4"))
    packed["f0"], packed["f1"] = 3, FACES
    assert saved(VERTS, FACES) == header(NATIVE, 4, 3) + VERTS.numpy().tobytes() + packed.tobytes()
    assert saved(VERTS) == header(NATIVE, 4, None) + VERTS.numpy().tobytes()
    both = torch.cat([VERTS, -VERTS], dim=1).numpy().tobytes()
    assert saved(VERTS, FACES, -VERTS) == header(NATIVE, 4, 3, normals=True) + both + packed.tobytes()


def test_each_kind_of_output_gives_the_same(tmp_path):
    path = tmp_path / "a.ply"
    for ascii in (False, True):
        expected = saved(VERTS, FACES, ascii=ascii)
        for target in (path, str(path), os.fsencode(path)):
            save_ply(target, VERTS, FACES, ascii=ascii)
            assert path.read_bytes() == expected
            path.unlink()
        with gzip.open(path, "wb") as stream:
            save_ply(stream, VERTS, FACES, ascii=ascii)
        assert gzip.decompress(path.read_bytes()) == expected
    text = io.StringIO()
    save_ply(text, VERTS, FACES, ascii=True)
    assert text.getvalue().encode() == expected


def test_any_tensor_is_written_by_value(device):
    verts = VERTS.to(device)
    for ascii in (False, True):
        expected = saved(VERTS, FACES, VERTS, ascii=ascii)
        normals = verts.t().contiguous().t()
        assert saved(verts.clone().requires_grad_(), FACES.to(device), normals, ascii=ascii) == expected
        assert saved(verts.double(), FACES.int().flip(1).flip(1), verts.double(), ascii=ascii) == expected
        assert (
            saved(torch.complex(verts.double(), -verts.double()).conj().imag, FACES.to(torch.uint8), verts, ascii=ascii)
            == expected
        )
        half = VERTS.bfloat16()
        assert saved(half, ascii=ascii) == saved(half.float(), ascii=ascii)
    assert saved(torch.tensor([[1, 2, 3]]).expand(2, 3)) == saved(torch.tensor([[1.0, 2, 3], [1, 2, 3]]))


@pytest.mark.parametrize("ascii", [False, True])
@pytest.mark.parametrize("faces", [None, FACES, torch.empty(0)])
def test_without_vertices_only_a_header_is_written(ascii, faces):
    for verts in (torch.empty(0), torch.empty(0, 3)):
        with pytest.warns(UserWarning, match="save_ply: Empty 'verts' provided") as caught:
            assert saved(verts, faces, ascii=ascii) == header("ascii" if ascii else NATIVE, 0, None)
        assert len(caught) == 1


def test_invalid_indices_warn_and_are_written():
    with pytest.warns(UserWarning, match=r"Faces have invalid indices. save_ply: 1 of 3 rows of faces .* \[3, 2, 1\]"):
        data = saved(VERTS[:3], FACES)
    with pytest.warns(UserWarning, match=r"Faces have invalid indices. load_ply"):
        assert torch.equal(load_ply(io.BytesIO(data))[1], FACES)
    with pytest.warns(UserWarning, match="3 of 3 rows"):
        assert saved(VERTS, -FACES - 1, ascii=True).endswith(b"3 -1 -3 -2\n3 -1 -2 -3\n3 -4 -3 -2\n")


@pytest.mark.filterwarnings("ignore:Faces have invalid indices")
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"verts": VERTS[:, :2]}, ValueError, r"verts must have shape \(\., 3\), got \(4, 2\)"),
        ({"verts": VERTS.numpy()}, TypeError, "verts must be a tensor, got ndarray"),
        ({"faces": FACES[:, :2]}, ValueError, r"faces must have shape \(\., 3\), got \(3, 2\)"),
        ({"faces": FACES.float()}, ValueError, "faces must hold integers, got torch.float32"),
        ({"faces": FACES + 2**31}, ValueError, "an index must be a 32-bit integer, got 2147483648 in face 0"),
        ({"verts_normals": VERTS[:, :2]}, ValueError, r"verts_normals must have shape \(\., 3\), got \(4, 2\)"),
        ({"verts_normals": VERTS[:2]}, ValueError, r"must have one row for each vertex, \(4, 3\), got \(2, 3\)"),
        ({"verts_normals": VERTS[:0]}, ValueError, r"must have one row for each vertex, \(4, 3\), got \(0, 3\)"),
        ({"decimal_places": -1}, ValueError, "decimal_places must be None or an integer in"),
        ({"f": io.StringIO()}, TypeError, "f must be a path or a stream of bytes unless ascii is True, got StringIO"),
        ({"f": 3}, TypeError, "f must be a path or a writable stream, got int"),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused(change, error, message):
    arguments = {"f": io.BytesIO(), "verts": VERTS, "faces": FACES} | change
    with pytest.raises(error, match=f"^save_ply: .*{message}"):
        save_ply(**arguments)


# Laws


@st.composite
def meshes(draw):
    coordinate = st.floats(width=32)
    verts = draw(st.lists(st.tuples(coordinate, coordinate, coordinate), min_size=1, max_size=8))
    index = st.integers(0, len(verts) - 1)
    faces = draw(st.lists(st.tuples(index, index, index), max_size=8))
    return torch.tensor(verts, dtype=torch.float32), torch.tensor(faces, dtype=torch.int64).view(-1, 3)


@given(meshes(), st.booleans(), st.booleans())
@settings(deadline=None)
def test_what_is_saved_is_loaded(mesh, ascii, with_normals):
    verts, faces = mesh
    data = saved(verts, faces, verts if with_normals else None, ascii=ascii, decimal_places=150)
    loaded_verts, loaded_faces = load_ply(io.BytesIO(data))
    torch.testing.assert_close(loaded_verts, verts, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(loaded_faces, faces)
    assert (
        saved(loaded_verts, loaded_faces, loaded_verts if with_normals else None, ascii=ascii, decimal_places=150)
        == data
    )


@given(st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=7), max_size=8), st.booleans())
@settings(deadline=None)
def test_fans_equal_their_definition(polygons, cut):
    polygons = [polygon[:4] for polygon in polygons if len(polygon) >= 4] if cut else polygons
    fans = [[(p[0], p[i], p[i + 1]) for i in range(1, len(p) - 1)] for p in polygons]
    if len({len(fan) for fan in fans}) == 1:
        fans = zip(*fans, strict=True)
    expected = [list(triangle) for fan in fans for triangle in fan]
    lines = "element vertex 10\nproperty int x\nproperty int y\nproperty int z\n"
    lines += f"element face {len(polygons)}\nproperty list int int i\n"
    rows = ["0 0 0"] * 10 + [" ".join(map(str, (len(polygon), *polygon))) for polygon in polygons]
    assert load_ply(ply(lines, "\n".join(rows)))[1].tolist() == expected
