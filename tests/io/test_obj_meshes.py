# SPDX-License-Identifier: Apache-2.0
"""Meshes with the textures that Wavefront OBJ files describe."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from patina3d.io import load_obj, load_objs_as_meshes, save_obj
from patina3d.io.obj_io import MeshObjFormat
from patina3d.renderer.mesh.textures import TexturesAtlas, TexturesUV, TexturesVertex
from patina3d.structures import Meshes

CORNERS = "v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\n"
COLORED = "v 0 0 0 1 0 0\nv 1 0 0 0 0.5 0\nv 0 1 0 0 0 1\nf 1 2 3\n"
PLAIN = "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"


@pytest.fixture
def folder(tmp_path):
    """Images ``one.png`` (2 x 3) and ``two.png`` (5 x 4), and materials of them and of plain colours."""
    for name, shape in (("one", (2, 3, 3)), ("two", (5, 4, 3))):
        Image.fromarray(np.random.default_rng(len(name)).integers(0, 256, shape, dtype=np.uint8)).save(
            tmp_path / f"{name}.png"
        )
    materials = "newmtl one\nKd 1 1 1\nmap_Kd one.png\nnewmtl two\nmap_Kd two.png\nnewmtl twin\nmap_Kd one.png\n"
    (tmp_path / "a.mtl").write_text(f"{materials}newmtl red\nKd 1 0.25 0\nnewmtl blank\n")
    return tmp_path


def write(folder, name: str, faces: str):
    path = folder / f"{name}.obj"
    path.write_text(f"mtllib a.mtl\n{CORNERS}{faces}")
    return path


def image(folder, name: str) -> torch.Tensor:
    with Image.open(folder / f"{name}.png") as picture:
        return torch.from_numpy(np.asarray(picture, np.float32) / 255)


ONE = "usemtl one\nf 1/1 2/2 3/3\nusemtl red\nf 1/1 2/2 3/3\nf 1 2 3\n"
BOTH = ONE + "usemtl two\nf 1/1 2/2 3/3\nusemtl blank\nf 3/1 1/2 2/3\nusemtl one\nf 1 2 3\n"


# Reading


def test_one_image_covers_all_faces(folder, device):
    meshes = load_objs_as_meshes([write(folder, "a", ONE)], device=device)
    textures = meshes.textures
    assert isinstance(textures, TexturesUV)
    assert meshes.device.type == textures.device.type == device.type
    torch.testing.assert_close(textures.maps_padded().cpu(), image(folder, "one")[None], rtol=0, atol=0)
    assert textures.faces_uvs_padded().tolist() == [[[0, 1, 2], [0, 1, 2], [-1, -1, -1]]]
    assert textures.verts_uvs_padded().tolist() == [[[0, 0], [1, 0], [0, 1]]]
    assert textures.maps_ids_padded() is None


def test_materials_with_one_image_file_make_one_map(folder):
    textures = load_objs_as_meshes([write(folder, "a", ONE + "usemtl twin\nf 1/1 2/2 3/3\n")]).textures
    assert textures.maps_padded().shape == (1, 2, 3, 3)


def test_of_several_images_each_face_has_its_own(folder):
    textures = load_objs_as_meshes([write(folder, "a", BOTH)]).textures
    corners = textures.faces_verts_textures_packed()
    for face, name in ((0, "one"), (3, "two")):
        expected = image(folder, name)[[-1, -1, 0], [0, -1, 0]]
        torch.testing.assert_close(corners[face], expected, rtol=0, atol=1e-6)
    red, white = torch.tensor([1, 0.25, 0]).expand(3, 3), torch.ones(3, 3)
    for face, expected in ((1, red), (2, red), (4, white), (5, white)):
        torch.testing.assert_close(corners[face], expected, rtol=0, atol=1e-6)


def test_of_several_images_a_face_without_a_material_has_none(folder):
    textures = load_objs_as_meshes([write(folder, "a", "f 1/1 2/2 3/3\nusemtl red\nf 1 2 3\n" + BOTH)]).textures
    torch.testing.assert_close(textures.faces_verts_textures_packed()[0], torch.ones(3, 3), rtol=0, atol=1e-6)


def test_batches_of_one_and_of_several_images(folder):
    files = [write(folder, "a", ONE), write(folder, "b", BOTH)]
    batch = load_objs_as_meshes(files)
    both = load_objs_as_meshes([files[1]]).textures.faces_verts_textures_packed()
    corners = batch.textures.faces_verts_textures_packed()
    assert len(batch) == 2
    torch.testing.assert_close(corners[3:], both, rtol=0, atol=1e-6)
    torch.testing.assert_close(corners[:3], both[:3], rtol=0, atol=1e-6)


def test_an_image_without_coordinates_is_no_texture(folder):
    path = folder / "a.obj"
    path.write_text(f"mtllib a.mtl\n{PLAIN}usemtl one\nf 1 2 3\n")
    assert load_objs_as_meshes([path]).textures is None


def test_coordinates_that_do_not_exist_warn(folder):
    with pytest.warns(UserWarning, match="textures_idx") as caught:
        textures = load_objs_as_meshes([write(folder, "a", "usemtl one\nf 1/1 2/2 3/9\n")]).textures
    assert caught[0].filename == __file__
    assert textures.faces_uvs_padded().tolist() == [[[-1, -1, -1]]]


def test_an_atlas(folder, device):
    path = write(folder, "a", BOTH)
    options = {"create_texture_atlas": True, "texture_atlas_size": 2, "texture_wrap": "clamp"}
    textures = load_objs_as_meshes([path, path], device=device, **options).textures
    assert isinstance(textures, TexturesAtlas)
    expected = load_obj(path, **options)[2].texture_atlas
    for atlas in textures.atlas_list():
        torch.testing.assert_close(atlas.cpu(), expected, rtol=0, atol=1e-6)


def test_vertex_colours(device):
    expected = torch.tensor([[1, 0, 0], [0, 0.5, 0], [0, 0, 1]])
    batch = load_objs_as_meshes([io.StringIO(COLORED), io.StringIO(COLORED)], device=device)
    assert isinstance(batch.textures, TexturesVertex)
    for colors in batch.textures.verts_features_list():
        assert torch.equal(colors.cpu(), expected)
    verts, _, aux = load_obj(io.StringIO(COLORED))
    assert verts.shape == (3, 3)
    assert len(aux) == 5
    assert load_objs_as_meshes([io.StringIO(COLORED)], load_textures=False).textures is None


def test_colours_as_bytes_are_divided():
    text = COLORED.replace("0.5", "51").replace("1 0 0\nv", "255 0 0\nv").replace("0 0 1\nf", "0 0 255\nf")
    colors = load_objs_as_meshes([io.StringIO(text)]).textures.verts_features_packed()
    torch.testing.assert_close(colors, torch.tensor([[1, 0, 0], [0, 0.2, 0], [0, 0, 1]]), rtol=0, atol=0)
    text = COLORED.replace("0.5", "1.5")  # brighter than white
    assert load_objs_as_meshes([io.StringIO(text)]).textures.verts_features_packed()[1].tolist() == [0, 1.5, 0]


@pytest.mark.parametrize(
    "text",
    [
        PLAIN.replace("0\n", "0 1\n"),
        PLAIN.replace("0\n", "0 1 1\n"),
        PLAIN.replace("0\n", "0 0 x 0\n"),
        COLORED.replace(" 0 0.5 0", ""),
        COLORED.replace(" 0 0.5 0", " 0 0.5"),
        COLORED + "v 1 1 1\n",
    ],
)
def test_what_is_no_colour_of_every_vertex_is_none(text):
    assert load_objs_as_meshes([io.StringIO(text)]).textures is None


def test_an_image_goes_before_vertex_colours(folder):
    path = folder / "a.obj"
    path.write_text(f"mtllib a.mtl\n{COLORED}vt 0 0\nusemtl one\nf 1/1 2/1 3/1\n")
    assert isinstance(load_objs_as_meshes([path]).textures, TexturesUV)


def test_files_with_and_without_colours_warn():
    with pytest.warns(UserWarning, match="only 1 of 2 files have vertex colours: none are kept") as caught:
        batch = load_objs_as_meshes([io.StringIO(COLORED), io.StringIO(PLAIN)])
    assert caught[0].filename == __file__
    assert batch.textures is None


def test_files_with_and_without_an_image_are_refused(folder):
    with pytest.raises(ValueError, match="type of texture"):
        load_objs_as_meshes([write(folder, "a", ONE), io.StringIO(PLAIN)])


# The format


def read(path, include_textures=True, **options):
    return MeshObjFormat().read(path, include_textures, "cpu", None, **options)


def save(data, path, **options):
    return MeshObjFormat().save(data, path, None, None, **options)


def mesh(textures=None) -> Meshes:
    verts, faces = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0.125]]), torch.tensor([[0, 1, 2], [2, 1, 0]])
    return Meshes([verts], [faces], textures=textures)


def test_other_names_are_not_its_own(tmp_path):
    assert read(tmp_path / "a.ply") is None
    assert save(mesh(), tmp_path / "a.ply") is False
    assert not list(tmp_path.iterdir())


def test_options_of_reading(folder):
    path = write(folder, "a", ONE)
    assert isinstance(read(path).textures, TexturesUV)
    assert read(path, create_texture_atlas=True, texture_atlas_size=3).textures.atlas_padded().shape == (1, 3, 3, 3, 3)
    for options in ({}, {"create_texture_atlas": True}):
        assert read(path, include_textures=False, **options).textures is None


def test_a_uv_texture_survives(tmp_path):
    pixels = torch.randint(256, (4, 6, 3)) / 255
    uvs = torch.tensor([[0.0, 0.5], [0.25, 1], [1, 0], [0.75, 0.75]])
    index = torch.tensor([[0, 1, 2], [1, 3, 2]])
    path = str(tmp_path / "a.obj")
    for _ in range(2):
        assert save(mesh(TexturesUV([pixels], [index], [uvs])), path, decimal_places=4) is True
        again = read(path)
        assert torch.equal(again.verts_packed(), mesh().verts_packed())
        assert torch.equal(again.faces_packed(), mesh().faces_packed())
        assert torch.equal(again.textures.maps_list()[0], pixels)
        assert torch.equal(again.textures.faces_uvs_list()[0], index)
        assert torch.equal(again.textures.verts_uvs_list()[0], uvs)


def test_vertex_colours_survive(tmp_path):
    colors = torch.tensor([[0.0, 0.25, 1], [0.5, 0.125, 0], [1, 1, 0.75]])
    path = tmp_path / "a.obj"
    assert save(mesh(TexturesVertex([colors])), path, decimal_places=3) is True
    assert path.read_text().splitlines()[1] == "v 1.000 0.000 0.000 0.500 0.125 0.000"
    again = read(path)
    assert torch.equal(again.textures.verts_features_packed(), colors)
    assert torch.equal(again.verts_packed(), mesh().verts_packed())


@pytest.mark.parametrize(
    "textures",
    [
        TexturesVertex([torch.zeros(3, 4)]),
        TexturesAtlas([torch.zeros(2, 2, 2, 3)]),
        TexturesUV([torch.zeros(2, 2, 1)], [torch.zeros(2, 3, dtype=torch.int64)], [torch.zeros(1, 2)]),
        TexturesUV(
            [torch.zeros(2, 2, 2, 3)],
            [torch.zeros(2, 3, dtype=torch.int64)],
            [torch.zeros(1, 2)],
            maps_ids=[torch.tensor([0, 1])],
        ),
    ],
)
def test_other_textures_are_left_out_with_a_warning(tmp_path, textures):
    save(mesh(), tmp_path / "plain.obj")
    with pytest.warns(UserWarning, match=f"MeshObjFormat: .* the {type(textures).__name__} is left out"):
        save(mesh(textures), tmp_path / "a.obj")
    assert (tmp_path / "a.obj").read_bytes() == (tmp_path / "plain.obj").read_bytes()


def test_save_obj_writes_colours():
    file = io.StringIO()
    save_obj(file, torch.zeros(1, 3), torch.zeros(0, 3), 1, verts_colors=torch.tensor([[1, 0.5, 0]]))
    assert file.getvalue() == "v 0.0 0.0 0.0 1.0 0.5 0.0\n"
