# SPDX-License-Identifier: Apache-2.0
"""Mesh rasterization: spheres, hard and soft, forward alone and with backward."""

import math
from collections.abc import Callable, Iterator

import torch

from harness import Case, available
from patina3d.renderer.mesh import rasterize_meshes
from patina3d.structures import Meshes
from patina3d.utils import ico_sphere

SERIES = [
    # name, K, sigma, sizes and levels of the sphere
    ("rasterize_hard", 1, 0.0, [(128, 3), (256, 4), (512, 5), (1024, 6)]),
    ("rasterize_phong", 10, 1e-5, [(64, 3), (128, 4), (256, 5), (512, 6)]),
    ("rasterize_silhouette", 50, 1e-4, [(64, 3), (128, 3), (128, 4), (256, 5)]),
]


def cases(device: torch.device) -> Iterator[Case]:
    for name, k, sigma, problems in SERIES:
        for size, level in problems:
            sphere = ico_sphere(level, device)
            verts = sphere.verts_packed() * 0.7 + torch.tensor([0.0, 0.0, 2.7], device=device)
            faces = sphere.faces_packed()
            blur_radius = math.log(1 / 1e-4 - 1) * sigma
            settings = {
                "image_size": size,
                "faces_per_pixel": k,
                "blur_radius": blur_radius,
                "perspective_correct": True,
            }
            parameters = {"faces": faces.shape[0], "pixels": size * size, "K": k}
            contestants: dict[str, tuple[Callable, type]] = {"patina3d": (rasterize_meshes, Meshes)}
            if available("pytorch3d"):
                from pytorch3d import renderer, structures

                contestants["pytorch3d"] = (renderer.mesh.rasterize_meshes, structures.Meshes)
            for backward in (False, True):
                yield Case(
                    f"{name}_backward" if backward else name,
                    "faces",
                    parameters,
                    {
                        who: rasterization(*theirs, verts, faces, settings, backward=backward)
                        for who, theirs in contestants.items()
                    },
                )


def rasterization(
    rasterize: Callable,
    structure: type,
    verts: torch.Tensor,
    faces: torch.Tensor,
    settings: dict,
    *,
    backward: bool,
) -> Callable[[], object]:
    meshes = structure(verts=[verts.clone().requires_grad_(backward)], faces=[faces])

    def run() -> object:
        _, zbuf, bary_coords, dists = rasterize(meshes, **settings)
        if backward:
            (zbuf.sum() + bary_coords[..., 0].sum() + dists.sum()).backward(retain_graph=True)
        return zbuf

    return run
