# SPDX-License-Identifier: Apache-2.0
"""Farthest point sampling: the smallest call, batches of usual sizes, and clouds and numbers of choices that grow."""

from collections.abc import Callable, Iterator

import torch

from harness import Case, available
from patina3d.ops import sample_farthest_points

BATCHES = [
    # clouds, points of each, K
    (32, 1_024, 512),
    (2, 10_000, 512),
]
POINTS = [1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000]
CHOICES = [16, 64, 256, 1_024, 4_096]


def cases(device: torch.device) -> Iterator[Case]:
    # 16 points: what a call costs that computes nothing to speak of.
    yield case("sample_farthest_points_tiny", 1, 16, 4, device)
    for n, points, k in BATCHES:
        yield case("sample_farthest_points", n, points, k, device)
    for points in POINTS:
        yield case("sample_farthest_points_size", 1, points, 512, device)
    for k in CHOICES:
        yield case("sample_farthest_points_choices", 1, 30_000, k, device, x="K")


def case(series: str, n: int, points: int, k: int, device: torch.device, x: str = "points") -> Case:
    clouds = torch.rand((n, points, 3), generator=torch.Generator().manual_seed(0)).to(device)
    contestants: dict[str, Callable[[], object]] = {
        "patina3d": lambda: sample_farthest_points(clouds, K=k),
        "torch": lambda: naive(clouds, k),
    }
    if available("pytorch3d"):
        from pytorch3d.ops import sample_farthest_points as theirs

        contestants["pytorch3d"] = lambda: theirs(clouds, K=k)
    if available("torch_cluster"):
        from torch_cluster import fps

        batch = torch.arange(n, device=device).repeat_interleave(points)
        contestants["torch_cluster"] = lambda: fps(
            clouds.reshape(-1, 3), batch, ratio=(k - 0.5) / points, random_start=False
        )
    if available("fpsample") and device.type == "cpu":
        from fpsample import bucket_fps_kdline_sampling

        arrays = clouds.numpy()
        contestants["fpsample"] = lambda: [bucket_fps_kdline_sampling(a, k, h=7, start_idx=0) for a in arrays]
    return Case(series, x, {"clouds": n, "points": points, "K": k}, contestants)


def naive(points: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """All clouds at once, a choice at a time."""
    n, p, d = points.shape
    nearest = points.new_full((n, p), torch.inf)
    idx = torch.zeros((n, k), dtype=torch.int64, device=points.device)
    chosen = points[:, :1]
    for i in range(1, k):
        nearest = torch.minimum(nearest, (points - chosen).square().sum(-1))
        idx[:, i] = nearest.argmax(-1)
        chosen = points.gather(1, idx[:, i, None, None].expand(n, 1, d))
    return points.gather(1, idx[..., None].expand(n, k, d)), idx
