# SPDX-License-Identifier: Apache-2.0
"""Joining meshes into a batch or into one mesh."""

import pytest
import torch

from patina3d.structures import Meshes, join_meshes_as_batch, join_meshes_as_scene
from support.random_meshes import SIZES, random_lists
from support.vertex_colors import VertexColors


def colored(seed: int) -> Meshes:
    verts, faces = random_lists(SIZES, seed=seed)
    return Meshes(verts, faces, VertexColors([torch.rand(len(v), 2) for v in verts]))


def test_batch_shares_tensors_in_order():
    first, second = colored(0), colored(1)
    joined = join_meshes_as_batch((first, second))
    assert len(joined) == 10
    for x, y in zip(joined.verts_list(), [*first.verts_list(), *second.verts_list()], strict=True):
        assert x is y
    for x, y in zip(joined.faces_list(), [*first.faces_list(), *second.faces_list()], strict=True):
        assert x is y
    assert joined.textures.calls == [("join_batch",)]
    assert len(joined.textures.features) == 10
    assert joined.textures._num_faces_per_mesh == 2 * [f for _, f in SIZES]
    assert join_meshes_as_batch([first, second], include_textures=False).textures is None


def test_scene_is_the_packed_batch():
    meshes = colored(0)
    scene = join_meshes_as_scene(meshes)
    assert len(scene) == 1
    assert scene.verts_padded().shape == (1, 19, 3)
    assert torch.equal(scene.verts_packed(), meshes.verts_packed())
    assert torch.equal(scene.faces_packed(), meshes.faces_packed())
    assert torch.equal(scene.edges_packed(), meshes.edges_packed())
    assert scene.textures.calls == [("join_scene",)]
    from_parts = join_meshes_as_scene(tuple(meshes))
    assert torch.equal(from_parts.faces_packed(), scene.faces_packed())
    assert join_meshes_as_scene(meshes, include_textures=False).textures is None


def test_scene_of_one_is_itself():
    mesh = colored(0)[0]
    assert join_meshes_as_scene(mesh) is mesh
    bare = join_meshes_as_scene(mesh, include_textures=False)
    assert bare.textures is None
    assert mesh.textures is not None
    assert bare.verts_packed() is mesh.verts_packed()


def test_nothing_to_join():
    assert len(join_meshes_as_batch([])) == 0
    assert len(join_meshes_as_batch([Meshes([], [])])) == 0
    for nothing in ([], Meshes([], [])):
        scene = join_meshes_as_scene(nothing)
        assert len(scene) == 1
        assert scene.verts_packed().shape == (0, 3)
        assert scene.isempty()
    with_empty = join_meshes_as_batch([Meshes([], []), colored(0)], include_textures=False)
    assert len(with_empty) == 5
    assert with_empty.verts_packed().dtype == torch.float64


def test_gradient_flows():
    verts = torch.rand(3, 3, requires_grad=True)
    mesh = Meshes([verts], [torch.tensor([[0, 1, 2]])])
    join_meshes_as_scene([mesh, mesh]).verts_packed().sum().backward()
    assert torch.equal(verts.grad, torch.full((3, 3), 2.0))


def test_given_normals_are_kept():
    verts, faces = random_lists([(4, 4)])
    normals = torch.randn(4, 3, dtype=torch.float64)
    given, computed = Meshes(verts, faces, verts_normals=[normals]), Meshes(verts, faces)
    for joined in (join_meshes_as_batch([given, computed]), join_meshes_as_scene([given, computed])):
        assert torch.equal(joined.verts_normals_packed(), torch.cat([normals, computed.verts_normals_packed()]))
    assert not join_meshes_as_batch([computed, computed]).has_verts_normals()


def test_bad_input_is_named():
    meshes = colored(0)
    for bad in (meshes, [meshes, "mesh"], None):
        with pytest.raises(ValueError, match="meshes must be a list or tuple of Meshes"):
            join_meshes_as_batch(bad)
    with pytest.raises(ValueError, match="include_textures must be a bool, got Meshes"):
        join_meshes_as_scene(meshes, meshes)
    bare = Meshes(meshes.verts_list(), meshes.faces_list())
    with pytest.raises(ValueError, match=r"same type of texture, got \['VertexColors', 'none'\]"):
        join_meshes_as_batch([meshes, bare])

    class OtherColors(VertexColors):
        pass

    other = Meshes(meshes.verts_list(), meshes.faces_list(), OtherColors(meshes.textures.features))
    with pytest.raises(ValueError, match="same type of texture"):
        join_meshes_as_batch([meshes, other])
    with pytest.raises(ValueError, match=r"the same device, got \['cpu', 'meta'\]"):
        join_meshes_as_batch([bare, bare.to("meta")])
    single = Meshes([v.float() for v in bare.verts_list()], bare.faces_list())
    with pytest.raises(TypeError, match="one dtype"):
        join_meshes_as_batch([bare, single])
