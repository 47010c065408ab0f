# SPDX-License-Identifier: Apache-2.0
"""The definition of soft blending, in the arguments of the native operator.

Shapes: ``colors`` (N, H, W, K, C); ``dists``, ``zbuf`` and ``pix_to_face`` (N, H, W, K); ``background`` (1, C) or
(N H W, C); ``znear`` and ``zfar`` (1,) or (N,). All of it is differentiable by torch's own rules, any number of times,
in ``sigma`` and ``gamma`` too where they are tensors.
"""

import math

import torch
from torch import Tensor


def softmax_image(
    colors: Tensor,
    dists: Tensor,
    zbuf: Tensor,
    pix_to_face: Tensor,
    background: Tensor,
    znear: Tensor,
    zfar: Tensor,
    sigma: float | Tensor,
    gamma: float | Tensor,
    least: float,
) -> Tensor:
    """(N, H, W, C + 1): the mean of all colours, weighted by coverage and by closeness, and the silhouette.

    ``least`` is the closeness of the background and the least weight that it has. Without channels only the silhouette
    is computed.
    """
    alpha = 1.0 - transmittance(dists, pix_to_face, sigma).unsqueeze(-1)
    if colors.shape[-1] == 0:
        return alpha
    empty = pix_to_face < 0
    zbuf = zbuf.masked_fill(empty, 0.0)
    near, far = znear.reshape(-1, 1, 1, 1), zfar.reshape(-1, 1, 1, 1)
    closeness = ((far - zbuf) / (far - near)).masked_fill(empty, 0.0)
    shift = closeness.max(dim=-1, keepdim=True)[0].clamp(min=least)
    weights = closeness.sub(shift).mul(1.0 / gamma).exp() * coverage(dists, pix_to_face, sigma)
    behind = ((least - shift) / gamma).exp().clamp(min=least)
    total = weights.sum(dim=-1, keepdim=True) + behind
    background = background.reshape(1, 1, 1, -1) if len(background) == 1 else background.reshape(*zbuf.shape[:3], -1)
    colors = colors.masked_fill(empty.unsqueeze(-1), 0.0)
    rgb = torch.matmul((weights / total).unsqueeze(-2), colors).squeeze(-2) + behind / total * background
    return torch.cat([rgb, alpha], dim=-1)


def coverage(dists: Tensor, pix_to_face: Tensor, sigma: float | Tensor) -> Tensor:
    """``p_k``, (N, H, W, K): the part of the pixel that face k covers; 0 in empty slots whatever they hold."""
    empty = pix_to_face < 0
    return _known(dists, empty, sigma).mul(-1.0 / sigma).masked_fill(empty, -math.inf).sigmoid()


def transmittance(dists: Tensor, pix_to_face: Tensor, sigma: float | Tensor) -> Tensor:
    """``prod_k (1 - p_k)``, (N, H, W): exact also where ``p_k`` rounds to 1, for the gradient there."""
    empty = pix_to_face < 0
    return _known(dists, empty, sigma).mul(1.0 / sigma).masked_fill(empty, math.inf).sigmoid().prod(dim=-1)


def _known(dists: Tensor, empty: Tensor, sigma: float | Tensor) -> Tensor:
    """Distances for a product with sigma: the gradient of a tensor reads them all, so empty slots must be finite."""
    return dists.masked_fill(empty, 0.0) if isinstance(sigma, Tensor) else dists
