# SPDX-License-Identifier: Apache-2.0
"""An index: what it costs to build, and a search with one that is kept, for as many queries as points and for few."""

from collections.abc import Callable, Iterator

import torch

from harness import Case, available
from patina3d.ops import PointIndex, knn_points

SWEEP = [1_000, 10_000, 100_000]
FEW = 500
KEPT = [1, 8]


def cases(device: torch.device) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(0)
    for count in SWEEP:
        points = torch.rand((1, count, 3), generator=generator).to(device)
        index = PointIndex(points)
        build: dict[str, Callable[[], object]] = {"patina3d": lambda points=points: PointIndex(points)}
        by_scipy = None
        if available("scipy") and device.type == "cpu":
            from scipy.spatial import cKDTree

            cloud = points[0].double().numpy()
            by_scipy = cKDTree(cloud)
            build["scipy"] = lambda cloud=cloud: cKDTree(cloud)
        yield Case("point_index_build", "points", {"points": count}, build)
        for series, asked in (("point_index_search", count), ("point_index_search_few", FEW)):
            queries = torch.rand((1, asked, 3), generator=generator).to(device)
            for k in KEPT:
                yield Case(series, "points", {"points": count, "K": k}, search(queries, points, index, by_scipy, k))


def search(
    queries: torch.Tensor, points: torch.Tensor, index: PointIndex, by_scipy: object, k: int
) -> dict[str, Callable[[], object]]:
    """With the index, without one, and as others do it."""
    contestants: dict[str, Callable[[], object]] = {
        "patina3d": lambda: knn_points(queries, index, K=k),
        "without index": lambda: knn_points(queries, points, K=k),
    }
    if by_scipy is not None:
        of = queries[0].double().numpy()
        contestants["scipy"] = lambda: by_scipy.query(of, k)
    return contestants
