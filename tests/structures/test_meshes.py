# SPDX-License-Identifier: Apache-2.0
"""The three forms of a batch of meshes, its copies, parts and changes."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from patina3d.structures import Meshes
from patina3d.structures.meshes import Meshes as MeshesOfModule
from support.random_meshes import SIZES, batch_sizes, random_lists
from support.vertex_colors import VertexColors

VERTS = [torch.arange(9.0).reshape(3, 3), torch.arange(12.0).reshape(4, 3) ** 2]
FACES = [torch.tensor([[0, 1, 2]]), torch.tensor([[0, 1, 2], [1, 2, 3]])]


def two() -> Meshes:
    return Meshes(VERTS, FACES)


def textured(sizes: list[tuple[int, int]] = SIZES) -> Meshes:
    verts, faces = random_lists(sizes)
    return Meshes(verts, faces, VertexColors([torch.rand(len(v), 2) for v in verts]))


def assert_same(a: Meshes, b: Meshes) -> None:
    assert len(a) == len(b)
    for x, y in zip([*a.verts_list(), *a.faces_list()], [*b.verts_list(), *b.faces_list()], strict=True):
        torch.testing.assert_close(x, y, rtol=0, atol=0)


def test_public_names():
    assert Meshes is MeshesOfModule


# The three forms.


def test_anchor_of_two_meshes():
    meshes = two()
    assert meshes.faces_packed().tolist() == [[0, 1, 2], [3, 4, 5], [4, 5, 6]]
    assert meshes.faces_padded()[0].tolist() == [[0, 1, 2], [-1, -1, -1]]
    assert meshes.verts_padded_to_packed_idx().tolist() == [0, 1, 2, 4, 5, 6, 7]
    assert meshes.verts_padded()[0, 3].tolist() == [0, 0, 0]
    assert meshes.num_verts_per_mesh().tolist() == [3, 4]
    assert meshes.num_faces_per_mesh().tolist() == [1, 2]
    assert (meshes._N, meshes._V, meshes._F) == (2, 4, 2)


def test_an_empty_element_begins_where_the_next_one_does():
    verts, faces = random_lists([(3, 1), (0, 0), (3, 1)])
    meshes = Meshes(verts, faces)
    assert meshes.mesh_to_verts_packed_first_idx().tolist() == [0, 3, 3]
    assert meshes.verts_packed_to_mesh_idx().tolist() == [0, 0, 0, 2, 2, 2]
    assert meshes.mesh_to_faces_packed_first_idx().tolist() == [0, 1, 1]
    assert meshes.faces_packed_to_mesh_idx().tolist() == [0, 2]


@settings(deadline=None)
@given(batch_sizes(), st.sampled_from([torch.float32, torch.float64, torch.float16]))
def test_forms_hold_the_same(sizes, dtype):
    verts, faces = random_lists(sizes, dtype=dtype)
    meshes = Meshes(verts, faces)
    first = 0
    for n, (v, f) in enumerate(zip(verts, faces, strict=True)):
        assert torch.equal(meshes.verts_list()[n], v)
        assert torch.equal(meshes.faces_list()[n], f)
        assert torch.equal(meshes.verts_padded()[n, : len(v)], v)
        assert not meshes.verts_padded()[n, len(v) :].any()
        assert torch.equal(meshes.faces_padded()[n, : len(f)], f)
        assert (meshes.faces_padded()[n, len(f) :] == -1).all()
        assert torch.equal(meshes.verts_packed()[first : first + len(v)], v)
        of_mesh = meshes.faces_packed_to_mesh_idx() == n
        assert torch.equal(meshes.faces_packed()[of_mesh], f + first)
        assert meshes.mesh_to_verts_packed_first_idx()[n] == first
        first += len(v)
    in_padded = meshes.verts_padded().reshape(-1, 3)[meshes.verts_padded_to_packed_idx()]
    assert torch.equal(in_padded, meshes.verts_packed())
    expected = dtype if sizes else torch.float32
    for form in (meshes.verts_packed(), meshes.verts_padded(), meshes.verts_normals_packed()):
        assert form.dtype == expected
    assert meshes.faces_packed().dtype == torch.int64


def test_forms_are_computed_once(device):
    verts, faces = random_lists(SIZES, device=device)
    meshes = Meshes(verts, faces)
    for name in [
        "verts_packed",
        "verts_padded",
        "faces_packed",
        "faces_padded",
        "edges_packed",
        "faces_packed_to_edges_packed",
        "laplacian_packed",
        "verts_normals_packed",
        "faces_normals_packed",
        "faces_areas_packed",
        "num_verts_per_mesh",
        "num_edges_per_mesh",
        "verts_packed_to_mesh_idx",
        "faces_packed_to_mesh_idx",
        "edges_packed_to_mesh_idx",
        "mesh_to_edges_packed_first_idx",
    ]:
        assert getattr(meshes, name)() is getattr(meshes, name)(), name


def test_caches_are_none_until_computed():
    meshes = two()
    names = (
        "_verts_packed _verts_padded _faces_packed _faces_padded _edges_packed _laplacian_packed _verts_normals_packed"
    )
    for name in names.split():
        assert getattr(meshes, name) is None, name
    meshes.laplacian_packed()
    meshes.verts_padded()
    meshes.faces_padded()
    meshes.verts_normals_packed()
    for name in names.split():
        assert getattr(meshes, name) is not None, name
    assert meshes._num_faces_per_mesh.tolist() == [1, 2]
    assert meshes._num_verts_per_mesh.tolist() == [3, 4]


@pytest.mark.parametrize("compute", ["verts_packed", "faces_packed", "edges_packed"])
def test_index_tensors_are_none_until_their_group_is_computed(compute):
    packed = [
        "verts_packed_to_mesh_idx",
        "mesh_to_verts_packed_first_idx",
        "verts_padded_to_packed_idx",
        "faces_packed_to_mesh_idx",
        "mesh_to_faces_packed_first_idx",
    ]
    edges = [
        "edges_packed_to_mesh_idx",
        "mesh_to_edges_packed_first_idx",
        "faces_packed_to_edges_packed",
        "num_edges_per_mesh",
    ]
    meshes = two()
    for name in packed + edges:
        assert getattr(meshes, f"_{name}") is None, name
    getattr(meshes, compute)()
    for name in packed:
        assert getattr(meshes, f"_{name}") is getattr(meshes, name)(), name
    for name in edges:
        kept = getattr(meshes, f"_{name}")
        if compute == "edges_packed":
            assert kept is getattr(meshes, name)(), name
        else:
            assert kept is None, name


def test_refresh_computes_anew():
    meshes = two()
    old = meshes.verts_packed(), meshes.verts_normals_packed(), meshes.faces_areas_packed(), meshes.verts_padded()
    meshes._compute_packed(refresh=True)
    meshes._compute_padded(refresh=True)
    meshes._compute_edges_packed(refresh=True)
    meshes._compute_vertex_normals(refresh=True)
    meshes._compute_face_areas_normals(refresh=True)
    new = meshes.verts_packed(), meshes.verts_normals_packed(), meshes.faces_areas_packed(), meshes.verts_padded()
    for x, y in zip(old, new, strict=True):
        assert torch.equal(x, y)
    assert meshes.verts_normals_packed() is not old[1]
    assert meshes.faces_areas_packed() is not old[2]
    shifted = meshes.offset_verts(torch.ones(3))
    shifted._compute_packed(refresh=True)
    assert torch.equal(shifted.verts_packed(), meshes.verts_packed() + 1)


def test_padded_input_is_kept():
    verts, faces = (
        torch.rand(2, 5, 3),
        torch.tensor([[[0, 1, 2], [-1, -1, -1], [-1, 3, 4]], [[0, 1, 2], [2, 3, 4], [-1] * 3]]),
    )
    meshes = Meshes(verts, faces)
    assert meshes.verts_padded() is verts
    assert meshes.faces_padded() is faces
    assert (meshes._V, meshes._F) == (5, 2)
    assert meshes.num_verts_per_mesh().tolist() == [5, 5]
    assert meshes.num_faces_per_mesh().tolist() == [1, 2]
    assert [f.tolist() for f in meshes.faces_list()] == [[[0, 1, 2]], [[0, 1, 2], [2, 3, 4]]]
    assert meshes.faces_packed().tolist() == [[0, 1, 2], [5, 6, 7], [7, 8, 9]]
    assert meshes.verts_list()[1].data_ptr() == verts[1].data_ptr()
    assert meshes.faces_normals_padded().shape == meshes.faces_padded().shape
    assert not meshes.equisized
    assert Meshes(verts, faces[:, :1]).equisized


def test_list_input_is_kept_but_not_the_list():
    verts, faces = list(VERTS), list(FACES)
    meshes = Meshes(verts, faces)
    verts.append(VERTS[0])
    meshes.faces_list().clear()
    assert len(meshes.verts_list()) == len(meshes) == len(meshes.faces_list()) == 2
    assert meshes.verts_list()[0] is VERTS[0]


def test_padding_rows_of_a_list_are_dropped():
    faces = torch.tensor([[-1, 0, 1], [0, 1, 2], [0, 9, -7], [2, 1, 0]], dtype=torch.int32)
    meshes = Meshes([VERTS[0]], [faces])
    assert meshes.faces_list()[0].tolist() == [[0, 1, 2], [2, 1, 0]]
    assert meshes.faces_list()[0].dtype == torch.int64
    all_padding = Meshes([VERTS[0]], [torch.full((2, 3), -1.0)])
    assert all_padding.isempty()
    assert all_padding.faces_packed().shape == (0, 3)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.float32, torch.float64])
def test_faces_of_any_number_type(dtype):
    faces = [f.to(dtype) for f in FACES]
    assert_same(Meshes(VERTS, faces), two())
    assert Meshes([torch.rand(3, 3)], [torch.zeros((0, 3), dtype=dtype)]).faces_packed().dtype == torch.int64


def test_strange_strides():
    verts = torch.rand(3, 8).t()[::2].expand(2, 4, 3)
    faces = torch.tensor([[0, 1, 2]]).expand(2, 1, 3)
    meshes = Meshes(verts, faces)
    same = Meshes(verts.contiguous(), faces.contiguous())
    assert torch.equal(meshes.verts_packed(), same.verts_packed())
    assert torch.equal(meshes.faces_packed(), same.faces_packed())
    assert torch.equal(meshes.verts_normals_padded(), same.verts_normals_padded())


def test_gradient_flows_through_every_form():
    verts, faces = random_lists(SIZES)
    for name in ("verts_packed", "verts_padded", "verts_list", "get_bounding_boxes"):
        leaves = [v.clone().requires_grad_() for v in verts]
        value = getattr(Meshes(leaves, faces), name)()
        torch.cat([x.reshape(-1) for x in value] if isinstance(value, list) else [value.reshape(-1)]).nan_to_num(
            posinf=0, neginf=0
        ).sum().backward()
        for leaf in leaves:
            assert leaf.numel() == 0 or (leaf.grad is not None and leaf.grad.isfinite().all())
    padded = torch.rand(2, 3, 3, requires_grad=True)
    Meshes(padded, torch.zeros((2, 1, 3), dtype=torch.int64)).verts_packed().sum().backward()
    assert torch.equal(padded.grad, torch.ones_like(padded))


# Empty batches.


@pytest.mark.parametrize(
    "meshes",
    [
        Meshes([], []),
        Meshes(torch.zeros(0, 4, 3), torch.zeros(0, 2, 3, dtype=torch.int64)),
        Meshes([torch.zeros(0)] * 2, [torch.zeros(0)] * 2),
        Meshes([torch.rand(3, 3), torch.zeros(0, 3)], [torch.zeros(0, 3)] * 2),
        Meshes(torch.rand(2, 4, 3), torch.full((2, 2, 3), -1)),
        Meshes(torch.rand(2, 0, 3), torch.zeros(2, 0, 3)),
        two()[[]],
        two()[:0],
        Meshes([], []).extend(2),
        two().submeshes([[], []]),
    ],
    ids=lambda meshes: repr(meshes),
)
def test_empty_batches_answer_everything(meshes):
    n, v = len(meshes), int(meshes.num_verts_per_mesh().sum())
    assert meshes.isempty() is True
    assert meshes.valid.tolist() == [False] * n
    for counts in (meshes.num_verts_per_mesh(), meshes.num_faces_per_mesh(), meshes.mesh_to_verts_packed_first_idx()):
        assert counts.shape == (n,)
        assert counts.dtype == torch.int64
    assert meshes.num_edges_per_mesh().tolist() == [0] * n
    assert meshes.num_edges_per_mesh().dtype == torch.int32
    assert meshes.mesh_to_edges_packed_first_idx().tolist() == [0] * n
    assert meshes.faces_packed_to_edges_packed().shape == (0, 3)
    assert meshes.edges_packed().shape == (0, 2)
    assert meshes.edges_packed_to_mesh_idx().shape == (0,)
    assert meshes.verts_packed().shape == (v, 3)
    assert meshes.faces_packed().shape == (0, 3)
    assert meshes.verts_padded().shape[::2] == (n, 3)
    assert meshes.faces_padded().shape[::2] == (n, 3)
    assert meshes.verts_normals_packed().shape == (v, 3)
    assert meshes.verts_normals_packed().dtype == torch.float32
    assert meshes.faces_areas_packed().shape == (0,)
    assert meshes.laplacian_packed().shape == (v, v)
    assert meshes.verts_padded_to_packed_idx().shape == (v,)
    assert meshes.get_bounding_boxes().shape == (n, 3, 2)
    assert len(meshes.verts_list()) == len(meshes.faces_normals_list()) == len(meshes.verts_normals_list()) == n
    for copy in (
        meshes.clone(),
        meshes.detach(),
        meshes[:],
        meshes.offset_verts(torch.ones(3)),
        meshes.scale_verts(2.0),
    ):
        assert len(copy) == n
        assert copy.verts_packed().shape == (v, 3)
    assert len(meshes.update_padded(torch.rand_like(meshes.verts_padded()))) == n


def test_bounding_boxes(device):
    verts, faces = random_lists(SIZES, device=device)
    boxes = Meshes(verts, faces).get_bounding_boxes()
    for v, box in zip(verts, boxes, strict=True):
        if len(v):
            assert torch.equal(box, torch.stack([v.amin(0), v.amax(0)], 1))
        else:
            assert box.tolist() == [[torch.inf, -torch.inf]] * 3


# What is refused.


@pytest.mark.parametrize(
    ("verts", "faces", "error", "message"),
    [
        (tuple(VERTS), tuple(FACES), ValueError, "must both be lists or both be tensors, got tuple and tuple"),
        (VERTS, torch.zeros(2, 1, 3), ValueError, "got list and Tensor"),
        (VERTS, FACES[:1], ValueError, "equal length, got 2 and 1"),
        ([torch.rand(3, 2)], FACES[:1], ValueError, r"verts\[0\] must have 3 columns, got shape \(3, 2\)"),
        (VERTS[:1], [torch.zeros(1, 4)], ValueError, r"faces\[0\] must have 3 columns"),
        (VERTS[:1], [[[0, 1, 2]]], ValueError, r"faces\[0\] must be a tensor, got list"),
        (VERTS[:1], FACES[1:], ValueError, r"faces\[0\] refers to vertex 3, but verts\[0\] has 3 vertices"),
        ([torch.zeros(0)], FACES[:1], ValueError, "has 0 vertices"),
        (VERTS[:1], [torch.tensor([[0, 1, 2], [-1, 0, 0], [0, 1, 9]])], ValueError, "refers to vertex 9"),
        ([VERTS[0].long()], FACES[:1], TypeError, "verts must be floating, got torch.int64"),
        ([VERTS[0], VERTS[1].double()], FACES, TypeError, "one dtype, got torch.float32 and torch.float64"),
        (VERTS[:1], [torch.zeros((1, 3), dtype=torch.bool)], TypeError, "faces must be integers, got torch.bool"),
        (VERTS[:1], [torch.full((1, 3), 0.5)], ValueError, "faces must be whole numbers"),
        (VERTS[:1], [torch.full((1, 3), torch.nan)], ValueError, "faces must be whole numbers"),
        (torch.rand(3, 3), torch.zeros(1, 3), ValueError, r"verts must have shape \(N, \*, 3\), got \(3, 3\)"),
        (torch.rand(1, 3, 3), torch.zeros(1, 1, 4), ValueError, "faces must have shape"),
        (torch.rand(1, 3, 3), torch.zeros(2, 1, 3), ValueError, "equal N, got 1 and 2"),
        (torch.rand(1, 3, 3), torch.full((1, 1, 3), 3), ValueError, "refer to vertex 3, but a mesh has 3 vertices"),
        (torch.rand(1, 3, 3), torch.tensor([[[-1] * 3, [0] * 3]]), ValueError, "Padding of faces"),
        (torch.rand(1, 3, 3).long(), torch.zeros(1, 1, 3), TypeError, "verts must be floating"),
        ([VERTS[0].to("meta")], FACES[:1], ValueError, "the same device, got meta and cpu"),
        (torch.rand(1, 3, 3, device="meta"), torch.zeros(1, 1, 3), ValueError, "the same device, got meta and cpu"),
    ],
)
def test_bad_geometry_is_named(verts, faces, error, message):
    with pytest.raises(error, match=message):
        Meshes(verts, faces)


@pytest.mark.parametrize(
    ("normals", "error", "message"),
    [
        (VERTS[:1], ValueError, "must have 2 entries, got 1"),
        ([VERTS[0], VERTS[0]], ValueError, r"verts_normals\[1\] must have shape \(4, 3\)"),
        (torch.rand(2, 3, 3), ValueError, r"must have shape \(2, 4, 3\)"),
        ("up", ValueError, "must be a list of tensors or a tensor"),
        (torch.zeros((2, 4, 3), dtype=torch.int64), TypeError, "verts_normals must be floating"),
        (torch.zeros((2, 4, 3), device="meta"), ValueError, "must be on cpu like verts, got meta"),
    ],
)
def test_bad_normals_are_named(normals, error, message):
    with pytest.raises(error, match=message):
        Meshes(VERTS, FACES, verts_normals=normals)


def test_bad_textures_are_named():
    with pytest.raises(ValueError, match="must have sample_textures, which str has not"):
        Meshes(VERTS, FACES, "red")
    with pytest.raises(
        ValueError, match="do not match the dimensions of the meshes: 2 meshes of at most 4 vertices and 2"
    ):
        Meshes(VERTS, FACES, VertexColors([torch.rand(3, 3)]))


# Indexing and splitting.


@pytest.mark.parametrize(
    ("index", "elements"),
    [
        (0, [0]),
        (-1, [4]),
        (np.int64(2), [2]),
        (slice(1, None, 2), [1, 3]),
        ([2, 0, 2], [2, 0, 2]),
        ([-1, 0], [4, 0]),
        ([True, False, False, True, False], [0, 3]),
        (torch.tensor([2, -5]), [2, 0]),
        (torch.tensor([3, 1], dtype=torch.uint8), [3, 1]),
        (torch.tensor([False, True, True, False, False]), [1, 2]),
        (torch.zeros(0, dtype=torch.int64), []),
        ([], []),
    ],
)
def test_indexing_picks_elements(index, elements):
    meshes = textured()
    chosen = meshes[index]
    verts, faces, colors = meshes.verts_list(), meshes.faces_list(), meshes.textures.features
    assert len(chosen) == len(elements)
    for n, element in enumerate(elements):
        assert chosen.verts_list()[n] is verts[element]
        assert chosen.faces_list()[n] is faces[element]
        assert chosen.textures.features[n] is colors[element]
    assert chosen.textures._num_verts_per_mesh == [len(verts[n]) for n in elements]
    assert chosen.textures._num_faces_per_mesh == [len(faces[n]) for n in elements]
    assert chosen.textures.valid is chosen.valid
    assert chosen.verts_packed().dtype == torch.float64


@pytest.mark.parametrize(
    "index",
    [
        2,
        -3,
        [0, 2],
        torch.tensor([2]),
        torch.tensor([[0]]),
        torch.tensor(0),
        torch.tensor([0.0]),
        (0, 1),
        None,
        0.5,
        "0",
        torch.tensor([True]),
        [True],
        [0.0],
        [0, True],
    ],
)
def test_bad_index(index):
    with pytest.raises(IndexError, match="Meshes: "):
        two()[index]


def test_iteration_yields_batches_of_one():
    meshes = textured()
    parts = list(meshes)
    assert len(parts) == len(meshes)
    assert_same(parts[2], meshes[2])


def test_split():
    meshes = textured()
    first, second, third = meshes.split([2, 0, 3])
    assert_same(first, meshes[:2])
    assert len(second) == 0
    assert_same(third, meshes[2:])
    for sizes, message in (([2, 2], "sum to 5"), ([6], "sum to 5"), ([2.0, 3], "list of ints"), ([6, -1], "negative")):
        with pytest.raises(ValueError, match=message):
            meshes.split(sizes)


def test_get_mesh_verts_faces():
    meshes = two()
    verts, faces = meshes.get_mesh_verts_faces(1)
    assert verts is VERTS[1]
    assert torch.equal(faces, FACES[1])
    for index in (-1, 2, 5, 0.5, True, torch.tensor(0)):
        with pytest.raises(ValueError, match=r"index must be an int in \[0, 2\), got "):
            meshes.get_mesh_verts_faces(index)


# Copies.


def tensors_of(meshes: Meshes) -> list[torch.Tensor]:
    names = (
        "verts_packed verts_padded faces_packed faces_padded edges_packed faces_packed_to_edges_packed "
        "verts_normals_packed faces_normals_packed faces_areas_packed num_verts_per_mesh verts_padded_to_packed_idx"
    )
    return [*meshes.verts_list(), *meshes.faces_list(), *(getattr(meshes, name)() for name in names.split())]


def test_clone_shares_no_memory_and_keeps_the_graph():
    verts, faces = random_lists(SIZES)
    verts = [v.requires_grad_() for v in verts]
    meshes = Meshes(verts, faces, VertexColors([torch.rand(len(v), 2) for v in verts]))
    old = tensors_of(meshes)
    clone = meshes.clone()
    for x, y in zip(old, tensors_of(clone), strict=True):
        assert torch.equal(x, y)
        assert x.numel() == 0 or x.untyped_storage().data_ptr() != y.untyped_storage().data_ptr()
    assert clone.textures.calls == [("clone",)]
    clone.verts_normals_packed().sum().backward()
    assert verts[0].grad is not None


def test_detach_shares_memory_and_cuts_the_graph():
    verts, faces = random_lists(SIZES)
    meshes = Meshes([v.requires_grad_() for v in verts], faces, VertexColors([torch.rand(len(v), 2) for v in verts]))
    old = tensors_of(meshes)
    detached = meshes.detach()
    for x, y in zip(old, tensors_of(detached), strict=True):
        assert x.data_ptr() == y.data_ptr()
        assert not y.requires_grad
    assert detached.textures.calls == [("detach",)]
    assert meshes.verts_packed().requires_grad


def test_to():
    meshes = textured()
    assert meshes.to("cpu") is meshes
    assert meshes.cpu() is meshes
    copy = meshes.to(torch.device("cpu"), copy=True)
    assert copy is not meshes
    assert_same(copy, meshes)
    there = meshes.to("meta")
    assert there.device.type == there.verts_packed().device.type == there.faces_packed().device.type == "meta"
    assert there.valid.device.type == "meta"
    assert there.verts_packed_to_mesh_idx().device.type == "meta"
    assert there.textures.calls == [("clone",), ("to", torch.device("meta"))]
    assert meshes.device.type == "cpu"


@pytest.mark.gpu
def test_cuda_and_back():
    meshes = textured()
    meshes.laplacian_packed()
    there = meshes.cuda()
    assert there.to("cuda") is there
    for x, y in zip(tensors_of(meshes), tensors_of(there), strict=True):
        assert y.is_cuda
        torch.testing.assert_close(x, y.cpu())
    assert_same(there.cpu(), meshes)


def test_extend():
    meshes = textured()
    extended = meshes.extend(2)
    assert len(extended) == 10
    assert_same(extended[::2], meshes)
    assert_same(extended[1::2], meshes)
    assert extended.textures.calls == [("extend", 2)]
    assert extended.verts_list()[0].data_ptr() != extended.verts_list()[1].data_ptr()
    assert extended.faces_list()[0].data_ptr() != extended.faces_list()[1].data_ptr()
    for bad in (0, -1, 1.0, True, "2"):
        with pytest.raises(ValueError, match="N must be an int > 0"):
            meshes.extend(bad)


def test_a_subclass_stays_itself():
    class Named(Meshes):
        def __init__(self, name, *args):
            super().__init__(*args)
            self.name = name

    meshes = Named("cow", VERTS, FACES)
    copies = [meshes.clone(), meshes.detach(), meshes[0], meshes.extend(2), meshes.to("cpu", copy=True)]
    copies += [meshes.update_padded(torch.rand(2, 4, 3)), meshes.offset_verts(torch.ones(3)), *meshes.split([1, 1])]
    for copy in copies:
        assert isinstance(copy, Named)
        assert copy.name == "cow"


def test_pickling():
    meshes = textured()
    meshes.edges_packed()
    again = pickle.loads(pickle.dumps(meshes))
    assert_same(again, meshes)
    assert torch.equal(again.edges_packed(), meshes.edges_packed())
    assert torch.equal(again.laplacian_packed().to_dense(), meshes.laplacian_packed().to_dense())


def test_repr_says_what_is_inside():
    assert repr(two()) == "Meshes(N=2, verts=[3, 4], faces=[1, 2], dtype=float32, device=cpu)"
    given = Meshes(VERTS, FACES, VertexColors([torch.rand(3, 1), torch.rand(4, 1)]), verts_normals=VERTS)
    assert repr(given).endswith("verts_normals=given, textures=VertexColors)")
    assert "N=20, verts=3..4, faces=1..2" in repr(two().extend(10))


# Other positions.


def test_offset_verts():
    meshes = two()
    packed, padded = meshes.verts_packed(), meshes.verts_padded()
    before = packed.clone(), padded.clone()
    offsets = torch.randn(7, 3)
    moved = meshes.offset_verts(offsets)
    assert torch.equal(moved.verts_packed(), packed + offsets)
    assert torch.equal(moved.verts_list()[1], packed[3:] + offsets[3:])
    assert torch.equal(moved.verts_padded()[0, 3], torch.zeros(3))
    assert torch.equal(moved.verts_padded()[1], packed[3:] + offsets[3:])
    assert torch.equal(meshes.verts_packed(), before[0])
    assert torch.equal(meshes.verts_padded(), before[1])
    everywhere = meshes.offset_verts(torch.tensor([1.0, 2.0, 3.0]))
    assert torch.equal(everywhere.verts_packed(), packed + torch.tensor([1.0, 2.0, 3.0]))
    for shape in ((1, 3), (7,), (7, 1), (2, 4, 3), ()):
        with pytest.raises(ValueError, match=r"offsets must have shape \(3,\) or \(7, 3\)"):
            meshes.offset_verts(torch.zeros(shape))


def test_in_place_changes_leave_the_input_alone():
    padded = torch.rand(1, 3, 3, requires_grad=True)
    before = padded.detach().clone()
    meshes = Meshes(padded, torch.tensor([[[0, 1, 2]]]))
    assert meshes.offset_verts_(torch.ones(3, 3)) is meshes
    assert meshes.scale_verts_(2.0) is meshes
    assert torch.equal(padded, before)
    assert torch.equal(meshes.verts_padded(), (before + 1) * 2)
    meshes.verts_padded().sum().backward()
    assert torch.equal(padded.grad, torch.full_like(padded, 2))


def test_changed_positions_renew_normals():
    verts, faces = random_lists(SIZES)
    meshes = Meshes(verts, faces)
    for name in ("faces_normals_packed", "faces_areas_packed", "verts_normals_packed"):
        getattr(meshes, name)()
    offsets = torch.randn(19, 3, dtype=torch.float64)
    moved = meshes.offset_verts(offsets)
    assert moved.has_verts_normals()
    fresh = Meshes([v + o for v, o in zip(verts, offsets.split([len(v) for v in verts]), strict=True)], faces)
    assert not fresh.has_verts_normals()
    for name in ("faces_normals_packed", "faces_areas_packed", "verts_normals_packed"):
        torch.testing.assert_close(getattr(moved, name)(), getattr(fresh, name)())
    shifted = meshes.offset_verts(torch.ones(3, dtype=torch.float64))
    assert shifted.verts_normals_packed() is meshes.verts_normals_packed()
    assert shifted.faces_normals_packed() is meshes.faces_normals_packed()
    scaled = meshes.scale_verts(3.0)
    assert scaled.verts_normals_packed() is meshes.verts_normals_packed()
    torch.testing.assert_close(scaled.faces_areas_packed(), 9 * meshes.faces_areas_packed())


def test_scale_verts():
    meshes = two()
    for scale in (2, 2.0, torch.tensor(2.0)):
        assert torch.equal(meshes.scale_verts(scale).verts_packed(), 2 * meshes.verts_packed())
    scale = torch.tensor([2.0, 3.0], requires_grad=True)
    scaled = meshes.scale_verts(scale)
    assert torch.equal(scaled.verts_list()[0], 2 * VERTS[0])
    assert torch.equal(scaled.verts_list()[1], 3 * VERTS[1])
    scaled.verts_packed().sum().backward()
    assert scale.grad.tolist() == [VERTS[0].sum(), VERTS[1].sum()]
    for bad in (torch.ones(1), torch.ones(3), torch.ones(2, 1)):
        with pytest.raises(ValueError, match=r"must be a number or have shape \(2,\)"):
            meshes.scale_verts(bad)


def test_update_padded():
    verts, faces = random_lists(SIZES)
    meshes = Meshes(verts, faces, VertexColors([torch.rand(len(v), 2) for v in verts]))
    new = torch.randn(5, 7, 3, requires_grad=True)
    updated = meshes.update_padded(new)
    assert updated.verts_padded() is new
    assert updated.textures is meshes.textures
    for n, v in enumerate(verts):
        assert torch.equal(updated.verts_list()[n], new[n, : len(v)])
    assert torch.equal(updated.verts_packed(), torch.cat([new[n, : len(v)] for n, v in enumerate(verts)]))
    assert updated.equisized == meshes.equisized
    assert not updated.has_verts_normals()
    updated.verts_packed().sum().backward()
    assert new.grad.sum() == 3 * 19
    for bad in (new[:4], new[:, :6], new[..., :2]):
        with pytest.raises(ValueError, match=r"must have shape \(5, 7, 3\)"):
            meshes.update_padded(bad)
    with pytest.raises(TypeError, match=r"must be floating, got torch\.int64"):
        meshes.update_padded(new.long())


def test_deformed_meshes_share_what_follows_from_the_faces():
    verts, faces = random_lists(SIZES)
    meshes = Meshes(verts, faces)
    deformed = [
        meshes.offset_verts(torch.randn(19, 3, dtype=torch.float64)),
        meshes.update_padded(torch.randn(5, 7, 3, dtype=torch.float64)),
        meshes.scale_verts(2.0),
    ]
    edges = deformed[0].edges_packed()  # computed after the copies were made, and by a copy
    for other in (meshes, *deformed):
        assert other.edges_packed() is edges
        assert other.laplacian_packed() is meshes.laplacian_packed()
        assert other.faces_packed() is meshes.faces_packed()
        assert other.verts_packed_to_mesh_idx() is meshes.verts_packed_to_mesh_idx()


# Given normals.


@pytest.mark.parametrize("padded", [False, True])
def test_given_normals_are_used_and_survive(padded):
    normals = [torch.randn(3, 3), torch.randn(4, 3)]
    given = torch.stack([torch.cat([normals[0], torch.zeros(1, 3)]), normals[1]]) if padded else normals
    meshes = Meshes(VERTS, FACES, verts_normals=given)
    packed = torch.cat(normals)
    assert meshes.has_verts_normals()
    assert torch.equal(meshes.verts_normals_packed(), packed)
    assert torch.equal(meshes.verts_normals_list()[1], normals[1])
    assert torch.equal(meshes.verts_normals_padded()[0, :3], normals[0])
    kept = [
        meshes.clone(),
        meshes.detach(),
        meshes.to("cpu", copy=True),
        meshes[:],
        meshes.update_padded(torch.rand(2, 4, 3)),
    ]
    kept += [meshes.offset_verts(torch.ones(3)), meshes.scale_verts(2.0)]
    for copy in kept:
        assert torch.equal(copy.verts_normals_packed(), packed)
    assert torch.equal(meshes[1].verts_normals_packed(), normals[1])
    assert torch.equal(meshes.split([1, 1])[1].verts_normals_packed(), normals[1])
    assert torch.equal(meshes.extend(2).verts_normals_list()[3], normals[1])
    assert torch.equal(meshes.submeshes([[], [torch.tensor([1])]]).verts_normals_packed(), normals[1][1:])
    moved = meshes.offset_verts(torch.zeros(7, 3))
    assert moved.has_verts_normals()
    torch.testing.assert_close(moved.verts_normals_packed(), two().verts_normals_packed())


# Textures and sub-meshes.


def test_textures_are_kept_and_told_their_sizes():
    colors = VertexColors([torch.rand(3, 1), torch.rand(4, 1)])
    meshes = Meshes(VERTS, FACES, colors)
    assert meshes.textures is colors
    assert colors._num_verts_per_mesh == [3, 4]
    assert colors._num_faces_per_mesh == [1, 2]
    assert colors.valid is meshes.valid
    fragments = object()
    assert meshes.sample_textures(fragments) == (fragments, meshes.faces_packed())
    colors.features.pop()
    with pytest.raises(ValueError, match="do not match the dimensions"):
        meshes.sample_textures(fragments)
    with pytest.raises(ValueError, match="have no textures"):
        two().sample_textures(fragments)


def test_submeshes():
    verts = torch.rand(4, 3)
    mesh = Meshes([verts], [torch.tensor([[0, 1, 2], [3, 2, 1]])])
    part = mesh.submeshes([[torch.tensor([1])]])
    assert torch.equal(part.verts_list()[0], verts[1:])
    assert part.faces_list()[0].tolist() == [[2, 1, 0]]


def test_submeshes_of_a_batch():
    meshes = textured()
    sets = [
        [torch.tensor([3, 0, 3])],
        [],
        [torch.tensor([5]), torch.tensor([], dtype=torch.int64), torch.tensor([-1])],
        [],
        [],
    ]
    parts = meshes.submeshes(sets)
    assert len(parts) == 4
    assert parts.valid.tolist() == [True, True, False, True]
    flat = [(n, index) for n, of_mesh in enumerate(sets) for index in of_mesh]
    for part, colors, (n, index) in zip(parts, parts.textures.features, flat, strict=True):
        corners = meshes.verts_list()[n][meshes.faces_list()[n][index]]
        assert torch.equal(part.verts_packed()[part.faces_packed()], corners)
        used = meshes.faces_list()[n][index].unique()
        assert torch.equal(part.verts_packed(), meshes.verts_list()[n][used])
        assert torch.equal(colors, meshes.textures.features[n][used])


def test_submeshes_by_tensors_and_masks():
    verts, faces = random_lists([(5, 4), (6, 4)])
    meshes = Meshes(verts, faces)
    index = torch.tensor([[[0, 1], [2, 3]], [[3, 3], [0, 2]]])
    as_lists = meshes.submeshes([list(of_mesh) for of_mesh in index])
    assert_same(meshes.submeshes(index), as_lists)
    assert_same(meshes.submeshes(list(index)), as_lists)
    mask = torch.tensor([True, False, True, False])
    assert_same(meshes.submeshes([[mask], []]), meshes.submeshes([[torch.tensor([0, 2])], []]))


@pytest.mark.parametrize(
    ("sets", "error", "message"),
    [
        ([[]], ValueError, "exactly one set of submeshes for each mesh: .* must have 2 entries, got 1"),
        ([[torch.tensor([1])], []], IndexError, r"must lie in \[0, 1\), got 1 to 1"),
        ([[torch.tensor([-2])], []], IndexError, "got -2 to -2"),
        ([[torch.tensor([0.5])], []], IndexError, "must be integers, got torch.float32"),
        ([[torch.tensor([True, True])], []], IndexError, "a mask must have 1 entries, got 2"),
        ([[torch.tensor(0)], []], IndexError, "must be 1-D"),
    ],
)
def test_bad_submeshes(sets, error, message):
    with pytest.raises(error, match=message):
        two().submeshes(sets)


def test_compiles_without_graph_breaks():
    verts, faces = random_lists([(6, 8), (5, 7)], dtype=torch.float32)
    meshes = Meshes(verts, faces)

    def energy(offsets):
        moved = meshes.offset_verts(offsets)
        return moved.faces_areas_packed().sum() + moved.verts_normals_packed().sum() + moved.verts_padded().sum()

    offsets = torch.randn(11, 3)
    expected = energy(offsets)
    compiled = torch.compile(energy, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(offsets), expected)
