# SPDX-License-Identifier: Apache-2.0
"""Random rotations and similarity transforms in any dimension."""

import torch
from scipy.stats import special_ortho_group
from torch import Tensor


def rotations(n: int, dim: int, seed: int = 0, *, reflect: bool = False) -> Tensor:
    """(n, dim, dim) float64 with determinant 1, or -1."""
    made = torch.ones((n, dim, dim), dtype=torch.float64)
    for i in range(n if dim > 1 else 0):
        made[i] = torch.from_numpy(special_ortho_group.rvs(dim, random_state=seed + i))
    if reflect:
        made[:, 0] *= -1
    return made


def similarity(n: int, dim: int, seed: int = 0, *, reflect: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """Random R (n, dim, dim), T (n, dim), s (n,) in float64."""
    generator = torch.Generator().manual_seed(seed)
    R = rotations(n, dim, seed, reflect=reflect)
    T = torch.randn((n, dim), generator=generator, dtype=torch.float64)
    s = torch.rand(n, generator=generator, dtype=torch.float64) + 0.3
    return R, T, s


def moved(x: Tensor, R: Tensor, T: Tensor, s: Tensor | None = None) -> Tensor:
    """``s x R + T``, cloud by cloud."""
    s = torch.ones(len(x)) if s is None else s
    clouds = [k * (cloud @ r) + t for cloud, r, t, k in zip(x, R.to(x), T.to(x), s.to(x), strict=True)]
    return torch.stack(clouds)


def cost(x: Tensor, y: Tensor, w: Tensor, R: Tensor, T: Tensor, s: Tensor) -> Tensor:
    """What alignment minimises, for each cloud."""
    return (w * (moved(x, R, T, s) - y).square().sum(-1)).sum(1)
