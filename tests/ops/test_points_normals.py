# SPDX-License-Identifier: Apache-2.0
"""Covariances, normals and local frames of clouds: definition, gradients, laws, real shapes, errors."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from torch import Tensor
from torch.autograd import gradcheck

from patina3d.io import load_objs_as_meshes
from patina3d.ops import (
    estimate_pointcloud_local_coord_frames as local_frames,
)
from patina3d.ops import (
    estimate_pointcloud_normals as normals_of,
)
from patina3d.ops import (
    get_point_covariances,
)
from patina3d.structures import Pointclouds
from support.meshes import real_mesh
from support.similarities import rotations

laws = settings(max_examples=10, deadline=None)
seeds = st.integers(0, 2**31 - 1)
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def ellipsoids(n: int = 2, points: int = 80, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Points on ellipsoids, where no two principal directions are alike."""
    cloud = torch.randn((n, points, 3), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (cloud / cloud.norm(dim=-1, keepdim=True) * cloud.new_tensor([1.0, 1.5, 2.3])).to(dtype)


def by_numpy(cloud: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Covariances, neighbours, eigenvalues and disambiguated frames of one cloud, point by point."""
    parts = []
    for point, idx in zip(cloud, cKDTree(cloud).query(cloud, k)[1], strict=True):
        near = cloud[idx]
        covariance = np.cov(near.T, bias=True)
        values, vectors = np.linalg.eigh(covariance)
        axes = []
        for axis in (vectors[:, 0], vectors[:, 2]):
            heights = (near - point) @ axis
            ahead, behind = (heights > 0).sum(), (heights < 0).sum()
            axes.append(-axis if (ahead, heights.sum()) < (behind, -heights.sum()) else axis)
            # PyTorch3D's rule, where it does not depend on the sign that comes in.
            assert max(ahead, behind) < k / 2 or ((near - point) @ axes[-1] > 0).sum() >= k / 2
        frame = np.stack([axes[0], np.cross(axes[0], axes[1]), axes[1]], 1)
        parts.append((covariance, near, values, frame))
    return tuple(np.stack(part) for part in zip(*parts, strict=True))


@pytest.mark.parametrize("k", [5, 12])
def test_equals_definition(k):
    clouds = ellipsoids()
    covariances, neighbors = get_point_covariances(clouds, torch.tensor([80, 80]), k)
    curvatures, frames = local_frames(clouds, k)
    for n in range(2):
        expected = by_numpy(clouds[n].numpy(), k)
        for got, want in zip((covariances, neighbors, curvatures, frames), expected, strict=True):
            np.testing.assert_allclose(got[n].numpy(), want, atol=1e-10)
    assert torch.equal(normals_of(clouds, k), frames[..., 0])
    torch.testing.assert_close(torch.linalg.det(frames), -torch.ones(2, 80, dtype=clouds.dtype))


@DTYPES
def test_both_solvers_agree(dtype, device):
    clouds = ellipsoids(dtype=dtype).to(device)
    for disambiguate in (False, True):
        one = local_frames(clouds, 10, disambiguate)
        other = local_frames(clouds, 10, disambiguate, use_symeig_workaround=False)
        assert one[0].dtype == one[1].dtype == dtype
        torch.testing.assert_close(one[0], other[0], atol=1e-5, rtol=1e-4)
        turns = (one[1] * other[1]).sum(2)
        torch.testing.assert_close(turns if disambiguate else turns.abs(), torch.ones_like(turns))


@pytest.mark.parametrize("as_pointclouds", [False, True])
def test_sphere(as_pointclouds, device):
    points = torch.nn.functional.normalize(torch.randn(3, 300, 3, device=device), dim=2)
    lengths = [300, 220, 251] if as_pointclouds else [300] * 3
    clouds = Pointclouds([2 * p[:length] + 5 for p, length in zip(points, lengths, strict=True)])
    normals = normals_of(clouds if as_pointclouds else 2 * points + 5)
    for n, length in enumerate(lengths):
        parallel = (normals[n, :length] * points[n, :length]).sum(-1)
        assert parallel.abs().mean() > 0.99
        # A sphere bends inwards, and so do the normals.
        assert (parallel < 0).double().mean() > 0.95
        assert not normals[n, length:].any()


@pytest.mark.parametrize("name", ["spot", "stanford-bunny"])
def test_real_shapes(name):
    mesh = load_objs_as_meshes([real_mesh(f"{name}.obj")], load_textures=False)
    normals = normals_of(mesh.verts_padded(), 12)[0]
    parallel = (normals * mesh.verts_normals_packed()).sum(-1).abs()
    assert parallel.median() > 0.98
    assert (parallel > 0.8).double().mean() > 0.93


def test_clouds_of_different_sizes_are_independent(device):
    clouds = ellipsoids(4).to(device)
    lengths = [30, 0, 80, 12]
    lists = [cloud[:length] for cloud, length in zip(clouds, lengths, strict=True)]
    curvatures, frames = local_frames(Pointclouds(lists), 10)
    assert frames.shape == (4, 80, 3, 3)
    for n, length in enumerate(lengths):
        assert not curvatures[n, length:].any()
        assert not frames[n, length:].any()
        if length:
            alone = local_frames(lists[n][None], 10)
            torch.testing.assert_close(curvatures[n, :length], alone[0][0])
            torch.testing.assert_close(frames[n, :length], alone[1][0])


def test_covariances_of_small_clouds(device):
    clouds = ellipsoids(3, 6).to(device)
    covariances, neighbors = get_point_covariances(clouds, torch.tensor([6, 3, 0], device=device), 5)
    assert neighbors.shape == (3, 6, 5, 3)
    for point in range(3):
        expected = np.cov(clouds[1, :3].cpu().numpy().T, bias=True)
        np.testing.assert_allclose(covariances[1, point].cpu().numpy(), expected, atol=1e-12)
    assert not neighbors[1, :, 3:].any()
    for part in (covariances, neighbors):
        assert not part[1, 3:].any()
        assert not part[2].any()
    flat, _ = get_point_covariances(clouds[..., :2], torch.tensor([6, 6, 6], device=device), 5)
    assert flat.shape == (3, 6, 2, 2)
    torch.testing.assert_close(
        get_point_covariances(clouds, torch.tensor([6] * 3, device=device), 6)[0][0, 0].mT.cpu(),
        torch.from_numpy(np.cov(clouds[0].cpu().numpy().T, bias=True)),
    )


def test_gradcheck():
    clouds = ellipsoids(1, 14).requires_grad_()
    lengths = torch.tensor([14])
    assert gradcheck(lambda x: get_point_covariances(x, lengths, 6), clouds)
    for workaround in (False, True):
        assert gradcheck(lambda x, w=workaround: local_frames(x, 6, use_symeig_workaround=w), clouds)


@DTYPES
@pytest.mark.parametrize("shape", ["identical", "collinear", "coplanar", "lattice"])
def test_gradients_are_finite_at_repeated_eigenvalues(shape, dtype, device):
    x = ellipsoids(1, 27, dtype=dtype)
    x = {
        "identical": x[:, :1].expand(1, 27, 3),
        "collinear": torch.linspace(0, 1, 27, dtype=dtype)[:, None] * x[:, :1],
        "coplanar": x * x.new_tensor([1, 0, 1]),
        "lattice": torch.cartesian_prod(*[torch.arange(3, dtype=dtype)] * 3)[None],
    }[shape].to(device)
    x = x.clone().requires_grad_()
    curvatures, frames = local_frames(x, 26)
    torch.testing.assert_close(frames.mT @ frames, torch.eye(3, dtype=dtype, device=device).expand(1, 27, 3, 3))
    assert (curvatures >= -1e-6).all()
    (curvatures.sum() + (frames * torch.randn(3, 3, dtype=dtype, device=device)).sum()).backward()
    assert x.grad.isfinite().all()


@DTYPES
def test_far_from_the_origin(dtype):
    # The offsets of a lattice of eighths are exact wherever it stands; what it says about the shape is the same.
    clouds = (8 * ellipsoids(dtype=dtype)).round() / 8
    torch.testing.assert_close(
        get_point_covariances(clouds + 1024, torch.tensor([80, 80]), 10)[0],
        get_point_covariances(clouds, torch.tensor([80, 80]), 10)[0],
        atol=0,
        rtol=0,
    )


@DTYPES
@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_the_unit_does_not_matter(scale, dtype):
    clouds = ellipsoids(dtype=dtype)
    (curvatures, frames), (scaled, same) = local_frames(clouds, 10), local_frames(scale * clouds, 10)
    tolerance = {"atol": 1e-3, "rtol": 0} if dtype == torch.float32 else {}
    torch.testing.assert_close(same, frames, **tolerance)
    torch.testing.assert_close(scaled / scale**2, curvatures, atol=1e-6, rtol=1e-5)


@laws
@given(seeds)
def test_law_rigid_motion_and_order(seed):
    clouds = ellipsoids(seed=seed)
    curvatures, frames = local_frames(clouds, 10)
    turn = rotations(1, 3, seed)[0]
    turned = local_frames(clouds @ turn.T + 3, 10)
    torch.testing.assert_close(turned[0], curvatures, atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(turned[1], turn @ frames, atol=1e-6, rtol=0)
    order = torch.randperm(80, generator=torch.Generator().manual_seed(seed))
    permuted = local_frames(clouds[:, order], 10)
    torch.testing.assert_close(permuted[0], curvatures[:, order])
    torch.testing.assert_close(permuted[1], frames[:, order])
    torch.testing.assert_close(local_frames(clouds[1:], 10)[1], frames[1:])


def test_halves_and_empty_batches():
    clouds = ellipsoids(dtype=torch.float16)
    assert torch.equal(normals_of(clouds, 10), normals_of(clouds.float(), 10))
    for nothing in (torch.zeros(0, 7, 3), torch.zeros(2, 0, 3), Pointclouds([])):
        assert normals_of(nothing).numel() == 0


def test_compiles():
    clouds = ellipsoids().requires_grad_()
    compiled = torch.compile(lambda x: local_frames(x, 10), fullgraph=True, backend="aot_eager")
    expected, got = local_frames(clouds, 10), compiled(clouds)
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b)
    gradients = [
        torch.autograd.grad(sum(part.square().sum() for part in parts), clouds)[0] for parts in (got, expected)
    ]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("operator", [normals_of, local_frames])
def test_errors(operator):
    name = operator.__name__
    for k, clouds in (
        (80, ellipsoids()),
        (0, ellipsoids()),
        (10, Pointclouds([ellipsoids()[0], ellipsoids()[0, :10]])),
    ):
        with pytest.raises(ValueError, match=rf"{name}: neighborhood_size must be .* less than the size of each"):
            operator(clouds, k)
    with pytest.raises(ValueError, match=rf"{name}: pointclouds must be of shape \(N, P, 3\), got \(2, 80, 2\)"):
        operator(ellipsoids()[..., :2])
    with pytest.raises(ValueError, match=rf"{name}: pointclouds must be of shape \(N, P, D\), got \(80, 3\)"):
        operator(ellipsoids()[0])
    with pytest.raises(TypeError, match=rf"{name}: pointclouds must be floating, got torch.int64"):
        operator(ellipsoids().long())


def test_covariance_errors():
    with pytest.raises(ValueError, match=r"get_point_covariances: points_padded must be of shape .*got \(80, 3\)"):
        get_point_covariances(ellipsoids()[0], torch.tensor([80]), 5)
    with pytest.raises(ValueError, match=r"num_points_per_cloud must be of shape \(2,\), got \(1,\)"):
        get_point_covariances(ellipsoids(), torch.tensor([80]), 5)
    with pytest.raises(ValueError, match="neighborhood_size must be >= 1, got 0"):
        get_point_covariances(ellipsoids(), torch.tensor([80, 80]), 0)


def test_curvatures_of_a_plane_are_not_negative():
    plane = ellipsoids(1, 200, dtype=torch.float32) * torch.tensor([1.0, 1, 0])
    tilted = plane @ rotations(1, 3)[0].float().T
    curvatures, _ = local_frames(tilted, 20)
    assert (curvatures >= 0).all()
    assert (curvatures[..., 0] <= 1e-6 * curvatures[..., 2]).all()


@DTYPES
def test_covariances_have_no_negative_eigenvalues(dtype):
    # Seen from the point that is alone the square of the mean is a hundred times the variance.
    line = torch.ones(200, 1, dtype=dtype).index_fill(0, torch.tensor(0), 0) * torch.tensor([0.3, 0.7, -0.64]).to(dtype)
    covariances, _ = get_point_covariances(line[None], torch.tensor([200]), 200)
    lowest, highest = torch.linalg.eigvalsh(covariances.double())[..., [0, 2]].unbind(-1)
    assert (lowest >= -64 * torch.finfo(dtype).eps * highest).all()


@pytest.mark.parametrize("scale", [1e-25, 1e-22, 1e22, 1e35])
def test_the_range_of_squares_does_not_matter(scale):
    clouds = ellipsoids(dtype=torch.float32)
    torch.testing.assert_close(normals_of(scale * clouds, 10), normals_of(clouds, 10), atol=1e-3, rtol=0)


def test_functional_gradient():
    clouds = ellipsoids(1).requires_grad_()
    (expected,) = torch.autograd.grad(normals_of(clouds, 10)[..., 0].sum(), clouds)
    found = torch.func.grad(lambda x: normals_of(x, 10)[..., 0].sum())(clouds.detach())
    torch.testing.assert_close(found, expected)
