# SPDX-License-Identifier: Apache-2.0
"""Whole renders of spheres, forward and backward: soft silhouettes and Phong shading, and how they scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType
from typing import Any

import torch

import patina3d.renderer
import patina3d.structures
from harness import Case, available
from patina3d.utils import ico_sphere

SILHOUETTES = [
    # pixels a side, K, meshes, level of the sphere
    (64, 10, 2, 3),
    (128, 50, 1, 3),
    (128, 50, 1, 4),
]
SILHOUETTE_SIGMA = 1e-4
PHONG_SIGMA = 1e-5
MOST_PAIRS = 1.1e7
"""Pixels times faces that the dense form is asked for."""


def cases(device: torch.device) -> Iterator[Case]:
    for size, k, meshes, level in SILHOUETTES:
        yield case("silhouette", silhouette, size, k, [level] * meshes, device)
    yield case("phong", phong, 64, 10, [3] * 2, device)
    cuda = device.type == "cuda"
    for size, k in ((64, 10), (256, 50)) if cuda else ((64, 10), (128, 50)):
        for name, spread in (("homogeneous", 0), ("heterogeneous", 1)):
            for level in range(3, 7 if cuda else 6):
                levels = [level + (i % 3 - 1) * spread for i in range(8 if cuda else 3)]
                yield case(f"fig3_silhouette_{size}px_{k}_{name}", silhouette, size, k, levels, device)


def case(
    series: str,
    renderer: Callable[..., Callable],
    size: int,
    k: int,
    levels: list[int],
    device: torch.device,
) -> Case:
    spheres = [ico_sphere(level, device) for level in levels]
    verts = [sphere.verts_packed().clone().requires_grad_() for sphere in spheres]
    faces = [sphere.faces_packed() for sphere in spheres]
    contestants: dict[str, Callable[[], object]] = {}
    peers: dict[str, tuple[ModuleType, ModuleType]] = {"patina3d": (patina3d.renderer, patina3d.structures)}
    if available("pytorch3d"):
        import pytorch3d.renderer
        import pytorch3d.structures

        peers["pytorch3d"] = (pytorch3d.renderer, pytorch3d.structures)
    for name, (package, structures) in peers.items():
        render = renderer(package, size, k, device)
        contestants[name] = partial(run, render, package, structures, verts, faces)
    if renderer is silhouette and size * size * sum(len(each) for each in faces) <= MOST_PAIRS:
        contestants["dense"] = partial(run_dense, size, verts, faces, device)
    total = sum(len(each) for each in faces)
    return Case(series, "faces", {"meshes": len(levels), "faces": total, "pixels": size * size, "K": k}, contestants)


def run(render: Callable, package: ModuleType, structures: ModuleType, verts: list, faces: list) -> object:
    textures = package.TexturesVertex([torch.ones_like(each) for each in verts])
    image = render(structures.Meshes(verts, faces, textures))
    return torch.autograd.grad(image.sum(), verts)


def cameras(package: ModuleType, device: torch.device) -> Any:
    rotation, translation = package.look_at_view_transform(2.7, 10, 20)
    return package.FoVPerspectiveCameras(R=rotation, T=translation, device=device)


def silhouette(package: ModuleType, size: int, k: int, device: torch.device) -> Callable:
    """A renderer of soft silhouettes from either package."""
    settings = package.RasterizationSettings(
        image_size=size, blur_radius=math.log(1 / 1e-4 - 1) * SILHOUETTE_SIGMA, faces_per_pixel=k
    )
    return package.MeshRenderer(
        package.MeshRasterizer(cameras(package, device), settings),
        package.SoftSilhouetteShader(package.BlendParams(sigma=SILHOUETTE_SIGMA)),
    )


def phong(package: ModuleType, size: int, k: int, device: torch.device) -> Callable:
    """A renderer with soft Phong shading from either package."""
    settings = package.RasterizationSettings(
        image_size=size, blur_radius=math.log(1 / 1e-4 - 1) * PHONG_SIGMA, faces_per_pixel=k
    )
    shader = package.SoftPhongShader(
        device=device,
        cameras=cameras(package, device),
        lights=package.PointLights(location=[[0.0, 0.0, 3.0]], device=device),
        blend_params=package.BlendParams(sigma=PHONG_SIGMA, gamma=1e-4),
    )
    return package.MeshRenderer(package.MeshRasterizer(cameras(package, device), settings), shader)


def run_dense(size: int, verts: list[torch.Tensor], faces: list[torch.Tensor], device: torch.device) -> object:
    """The naive form: the matrix of all pixels and faces, no limit to the faces of a pixel."""
    camera = cameras(patina3d.renderer, device)
    centres = 1 - (2 * torch.arange(size, device=device) + 1) / size
    pixels = torch.stack(torch.meshgrid(centres, centres, indexing="xy"), -1).reshape(-1, 1, 2)
    images = []
    for points, triangles in zip(verts, faces, strict=True):
        corners = camera.transform_points_ndc(points)[triangles][..., :2]
        inside, nearest = None, None
        area = cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        for a, b in ((0, 1), (1, 2), (2, 0)):
            edge, offset = corners[:, b] - corners[:, a], pixels - corners[:, a]
            along = (offset * edge).sum(-1) / (edge * edge).sum(-1).clamp(min=1e-12)
            distance = (offset - along.clamp(0, 1)[..., None] * edge).square().sum(-1)
            left = cross(edge, offset) * area > 0
            nearest = distance if nearest is None else torch.minimum(nearest, distance)
            inside = left if inside is None else inside & left
        covered = torch.sigmoid(torch.where(inside, nearest, -nearest) / SILHOUETTE_SIGMA)
        images.append(1 - (1 - covered).prod(1))
    return torch.autograd.grad(torch.stack(images).sum(), verts)


def cross(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
