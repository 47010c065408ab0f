# SPDX-License-Identifier: Apache-2.0
"""Alignment of points that correspond, iterative closest point, and normals from neighbours."""

from collections.abc import Callable, Iterator

import torch

from harness import Case, available
from patina3d.ops import corresponding_points_alignment, estimate_pointcloud_normals, iterative_closest_point

PAIRS = [
    # clouds, points of each
    (1, 1_000),
    (16, 10_000),
    (1_000, 100),
]
CLOUDS = [(1, 1_000), (8, 1_000), (1, 10_000), (1, 50_000)]
ITERATIONS = 10
NEIGHBORS = 50


def cases(device: torch.device) -> Iterator[Case]:
    for backward in (False, True):
        for n, points in PAIRS:
            yield alignment(n, points, device, backward=backward)
    for n, points in CLOUDS:
        yield registration(n, points, device)
    for n, points in CLOUDS:
        yield normals(n, points, device)


def surfaces(n: int, points: int, device: torch.device) -> torch.Tensor:
    """Spheres with bumps."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn((n, points, 3), generator=generator), dim=-1)
    return (directions * (1 + 0.2 * (3 * directions).sin().prod(-1, keepdim=True))).to(device)


def nudged(points: torch.Tensor) -> torch.Tensor:
    """The same points after a small motion."""
    skew = points.new_tensor([[0.0, -0.03, 0.02], [0.03, 0.0, -0.01], [-0.02, 0.01, 0.0]])
    return points @ torch.linalg.matrix_exp(skew) + 0.02


def alignment(n: int, points: int, device: torch.device, *, backward: bool) -> Case:
    x = surfaces(n, points, device).requires_grad_(backward)
    y = nudged(x.detach())

    def run(align: Callable[..., object]) -> object:
        solution = align(x, y, estimate_scale=True)
        return torch.autograd.grad(solution.R.sum() + solution.T.sum(), x) if backward else solution  # pyright: ignore

    contestants: dict[str, Callable[[], object]] = {"patina3d": lambda: run(corresponding_points_alignment)}
    if available("pytorch3d"):
        from pytorch3d.ops import corresponding_points_alignment as theirs

        contestants["pytorch3d"] = lambda: run(theirs)
    if available("scipy") and device.type == "cpu" and not backward:
        from scipy.spatial.transform import Rotation

        pairs = [(a - a.mean(0), b - b.mean(0)) for a, b in zip(x.double().numpy(), y.double().numpy(), strict=True)]
        contestants["scipy"] = lambda: [Rotation.align_vectors(b, a) for a, b in pairs]
    name = "points_alignment_backward" if backward else "points_alignment"
    return Case(name, "points", {"clouds": n, "points": points}, contestants)


def registration(n: int, points: int, device: torch.device) -> Case:
    x = surfaces(n, points, device)
    y = nudged(x)
    options = {"max_iterations": ITERATIONS, "relative_rmse_thr": -1.0}
    contestants: dict[str, Callable[[], object]] = {"patina3d": lambda: iterative_closest_point(x, y, **options)}
    if available("pytorch3d"):
        from pytorch3d.ops import iterative_closest_point as theirs

        contestants["pytorch3d"] = lambda: theirs(x, y, **options)
    if available("open3d") and device.type == "cpu":
        contestants["open3d"] = by_open3d(x, y)
    if available("scipy") and device.type == "cpu":
        contestants["scipy"] = by_scipy(x, y)
    return Case("iterative_closest_point", "points", {"clouds": n, "points": points}, contestants)


def by_open3d(x: torch.Tensor, y: torch.Tensor) -> Callable[[], object]:
    import open3d

    def cloud(points: torch.Tensor) -> object:
        return open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points.double().numpy()))

    pairs = [(cloud(a), cloud(b)) for a, b in zip(x, y, strict=True)]
    criteria = open3d.pipelines.registration.ICPConvergenceCriteria(0.0, 0.0, ITERATIONS)
    method = open3d.pipelines.registration.TransformationEstimationPointToPoint()
    register = open3d.pipelines.registration.registration_icp
    return lambda: [register(a, b, 10.0, estimation_method=method, criteria=criteria) for a, b in pairs]


def by_scipy(x: torch.Tensor, y: torch.Tensor) -> Callable[[], object]:
    import numpy as np
    from scipy.spatial import cKDTree

    pairs = list(zip(x.double().numpy(), y.double().numpy(), strict=True))

    def one(start: np.ndarray, target: np.ndarray) -> np.ndarray:
        tree, now, centred = cKDTree(target), start, start - start.mean(0)
        for _ in range(ITERATIONS):
            matched = target[tree.query(now)[1]]
            u, _, vt = np.linalg.svd(centred.T @ (matched - matched.mean(0)))
            u[:, -1] *= np.linalg.det(u @ vt)
            now = centred @ (u @ vt) + matched.mean(0)
        return now

    return lambda: [one(*pair) for pair in pairs]


def normals(n: int, points: int, device: torch.device) -> Case:
    x = surfaces(n, points, device)
    contestants: dict[str, Callable[[], object]] = {"patina3d": lambda: estimate_pointcloud_normals(x, NEIGHBORS)}
    if available("pytorch3d"):
        from pytorch3d.ops import estimate_pointcloud_normals as theirs

        contestants["pytorch3d"] = lambda: theirs(x, NEIGHBORS)
    if available("open3d") and device.type == "cpu":
        import open3d

        clouds = [open3d.geometry.PointCloud(open3d.utility.Vector3dVector(c.double().numpy())) for c in x]
        search = open3d.geometry.KDTreeSearchParamKNN(NEIGHBORS)
        contestants["open3d"] = lambda: [cloud.estimate_normals(search) for cloud in clouds]
    if available("scipy") and device.type == "cpu":
        import numpy as np
        from scipy.spatial import cKDTree

        arrays = list(x.double().numpy())

        def by_tree(cloud: np.ndarray) -> np.ndarray:
            near = cloud[cKDTree(cloud).query(cloud, NEIGHBORS)[1]]
            centred = near - near.mean(1, keepdims=True)
            return np.linalg.eigh(centred.transpose(0, 2, 1) @ centred)[1][..., 0]

        contestants["scipy"] = lambda: [by_tree(cloud) for cloud in arrays]
    return Case("pointcloud_normals", "points", {"clouds": n, "points": points, "K": NEIGHBORS}, contestants)
