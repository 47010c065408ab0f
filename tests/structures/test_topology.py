# SPDX-License-Identifier: Apache-2.0
"""Edges and the Laplacian against their definitions."""

import pytest
import torch
from hypothesis import given, settings

from patina3d.structures import Meshes
from patina3d.structures.meshes.topology import unique_edges
from support.meshes import real_mesh
from support.random_meshes import SIZES, batch_sizes, random_lists


def edges_by_definition(faces: list[list[int]]) -> list[tuple[int, int]]:
    return sorted({tuple(sorted((f[k], f[k - 1]))) for f in faces for k in range(3)})


def laplacian_by_definition(num_verts: int, edges: list[tuple[int, int]]) -> torch.Tensor:
    laplacian = -torch.eye(num_verts, dtype=torch.float64)
    for i in range(num_verts):
        neighbours = [b if a == i else a for a, b in edges if i in (a, b) and a != b]
        for j in neighbours:
            laplacian[i, j] += 1 / len(neighbours)
    return laplacian


def test_anchor_of_two_meshes():
    verts, faces = (
        [torch.rand(3, 3), torch.rand(4, 3)],
        [torch.tensor([[0, 1, 2]]), torch.tensor([[0, 1, 2], [1, 2, 3]])],
    )
    meshes = Meshes(verts, faces)
    expected = [[0, 1], [0, 2], [1, 2], [3, 4], [3, 5], [4, 5], [4, 6], [5, 6]]
    assert meshes.edges_packed().tolist() == expected
    assert meshes.faces_packed_to_edges_packed().tolist() == [[2, 1, 0], [5, 4, 3], [7, 6, 5]]
    assert meshes.num_edges_per_mesh().tolist() == [3, 5]
    assert meshes.num_edges_per_mesh().dtype == torch.int32
    assert meshes.mesh_to_edges_packed_first_idx().tolist() == [0, 3]
    assert meshes.edges_packed_to_mesh_idx().tolist() == [0, 0, 0, 1, 1, 1, 1, 1]


def test_anchor_laplacian():
    mesh = Meshes([torch.rand(4, 3)], [torch.tensor([[0, 1, 2], [3, 2, 1]])])
    third = 1 / 3
    expected = [[-1, 0.5, 0.5, 0], [third, -1, third, third], [third, third, -1, third], [0, 0.5, 0.5, -1]]
    torch.testing.assert_close(mesh.laplacian_packed().to_dense(), torch.tensor(expected))


@settings(deadline=None)
@given(batch_sizes())
def test_equals_definition(sizes):
    verts, faces = random_lists(sizes)
    meshes = Meshes(verts, faces)
    edges = edges_by_definition(meshes.faces_packed().tolist())
    assert [tuple(edge) for edge in meshes.edges_packed().tolist()] == edges
    for face, of_face in zip(
        meshes.faces_packed().tolist(), meshes.faces_packed_to_edges_packed().tolist(), strict=True
    ):
        for corner in range(3):
            opposite = sorted((face[(corner + 1) % 3], face[(corner + 2) % 3]))
            assert list(edges[of_face[corner]]) == opposite
    mesh_of_vert = meshes.verts_packed_to_mesh_idx().tolist()
    mesh_of_edge = [mesh_of_vert[a] for a, _ in edges]
    assert meshes.edges_packed_to_mesh_idx().tolist() == mesh_of_edge
    counts = [mesh_of_edge.count(n) for n in range(len(meshes))]
    assert meshes.num_edges_per_mesh().tolist() == counts
    assert meshes.mesh_to_edges_packed_first_idx().tolist() == [sum(counts[:n]) for n in range(len(meshes))]
    expected = laplacian_by_definition(len(mesh_of_vert), edges)
    torch.testing.assert_close(meshes.laplacian_packed().to_dense(), expected.to(meshes.verts_packed().dtype))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_laplacian_has_the_dtype_of_the_vertices(dtype, device):
    verts, faces = random_lists(SIZES, dtype=dtype, device=device)
    laplacian = Meshes(verts, faces).laplacian_packed()
    assert laplacian.dtype == dtype
    assert laplacian.is_coalesced()
    assert laplacian.device.type == device.type


def test_update_to_another_dtype_keeps_both_laplacians():
    verts, faces = random_lists([(4, 4)], dtype=torch.float32)
    meshes = Meshes(verts, faces)
    updated = meshes.update_padded(meshes.verts_padded().double())
    assert updated.laplacian_packed().dtype == torch.float64
    assert meshes.laplacian_packed().dtype == torch.float32


def test_a_mesh_in_a_batch_is_itself_alone(device):
    verts, faces = random_lists(SIZES, device=device)
    meshes = Meshes(verts, faces)
    edges = meshes.edges_packed().split(meshes.num_edges_per_mesh().tolist())
    firsts = meshes.mesh_to_verts_packed_first_idx()
    for n, alone in enumerate(meshes):
        assert torch.equal(alone.edges_packed(), edges[n] - firsts[n])


def test_order_of_faces_does_not_matter():
    _, (faces,) = random_lists([(9, 20)])
    edges, of_face = unique_edges(faces, 9)
    permutation = torch.randperm(20)
    permuted, of_permuted = unique_edges(faces[permutation], 9)
    assert torch.equal(edges, permuted)
    assert torch.equal(of_face[permutation], of_permuted)


def test_many_vertices_do_not_overflow():
    faces = torch.tensor([[0, 2**31 + 5, 2**31 + 7]])
    edges, _ = unique_edges(faces, 2**31 + 8)
    assert edges.tolist() == [[0, 2**31 + 5], [0, 2**31 + 7], [2**31 + 5, 2**31 + 7]]


def test_second_call_does_not_wait_for_the_device(device):
    verts, faces = random_lists(SIZES, device=device)
    meshes = Meshes(verts, faces)
    meshes.laplacian_packed()
    meshes.num_edges_per_mesh()
    if device.type == "cuda":
        torch.cuda.set_sync_debug_mode("error")
    try:
        moved = meshes.offset_verts(torch.ones(19, 3, dtype=torch.float64, device=device))
        moved.edges_packed(), moved.laplacian_packed(), moved.num_edges_per_mesh()
        moved.verts_normals_packed(), moved.verts_padded(), moved.faces_areas_packed()
    finally:
        if device.type == "cuda":
            torch.cuda.set_sync_debug_mode("default")
    assert moved.edges_packed() is meshes.edges_packed()


def test_euler_number_of_a_closed_scan():
    lines = real_mesh("rocker-arm.obj").read_text().splitlines()
    verts = torch.tensor([[float(x) for x in line.split()[1:4]] for line in lines if line.startswith("v ")])
    faces = torch.tensor(
        [[int(x.split("/")[0]) - 1 for x in line.split()[1:4]] for line in lines if line.startswith("f ")]
    )
    mesh = Meshes([verts], [faces])
    edges, of_face = mesh.edges_packed(), mesh.faces_packed_to_edges_packed()
    assert verts.shape[0] - edges.shape[0] + faces.shape[0] == 0  # genus 1
    assert (of_face.reshape(-1).bincount() == 2).all()
    smoothed = verts + mesh.laplacian_packed() @ verts
    neighbours = [b if a == 7 else a for a, b in edges.tolist() if 7 in (a, b)]
    torch.testing.assert_close(smoothed[7], verts[neighbours].mean(0))
