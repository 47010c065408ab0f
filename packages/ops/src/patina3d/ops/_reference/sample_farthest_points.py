# SPDX-License-Identifier: Apache-2.0
"""The definition of ``sample_farthest_points``."""

from collections.abc import Sequence

import torch
from torch import Tensor


def sample_farthest_points(
    points: Tensor, lengths: Sequence[int], counts: Sequence[int], start: Sequence[int], K: int
) -> Tensor:
    """The choices of each cloud, (N, K), from its start on; -1 beyond ``min(counts, lengths)``.

    Distances that are not below infinity count as infinity; chosen points are nearer than any other.
    """
    idx = torch.full((points.shape[0], K), -1, dtype=torch.int64, device=points.device)
    for cloud, (length, count, first) in enumerate(zip(lengths, counts, start, strict=True)):
        of_cloud = points[cloud, :length]
        nearest = of_cloud.new_full((length,), torch.inf)
        chosen = torch.tensor(first, device=points.device)
        for slot in range(min(length, count)):
            idx[cloud, slot] = chosen
            distance = (of_cloud - of_cloud[chosen]).square().sum(-1).nan_to_num(nan=torch.inf, posinf=torch.inf)
            nearest = torch.minimum(nearest, distance)
            nearest[chosen] = -1
            chosen = nearest.argmax()
    return idx
