# SPDX-License-Identifier: Apache-2.0
"""Point clouds that vote for the eight voxels around each point, forward and backward."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from harness import Case, available
from patina3d.ops import add_points_features_to_volume_densities_features as ours

PROBLEMS = [
    # clouds, points of each, voxels a side
    (1, 10_000, 32),
    (10, 10_000, 25),
    (1, 100_000, 64),
    (1, 100_000, 128),
    (1, 1_000_000, 128),
]
CHANNELS = 3


def by_scatter(points: Tensor, features: Tensor, densities: Tensor, volume: Tensor) -> tuple[Tensor, Tensor]:
    """What one writes with torch: all votes side by side, added up by `scatter_add`."""
    batch, channels, *voxels = volume.shape
    size = points.new_tensor(voxels[::-1])
    index = (points + 1) / 2 * (size - 1)
    first = index.detach().floor()
    corners = torch.cartesian_prod(*[points.new_tensor([0, 1])] * 3)
    voxel = first.unsqueeze(2) + corners
    weight = (1 - (index.unsqueeze(2) - voxel).abs()).prod(-1)
    inside = ((voxel >= 0) & (voxel < size)).all(-1)
    weight = torch.where(inside, weight, 0)
    x, y, z = torch.where(inside.unsqueeze(-1), voxel, 0).long().unbind(-1)
    place = ((z * voxels[1] + y) * voxels[2] + x).flatten(1).unsqueeze(1)
    votes = torch.cat([weight.unsqueeze(1), (weight.unsqueeze(-1) * features.unsqueeze(2)).movedim(-1, 1)], 1).flatten(
        2
    )
    sums = torch.cat([densities, volume], 1).flatten(2).scatter_add(2, place.expand(-1, 1 + channels, -1), votes)
    sums = sums.reshape(batch, 1 + channels, *voxels)
    return sums[:, 1:] / sums[:, :1].clamp(min=1e-4), sums[:, :1]


def cases(device: torch.device) -> Iterator[Case]:
    for backward in (False, True):
        for batch, points, side in PROBLEMS:
            yield case(batch, points, side, device, backward=backward)


def case(batch: int, points: int, side: int, device: torch.device, *, backward: bool) -> Case:
    xyz = (2 * torch.rand(batch, points, 3, device=device) - 1).requires_grad_(backward)
    features = torch.rand(batch, points, CHANNELS, device=device, requires_grad=backward)
    volumes = [torch.zeros(batch, channels, side, side, side, device=device) for channels in (1, CHANNELS)]
    contestants: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {"patina3d": ours, "torch.scatter_add": by_scatter}
    if available("pytorch3d"):
        from pytorch3d.ops import add_points_features_to_volume_densities_features as theirs

        def by_them(points: Tensor, features: Tensor, densities: Tensor, volume: Tensor) -> tuple[Tensor, Tensor]:
            # It writes into what it is given.
            return theirs(points, features, densities.clone(), volume.clone())

        contestants["pytorch3d"] = by_them

    def both(add: Callable[..., tuple[Tensor, Tensor]]) -> object:
        means, densities = add(xyz, features, *volumes)
        return torch.autograd.grad(means.sum() + densities.sum(), (xyz, features))

    def run(add: Callable[..., tuple[Tensor, Tensor]]) -> Callable[[], object]:
        return partial(both, add) if backward else partial(add, xyz, features, *volumes)

    sizes = {"clouds": batch, "points": batch * points, "side": side}
    series = "points_to_volumes" + ("_backward" if backward else "")
    return Case(series, "points", sizes, {name: run(add) for name, add in contestants.items()})
