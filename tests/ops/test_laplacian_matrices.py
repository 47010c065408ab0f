# SPDX-License-Identifier: Apache-2.0
"""Laplacian matrices: definitions, gradients, laws, edges, errors."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck

from patina3d.ops import cot_laplacian, laplacian, norm_laplacian
from patina3d.structures import Meshes
from patina3d.utils import ico_sphere
from support.random_meshes import SIZES, random_lists

laws = settings(max_examples=15, deadline=None)
seeds = st.integers(0, 2**31 - 1)

SQUARE = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
HALVES = torch.tensor([[0, 1, 2], [0, 2, 3]])


def grid(seed: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """A sphere with jittered vertices."""
    sphere = ico_sphere(1)
    noise = torch.randn(sphere.verts_packed().shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (sphere.verts_packed().double() + 0.05 * noise).to(dtype), sphere.faces_packed()


def corner(a: Tensor, b: Tensor, c: Tensor) -> float:
    """The cotangent of the angle at a."""
    cosine = (b - a) @ (c - a) / ((b - a).norm() * (c - a).norm())
    return 1 / math.tan(math.acos(float(cosine)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_uniform_definition(dtype, device):
    verts, faces = random_lists(SIZES, dtype=dtype, device=device)
    meshes = Meshes(verts, faces)
    packed, edges = meshes.verts_packed(), meshes.edges_packed()
    edges = edges[edges[:, 0] != edges[:, 1]]
    matrix = laplacian(packed, edges)
    assert matrix.is_sparse
    assert matrix.dtype == dtype
    want = -torch.eye(len(packed), dtype=dtype, device=device)
    for a, b in edges.tolist():
        want[a, b] = 1 / (edges == a).sum()
        want[b, a] = 1 / (edges == b).sum()
    torch.testing.assert_close(matrix.to_dense(), want)
    # Rows sum to 0; those of vertices without an edge are -1 on the diagonal alone.
    sums = matrix.to_dense().sum(1)
    lonely = ~torch.isin(torch.arange(len(packed), device=device), edges)
    assert lonely.any()
    torch.testing.assert_close(sums, torch.where(lonely, -1, 0).to(dtype), atol=1e-6, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cotangent_definition(dtype, device):
    verts, faces = grid(0)
    want, areas = torch.zeros(len(verts), len(verts), dtype=torch.float64), torch.zeros(len(verts), dtype=torch.float64)
    for face in faces.tolist():
        for k in range(3):
            i, a, b = face[k], face[(k + 1) % 3], face[(k + 2) % 3]
            cotangent = corner(verts[i], verts[a], verts[b])
            want[a, b] += cotangent
            want[b, a] += cotangent
            areas[i] += torch.linalg.cross(verts[a] - verts[i], verts[b] - verts[i]).norm() / 2
    matrix, inverse = cot_laplacian(verts.to(device, dtype), faces.to(device))
    assert matrix.dtype == inverse.dtype == dtype
    tolerance = {"rtol": 1e-4, "atol": 1e-4} if dtype == torch.float32 else {}
    torch.testing.assert_close(matrix.to_dense().cpu().double(), want, **tolerance)
    torch.testing.assert_close(inverse.cpu().double(), 1 / areas[:, None], **tolerance)


def test_cotangents_of_a_square():
    matrix, inverse = cot_laplacian(SQUARE, HALVES)
    # The sides are opposite angles of 45 degrees, the diagonal lies opposite two right angles.
    side = torch.tensor([[0.0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0]])
    torch.testing.assert_close(matrix.to_dense(), side)
    torch.testing.assert_close(inverse[:, 0], torch.tensor([1.0, 2, 1, 2]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_inverse_length_definition(dtype, device):
    edges = torch.tensor([[0, 1], [1, 2], [0, 3]], device=device)
    verts = torch.randn(5, 3, dtype=dtype, device=device)
    want = torch.zeros(5, 5, dtype=dtype, device=device)
    for a, b in edges.tolist():
        want[a, b] = want[b, a] = 1 / (verts[a] - verts[b]).norm()
    matrix = norm_laplacian(verts, edges)
    assert matrix.dtype == dtype
    torch.testing.assert_close(matrix.to_dense(), want)
    coarse = norm_laplacian(verts, edges, eps=1.0)
    torch.testing.assert_close(coarse.to_dense()[0, 1], 1 / ((verts[0] - verts[1]).norm() + 1))


def test_gradcheck(device):
    verts = torch.randn((4, 3), dtype=torch.float64, device=device, requires_grad=True)
    faces = HALVES.to(device)
    edges = torch.tensor([[0, 1], [1, 3]], device=device)

    def cotangents(v: Tensor) -> tuple[Tensor, Tensor]:
        matrix, inverse = cot_laplacian(v, faces)
        return matrix.to_dense(), inverse

    assert gradcheck(cotangents, verts)
    assert gradcheck(lambda v: norm_laplacian(v, edges).to_dense(), verts)
    assert not laplacian(verts, edges).requires_grad


@pytest.mark.parametrize(
    "verts",
    [
        [[0.0, 0, 0], [0, 0, 0], [1, 0, 0]],
        [[0.0, 0, 0], [0, 0, 0], [0, 0, 0]],
        [[0.0, 0, 0], [1, 0, 0], [3, 0, 0]],
    ],
    ids=["two corners meet", "a point", "a line"],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_degenerate_faces_stay_finite(verts, dtype):
    leaf = torch.tensor(verts, dtype=dtype, requires_grad=True)
    matrix, inverse = cot_laplacian(leaf, torch.tensor([[0, 1, 2]]))
    dense = matrix.to_dense()
    assert torch.isfinite(dense).all()
    assert not inverse.any()
    (dense.sum() + inverse.sum()).backward()
    assert torch.isfinite(leaf.grad).all()
    leaf.grad = None
    norm_laplacian(leaf, torch.tensor([[0, 1], [1, 2]])).to_dense().sum().backward()
    assert torch.isfinite(leaf.grad).all()


@laws
@given(seeds, st.integers(-20, 20), st.sampled_from([torch.float32, torch.float64]))
def test_scale(seed, exponent, dtype):
    verts, faces = grid(seed, dtype)
    scale = 2.0**exponent
    (plain, areas), (scaled, scaled_areas) = cot_laplacian(verts, faces), cot_laplacian(scale * verts, faces)
    torch.testing.assert_close(plain.to_dense(), scaled.to_dense())
    torch.testing.assert_close(areas, scale**2 * scaled_areas, atol=0, rtol=1e-5)
    edges = Meshes([verts], [faces]).edges_packed()
    lengths, scaled_lengths = norm_laplacian(verts, edges), norm_laplacian(scale * verts, edges)
    torch.testing.assert_close(lengths.to_dense(), scale * scaled_lengths.to_dense(), atol=0, rtol=1e-5)


@laws
@given(seeds)
def test_symmetric_and_blind_to_rigid_motion(seed):
    verts, faces = grid(seed)
    rotation, _ = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))
    moved = verts @ rotation + torch.tensor([1.0, -2, 3], dtype=torch.float64)
    edges = Meshes([verts], [faces]).edges_packed()
    for operator, index in ((lambda *a: cot_laplacian(*a)[0], faces), (norm_laplacian, edges)):
        matrix = operator(verts, index).to_dense()
        torch.testing.assert_close(matrix, matrix.T)
        assert not matrix.diagonal().any()
        torch.testing.assert_close(matrix, operator(moved, index).to_dense())


def test_a_linear_function_is_harmonic_inside():
    # The cotangent weights reproduce linear functions at inner vertices of a flat mesh.
    steps = torch.linspace(0, 1, 5, dtype=torch.float64)
    x, y = torch.meshgrid(steps, steps, indexing="ij")
    inner = ((x > 0) & (x < 1) & (y > 0) & (y < 1)).reshape(-1)
    flat = torch.stack([x, y], -1).reshape(-1, 2)
    flat[inner] += 0.05 * torch.randn(int(inner.sum()), 2, dtype=torch.float64)
    corners = torch.arange(25).reshape(5, 5)
    a, b, c, d = corners[:-1, :-1], corners[1:, :-1], corners[1:, 1:], corners[:-1, 1:]
    faces = torch.cat([torch.stack([a, b, c], -1).reshape(-1, 3), torch.stack([a, c, d], -1).reshape(-1, 3)])
    matrix = cot_laplacian(torch.nn.functional.pad(flat, (0, 1)), faces)[0].to_dense()
    residual = matrix @ flat - matrix.sum(1, keepdim=True) * flat
    torch.testing.assert_close(residual[inner], torch.zeros_like(residual[inner]))


def test_empty(device):
    for count in (0, 3):
        verts = torch.zeros((count, 3), device=device)
        none = torch.zeros((0, 2), dtype=torch.int64, device=device)
        faces = torch.zeros((0, 3), dtype=torch.int64, device=device)
        assert torch.equal(laplacian(verts, none).to_dense(), -torch.eye(count, device=device))
        matrix, inverse = cot_laplacian(verts, faces)
        assert matrix.shape == (count, count)
        assert inverse.shape == (count, 1)
        assert matrix._nnz() == norm_laplacian(verts, none)._nnz() == 0


@pytest.mark.parametrize("operator", [laplacian, norm_laplacian, cot_laplacian])
def test_errors(operator):
    width, name = (3, "faces") if operator is cot_laplacian else (2, "edges")
    index = torch.zeros(1, width, dtype=torch.int64)
    with pytest.raises(ValueError, match=rf"{operator.__name__}: verts must be of shape \(V, 3\), got \(4, 2\)"):
        operator(torch.rand(4, 2), index)
    with pytest.raises(ValueError, match=rf"{operator.__name__}: {name} must be of shape \(_, {width}\), got \(1, 4\)"):
        operator(torch.rand(4, 3), torch.zeros(1, 4, dtype=torch.int64))
    with pytest.raises(ValueError, match=rf"{operator.__name__}: {name} must be int64, got torch.int32"):
        operator(torch.rand(4, 3), index.int())
