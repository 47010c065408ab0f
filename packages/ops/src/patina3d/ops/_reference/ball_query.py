# SPDX-License-Identifier: Apache-2.0
"""The definition of ``ball_query``."""

import torch
from torch import Tensor


def ball_query(
    p1: Tensor,
    p2: Tensor,
    lengths1: Tensor | None = None,
    lengths2: Tensor | None = None,
    K: int = 500,
    radius: float = 0.2,
    order: str = "index",
) -> tuple[Tensor, Tensor]:
    """For each centre, the first K points in its ball by index or by distance; differentiable by torch's own rules."""
    n, num1, _ = p1.shape
    dists = p1.new_zeros((n, num1, K))
    idx = torch.full((n, num1, K), -1, dtype=torch.int64, device=p1.device)
    limit = p1.new_tensor(radius).square()
    if radius > 0:
        limit = limit.maximum(limit.new_zeros(()).nextafter(limit.new_ones(())))
    for cloud in range(n):
        length1 = num1 if lengths1 is None else int(lengths1[cloud])
        length2 = p2.shape[1] if lengths2 is None else int(lengths2[cloud])
        for i in range(length1):
            distance = (p1[cloud, i] - p2[cloud, :length2]).square().sum(-1)
            inside = (distance < limit).nonzero()[:, 0]
            if order == "nearest":
                inside = inside[distance[inside].sort(stable=True).indices]
            inside = inside[:K]
            idx[cloud, i, : len(inside)] = inside
            dists[cloud, i, : len(inside)] = distance[inside]
    return dists, idx
