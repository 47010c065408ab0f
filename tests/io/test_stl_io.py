# SPDX-License-Identifier: Apache-2.0
"""Reading and writing of STL."""

import gzip
import io
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from patina3d.io import IO, load_obj
from patina3d.io.stl_io import MeshStlFormat
from patina3d.renderer.mesh.textures import TexturesVertex
from patina3d.structures import Meshes
from patina3d.utils import ico_sphere
from support.meshes import real_mesh
from support.mutations import outcomes

TEXT = """solid  two words
  facet normal 0 0 1
    outer loop
      vertex 0 0 0
      vertex 1e0 0 0
      vertex 0 1.0 0
    endloop
  endfacet
  FACET NORMAL 0 0 1
    OUTER LOOP
      VERTEX 1 0 0
      VERTEX 1 1 -0.0
      VERTEX 0 1 0
    ENDLOOP
  ENDFACET
endsolid two words

solid
endsolid
"""


def read(data: bytes) -> Meshes:
    return MeshStlFormat().read(io.BytesIO(data), include_textures=True, device="cpu", path_manager=None)


def saved(mesh: Meshes, binary: bool | None = None, **kwargs) -> bytes:
    file = io.BytesIO()
    assert MeshStlFormat().save(mesh, file, path_manager=None, binary=binary, **kwargs)
    return file.getvalue()


def triangles(mesh: Meshes) -> torch.Tensor:
    return mesh.verts_packed()[mesh.faces_packed()]


def test_reads_text():
    for text in (TEXT, TEXT.replace("\n", "\r\n"), "\n \n" + TEXT):
        mesh = read(text.encode())
        assert mesh.verts_packed().tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]]
        assert mesh.faces_packed().tolist() == [[0, 1, 2], [1, 3, 2]]
        assert mesh.verts_packed().dtype == torch.float32


def test_reads_binary_that_begins_like_text():
    data = saved(read(TEXT.encode()))
    mesh = read(b"solid" + data[5:] + b"")
    assert mesh.faces_packed().tolist() == [[0, 1, 2], [1, 3, 2]]


def test_plain_files_are_read_as_others_are():
    plain = saved(ico_sphere(1), binary=False)
    # A second solid is read line by line.
    assert torch.equal(read(plain).verts_packed(), read(plain + b"solid\nendsolid\n").verts_packed())
    assert torch.equal(read(plain.upper()).faces_packed(), read(plain).faces_packed())
    for broken in (plain.replace(b"vertex", b"vertices", 1), plain.replace(b"endloop\n", b"", 1), plain[:-20]):
        with pytest.raises(ValueError, match=r"^MeshStlFormat.read: <BytesIO>, line \d+: "):
            read(broken)


def test_reads_binary_that_begins_like_text_and_has_bytes_behind():
    data = saved(ico_sphere(0))
    assert torch.equal(triangles(read(b"solid" + data[5:] + b"more")), triangles(read(data)))


def test_only_equal_corners_are_merged():
    one = torch.tensor(1.0)
    next_one = torch.nextafter(one, one + 1)
    corners = [[1, 0, 0], [float(next_one), 0, 0], [-0.0, 0, 0], [0, -0.0, 0], [1, 0, 0], [float("nan"), 0, 0]]
    mesh = read(saved(Meshes([torch.tensor(corners)], [torch.tensor([[0, 1, 2], [3, 4, 5], [5, 5, 5]])])))
    assert mesh.faces_packed().tolist() == [[0, 1, 2], [2, 0, 3], [3, 3, 3]]
    assert len(mesh.verts_packed()) == 4


def test_writes_text():
    mesh = Meshes([torch.tensor([[0.0, 0, 0], [2, 0, 0], [0, 0.1, 0]])], [torch.tensor([[0, 1, 2]])])
    facet = (
        "facet normal {0} {0} {1}\nouter loop\nvertex {0} {0} {0}\nvertex {2} {0} {0}\nvertex {0} {3} {0}\n"
        "endloop\nendfacet\n"
    )
    expected = "solid mesh\n" + facet.format("0", "1", "2", "0.100000001") + "endsolid mesh\n"
    assert saved(mesh, binary=False).decode() == expected
    expected = "solid mesh\n" + facet.format("0.00", "1.00", "2.00", "0.10") + "endsolid mesh\n"
    assert saved(mesh, binary=False, decimal_places=2).decode() == expected
    file = io.StringIO()
    MeshStlFormat().save(mesh, file, path_manager=None, binary=False, decimal_places=2)
    assert file.getvalue() == expected


def test_writes_binary():
    mesh = Meshes([torch.tensor([[0.0, 0, 0], [2, 0, 0], [0, 1, 0]])], [torch.tensor([[0, 1, 2], [1, 1, 2]])])
    data = saved(mesh)
    assert not data.startswith(b"solid")
    assert data[80:84] == (2).to_bytes(4, "little")
    facets = np.frombuffer(data[84:], np.dtype([("n", "<f4", 3), ("c", "<f4", 9), ("a", "<u2")]))
    assert facets["n"].tolist() == [[0, 0, 1], [0, 0, 0]]
    assert facets["c"].tolist() == [[0, 0, 0, 2, 0, 0, 0, 1, 0], [2, 0, 0, 2, 0, 0, 0, 1, 0]]
    assert facets["a"].tolist() == [0, 0]


def test_without_faces():
    for binary in (True, False):
        data = saved(Meshes([torch.rand(3, 3)], [torch.empty((0, 3), dtype=torch.int64)]), binary=binary)
        assert read(data).verts_packed().shape == read(data).faces_packed().shape == (0, 3)


def test_each_kind_of_input_gives_the_same(tmp_path):
    path = tmp_path / "a.STL"
    for binary in (True, False):
        IO().save_mesh(ico_sphere(1), str(path), binary=binary)
        with gzip.open(tmp_path / "b", "wb") as stream:
            MeshStlFormat().save(ico_sphere(1), stream, path_manager=None, binary=binary)
        with gzip.open(tmp_path / "b") as stream:
            packed = MeshStlFormat().read(stream, include_textures=True, device="cpu", path_manager=None)
        for mesh in (IO().load_mesh(path), IO().load_mesh(str(path)), packed):
            assert torch.equal(triangles(mesh), triangles(ico_sphere(1)))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", ": must begin with 'solid', or with a header of 84 bytes, got 0 bytes"),
        (bytes(80) + b"\2\0\0\0" + bytes(60), ": must have 184 bytes, as its header says, got 144"),
        (bytes(80) + b"\xff\xff\xff\xff", ": must have 214748364834 bytes, as its header says, got 84"),
        (b"solid\n", ", line 1: the file ends inside a solid"),
        (b"solid\nfacet\nouter loop\n", ", line 3: the file ends inside a solid"),
        (b"solid\nfacet\nvertex 0 0 0\n", ", line 3: must begin with outer, got 'vertex'"),
        (b"solid\nvertex 0 0 0\n", ", line 2: must begin with facet or endsolid, got 'vertex'"),
        (b"solid\nfacet\nouter loop\nvertex 0 0\n", ", line 4: a vertex must have 3 numbers, got 2"),
        (TEXT.replace("1e0", "1e").encode(), ", line 5: must be a number, got '1e'"),
        (TEXT.replace("1e0", "1_0").encode(), ", line 5: must be a number, got '1_0'"),
        (TEXT.replace("endloop", "vertex 0 0 0", 1).encode(), ", line 7: must begin with endloop, got 'vertex'"),
        (b"solid\nendsolid\nfacet\n", ", line 3: must begin with solid, got 'facet'"),
    ],
)
def test_bad_files_are_refused(data, message):
    with pytest.raises(ValueError, match=f"^{re.escape(f'MeshStlFormat.read: <BytesIO>{message}')}"):
        read(data)


def test_bad_arguments_are_refused():
    mesh = ico_sphere(0)
    with pytest.raises(TypeError, match=r"^MeshStlFormat.save: path must be a stream of bytes unless binary is False"):
        MeshStlFormat().save(mesh, io.StringIO(), path_manager=None, binary=None)
    with pytest.raises(ValueError, match=r"^MeshStlFormat.save: decimal_places must be"):
        saved(mesh, decimal_places=-1)
    mesh.textures = TexturesVertex([torch.ones(12, 3)])
    with pytest.warns(UserWarning, match="STL has no textures; only the shape is written"):
        assert saved(mesh) == saved(ico_sphere(0))
    assert MeshStlFormat().read("a.obj", include_textures=True, device="cpu", path_manager=None) is None
    assert not MeshStlFormat().save(mesh, "a.obj", path_manager=None, binary=None)


@pytest.mark.parametrize("binary", [True, False])
def test_damaged_files_are_read_or_refused(binary):
    data = saved(read(TEXT.encode()), binary=binary)
    assert outcomes(read, data, 300, "MeshStlFormat.read: <BytesIO>") == {Meshes, ValueError}


@pytest.mark.parametrize("name", ["spot", "suzanne"])
def test_agrees_with_trimesh_on_real_meshes(name):
    trimesh = pytest.importorskip("trimesh")
    verts, faces, _ = load_obj(real_mesh(f"{name}.obj"), load_textures=False)
    mesh = trimesh.Trimesh(verts.numpy(), faces.verts_idx.numpy(), process=False)
    expected = verts[faces.verts_idx]
    assert torch.equal(triangles(read(trimesh.exchange.stl.export_stl(mesh))), expected)
    loaded = read(trimesh.exchange.stl.export_stl_ascii(mesh).encode())
    torch.testing.assert_close(triangles(loaded), expected, rtol=0, atol=1e-7)
    for binary in (True, False):
        data = saved(Meshes([verts], [faces.verts_idx]), binary=binary)
        other = trimesh.load(io.BytesIO(data), file_type="stl", process=False)
        np.testing.assert_array_equal(np.asarray(other.triangles, np.float32), expected.numpy())
        assert len(read(data).verts_packed()) == len(verts.unique(dim=0))


@given(st.lists(st.lists(st.floats(width=32), min_size=9, max_size=9), max_size=6), st.booleans())
def test_what_is_saved_is_loaded(rows, binary):
    verts = torch.tensor(rows, dtype=torch.float32).view(-1, 3)
    mesh = read(saved(Meshes([verts], [torch.arange(len(verts)).view(-1, 3)]), binary=binary))
    torch.testing.assert_close(triangles(mesh).view(-1, 3), verts, rtol=0, atol=0, equal_nan=True)
    again = read(saved(mesh, binary=binary))
    torch.testing.assert_close(again.verts_packed(), mesh.verts_packed(), rtol=0, atol=0, equal_nan=True)
    assert torch.equal(again.faces_packed(), mesh.faces_packed())
