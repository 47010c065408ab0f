# SPDX-License-Identifier: Apache-2.0
"""Recover a mesh from pictures of an object."""

import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from patina3d.loss import mesh_edge_loss, mesh_laplacian_smoothing, mesh_normal_consistency
from patina3d.models.uniform_adam import UniformAdam
from patina3d.models.views import Views, select_lights
from patina3d.renderer import (
    BlendParams,
    Fragments,
    MeshRasterizer,
    RasterizationSettings,
    SoftPhongShader,
    TexturesVertex,
)
from patina3d.renderer.blending import face_coverage
from patina3d.structures import Meshes
from patina3d.utils import ico_sphere

__all__ = ["FitSettings", "MeshFit"]


@dataclass(frozen=True)
class FitSettings:
    """What governs a fit; lengths are those of the unit ball that holds the object."""

    iterations: int = 600
    views_per_step: int = 4
    sphere_level: int = 4  # the start is an ico_sphere of 20 * 4**level faces
    sphere_radius: float = 0.6
    learning_rate: float = 3e-2  # of handles; falls to a tenth along a cosine
    diffusion: float = 3.0  # how far a step spreads over the surface, in edges squared
    color_learning_rate: float = 3e-2
    sigma: float = 1e-4  # softness of a face's border at first, squared NDC
    final_sigma: float = 1e-5  # and at last: a soft border draws the silhouette wider than it is
    gamma: float = 1e-4
    faces_per_pixel: int = 16  # that the silhouette is made of
    shaded_faces_per_pixel: int = 3  # of these, the nearest, that the colour is made of
    silhouette: float = 1.0  # weights of the terms
    rgb: float = 1.0
    edge: float = 1.0
    laplacian: float = 1.0
    normal: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: a number is out of its range or not finite.
        """
        for name in ("iterations", "views_per_step", "faces_per_pixel", "shaded_faces_per_pixel"):
            if not getattr(self, name) >= 1:
                raise ValueError(f"MeshFit: {name} must be at least 1, got {getattr(self, name)}")
        for name in ("sphere_radius", "sigma", "final_sigma", "gamma"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"MeshFit: {name} must be above 0 and finite, got {getattr(self, name)}")
        rates = ("learning_rate", "color_learning_rate", "diffusion")
        for name in ("sphere_level", *rates, "silhouette", "rgb", "edge", "laplacian", "normal"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"MeshFit: {name} must be at least 0 and finite, got {getattr(self, name)}")


class MeshFit:
    """A mesh that moves towards pictures, one step at a time.

    The loss is that of N. Ravi et al., "Accelerating 3D Deep Learning with PyTorch3D", 2020: the silhouette term of
    its equation 3, ``1 - IoU`` of soft and true silhouettes, the mean squared difference of colours, and the edge,
    Laplacian and normal-consistency terms that keep the surface smooth. The soft silhouette is another: see
    `soft_silhouette`.

    Adam with one size of step for all vertices moves handles ``u`` with ``vertices = start + (I + diffusion L)^-1 u``,
    L the combinatorial Laplacian of the start: every step is spread smoothly over the surface, so single vertices do
    not tear the mesh (B. Nicolet et al., "Large Steps in Inverse Rendering of Geometry", SIGGRAPH Asia 2021). Colours
    are spread likewise.

    Each step renders some of the views, chosen by the seed and the number of the step alone, so a fit that was
    interrupted and resumed ends in the same mesh.

    Args:
        views: pictures to match.
        settings: weights and sizes.

    Example:
        >>> from patina3d.models import views_around
        >>> ball = ico_sphere(1).scale_verts(0.8)
        >>> ball.textures = TexturesVertex(torch.full_like(ball.verts_padded(), 0.5))
        >>> fit = MeshFit(views_around(ball, 4, 16), FitSettings(iterations=2, sphere_level=1))
        >>> first, second = fit.advance()["loss"], fit.advance()["loss"]
        >>> fit.step, len(fit.mesh().verts_packed())
        (2, 42)
    """

    def __init__(self, views: Views, settings: FitSettings | None = None) -> None:
        self.views = views
        self.settings = settings = settings or FitSettings()
        device = views.rgb.device
        self.start = ico_sphere(settings.sphere_level, device).scale_verts(settings.sphere_radius)
        self.handles = torch.zeros_like(self.start.verts_packed(), requires_grad=True)
        self._spread = diffusion_inverse(self.start, settings.diffusion)
        # Colours live behind a sigmoid, which keeps them in (0, 1), and are spread over the surface as positions are.
        self.color_logits = torch.zeros_like(self.start.verts_packed(), requires_grad=True)
        self._rates = (settings.learning_rate, settings.color_learning_rate)
        self.optimizer = UniformAdam([{"params": [self.handles]}, {"params": [self.color_logits]}])
        self.history: list[dict[str, float]] = []
        self.seconds = 0.0  # that all steps took, also those before a checkpoint
        self._rasterizer = MeshRasterizer()
        self._color = SoftPhongShader(device=device)

    @property
    def step(self) -> int:
        """How many steps were made."""
        return len(self.history)

    def mesh(self) -> Meshes:
        """The mesh as it is now, coloured; its gradient leads to the parameters."""
        mesh = self.start.offset_verts(self._spread @ self.handles)
        mesh.textures = TexturesVertex((self._spread @ self.color_logits).sigmoid()[None])
        return mesh

    def render(self, mesh: Meshes, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Soft colours (B, S, S, 3) and silhouettes (B, S, S) of the mesh from the views numbered ``chosen``."""
        cameras, lights = self.views.cameras[chosen], select_lights(self.views.lights, chosen)
        settings = self.settings
        sigma = settings.sigma * (settings.final_sigma / settings.sigma) ** self._progress()
        blend = BlendParams(sigma, settings.gamma)
        raster_settings = RasterizationSettings(
            image_size=self.views.rgb.shape[1],
            # Beyond this distance the sigmoid of a border is below 1e-4.
            blur_radius=math.log(1e4 - 1) * sigma,
            faces_per_pixel=settings.faces_per_pixel,
        )
        batch = mesh.extend(len(chosen))
        fragments = self._rasterizer(batch, cameras=cameras, raster_settings=raster_settings)
        silhouette = soft_silhouette(fragments, blend)
        nearest = _nearest_slots(fragments, settings.shaded_faces_per_pixel)
        color = self._color(nearest, batch, cameras=cameras, lights=lights, blend_params=blend)
        return color[..., :3], silhouette

    def advance(self) -> dict[str, float]:
        """Make one step of Adam; returns the terms of the loss before it."""
        began = time.perf_counter()
        settings = self.settings
        chosen = self._choose()
        mesh = self.mesh()
        rgb, silhouette = self.render(mesh, chosen)
        index = chosen.to(rgb.device)
        terms = {
            "silhouette": silhouette_loss(silhouette, self.views.silhouette[index]),
            "rgb": (rgb - self.views.rgb[index]).square().mean(),
            "edge": mesh_edge_loss(mesh),
            "laplacian": mesh_laplacian_smoothing(mesh),
            "normal": mesh_normal_consistency(mesh),
        }
        weights = asdict(settings)
        loss = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
        decay = 0.1 + 0.9 * (1 + math.cos(math.pi * self._progress())) / 2
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * decay
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        values = torch.stack([loss.detach(), *(term.detach() for term in terms.values())]).tolist()
        self.history.append(dict(zip(["loss", *terms], values, strict=True)))
        self.seconds += time.perf_counter() - began
        return self.history[-1]

    def save(self, path: Path) -> None:
        """Write all that `load` needs to go on; what stood there before stays until the new file is whole."""
        state = {
            "settings": asdict(self.settings),
            "views": self._views_state(),
            "handles": self.handles.detach(),
            "color_logits": self.color_logits.detach(),
            "optimizer": self.optimizer.state_dict(),
            "history": self.history,
            "seconds": self.seconds,
        }
        beside = path.with_name(f"{path.name}.part")
        try:
            torch.save(state, beside)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint of a fit to the same pictures with the same settings.

        Raises:
            OSError: the file cannot be read.
            ValueError: it is no checkpoint, or one of a fit with other settings, pictures, cameras or lights.
        """
        state = _read_checkpoint(path, self.handles.device)
        differing = [name for name, value in asdict(self.settings).items() if state["settings"].get(name) != value]
        if differing:
            raise ValueError(
                f"MeshFit.load: {path} must be of a fit with the same settings, got other {', '.join(differing)}"
            )
        for name, value in self._views_state().items():
            theirs = state["views"][name]
            # Another device may round differently.
            if theirs.shape != value.shape or not torch.allclose(theirs, value, rtol=0, atol=1e-4):
                raise ValueError(f"MeshFit.load: {path} must be of a fit to the same pictures, got other {name}")
        with torch.no_grad():
            self.handles.copy_(state["handles"])
            self.color_logits.copy_(state["color_logits"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.history, self.seconds = state["history"], state["seconds"]

    def _views_state(self) -> dict[str, Tensor]:
        views = self.views
        return {
            "silhouettes": views.silhouette,
            "colours": views.rgb,
            "cameras": views.cameras.get_full_projection_transform().get_matrix(),
            "lights": views.lights.location,
        }

    def _progress(self) -> float:
        return min(self.step / self.settings.iterations, 1.0)

    def _choose(self) -> Tensor:
        """The views of this step, the next of an endless row: every view comes once before any comes again."""
        count = len(self.views)
        per_step = min(self.settings.views_per_step, count)
        first_round, place = divmod(self.step * per_step, count)
        # A step reaches into the next round at most.
        rounds = torch.cat([self._order(first_round), self._order(first_round + 1)])
        return rounds[place : place + per_step]

    def _order(self, round_: int) -> Tensor:
        generator = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + round_)
        return torch.randperm(len(self.views), generator=generator)


def _read_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except OSError:
        raise
    except Exception:  # what bytes that are no checkpoint make of torch is not documented
        state = None
    needed = {"settings", "views", "handles", "color_logits", "optimizer", "history", "seconds"}
    if not isinstance(state, dict) or set(state) != needed:
        raise ValueError(f"MeshFit.load: {path} must be a file that MeshFit.save wrote, got another")
    return state


def diffusion_inverse(mesh: Meshes, diffusion: float) -> Tensor:
    """(V, V): the inverse of ``I + diffusion L``, L the combinatorial Laplacian (degrees minus adjacency).

    Symmetric, rows sum to 1. Computed in float64; dense, so meant for meshes of some thousand vertices.
    """
    edges = mesh.edges_packed()
    count = len(mesh.verts_packed())
    matrix = torch.zeros((count, count), dtype=torch.float64, device=edges.device)
    matrix[edges[:, 0], edges[:, 1]] = -diffusion
    matrix[edges[:, 1], edges[:, 0]] = -diffusion
    matrix.diagonal().copy_(1 - matrix.sum(1))
    return torch.cholesky_inverse(torch.linalg.cholesky(matrix)).to(mesh.verts_packed().dtype)


def _nearest_slots(fragments: Fragments, slots: int) -> Fragments:
    dists = None if fragments.dists is None else fragments.dists[..., :slots]
    return Fragments(
        pix_to_face=fragments.pix_to_face[..., :slots],
        zbuf=fragments.zbuf[..., :slots],
        bary_coords=fragments.bary_coords[..., :slots, :],
        dists=dists,
    )


def soft_silhouette(fragments: Fragments, blend_params: BlendParams) -> Tensor:
    r"""How much the faces cover each pixel, (B, S, S): ``min(1, sum_k sigmoid(-dist2_k / sigma))``.

    Two faces that share an edge cover a pixel beside it by ``p`` and ``1 - p``, so the inside of an object is covered
    by exactly 1 and has no gradient: only outlines have one. `SoftSilhouetteShader`, which multiplies what each face
    lets through, sees the background shine through every edge, and a fit that it guides folds the surface into many
    layers to hide it.
    """
    return face_coverage("soft_silhouette", fragments, blend_params).sum(-1).clamp(max=1)


def silhouette_loss(predicted: Tensor, true: Tensor) -> Tensor:
    r"""One minus the soft intersection over union of silhouettes (B, S, S), averaged over the batch.

    .. math:: 1 - \frac{\lVert \hat S \odot S \rVert_1}{\lVert \hat S + S - \hat S \odot S \rVert_1}

    Two empty silhouettes are equal: their loss is 0.
    """
    both = (predicted * true).sum((1, 2))
    either = (predicted + true).sum((1, 2)) - both
    return (1 - torch.where(either > 0, both / torch.where(either > 0, either, 1), 1)).mean()
