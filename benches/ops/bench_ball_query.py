# SPDX-License-Identifier: Apache-2.0
"""Points in balls: the smallest call, batches of usual sizes, radii from few points to nearly all, both orders."""

from collections.abc import Callable, Iterator

import torch

from harness import Case, available
from patina3d.ops import ball_query

BATCHES = [
    # clouds, points of each, K, radius
    (2, 5_000, 16, 0.1),
    (8, 1_000, 32, 0.1),
    (4, 10_000, 64, 0.05),
    (1, 50_000, 32, 0.02),
]
RADII = [0.01, 0.03, 0.1, 0.3, 1.0]
MOST_PAIRS = 2e8
"""The matrix of more distances than this is not asked of a CPU."""


def cases(device: torch.device) -> Iterator[Case]:
    # 16 points: what a call costs that computes nothing to speak of.
    for backward in (False, True):
        name = "ball_query_tiny_backward" if backward else "ball_query_tiny"
        yield case(name, 1, 16, 1, 0.2, device, backward=backward)
    for backward in (False, True):
        name = "ball_query_backward" if backward else "ball_query"
        for n, points, k, radius in BATCHES:
            yield case(name, n, points, k, radius, device, backward=backward)
    for n, points, k, radius in BATCHES:
        yield case("ball_query_nearest", n, points, k, radius, device, order="nearest")
    for backward in (False, True):
        name = "ball_query_points_backward" if backward else "ball_query_points"
        for n, points, k, radius in BATCHES:
            yield case(name, n, points, k, radius, device, backward=backward, return_nn=True)
    for radius in RADII:
        yield case("ball_query_radius", 1, 10_000, 16, radius, device, x="radius")


def case(
    series: str,
    n: int,
    points: int,
    k: int,
    radius: float,
    device: torch.device,
    *,
    backward: bool = False,
    order: str = "index",
    return_nn: bool = False,
    x: str = "points",
) -> Case:
    generator = torch.Generator().manual_seed(0)
    p1, p2 = (torch.rand((n, points, 3), generator=generator).to(device).requires_grad_(backward) for _ in range(2))

    def search(dists: torch.Tensor, found: torch.Tensor | None = None) -> object:
        if not backward:
            return dists, found
        return torch.autograd.grad(dists.sum() if found is None else dists.sum() + found.sum(), (p1, p2))

    def by_cdist() -> object:
        distances = torch.cdist(p1, p2)
        inside = distances < radius
        if order == "nearest":
            return search(distances.where(inside, torch.inf).topk(k, largest=False).values.square())
        number = torch.where(inside, torch.arange(points, device=device), points)
        first = number.topk(k, largest=False).values
        found = distances.gather(2, first.clamp(max=points - 1)).square()
        return search(found.where(first < points, 0))

    contestants: dict[str, Callable[[], object]] = {
        "patina3d": lambda: search(*ball_query(p1, p2, K=k, radius=radius, return_nn=return_nn, order=order)[::2])  # pyright: ignore[reportArgumentType]
    }
    if not return_nn and k <= points and (device.type == "cuda" or n * points**2 <= MOST_PAIRS):
        contestants["torch.cdist"] = by_cdist
    if available("pytorch3d") and order == "index":
        from pytorch3d.ops import ball_query as theirs

        contestants["pytorch3d"] = lambda: search(*theirs(p1, p2, K=k, radius=radius, return_nn=return_nn)[::2])
    if available("scipy") and device.type == "cpu" and not (backward or return_nn):
        from scipy.spatial import cKDTree

        centres, clouds = p1.double().numpy(), p2.double().numpy()

        def by_tree() -> object:
            # All points of each ball, as lists of any length; building the tree belongs to a run.
            return [
                cKDTree(cloud).query_ball_point(of, radius, return_sorted=True)
                for of, cloud in zip(centres, clouds, strict=True)
            ]

        def counts_by_tree() -> object:
            return [
                cKDTree(cloud).query_ball_point(of, radius, return_length=True)
                for of, cloud in zip(centres, clouds, strict=True)
            ]

        contestants["scipy"] = by_tree
        contestants["scipy, counts alone"] = counts_by_tree
    return Case(series, x, {"clouds": n, "points": points, "K": k, "radius": radius}, contestants)
