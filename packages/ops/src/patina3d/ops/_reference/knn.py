# SPDX-License-Identifier: Apache-2.0
"""The definition of ``knn_points``."""

import torch
from torch import Tensor


def knn_points(
    p1: Tensor, p2: Tensor, lengths1: Tensor | None = None, lengths2: Tensor | None = None, norm: int = 2, K: int = 1
) -> tuple[Tensor, Tensor]:
    """For each query, the first K points in the order (distance, index); differentiable by torch's own rules.

    Distances that are not below infinity count as equally far.
    """
    n, num1, _ = p1.shape
    dists = p1.new_zeros((n, num1, K))
    idx = torch.zeros((n, num1, K), dtype=torch.int64, device=p1.device)
    for cloud in range(n):
        length1 = num1 if lengths1 is None else int(lengths1[cloud])
        length2 = p2.shape[1] if lengths2 is None else int(lengths2[cloud])
        for i in range(length1):
            difference = p1[cloud, i] - p2[cloud, :length2]
            distance = difference.abs().sum(-1) if norm == 1 else difference.square().sum(-1)
            nearest = distance.nan_to_num(nan=torch.inf, posinf=torch.inf).sort(stable=True).indices[:K]
            idx[cloud, i, : len(nearest)] = nearest
            dists[cloud, i, : len(nearest)] = distance[nearest]
    return dists, idx
