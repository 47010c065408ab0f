# SPDX-License-Identifier: Apache-2.0
"""How close two surfaces are."""

from dataclasses import dataclass

import torch
from torch import Tensor

from patina3d.ops import knn_points, sample_points_from_meshes
from patina3d.structures import Meshes

__all__ = ["SurfaceMetrics", "surface_metrics"]

# The longest side of the true mesh's bounding box after scaling, and the distances of F1 on that scale.
_EXTENT = 10.0
_THRESHOLDS = (0.1, 0.3, 0.5)


@dataclass(frozen=True)
class SurfaceMetrics:
    """Distances between two surfaces, the true one scaled so that its bounding box's longest side is 10."""

    chamfer: float  # mean squared distance to the nearest sample, both directions added
    normal_consistency: float  # mean |cos| between normals of nearest samples, both directions averaged
    f1: dict[float, float]  # at each threshold: harmonic mean of precision and recall, in percent


def surface_metrics(predicted: Meshes, true: Meshes, *, num_points: int = 10_000) -> SurfaceMetrics:
    r"""Compare two meshes by points sampled on their surfaces.

    The protocol of G. Gkioxari et al., "Mesh R-CNN", ICCV 2019, and N. Ravi et al., "Accelerating 3D Deep Learning
    with PyTorch3D", 2020: with samples P and Q of both surfaces, both scaled by the factor that makes the longest side
    of the true mesh's bounding box 10,

    .. math::
        \mathrm{chamfer} = \frac{1}{|P|} \sum_p \min_q \lVert p - q \rVert^2
            + \frac{1}{|Q|} \sum_q \min_p \lVert q - p \rVert^2

    and F1 at t is the harmonic mean of the shares of P within t of Q and of Q within t of P.

    Args:
        predicted: one mesh.
        true: one mesh, in the same frame.
        num_points: samples on each surface, drawn with torch's global generator.

    Returns:
        The metrics, as plain numbers.

    Raises:
        ValueError: not one mesh each, or the true mesh has no extent.

    Example:
        >>> from patina3d.utils import ico_sphere
        >>> metrics = surface_metrics(ico_sphere(3), ico_sphere(3), num_points=2000)
        >>> metrics.f1[0.5] > 98, metrics.chamfer < 0.2
        (True, True)
    """
    for name, mesh in (("predicted", predicted), ("true", true)):
        if len(mesh) != 1 or mesh.isempty():
            raise ValueError(f"surface_metrics: {name} must be one mesh with faces, got {mesh!r}")
    verts = true.verts_packed()
    extent = (verts.max(0).values - verts.min(0).values).max()
    if not extent > 0:
        raise ValueError(f"surface_metrics: true must be a mesh with extent, got a bounding box of {extent.item()}")
    scale = (_EXTENT / extent).item()
    with torch.no_grad():
        p, p_normals = sample_points_from_meshes(predicted.scale_verts(scale), num_points, return_normals=True)
        q, q_normals = sample_points_from_meshes(true.scale_verts(scale), num_points, return_normals=True)
        to_true, cos_p = _nearest(p, q, p_normals, q_normals)
        to_predicted, cos_q = _nearest(q, p, q_normals, p_normals)
    f1 = {}
    for threshold in _THRESHOLDS:
        precision = (to_true < threshold**2).double().mean().item()
        recall = (to_predicted < threshold**2).double().mean().item()
        f1[threshold] = 100 * 2 * precision * recall / max(precision + recall, 1e-12)
    return SurfaceMetrics(
        chamfer=(to_true.mean() + to_predicted.mean()).item(),
        normal_consistency=((cos_p.mean() + cos_q.mean()) / 2).item(),
        f1=f1,
    )


def _nearest(points: Tensor, others: Tensor, normals: Tensor, other_normals: Tensor) -> tuple[Tensor, Tensor]:
    """Squared distance to the nearest of ``others``, and |cos| to its normal."""
    found = knn_points(points, others)
    nearest = other_normals[0][found.idx[0, :, 0]]
    return found.dists[0, :, 0], (normals[0] * nearest).sum(-1).abs()
