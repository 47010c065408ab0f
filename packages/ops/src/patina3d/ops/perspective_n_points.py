# SPDX-License-Identifier: Apache-2.0
"""The pose of a camera, from points of the world and where they are seen."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import torch
from torch import Tensor

from patina3d.common.workaround.symmetric_eigen import symmetric_eigen
from patina3d.core import at_hand
from patina3d.ops.knn import at_least_float32
from patina3d.ops.points_alignment import align, check_weights, coincide, root, shares

__all__ = ["EpnpSolution", "efficient_pnp"]

_NAME = "efficient_pnp"

# Points nearer than this, in units of the spread of the points, are projected as if they were so far in front.
_LEAST_DEPTH = 1e-9

# The four control points are the corners of a unit simplex: three axes, and the origin.
_FIRST, _SECOND = (0, 0, 1, 0, 1, 2), (1, 2, 2, 3, 3, 3)
_DISTANCES2 = (2.0, 2.0, 2.0, 1.0, 1.0, 1.0)

# Which products of two coefficients each linearisation solves for.
_LINEARISATIONS = (
    ((0, 0), (0, 1), (0, 2), (0, 3)),
    ((0, 0), (0, 1), (1, 1)),
    ((0, 0), (0, 1), (1, 1), (0, 2), (1, 2)),
)


class EpnpSolution(NamedTuple):
    """What :func:`efficient_pnp` returns."""

    x_cam: Tensor
    """(B, n, 3), the points in view coordinates, as the linear system has them."""
    R: Tensor
    """(B, 3, 3)."""
    T: Tensor
    """(B, 3)."""
    err_2d: Tensor
    """(B,), mean distance between y and the projections of ``x R + T``."""
    err_3d: Tensor
    """(B,), mean squared distance between ``x_cam`` and ``x R + T``."""


def efficient_pnp(x: Tensor, y: Tensor, weights: Tensor | None = None, skip_quadratic_eq: bool = False) -> EpnpSolution:
    r"""Find the pose of a camera from points of the world and where it sees them.

    .. math:: y_i \approx \operatorname{proj}(x_i R + T), \qquad \operatorname{proj}(a, b, c) = (a / c, b / c)

    by EPnP (V. Lepetit, F. Moreno-Noguer and P. Fua, "EPnP: An Accurate O(n) Solution to the PnP Problem", 2009). The
    points are written as weighted sums of four control points. In view coordinates those solve a linear system, up to
    its kernel; each way to choose from the kernel is a candidate:

    - its first vector alone;
    - unless ``skip_quadratic_eq``, combinations of up to four vectors with the right distances between the control
      points, in three linearisations of EPnP (4, 3 and 5 products of coefficients).

    Each candidate is put in front of the camera and aligned with x by a similarity (which gives R, T and the unit of
    length); the one with the least ``err_2d`` is returned.

    Args:
        x: (B, n, 3) points in the world, n >= 4. float32 or float64; halves are computed in float32.
        y: (B, n, 2) where they are seen, on the image plane at distance 1: focal length 1, principal point 0.
        weights: (B, n) non-negative, ``None`` means ones. Each term of every sum is weighted once; only their ratios
            matter.
        skip_quadratic_eq: whether to take the first candidate, which is enough for many points.

    Returns:
        A named tuple ``EpnpSolution(x_cam, R, T, err_2d, err_3d)`` of (B, n, 3), (B, 3, 3), (B, 3), (B,), (B,).
        Computed in float64 and given in the dtype of x. For points in a plane, or nearly so, the linear system does not
        determine the control points, and the pose is unreliable; the result is finite all the same.

    Differentiable in x, y and the weights, with the choice of the candidate held fixed; gradients are finite. Between
    vectors of the kernel whose eigenvalues are equal (four or five points) nothing flows.

    Raises:
        ValueError: shapes or devices do not fit, n < 4; or a value is not finite or a weight negative (seen on the CPU
            only: looking would wait for the device, or break a compiled graph).
        TypeError: x or y is not floating, or their dtypes differ.

    Warns:
        UserWarning: points of the solution lie behind the camera (seen on the CPU only).

    Cost: O(B n). On CUDA torch's decompositions wait for the device.

    Example:
        >>> x = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, 1, 1]]])
        >>> seen = x + torch.tensor([0.0, 0.0, 5.0])
        >>> solution = efficient_pnp(x, seen[..., :2] / seen[..., 2:])
        >>> solution.T.round().long(), solution.R.round().long().diagonal(dim1=1, dim2=2)
        (tensor([[0, 0, 5]]), tensor([[1, 1, 1]]))
    """
    x, y, weights = _checked(x, y, weights)
    dtype = x.dtype
    x, y = x.double(), y.double()
    share = shares(torch.ones_like(x[..., 0]) if weights is None else weights.double())

    mean = (share * x).sum(1, keepdim=True)
    variance = (share * (x - mean).square()).sum((1, 2))
    unit = torch.where(coincide(variance, mean[:, 0]), 1, variance)[:, None].sqrt()
    points = (x - mean) / unit[..., None]
    alphas = torch.cat([points, 1 - points.sum(-1, keepdim=True)], -1)

    kernel = _kernel(alphas, y, share)
    coefficients = [kernel.new_tensor([1.0, 0.0, 0.0, 0.0]).expand(len(x), 4)]
    if not skip_quadratic_eq:
        coefficients += [_coefficients(kernel, products) for products in _LINEARISATIONS]
    controls = torch.einsum("bck,bkij->bcij", torch.stack(coefficients, 1), kernel)

    candidates = _candidates(points, y, share, alphas[:, None] @ controls)
    best = candidates.err_2d.detach().nan_to_num(torch.inf).argmin(1)
    x_cam, R, T, err_2d, err_3d = (_taken(values, best) for values in candidates)
    if at_hand(x_cam):
        behind = int(((x_cam[..., 2:] < 0) & (share > 0)).sum())
        if behind:
            warnings.warn(f"{_NAME}: {behind} points of the solution lie behind the camera (z < 0)", stacklevel=2)
    solution = (x_cam * unit[..., None], R, T * unit - (mean @ R)[:, 0], err_2d, err_3d * unit[:, 0].square())
    return EpnpSolution(*(values.to(dtype) for values in solution))


def _kernel(alphas: Tensor, y: Tensor, share: Tensor) -> Tensor:
    """The four sets of control points (B, 4, 4, 3) that project the points nearest to where they are seen."""
    (b, n, _), (u, v) = alphas.shape, y.unbind(-1)
    # A point (a, b, c) is seen at (u, v) where (1, 0, -u) and (0, 1, -v) are orthogonal to it.
    zero, one = torch.zeros_like(u), torch.ones_like(u)
    normals = torch.stack([one, zero, -u, zero, one, -v], -1).reshape(b, n, 2, 3)
    of_alphas = (share[..., None] * alphas[..., None] * alphas[..., None, :]).reshape(b, n, 16)
    of_normals = (normals.mT @ normals).reshape(b, n, 9)
    gram = (of_alphas.mT @ of_normals).reshape(b, 4, 4, 3, 3).transpose(2, 3).reshape(b, 12, 12)
    if at_hand(gram) and not bool(torch.isfinite(gram).all()):
        raise ValueError(f"{_NAME}: x, y and weights must be finite")
    _, vectors = symmetric_eigen(gram)
    return vectors[..., :4].mT.reshape(b, 4, 4, 3)


def _coefficients(kernel: Tensor, products: tuple[tuple[int, int], ...]) -> Tensor:
    """(B, 4): how much of each kernel vector makes the distances between control points right, nearly.

    The squared distances are linear in the products of two coefficients; these are solved for as if they were
    independent, and the first one's root is taken.
    """
    edges = kernel[:, :, _FIRST] - kernel[:, :, _SECOND]
    columns = [(1 if k == m else 2) * (edges[:, k] * edges[:, m]).sum(-1) for k, m in products]
    found = torch.linalg.pinv(torch.stack(columns, -1)) @ kernel.new_tensor(_DISTANCES2)
    # The products of (i c) are minus those of c: the sign of all of them is free.
    found = torch.where(found[:, :1] < 0, -found, found)
    by_product = dict(zip(products, found.unbind(-1), strict=True))
    first = root(by_product[0, 0])
    is_lost = by_product[0, 0] <= torch.finfo(kernel.dtype).eps * found.detach().abs().amax(-1)
    divisor = torch.where(is_lost, 1, first)
    others = []
    for k in (1, 2, 3):
        if (k, k) in by_product:
            size = root(by_product[k, k].clamp(min=0))
            others.append(torch.where(by_product[0, k] < 0, -size, size))
        else:
            others.append(by_product[0, k] / divisor if (0, k) in by_product else torch.zeros_like(first))
    alone = kernel.new_tensor([1.0, 0.0, 0.0, 0.0])
    return torch.where(is_lost[:, None], alone, torch.stack([first, *others], -1))


def _candidates(points: Tensor, y: Tensor, share: Tensor, x_cam: Tensor) -> EpnpSolution:
    """Every field with an axis for C candidates after the batch; ``x_cam`` is (B, C, n, 3), of any sign and unit."""
    b, c, n, _ = x_cam.shape
    share = share[:, None]
    depth = (share * x_cam[..., 2:]).sum(2, keepdim=True)
    x_cam = torch.where(depth < 0, -x_cam, x_cam)
    each = (values.expand(b, c, n, values.shape[3]).flatten(0, 1) for values in (points[:, None], x_cam, share))
    (R, T, s), _ = align(_NAME, *each, estimate_scale=True, allow_reflection=False)
    R, T, s = R.reshape(b, c, 3, 3), T.reshape(b, c, 3), s.reshape(b, c)
    with torch.no_grad():
        # A candidate of which the scale is this small is a mirror image or a point: not worth enlarging.
        least = torch.finfo(s.dtype).eps ** 0.5 * (share * x_cam.square()).sum((2, 3)).sqrt()
    unit = torch.where(s > least, s, 1)
    x_cam, T = x_cam / unit[..., None, None], T / unit[..., None]
    seen = points[:, None] @ R + T[:, :, None]
    projected = seen[..., :2] / seen[..., 2:].clamp(min=_LEAST_DEPTH)
    distance = torch.linalg.vector_norm(y[:, None] - projected, dim=-1)
    err_2d = (share[..., 0] * distance).sum(2)
    err_3d = (share * (seen - x_cam).square()).sum((2, 3))
    return EpnpSolution(x_cam, R, T, err_2d, err_3d)


def _taken(values: Tensor, best: Tensor) -> Tensor:
    """``values[b, best[b]]``."""
    index = best.reshape(-1, *[1] * (values.dim() - 1)).expand(-1, 1, *values.shape[2:])
    return values.gather(1, index)[:, 0]


def _checked(x: Any, y: Any, weights: Any) -> tuple[Tensor, Tensor, Tensor | None]:
    for name, value, columns in (("x", x, 3), ("y", y, 2)):
        if not isinstance(value, Tensor):
            raise TypeError(f"{_NAME}: {name} must be a torch.Tensor, got {type(value).__name__}")
        if value.dim() != 3 or value.shape[2] != columns:
            raise ValueError(f"{_NAME}: {name} must be of shape (B, n, {columns}), got {tuple(value.shape)}")
        if not value.is_floating_point():
            raise TypeError(f"{_NAME}: {name} must be floating, got {value.dtype}")
    if x.shape[:2] != y.shape[:2]:
        raise ValueError(f"{_NAME}: y must be of shape {(*x.shape[:2], 2)}, as x, got {tuple(y.shape)}")
    if x.shape[1] < 4:
        raise ValueError(f"{_NAME}: x must have at least 4 points, got {x.shape[1]}")
    if weights is not None and (not isinstance(weights, Tensor) or weights.shape != x.shape[:2]):
        got = tuple(weights.shape) if isinstance(weights, Tensor) else type(weights).__name__
        raise ValueError(f"{_NAME}: weights must be of shape {tuple(x.shape[:2])}, got {got}")
    if y.dtype != x.dtype:
        raise TypeError(f"{_NAME}: y must be {x.dtype}, as x, got {y.dtype}")
    for name, value in (("y", y), ("weights", weights)):
        if value is not None and value.device != x.device:
            raise ValueError(f"{_NAME}: {name} must be on {x.device}, as x, got {value.device}")
    if weights is not None:
        check_weights(_NAME, weights)
    return at_least_float32(x), at_least_float32(y), weights
