# SPDX-License-Identifier: Apache-2.0
"""Areas and normals of the faces of spheres, forward and backward."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from harness import Case, available
from patina3d.ops import mesh_face_areas_normals
from patina3d.utils import ico_sphere

LEVELS = [0, 3, 5, 7]


def cases(device: torch.device) -> Iterator[Case]:
    for backward in (False, True):
        for level in LEVELS:
            yield case(level, device, backward=backward)


def case(level: int, device: torch.device, *, backward: bool) -> Case:
    sphere = ico_sphere(level, device=device)
    verts, faces = sphere.verts_packed().requires_grad_(backward), sphere.faces_packed()
    contestants: dict[str, Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]] = {
        "patina3d": mesh_face_areas_normals,
        "torch": in_torch,
    }
    if available("pytorch3d"):
        from pytorch3d.ops import mesh_face_areas_normals as theirs

        contestants["pytorch3d"] = theirs.mesh_face_areas_normals

    def run(compute: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> Callable[[], object]:
        def forward() -> object:
            return compute(verts, faces)

        def both() -> object:
            areas, normals = compute(verts, faces)
            return torch.autograd.grad(areas.sum() + normals.sum(), verts)

        return both if backward else forward

    series = "mesh_face_areas_normals_backward" if backward else "mesh_face_areas_normals"
    return Case(series, "faces", {"faces": len(faces)}, {name: run(compute) for name, compute in contestants.items()})


def in_torch(verts: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
    a, b, c = verts[faces].unbind(1)
    cross = torch.linalg.cross(b - a, c - a)
    length = cross.norm(dim=1)
    return length / 2, cross / length[:, None]
