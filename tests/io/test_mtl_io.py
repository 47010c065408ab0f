# SPDX-License-Identifier: Apache-2.0
"""Materials of Wavefront OBJ files, their images, and atlases made of them."""

import io
import itertools
import math
import os
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from patina3d.io import load_obj
from patina3d.io.mtl_io import (
    _bilinear_interpolation_grid_sample,
    _bilinear_interpolation_vectorized,
    _parse_mtl,
    load_mtl,
    make_material_atlas,
    make_mesh_texture_atlas,
)

MTL = """# materials
illum 2
newmtl red
Ka 0.1 0.2 0.3
Kd 1 0 0 # a comment
Ks 0.5 .5 5e-1
Ns 10.5
newmtl  blue sky
\tKd 0 0 1
map_Kd image.png
newmtl bare
d 0.5
newmtl red
Kd 0.75 0 0
"""
PIXELS = np.random.default_rng(0).integers(0, 256, (3, 5, 3), dtype=np.uint8)
TRIANGLE = "v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\n"


def write_image(path: Path, pixels: np.ndarray = PIXELS, mode: str | None = None) -> torch.Tensor:
    """The image as a file, and as it is to be read."""
    image = Image.fromarray(pixels)
    (image if mode is None else image.convert(mode)).save(path)
    return torch.from_numpy(pixels.astype(np.float32)) / 255


def materials(text: str, names=(), data_dir: object = ".", **options):
    return load_mtl(io.StringIO(text), material_names=names, data_dir=str(data_dir), **options)


# Materials


def test_reads_each_property(tmp_path, device):
    image = write_image(tmp_path / "image.png")
    names = ["bare", "blue sky", "red", "unknown"]
    colors, images = materials(MTL, names, tmp_path, device=device)
    assert list(colors) == ["bare", "blue sky", "red"]
    assert colors["bare"] == {}
    assert list(colors["red"]) == ["diffuse_color"], "a second newmtl starts afresh"
    assert colors["red"]["diffuse_color"].tolist() == [0.75, 0, 0]
    assert list(images) == ["blue sky"]
    torch.testing.assert_close(images["blue sky"].cpu(), image, rtol=0, atol=0)
    assert images["blue sky"].device.type == colors["red"]["diffuse_color"].device.type == device.type
    first, _ = materials(MTL.rsplit("newmtl", 1)[0], ["red"], tmp_path)
    assert {key: value.shape for key, value in first["red"].items()} == {
        "ambient_color": (3,),
        "diffuse_color": (3,),
        "specular_color": (3,),
        "shininess": (1,),
    }
    torch.testing.assert_close(first["red"]["ambient_color"], torch.tensor([0.1, 0.2, 0.3]), rtol=0, atol=0)
    assert first["red"]["specular_color"].tolist() == [0.5] * 3
    assert first["red"]["shininess"].tolist() == [10.5]


def test_without_names_the_only_material_is_taken():
    assert list(materials("newmtl only")[0]) == ["only"]
    assert list(materials("newmtl only", [""])[0]) == ["only"]
    assert materials("") == ({}, {})
    with pytest.raises(ValueError, match=r"load_mtl: no face names a material, .* got \['a', 'b'\]"):
        materials("newmtl a\nnewmtl b")


@pytest.mark.parametrize(
    ("line", "file"),
    [
        ("map_Kd a b.png", "a b.png"),
        ("map_Kd  \t a b.png  ", "a b.png"),
        ("map_Kd -s 1 1 1 a b.png", "a b.png"),
        ("map_Kd -s 1 -o 0 0 -mm 0 1 -blendu on -clamp off -bm 1 -texres 64 a b.png", "a b.png"),
        ("map_Kd -odd.png", "-odd.png"),
        ("map_Kd -t 0 0 0 1.png # note", "1.png"),
        ("map_Kd folder/a.png", "folder/a.png"),
        ("map_Kd folder\\a.png", "folder/a.png"),
        ("map_Kd \\\n a.png", "a.png"),
    ],
)
def test_names_of_images(tmp_path, line, file):
    (tmp_path / "folder").mkdir()
    image = write_image(tmp_path / file)
    _, images = materials(f"newmtl a\n{line}", data_dir=tmp_path)
    torch.testing.assert_close(images["a"], image, rtol=0, atol=0)


@pytest.mark.parametrize("options", ["-s 2 2 1", "-o 0 0.5", "-s 1 -t 1"])
def test_coordinates_that_an_option_changes_warn(tmp_path, options):
    write_image(tmp_path / "a.png")
    with pytest.warns(UserWarning, match=f"load_mtl: material a: the options '{options}' of map_Kd are not applied"):
        materials(f"newmtl a\nmap_Kd {options} a.png", data_dir=tmp_path)


@pytest.mark.parametrize("mode", ["RGBA", "L", "LA", "P", "1", "CMYK"])
def test_images_of_every_mode_become_rgb(tmp_path, mode):
    write_image(tmp_path / "a.tiff", mode=mode)
    with Image.open(tmp_path / "a.tiff") as image:
        assert image.mode == mode
        expected = np.asarray(image.convert("RGB"), np.float32) / 255
    _, images = materials("newmtl a\nmap_Kd a.tiff", data_dir=tmp_path)
    assert images["a"].dtype == torch.float32
    np.testing.assert_array_equal(images["a"].numpy(), expected)


def test_all_materials_and_the_names_of_their_images():
    properties, files = _parse_mtl(io.StringIO(MTL + "newmtl c\nmap_Kd a b.png\nNs 3\n"), None, "cpu")
    assert list(properties) == [*_parse_mtl(io.StringIO(MTL), None)[0], "c"]
    assert {key: value.tolist() for key, value in properties["c"].items()} == {"shininess": [3.0]}
    assert properties["c"]["shininess"].dtype == torch.float32
    assert files["c"] == "a b.png"
    assert "red" not in files


def test_sixteen_bits_are_scaled(tmp_path):
    Image.fromarray(np.array([[0, 257], [65535, 32896]], np.uint16)).save(tmp_path / "a.png")
    _, images = materials("newmtl a\nmap_Kd a.png", data_dir=tmp_path)
    grey = torch.tensor([[0, 1], [255, 128]]) / 255
    torch.testing.assert_close(images["a"], grey[:, :, None].expand(2, 2, 3))


def test_floats_are_taken_as_they_are(tmp_path):
    grey = np.array([[0.25, -1.0], [3.5, 1.0]], np.float32)
    Image.fromarray(grey).save(tmp_path / "a.tiff")
    _, images = materials("newmtl a\nmap_Kd a.tiff", data_dir=tmp_path)
    assert torch.equal(images["a"], torch.from_numpy(grey)[:, :, None].expand(2, 2, 3))


@pytest.mark.parametrize("error", [TypeError, NotImplementedError, OverflowError])
def test_whatever_a_decoder_raises_is_a_value_error_with_the_name_of_the_file(error, tmp_path, monkeypatch):
    def convert(*_):
        raise error("inside")

    write_image(tmp_path / "a.png")
    monkeypatch.setattr(Image.Image, "convert", convert)
    with pytest.raises(ValueError, match=r"a\.png cannot be decoded as an image: inside"):
        materials("newmtl a\nmap_Kd a.png", data_dir=tmp_path)


def test_one_number_is_grey():
    properties, _ = materials("newmtl a\nKd 0.5")
    assert properties["a"]["diffuse_color"].tolist() == [0.5] * 3


def test_materials_of_one_file_share_its_image(tmp_path):
    write_image(tmp_path / "a.png")
    _, images = materials("newmtl a\nmap_Kd a.png\nnewmtl b\nmap_Kd a.png", ["a", "b"], tmp_path)
    assert images["a"] is images["b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\nKd 1 0 0", "line 2: Kd stands before the first newmtl"),
        ("map_Kd a.png\nnewmtl a", "line 1: map_Kd stands before the first newmtl"),
        ("newmtl", "line 1: newmtl needs the name of a material"),
        ("newmtl a\r\nKa 1 2", "line 2: Ka does not have 1 or 3 values, got 2"),
        ("newmtl a\nKs 1 x 2", 'line 2: Ks needs numbers, got "x"'),
        ("newmtl a\nKd", "line 2: Kd does not have 1 values, got 0"),
        ("newmtl a\nNs", "line 2: Ns does not have 1 values, got 0"),
        ("newmtl a\nmap_Kd -s 1 1 1", "line 2: map_Kd needs a file name"),
    ],
)
def test_errors_name_the_file_and_the_line(tmp_path, text, message):
    path = tmp_path / "bad.mtl"
    path.write_bytes(text.encode())
    with pytest.raises(ValueError, match=f"^load_mtl: {re.escape(str(path))}, {re.escape(message)}$"):
        load_mtl(path, material_names=["a"], data_dir=".")
    (tmp_path / "a.obj").write_text("mtllib bad.mtl\n")
    with pytest.raises(ValueError, match=re.escape(message)):
        load_obj(tmp_path / "a.obj")


def test_other_forms_of_colour_are_passed_over():
    colors, _ = materials("newmtl a\nKd spectral file.rfl 1\nKa xyz 1 2 3\nKs 1 1 1")
    assert list(colors["a"]) == ["specular_color"]


def test_other_errors(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_mtl(tmp_path / "none.mtl", material_names=[], data_dir=".")
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"load_mtl: .*a\.png cannot be decoded as an image"):
        materials("newmtl a\nmap_Kd a.png", data_dir=tmp_path)
    write_image(tmp_path / "b.png", np.zeros((64, 64, 3), np.uint8))
    (tmp_path / "b.png").write_bytes((tmp_path / "b.png").read_bytes()[:60])
    with pytest.raises(ValueError, match=r"load_mtl: .*b\.png cannot be decoded as an image"):
        materials("newmtl a\nmap_Kd b.png", data_dir=tmp_path)


# Materials of an OBJ file


@pytest.fixture
def folder(tmp_path) -> Path:
    write_image(tmp_path / "image.png")
    (tmp_path / "a.mtl").write_text(MTL)
    faces = "f 1/1 2/2 3/3\nusemtl blue sky\nf 1/1 2/2 3/3\nusemtl red\nf 1 2 3\nusemtl none\nf 1/1 2/2 3/3\n"
    (tmp_path / "a.obj").write_text(f"mtllib a.mtl\n{TRIANGLE}{faces}")
    return tmp_path


def test_an_obj_file_brings_its_materials(folder, device):
    _, faces, aux = load_obj(folder / "a.obj", device=device)
    assert faces.materials_idx.tolist() == [-1, 0, 1, 2]
    assert list(aux.material_colors) == ["blue sky", "red"]
    assert list(aux.texture_images) == ["blue sky"]
    assert aux.texture_images["blue sky"].device.type == device.type
    assert aux.texture_atlas is None
    _, _, without = load_obj(folder / "a.obj", load_textures=False)
    assert without.material_colors is without.texture_images is None


def test_each_kind_of_path_finds_what_lies_beside(folder, monkeypatch):
    path = folder / "a.obj"
    for f in (path, str(path), os.fsencode(path)):
        assert list(load_obj(f)[2].texture_images) == ["blue sky"]
    monkeypatch.chdir(folder)
    for f in ("a.obj", Path("a.obj"), io.StringIO(path.read_text())):
        assert list(load_obj(f)[2].texture_images) == ["blue sky"]


def test_a_path_manager_opens_all_files(folder):
    opened = []

    class Scheme:
        def open(self, name, mode="r"):
            opened.append(name)
            return (folder / name.removeprefix("scheme://far/")).open(mode)

    load_obj("scheme://far/a.obj", path_manager=Scheme())
    assert opened == [f"scheme://far/{name}" for name in ("a.obj", "a.mtl", "image.png")]


def test_missing_files_warn(folder):
    (folder / "image.png").unlink()
    with pytest.warns(
        UserWarning, match=r"load_obj: Texture file does not exist or cannot be opened: .*image\.png"
    ) as caught:
        _, _, aux = load_obj(folder / "a.obj")
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert list(aux.material_colors) == ["blue sky", "red"]
    assert aux.texture_images == {}
    (folder / "a.mtl").unlink()
    with pytest.warns(UserWarning, match=r"load_obj: Mtl file does not exist or cannot be opened: .*a\.mtl") as caught:
        _, _, aux = load_obj(folder / "a.obj")
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert aux.material_colors is aux.texture_images is None


def test_materials_without_a_library_warn():
    with pytest.warns(UserWarning, match="load_obj: <StringIO>: No mtl file provided, but faces name materials"):
        _, faces, aux = load_obj(io.StringIO(f"{TRIANGLE}usemtl red\nf 1 2 3"))
    assert faces.materials_idx.tolist() == [0]
    assert aux.material_colors is None


def test_the_only_material_covers_faces_that_name_none(tmp_path):
    (tmp_path / "a.mtl").write_text("newmtl only\nKd 1 0 0")
    (tmp_path / "a.obj").write_text(f"mtllib a.mtl\n{TRIANGLE}f 1 2 3\nf 1 2 3")
    _, faces, aux = load_obj(tmp_path / "a.obj", create_texture_atlas=True, texture_atlas_size=1)
    assert faces.materials_idx.tolist() == [0, 0]
    assert list(aux.material_colors) == ["only"]
    assert aux.texture_atlas.tolist() == [[[[1, 0, 0]]]] * 2
    (tmp_path / "a.mtl").write_text("newmtl one\nnewmtl two")
    with pytest.raises(ValueError, match="load_obj: no face names a material"):
        load_obj(tmp_path / "a.obj")
    (tmp_path / "a.mtl").write_text("# nothing")
    _, faces, aux = load_obj(tmp_path / "a.obj")
    assert faces.materials_idx.tolist() == [-1, -1]
    assert aux.material_colors == aux.texture_images == {}


@pytest.mark.parametrize("lines", ["mtllib a.mtl\nmtllib b c.mtl\n", "mtllib a.mtl b.mtl\n"])
def test_every_library_is_read_and_the_first_definition_counts(tmp_path, lines):
    (tmp_path / "a.mtl").write_text("newmtl red\nKd 1 0 0")
    for name in ("b.mtl", "b c.mtl"):
        (tmp_path / name).write_text("newmtl red\nKd 0 0 0\nnewmtl green\nKd 0 1 0")
    (tmp_path / "a.obj").write_text(f"{lines}{TRIANGLE}usemtl green\nf 1 2 3\nusemtl red\nf 1 2 3")
    colors = load_obj(tmp_path / "a.obj")[2].material_colors
    assert {name: color["diffuse_color"].tolist() for name, color in colors.items()} == {
        "green": [0, 1, 0],
        "red": [1, 0, 0],
    }


# Atlas


def defined_atlas(image, corners, size, wrap):
    """The definition, cell by cell in double precision."""
    height, width, _ = image.shape
    atlas = np.zeros((len(corners), size, size, 3))
    for f, y, x in itertools.product(range(len(corners)), range(size), range(size)):
        if x + y < size:
            w0, w1 = (x + 1 / 3) / size, (y + 1 / 3) / size
        else:
            w0, w1 = (size - 1 - x + 2 / 3) / size, (size - 1 - y + 2 / 3) / size
        uv = w0 * corners[f, 0] + w1 * corners[f, 1] + (1 - w0 - w1) * corners[f, 2]
        if wrap == "repeat" and not ((corners >= 0) & (corners <= 1)).all():
            uv = uv % 1
        elif wrap == "clamp":
            uv = np.clip(uv, 0, 1)
        column, row = uv[0] * (width - 1), (1 - uv[1]) * (height - 1)
        for r, c in itertools.product(
            (math.floor(row), math.floor(row) + 1), (math.floor(column), math.floor(column) + 1)
        ):
            if 0 <= r < height and 0 <= c < width:
                atlas[f, y, x] += (1 - abs(row - r)) * (1 - abs(column - c)) * image[r, c]
    return atlas


@given(
    st.lists(st.tuples(*[st.integers(-20, 30)] * 6), min_size=1, max_size=3),
    st.integers(1, 5),
    st.sampled_from(["repeat", "clamp", None]),
    st.sampled_from([(1, 1), (3, 5), (8, 2)]),
)
@settings(max_examples=60, deadline=None)
def test_equals_the_definition(corners, size, wrap, shape):
    corners = np.array(corners, np.float64).reshape(-1, 3, 2) / 10 + 0.017
    image = np.random.default_rng(1).random((*shape, 3))
    faces = np.arange(3 * len(corners)).reshape(-1, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        atlas = make_mesh_texture_atlas(
            {}, {"a": torch.tensor(image)}, ["a"] * len(faces), torch.tensor(faces),
            torch.tensor(corners.reshape(-1, 2)), size, wrap,
        )  # fmt: skip
    assert atlas.dtype == torch.float32
    np.testing.assert_allclose(atlas.numpy(), defined_atlas(image, corners, size, wrap), rtol=0, atol=1e-6)
    if wrap is None:
        alone = make_material_atlas(torch.tensor(image), torch.tensor(corners), size)
        np.testing.assert_allclose(alone.numpy(), defined_atlas(image, corners, size, wrap), rtol=0, atol=1e-9)


def test_gradients_reach_the_image_and_the_coordinates():
    image = torch.rand(3, 4, 2, dtype=torch.float64, requires_grad=True)
    corners = (torch.rand(2, 3, 2, dtype=torch.float64) * 0.8 + 0.1).requires_grad_()
    assert torch.autograd.gradcheck(lambda image, uv: make_material_atlas(image, uv, 2), (image, corners))


def test_the_atlas_of_a_file(folder):
    (folder / "wrapped.obj").write_text((folder / "a.obj").read_text().replace("vt 1 0", "vt 1.5 0"))
    with pytest.warns(UserWarning, match="texture coordinates lie outside") as caught:
        load_obj(folder / "wrapped.obj", create_texture_atlas=True)
    assert caught[0].filename == __file__
    _, faces, aux = load_obj(folder / "a.obj", create_texture_atlas=True, texture_atlas_size=3)
    assert aux.texture_atlas.shape == (4, 3, 3, 3)
    corners = aux.verts_uvs[faces.textures_idx[1]][None].double().numpy()
    expected = defined_atlas(PIXELS / 255, corners, 3, None)
    np.testing.assert_allclose(aux.texture_atlas[1].numpy(), expected[0], rtol=0, atol=1e-6)
    assert bool((aux.texture_atlas[[0, 3]] == 1).all()), "a face without a known material is white"
    assert bool((aux.texture_atlas[2] == torch.tensor([0.75, 0, 0])).all())


@pytest.mark.parametrize("options", [{"load_textures": False}, {}])
def test_an_atlas_without_materials_is_white(options):
    _, _, aux = load_obj(io.StringIO(f"{TRIANGLE}f 1/1 2/2 3/3"), create_texture_atlas=True, **options)
    assert torch.equal(aux.texture_atlas, torch.ones(1, 4, 4, 3))
    _, _, aux = load_obj(io.StringIO("v 0 0 0"), create_texture_atlas=True, **options)
    assert aux.texture_atlas.shape == (0, 4, 4, 3)


def test_a_face_without_coordinates_keeps_its_colour(tmp_path):
    write_image(tmp_path / "image.png")
    (tmp_path / "a.mtl").write_text("newmtl a\nKd 0 0.5 1\nmap_Kd image.png")
    (tmp_path / "a.obj").write_text(f"mtllib a.mtl\n{TRIANGLE}usemtl a\nf 1 2 3\nf 1/1 2/2 3/9")
    with pytest.warns(UserWarning, match="textures_idx"):
        _, _, aux = load_obj(tmp_path / "a.obj", create_texture_atlas=True)
    assert bool((aux.texture_atlas == torch.tensor([0, 0.5, 1])).all())


def test_a_face_across_the_border_of_a_tile_shows_both_sides():
    image = torch.tensor([[[0.0] * 3, [1.0] * 3]])
    corners = torch.tensor([[0.9, 0.5], [1.1, 0.5], [1.0, 0.5]])
    with pytest.warns(UserWarning, match="repeated"):
        atlas = make_mesh_texture_atlas({}, {"a": image}, ["a"], torch.tensor([[0, 1, 2]]), corners, 4, "repeat")
    assert bool(((atlas < 0.12) | (atlas > 0.88)).all()), "never the middle of the image"


def test_one_is_the_far_edge_unless_an_image_is_repeated():
    image, faces = torch.tensor([[[0.0] * 3, [1.0] * 3]]), torch.tensor([[0, 0, 0]])
    corners = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    atlas = make_mesh_texture_atlas({}, {"a": image}, ["a"], faces, corners, 1, "repeat")
    torch.testing.assert_close(atlas, torch.ones(1, 1, 1, 3), rtol=0, atol=1e-6)


def test_bad_options_of_an_atlas():
    arguments = ({}, {}, ["a"], torch.zeros(1, 3, dtype=torch.int64), None)
    assert torch.equal(make_mesh_texture_atlas(*arguments, 2, None), torch.ones(1, 2, 2, 3))
    with pytest.raises(ValueError, match=r"make_mesh_texture_atlas: texture_wrap must be .*, got 'mirror'"):
        make_mesh_texture_atlas(*arguments, 2, "mirror")
    with pytest.raises(ValueError, match=r"make_mesh_texture_atlas: the size of the atlas .*, got 0"):
        make_mesh_texture_atlas(*arguments, 0, None)
    with pytest.raises(ValueError, match="one name for each face, 1, got 2"):
        make_mesh_texture_atlas({}, {}, ["a", "b"], *arguments[3:], 2, None)


def test_an_image_between_its_pixels():
    image = torch.tensor([[[0.0, 1], [1, 1]], [[2, 1], [3, 1]]], dtype=torch.float64)
    places = torch.tensor([[0.0, 0], [1, 0], [0, 1], [0.25, 0.5]], dtype=torch.float64).view(1, 2, 2, 2)
    expected = torch.tensor([[0.0, 1], [1, 1], [2, 1], [1.25, 1]], dtype=torch.float64).view(1, 2, 2, 2)
    for sample in (_bilinear_interpolation_grid_sample, _bilinear_interpolation_vectorized):
        torch.testing.assert_close(sample(image, places), expected)
        assert sample(image, places + 3).eq(0).all()
