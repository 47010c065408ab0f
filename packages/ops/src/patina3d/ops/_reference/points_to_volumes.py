# SPDX-License-Identifier: Apache-2.0
"""The definition of the votes of points for the voxels around them."""

from itertools import product

import torch
from torch import Tensor

from patina3d.structures.rows import sum_rows


def points_to_volumes_python(
    points_3d: Tensor,
    points_features: Tensor,
    volume_densities: Tensor,
    volume_features: Tensor | None,
    grid_sizes: Tensor | None,
    mask: Tensor | None,
    point_weight: float,
    align_corners: bool,
    splat: bool,
) -> tuple[Tensor, Tensor]:
    """The volumes (B, 1, D, H, W) and (B, C, D, H, W) with all votes added, in plain torch.

    `crates/ops/src/points_to_volumes/mod.rs` says what each argument is. Differentiable any number of times.

    Cost: O(B P C) and O(B C D H W) time and memory.

    Example:
        >>> points, volume = torch.tensor([[[-0.5, 0.0, 0.0]]]), torch.zeros(1, 1, 1, 1, 3)
        >>> densities, _ = points_to_volumes_python(points, points[..., :0], volume, None, None, None, 1.0, True, True)
        >>> densities.flatten()
        tensor([0.5000, 0.5000, 0.0000])
    """
    (b, _, c), voxels = points_features.shape, volume_densities.shape[2:]
    if volume_features is None:
        volume_features = volume_densities.new_zeros((b, c, *voxels))
    if 0 in voxels:
        return volume_densities.clone(), volume_features.clone()
    # (B, 1, 3) as x, y, z.
    whole = torch.tensor([voxels], dtype=torch.int64, device=points_3d.device).expand(b, 3)
    sizes = (whole if grid_sizes is None else grid_sizes).flip(1).unsqueeze(1).to(points_3d.dtype)
    fraction = (points_3d + 1) / 2
    index = fraction * (sizes - 1) if align_corners else fraction * sizes - 0.5
    reach = 1.0 if splat else 0.5
    takes_part = ((index > -reach) & (index < sizes - 1 + reach)).all(-1)
    if mask is not None:
        takes_part = takes_part & mask
    index = torch.where(takes_part.unsqueeze(-1), index, 0)
    before = index.detach().floor()
    beyond = index - before
    if not splat:
        before, beyond = before + (beyond.detach() >= 0.5), torch.zeros_like(beyond)
    strides = before.new_tensor([1, voxels[2], voxels[2] * voxels[1]]).to(torch.int64)
    first = torch.arange(b, device=index.device).unsqueeze(1) * voxels.numel()
    values, rows = [], []
    for corner in product((0, 1), repeat=3):
        side = before.new_tensor(corner)
        voxel = before + side
        weight = torch.where(side == 1, beyond, 1 - beyond).prod(-1, keepdim=True) * point_weight
        there = takes_part & ((voxel >= 0) & (voxel < sizes)).all(-1)
        # A vote of weight 0, or for no voxel, is not cast, whatever its features are.
        mute = ((weight == 0) | ~there.unsqueeze(-1)) & ~points_features.isfinite()
        votes = weight * torch.where(mute, 0, points_features)
        values.append(torch.where(there.unsqueeze(-1), torch.cat([weight, votes], -1), 0))
        rows.append(torch.where(there, first + (voxel.to(torch.int64) * strides).sum(-1), 0))
    sums = sum_rows(torch.stack(values).flatten(0, 2), torch.stack(rows).flatten(), b * voxels.numel())
    sums = sums.reshape(b, *voxels, 1 + c).movedim(-1, 1)
    return volume_densities + sums[:, :1], volume_features + sums[:, 1:]
