# SPDX-License-Identifier: Apache-2.0
"""Meshes and point clouds as PLY files, with normals, colours and textures."""

import io
import itertools
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from patina3d.io.ply_io import MeshPlyFormat, PointcloudPlyFormat
from patina3d.renderer.mesh.textures import TexturesAtlas, TexturesUV, TexturesVertex
from patina3d.structures import Meshes, Pointclouds

VERTS = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0.125]])
FACES = torch.tensor([[0, 1, 2], [2, 1, 0]])
COLORS = torch.tensor([[0.0, 0.5, 1], [0.25, 0.125, 0], [1, 1, 0.75]])
NORMALS = torch.tensor([[0.0, 0, 1], [0, 2, 0], [-1, 0, 0.5]])
POSITION = "property float x\nproperty float y\nproperty float z\n"
TRIANGLE = "element face 1\nproperty list uchar int vertex_index\n"


def ply(lines: str, rows: str) -> io.BytesIO:
    return io.BytesIO(f"ply\nformat ascii 1.0\n{lines}end_header\n{rows}".encode())


def read(path, include_textures=True, device="cpu", path_manager=None):
    return MeshPlyFormat().read(path, include_textures, device, path_manager)


def read_cloud(path, device="cpu"):
    return PointcloudPlyFormat().read(path, device, None)


def saved(data, binary=None, **options) -> bytes:
    file = io.BytesIO()
    format = MeshPlyFormat() if isinstance(data, Meshes) else PointcloudPlyFormat()
    assert format.save(data, file, None, binary, **options) is True
    return file.getvalue()


def mesh(textures=None, normals=None) -> Meshes:
    return Meshes([VERTS], [FACES], textures=textures, verts_normals=None if normals is None else [normals])


# Reading


@pytest.mark.parametrize(
    ("kind", "values", "scale"),
    [
        ("uchar", "255 51 0", 255),
        ("char", "127 51 0", 255),
        ("float", "1 0.2 0", 1),
        ("ushort", "65535 3 0", 1),
        ("double", "1e1 -1 0", 1),
    ],
)
def test_colours_of_bytes_are_divided_and_others_are_not(kind, values, scale, device):
    lines = f"element vertex 1\nproperty {kind} blue\n{POSITION}property {kind} red\nproperty {kind} green\n"
    red, green, blue = values.split()
    file = ply(f"{lines}property {kind} alpha\n", f"{blue} 1 2 3 {red} {green} 7\n")
    expected = torch.tensor([[float(value) for value in values.split()]]) / scale
    loaded = read(file, device=device)
    assert isinstance(loaded.textures, TexturesVertex)
    assert loaded.textures.device.type == loaded.device.type == device.type
    assert torch.equal(loaded.textures.verts_features_packed().cpu(), expected)
    file.seek(0)
    cloud = read_cloud(file, device)
    assert cloud.device.type == device.type
    assert torch.equal(cloud.features_packed().cpu(), expected)
    assert cloud.points_packed().tolist() == [[1, 2, 3]]
    file.seek(0)
    assert read(file, include_textures=False).textures is None


def test_colours_of_mixed_types_are_not_divided():
    lines = f"element vertex 1\n{POSITION}property uchar red\nproperty uchar green\nproperty float blue\n"
    assert read(ply(lines, "0 0 0 255 1 0.5\n")).textures.verts_features_packed().tolist() == [[255, 1, 0.5]]


@pytest.mark.parametrize("missing", ["nx", "red", "both"])
def test_parts_that_are_not_whole_are_no_parts(missing):
    names = [*("nx", "ny", "nz"), *("red", "green", "blue")]
    names = [name for name in names if name != missing and (missing != "both" or name not in ("ny", "blue"))]
    lines = "element vertex 1\n" + POSITION + "".join(f"property float {name}\n" for name in names)
    file = ply(lines, "1 2 3 " + " ".join(["0.5"] * len(names)))
    cloud = read_cloud(file)
    assert (cloud.normals_packed() is None) == (missing in ("nx", "both"))
    assert (cloud.features_packed() is None) == (missing in ("red", "both"))
    file.seek(0)
    assert (read(file)._given_normals() is None) == (missing in ("nx", "both"))


def test_normals_are_those_of_the_file():
    lines = "element vertex 3\nproperty float nz\n" + POSITION + "property float nx\nproperty float ny\n" + TRIANGLE
    rows = "".join(f"{n[2]} {v[0]} {v[1]} {v[2]} {n[0]} {n[1]}\n" for v, n in zip(VERTS, NORMALS, strict=True))
    assert torch.equal(read(ply(lines, f"{rows}3 0 1 2\n")).verts_normals_packed(), NORMALS)


@pytest.fixture
def picture(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "my picture.png")
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    return torch.from_numpy(pixels.astype(np.float32)) / 255


TEXTURED = "element vertex 4\n" + POSITION + "property float texture_u\nproperty float texture_v\n" + TRIANGLE
TEXTURED_ROWS = "0 0 0 0 0.5\n1 0 0 1 0.25\n1 1 0 0 1\n0 1 0 0.75 0\n4 0 1 2 3\n"


@pytest.mark.parametrize(
    "comment",
    [
        "TextureFile picture.png",
        "TextureFile my picture.png",
        "by TextureFile none.png\ncomment My TextureFile: picture.png",
    ],
)
def test_a_texture_file(tmp_path, picture, comment, device):
    path = tmp_path / "a.ply"
    for u, v in (("texture_u", "texture_v"), ("u", "v"), ("s", "t")):
        lines = TEXTURED.replace("texture_u", u).replace("texture_v", v)
        path.write_bytes(ply(f"comment {comment}\n{lines}", TEXTURED_ROWS).getvalue())
        for name in (path, str(path)):
            textures = read(name, device=device).textures
            assert isinstance(textures, TexturesUV)
            assert torch.equal(textures.maps_list()[0].cpu(), picture)
            assert textures.verts_uvs_list()[0].tolist() == [[0, 0.5], [1, 0.25], [0, 1], [0.75, 0]]
            assert textures.faces_uvs_list()[0].tolist() == [[0, 1, 2], [0, 2, 3]]


def test_a_texture_file_through_a_path_manager(tmp_path, picture):
    class Scheme:
        def open(self, name, mode="r"):
            return (tmp_path / name.removeprefix("scheme://")).open(mode)

    (tmp_path / "a.ply").write_bytes(ply(f"comment TextureFile picture.png\n{TEXTURED}", TEXTURED_ROWS).getvalue())
    textures = read("scheme://a.ply", path_manager=Scheme()).textures
    assert torch.equal(textures.maps_list()[0], picture)


def test_coordinates_of_corners(tmp_path, picture):
    lines = "comment TextureFile picture.png\nelement vertex 4\n" + POSITION
    lines += "element face 2\nproperty list uchar float texcoord\nproperty list uchar int vertex_indices\n"
    corners = [[0, 0.5, 1, 0.25, 0, 1, 0.75, 0], [0.5, 0.5, 0.25, 0.25, 1, 1]]
    faces = [[0, 1, 2, 3], [3, 2, 0]]
    rows = "0 0 0\n1 0 0\n1 1 0\n0 1 0\n"
    for uvs, face in zip(corners, faces, strict=True):
        rows += " ".join(map(str, (len(uvs), *uvs, len(face), *face))) + "\n"
    path = tmp_path / "a.ply"
    path.write_bytes(ply(lines, rows).getvalue())
    loaded = read(path)
    assert loaded.faces_packed().tolist() == [[0, 1, 2], [0, 2, 3], [3, 2, 0]]
    uvs = loaded.textures.verts_uvs_list()[0][loaded.textures.faces_uvs_list()[0]]
    a, b = (torch.tensor(row).view(-1, 2) for row in corners)
    assert torch.equal(uvs, torch.stack([a[[0, 1, 2]], a[[0, 2, 3]], b]))
    path.write_bytes(ply(lines, rows.replace("6 0.5 0.5", "4").replace("4 0.25", "4 0.25")).getvalue())
    assert read(path).textures is None, "coordinates of another number than corners are none"


def test_coordinates_without_a_file_and_colours_before_coordinates(tmp_path, picture):
    assert read(ply(TEXTURED, TEXTURED_ROWS)).textures is None
    assert read(ply("comment TextureFile picture.png\nelement vertex 1\n" + POSITION, "0 0 0\n")).textures is None
    lines = "comment TextureFile picture.png\nelement vertex 1\n" + POSITION
    lines += "".join(f"property float {name}\n" for name in ("red", "green", "blue", "u", "v"))
    assert isinstance(read(ply(lines, "0 0 0 1 1 1 0 0\n")).textures, TexturesVertex)


def test_a_missing_texture_file_is_an_error(tmp_path):
    path = tmp_path / "a.ply"
    path.write_bytes(ply(f"comment TextureFile none.png\n{TEXTURED}", TEXTURED_ROWS).getvalue())
    with pytest.raises(FileNotFoundError, match=r"none\.png"):
        read(path)
    assert read(path, include_textures=False).textures is None
    (tmp_path / "none.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"load_ply: .*none\.png cannot be decoded as an image"):
        read(path)


def test_an_index_outside_the_vertices_makes_no_mesh():
    lines = "element vertex 3\n" + POSITION + TRIANGLE
    file = ply(lines, "0 0 0\n1 0 0\n0 1 0\n3 0 1 3\n")
    with (
        pytest.warns(UserWarning, match=r"Faces have invalid indices. load_ply"),
        pytest.raises(ValueError, match=r"Meshes: .* refers to vertex 3"),
    ):
        read(file)


def test_other_names_are_not_its_own(tmp_path):
    assert read(tmp_path / "a.obj") is None
    assert read_cloud(tmp_path / "a.obj") is None
    assert MeshPlyFormat().save(mesh(), tmp_path / "a.obj", None, None) is False
    assert PointcloudPlyFormat().save(Pointclouds([VERTS]), tmp_path / "a.obj", None, None) is False
    assert not list(tmp_path.iterdir())


# Writing


NATIVE = "binary_little_endian" if np.little_endian else "binary_big_endian"


def header(form: str, colors: str | None, normals: bool, faces: bool) -> bytes:
    names = [("float", name) for name in ("x", "y", "z", *(("nx", "ny", "nz") if normals else ()))]
    names += [(colors, name) for name in ("red", "green", "blue") if colors]
    lines = ["ply", f"format {form} 1.0", "element vertex 3", *(f"property {kind} {name}" for kind, name in names)]
    lines += ["element face 2", "property list uchar int vertex_index"] if faces else []
    return "\n".join([*lines, "end_header", ""]).encode()


def test_writes_text():
    data = saved(mesh(TexturesVertex([COLORS]), NORMALS), binary=False, decimal_places=1, colors_as_uint8=True)
    rows = "0.0 0.0 0.0 0.0 0.0 1.0 0 128 255\n1.0 0.0 0.0 0.0 2.0 0.0 64 32 0\n"
    rows += "0.0 1.0 0.1 -1.0 0.0 0.5 255 255 191\n3 0 1 2\n3 2 1 0\n"
    assert data == header("ascii", "uchar", normals=True, faces=True) + rows.encode()
    data = saved(Pointclouds([VERTS], features=[COLORS]), binary=False, decimal_places=2)
    rows = "0.00 0.00 0.00 0.00 0.50 1.00\n1.00 0.00 0.00 0.25 0.12 0.00\n0.00 1.00 0.12 1.00 1.00 0.75\n"
    assert data == header("ascii", "float", normals=False, faces=False) + rows.encode()


@pytest.mark.parametrize("binary", [None, True])
def test_writes_binary(binary):
    columns = torch.cat([VERTS, NORMALS, COLORS], dim=1)
    faces = np.zeros(2, np.dtype("u1,3=i4"))
    faces["f0"], faces["f1"] = 3, FACES
    expected = header(NATIVE, "float", normals=True, faces=True) + columns.numpy().tobytes() + faces.tobytes()
    assert saved(mesh(TexturesVertex([COLORS]), NORMALS), binary) == expected
    rows = np.zeros(3, np.dtype("3=f4,3=u1"))
    rows["f0"], rows["f1"] = VERTS, [[0, 128, 255], [64, 32, 0], [255, 255, 191]]
    expected = header(NATIVE, "uchar", normals=False, faces=False) + rows.tobytes()
    assert saved(Pointclouds([VERTS], features=[COLORS]), binary, colors_as_uint8=True) == expected


def test_colours_as_bytes_are_clamped_and_rounded():
    colors = [[-1.0, 2.0, float("nan")], [0.5 / 255, 1.5 / 255, 2.5 / 255], [float("inf"), 1, 0]]
    cloud = Pointclouds([VERTS], features=[torch.tensor(colors, dtype=torch.float64)])
    data = saved(cloud, colors_as_uint8=True)
    assert [list(data[-45 + 15 * row + 12 :][:3]) for row in range(3)] == [[0, 255, 0], [0, 2, 2], [255, 255, 0]]


def test_only_normals_that_were_given_are_written():
    plain = mesh()
    plain.verts_normals_packed()
    assert saved(plain) == saved(mesh())
    assert b"nx" not in saved(plain)
    assert b"nx" in saved(mesh(normals=NORMALS))


@pytest.mark.parametrize(
    ("textures", "what"),
    [
        (TexturesVertex([torch.zeros(3, 4)]), "it has 4 colors, not 3."),
        (TexturesAtlas([torch.zeros(2, 2, 2, 3)]), "it is a TexturesAtlas, not a TexturesVertex."),
        (TexturesUV([torch.zeros(2, 2, 3)], [FACES], [torch.zeros(3, 2)]), "it is a TexturesUV, not a TexturesVertex."),
    ],
)
def test_other_textures_are_left_out_with_a_warning(textures, what):
    with pytest.warns(UserWarning, match=f"^MeshPlyFormat: Texture will not be saved as {re.escape(what)}$"):
        assert saved(mesh(textures)) == saved(mesh())


def test_features_that_are_no_colours_are_refused():
    with pytest.raises(ValueError, match=r"PointcloudPlyFormat: features must be colours of 3 channels .*, got 5"):
        saved(Pointclouds([VERTS], features=[torch.zeros(3, 5)]))
    with pytest.raises(ValueError, match="MeshPlyFormat: decimal_places must be"):
        saved(mesh(), decimal_places=-1)


def test_nothing_to_write_warns():
    empty = torch.zeros(0, 3)
    with pytest.warns(UserWarning, match="MeshPlyFormat: Empty 'verts' provided"):
        data = saved(Meshes([empty], [empty.long()]))
    assert len(read(io.BytesIO(data)).verts_packed()) == 0
    with pytest.warns(UserWarning, match="PointcloudPlyFormat: Empty 'verts' provided"):
        data = saved(Pointclouds([empty], normals=[empty], features=[empty]))
    assert len(read_cloud(io.BytesIO(data)).points_packed()) == 0


# Laws


@st.composite
def tables(draw):
    """Rows of nine numbers: position, normal, colour in steps of 1/255."""
    number = st.floats(width=32, allow_nan=False)
    row = st.tuples(*[number] * 6, *[st.integers(0, 255).map(lambda step: step / 255)] * 3)
    return torch.tensor(draw(st.lists(row, min_size=1, max_size=6)), dtype=torch.float32)


@given(tables(), st.sets(st.sampled_from(["normals", "colors", "uint8"])))
@settings(max_examples=50, deadline=None)
def test_what_is_saved_is_loaded(table, parts):
    points, normals, colors = table.split(3, dim=1)
    normals, colors = (normals if "normals" in parts else None), (colors if "colors" in parts else None)
    faces = torch.randint(len(points), (4, 3))
    textures = None if colors is None else TexturesVertex([colors])
    given_mesh = Meshes([points], [faces], textures=textures, verts_normals=None if normals is None else [normals])
    cloud = Pointclouds([points], *(None if part is None else [part] for part in (normals, colors)))
    for data, binary in itertools.product((given_mesh, cloud), (True, False)):
        options = {"binary": binary, "colors_as_uint8": "uint8" in parts, "decimal_places": 150}
        encoded = saved(data, **options)
        again = (read if data is given_mesh else read_cloud)(io.BytesIO(encoded))
        assert saved(again, **options) == encoded
        loaded = again.verts_packed() if data is given_mesh else again.points_packed()
        torch.testing.assert_close(loaded, points, rtol=0, atol=0)
        if data is given_mesh:
            assert torch.equal(again.faces_packed(), faces)
            assert normals is None or torch.equal(again.verts_normals_packed(), normals)
            assert colors is None or torch.equal(again.textures.verts_features_packed(), colors)
        else:
            assert normals is None or torch.equal(again.normals_packed(), normals)
            assert colors is None or torch.equal(again.features_packed(), colors)


@given(st.data())
@settings(max_examples=100, deadline=None)
@pytest.mark.filterwarnings("ignore:Faces have invalid indices")
def test_a_damaged_file_is_read_or_refused(data):
    cut = data.draw(st.integers(0, 300))
    lines = "comment TextureFile none.png\n" + TEXTURED.replace(
        "list uchar int", "list uchar float texcoord\nproperty list uchar int"
    )
    whole = ply(lines, TEXTURED_ROWS.replace("4 0", "8 0 0 1 0 1 1 0 1 4 0")).getvalue()
    damaged = whole[:cut] + data.draw(st.binary(max_size=3)) + whole[cut + data.draw(st.integers(0, 4)) :]
    for reader in (read, read_cloud):
        try:
            reader(io.BytesIO(damaged))
        except (ValueError, FileNotFoundError) as error:
            assert str(error)  # noqa: PT017
