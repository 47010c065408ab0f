# SPDX-License-Identifier: Apache-2.0
"""Reading and writing of Wavefront OBJ."""

import io
import os
import re
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from patina3d.io import load_obj, load_objs_as_meshes, save_obj
from support.meshes import real_mesh

REAL_MESHES = ["fandisk", "rocker-arm", "spot", "stanford-bunny", "suzanne", "teapot"]

SQUARE = """# a square, its corners in other orders
mtllib square.mtl
v 0 0 0
v 1.5 0 0 1.0
v 1.5 1 0 0.1 0.2 0.3
v 0 1 -2e-1
vn 0 0 1
vn 0 0 2
vt 0 0.25
vt 1 0.5 0
usemtl red
f 1/1/1 2/2/1 3/1/2 4/2/2
usemtl blue sky
f 1//2 2//1 3//1
f 3/1 2/1 1/2
usemtl red
f -1 -2 -3
"""


def read(text: str, **options):
    """What a text holds, without its materials (`test_mtl_io.py` has those)."""
    return load_obj(io.StringIO(text), **{"load_textures": False, **options})


def assert_same(actual: tuple, expected: tuple) -> None:
    """Equality of two results of ``load_obj``, part by part, dtypes included."""
    (verts, faces, aux), (other_verts, other_faces, other_aux) = actual, expected
    for a, b in zip((verts, *faces, *aux[:2]), (other_verts, *other_faces, *other_aux[:2]), strict=True):
        if a is None or b is None:
            assert a is b
        else:
            torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)


# Reading


def test_reads_each_part():
    verts, faces, aux = read(SQUARE)
    none = [-1, -1, -1]
    assert torch.equal(verts, torch.tensor([[0, 0, 0], [1.5, 0, 0], [1.5, 1, 0], [0, 1, -0.2]]))
    assert faces.verts_idx.tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 2], [2, 1, 0], [3, 2, 1]]
    assert faces.normals_idx.tolist() == [[0, 0, 1], [0, 1, 1], [1, 0, 0], none, none]
    assert faces.textures_idx.tolist() == [[0, 1, 0], [0, 0, 1], none, [0, 0, 1], none]
    assert faces.materials_idx.tolist() == [0, 0, 1, 1, 0]
    assert aux.normals.tolist() == [[0, 0, 1], [0, 0, 2]]
    assert aux.verts_uvs.tolist() == [[0, 0.25], [1, 0.5]]
    assert aux[2:] == (None, None, None)


def test_names_of_the_results():
    _, faces, aux = read(SQUARE)
    assert type(faces).__name__ == "Faces"
    assert faces._fields == ("verts_idx", "normals_idx", "textures_idx", "materials_idx")
    assert type(aux).__name__ == "Properties"
    assert aux._fields == ("normals", "verts_uvs", "material_colors", "texture_images", "texture_atlas")


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "v 1 2 3\n", "vt 0 0\n", "usemtl red\n"])
def test_without_faces_all_indices_are_empty_tensors(text):
    verts, faces, _ = read(text)
    assert verts.shape == (text.count("v 1"), 3)
    assert verts.dtype == torch.float32
    assert [tuple(index.shape) for index in faces] == [(0, 3), (0, 3), (0, 3), (0,)]
    assert {index.dtype for index in faces} == {torch.int64}


def test_no_warning_for_a_file_without_materials():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, faces, aux = load_obj(io.StringIO("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"))
    assert faces.materials_idx.tolist() == [-1]
    assert aux == (None,) * 5


def test_the_result_can_be_written_to():
    verts, faces, _ = read(SQUARE)
    verts += 1
    faces.verts_idx[0] = 0
    assert verts.min() == 0.8
    assert faces.verts_idx[0].tolist() == [0, 0, 0]


def test_each_kind_of_input_gives_the_same(tmp_path):
    expected = read(SQUARE)
    path = tmp_path / "square.obj"
    path.write_bytes(SQUARE.encode())
    assert_same(load_obj(path, load_textures=False), expected)
    assert_same(load_obj(str(path), load_textures=False), expected)
    assert_same(load_obj(os.fsencode(path), load_textures=False), expected)
    assert_same(load_obj(io.BytesIO(SQUARE.encode()), load_textures=False), expected)
    assert_same(read("\ufeff" + SQUARE.replace("\n", "\r\n").replace(" ", "\t")), expected)
    for mode in ("r", "rb"):
        with path.open(mode) as stream:
            assert_same(load_obj(stream, load_textures=False), expected)
            assert not stream.closed


def test_bytes_that_are_not_utf8_are_harmless():
    text = SQUARE.replace("blue sky", "\xfcbel").replace("# a", "# \xe9")
    assert_same(load_obj(io.BytesIO(text.encode("latin-1")), load_textures=False), read(SQUARE))


def test_a_path_manager_opens_strings_and_only_them(tmp_path):
    path = tmp_path / "square.obj"
    path.write_text(SQUARE)

    class Scheme:
        opened = []

        def open(self, name, mode="r"):
            self.opened.append((name, mode))
            return path.open(mode)

    manager = Scheme()
    assert_same(load_obj("scheme://square.obj", load_textures=False, path_manager=manager), read(SQUARE))
    assert_same(load_obj(path, load_textures=False, path_manager=manager), read(SQUARE))
    assert manager.opened == [("scheme://square.obj", "rb")]


def test_device(device):
    verts, faces, aux = read(SQUARE, device=device)
    assert {t.device.type for t in (verts, *faces, aux.normals, aux.verts_uvs)} == {device.type}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("v 0 0 0\n\nv 1 2\n", "line 3: vertex does not have 3 values, got 2"),
        ("vt 1", "line 1: texture coordinate does not have 2 values, got 1"),
        ("vn 1 x 2", 'line 1: normal needs numbers, got "x"'),
        (
            "f 1 2 3/4/5/6",
            "line 1: Face vertices can only have 3 properties, integers in the form v, v/vt, v//vn or v/vt/vn, "
            'got "3/4/5/6"',
        ),
        ("f 1 2 0", "line 1: a face has vertex index 0, but indices count from 1"),
        ("v 0 0 0\nf 1 -2 1", "line 2: a face has vertex index -2, but only 1 precede it"),
        (
            "vt 0 0\r\nf 1/1 2 3",
            "line 2: Vertex properties are inconsistent: 1 of the 3 corners of a face have a texture coordinate",
        ),
        ("\nusemtl", "line 2: usemtl needs the name of a material"),
        ("mtllib  ", "line 1: mtllib needs a file name"),
    ],
)
def test_errors_name_the_file_and_the_line(tmp_path, text, message):
    path = tmp_path / "bad.obj"
    path.write_bytes(text.encode())
    for source, name in ((path, str(path)), (str(path), str(path)), (io.StringIO(text), "<StringIO>")):
        with pytest.raises(ValueError, match=re.escape(f"load_obj: {name}, {message}") + "$"):
            load_obj(source)


def test_other_errors():
    with pytest.raises(FileNotFoundError, match=r"no_such_file\.obj"):
        load_obj("no_such_file.obj")
    with pytest.raises(TypeError, match="load_obj: f must be a path or a readable stream, got int"):
        load_obj(3)
    with pytest.raises(ValueError, match="load_obj: texture_wrap must be 'repeat', 'clamp' or None, got 'mirror'"):
        read(SQUARE, texture_wrap="mirror")
    for size in (0, -1, 2.0, True):
        with pytest.raises(ValueError, match=f"load_obj: the size of the atlas must be .*, got {size}"):
            read(SQUARE, texture_atlas_size=size)


@pytest.mark.parametrize(
    ("face", "name", "row"),
    [("f 1 2 4", "verts_idx", "[0, 1, 3]"), ("f 1/1 2/2 3/1", "textures_idx", "[0, 1, 0]"),
     ("f 1//9 2//1 3//1", "normals_idx", "[8, 0, 0]")],
)  # fmt: skip
def test_an_index_past_the_end_warns_and_is_kept(face, name, row):
    text = f"v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvn 0 0 1\nf 1 2 3\n{face}\n"
    with pytest.warns(UserWarning, match="Faces have invalid indices") as caught:
        _, faces, _ = read(text)
    assert len(caught) == 1
    assert f"1 of 2 rows of {name}" in str(caught[0].message)
    assert str(caught[0].message).endswith(f"the first is row 1: {row}")
    assert str(getattr(faces, name)[1].tolist()) == row


# Real meshes


def corner_sets(triangles: np.ndarray) -> np.ndarray:
    """Triangles in an order of their own, the corners of each in an order of their own."""
    corners = np.sort(triangles.astype(np.float32).view("f4,f4,f4").reshape(-1, 3), axis=1)
    return np.sort(corners.view("f4,f4,f4,f4,f4,f4,f4,f4,f4").reshape(-1))


@pytest.mark.parametrize("name", REAL_MESHES)
def test_equals_trimesh_on_real_meshes(name):
    trimesh = pytest.importorskip("trimesh")
    path = real_mesh(f"{name}.obj")
    verts, faces, _ = load_obj(path)
    triangles = verts[faces.verts_idx].numpy()
    expected = trimesh.load(path, process=False).triangles.astype(np.float32)
    if name == "suzanne":  # its quadrangles: the same two triangles, in another order
        triangles, expected = corner_sets(triangles), corner_sets(expected)
    np.testing.assert_array_equal(triangles, expected)


def test_texture_coordinates_of_a_real_mesh():
    trimesh = pytest.importorskip("trimesh")
    path = real_mesh("spot.obj")
    _, faces, aux = load_obj(path)
    mesh = trimesh.load(path, process=False)
    expected = mesh.visual.uv[mesh.faces]
    np.testing.assert_array_equal(aux.verts_uvs[faces.textures_idx].numpy(), expected.astype(np.float32))


@pytest.mark.parametrize("name", REAL_MESHES)
def test_real_meshes_survive_saving(name, tmp_path):
    original = load_obj(real_mesh(f"{name}.obj"))
    verts, faces, aux = original
    parts = {}
    if aux.normals is not None:
        parts = {"normals": aux.normals, "faces_normals_idx": faces.normals_idx}
    if aux.verts_uvs is not None:
        parts = {"verts_uvs": aux.verts_uvs, "faces_uvs": faces.textures_idx, "texture_map": torch.rand(2, 2, 3)}
    save_obj(tmp_path / "again.obj", verts, faces.verts_idx, 12, **parts)
    again = load_obj(tmp_path / "again.obj")
    torch.testing.assert_close(again[0], verts, rtol=1e-7, atol=1e-12)
    assert_same((verts, again[1]._replace(materials_idx=faces.materials_idx), again[2]), original)


# Writing


def saved(*args, **kwargs) -> str:
    file = io.StringIO()
    save_obj(file, *args, **kwargs)
    return file.getvalue()


VERTS = torch.tensor([[0.01, 0.2, 0.301], [0.2, 0.03, 0.408], [0.3, 0.4, 0.05], [0.6, 0.7, 0.8]])
FACES = torch.tensor([[0, 2, 1], [0, 1, 2], [3, 2, 1]])
LINES = "v 0.01 0.20 0.30\nv 0.20 0.03 0.41\nv 0.30 0.40 0.05\nv 0.60 0.70 0.80\n"


def test_writes_vertices_then_faces():
    assert saved(VERTS, FACES, decimal_places=2) == LINES + "f 1 3 2\nf 1 2 3\nf 4 3 2"
    assert saved(VERTS[:1], FACES[:0]) == "v 0.010000 0.200000 0.301000\n"
    assert saved(VERTS[:1] * float("nan"), FACES[:0], 1) == "v nan nan nan\n"
    assert saved(VERTS[:1] * float("-inf"), FACES[:0], 1) == "v -inf -inf -inf\n"


def test_writes_normals():
    normals, index = torch.tensor([[0.0, 0, 1], [1, 0, 0]]), torch.tensor([[0, 0, 1], [-1, -1, -1], [1, 1, 0]])
    text = saved(VERTS, FACES, 2, normals=normals, faces_normals_idx=index)
    assert text == LINES + "vn 0.00 0.00 1.00\nvn 1.00 0.00 0.00\nf 1//1 3//1 2//2\nf 1 2 3\nf 4//2 3//2 2//1"


def test_writes_a_texture_beside_the_file(tmp_path):
    uvs, index = torch.tensor([[0.0, 0.5], [1, 0.25]]), torch.tensor([[0, 1, 0], [1, 0, 1], [1, 1, 1]])
    image = torch.randint(256, (5, 7, 3)) / 255
    normals, normals_index = torch.tensor([[0.0, 0, 1]]), torch.zeros(3, 3, dtype=torch.int64)
    textured = {"verts_uvs": uvs, "faces_uvs": index, "texture_map": image}
    for path in (tmp_path / "some.mesh.obj", str(tmp_path / "other.obj"), os.fsencode(tmp_path / "third.obj")):
        save_obj(path, VERTS, FACES, 2, normals=normals, faces_normals_idx=normals_index, **textured)
        path = Path(os.fsdecode(path))
        header = f"\nmtllib {path.stem}.mtl\nusemtl mesh\n\n"
        columns = "vn 0.00 0.00 1.00\nvt 0.00 0.50\nvt 1.00 0.25\n"
        faces = "f 1/1/1 3/2/1 2/1/1\nf 1/2/1 2/1/1 3/2/1\nf 4/2/1 3/2/1 2/2/1"
        assert path.read_text() == header + LINES + columns + faces
        assert path.with_suffix(".mtl").read_text() == f"newmtl mesh\nmap_Kd {path.stem}.png\n"
        with Image.open(path.with_suffix(".png")) as picture:
            assert picture.mode == "RGB"
            np.testing.assert_array_equal(np.asarray(picture), (image * 255).round().byte().numpy())
    assert len(list(tmp_path.iterdir())) == 9


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes on Linux alone")
def test_names_that_are_no_text(tmp_path):
    path = os.fsencode(tmp_path) + b"/\xff.obj"
    with pytest.raises(FileNotFoundError):
        load_obj(path)
    uvs, image = torch.tensor([[0.0, 0.5], [1, 0.25]]), torch.zeros(1, 2, 3)
    index = torch.tensor([[0, 1, 0], [1, 0, 1], [1, 1, 1]])
    save_obj(path, VERTS, FACES, verts_uvs=uvs, faces_uvs=index, texture_map=image)
    _, faces, aux = load_obj(path)
    assert torch.equal(faces.verts_idx, FACES)
    assert torch.equal(aux.texture_images["mesh"], image)
    Path(os.fsdecode(path)).write_text("v 0")
    with pytest.raises(ValueError, match=r"^load_obj: .*\\udcff\.obj, line 1: "):
        load_obj(path)


def test_texture_values_are_clamped_and_rounded(tmp_path):
    image = torch.tensor([[[-1.0, 2.0, 0.5], [float("nan"), 0.4999 / 255, 0.5001 / 255]]], requires_grad=True)
    uvs, index = torch.zeros(1, 2), torch.zeros(3, 3, dtype=torch.int64)
    save_obj(tmp_path / "a.obj", VERTS, FACES, verts_uvs=uvs, faces_uvs=index, texture_map=image)
    with Image.open(tmp_path / "a.png") as picture:
        assert np.asarray(picture).tolist() == [[[0, 255, 128], [0, 0, 1]]]


def test_an_incomplete_texture_is_not_written(tmp_path):
    uvs, index, image = torch.zeros(1, 2), torch.zeros(3, 3, dtype=torch.int64), torch.zeros(2, 2, 3)
    plain = saved(VERTS, FACES)
    for parts in ({"verts_uvs": uvs, "faces_uvs": index}, {"texture_map": image}, {"faces_uvs": index}):
        save_obj(tmp_path / "a.obj", VERTS, FACES, **parts)
        assert (tmp_path / "a.obj").read_text() == plain
    assert len(list(tmp_path.iterdir())) == 1


def test_each_kind_of_output_gives_the_same(tmp_path):
    expected = saved(VERTS, FACES).encode()
    path = tmp_path / "a.obj"
    for target in (path, str(path), os.fsencode(path)):
        save_obj(target, VERTS, FACES)
        assert path.read_bytes() == expected
        path.unlink()
    binary = io.BytesIO()
    save_obj(binary, VERTS, FACES)
    assert binary.getvalue() == expected
    assert not binary.closed
    for mode in ("w", "wb"):
        with path.open(mode) as stream:
            save_obj(stream, VERTS, FACES)
        assert path.read_bytes() == expected


def test_a_path_manager_opens_the_companions_too(tmp_path):
    class Scheme:
        def open(self, name, mode="r"):
            return (tmp_path / name.removeprefix("scheme://")).open(mode)

    parts = {"verts_uvs": torch.zeros(1, 2), "faces_uvs": torch.zeros_like(FACES), "texture_map": torch.zeros(1, 1, 3)}
    save_obj("scheme://a.obj", VERTS, FACES, path_manager=Scheme(), **parts)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mtl", "a.obj", "a.png"]
    assert (tmp_path / "a.obj").read_text().startswith("\nmtllib a.mtl\n")


def test_any_tensor_is_written_by_value(device):
    expected = saved(VERTS.double(), FACES, 4)
    verts = VERTS.to(device)
    assert saved(verts.double().requires_grad_(), FACES.to(device), 4) == expected
    assert saved(verts.t().contiguous().t(), FACES.int().flip(1).flip(1), 4) == expected
    assert saved(torch.stack([verts, verts], 1)[:, 0], FACES.to(torch.int16), 4) == expected
    assert saved(torch.complex(verts.double(), -verts.double()).conj().imag, FACES, 4) == expected
    assert saved(torch.tensor([[1, 2, 3]]).expand(2, 3), FACES[:0], 0) == "v 1 2 3\nv 1 2 3\n"
    half = VERTS.half()
    assert saved(half, FACES, 12) == saved(half.double(), FACES, 12)


def test_doubles_are_not_rounded_to_singles():
    verts = torch.tensor([[0.1, 1e15 + 0.125, -1e-300]], dtype=torch.float64)
    assert saved(verts, FACES[:0], 17) == f"v {0.1:.17f} {1e15 + 0.125:.17f} {-1e-300:.17f}\n"


@pytest.mark.parametrize(("verts", "faces"), [(torch.empty(0), torch.empty(0)), (torch.empty(0, 3), FACES[:0])])
def test_an_empty_mesh_warns_and_gives_an_empty_file(verts, faces):
    with pytest.warns(UserWarning, match="save_obj: Empty 'verts' and 'faces' arguments provided"):
        assert saved(verts, faces) == ""


def test_invalid_indices_warn_and_are_written():
    with pytest.warns(UserWarning, match=r"Faces have invalid indices. save_obj: 1 of 1 rows of faces .* \[0, 2, 1\]"):
        assert saved(torch.empty(0), FACES[:1]) == "f 1 3 2"
    with pytest.warns(UserWarning, match="2 of 3 rows of faces"):
        saved(VERTS[:3], FACES - torch.tensor([[1], [0], [0]]))
    normals = {"normals": torch.zeros(1, 3), "faces_normals_idx": torch.ones_like(FACES)}
    with pytest.warns(UserWarning, match="3 of 3 rows of faces_normals_idx"):
        saved(VERTS, FACES, **normals)


@pytest.mark.parametrize(
    "part",
    [{"verts_uvs": VERTS[:, :2]}, {"faces_uvs": FACES}, {"texture_map": torch.randint(255, (2, 2, 3))}],
)
def test_a_part_of_a_texture_is_ignored(part, tmp_path):
    save_obj(tmp_path / "a.obj", VERTS, FACES, **part)
    assert [path.name for path in tmp_path.iterdir()] == ["a.obj"]
    assert (tmp_path / "a.obj").read_text() == saved(VERTS, FACES)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"verts": VERTS[:, :2]}, ValueError, r"verts must have shape \(\., 3\), got \(4, 2\)"),
        ({"verts": VERTS[0]}, ValueError, r"verts must have shape \(\., 3\), got \(3,\)"),
        ({"verts": VERTS.tolist()}, TypeError, "verts must be a tensor, got list"),
        ({"verts": VERTS + 1j}, ValueError, "verts must be real, got torch.complex64"),
        ({"faces": FACES[:, :2]}, ValueError, r"faces must have shape \(\., 3\), got \(3, 2\)"),
        ({"faces": FACES.float()}, ValueError, "faces must hold integers, got torch.float32"),
        ({"faces": FACES > 0}, ValueError, "faces must hold integers, got torch.bool"),
        ({"decimal_places": -1}, ValueError, "decimal_places must be None or an integer in .*, got -1"),
        ({"decimal_places": 10**30}, ValueError, "decimal_places must be None or an integer in"),
        ({"decimal_places": 2.0}, ValueError, "decimal_places must be None or an integer in .*, got 2.0"),
        ({"normals": VERTS}, ValueError, "normals and faces_normals_idx must be given together"),
        ({"faces_normals_idx": FACES}, ValueError, "normals and faces_normals_idx must be given together"),
        ({"normals": VERTS[:, :2], "faces_normals_idx": FACES}, ValueError, r"normals must have shape \(\., 3\)"),
        ({"normals": VERTS, "faces_normals_idx": FACES[:2]}, ValueError, r"for each face, \(3, 3\), got \(2, 3\)"),
        ({"verts_uvs": VERTS}, ValueError, r"verts_uvs must have shape \(\., 2\), got \(4, 3\)"),
        ({"faces_uvs": FACES[:2]}, ValueError, r"faces_uvs must have one row for each face"),
        ({"faces_uvs": FACES.double()}, ValueError, "faces_uvs must hold integers, got torch.float64"),
        ({"verts_colors": VERTS[:2]}, ValueError, r"verts_colors must have one row for each vertex, \(4, 3\), got"),
        ({"texture_map": torch.zeros(2, 2, 4)}, ValueError, r"shape \(H, W, 3\), H, W > 0, got \(2, 2, 4\)"),
        ({"verts_uvs": VERTS[:, :2], "faces_uvs": FACES, "texture_map": torch.zeros(2, 2, 3).byte()}, ValueError,
         r"texture_map must be floating, values in \[0, 1\], got torch.uint8"),
        ({"texture_map": [1]}, TypeError, "texture_map must be a tensor, got list"),
        ({"f": 3}, TypeError, "f must be a path or a writable stream, got int"),
        ({"verts_uvs": VERTS[:, :2], "faces_uvs": FACES, "texture_map": torch.zeros(2, 2, 3)}, ValueError,
         "texture_map needs a path to be written beside, got StringIO"),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused(change, error, message):
    arguments = {"f": io.StringIO(), "verts": VERTS, "faces": FACES} | change
    with pytest.raises(error, match=f"^save_obj: .*{message}"):
        save_obj(**arguments)


# Laws

coordinates = st.integers(-(10**9), 10**9).map(lambda steps: steps / 1000)


@st.composite
def meshes(draw):
    """Positions, normals, texture coordinates, and indices into each; some rows of the latter two absent."""

    def rows(columns):
        return torch.tensor(
            draw(st.lists(st.tuples(*[coordinates] * columns), min_size=1, max_size=8)), dtype=torch.float64
        )

    verts, normals, uvs = rows(3), rows(3), rows(2)
    num_faces = draw(st.integers(0, 8))

    def indices(values, absent):
        row = st.tuples(*[st.integers(0, len(values) - 1)] * 3)
        row = st.one_of(row, st.just((-1, -1, -1))) if absent else row
        return torch.tensor(draw(st.lists(row, min_size=num_faces, max_size=num_faces)), dtype=torch.int64).view(-1, 3)

    return verts, indices(verts, False), normals, indices(normals, True), uvs, indices(uvs, True)


@given(meshes())
@settings(max_examples=100, deadline=None)
def test_what_is_saved_is_loaded(tmp_path_factory, mesh):
    verts, faces, normals, faces_normals, uvs, faces_uvs = mesh
    path = tmp_path_factory.mktemp("obj") / "a.obj"
    texture = {"verts_uvs": uvs, "faces_uvs": faces_uvs, "texture_map": torch.zeros(1, 1, 3)}
    save_obj(path, verts, faces, 3, normals=normals, faces_normals_idx=faces_normals, **texture)
    loaded_verts, loaded, aux = load_obj(path)
    assert torch.equal(loaded_verts, verts.float())
    assert torch.equal(aux.normals, normals.float())
    assert torch.equal(aux.verts_uvs, uvs.float())
    assert torch.equal(loaded.verts_idx, faces)
    assert torch.equal(loaded.normals_idx, faces_normals)
    assert torch.equal(loaded.textures_idx, faces_uvs)
    assert torch.equal(loaded.materials_idx, torch.zeros(len(faces), dtype=torch.int64))


@given(st.lists(st.floats(width=32), min_size=3, max_size=3))
def test_numbers_are_read_as_python_reads_them(numbers):
    for form in ("{!r}", "{:.9e}", "{:+.60f}"):
        words = [form.format(x) for x in numbers]
        verts, _, _ = read("v " + " ".join(words))
        torch.testing.assert_close(verts, torch.tensor([numbers], dtype=torch.float32), rtol=0, atol=0, equal_nan=True)


@given(st.lists(st.sampled_from(SQUARE.split("\n")), max_size=12), st.sampled_from([" ", "\t", "\\\n", " \\\r\n"]))
@settings(deadline=None)
def test_spelling_of_blanks_does_not_matter(lines, blank):
    text = "\n".join(["v 9 9 9"] * 4 + ["vt 1 1"] * 2 + ["vn 1 1 1"] * 2 + lines)
    spelled = "\n".join(
        line if line.startswith(("#", "usemtl", "mtllib")) else line.replace(" ", blank) for line in text.split("\n")
    )
    assert_same(read(spelled), read(text))


# Batches


def test_loads_files_as_one_batch(tmp_path, device):
    (tmp_path / "a.obj").write_text(SQUARE)
    triangle = "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"
    files = [tmp_path / "a.obj", io.StringIO(triangle), str(tmp_path / "a.obj")]
    batch = load_objs_as_meshes(files, device=device, load_textures=False)
    verts, faces, _ = read(SQUARE)
    assert batch.device.type == device.type
    assert batch.num_verts_per_mesh().tolist() == [4, 3, 4]
    assert batch.num_faces_per_mesh().tolist() == [5, 1, 5]
    for i in (0, 2):
        assert torch.equal(batch.verts_list()[i].cpu(), verts)
        assert torch.equal(batch.faces_list()[i].cpu(), faces.verts_idx)
    assert batch.textures is None


def test_batches_of_none_and_one():
    assert len(load_objs_as_meshes([])) == 0
    assert load_objs_as_meshes([io.StringIO(SQUARE)], load_textures=False).num_faces_per_mesh().tolist() == [5]
    with pytest.raises(TypeError, match="load_objs_as_meshes: files must be a list of paths or streams, got str"):
        load_objs_as_meshes("a.obj")
    with pytest.raises(ValueError, match="load_obj: <StringIO>, line 1"):
        load_objs_as_meshes([io.StringIO("f"), io.StringIO("v 1")])
