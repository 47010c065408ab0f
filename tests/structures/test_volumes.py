# SPDX-License-Identifier: Apache-2.0
"""Batches of voxel grids, and where their voxels are."""

import pickle

import numpy as np
import pytest
import torch
from torch.nn.functional import grid_sample

from patina3d.structures import Volumes
from patina3d.structures.volumes import VolumeLocator

CPU = torch.device("cpu")
SIZES = [(2, 3, 4), (3, 3, 2), (1, 4, 1)]


def mixed(**options) -> Volumes:
    densities = [torch.rand(1, *size) for size in SIZES]
    features = [torch.rand(2, *size) for size in SIZES]
    return Volumes(densities, features, **options)


# Frames.


def test_anchor_frame():
    volumes = Volumes(torch.zeros(1, 1, 3, 4, 5), voxel_size=0.5, volume_translation=(1, 2, 3))
    matrix = volumes.get_local_to_world_coords_transform().get_matrix()[0]
    assert matrix.diag().tolist() == [1, 0.75, 0.5, 1]
    assert matrix[3].tolist() == [-1, -2, -3, 1]
    grid = volumes.get_coord_grid()
    assert grid.shape == (1, 3, 4, 5, 3)
    assert grid[0, 0, 0, 0].tolist() == [-2, -2.75, -3.5]
    assert grid[0, -1, -1, -1].tolist() == [0, -1.25, -2.5]
    assert volumes.world_to_local_coords(torch.tensor([[-1.0, -2, -3]])).tolist() == [[0, 0, 0]]


def test_anchor_unaligned_corners():
    grid = VolumeLocator(1, (3, 4, 5), CPU, align_corners=False).get_coord_grid(world_coordinates=False)
    torch.testing.assert_close(grid[0, 0, 0, 0], -torch.tensor([0.8, 0.75, 2 / 3]))
    torch.testing.assert_close(grid[0, -1, -1, -1], torch.tensor([0.8, 0.75, 2 / 3]))


def test_anchor_mixed_sizes():
    grid = VolumeLocator(2, [(2, 3, 4), (3, 3, 2)], CPU).get_coord_grid(world_coordinates=False)
    assert grid.shape == (2, 3, 3, 4, 3)
    assert grid[0, 1, 2, 3].tolist() == [1, 1, 1]
    assert grid[1, 2, 2, 1].tolist() == [1, 1, 1]
    assert grid[1, 2, 2, 3].tolist() == [5, 1, 1]


@pytest.mark.parametrize("align_corners", [True, False])
def test_local_coordinates_are_those_of_grid_sample(align_corners):
    volumes = mixed(align_corners=align_corners)
    grid = volumes.get_coord_grid(world_coordinates=False)
    for n, (features, (d, h, w)) in enumerate(zip(volumes.features_list(), SIZES, strict=True)):
        sampled = grid_sample(features[None], grid[None, n, :d, :h, :w], align_corners=align_corners)
        torch.testing.assert_close(sampled[0], features)


@pytest.mark.parametrize("align_corners", [True, False])
def test_neighbours_are_one_voxel_apart_in_the_world(align_corners, device):
    voxel_size = torch.tensor([[0.5, 0.25, 2.0], [1, 1, 1], [3, 2, 1]], device=device)
    translation = torch.randn(3, 3, device=device)
    locator = VolumeLocator(3, SIZES, device, voxel_size, translation, align_corners)
    grid = locator.get_coord_grid()
    assert grid.dtype == torch.float32
    for axis in range(3):
        steps = grid.diff(dim=3 - axis)[..., axis]
        torch.testing.assert_close(steps, voxel_size[:, axis, None, None, None].expand(steps.shape))
    for n, (d, h, w) in enumerate(SIZES):
        centre = grid[n, :d, :h, :w].reshape(-1, 3).mean(0)
        torch.testing.assert_close(centre, -translation[n], rtol=1e-5, atol=1e-5)
    local = locator.get_coord_grid(world_coordinates=False)
    torch.testing.assert_close(locator.local_to_world_coords(local), grid)
    torch.testing.assert_close(locator.world_to_local_coords(grid), local, rtol=1e-4, atol=1e-5)
    transform = locator.get_local_to_world_coords_transform()
    assert len(transform) == 3
    torch.testing.assert_close(transform.transform_points(local.reshape(3, -1, 3)), grid.reshape(3, -1, 3))
    back = locator.get_world_to_local_coords_transform().transform_points(grid.reshape(3, -1, 3))
    torch.testing.assert_close(back, local.reshape(3, -1, 3), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("align_corners", [True, False])
def test_an_axis_of_one_voxel_is_defined(align_corners):
    locator = VolumeLocator(
        1, (1, 1, 1), CPU, voxel_size=2.0, volume_translation=(1, 1, 1), align_corners=align_corners
    )
    assert locator.get_coord_grid(world_coordinates=False).flatten().tolist() == [0, 0, 0]
    assert locator.get_coord_grid().flatten().tolist() == [-1, -1, -1]
    assert locator.get_world_to_local_coords_transform().get_matrix().isfinite().all()


def test_points_of_any_dtype_and_shape():
    volumes = mixed(voxel_size=0.1, volume_translation=(0.1, 0.2, 0.3))
    points = torch.randn(3, 4, 2, 3, dtype=torch.float64).transpose(1, 2)
    world = volumes.local_to_world_coords(points)
    assert world.dtype == torch.float64
    torch.testing.assert_close(volumes.world_to_local_coords(world), points)
    expected = points[0] * 0.05 * torch.tensor([3.0, 2, 1]) - torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
    torch.testing.assert_close(world[0], expected, rtol=0, atol=1e-15)
    assert volumes.world_to_local_coords(points[:, 0, 0]).shape == (3, 3)
    one = VolumeLocator(1, (2, 2, 2), CPU)
    assert one.local_to_world_coords(points).shape == points.shape
    for bad in (points[:2], points[0, 0, 0], points[..., :2]):
        with pytest.raises(ValueError, match=r"points must have shape \(3, ..., 3\)"):
            volumes.world_to_local_coords(bad)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2, [[2, 2, 2]] * 2),
        ((1, 2, 3), [[1, 2, 3]] * 2),
        ([1.0, 2.0, 3.0], [[1, 2, 3]] * 2),
        (torch.tensor(2.0), [[2, 2, 2]] * 2),
        (torch.tensor([2.0]), [[2, 2, 2]] * 2),
        (torch.tensor([1.0, 2, 3]), [[1, 2, 3]] * 2),
        (torch.tensor([[1.0, 2, 3]]), [[1, 2, 3]] * 2),
        (torch.tensor([[1.0, 2, 3], [4, 5, 6]]), [[1, 2, 3], [4, 5, 6]]),
        (torch.tensor([[1.0], [4]]), [[1, 1, 1], [4, 4, 4]]),
    ],
)
def test_forms_of_size_and_translation(value, expected):
    shift = (value,) * 3 if isinstance(value, int) else value  # a plain number is a size, but no translation
    locator = VolumeLocator(2, (3, 3, 3), CPU, voxel_size=value, volume_translation=shift)
    matrix = locator.get_local_to_world_coords_transform().get_matrix()
    assert matrix.diagonal(dim1=1, dim2=2)[:, :3].tolist() == expected
    assert (-matrix[:, 3, :3]).tolist() == expected


def test_gradient_flows_to_size_and_translation():
    size = torch.rand(3, 1, dtype=torch.float64) + 1
    translation, points = torch.randn(3, 3, dtype=torch.float64), torch.randn(3, 5, 3, dtype=torch.float64)
    leaves = [x.requires_grad_() for x in (size, translation, points)]

    def run(size, translation, points):
        locator = VolumeLocator(3, SIZES, CPU, size, translation)
        return locator.get_coord_grid(), locator.world_to_local_coords(points), locator.local_to_world_coords(points)

    assert torch.autograd.gradcheck(run, leaves)
    assert VolumeLocator(3, SIZES, CPU, size).get_local_to_world_coords_transform().dtype == torch.float64


@pytest.mark.parametrize(
    "sizes", [(2, 3, 4), [(2, 3, 4)] * 2, [torch.tensor([2, 3, 4])] * 2, torch.tensor([[2, 3, 4]] * 2)]
)
def test_forms_of_grid_sizes(sizes):
    locator = VolumeLocator(2, sizes, CPU)
    assert locator.get_grid_sizes().tolist() == [[2, 3, 4], [2, 3, 4]]
    assert locator.get_grid_sizes().dtype == torch.int64
    assert tuple(locator._resolution) == (2, 3, 4)
    assert len(locator) == 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: VolumeLocator(2, (2, 3), CPU), "grid_sizes must be"),
        (lambda: VolumeLocator(2, [(2, 3, 4)], CPU), "2 of them, one a grid"),
        (lambda: VolumeLocator(2, [(2, 3), (2, 3)], CPU), "grid_sizes must be"),
        (
            lambda: VolumeLocator(2, (2, 3, 4), CPU, voxel_size=torch.ones(2)),
            r"voxel_size must be a number.*got \(2,\)",
        ),
        (lambda: VolumeLocator(2, (2, 3, 4), CPU, volume_translation=(1, 2)), "volume_translation must be"),
        (lambda: VolumeLocator(2, (2, 3, 4), CPU, volume_translation=1.0), r"must be \(x, y, z\), got 1.0"),
        (lambda: VolumeLocator(2, (2, 3, 4), CPU, voxel_size=None), "voxel_size must be numbers or a tensor, got None"),
        (lambda: VolumeLocator(2, (2, 3, 4), CPU, volume_translation=torch.ones(3, 3)), "volume_translation must be"),
        (lambda: Volumes(torch.zeros(1, 2, 3, 4)), r"densities must have shape \(N, C, D, H, W\), got \(1, 2, 3, 4\)"),
        (lambda: Volumes([]), "at least one volume"),
        (lambda: Volumes("grid"), "must be a tensor, or a list or tuple of tensors"),
        (lambda: Volumes([torch.zeros(1, 2, 2)]), r"densities\[0\] must have shape \(C, D, H, W\)"),
        (lambda: Volumes([torch.zeros(1, 2, 2, 2), torch.zeros(2, 2, 2, 2)]), r"densities\[1\] must have .* C = 1"),
        (lambda: Volumes(torch.zeros(1, 1, 2, 2, 2), torch.zeros(1, 1, 2, 2, 3)), "features must be on the grids"),
        (lambda: Volumes(torch.zeros(1, 1, 2, 2, 2), [torch.zeros(1, 2, 2, 1)]), "features must be on the grids"),
        (lambda: Volumes(torch.zeros(1, 1, 2, 2, 2), torch.zeros(1, 1, 2, 2, 2, device="meta")), "must be on cpu"),
        (lambda: mixed().update_padded(torch.zeros(2, 1, 3, 4, 4)), "densities must be on the grids"),
        (lambda: mixed().update_padded([torch.zeros(1, 3, 4, 4)] * 3), "densities must be on the grids"),
    ],
)
def test_errors_name_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# Values.


def test_padding_and_lists():
    densities, features = [torch.rand(1, *s) for s in SIZES], [torch.rand(2, *s) for s in SIZES]
    volumes = Volumes(tuple(densities), features)
    assert volumes.densities().shape == (3, 1, 3, 4, 4)
    assert volumes.features().shape == (3, 2, 3, 4, 4)
    assert volumes.densities().sum() == pytest.approx(sum(d.sum().item() for d in densities))
    for got, expected in zip(
        [*volumes.densities_list(), *volumes.features_list()], [*densities, *features], strict=True
    ):
        assert torch.equal(got, expected)
    assert volumes.densities_list()[1].data_ptr() == volumes.densities()[1].data_ptr()
    assert volumes.get_grid_sizes().tolist() == [list(s) for s in SIZES]
    padded_features = Volumes(densities, volumes.features())
    assert torch.equal(padded_features.features_list()[0], features[0])
    tensor = torch.rand(2, 1, 2, 3, 4)
    plain = Volumes(tensor)
    assert plain.densities() is tensor
    assert plain.features() is plain.features_list() is None


@pytest.mark.parametrize(
    ("index", "elements"),
    [(0, [0]), (-1, [2]), (np.int64(1), [1]), (slice(1, 3), [1, 2]), ([2, 0, 0], [2, 0, 0]), ((1, 2), [1, 2]), ([], []),
     (torch.tensor([True, False, True]), [0, 2]), (torch.tensor([1]), [1])],
)  # fmt: skip
@pytest.mark.parametrize("align_corners", [True, False])
def test_indexing(index, elements, align_corners):
    volumes = mixed(voxel_size=torch.rand(3, 3), align_corners=align_corners)
    chosen = volumes[index]
    assert len(chosen) == len(elements)
    assert chosen.get_align_corners() is align_corners
    assert torch.equal(chosen.densities(), volumes.densities()[elements])
    assert torch.equal(chosen.features(), volumes.features()[elements])
    assert torch.equal(chosen.get_grid_sizes(), volumes.get_grid_sizes()[elements])
    assert torch.equal(chosen.get_coord_grid(), volumes.get_coord_grid()[elements])
    assert len(chosen.densities_list()) == len(elements)


@pytest.mark.parametrize("index", [3, torch.tensor([[0]]), None, 0.5, (0, slice(None)), [True]])
def test_bad_index(index):
    with pytest.raises(IndexError, match="Volumes: "):
        mixed()[index]


def test_update_padded():
    volumes = mixed()
    new = torch.rand_like(volumes.densities())
    updated = volumes.update_padded(new)
    assert updated.densities() is new
    assert updated.features() is None
    assert updated.locator is volumes.locator
    from_list = volumes.update_padded([torch.ones(1, *s) for s in SIZES], volumes.features())
    assert from_list.features() is volumes.features()
    assert from_list.densities().sum() == sum(d * h * w for d, h, w in SIZES)
    part = volumes[1:].update_padded([torch.ones(1, *s) for s in SIZES[1:]])
    assert part.densities().shape == (2, 1, 3, 4, 4)


def test_clone_keeps_the_graph_and_shares_no_memory():
    leaf, size = torch.rand(2, 1, 2, 3, 4, requires_grad=True), torch.rand(2, 3, requires_grad=True)
    volumes = Volumes(leaf * 2, leaf * 3, voxel_size=size * 2)
    for copy in (volumes.clone(), volumes.to("cpu", copy=True)):
        assert copy.densities().data_ptr() != volumes.densities().data_ptr()
        assert torch.equal(copy.get_coord_grid(), volumes.get_coord_grid())
        leaf.grad = size.grad = None
        (copy.densities().sum() + copy.get_coord_grid().square().sum()).backward(retain_graph=True)
        assert torch.equal(leaf.grad, torch.full_like(leaf, 2))
        assert size.grad is not None


def test_to():
    volumes = mixed()
    assert volumes.cpu() is volumes
    there = volumes.to("meta")
    assert there.device.type == there.densities().device.type == there.locator.device.type == "meta"
    assert there.get_coord_grid().device.type == "meta"
    assert there.features().device.type == "meta"


@pytest.mark.gpu
def test_cuda_and_back():
    volumes = mixed()
    there = volumes.cuda()
    torch.testing.assert_close(there.get_coord_grid().cpu(), volumes.get_coord_grid())
    assert torch.equal(there.cpu().features(), volumes.features())


def test_repr_and_pickle():
    volumes = mixed()
    assert repr(volumes) == "Volumes(N=3, densities=1, features=2, grid=(3, 4, 4), device=cpu)"
    again = pickle.loads(pickle.dumps(volumes))
    assert torch.equal(again.get_coord_grid(), volumes.get_coord_grid())


def test_values_may_be_replaced():
    volumes = Volumes([torch.rand(1, 2, 3, 4), torch.rand(1, 3, 2, 2)])
    new = [torch.rand(5, 2, 3, 4), torch.rand(5, 3, 2, 2)]
    volumes._set_features(new)
    assert torch.equal(volumes.features_list()[1], new[1])
    volumes._set_densities(new)
    assert torch.equal(volumes.densities_list()[0], new[0])
    for bad in (new[:1], torch.rand(2, 5, 3, 3, 5), None):
        with pytest.raises(ValueError, match="Volumes: densities must"):
            volumes._set_densities(bad)


def test_the_transform_is_kept_unless_it_has_a_history():
    volumes = Volumes(torch.rand(2, 1, 3, 4, 5), voxel_size=0.5)
    transform = volumes.get_local_to_world_coords_transform()
    assert volumes.get_local_to_world_coords_transform() is transform
    assert volumes.update_padded(volumes.densities()).get_local_to_world_coords_transform() is transform
    assert len(volumes[1].get_local_to_world_coords_transform()) == 1
    assert volumes.clone().get_local_to_world_coords_transform() is not transform
    size = torch.tensor(0.5, requires_grad=True)
    learned = Volumes(torch.rand(2, 1, 3, 4, 5), voxel_size=size)
    for _ in range(2):  # a kept one would be freed by the first backward pass
        learned.get_local_to_world_coords_transform().get_matrix().square().sum().backward()
