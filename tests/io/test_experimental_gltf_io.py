# SPDX-License-Identifier: Apache-2.0
"""Reading and writing of glTF."""

import base64
import io
import json
import os
import struct
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from patina3d.io import IO, load_obj
from patina3d.io.corner_colors import map_of_corner_colors
from patina3d.io.experimental_gltf_io import MeshGlbFormat, OurEncoder, _read_header, load_meshes
from patina3d.renderer.mesh.textures import TexturesAtlas, TexturesUV, TexturesVertex
from patina3d.structures import Meshes
from patina3d.utils import ico_sphere
from support.meshes import real_mesh
from support.mutations import outcomes

CODES = {"i1": 5120, "u1": 5121, "<i2": 5122, "<u2": 5123, "<u4": 5125, "<f4": 5126}
KINDS = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}
CORNERS = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]


class Builder:
    """A document, put together piece by piece."""

    def __init__(self, **top):
        self.data = b""
        self.document = {"asset": {"version": "2.0"}, "accessors": [], "bufferViews": [], **top}

    def view(self, data: bytes, **more) -> int:
        self.data += bytes(-len(self.data) % 4)
        view = {"buffer": 0, "byteOffset": len(self.data), "byteLength": len(data)} | more
        self.document["bufferViews"].append(view)
        self.data += data
        return len(self.document["bufferViews"]) - 1

    def accessor(self, values, dtype="<f4", **more) -> int:
        array = np.array(values, dtype)
        width = array.shape[1] if array.ndim == 2 else 1
        entry = {"bufferView": self.view(array.tobytes()), "componentType": CODES[dtype], "count": len(array)}
        self.document["accessors"].append(entry | {"type": KINDS[width]} | more)
        return len(self.document["accessors"]) - 1

    def image(self, pixels: np.ndarray, form="PNG", mode=None) -> int:
        file = io.BytesIO()
        image = Image.fromarray(pixels)
        # A palette of so few colours is exact.
        image = image.quantize() if mode == "P" else image if mode is None else image.convert(mode)
        image.save(file, form)
        images = self.document.setdefault("images", [])
        images.append({"bufferView": self.view(file.getvalue()), "mimeType": f"image/{form.lower()}"})
        return len(images) - 1

    def triangle(self, verts=None, indices=(0, 1, 2), dtype="<u2", **attributes) -> dict:
        """A primitive."""
        attributes["POSITION"] = self.accessor(CORNERS[:3] if verts is None else verts)
        found = {"attributes": attributes}
        return found if indices is None else {**found, "indices": self.accessor(indices, dtype)}

    def scene(self, *primitives, **node) -> "Builder":
        """One node with one mesh."""
        self.document["meshes"] = [{"primitives": list(primitives)}]
        self.document["nodes"] = [{"mesh": 0, **node}]
        self.document["scenes"] = [{"nodes": [0]}]
        return self

    def glb(self) -> bytes:
        document = {**self.document, "buffers": [{"byteLength": len(self.data)}]}
        return glb(json.dumps(document).encode(), self.data)

    def gltf(self, uri=None) -> bytes:
        uri = uri or "data:application/octet-stream;base64," + base64.b64encode(self.data).decode()
        return json.dumps({**self.document, "buffers": [{"byteLength": len(self.data), "uri": uri}]}).encode()


def glb(*parts: bytes, kinds=(b"JSON", b"BIN\0"), version=2) -> bytes:
    chunks = b""
    for kind, data in zip(kinds, parts, strict=False):
        data += b" " * (-len(data) % 4)
        chunks += struct.pack("<I4s", len(data), kind) + data
    return struct.pack("<4sII", b"glTF", version, 12 + len(chunks)) + chunks


def parts(data: bytes, **kwargs):
    return load_meshes(io.BytesIO(data), None, **kwargs)


def only(builder: Builder) -> Meshes:
    ((_, mesh),) = parts(builder.glb())
    return mesh


def read(data: bytes) -> Meshes:
    return MeshGlbFormat().read(io.BytesIO(data), include_textures=True, device="cpu", path_manager=None)


def saved(mesh: Meshes, binary: bool | None = True) -> bytes:
    file = io.BytesIO()
    assert MeshGlbFormat().save(mesh, file, path_manager=None, binary=binary)
    return file.getvalue()


def unpacked(data: bytes) -> tuple[dict, bytes]:
    """The JSON and the buffer of a ``.glb``, whose layout is checked on the way."""
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data))
    size, kind = struct.unpack_from("<I4s", data, 12)
    assert (kind, size % 4) == (b"JSON", 0)
    rest = data[20 + size :]
    if rest:
        assert rest[4:8] == b"BIN\0"
        assert int.from_bytes(rest[:4], "little") == len(rest) - 8
        assert len(rest) % 4 == 0
    return json.loads(data[20 : 20 + size]), rest[8:]


# Containers, buffers


def test_glb_data_uri_and_separate_files_are_one(tmp_path):
    builder = Builder()
    builder.scene(builder.triangle())
    (tmp_path / "a b.bin").write_bytes(builder.data)
    (tmp_path / "a.gltf").write_bytes(builder.gltf("a%20b.bin"))
    (tmp_path / "b.gltf").write_bytes(builder.gltf())
    plain = "".join(f"%{byte:02x}" for byte in builder.data)
    (tmp_path / "c.gltf").write_bytes(b"\xef\xbb\xbf" + builder.gltf(f"data:,{plain}"))
    (tmp_path / "d.glb").write_bytes(builder.glb())
    (tmp_path / "e.GLB").write_bytes(builder.gltf(f"DATA:;BASE64,{base64.b64encode(builder.data).decode()}"))
    for name in ("a.gltf", "b.gltf", "c.gltf", "d.glb", "e.GLB"):
        for path in (tmp_path / name, str(tmp_path / name)):
            mesh = IO().load_mesh(path)
            assert mesh.verts_packed().tolist() == CORNERS[:3]
            assert mesh.faces_packed().tolist() == [[0, 1, 2]]
            assert mesh.textures is None


def test_the_header_says_version_and_length():
    data = saved(ico_sphere(0))
    stream = io.BytesIO(data)
    assert _read_header(stream) == (2, len(data))
    assert stream.tell() == 12
    for other in (b"", data[:11], b"{" + data):
        assert _read_header(io.BytesIO(other)) is None


def test_chunks_that_are_not_known_are_passed_over():
    builder = Builder()
    builder.scene(builder.triangle())
    document = {**builder.document, "buffers": [{"byteLength": len(builder.data)}]}
    data = glb(json.dumps(document).encode(), b"what", builder.data, kinds=(b"JSON", b"XXXX", b"BIN\0"))
    assert len(parts(data)) == 1
    assert len(parts(data + b"behind the end")) == 1
    assert parts(glb(b'{"asset": {"version": "2.1"}}')) == []


BAD_CONTAINERS = [
    (b"", "<BytesIO>: neither a glb file nor JSON"),
    (b"glTF\2\0\0\0", "the header must have 12 bytes, got 8"),
    (glb(b"{}", version=1), "only version 2 of glTF is read, got 1"),
    (glb(b"{}")[:-1], "the file must have 24 bytes, as its header says, got 23"),
    (struct.pack("<4sII", b"glTF", 2, 12), "there is no JSON chunk"),
    (struct.pack("<4sII", b"glTF", 2, 16) + b"abcd", "chunk 0: the file ends inside its header"),
    (struct.pack("<4sIII4s", b"glTF", 2, 20, 9, b"JSON"), "chunk 0 must have 9 bytes, but the file has 0"),
    (glb(b"1", kinds=(b"BIN\0",)), "chunk 0 must be JSON, got b'BIN"),
    (glb(b"{"), "neither a glb file nor JSON: Expecting"),
    (b"[" * 100000, "the JSON is nested too deeply"),
    (b"[]", r"document: must be an object, got \[\]"),
    (b"\xff{}", "neither a glb file nor JSON"),
    (b'{"asset": {"version": "1.0"}}', "only version 2 of glTF is read, got '1.0'"),
    (b'{"asset": 3}', "asset: must be an object, got 3"),
    (
        b'{"extensionsRequired": ["KHR_texture_transform", "KHR_draco_mesh_compression"]}',
        "needs the extension KHR_draco_mesh_compression, which is not read",
    ),
    (b'{"extensionsRequired": [3]}', "extensionsRequired must hold strings"),
    (b'{"scenes": []}', "scene is 0, but there are 0"),
    (b'{"scene": -1, "scenes": [{}]}', "scene must be an integer >= 0, got -1"),
    (b'{"scenes": [{"nodes": [0]}]}', r"scenes\[0\]: nodes is 0, but there are 0"),
    (b'{"nodes": {}}', "nodes must be an array, got {}"),
    (b'{"nodes": [{"children": [1]}, {"children": [0]}], "scenes": [{"nodes": [0]}]}', r"nodes\[0\]: is reached twice"),
    (b'{"nodes": [{"matrix": [1, 2]}]}', r"nodes\[0\]: matrix must be 16 numbers, got \[1, 2\]"),
    (b'{"nodes": [{"scale": [1, 2, true]}]}', r"nodes\[0\]: scale must be 3 numbers"),
    (b'{"nodes": [{"mesh": 0}]}', r"nodes\[0\]: mesh is 0, but there are 0"),
    (b'{"nodes": [{"mesh": 0}], "meshes": [{"primitives": [{}]}]}', r"meshes\[0\].primitives\[0\]: has no POSITION"),
]


@pytest.mark.parametrize(("data", "message"), BAD_CONTAINERS, ids=range(len(BAD_CONTAINERS)))
def test_bad_containers_are_refused(data, message):
    with pytest.raises(ValueError, match=f"^load_meshes: <BytesIO>.*{message.removeprefix('<BytesIO>')}"):
        parts(data)


def broken(change) -> Builder:
    builder = Builder()
    builder.scene(builder.triangle())
    change(builder.document)
    return builder


BAD_DOCUMENTS = [
    (lambda d: d["accessors"][0].pop("count"), r"accessors\[0\]: count is missing"),
    (lambda d: d["accessors"][0].update(count=4), r"accessors\[0\]: ends at byte 48 of a buffer view of 36"),
    (lambda d: d["accessors"][0].update(count=10**18), r"accessors\[0\]: ends at byte 12000000000000000000 of"),
    (lambda d: d["accessors"][0].update(byteOffset=4), r"accessors\[0\]: ends at byte 40 of a buffer view of 36"),
    (lambda d: d["accessors"][0].update(componentType=5124), r"accessors\[0\]: componentType must be one of 5120, "),
    (lambda d: d["accessors"][0].update(type="MAT4"), r"accessors\[0\]: type must be one of SCALAR, "),
    (lambda d: d["accessors"][0].update(type="VEC2"), r"accessors\[0\]: must have 3 components as POSITION, got 2"),
    (
        lambda d: (d["accessors"][0].pop("bufferView"), d["accessors"][0].update(count=99)),
        "more than the buffers' 42 ",
    ),
    (lambda d: d["accessors"][1].update(componentType=5122), r"accessors\[1\]: must hold unsigned scalars as indices"),
    (lambda d: d["accessors"][1].update(count=2), r"triangles must be a multiple of 3, got 2"),
    (lambda d: d["bufferViews"][0].update(byteLength=999), r"bufferViews\[0\]: ends at byte 999 of a buffer of 42"),
    (lambda d: d["bufferViews"][0].update(byteStride=8), r"bufferViews\[0\]: byteStride must be in \[4, 252\] and at"),
    (lambda d: d["bufferViews"][0].update(byteStride=256), r"bufferViews\[0\]: byteStride must be in \[4, 252\]"),
    (lambda d: d["bufferViews"][0].update(buffer=1), r"bufferViews\[0\]: buffer is 1, but there are 1"),
    (lambda d: d["meshes"][0]["primitives"][0].update(mode=7), r"primitives\[0\]: mode must be in \[0, 6\], got 7"),
    (lambda d: d["meshes"][0]["primitives"][0].update(indices=True), r"indices must be an integer >= 0, got True"),
    (lambda d: d["meshes"][0]["primitives"][0].update(indices=9), r"primitives\[0\]: indices is 9, but there are 2"),
    (lambda d: d["meshes"][0]["primitives"][0].update(material=0), r"primitives\[0\]: material is 0, but there are 0"),
    (
        lambda d: d["meshes"][0]["primitives"][0].update(attributes={}, extensions={"KHR_draco_mesh_compression": {}}),
        r"has no POSITION; it has only the extensions KHR_draco_mesh_compression",
    ),
    (
        lambda d: d["meshes"][0]["primitives"][0]["attributes"].update(NORMAL=1),
        "must have 3 components as NORMAL, got 1",
    ),
    (lambda d: d["meshes"][0].update(name=3), r"meshes\[0\]: name must be a string, got 3"),
]


@pytest.mark.parametrize(("change", "message"), BAD_DOCUMENTS, ids=range(len(BAD_DOCUMENTS)))
def test_bad_documents_are_refused(change, message):
    with pytest.raises(ValueError, match=f"^load_meshes: <BytesIO>: .*{message}"):
        only(broken(change))


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("data:application/octet-stream;base64", "its data URI has no comma"),
        ("data:;base64,abc", "its data URI is damaged"),
        ("data:,short", r"buffers\[0\]: must have 42 bytes, got 5"),
        ("https://host/a.bin", "uri must be relative to the file, got 'https://host/a.bin'"),
        ("/etc/a.bin", "uri must be relative to the file"),
        ("a%00.bin", "uri must be relative to the file"),
        ("a.bin", "names a file beside this one, but a stream has no folder"),
    ],
)
def test_bad_uris_are_refused(uri, message):
    builder = Builder()
    builder.scene(builder.triangle())
    with pytest.raises(ValueError, match=message):
        parts(builder.gltf(uri))


@pytest.mark.parametrize("uri", [".", "a" * 999])
def test_uris_that_cannot_be_opened_are_refused(uri, tmp_path):
    builder = Builder()
    builder.scene(builder.triangle())
    (tmp_path / "a.gltf").write_bytes(builder.gltf(uri))
    with pytest.raises(ValueError, match=r"buffers\[0\]: its uri '.*' cannot be read: "):
        IO().load_mesh(tmp_path / "a.gltf")


def test_zeros_are_bounded_by_what_is_there():
    builder = Builder()
    builder.scene(builder.triangle())
    del builder.document["accessors"][0]["bufferView"]
    builder.document["accessors"][0]["count"] = 10**13
    document = {**builder.document, "buffers": [{"byteLength": 10**14}]}
    with pytest.raises(ValueError, match=r"buffers\[0\]: must have 100000000000000 bytes"):
        parts(glb(json.dumps(document).encode(), builder.data))


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes on Linux alone")
def test_names_that_are_no_text(tmp_path):
    sphere = ico_sphere(0)
    path = os.fsencode(tmp_path) + b"/\xff.gltf"
    IO().save_mesh(sphere, path)
    assert torch.equal(IO().load_mesh(path).faces_packed(), sphere.faces_packed())


def test_a_missing_file_is_named(tmp_path):
    builder = Builder()
    builder.scene(builder.triangle())
    (tmp_path / "a.gltf").write_bytes(builder.gltf("missing.bin"))
    with pytest.raises(FileNotFoundError, match=r"missing\.bin"):
        IO().load_mesh(tmp_path / "a.gltf")
    with pytest.raises(ValueError, match=r"buffers\[0\]: has no uri, and the file has no BIN chunk"):
        parts(json.dumps({**builder.document, "buffers": [{"byteLength": 44}]}).encode())


# Accessors


@pytest.mark.parametrize("dtype", ["u1", "<u2", "<u4"])
def test_indices_of_each_type(dtype):
    builder = Builder()
    mesh = only(builder.scene(builder.triangle(CORNERS, [0, 1, 2, 3, 2, 1], dtype)))
    assert mesh.faces_packed().tolist() == [[0, 1, 2], [3, 2, 1]]


def test_without_indices_every_three_vertices_are_a_face():
    builder = Builder()
    mesh = only(builder.scene(builder.triangle([*CORNERS, *CORNERS[:2]], None)))
    assert mesh.faces_packed().tolist() == [[0, 1, 2], [3, 4, 5]]


def test_strips_fans_points_and_lines():
    builder = Builder()
    corners = [*CORNERS, [1, 1, 1]]
    made = [builder.triangle(corners, range(5)) | {"mode": mode} for mode in (5, 6, 0)]
    meshes = [mesh for _, mesh in parts(builder.scene(*made).glb())]
    assert meshes[0].faces_packed().tolist() == [[0, 1, 2], [2, 1, 3], [2, 3, 4]]
    assert meshes[1].faces_packed().tolist() == [[0, 1, 2], [0, 2, 3], [0, 3, 4]]
    assert meshes[2].faces_packed().shape == (0, 3)
    assert meshes[2].verts_packed().tolist() == corners
    for short in range(3):
        for mode in (5, 6):
            builder = Builder()
            mesh = only(builder.scene(builder.triangle(corners, range(short)) | {"mode": mode}))
            assert mesh.faces_packed().shape == (0, 3)
    builder = Builder()
    builder.scene(builder.triangle() | {"mode": 1})
    with pytest.warns(UserWarning, match=r"meshes\[0\].primitives\[0\] is made of lines and is passed over"):
        assert parts(builder.glb()) == []


def test_interleaved_accessors():
    builder = Builder()
    rows = np.array([[*corner, *color] for corner, color in zip(CORNERS, np.eye(4, 3), strict=True)], "<f4")
    view = builder.view(rows.tobytes(), byteStride=24)
    common = {"bufferView": view, "componentType": 5126, "count": 4, "type": "VEC3"}
    builder.document["accessors"] += [common, common | {"byteOffset": 12}]
    mesh = only(
        builder.scene({"attributes": {"POSITION": 0, "COLOR_0": 1}, "indices": builder.accessor([0, 1, 3], "u1")})
    )
    assert mesh.verts_packed().tolist() == CORNERS
    assert mesh.textures.verts_features_packed().tolist() == np.eye(4, 3).tolist()


@pytest.mark.parametrize("has_view", [True, False])
def test_sparse_accessors(has_view):
    builder = Builder()
    primitive = builder.triangle()
    accessor = builder.document["accessors"][primitive["attributes"]["POSITION"]]
    accessor["sparse"] = {
        "count": 2,
        "indices": {"bufferView": builder.view(np.array([0, 2], "<u2").tobytes()), "componentType": 5123},
        "values": {"bufferView": builder.view(np.array([[7, 8, 9], [4, 5, 6]], "<f4").tobytes())},
    }
    if not has_view:
        del accessor["bufferView"]
    mesh = only(builder.scene(primitive))
    assert mesh.verts_packed().tolist() == [[7, 8, 9], [1, 0, 0] if has_view else [0, 0, 0], [4, 5, 6]]
    accessor["count"] = 2
    with pytest.raises(ValueError, match=r"accessors\[0\].sparse.indices: row 2 is replaced, but there are 2"):
        only(builder)
    del accessor["sparse"]["values"]
    with pytest.raises(ValueError, match=r"accessors\[0\].sparse: must have indices and values"):
        only(builder)


@pytest.mark.parametrize(("dtype", "greatest"), [("u1", 255), ("<u2", 65535), ("i1", 127), ("<i2", 32767)])
def test_normalised_integers_are_fractions(dtype, greatest):
    lowest = 0 if dtype.endswith(("u1", "u2")) else -greatest - 1
    rows = [[greatest, 0, 0], [0, greatest // 2, 0], [0, 0, lowest]]
    expected = torch.tensor([[1, 0, 0], [0, (greatest // 2) / greatest, 0], [0, 0, -1.0 if lowest else 0]])
    builder = Builder()
    colors = builder.accessor(rows, dtype, normalized=True)
    mesh = only(builder.scene(builder.triangle(COLOR_0=colors)))
    torch.testing.assert_close(mesh.textures.verts_features_packed(), expected, rtol=0, atol=1e-7)
    builder = Builder()
    primitive = builder.triangle()
    primitive["attributes"]["POSITION"] = builder.accessor(rows, dtype)
    assert only(builder.scene(primitive)).verts_packed().tolist() == rows


def test_accessors_need_not_be_aligned():
    builder = Builder()
    data = b"x" + np.array(CORNERS, "<f4").tobytes()
    entry = {"bufferView": builder.view(data), "byteOffset": 1, "componentType": 5126, "count": 4, "type": "VEC3"}
    builder.document["accessors"].append(entry)
    primitive = {"attributes": {"POSITION": 0}, "indices": builder.accessor([0, 1, 3], "u1")}
    assert only(builder.scene(primitive)).verts_packed().tolist() == CORNERS


# Scenes


def rotation(axis, angle) -> list[float]:
    return [*(np.array(axis) * np.sin(angle / 2)), np.cos(angle / 2)]


def test_transforms_of_nested_nodes():
    builder = Builder()
    builder.scene(builder.triangle())
    turn = rotation([0, 0, 1], np.pi / 2)
    matrix = np.array([[0, -1, 0, 5], [1, 0, 0, 6], [0, 0, 1, 7], [0, 0, 0, 1.0]])
    builder.document["nodes"] = [
        {"children": [1, 2], "translation": [10, 0, 0], "rotation": turn, "scale": [2, 3, 4]},
        {"mesh": 0, "translation": [0, 0, 1]},
        {"mesh": 0, "matrix": matrix.T.reshape(-1).tolist()},
        {"mesh": 0},
    ]
    builder.document["scenes"] = [{"nodes": [2]}, {"nodes": [0, 3]}]
    builder.document["scene"] = 1
    builder.document["meshes"][0]["name"] = "first"
    found = parts(builder.glb())
    assert [name for name, _ in found] == ["first"] * 3
    verts = [mesh.verts_packed() for _, mesh in found]
    assert torch.equal(verts[0], torch.tensor(CORNERS[:3]).float())  # breadth first: the second root
    outer = np.array([[0, -3, 0, 10], [2, 0, 0, 0], [0, 0, 4, 0], [0, 0, 0, 1.0]])
    homogeneous = np.array([[*corner, 1] for corner in CORNERS[:3]])
    child = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 1.0]])
    for got, expected in ((verts[1], outer @ child), (verts[2], outer @ matrix)):
        torch.testing.assert_close(got.numpy(), (homogeneous @ expected.T)[:, :3].astype(np.float32), rtol=0, atol=1e-5)
    builder.document["scene"] = 0
    assert len(parts(builder.glb())) == 1
    del builder.document["scene"]
    assert len(parts(builder.glb())) == 1
    del builder.document["scenes"]
    assert len(parts(builder.glb())) == 3


@pytest.mark.parametrize("scale", [[1, 1, 1], [-1, 1, 1], [-2, -3, 1], [2, -1, 0.5]])
def test_normals_stay_outside(scale):
    sphere = ico_sphere(1)
    verts, faces = sphere.verts_packed(), sphere.faces_packed()
    builder = Builder()
    primitive = builder.triangle(verts.tolist(), faces.flatten().tolist(), NORMAL=builder.accessor(verts.tolist()))
    mesh = only(builder.scene(primitive, scale=scale, rotation=rotation([0, 1, 0], 1.0), translation=[1, 2, 3]))
    normals = mesh.verts_normals_packed()
    torch.testing.assert_close(normals.norm(dim=1), torch.ones(len(verts)))
    computed = Meshes(mesh.verts_list(), mesh.faces_list()).verts_normals_packed()
    assert ((normals * computed).sum(1) > 0.9).all()
    assert ((mesh.verts_packed() - torch.tensor([1.0, 2, 3])) * normals).sum(1).min() > 0
    # Normals are perpendicular to what the transform makes of tangents.
    columns = torch.tensor([[*verts[0].tolist()]])
    tangent = torch.linalg.cross(columns, torch.tensor([[0.3, 0.5, 0.7]]))[0]
    turn = torch.tensor([[np.cos(1), 0, np.sin(1)], [0, 1, 0], [-np.sin(1), 0, np.cos(1)]]).float()
    assert abs(float((turn @ (torch.tensor(scale).float() * tangent)) @ normals[0])) < 1e-5


# Textures


def test_colours_of_vertices():
    for width in (3, 4):
        builder = Builder(materials=[{"pbrMetallicRoughness": {"baseColorFactor": [0.5, 1, 0.25, 0.5]}}])
        rows = [[0.5, 0.25, 1, 0.5][:width]] * 2 + [[1, 2, 0, 1][:width]]
        primitive = builder.triangle(COLOR_0=builder.accessor(rows))
        assert only(builder.scene(primitive)).textures.verts_features_packed().tolist() == rows
        primitive["material"] = 0
        expected = (torch.tensor(rows) * torch.tensor([0.5, 1, 0.25, 0.5])[:width]).tolist()
        assert only(builder.scene(primitive)).textures.verts_features_packed().tolist() == expected


UVS = [[0.0, 0.0], [0.75, 0.25], [0.5, 1.0]]
PIXELS = np.arange(24, dtype=np.uint8).reshape(2, 4, 3) * 10


def textured(pixels=PIXELS, uvs=UVS, sampler=None, factor=None, info=None, **kwargs) -> Builder:
    builder = Builder(textures=[{"source": 0}])
    builder.image(pixels, **kwargs)
    material = {"baseColorTexture": {"index": 0, **(info or {})}} | ({"baseColorFactor": factor} if factor else {})
    builder.document["materials"] = [{}, {"pbrMetallicRoughness": material}]
    if sampler is not None:
        builder.document["samplers"] = [sampler]
        builder.document["textures"][0]["sampler"] = 0
    primitive = builder.triangle(TEXCOORD_0=builder.accessor(uvs)) | {"material": 1}
    return builder.scene(primitive)


def test_image_and_coordinates():
    textures = only(textured()).textures
    torch.testing.assert_close(textures.maps_list()[0], torch.from_numpy(PIXELS) / 255, rtol=0, atol=1e-7)
    assert textures.verts_uvs_list()[0].tolist() == [[0, 1], [0.75, 0.75], [0.5, 0]]
    assert textures.faces_uvs_list()[0].tolist() == [[0, 1, 2]]
    dimmed = only(textured(factor=[0.5, 1, 0, 0.3])).textures.maps_list()[0]
    expected = torch.from_numpy(PIXELS) / 255 * torch.tensor([0.5, 1, 0])
    torch.testing.assert_close(dimmed, expected, rtol=0, atol=1e-7)


def test_images_of_any_mode_and_place(tmp_path):
    grey = only(textured(PIXELS[..., 0])).textures.maps_list()[0]
    torch.testing.assert_close(grey, torch.from_numpy(PIXELS[..., :1] / 255).float().expand(-1, -1, 3))
    assert torch.equal(only(textured(mode="P")).textures.maps_list()[0], only(textured()).textures.maps_list()[0])
    assert torch.equal(only(textured(mode="RGBA")).textures.maps_list()[0], only(textured()).textures.maps_list()[0])
    wide = only(textured((np.arange(8, dtype=np.uint16) * 9362).reshape(2, 4))).textures.maps_list()[0]
    torch.testing.assert_close(wide[..., 0].flatten(), torch.arange(8) * 9362 / 65535)
    jpeg = only(textured(form="JPEG")).textures.maps_list()[0]
    assert jpeg.shape == (2, 4, 3)
    builder = textured()
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "PNG")
    (tmp_path / "an image.png").write_bytes(file.getvalue())
    for uri in ("an%20image.png", "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()):
        builder.document["images"] = [{"uri": uri}]
        (tmp_path / "a.glb").write_bytes(builder.glb())
        assert torch.equal(
            IO().load_mesh(tmp_path / "a.glb").textures.maps_list()[0], only(textured()).textures.maps_list()[0]
        )
        assert IO().load_mesh(tmp_path / "a.glb", include_textures=False).textures is None


def test_webp_images():
    builder = textured()
    builder.image(PIXELS, form="WEBP")
    builder.document["textures"] = [{"extensions": {"EXT_texture_webp": {"source": 1}}}]
    assert only(builder).textures.maps_list()[0].shape == (2, 4, 3)


def test_damaged_images_are_refused():
    builder = textured()
    builder.document["images"][0]["bufferView"] = 1
    with pytest.raises(ValueError, match=r"^load_meshes: <BytesIO>: images\[0\] cannot be decoded"):
        only(builder)


def test_other_coordinates_and_their_transform():
    uvs = np.array([[0.1, 0.2], [0.3, 0.1], [0.25, 0.5]], np.float32)
    moved = {"offset": [0.1, 0.4], "rotation": 0.3, "scale": [0.5, 0.7]}
    builder = textured(info={"texCoord": 1, "extensions": {"KHR_texture_transform": moved}})
    primitive = builder.document["meshes"][0]["primitives"][0]
    primitive["attributes"]["TEXCOORD_1"] = builder.accessor(uvs)
    u, v = (uvs * [0.5, 0.7]).T
    cos, sin = np.cos(0.3), np.sin(0.3)
    expected = np.stack([cos * u + sin * v + 0.1, 1 - (-sin * u + cos * v + 0.4)], 1)
    got = only(builder).textures.verts_uvs_list()[0]
    torch.testing.assert_close(got, torch.from_numpy(expected).float(), rtol=0, atol=1e-6)
    moved["texCoord"] = 0
    assert not torch.allclose(only(builder).textures.verts_uvs_list()[0], got)


NEAREST, LINEAR = 9728, 9729
PALETTE = np.random.default_rng(0).integers(0, 255, (1, 16, 3), dtype=np.uint8)


@pytest.mark.parametrize("filter", [None, LINEAR, NEAREST])
def test_coordinates_are_measured_from_the_edges_of_the_image(filter):
    uvs = [[1.5 / 16, 0.5], [15.5 / 16, 0.5], [7.5 / 16, 0.5]]
    mesh = only(textured(PALETTE, uvs, None if filter is None else {"magFilter": filter}))
    expected = torch.from_numpy(PALETTE)[0, [1, 15, 7]] / 255
    torch.testing.assert_close(corner_colors(mesh)[0], expected, rtol=0, atol=1e-6)
    assert mesh.textures.sampling_mode == ("nearest" if filter == NEAREST else "bilinear")
    # From then on, nothing changes.
    loaded = read(saved(mesh))
    assert loaded.textures.sampling_mode == mesh.textures.sampling_mode
    assert torch.equal(corner_colors(loaded), corner_colors(mesh))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("align_corners", [True, False])
def test_saved_coordinates_show_the_same(align_corners, dtype):
    uvs = torch.tensor([[0, 0], [1, 0.5], [0.25, 1]], dtype=dtype)
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (5, 3, 3))).float() / 255
    faces = torch.tensor([[0, 1, 2], [-1, 0, 0]])
    textures = TexturesUV([image], [faces], [uvs], align_corners=align_corners)
    mesh = Meshes([torch.rand(3, 3)], [faces.clamp(min=0)], textures)
    torch.testing.assert_close(corner_colors(read(saved(mesh))), corner_colors(mesh).float(), rtol=0, atol=1e-5)


def test_images_of_both_samplings_are_joined_as_bilinear():
    builder = textured(sampler={"magFilter": NEAREST})
    builder.document["textures"].append({"source": 0})
    builder.document["materials"].append({"pbrMetallicRoughness": {"baseColorTexture": {"index": 1}}})
    primitives = builder.document["meshes"][0]["primitives"]
    primitives.append({**primitives[0], "material": 2})
    with pytest.warns(UserWarning, match="some images of the file are to be sampled to the nearest texel"):
        assert read(builder.glb()).textures.sampling_mode == "bilinear"
    # With colours of corners or of one texel, there is nothing to choose.
    colors = builder.accessor(np.eye(3))
    primitives[1:] = [builder.triangle(COLOR_0=colors), builder.triangle(TEXCOORD_0=builder.accessor(UVS))]
    with pytest.warns(UserWarning, match="some images of the file are to be sampled to the nearest texel"):
        assert read(builder.glb()).textures.sampling_mode == "bilinear"
    del primitives[1]
    assert read(builder.glb()).textures.sampling_mode == "nearest"


def sampled_as_said(pixels, uv, modes):
    """Nearest texel of a repeated, mirrored or clamped image, v downwards."""
    found = []
    for (u, v), (height, width) in zip(uv, [pixels.shape[:2]] * len(uv), strict=True):
        place = []
        for value, size, mode in ((v, height, modes[1]), (u, width, modes[0])):
            if mode == "repeat":
                value = value % 1
            elif mode == "mirror":
                value = 1 - abs(value % 2 - 1)
            place.append(min(max(int(np.floor(value * size)), 0), size - 1))
        found.append(pixels[place[0], place[1]])
    return torch.tensor(np.array(found)) / 255


@pytest.mark.parametrize(
    "modes", [("repeat", "repeat"), ("mirror", "repeat"), ("repeat", "mirror"), ("clamp", "mirror")]
)
@pytest.mark.parametrize("shift", [0.0, 3.0, -5.0])
def test_coordinates_outside_the_image(modes, shift):
    codes = {"repeat": 10497, "mirror": 33648, "clamp": 33071}
    pixels = np.random.default_rng(0).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    uvs = np.array([[0.9, 0.6], [1.9, 0.7], [0.8, 2.4]]) + shift
    builder = textured(pixels, uvs, sampler={"wrapS": codes[modes[0]], "wrapT": codes[modes[1]]})
    textures = only(builder).textures
    weights = np.random.default_rng(1).dirichlet([1, 1, 1], 200)
    image, corners = textures.maps_list()[0], textures.verts_uvs_list()[0][textures.faces_uvs_list()[0][0]]
    inside = torch.from_numpy(weights).float() @ corners
    height, width = image.shape[:2]
    rows = ((1 - inside[:, 1]) * height).floor().long().clamp(0, height - 1)
    columns = (inside[:, 0] * width).floor().long().clamp(0, width - 1)
    got, expected = image[rows, columns], sampled_as_said(pixels, weights @ uvs, modes)
    assert ((got - expected).abs().amax(1) < 1e-6).float().mean() > 0.98  # the rest lies on borders of texels
    if shift == 0 and modes == ("repeat", "repeat"):
        assert image.shape == (12, 8, 3)


def test_a_repetition_too_large_to_lay_out_warns():
    with pytest.warns(UserWarning, match="repeats its image of 2 x 4 texels too often"):
        textures = only(textured(uvs=[[0, 0], [5000, 0], [0, 5000]])).textures
    assert textures.maps_list()[0].shape == (2, 4, 3)
    # Only that face is cut off; the others move, and repeat the image.
    builder = textured(uvs=[[0, 0], [5000, 0], [0, 5000], [7, 3], [8.5, 3], [7, 4]])
    primitive = builder.document["meshes"][0]["primitives"][0]
    primitive["attributes"]["POSITION"] = builder.accessor(np.eye(3)[[0, 1, 2, 0, 1, 2]])
    primitive["indices"] = builder.accessor([0, 1, 2, 3, 4, 5], "<u2")
    with pytest.warns(UserWarning, match=r"too often \(5000 x 5000\): beyond 1 x 2, the border is shown"):
        textures = only(builder).textures
    assert textures.maps_list()[0].shape == (2, 8, 3)
    corners = textures.verts_uvs_list()[0][textures.faces_uvs_list()[0]]
    torch.testing.assert_close(corners[1], torch.tensor([[0, 1], [0.75, 1], [0, 0]]), rtol=0, atol=1e-6)


def test_coordinates_that_reach_hardly_beyond_the_image_do_not_repeat_it():
    image = only(textured(uvs=[[-1e-6, 0], [1 + 1e-6, 0.5], [0.5, 1]])).textures.maps_list()[0]
    assert image.shape == (2, 4, 3)
    image = only(textured(uvs=[[3 - 1e-6, 0], [4 + 1e-6, 0.5], [3.5, 1]])).textures.maps_list()[0]
    assert image.shape == (2, 4, 3)


def test_an_image_that_several_repeat_is_laid_out_once():
    builder = textured(uvs=[[0, 0], [2, 0], [0, 1]])
    builder.document["meshes"][0]["primitives"] *= 2
    first, second = (mesh.textures.maps_list()[0] for _, mesh in parts(builder.glb()))
    assert first is second
    assert first.shape == (2, 8, 3)


def test_factor_alone():
    builder = Builder(materials=[{"pbrMetallicRoughness": {"baseColorFactor": [0.5, 0.25, 1, 1]}}, {}])
    textures = only(builder.scene(builder.triangle() | {"material": 0})).textures
    assert textures.verts_features_packed().tolist() == [[0.5, 0.25, 1]] * 3
    assert only(builder.scene(builder.triangle() | {"material": 1})).textures is None
    uvs = builder.accessor(UVS)
    for more, color in (({"material": 0}, [0.5, 0.25, 1]), ({"material": 1}, [1, 1, 1]), ({}, [1, 1, 1])):
        textures = only(builder.scene(builder.triangle(TEXCOORD_0=uvs) | more)).textures
        assert textures.maps_list()[0].tolist() == [[color]]
        assert textures.verts_uvs_list()[0].tolist() == [[0, 1], [0.75, 0.75], [0.5, 0]]


def test_image_and_colours_of_vertices():
    builder = textured()
    attributes = builder.document["meshes"][0]["primitives"][0]["attributes"]
    attributes["COLOR_0"] = builder.accessor([[0.5, 1, 1]] * 3)
    expected = torch.from_numpy(PIXELS) / 255 * torch.tensor([0.5, 1, 1])
    torch.testing.assert_close(only(builder).textures.maps_list()[0], expected, rtol=0, atol=1e-7)
    attributes["COLOR_0"] = builder.accessor(np.eye(3))
    with pytest.warns(UserWarning, match="has both vertex colours and an image: the image is dropped"):
        assert only(builder).textures.verts_features_packed().tolist() == np.eye(3).tolist()


def test_an_image_that_several_use_is_one_tensor():
    builder = textured()
    builder.document["meshes"][0]["primitives"] *= 2
    first, second = (mesh for _, mesh in parts(builder.glb()))
    assert first.textures.maps_list()[0] is second.textures.maps_list()[0]
    assert read(builder.glb()).textures.maps_list()[0].shape == (4, 6, 3)  # with a border


def corner_colors(mesh):
    textures = mesh.textures
    if isinstance(textures, TexturesVertex):
        return textures.faces_verts_textures_packed(mesh.faces_packed())
    return textures.faces_verts_textures_packed()


@pytest.mark.parametrize("with_image", [False, True])
def test_parts_of_several_kinds_are_joined_without_a_change_of_colour(with_image):
    builder = (
        textured()
        if with_image
        else Builder(materials=[{}, {"pbrMetallicRoughness": {"baseColorFactor": [0, 1, 0.5, 1]}}])
    )
    colors = np.random.default_rng(0).random((4, 3)).astype(np.float32)
    made = [
        builder.triangle(CORNERS, [0, 1, 2, 2, 3, 0], COLOR_0=builder.accessor(colors)),
        builder.triangle(TEXCOORD_0=builder.accessor(UVS)) | {"material": 1},
        builder.triangle(),
        builder.triangle(COLOR_0=builder.accessor([[0.5, 0.25, 0, 0.5]] * 3)),
        builder.triangle(COLOR_0=builder.accessor([[1, 0, 0]] * 3), indices=[0, 0, 0]),
    ]
    data = builder.scene(*made).glb()
    apart = [mesh for _, mesh in parts(data)]
    expected = [torch.ones(1, 3, 3) if mesh.textures is None else corner_colors(mesh)[..., :3] for mesh in apart]
    whole = read(data)
    assert isinstance(whole.textures, TexturesUV if with_image else TexturesVertex)
    torch.testing.assert_close(corner_colors(whole)[..., :3], torch.cat(expected), rtol=0, atol=1e-6)
    if not with_image:
        # An alpha channel in one is 1 in the others.
        assert whole.textures.verts_features_packed()[:, 3].unique().tolist() == [0.5, 1]


def test_a_map_of_corner_colours_is_linear_within_faces():
    colors = torch.rand(7, 3, 3, dtype=torch.float64)
    weights = torch.from_numpy(np.random.default_rng(0).dirichlet([1, 1, 1], (1, 5, 7, 1)))
    faces = torch.arange(7).view(1, 1, 7, 1).expand(1, 5, 7, 1)
    fragments = SimpleNamespace(pix_to_face=faces, bary_coords=weights)
    sampled = map_of_corner_colors(colors).sample_textures(fragments)
    expected = torch.einsum("hfc,fcd->hfd", weights[0, :, :, 0], colors)
    torch.testing.assert_close(sampled[0, :, :, 0], expected, rtol=0, atol=1e-12)


# Writing


def test_the_layout_of_what_is_written():
    sphere = ico_sphere(1)
    verts, faces = sphere.verts_packed(), sphere.faces_packed()
    mesh = Meshes([verts], [faces], TexturesVertex([verts.abs()]))
    document, data = unpacked(saved(mesh))
    assert document["asset"]["version"] == "2.0"
    assert document["scene"] == 0
    assert document["scenes"] == [{"nodes": [0]}]
    assert document["nodes"] == [{"mesh": 0, "name": "Node"}]
    primitive = {"attributes": {"POSITION": 0, "COLOR_0": 2}, "indices": 1, "mode": 4}
    assert document["meshes"] == [{"name": "Node-Mesh", "primitives": [primitive]}]
    assert [each["name"] for each in document["accessors"]] == [
        f"Node-Mesh_{x}" for x in ("positions", "indices", "texvertices")
    ]
    assert [each.get("target") for each in document["bufferViews"]] == [34962, 34963, 34962]
    assert [each.get("byteStride") for each in document["bufferViews"]] == [12, None, 12]
    assert document["accessors"][0]["max"] == verts.amax(0).tolist()
    assert document["accessors"][0]["min"] == verts.amin(0).tolist()
    assert (
        document["accessors"][1] | {"count": 240, "componentType": 5123, "min": [0], "max": [41]}
        == document["accessors"][1]
    )
    assert all(each["byteOffset"] % 4 == 0 for each in document["bufferViews"])
    assert document["buffers"][0]["byteLength"] == len(data)
    assert not {"materials", "textures", "samplers", "images"} & document.keys()


def test_the_layout_with_an_image():
    sphere = ico_sphere(0)
    mesh = Meshes(sphere.verts_list(), [sphere.faces_packed()[:3]])
    mesh.textures = TexturesUV([torch.rand(2, 3, 3)], [mesh.faces_packed()], [torch.rand(12, 2)])
    uvs = mesh.textures.verts_uvs_list()[0].clone()
    document, data = unpacked(saved(mesh))
    assert torch.equal(mesh.textures.verts_uvs_list()[0], uvs)
    assert document["meshes"][0]["primitives"][0]["attributes"] == {"POSITION": 0, "TEXCOORD_0": 2}
    assert document["accessors"][2]["name"] == "Node-Mesh_texcoords"
    assert document["bufferViews"][2]["byteStride"] == 8
    assert document["bufferViews"][1]["byteLength"] % 4 == 2
    assert all(each["byteOffset"] % 4 == 0 for each in document["bufferViews"])
    assert document["images"] == [{"name": "texture", "mimeType": "image/png", "bufferView": 3}]
    material = document["materials"][0]
    assert material["pbrMetallicRoughness"]["baseColorTexture"] == {"index": 0}
    assert document["textures"] == [{"sampler": 0, "source": 0}]
    view = document["bufferViews"][3]
    assert data[view["byteOffset"] : view["byteOffset"] + view["byteLength"]].startswith(b"\x89PNG")


def test_indices_are_as_wide_as_they_must_be():
    for count, code in ((65535, 5123), (65536, 5125), (70001, 5125)):
        verts = torch.rand(count, 3)
        faces = torch.tensor([[0, 1, count - 1], [count - 2, 2, 1], [0, count - 1, 1]])
        data = saved(Meshes([verts], [faces]))
        assert unpacked(data)[0]["accessors"][1]["componentType"] == code
        assert torch.equal(read(data).verts_packed(), verts)
        assert torch.equal(read(data).faces_packed(), faces)


@pytest.mark.parametrize("binary", [True, False, None])
def test_streams_and_their_kinds(binary):
    sphere = ico_sphere(0)
    mesh = Meshes(sphere.verts_list(), sphere.faces_list())
    mesh.textures = TexturesUV([torch.rand(2, 3, 3)], [mesh.faces_packed()], [torch.rand(12, 2)])
    data = saved(mesh, binary)
    assert data.startswith(b"{") == (binary is False)
    torch.testing.assert_close(corner_colors(read(data)), corner_colors(mesh), rtol=0, atol=0.51 / 255)


def test_files_beside(tmp_path):
    sphere = ico_sphere(0)
    mesh = Meshes(sphere.verts_list(), sphere.faces_list())
    mesh.textures = TexturesUV([torch.rand(2, 3, 3)], [mesh.faces_packed()], [torch.rand(12, 2)])
    path = tmp_path / "an example.v1.gltf"
    IO().save_mesh(mesh, path)
    assert {each.name for each in tmp_path.iterdir()} == {f"an example.v1.{x}" for x in ("gltf", "bin", "png")}
    assert json.loads(path.read_text())["buffers"][0]["uri"] == "an%20example.v1.bin"
    loaded = IO().load_mesh(path)
    IO().save_mesh(mesh, tmp_path / "b.gltf", embed=True)
    assert {each.name for each in tmp_path.glob("b.*")} == {"b.gltf"}
    assert torch.equal(IO().load_mesh(tmp_path / "b.gltf").textures.maps_list()[0], loaded.textures.maps_list()[0])


def test_seams_divide_vertices_and_nothing_else():
    verts = torch.rand(5, 3)
    faces = torch.tensor([[0, 1, 2], [2, 1, 3]])
    uvs = torch.tensor([[0.0, 0], [1, 0], [0, 1], [0.5, 0.5], [0, 1]])
    faces_uvs = torch.tensor([[0, 1, 2], [4, 3, 0]])  # vertex 1 has two; 2 and 4 are equal; vertex 4 is in no face
    normals = torch.nn.functional.normalize(torch.rand(5, 3), dim=1)
    textures = TexturesUV([torch.rand(4, 4, 3)], [faces_uvs], [uvs])
    mesh = Meshes([verts], [faces], textures, verts_normals=[normals])
    loaded = read(saved(mesh))
    assert torch.equal(loaded.verts_packed(), verts[[0, 1, 1, 2, 3, 4]])
    assert torch.equal(loaded.verts_normals_packed(), normals[[0, 1, 1, 2, 3, 4]])
    assert torch.equal(loaded.verts_packed()[loaded.faces_packed()], verts[faces])
    places = loaded.textures.verts_uvs_list()[0][loaded.textures.faces_uvs_list()[0]]
    torch.testing.assert_close(places, (uvs[faces_uvs] * 3 + 0.5) / 4, rtol=0, atol=1e-7)


def test_corners_without_coordinates_are_at_the_origin():
    mesh = Meshes([torch.rand(3, 3)], [torch.tensor([[0, 1, 2]])])
    mesh.textures = TexturesUV([torch.rand(4, 4, 3)], [torch.tensor([[-1, 0, 0]])], [torch.tensor([[0.5, 0.25]])])
    torch.testing.assert_close(corner_colors(read(saved(mesh))), corner_colors(mesh), rtol=0, atol=0.51 / 255)


def test_colours_are_clamped_and_rounded():
    mesh = Meshes([torch.rand(3, 3)], [torch.tensor([[0, 1, 2]])])
    image = torch.tensor([[[-1.0, 0.5, 2.0]]])
    mesh.textures = TexturesUV([image], [torch.tensor([[0, 0, 0]])], [torch.zeros(1, 2)])
    torch.testing.assert_close(read(saved(mesh)).textures.maps_list()[0], torch.tensor([[[0, 128 / 255, 1]]]))


def test_without_faces_or_vertices():
    points = Meshes([torch.rand(4, 3)], [torch.empty((0, 3), dtype=torch.int64)])
    document, _ = unpacked(saved(points))
    assert document["meshes"][0]["primitives"][0]["mode"] == 0
    assert torch.equal(read(saved(points)).verts_packed(), points.verts_packed())
    empty = Meshes([torch.empty(0, 3)], [torch.empty((0, 3), dtype=torch.int64)])
    document, data = unpacked(saved(empty))
    assert document["scenes"] == [{}]
    assert data == b""
    assert read(saved(empty)).verts_packed().shape == (0, 3)


def test_values_that_are_not_finite_have_no_bounds():
    mesh = Meshes([torch.tensor([[float("nan"), 0, 0], [1, 0, 0], [0, float("inf"), 0]])], [torch.tensor([[0, 1, 2]])])
    document, _ = unpacked(saved(mesh))
    assert "max" not in document["accessors"][0]
    torch.testing.assert_close(read(saved(mesh)).verts_packed(), mesh.verts_packed(), equal_nan=True)


def test_bad_arguments_are_refused(tmp_path):
    mesh = ico_sphere(0)
    faces = mesh.faces_packed()

    def wearing(textures):
        return Meshes(mesh.verts_list(), mesh.faces_list(), textures)

    for name, binary in (("a.glb", False), ("a.gltf", True)):
        with pytest.raises(ValueError, match=rf"^MeshGlbFormat.save: binary must be None or {not binary} for .*{name}"):
            IO().save_mesh(mesh, tmp_path / name, binary=binary)
    with pytest.raises(TypeError, match=r"^MeshGlbFormat.save: path must be a stream of bytes unless binary is False"):
        MeshGlbFormat().save(mesh, io.StringIO(), path_manager=None, binary=None)
    stack = TexturesUV(
        [torch.ones(2, 4, 4, 3)], [faces], [torch.ones(12, 2)], maps_ids=[torch.zeros(20, dtype=torch.int64)]
    )
    whole_numbers = TexturesUV([torch.ones(4, 4, 3, dtype=torch.uint8)], [faces], [torch.ones(12, 2)])
    with pytest.raises(ValueError, match=r"^MeshGlbFormat.save: the map must be floating, .* got torch.uint8"):
        saved(wearing(whole_numbers))
    for textures in (
        stack,
        TexturesVertex([torch.ones(12, 2)]),
        TexturesUV([torch.ones(4, 4, 1)], [faces], [torch.ones(12, 2)]),
        TexturesAtlas([torch.ones(20, 2, 2, 3)]),
    ):
        with pytest.warns(UserWarning, match=rf"{type(textures).__name__}\(.*\) cannot be written as glTF has it"):
            assert saved(wearing(textures)) == saved(mesh)
    assert MeshGlbFormat().read("a.obj", include_textures=True, device="cpu", path_manager=None) is None
    assert not MeshGlbFormat().save(mesh, "a.obj", path_manager=None, binary=None)
    with pytest.raises(TypeError, match="not JSON serializable"):
        json.dumps({"a": object()}, cls=OurEncoder)


# Laws, other programs, damage


@st.composite
def meshes(draw):
    number = st.floats(width=32, allow_nan=False)
    count = draw(st.integers(1, 6))
    rows = [draw(st.tuples(number, number, number)) for _ in range(count)]
    index = st.integers(0, count - 1)
    faces = torch.tensor(draw(st.lists(st.tuples(index, index, index), min_size=1, max_size=6)))
    unit = st.floats(0, 1, width=16)
    kind = draw(st.sampled_from(["none", "verts", "faces", "image"]))
    textures = None
    if kind == "verts":
        channels = draw(st.sampled_from([3, 4]))
        textures = TexturesVertex([torch.tensor([[draw(unit) for _ in range(channels)] for _ in range(count)])])
    elif kind == "faces":
        textures = TexturesAtlas([torch.tensor([[[[draw(unit) for _ in range(3)]]] for _ in faces])])
    elif kind == "image":
        num_uvs = draw(st.integers(1, 5))
        uvs = torch.tensor([[draw(unit), draw(unit)] for _ in range(num_uvs)])
        place = st.integers(-1, num_uvs - 1)
        faces_uvs = torch.tensor([[draw(place) for _ in range(3)] for _ in faces])
        pixels = st.integers(0, 255)
        image = torch.tensor([[[draw(pixels) for _ in range(3)] for _ in range(3)] for _ in range(2)]) / 255
        textures = TexturesUV([image], [faces_uvs], [uvs])
    normals = [torch.tensor(rows).view(-1, 3)] if draw(st.booleans()) else None
    return Meshes([torch.tensor(rows)], [faces], textures, verts_normals=normals)


@given(meshes(), st.booleans())
def test_what_is_saved_is_loaded(mesh, binary):
    data = saved(mesh, binary)
    loaded = read(data)
    assert torch.equal(loaded.verts_packed()[loaded.faces_packed()], mesh.verts_packed()[mesh.faces_packed()])
    assert loaded.has_verts_normals() == mesh.has_verts_normals()
    if mesh.has_verts_normals():
        expected = mesh.verts_normals_packed()[mesh.faces_packed()]
        assert torch.equal(loaded.verts_normals_packed()[loaded.faces_packed()], expected)
    if mesh.textures is None:
        assert loaded.textures is None
    else:
        torch.testing.assert_close(corner_colors(loaded), corner_colors(mesh), rtol=0, atol=1e-5)
    # From then on, nothing changes.
    assert read(saved(loaded, binary)).verts_packed().equal(loaded.verts_packed())
    assert read(saved(loaded, binary)).faces_packed().equal(loaded.faces_packed())


@pytest.mark.parametrize("suffix", ["glb", "gltf"])
@pytest.mark.parametrize("name", ["spot", "suzanne"])
def test_agrees_with_trimesh_on_real_meshes(name, suffix, tmp_path):
    trimesh = pytest.importorskip("trimesh")
    verts, faces, _ = load_obj(real_mesh(f"{name}.obj"), load_textures=False)
    faces = faces.verts_idx
    colors = (verts - verts.amin(0)) / (verts.amax(0) - verts.amin(0))
    IO().save_mesh(Meshes([verts], [faces], TexturesVertex([colors])), tmp_path / f"a.{suffix}")
    other = trimesh.load(tmp_path / f"a.{suffix}", process=False, force="mesh")
    np.testing.assert_array_equal(np.asarray(other.faces), faces.numpy())
    np.testing.assert_array_equal(np.asarray(other.vertices, np.float32), verts.numpy())
    np.testing.assert_allclose(other.visual.vertex_colors[:, :3] / 255, colors.numpy(), rtol=0, atol=1 / 255)
    scene = trimesh.Scene()
    mesh = trimesh.Trimesh(verts.numpy(), faces.numpy(), process=False)
    move = trimesh.transformations.rotation_matrix(0.7, [1, 2, 3], [4, 5, 6])
    scene.add_geometry(mesh)
    scene.add_geometry(mesh, transform=move)
    if suffix == "glb":
        (tmp_path / "b.glb").write_bytes(scene.export(file_type="glb"))
    else:
        for file, data in scene.export(file_type="gltf").items():
            (tmp_path / file.replace("model.gltf", "b.gltf")).write_bytes(data)
    loaded = IO().load_mesh(tmp_path / f"b.{suffix}")
    moved = verts.double() @ torch.from_numpy(move[:3, :3].T.copy()) + torch.from_numpy(move[:3, 3].copy())
    corners = torch.cat([verts[faces], moved.float()[faces]])
    torch.testing.assert_close(loaded.verts_packed()[loaded.faces_packed()], corners, rtol=1e-6, atol=1e-5)


def test_a_real_texture_survives(tmp_path):
    verts, faces, aux = load_obj(real_mesh("spot.obj"), load_textures=False)
    pixels = np.asarray(Image.open(real_mesh("spot_texture.png")).convert("RGB")) / np.float32(255)
    textures = TexturesUV([torch.from_numpy(pixels)], [faces.textures_idx], [aux.verts_uvs])
    mesh = Meshes([verts], [faces.verts_idx], textures)
    IO().save_mesh(mesh, tmp_path / "a.glb")
    loaded = IO().load_mesh(tmp_path / "a.glb")
    assert torch.equal(loaded.textures.maps_list()[0], textures.maps_list()[0])
    torch.testing.assert_close(corner_colors(loaded), corner_colors(mesh), rtol=0, atol=1e-4)
    assert len(verts) < len(loaded.verts_packed()) < len(verts) + len(aux.verts_uvs)


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_files_are_read_or_refused(binary):
    builder = textured(uvs=[[0, 0], [0.5, 1.5], [1, 0]])
    builder.document["nodes"] = [{"children": [1], "rotation": [0, 0, 0, 1]}, {"mesh": 0, "scale": [1, 2, 3]}]
    data = builder.glb() if binary else builder.gltf()
    assert outcomes(read, data, 500, "load_meshes: <BytesIO>") == {Meshes, ValueError}
