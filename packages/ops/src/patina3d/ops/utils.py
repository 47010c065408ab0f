# SPDX-License-Identifier: Apache-2.0
"""What the operators on points share."""

from typing import Any

import torch
from torch import Tensor

from patina3d.common.datatypes import Device
from patina3d.core import at_hand
from patina3d.ops.knn import at_least_float32, knn_gather, knn_points

__all__ = [
    "convert_pointclouds_to_tensor",
    "eyes",
    "get_point_covariances",
    "is_pointclouds",
    "masked_gather",
    "wmean",
]


def masked_gather(points: Tensor, idx: Tensor) -> Tensor:
    """Gather points by indices of which -1 means none.

    Args:
        points: (N, P, D).
        idx: (N, K) or (N, L, K) int64, entries in [0, P) or -1.

    Returns:
        (N, K, D) or (N, L, K, D): ``points[n, idx[n, ...]]``, 0 where ``idx`` is -1. Differentiable in ``points``.

    Raises:
        ValueError: shapes do not fit.

    Example:
        >>> masked_gather(torch.tensor([[[1.0], [2.0]]]), torch.tensor([[1, -1]]))
        tensor([[[2.],
                 [0.]]])
    """
    if points.dim() != 3:
        raise ValueError(f"masked_gather: points must be of shape (N, P, D), got {tuple(points.shape)}")
    if idx.dim() not in (2, 3) or idx.shape[0] != points.shape[0]:
        shape = f"({points.shape[0]}, K) or ({points.shape[0]}, L, K)"
        is_batch = idx.shape[:1] == points.shape[:1]
        why = "This format is not supported." if is_batch else "points and idx must have the same batch dimension."
        raise ValueError(f"masked_gather: idx must be of shape {shape}, got {tuple(idx.shape)}. {why}")
    if idx.dim() == 2:
        return masked_gather(points, idx[:, None])[:, 0]
    # A slot of `knn_gather` is masked by its place, here by its value: K may exceed P.
    lengths = torch.full((idx.shape[0],), idx.shape[2], device=idx.device)
    return torch.where((idx >= 0)[..., None], knn_gather(points, idx.clamp(min=0), lengths), 0)


def wmean(
    x: Tensor,
    weight: Tensor | None = None,
    dim: int | tuple[int, ...] = -2,
    keepdim: bool = True,
    eps: float = 1e-9,
) -> Tensor:
    r"""Weighted mean :math:`\sum w x / \max(\sum w, \epsilon)`.

    Args:
        x: (*, D).
        weight: of a shape that broadcasts with ``x.shape[:-1]``, either to the other; ``None`` means ones.
        dim: axis or axes of the broadcast ``x`` to average over.
        keepdim: whether they stay, with size 1.
        eps: the least sum of weights; weights that are all 0 give 0.

    Returns:
        The mean, of the shape of ``w x`` without those axes. Differentiable in both.

    Raises:
        ValueError: ``weight`` does not fit.

    Example:
        >>> wmean(torch.tensor([[0.0], [4.0]]), torch.tensor([1.0, 3.0]))
        tensor([[3.]])
    """
    if weight is None:
        return x.mean(dim=dim, keepdim=keepdim)
    try:
        shape = torch.broadcast_shapes(weight.shape, x.shape[:-1])
    except RuntimeError:
        raise ValueError(
            f"wmean: weight must be of a shape that broadcasts with {tuple(x.shape[:-1])}, got {tuple(weight.shape)}."
            " These weights are not compatible with x."
        ) from None
    weight = weight[..., None].expand(*shape, 1)
    total = (x * weight).sum(dim=dim, keepdim=keepdim)
    return total / weight.sum(dim=dim, keepdim=keepdim).clamp(min=eps)


def eyes(dim: int, N: int, device: Device | None = None, dtype: torch.dtype = torch.float32) -> Tensor:
    """A batch of identity matrices, (N, dim, dim).

    Example:
        >>> eyes(2, 3).shape
        torch.Size([3, 2, 2])
    """
    return torch.eye(dim, device=device, dtype=dtype).repeat(N, 1, 1)


def convert_pointclouds_to_tensor(pcl: Any) -> tuple[Tensor, Tensor]:
    """Padded points and their number.

    Args:
        pcl: `Pointclouds`, or a tensor (N, P, D) of which every point counts.

    Returns:
        Points (N, P, D) and the number of points of each cloud (N,) int64.

    Raises:
        ValueError: neither of the two.

    Example:
        >>> points, counts = convert_pointclouds_to_tensor(torch.rand(2, 5, 3))
        >>> points.shape, counts
        (torch.Size([2, 5, 3]), tensor([5, 5]))
    """
    if is_pointclouds(pcl):
        return pcl.points_padded(), pcl.num_points_per_cloud()
    if not isinstance(pcl, Tensor):
        kind = type(pcl).__name__
        raise ValueError(f"convert_pointclouds_to_tensor: pcl must be a torch.Tensor or Pointclouds, got {kind}")
    if pcl.dim() != 3:
        raise ValueError(f"convert_pointclouds_to_tensor: pcl must be of shape (N, P, D), got {tuple(pcl.shape)}")
    return pcl, torch.full((pcl.shape[0],), pcl.shape[1], device=pcl.device)


def is_pointclouds(pcl: Any) -> bool:
    """Whether an object can give padded points and their number, as `Pointclouds` can.

    Example:
        >>> is_pointclouds(torch.rand(2, 5, 3))
        False
    """
    return hasattr(pcl, "points_padded") and hasattr(pcl, "num_points_per_cloud")


def get_point_covariances(
    points_padded: Tensor, num_points_per_cloud: Tensor, neighborhood_size: int
) -> tuple[Tensor, Tensor]:
    r"""Covariance of the neighbourhood of each point, the point itself included.

    .. math:: C_i = \frac{1}{K} \sum_k (x_{ik} - \bar x_i) (x_{ik} - \bar x_i)^T

    over the K nearest points :math:`x_{ik}` of the same cloud, with mean :math:`\bar x_i`.

    Args:
        points_padded: (N, P, D) float32 or float64, any D; halves are computed in float32.
        num_points_per_cloud: (N,) int64, how many points of each cloud count.
        neighborhood_size: K >= 1. A cloud of fewer points has all of them in every neighbourhood, and their number in
            the place of K.

    Returns:
        Covariances (N, P, D, D) and the neighbours (N, P, K, D), the nearest first. Rows that are not points are 0 in
        both, and so are slots without a neighbour. Differentiable in the points; who is a neighbour is held fixed.

    Raises:
        ValueError: shapes or ``neighborhood_size`` do not fit.

    Cost: that of `knn_points`, and O(N P K D^2).

    Example:
        >>> points = torch.tensor([[[0.0, 0.0], [2.0, 0.0], [9.0, 9.0]]])
        >>> covariances, _ = get_point_covariances(points, torch.tensor([3]), 2)
        >>> covariances[0, 0]
        tensor([[1., 0.],
                [0., 0.]])
    """
    name = "get_point_covariances"
    if points_padded.dim() != 3:
        raise ValueError(f"{name}: points_padded must be of shape (N, P, D), got {tuple(points_padded.shape)}")
    n, rows, _ = points_padded.shape
    if num_points_per_cloud.shape != (n,):
        got = tuple(num_points_per_cloud.shape)
        raise ValueError(f"{name}: num_points_per_cloud must be of shape ({n},), got {got}")
    if neighborhood_size < 1:
        raise ValueError(f"{name}: neighborhood_size must be >= 1, got {neighborhood_size}")
    points, lengths = at_least_float32(points_padded), num_points_per_cloud.clamp(max=rows)
    with torch.no_grad():
        idx = knn_points(points, points, lengths, lengths, K=neighborhood_size).idx
    neighbors = knn_gather(points, idx)
    # Offsets from the point are as small as the neighbourhood: no digits are lost far from the origin.
    offsets = neighbors - points[:, :, None]
    taken = None
    if not (at_hand(lengths) and neighborhood_size <= rows and bool((lengths == rows).all())):
        is_point = torch.arange(rows, device=points.device) < lengths[:, None]
        is_taken = torch.arange(neighborhood_size, device=points.device) < lengths[:, None]
        taken = (is_point[:, :, None] & is_taken[:, None])[..., None]
        neighbors, offsets = torch.where(taken, neighbors, 0), torch.where(taken, offsets, 0)
    share = 1 / lengths.clamp(min=1, max=neighborhood_size).to(points.dtype)[:, None, None, None]
    # The product of centred offsets has no negative eigenvalue; that of others less that of the mean may have.
    centred = offsets - share * offsets.sum(2, keepdim=True)
    if taken is not None:
        centred = torch.where(taken, centred, 0)
    return share * (centred.mT @ centred), neighbors
