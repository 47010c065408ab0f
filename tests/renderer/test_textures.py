# SPDX-License-Identifier: Apache-2.0
"""Textures: values on the surface of meshes."""

from types import SimpleNamespace

import pytest
import torch
from torch.autograd import gradcheck

from patina3d.renderer.mesh.textures import TexturesBase, TexturesVertex
from patina3d.structures import Meshes

SIZES = [4, 3, 5]


def features(channels: int = 2, sizes: list[int] = SIZES) -> list[torch.Tensor]:
    return [torch.randn(size, channels, dtype=torch.float64) for size in sizes]


def padded(rows: list[torch.Tensor], width: int = max(SIZES)) -> torch.Tensor:
    """Padding of NaN shows wherever it is read."""
    return torch.stack([torch.nn.functional.pad(x, (0, 0, 0, width - len(x)), value=torch.nan) for x in rows])


def meshes_with(textures: TexturesVertex) -> Meshes:
    verts = [torch.rand(size, 3, dtype=torch.float64) for size in SIZES]
    faces = [torch.tensor([[0, 1, 2]]), torch.tensor([[2, 1, 0], [1, 2, 0]]), torch.tensor([[4, 3, 2]])]
    return Meshes(verts, faces, textures)


def assert_same(left: TexturesVertex, rows: list[torch.Tensor]) -> None:
    assert len(left) == len(rows)
    assert [x.tolist() for x in left.verts_features_list()] == [x.tolist() for x in rows]


@pytest.mark.parametrize("form", ["list", "padded"])
def test_the_three_forms(form: str):
    rows = features()
    textures = TexturesVertex(rows if form == "list" else padded(rows))
    meshes_with(textures)
    assert_same(textures, rows)
    assert torch.equal(textures.verts_features_packed(), torch.cat(rows))
    for element, row in zip(textures.verts_features_padded(), rows, strict=True):
        assert torch.equal(element[: len(row)], row)
    assert textures.verts_features_padded().shape == (3, 5, 2)


def test_names_that_programs_read():
    textures = TexturesVertex(features())
    for kept, asked in zip(textures._verts_features_list, textures.verts_features_list(), strict=True):
        assert torch.equal(kept, asked)
    assert torch.equal(textures._verts_features_padded, textures.verts_features_padded())


def test_padding_of_a_list_is_zero():
    assert (TexturesVertex(features()).verts_features_padded()[1, 3:] == 0).all()


def test_no_padding_costs_no_copy():
    rows = torch.rand(2, 3, 4)
    textures = TexturesVertex(rows)
    assert textures.verts_features_padded() is rows
    assert textures.verts_features_packed().data_ptr() == rows.data_ptr()


def test_a_change_of_what_was_given_shows():
    rows = features()
    textures = TexturesVertex(rows)
    textures.verts_features_padded()
    rows[0] += 1
    assert torch.equal(textures.verts_features_padded()[0, :4], rows[0])


@pytest.mark.parametrize("form", ["list", "padded"])
def test_sample_textures(form: str):
    rows = features(channels=5)
    textures = TexturesVertex(rows if form == "list" else padded(rows))
    meshes = meshes_with(textures)
    pix_to_face = torch.tensor([[[[0, -1]]], [[[2, 1]]], [[[3, -1]]]])
    bary = torch.rand(3, 1, 1, 2, 3, dtype=torch.float64)
    texels = meshes.sample_textures(SimpleNamespace(pix_to_face=pix_to_face, bary_coords=bary))
    assert texels.shape == (3, 1, 1, 2, 5)
    assert (texels[0, 0, 0, 1] == 0).all()
    assert torch.allclose(texels[0, 0, 0, 0], bary[0, 0, 0, 0] @ rows[0][[0, 1, 2]])
    assert torch.allclose(texels[1, 0, 0, 0], bary[1, 0, 0, 0] @ rows[1][[1, 2, 0]])
    assert torch.allclose(texels[1, 0, 0, 1], bary[1, 0, 0, 1] @ rows[1][[2, 1, 0]])
    assert torch.allclose(texels[2, 0, 0, 0], bary[2, 0, 0, 0] @ rows[2][[4, 3, 2]])


def test_gradcheck_of_sampling():
    rows = [x.requires_grad_() for x in features()]
    pix_to_face = torch.tensor([[[[0, -1]]], [[[2, 1]]], [[[3, -1]]]])
    bary = torch.rand(3, 1, 1, 2, 3, dtype=torch.float64, requires_grad=True)

    def sample(bary: torch.Tensor, *rows: torch.Tensor) -> torch.Tensor:
        meshes = meshes_with(TexturesVertex(list(rows)))
        return meshes.sample_textures(SimpleNamespace(pix_to_face=pix_to_face, bary_coords=bary))

    torch.manual_seed(1)
    assert gradcheck(sample, (bary, *rows))


def test_corners():
    rows = features()
    meshes = meshes_with(TexturesVertex(rows))
    corners = meshes.textures.faces_verts_textures_packed(meshes.faces_packed())
    assert corners.shape == (4, 3, 2)
    assert torch.equal(corners[3], rows[2][[4, 3, 2]])
    with pytest.raises(ValueError, match="faces_packed must be"):
        meshes.textures.faces_verts_textures_packed()


@pytest.mark.parametrize("form", ["list", "padded"])
@pytest.mark.parametrize(
    ("index", "elements"),
    [
        (1, [1]),
        (-1, [2]),
        (slice(1, None), [1, 2]),
        (slice(0, 0), []),
        ([2, 0, 2], [2, 0, 2]),
        (torch.tensor([1, 0]), [1, 0]),
        (torch.tensor([True, False, True]), [0, 2]),
        ([], []),
    ],
)
def test_indexing(form: str, index, elements: list[int]):
    """An index keeps what belongs together, padded to the size of the subset, with lists of counts."""
    rows = features()
    textures = TexturesVertex(rows if form == "list" else padded(rows))
    meshes_with(textures)
    chosen = textures[index]
    assert_same(chosen, [rows[element] for element in elements])
    assert chosen.verts_features_padded().shape[1] == max([SIZES[element] for element in elements], default=0)
    assert chosen.valid.tolist() == [True] * len(elements)
    assert chosen._num_verts_per_mesh == [SIZES[element] for element in elements]
    assert chosen._num_faces_per_mesh == [[1, 2, 1][element] for element in elements]


def test_an_index_keeps_which_elements_are_valid():
    textures = TexturesVertex(features(sizes=[0, 3, 0, 2]))
    assert textures.valid.tolist() == [False, True, False, True]
    assert textures[[1, 0, 3]].valid.tolist() == [True, False, True]
    assert textures.extend(2).valid.tolist() == [False, False, True, True, False, False, True, True]
    assert textures.join_batch([textures[1]]).valid.tolist() == [False, True, False, True, True]
    assert textures[[0, 2]].isempty()


@pytest.mark.parametrize("index", [(0, 1), 1.5, torch.tensor([0.5]), 3, -4, "a"])
def test_bad_index(index):
    with pytest.raises(IndexError, match="TexturesVertex"):
        TexturesVertex(features())[index]


def test_meshes_carry_their_textures_along():
    rows = features()
    meshes = meshes_with(TexturesVertex(padded(rows)))
    assert_same(meshes[[2, 0]].textures, [rows[2], rows[0]])
    assert_same(meshes.extend(2).textures, [row for row in rows for _ in range(2)])
    assert_same(meshes.clone().textures, rows)


@pytest.mark.parametrize("form", ["list", "padded"])
def test_extend_join_batch_join_scene(form: str):
    rows, others = features(), features(sizes=[2, 6])
    textures = TexturesVertex(rows if form == "list" else padded(rows))
    meshes_with(textures)
    assert_same(textures.extend(2), [row for row in rows for _ in range(2)])
    joined = textures.join_batch([TexturesVertex(others), TexturesVertex(others[0][None])])
    assert_same(joined, [*rows, *others, others[0]])
    assert joined.valid.tolist() == [True] * 6
    assert joined.verts_features_padded().shape == (6, 6, 2)
    assert_same(textures.join_scene(), [torch.cat(rows)])
    assert_same(textures, rows)


@pytest.mark.parametrize("copies", [0, -1, 1.5, True, None])
def test_extend_needs_a_positive_int(copies):
    with pytest.raises(ValueError, match="TexturesVertex"):
        TexturesVertex(features()).extend(copies)


def test_join_batch_needs_one_class():
    class Other(TexturesVertex):
        pass

    with pytest.raises(ValueError, match="textures must all be TexturesVertex, got Other"):
        TexturesVertex(features()).join_batch([Other(features())])


def test_submeshes():
    rows = features()
    textures = TexturesVertex(rows)
    parts = [[torch.tensor([3, 0])], [], [torch.tensor([1]), torch.tensor([], dtype=torch.int64)]]
    assert_same(textures.submeshes(parts, []), [rows[0][[3, 0]], rows[2][[1]], rows[2][:0]])
    with pytest.raises(IndexError, match="vertex_ids_list must have 3 entries, got 2"):
        textures.submeshes(parts[:2], [])


@pytest.mark.parametrize("form", ["list", "padded"])
def test_clone_detach_to(form: str, device):
    rows = features()
    rows = [row.requires_grad_() for row in rows] if form == "list" else padded(rows).requires_grad_()
    textures = TexturesVertex(rows)
    leaves = rows if form == "list" else [rows]
    clone, detached = textures.clone(), textures.detach()
    clone._num_verts_per_mesh.append(7)
    assert len(textures._num_verts_per_mesh) == 3
    assert clone.verts_features_padded().data_ptr() != textures.verts_features_padded().data_ptr()
    assert clone.verts_features_padded().requires_grad
    assert not detached.verts_features_padded().requires_grad
    clone.verts_features_padded().nan_to_num().sum().backward()
    assert all(leaf.grad is not None for leaf in leaves)
    assert textures.to(device) is textures
    assert textures.device == device
    assert textures.verts_features_packed().device.type == textures.valid.device.type == device.type


def test_check_shapes():
    textures = TexturesVertex(features())
    assert textures.check_shapes(3, 5, 99)
    assert not textures.check_shapes(3, 4, 1)
    assert not textures.check_shapes(2, 5, 1)


def test_a_list_that_does_not_fit_its_meshes_is_found():
    """The largest element fits, another does not."""
    with pytest.raises(ValueError, match=r"must have \[4, 3, 5\] rows, got \[4, 2, 5\]"):
        meshes_with(TexturesVertex(features(sizes=[4, 2, 5]))).textures.verts_features_packed()


def test_empty():
    nothing = TexturesVertex([])
    assert nothing.isempty()
    assert len(nothing) == 0
    assert nothing.verts_features_padded().shape == (0, 0, 0)
    assert nothing.verts_features_list() == []
    assert nothing.verts_features_packed().shape == (0, 0)
    assert TexturesVertex(torch.zeros(0, 3, 2)).isempty()
    hollow = TexturesVertex([torch.zeros(0, 3), torch.zeros(0, 3)])
    assert hollow.isempty()
    assert hollow.verts_features_packed().shape == (0, 3)
    assert hollow.verts_features_padded().shape == (2, 0, 3)
    assert not TexturesVertex([torch.zeros(0, 3), torch.zeros(1, 3)]).isempty()


@pytest.mark.parametrize("values", [torch.rand(3, 2), torch.rand(1, 3, 2, 2), [torch.rand(3)], [[1.0]], "a", None])
def test_bad_features(values):
    with pytest.raises(ValueError, match="TexturesVertex: verts_features must"):
        TexturesVertex(values)


def test_members_must_agree():
    for other in (torch.rand(3, 3), torch.rand(3, 2, dtype=torch.float64)):
        with pytest.raises(ValueError, match="equal in dtype, device and all sizes but the first"):
            TexturesVertex([torch.rand(3, 2), other])


def test_the_base_class_says_what_is_missing():
    base = TexturesBase()
    for call in (
        lambda: base.sample_textures(None),
        lambda: base.submeshes([], []),
        base.faces_verts_textures_packed,
        base.join_scene,
        lambda: base.check_shapes(1, 1, 1),
    ):
        with pytest.raises(NotImplementedError, match="TexturesBase does not implement"):
            call()
