# SPDX-License-Identifier: Apache-2.0
"""Points on four spheres of many faces, forward and backward; a long list of samples of one mesh."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from harness import Case, available
from patina3d.ops import sample_points_from_meshes
from patina3d.structures import Meshes
from patina3d.utils import ico_sphere

LEVELS = [3, 4, 5, 6]
"""Of subdivision: 1280 to 81920 faces a sphere."""
BATCH, NUM_SAMPLES = 4, 10_000
MANY_SAMPLES = [10_000, 100_000, 1_000_000]


def cases(device: torch.device) -> Iterator[Case]:
    for backward in (False, True):
        for level in LEVELS:
            yield case(level, BATCH, NUM_SAMPLES, device, x="faces", backward=backward)
    for num_samples in MANY_SAMPLES:
        yield case(LEVELS[1], 1, num_samples, device, x="samples")


def multinomial(meshes: Meshes, num_samples: int) -> Tensor:
    """What users write in plain torch, for meshes of equally many faces."""
    with torch.no_grad():
        areas = meshes.faces_areas_packed().reshape(len(meshes), -1)
        face = areas.multinomial(num_samples, replacement=True) + meshes.mesh_to_faces_packed_first_idx()[:, None]
    corners = meshes.verts_packed()[meshes.faces_packed()[face]]
    u, v = torch.rand((2, *face.shape), device=areas.device)
    root = u.sqrt()
    weights = torch.stack([1 - root, root * (1 - v), root * v], dim=-1)
    return (weights[..., None] * corners).sum(2)


def case(level: int, batch: int, num_samples: int, device: torch.device, *, x: str, backward: bool = False) -> Case:
    sphere = ico_sphere(level)
    verts, faces = sphere.verts_packed().to(device), sphere.faces_packed().to(device)
    leaf = verts.expand(batch, -1, -1).clone().requires_grad_(backward)
    meshes = Meshes(leaf, faces.expand(batch, -1, -1))
    # The packed form is there, as it is in a loop of training.
    packed = meshes.verts_packed(), meshes.faces_packed(), meshes.mesh_to_faces_packed_first_idx()
    del packed
    contestants: dict[str, Callable[[], object]] = {
        "patina3d": run(lambda: sample_points_from_meshes(meshes, num_samples), leaf),
        "torch": run(lambda: multinomial(meshes, num_samples), leaf),
    }
    if available("pytorch3d"):
        from pytorch3d.ops import sample_points_from_meshes as theirs
        from pytorch3d.structures import Meshes as TheirMeshes

        their_meshes = TheirMeshes(leaf, faces.expand(batch, -1, -1))
        contestants["pytorch3d"] = run(lambda: theirs(their_meshes, num_samples), leaf)
    if available("trimesh") and device.type == "cpu" and not backward:
        import trimesh

        body = trimesh.Trimesh(verts.numpy(), faces.numpy(), process=False)
        contestants["trimesh"] = lambda: [trimesh.sample.sample_surface(body, num_samples) for _ in range(batch)]
    series = f"sample_points_from_meshes_{x}" + ("_backward" if backward else "")
    parameters = {"faces": len(faces), "meshes": batch, "samples": num_samples}
    return Case(series, x, parameters, contestants)


def run(sample: Callable[[], Tensor], leaf: Tensor) -> Callable[[], object]:
    """A call, and its backward where the leaf wants a gradient."""
    if not leaf.requires_grad:
        return sample
    return lambda: torch.autograd.grad(sample().sum(), leaf, retain_graph=True)
