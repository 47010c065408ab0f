# SPDX-License-Identifier: Apache-2.0
"""Normals and local frames of point clouds, from the neighbours of each point."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from patina3d.common.workaround import symeig3x3
from patina3d.ops._padded_points import padded_points
from patina3d.ops._units import unit_of
from patina3d.ops.utils import get_point_covariances

if TYPE_CHECKING:
    from patina3d.structures import Pointclouds

__all__ = ["estimate_pointcloud_local_coord_frames", "estimate_pointcloud_normals"]


def estimate_pointcloud_normals(
    pointclouds: Tensor | Pointclouds,
    neighborhood_size: int = 50,
    disambiguate_directions: bool = True,
    *,
    use_symeig_workaround: bool = True,
) -> Tensor:
    """Estimate the normal of a point cloud at each of its points: the direction in which its neighbours vary least.

    This is the first axis of :func:`estimate_pointcloud_local_coord_frames`, which says more.

    Args:
        pointclouds: (N, P, 3) tensor or `Pointclouds`. float32 or float64; halves are computed in float32.
        neighborhood_size: K, how many neighbours are looked at, the point itself included; fewer than there are points.
        disambiguate_directions: whether normals point to the side on which more of the neighbours lie; otherwise their
            signs are arbitrary.
        use_symeig_workaround: find eigenvectors by :func:`~patina3d.common.workaround.symeig3x3`, which does not wait
            for the device and has finite gradients everywhere; or by `torch.linalg.eigh`.

    Returns:
        (N, P, 3) unit vectors, 0 in the padding. Differentiable in the points; the neighbours are held fixed.

    Raises:
        ValueError: points are not (N, P, 3), or a cloud has points but no more than ``neighborhood_size`` of them.
        TypeError: points are not floating.

    Example:
        >>> plane = torch.rand(1, 200, 3) * torch.tensor([1.0, 0.0, 1.0])
        >>> normals = estimate_pointcloud_normals(plane, neighborhood_size=10)
        >>> normals.abs().sum(1).round()
        tensor([[  0., 200.,   0.]])
    """
    _, frames = _frames(
        "estimate_pointcloud_normals", pointclouds, neighborhood_size, disambiguate_directions, use_symeig_workaround
    )
    return frames[..., 0]


def estimate_pointcloud_local_coord_frames(
    pointclouds: Tensor | Pointclouds,
    neighborhood_size: int = 50,
    disambiguate_directions: bool = True,
    *,
    use_symeig_workaround: bool = True,
) -> tuple[Tensor, Tensor]:
    r"""Estimate the principal directions of a point cloud at each of its points, and the variances along them.

    They are the eigenvectors and eigenvalues of the covariance of the K nearest points, as
    :func:`~patina3d.ops.get_point_covariances` gives it. The signs of the first and the last axis are chosen as in the
    SHOT descriptor (F. Tombari, S. Salti and L. Di Stefano, "Unique Signatures of Histograms for Local Surface
    Description", 2010): an axis points to the side of the point on which more of its neighbours lie,

    .. math:: \#\{k : (x_{ik} - x_i) \cdot a > 0\} \ge \#\{k : (x_{ik} - x_i) \cdot a < 0\}

    or, where those are as many, to the side of their mean. The axis between is the first times the last one, so that
    the frame has determinant -1.

    Args:
        pointclouds: (N, P, 3) tensor or `Pointclouds`. float32 or float64; halves are computed in float32.
        neighborhood_size: K, how many neighbours are looked at, the point itself included; fewer than there are points.
        disambiguate_directions: whether to choose signs so; otherwise signs and handedness are arbitrary.
        use_symeig_workaround: find eigenvectors by :func:`~patina3d.common.workaround.symeig3x3`, which does not wait
            for the device and has finite gradients everywhere; or by `torch.linalg.eigh`.

    Returns:
        Curvatures (N, P, 3), the variances in ascending order, and frames (N, P, 3, 3), whose columns are the axes:
        0 the normal, with the least variance, 2 the one with the largest. Both are 0 in the padding. A cloud without
        points has none. Where a neighbourhood lies in a plane, its offsets along the normal are rounding, and so is the
        sign. Differentiable in the points; the neighbours and signs are held fixed. Between directions of equal
        variance nothing flows.

    Raises:
        ValueError: points are not (N, P, 3), or a cloud has points but no more than ``neighborhood_size`` of them.
        TypeError: points are not floating.

    Cost: that of `knn_points`, and O(N P K) memory.

    Example:
        >>> plane = torch.rand(1, 200, 3) * torch.tensor([9.0, 0.0, 1.0])
        >>> curvatures, frames = estimate_pointcloud_local_coord_frames(plane, neighborhood_size=100)
        >>> curvatures[0, 0, 0], frames.shape
        (tensor(0.), torch.Size([1, 200, 3, 3]))
    """
    return _frames(
        "estimate_pointcloud_local_coord_frames",
        pointclouds,
        neighborhood_size,
        disambiguate_directions,
        use_symeig_workaround,
    )


def _frames(
    operator: str, pointclouds: Tensor | Pointclouds, k: int, disambiguate: bool, use_symeig_workaround: bool
) -> tuple[Tensor, Tensor]:
    points, counts, lengths, mask = padded_points(operator, "pointclouds", pointclouds)
    if points.shape[2] != 3:
        raise ValueError(f"{operator}: pointclouds must be of shape (N, P, 3), got {tuple(points.shape)}")
    if k < 1 or any(0 < count <= k for count in counts):
        raise ValueError(
            f"{operator}: neighborhood_size must be >= 1 and less than the size of each of the point clouds, "
            f"got {k} for {counts}"
        )
    if lengths is None:
        lengths = torch.full((points.shape[0],), points.shape[1], device=points.device)
    # A square of a length may leave the range of the dtype where the length does not.
    unit = unit_of(points)
    points = points / unit
    covariances, neighbors = get_point_covariances(points, lengths, k)
    if use_symeig_workaround:
        curvatures, frames = symeig3x3(covariances)
        assert frames is not None
    else:
        curvatures, frames = torch.linalg.eigh(covariances)
    if disambiguate:
        normal, last = (_signed(frames[..., column], neighbors - points[:, :, None]) for column in (0, 2))
        frames = torch.stack([normal, torch.linalg.cross(normal, last), last], -1)
    # A variance of 0 may be found a rounding below it.
    curvatures = curvatures.clamp(min=0) * unit * unit
    if mask is not None:
        curvatures, frames = torch.where(mask[..., None], curvatures, 0), torch.where(mask[..., None, None], frames, 0)
    return curvatures, frames


def _signed(axis: Tensor, offsets: Tensor) -> Tensor:
    """Turn each axis (N, P, 3) to the side of more neighbours; where both sides have as many, to that of their mean."""
    with torch.no_grad():
        heights = (offsets @ axis[..., None])[..., 0]
        balance = heights.sign().sum(-1)
        turned = (balance < 0) | ((balance == 0) & (heights.sum(-1) < 0))
    return torch.where(turned[..., None], -axis, axis)
