# SPDX-License-Identifier: Apache-2.0
"""Cells on faces."""

import pickle
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from patina3d.renderer import TexturesAtlas
from patina3d.structures import Meshes, join_meshes_as_scene

FACES = [2, 0, 3]


def cells(size: int = 4, channels: int = 2, faces: list[int] = FACES) -> list[Tensor]:
    return [torch.rand(count, size, size, channels, dtype=torch.float64) for count in faces]


def padded(rows: list[Tensor]) -> Tensor:
    """Padding of NaN shows wherever it is read."""
    width = max(len(row) for row in rows)
    return torch.stack([torch.nn.functional.pad(x, (0,) * 7 + (width - len(x),), value=torch.nan) for x in rows])


def meshes_with(textures: TexturesAtlas) -> Meshes:
    verts = [torch.rand(3, 3, dtype=torch.float64) for _ in FACES]
    return Meshes(verts, [torch.tensor([[0, 1, 2]] * count).reshape(-1, 3) for count in FACES], textures)


def at(pix_to_face: list[int], bary: list[list[float]], elements: int = 1) -> SimpleNamespace:
    faces = torch.tensor(pix_to_face).reshape(elements, 1, -1, 1)
    return SimpleNamespace(pix_to_face=faces, bary_coords=torch.tensor(bary).reshape(elements, 1, -1, 1, 3))


def test_anchor_values():
    atlas = TexturesAtlas([torch.arange(16.0).reshape(1, 4, 4, 1)])
    weights = [(0.45, 0.3), (0.4, 0.4), (0.2, 0.2), (0.99, 0.005)]
    texels = atlas.sample_textures(at([0] * 4, [[a, b, 1 - a - b] for a, b in weights]))
    assert texels.flatten().tolist() == [5, 10, 15, 3]
    assert atlas.faces_verts_textures_packed().flatten().tolist() == [3, 12, 0]


def test_every_cell_is_on_the_face_with_equal_area():
    size, steps = 3, 60
    grid = (torch.arange(steps, dtype=torch.float64) + 1 / 3) / steps
    inside = torch.cartesian_prod(grid, grid)
    inside = inside[inside.sum(1) < 1]
    bary = torch.cat([inside, 1 - inside.sum(1, keepdim=True)], 1)
    atlas = TexturesAtlas([torch.arange(9.0).reshape(1, 3, 3, 1)])
    found = atlas.sample_textures(at([0] * len(bary), bary.tolist())).flatten().long()
    counts = torch.bincount(found, minlength=size * size) / len(bary)
    assert torch.allclose(counts, torch.full((9,), 1 / 9), atol=0.02)


@pytest.mark.parametrize("form", ["list", "padded"])
def test_sampling_and_empty_slots(form: str):
    rows = cells(size=1)
    meshes = meshes_with(TexturesAtlas(rows if form == "list" else padded(rows)))
    fragments = at([1, -1, -1, -1, 4, 2], [[0.2, 0.3, 0.5]] * 6, elements=3)
    texels = meshes.sample_textures(fragments).reshape(6, 2)
    expected = [rows[0][1, 0, 0], *[torch.zeros(2)] * 3, rows[2][2, 0, 0], rows[2][0, 0, 0]]
    assert torch.equal(texels, torch.stack([x.double() for x in expected]))


def test_asking_about_every_slot_gives_the_same(monkeypatch):
    """As on a GPU, where the host does not wait for the number of slots that hold a face."""
    meshes = meshes_with(TexturesAtlas(cells()))
    fragments = at([1, -1, -1, -1, 4, 2], torch.rand(6, 3).softmax(1).tolist(), elements=3)
    expected = meshes.sample_textures(fragments)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert torch.equal(meshes.sample_textures(fragments), expected)


def test_a_point_outside_takes_the_cell_at_the_edge():
    """Negative weights do not count from the far side."""
    atlas = TexturesAtlas([torch.arange(16.0).reshape(1, 4, 4, 1)])
    outside = [[-0.3, 0.2, 1.1], [1.5, 0.2, -0.7], [1.4, -0.2, -0.2], [-0.1, -0.1, 1.2], [torch.nan] * 3]
    texels = atlas.sample_textures(at([0] * 5, outside)).flatten().tolist()
    assert texels[:4] == [0, 3, 3, 0]


def test_gradients():
    rows = [row.requires_grad_() for row in cells(size=2)]
    fragments = at([1, 0, -1, -1, 4, 2], torch.rand(6, 3).softmax(1).tolist(), elements=3)
    assert gradcheck(lambda *rows: meshes_with(TexturesAtlas(list(rows))).sample_textures(fragments), rows)


@pytest.mark.parametrize("form", ["list", "padded"])
def test_forms_and_joins(form: str, device):
    rows = cells()
    textures = TexturesAtlas(rows if form == "list" else padded(rows))
    meshes = meshes_with(textures)

    def assert_rows(textures: TexturesAtlas, expected: list[Tensor]) -> None:
        assert [x.tolist() for x in textures.atlas_list()] == [x.tolist() for x in expected]

    assert_rows(textures, rows)
    assert torch.equal(textures.atlas_packed(), torch.cat(rows))
    assert textures.atlas_padded().shape == (3, 3, 4, 4, 2)
    assert textures.valid.tolist() == [True, False, True]
    for index, elements in [(2, [2]), (slice(1, None), [1, 2]), ([2, 0], [2, 0]), (torch.tensor([1]), [1])]:
        assert_rows(textures[index], [rows[n] for n in elements])
        assert_rows(meshes[index].textures, [rows[n] for n in elements])
    assert_rows(textures[torch.tensor([True, False, True])], [rows[0], rows[2]])
    assert_rows(textures.extend(2), [row for row in rows for _ in range(2)])
    assert_rows(textures.join_batch([textures[2]]), [*rows, rows[2]])
    assert_rows(join_meshes_as_scene(meshes).textures, [torch.cat(rows)])
    assert_rows(meshes.submeshes([[torch.tensor([1])], [], [torch.tensor([True, False, True])]]).textures,
                [rows[0][[1]], rows[2][[0, 2]]])  # fmt: skip
    assert_rows(pickle.loads(pickle.dumps(textures)), rows)
    assert_rows(textures.clone(), rows)
    assert textures.clone().atlas_padded().data_ptr() != textures.atlas_padded().data_ptr()
    assert textures.to(device).atlas_packed().device.type == device.type


def test_check_shapes():
    textures = TexturesAtlas(cells())
    assert textures.check_shapes(3, 99, 3)
    assert not textures.check_shapes(3, 99, 4)
    assert not textures.check_shapes(2, 99, 3)


def test_empty():
    nothing = TexturesAtlas([])
    assert nothing.isempty()
    assert nothing.atlas_padded().shape == (0, 0, 0, 0, 0)
    assert nothing.atlas_list() == []
    hollow = TexturesAtlas(torch.zeros(2, 0, 3, 3, 1))
    assert [x.shape for x in hollow.atlas_list()] == [(0, 3, 3, 1)] * 2
    assert hollow.faces_verts_textures_packed().shape == (0, 3, 1)
    assert hollow.sample_textures(at([-1, -1], [[-1.0] * 3] * 2, elements=2)).tolist() == [[[[[0.0]]]]] * 2


@pytest.mark.parametrize(
    ("atlas", "message"),
    [
        (torch.rand(3, 4, 4, 2), "must have 5 dimensions when padded"),
        ([torch.rand(3, 4, 2)], "must be a list of tensors of 4 dimensions"),
        ([torch.rand(3, 4, 3, 2)], r"must be \(F, R, R, C\) for each mesh, got \[\(3, 4, 3, 2\)\]"),
        (
            [torch.rand(3, 4, 4, 2), torch.rand(3, 2, 2, 2)],
            "must be a list of tensors equal in dtype, device and all sizes but",
        ),
        ("a", "must be a tensor or a list of tensors"),
    ],
)
def test_bad_atlas(atlas, message: str):
    with pytest.raises(ValueError, match=f"TexturesAtlas: atlas {message}"):
        TexturesAtlas(atlas)
