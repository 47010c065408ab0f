# SPDX-License-Identifier: Apache-2.0
"""K nearest neighbours: the smallest call, usual batches, and one cloud of a thousand to ten million points."""

from collections.abc import Callable, Iterator

import torch

from harness import Case, available
from patina3d.ops import PointIndex, knn_points

BATCHES = [
    # clouds, points of each, K
    (8, 1_000, 1),
    (4, 10_000, 1),
    (4, 10_000, 8),
    (1, 50_000, 8),
]
SWEEP = [1_000, 3_000, 10_000, 30_000, 100_000]
KEPT = [1, 2, 4, 8, 16, 32]
SCALE = [1_000, 10_000, 100_000, 1_000_000, 10_000_000]
MOST_PAIRS = 2e8
"""The matrix of more distances than this is not asked of a CPU."""


def cases(device: torch.device) -> Iterator[Case]:
    # 16 points: what a call costs that computes nothing to speak of.
    for backward in (False, True):
        name = "knn_tiny_backward" if backward else "knn_tiny"
        yield case(name, 1, 16, 1, device, backward=backward)
    for backward in (False, True):
        name = "knn_backward" if backward else "knn"
        for n, points, k in BATCHES:
            yield case(name, n, points, k, device, backward=backward)
    for points in SWEEP:
        yield case("fig1c_knn", 32 if device.type == "cuda" else 1, points, 1, device)
    for k in KEPT:
        yield case("fig1d_knn_k", 32 if device.type == "cuda" else 1, 50_000, k, device, x="K")
    for points in SCALE:
        yield from scaling(points, 8, device)


def case(
    series: str, n: int, points: int, k: int, device: torch.device, *, backward: bool = False, x: str = "points"
) -> Case:
    generator = torch.Generator().manual_seed(0)
    p1, p2 = (torch.rand((n, points, 3), generator=generator).to(device).requires_grad_(backward) for _ in range(2))
    contestants: dict[str, Callable[[], object]] = {"patina3d": lambda: search(knn_points(p1, p2, K=k).dists)}
    if device.type == "cuda" or n * points**2 <= MOST_PAIRS:
        contestants["torch.cdist"] = lambda: search(torch.cdist(p1, p2).square().topk(k, largest=False).values)
    if available("pytorch3d"):
        from pytorch3d.ops import knn_points as theirs

        contestants["pytorch3d"] = lambda: search(theirs(p1, p2, K=k).dists)
    if available("scipy") and device.type == "cpu" and not backward:
        from scipy.spatial import cKDTree

        queries, found = p1.double().numpy(), p2.double().numpy()

        def by_tree() -> object:
            # Building the tree belongs to a run, as every contestant sees the clouds for the first time.
            return [cKDTree(cloud).query(of, k) for of, cloud in zip(queries, found, strict=True)]

        contestants["scipy"] = by_tree

    def search(dists: torch.Tensor) -> object:
        return torch.autograd.grad(dists.sum(), (p1, p2)) if backward else dists

    return Case(series, x, {"clouds": n, "points": points, "K": k}, contestants)


def scaling(points: int, k: int, device: torch.device) -> Iterator[Case]:
    """Building a structure over one cloud, then searching it for as many queries; where a peer has no structure, only
    the search."""
    generator = torch.Generator().manual_seed(0)
    queries, cloud = (torch.rand((1, points, 3), generator=generator).to(device) for _ in range(2))
    build: dict[str, Callable[[], object]] = {"patina3d": lambda: PointIndex(cloud)}
    index = PointIndex(cloud)
    query: dict[str, Callable[[], object]] = {"patina3d": lambda: knn_points(queries, index, K=k)}
    if points**2 <= MOST_PAIRS:
        query["torch.cdist"] = lambda: torch.cdist(queries, cloud).topk(k, largest=False)
    if device.type == "cpu":
        of, among = queries[0].numpy(), cloud[0].numpy()
        if available("scipy"):
            from scipy.spatial import cKDTree

            build["scipy"] = lambda: cKDTree(among)
            tree = cKDTree(among)
            query["scipy"] = lambda: tree.query(of, k, workers=torch.get_num_threads())
        if available("faiss"):
            import faiss

            flat = faiss.IndexFlatL2(3)
            flat.add(among)
            query["faiss flat"] = lambda: flat.search(of, k)
        if available("open3d"):
            from open3d.core import Tensor as Array
            from open3d.core.nns import NearestNeighborSearch

            def by_open3d() -> NearestNeighborSearch:
                search = NearestNeighborSearch(Array.from_numpy(among))
                search.knn_index()
                return search

            build["open3d"], searcher, sought = by_open3d, by_open3d(), Array.from_numpy(of)
            query["open3d"] = lambda: searcher.knn_search(sought, k)
    parameters = {"points": points, "K": k}
    yield Case("knn_scaling_build", "points", parameters, build)
    yield Case("knn_scaling_query", "points", parameters, query)
