# SPDX-License-Identifier: Apache-2.0
"""Reading and writing of USD."""

import importlib
import io
import shutil
import sys
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from patina3d.io import IO
from patina3d.io.usd import reading
from patina3d.io.usd_io import MeshUsdFormat
from patina3d.renderer.mesh.textures import TexturesAtlas, TexturesUV, TexturesVertex
from patina3d.structures import Meshes
from patina3d.utils import ico_sphere
from support.mutations import outcomes

HAS_USD = importlib.util.find_spec("pxr") is not None
needs_usd = pytest.mark.skipif(not HAS_USD, reason="the package usd-core is not installed")
SUFFIXES = ["usda", "usdc", "usdz", "usd"]

SQUARE = "point3f[] points = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)]"
QUAD = f"{SQUARE}\nint[] faceVertexCounts = [4]\nint[] faceVertexIndices = [0, 1, 2, 3]"
PAIR = f"{SQUARE}\nint[] faceVertexCounts = [3, 4]\nint[] faceVertexIndices = [0, 1, 2, 0, 1, 2, 3]"


def prim(body: str = QUAD, name: str = "mesh") -> str:
    return f'def Mesh "{name}" {{\n{body}\n}}\n'


def stage(*prims: str, up: str = "Y", unit: float = 1.0) -> bytes:
    head = f'#usda 1.0\n(\n    upAxis = "{up}"\n    metersPerUnit = {unit}\n)\n'
    return (head + "".join(prims)).encode()


def read(data: bytes, **kwargs) -> Meshes:
    kwargs = {"include_textures": True, "device": "cpu", "path_manager": None} | kwargs
    return MeshUsdFormat().read(io.BytesIO(data), **kwargs)


def saved(mesh: Meshes, **kwargs) -> str:
    file = io.StringIO()
    assert MeshUsdFormat().save(mesh, file, path_manager=None, binary=False, **kwargs)
    return file.getvalue()


def wearing(textures, normals=None) -> Meshes:
    sphere = ico_sphere(0)
    return Meshes(sphere.verts_list(), sphere.faces_list(), textures, verts_normals=normals)


def corner_colors(mesh):
    textures = mesh.textures
    if isinstance(textures, TexturesVertex):
        return textures.faces_verts_textures_packed(mesh.faces_packed())
    return textures.faces_verts_textures_packed()


# Without the package


@pytest.mark.parametrize("call", ["read", "save"])
def test_without_usd_core_the_error_says_what_to_install(call, monkeypatch, tmp_path):
    for name in [name for name in sys.modules if name.split(".")[0] == "pxr"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pxr", None)
    with pytest.raises(ModuleNotFoundError, match=r"usd-core: pip install 'patina3d-io\[usd\]'"):
        IO().load_mesh(tmp_path / "a.usda") if call == "read" else IO().save_mesh(ico_sphere(0), tmp_path / "a.usda")
    assert not list(tmp_path.iterdir())
    IO().save_mesh(ico_sphere(0), tmp_path / "a.ply")


# Reading


@needs_usd
def test_polygons_become_fans():
    mesh = read(stage(prim()))
    assert mesh.verts_packed().tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]
    assert mesh.verts_packed().dtype == torch.float32
    assert mesh.faces_packed().tolist() == [[0, 1, 2], [0, 2, 3]]
    assert mesh.textures is None
    assert read(stage(prim(PAIR))).faces_packed().tolist() == [[0, 1, 2], [0, 1, 2], [0, 2, 3]]
    assert read(stage(prim(f"{PAIR}\nint[] holeIndices = [1]"))).faces_packed().tolist() == [[0, 1, 2]]
    left = read(stage(prim(f'{QUAD}\nuniform token orientation = "leftHanded"')))
    assert left.faces_packed().tolist() == [[0, 2, 1], [0, 3, 2]]


@needs_usd
def test_prims_are_joined_in_world_space():
    moved = (
        'def Xform "outer" {\n double3 xformOp:translate = (10, 0, 0)\n float3 xformOp:scale = (2, 3, -1)\n'
        ' uniform token[] xformOpOrder = ["xformOp:translate", "xformOp:scale"]\n'
        + prim(f'{QUAD}\nnormal3f[] normals = [(1, 1, 1), (0, 0, 1), (0, 0, 1), (0, 0, 1)] (interpolation = "vertex")')
        + "}\n"
    )
    hidden = prim(f'{QUAD}\ntoken visibility = "invisible"', "hidden") + prim(
        f'{QUAD}\nuniform token purpose = "guide"', "guide"
    )
    mesh = read(stage(moved, hidden))
    assert mesh.verts_packed().tolist() == [[10, 0, 0], [12, 0, 0], [12, 3, 0], [10, 3, 0]]
    assert mesh.faces_packed().tolist() == [[0, 2, 1], [0, 3, 2]]
    expected = torch.nn.functional.normalize(torch.tensor([[1 / 2, 1 / 3, -1.0], [0, 0, -1]]), dim=1)
    torch.testing.assert_close(mesh.verts_normals_packed()[:2], expected)
    both = read(stage(prim(), moved))
    assert both.verts_packed().shape == (8, 3)
    assert both.faces_packed().tolist() == [[0, 1, 2], [0, 2, 3], [4, 6, 5], [4, 7, 6]]
    assert read(stage()).verts_packed().shape == (0, 3)


def colored(values: str, interpolation: str, more: str = "") -> str:
    return f'{PAIR}\ncolor3f[] primvars:displayColor = [{values}] (interpolation = "{interpolation}")\n{more}'


@needs_usd
def test_display_colours():
    red, green, blue, grey = "(1, 0, 0)", "(0, 1, 0)", "(0, 0, 1)", "(.5, .5, .5)"
    textures = read(stage(prim(colored(red, "constant")))).textures
    assert textures.verts_features_packed().tolist() == [[1, 0, 0]] * 4
    textures = read(stage(prim(colored(f"{red}, {green}, {blue}, {grey}", "vertex")))).textures
    assert textures.verts_features_packed().tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0.5]]
    textures = read(stage(prim(colored(f"{red}, {blue}", "uniform")))).textures
    assert textures.atlas_packed()[:, 0, 0].tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 1]]
    indices = "int[] primvars:displayColor:indices = [0, 1, 2, 2, 1, 0, 3]"
    mesh = read(stage(prim(colored(f"{red}, {green}, {blue}, {grey}", "faceVarying", indices))))
    names = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0.5]])
    expected = names[torch.tensor([[0, 1, 2], [2, 1, 0], [2, 0, 3]])]
    torch.testing.assert_close(corner_colors(mesh), expected, rtol=0, atol=1e-6)
    assert read(stage(prim(colored(red, "constant"))), include_textures=False).textures is None


@needs_usd
def test_parts_of_several_kinds_are_joined_without_a_change_of_colour():
    data = stage(
        prim(colored("(1, 0, 0)", "constant"), "a"),
        prim(colored("(1, 0, 0), (0, .5, 1)", "uniform"), "b"),
        prim(QUAD, "c"),
        prim(colored("(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1)", "vertex"), "d"),
    )
    corners = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]])
    expected = [
        torch.tensor([1.0, 0, 0]).expand(3, 3, 3),
        torch.tensor([[1.0, 0, 0], [0, 0.5, 1], [0, 0.5, 1]])[:, None].expand(3, 3, 3),
        torch.ones(2, 3, 3),
        corners[torch.tensor([[0, 1, 2], [0, 1, 2], [0, 2, 3]])],
    ]
    torch.testing.assert_close(corner_colors(read(data)), torch.cat(expected), rtol=0, atol=1e-6)


MATERIAL = """
rel material:binding = </mesh/material>
texCoord2f[] primvars:st = [(0, 0), (1, 0), (1, 2), (0, 2)] (interpolation = "vertex")
def Material "material" {
    token outputs:surface.connect = </mesh/material/surface.outputs:surface>
    def Shader "surface" {
        uniform token info:id = "UsdPreviewSurface"
        color3f inputs:diffuseColor%s
        token outputs:surface
    }
    def Shader "map" {
        uniform token info:id = "UsdUVTexture"
        asset inputs:file = @./image.png@
        token inputs:wrapT = "%s"
        float3 outputs:rgb
    }
}
"""


def material(diffuse: str = ".connect = </mesh/material/map.outputs:rgb>", wrap: str = "clamp") -> bytes:
    body = f"{QUAD}\n{MATERIAL % (diffuse, wrap)}"
    return stage(f'def Mesh "mesh" (prepend apiSchemas = ["MaterialBindingAPI"]) {{\n{body}\n}}\n')


@needs_usd
def test_materials(tmp_path):
    assert read(material(" = (0.5, 0.25, 1)")).textures.verts_features_packed().tolist() == [[0.5, 0.25, 1]] * 4
    with pytest.raises(FileNotFoundError, match=r"/mesh: there is no image .*image\.png"):
        read(material())
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3) * 20
    Image.fromarray(pixels).save(tmp_path / "image.png")
    (tmp_path / "a.usda").write_bytes(material())
    textures = IO().load_mesh(tmp_path / "a.usda").textures
    torch.testing.assert_close(textures.maps_list()[0], torch.from_numpy(pixels) / 255, rtol=0, atol=1e-7)
    corners = textures.verts_uvs_list()[0][textures.faces_uvs_list()[0]]
    assert corners.tolist() == [[[0, 0], [1, 0], [1, 2]], [[0, 0], [1, 2], [0, 2]]]
    # Twice the image, one above the other, where it is repeated.
    (tmp_path / "b.usda").write_bytes(material(wrap="repeat"))
    textures = IO().load_mesh(tmp_path / "b.usda").textures
    torch.testing.assert_close(textures.maps_list()[0] * 255, torch.from_numpy(np.tile(pixels, (2, 1, 1))).float())
    corners = textures.verts_uvs_list()[0][textures.faces_uvs_list()[0]]
    assert corners.tolist() == [[[0, 0], [1, 0], [1, 1]], [[0, 0], [1, 1], [0, 1]]]


@needs_usd
def test_coordinates_are_measured_from_the_edges_of_the_image(tmp_path):
    pixels = np.arange(48, dtype=np.uint8).reshape(1, 16, 3) * 5
    Image.fromarray(pixels).save(tmp_path / "image.png")
    uvs = "[(0.09375, 0.5), (0.09375, 0.5), (0.96875, 0.5), (0.03125, 0.5)]"
    (tmp_path / "a.usda").write_bytes(material().replace(b"[(0, 0), (1, 0), (1, 2), (0, 2)]", uvs.encode()))
    mesh = IO().load_mesh(tmp_path / "a.usda")
    expected = torch.from_numpy(pixels)[0, torch.tensor([[1, 1, 15], [1, 15, 0]])] / 255
    torch.testing.assert_close(corner_colors(mesh), expected, rtol=0, atol=1e-6)
    for textures in (mesh.textures, aligned(mesh.textures)):
        dressed = Meshes(mesh.verts_list(), mesh.faces_list(), textures)
        IO().save_mesh(dressed, tmp_path / "b.usda")
        loaded = IO().load_mesh(tmp_path / "b.usda")
        torch.testing.assert_close(corner_colors(loaded), corner_colors(dressed), rtol=0, atol=1e-5)
    IO().save_mesh(mesh, tmp_path / "c.usda")
    assert torch.equal(
        IO().load_mesh(tmp_path / "c.usda").textures.verts_uvs_list()[0], mesh.textures.verts_uvs_list()[0]
    )


def aligned(textures):
    return TexturesUV(textures.maps_list(), textures.faces_uvs_list(), textures.verts_uvs_list())


MOVED = """
    def Shader "moved" {
        uniform token info:id = "UsdTransform2d"
        float2 inputs:in.connect = </mesh/material/first.outputs:result>
        float inputs:rotation = 90
        float2 inputs:scale = (0.5, 0.25)
        float2 inputs:translation = (0.75, 0.125)
        float2 outputs:result
    }
    def Shader "first" {
        uniform token info:id = "UsdTransform2d"
        float2 inputs:in.connect = </mesh/material/reader.outputs:result>
        float2 inputs:translation = (1, 0)
        float2 outputs:result
    }
    def Shader "reader" {
        uniform token info:id = "UsdPrimvarReader_float2"
        string inputs:varname = "st"
        float2 outputs:result
    }
"""


@needs_usd
def test_transforms_of_coordinates_and_scaled_images(tmp_path):
    pixels = np.full((2, 2, 3), 51, np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    text = material().decode()
    text = text.replace('    def Shader "map" {', MOVED + '    def Shader "map" {')
    inputs = """float2 inputs:st.connect = </mesh/material/moved.outputs:result>
        float4 inputs:scale = (2, 1, 0.5, 1)
        float4 inputs:bias = (0, 0.25, 0, 1)
"""
    (tmp_path / "a.usda").write_text(text.replace('token inputs:wrapT = "clamp"', inputs))
    textures = IO().load_mesh(tmp_path / "a.usda").textures
    corners = textures.verts_uvs_list()[0][textures.faces_uvs_list()[0]]
    # (u, v) to (u + 1, v) to (0.75 - v / 4, 0.125 + (u + 1) / 2)
    expected = torch.tensor([[0.75, 0.625], [0.75, 1.125], [0.25, 1.125], [0.25, 0.625]])
    torch.testing.assert_close(corners, expected[torch.tensor([[0, 1, 2], [0, 2, 3]])], rtol=0, atol=1e-6)
    torch.testing.assert_close(textures.maps_list()[0][0, 0], torch.tensor([0.4, 0.45, 0.1]), rtol=0, atol=1e-6)


@needs_usd
def test_values_of_several_times_are_read_at_the_first():
    body = QUAD.replace("points = [", "points.timeSamples = { 3: [").replace(
        "(0, 1, 0)]\n", "(0, 1, 0)], 5: [(0, 0, 0)] }\n"
    )
    move = "double3 xformOp:translate.timeSamples = { 2: (1, 2, 3), 9: (4, 5, 6) }\n"
    move += 'uniform token[] xformOpOrder = ["xformOp:translate"]\n'
    expected = torch.tensor([[1.0, 2, 3], [2, 2, 3], [2, 3, 3], [1, 3, 3]])
    assert torch.equal(read(stage(prim(body + "\n" + move))).verts_packed(), expected)


@needs_usd
def test_an_image_of_several_prims_is_decoded_once(tmp_path, monkeypatch):
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(tmp_path / "image.png")
    one, two = material().decode().partition("def Mesh")[::2]
    two = f"def Mesh{two}"
    (tmp_path / "a.usda").write_text(one + two + two.replace('"mesh"', '"other"', 1))
    seen = []
    decode = reading.decode_image
    monkeypatch.setattr(reading, "decode_image", lambda *arguments: seen.append(arguments) or decode(*arguments))
    IO().load_mesh(tmp_path / "a.usda")
    assert len(seen) == 1


@needs_usd
@pytest.mark.parametrize(
    ("options", "matrix"),
    [
        ({}, [[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
        ({"up_axis": "Z"}, [[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
        ({"up_axis": "Y"}, [[1, 0, 0], [0, 0, -1], [0, 1, 0]]),
        ({"meters_per_unit": 1.0}, [[0.01, 0, 0], [0, 0.01, 0], [0, 0, 0.01]]),
        ({"up_axis": "Y", "meters_per_unit": 0.02}, [[0.5, 0, 0], [0, 0, -0.5], [0, 0.5, 0]]),
    ],
)
def test_frames_and_units(options, matrix):
    # Rows of the matrix: where x, y and z of the file go. Z, which is up, becomes Y.
    sphere = ico_sphere(1)
    normals = sphere.verts_packed()
    mesh = Meshes(sphere.verts_list(), sphere.faces_list(), verts_normals=[normals])
    data = saved(mesh, up_axis="Z", meters_per_unit=0.01).encode()
    assert b'upAxis = "Z"' in data
    assert b"metersPerUnit = 0.01" in data
    matrix = torch.tensor(matrix, dtype=torch.float32)
    loaded = read(data, **options)
    torch.testing.assert_close(loaded.verts_packed(), sphere.verts_packed() @ matrix)
    turned = torch.nn.functional.normalize(normals @ matrix, dim=1)
    torch.testing.assert_close(loaded.verts_normals_packed(), turned)
    # Up is up, and the outside is outside.
    assert (Meshes(loaded.verts_list(), loaded.faces_list()).verts_normals_packed() * turned).sum(1).min() > 0.9
    other = read(saved(mesh, up_axis="Y").encode(), up_axis="Z")
    assert torch.equal(read(saved(other, up_axis="Z").encode(), up_axis="Y").verts_packed(), sphere.verts_packed())


@needs_usd
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", ": "),
        (b"#usda 1.0\ndef Mesh {", ": .*parse error"),
        (b"#usda 1.0\n\xff\xfe{", ": the file is damaged"),
        (
            stage(
                prim(
                    QUAD.replace(
                        "point3f[] points = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)]", "string[] points = ['a']"
                    )
                )
            ),
            "/mesh: ",
        ),
        (stage(prim(QUAD.replace("[4]", "[5]"))), "/mesh: its faces must have 5 indices, got 4"),
        (stage(prim(QUAD.replace("[4]", "[2, 2]"))), "/mesh: a face must have 3 corners or more, got 2"),
        (stage(prim(QUAD.replace("2, 3]", "2, 4]"))), r"/mesh: indices must be in \[0, 4\), got 0 to 4"),
        (stage(prim(QUAD.replace("2, 3]", "2, -1]"))), r"/mesh: indices must be in \[0, 4\), got -1 to 2"),
        (stage(prim(colored("(1, 0, 0)", "vertex"))), "/mesh: displayColor must have 4 values, got 1"),
        (stage(prim(colored("(1, 0, 0)", "faceVarying"))), "/mesh: displayColor must have 7 values, got 1"),
        (
            stage(prim(f'{QUAD}\nnormal3f[] normals = [(0, 0, 1)] (interpolation = "vertex")')),
            "/mesh: normals must have 4 values, got 1",
        ),
    ],
)
def test_bad_files_are_refused(data, message):
    with pytest.raises(ValueError, match=f"^MeshUsdFormat.read: <BytesIO>.*{message}"):
        read(data)


# Writing


@needs_usd
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_each_kind_of_file(suffix, tmp_path):
    textures = TexturesUV([torch.rand(2, 3, 3)], [torch.randint(-1, 7, (20, 3))], [torch.rand(7, 2)])
    for made in (None, TexturesVertex([torch.rand(12, 3)]), TexturesAtlas([torch.rand(20, 1, 1, 3)]), textures):
        mesh, path = wearing(made), tmp_path / f"my mesh.{suffix}"
        IO().save_mesh(mesh, path)
        beside = {f"my mesh.{suffix}"} | ({"my mesh.png"} if made is textures and suffix != "usdz" else set())
        assert {each.name for each in tmp_path.iterdir()} == beside
        loaded = IO().load_mesh(path)
        assert torch.equal(loaded.verts_packed(), mesh.verts_packed())
        assert torch.equal(loaded.faces_packed(), mesh.faces_packed())
        assert not loaded.has_verts_normals()
        if made is not None:
            torch.testing.assert_close(corner_colors(loaded), corner_colors(mesh), rtol=0, atol=0.51 / 255)
        if suffix == "usdz":
            with zipfile.ZipFile(path) as archive:
                assert all(each.compress_type == zipfile.ZIP_STORED for each in archive.infolist())
    if suffix == "usdz":
        # An archive holds all that it needs.
        shutil.move(path, tmp_path / "other.usdz")
        assert read((tmp_path / "other.usdz").read_bytes()).textures is not None


@needs_usd
def test_the_suffix_and_binary(tmp_path):
    mesh = ico_sphere(0)
    for suffix, binary, start in (
        ("usd", None, b"PXR-USDC"),
        ("usd", True, b"PXR-USDC"),
        ("usd", False, b"#usda"),
        ("usda", False, b"#usda"),
    ):
        IO().save_mesh(mesh, tmp_path / f"a.{suffix}", binary=binary)
        assert (tmp_path / f"a.{suffix}").read_bytes().startswith(start)
    for suffix, binary in (("usda", True), ("usdc", False), ("usdz", False)):
        with pytest.raises(
            ValueError, match=rf"^MeshUsdFormat.save: binary must be None or {not binary} for .*a\.{suffix}"
        ):
            IO().save_mesh(mesh, tmp_path / f"a.{suffix}", binary=binary)
    file = io.BytesIO()
    MeshUsdFormat().save(mesh, file, path_manager=None, binary=None)
    assert file.getvalue().startswith(b"PXR-USDC")
    assert torch.equal(read(file.getvalue()).faces_packed(), mesh.faces_packed())


@needs_usd
def test_bad_arguments_are_refused():
    faces = ico_sphere(0).faces_packed()
    uvs = torch.ones(12, 2)
    for textures, message in (
        (TexturesUV([torch.ones(4, 4, 3, dtype=torch.uint8)], [faces], [uvs]), "the map must be floating"),
        (TexturesUV([torch.ones(4, 4, 3)], [faces], [uvs]), "a map needs a path to be written beside, got StringIO"),
    ):
        with pytest.raises(ValueError, match=f"^MeshUsdFormat.save: {message}"):
            saved(wearing(textures))
    for axis in ("X", None):
        with pytest.raises(ValueError, match=rf"^MeshUsdFormat.save: up_axis must be 'Y' or 'Z', got {axis!r}"):
            saved(wearing(None), up_axis=axis)
    with pytest.raises(ValueError, match=r"^MeshUsdFormat.save: meters_per_unit must be positive, got None"):
        saved(wearing(None), meters_per_unit=None)
    with pytest.raises(ValueError, match=r"^MeshUsdFormat.read: meters_per_unit must be positive, got 0"):
        read(stage(), meters_per_unit=0)
    with pytest.raises(TypeError, match=r"^MeshUsdFormat.save: path must be a stream of bytes unless binary is False"):
        MeshUsdFormat().save(wearing(None), io.StringIO(), path_manager=None, binary=None)
    for textures in (
        TexturesAtlas([torch.ones(20, 2, 2, 3)]),
        TexturesVertex([torch.ones(12, 4)]),
        TexturesUV([torch.ones(4, 4, 1)], [faces], [uvs]),
        TexturesUV([torch.ones(1, 4, 4, 3)], [faces], [uvs], maps_ids=[torch.zeros(20, dtype=torch.int64)]),
    ):
        with pytest.warns(UserWarning, match=rf"{type(textures).__name__}\(.*\) cannot be written as USD has it"):
            assert saved(wearing(textures)) == saved(wearing(None))


def test_other_suffixes_are_not_taken():
    assert MeshUsdFormat().read("a.obj", include_textures=True, device="cpu", path_manager=None) is None
    assert not MeshUsdFormat().save(ico_sphere(0), "a.obj", path_manager=None, binary=None)


@needs_usd
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_what_is_saved_is_loaded(data):
    number = st.floats(width=32, allow_nan=False)
    count = data.draw(st.integers(0, 6))
    rows = torch.tensor([data.draw(st.tuples(number, number, number)) for _ in range(count)]).view(-1, 3)
    index = st.integers(0, max(count - 1, 0))
    faces = data.draw(st.lists(st.tuples(index, index, index), max_size=6)) if count else []
    faces = torch.tensor(faces, dtype=torch.int64).view(-1, 3)
    textures = TexturesVertex([rows.nan_to_num()]) if data.draw(st.booleans()) and count else None
    mesh = Meshes([rows], [faces], textures, verts_normals=[rows] if data.draw(st.booleans()) and count else None)
    text = saved(mesh)
    loaded = read(text.encode())
    assert torch.equal(loaded.verts_packed(), rows)
    assert torch.equal(loaded.faces_packed(), faces)
    assert loaded.has_verts_normals() == mesh.has_verts_normals()
    assert type(loaded.textures) is type(textures)
    assert saved(loaded) == text


@needs_usd
def test_damaged_files_are_read_or_refused():
    # Text: whether its binary files are sound is the library's own affair.
    text = saved(wearing(TexturesVertex([torch.rand(12, 3)]))).encode()
    assert outcomes(read, text, 300, "MeshUsdFormat.read: <BytesIO>") == {Meshes, ValueError}
