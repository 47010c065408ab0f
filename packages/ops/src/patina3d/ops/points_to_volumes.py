# SPDX-License-Identifier: Apache-2.0
"""Point clouds turned into volumes."""

from functools import reduce
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd import Function

from patina3d.core import _native, distinct, is_differentiated, register
from patina3d.ops._reference.points_to_volumes import points_to_volumes_python
from patina3d.structures import Pointclouds, Volumes

__all__ = ["add_pointclouds_to_volumes", "add_points_features_to_volume_densities_features"]

_OPERATOR = "add_points_features_to_volume_densities_features"
_HALF = (torch.float16, torch.bfloat16)


def _fake_forward(
    points_3d: Tensor,
    points_features: Tensor,
    volume_densities: Tensor,
    volume_features: Tensor | None,
    grid_sizes: Tensor | None,
    mask: Tensor | None,
    point_weight: float,
    align_corners: bool,
    splat: bool,
) -> tuple[Tensor, Tensor]:
    batch, _, *voxels = volume_densities.shape
    features = volume_densities.new_empty((batch, points_features.shape[2], *voxels))
    return volume_densities.new_empty(volume_densities.shape), features


def _fake_backward(
    points_3d: Tensor,
    points_features: Tensor,
    grid_sizes: Tensor | None,
    mask: Tensor | None,
    point_weight: float,
    align_corners: bool,
    splat: bool,
    grad_densities: Tensor,
    grad_features: Tensor | None,
    of_points: bool,
    of_features: bool,
) -> list[Tensor]:
    wanted = (points_3d, of_points), (points_features, of_features)
    return [x.new_empty(x.shape) for x, wants in wanted if wants]


_forward = register(
    "points_to_volumes_forward(Tensor points_3d, Tensor points_features, Tensor volume_densities,"
    " Tensor? volume_features, Tensor? grid_sizes, Tensor? mask, float point_weight, bool align_corners, bool splat)"
    " -> (Tensor, Tensor)",
    _native.ops.points_to_volumes_forward,
    _fake_forward,
)
_backward = register(
    "points_to_volumes_backward(Tensor points_3d, Tensor points_features, Tensor? grid_sizes, Tensor? mask,"
    " float point_weight, bool align_corners, bool splat, Tensor grad_densities, Tensor? grad_features,"
    " bool of_points, bool of_features) -> Tensor[]",
    _native.ops.points_to_volumes_backward,
    _fake_backward,
)


class _Vote(Function):
    @staticmethod
    def forward(
        points: Tensor,
        features: Tensor,
        densities: Tensor,
        volume_features: Tensor | None,
        grid_sizes: Tensor | None,
        mask: Tensor | None,
        point_weight: float,
        align_corners: bool,
        splat: bool,
    ) -> tuple[Tensor, Tensor]:
        return _forward(
            points, features, densities, volume_features, grid_sizes, mask, point_weight, align_corners, splat
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        points, features, _, _, grid_sizes, mask, *ctx.options = inputs
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(points, features, grid_sizes, mask)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        of_densities, of_volume_features = grads
        of_points = of_features = None
        wanted = ctx.needs_input_grad[0] and ctx.options[-1], ctx.needs_input_grad[1]
        some = of_volume_features if of_densities is None else of_densities
        if some is not None and any(wanted):
            if of_densities is None:
                of_densities = some.new_zeros((some.shape[0], 1, *some.shape[2:]))
            args = *ctx.saved_tensors, *ctx.options, of_densities, of_volume_features, *wanted
            of_points, of_features = _Gradient.apply(*args)
        of_volumes = [grad if wants else None for grad, wants in zip(grads, ctx.needs_input_grad[2:4], strict=True)]
        return of_points, of_features, *of_volumes, None, None, None, None, None


class _Gradient(Function):
    @staticmethod
    def forward(
        points: Tensor,
        features: Tensor,
        grid_sizes: Tensor | None,
        mask: Tensor | None,
        point_weight: float,
        align_corners: bool,
        splat: bool,
        grad_densities: Tensor,
        grad_features: Tensor | None,
        of_points: bool,
        of_features: bool,
    ) -> tuple[Tensor | None, Tensor | None]:
        options = point_weight, align_corners, splat
        grads = grad_densities, grad_features
        found = iter(_backward(points, features, grid_sizes, mask, *options, *grads, of_points, of_features))
        return next(found) if of_points else None, next(found) if of_features else None

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor | None, Tensor | None]) -> None:
        points, features, grid_sizes, mask, *ctx.options, grad_densities, grad_features, _, _ = inputs
        ctx.save_for_backward(points, features, grid_sizes, mask, grad_densities, grad_features)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        # Rare enough to be left to the definition: its gradient is differentiated once more.
        points, features, grid_sizes, mask, of_densities, of_features = ctx.saved_tensors
        nothing = torch.zeros_like(of_densities)

        def sums(points: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
            return points_to_volumes_python(points, features, nothing, None, grid_sizes, mask, *ctx.options)

        def gradient(points: Tensor, features: Tensor, *incoming: Tensor) -> tuple[Tensor, ...]:
            return torch.func.vjp(sums, points, features)[1](incoming)

        if of_features is None:
            of_features = of_densities.new_zeros((features.shape[0], features.shape[2], *of_densities.shape[2:]))
        given = zip((points, features), grads, strict=True)
        along = tuple(torch.zeros_like(x) if grad is None else grad for x, grad in given)
        second = torch.func.vjp(gradient, points, features, of_densities, of_features)[1](along)
        wanted = [ctx.needs_input_grad[i] for i in (0, 1, 7, 8)]
        p, f, *of_grads = (x if wants else None for x, wants in zip(second, wanted, strict=True))
        return p, f, None, None, None, None, None, *of_grads, None, None


def _sums(
    points: Tensor,
    features: Tensor,
    densities: Tensor,
    volume_features: Tensor | None,
    grid_sizes: Tensor | None,
    mask: Tensor | None,
    point_weight: float,
    align_corners: bool,
    splat: bool,
    python: bool = False,
) -> tuple[Tensor, Tensor]:
    """The volumes with all votes added, in the common dtype of all that is not None, float32 at least."""
    given = {"points_3d": points, "points_features": features, "volume_densities": densities}
    optional = {"volume_features": volume_features, "grid_sizes": grid_sizes, "mask": mask}
    for name, value in (given | optional).items():
        if not (isinstance(value, Tensor) or (value is None and name in optional)):
            expected = "a torch.Tensor or None" if name in optional else "a torch.Tensor"
            raise TypeError(f"{_OPERATOR}: {name} must be {expected}, got {type(value).__name__}")
    real = [x for x in (points, features, densities, volume_features) if x is not None]
    if all(x.is_floating_point() for x in real):
        dtype = reduce(torch.promote_types, [x.dtype for x in real], torch.float32)
        points, features, densities = points.to(dtype), features.to(dtype), densities.to(dtype)
        volume_features = None if volume_features is None else volume_features.to(dtype)
    if mask is not None and mask.dtype != torch.bool:
        mask = mask != 0
    args = points, features, densities, volume_features, grid_sizes, mask, float(point_weight), align_corners, splat
    if python:
        return points_to_volumes_python(*args)
    return _Vote.apply(*distinct(*args)) if is_differentiated(*real) else _forward(*args)


def _points_to_volumes(
    points_3d: Tensor,
    points_features: Tensor,
    volume_densities: Tensor,
    volume_features: Tensor,
    grid_sizes: Tensor,
    point_weight: float,
    mask: Tensor,
    align_corners: bool,
    splat: bool,
) -> tuple[Tensor, Tensor]:
    """What programs written for PyTorch3D call below the public functions: adds votes to the volumes **in place**.

    Returns:
        ``volume_densities`` and ``volume_features`` themselves, in this order. Nothing is rescaled.
    """
    args = points_3d, points_features, volume_densities, volume_features, grid_sizes, mask
    densities, features = _sums(*args, point_weight, align_corners, splat)
    return volume_densities.copy_(densities), volume_features.copy_(features)


def add_points_features_to_volume_densities_features(
    points_3d: Tensor,
    points_features: Tensor,
    volume_densities: Tensor,
    volume_features: Tensor | None,
    mode: Literal["trilinear", "nearest"] = "trilinear",
    min_weight: float = 1e-4,
    mask: Tensor | None = None,
    grid_sizes: Tensor | None = None,
    rescale_features: bool = True,
    _python: bool = False,
    align_corners: bool = True,
) -> tuple[Tensor, Tensor]:
    r"""Let points cast their features as votes for the voxels around them.

    Along an axis of S voxels a point with the local coordinate x stands at the index

    .. math:: i = \tfrac{x + 1}{2} (S - 1) \text{ with align\_corners}, \qquad
              i = \tfrac{x + 1}{2} S - \tfrac{1}{2} \text{ without}

    as in ``torch.nn.functional.grid_sample``, of which ``trilinear`` is the transpose. A vote for the voxel v has the
    weight :math:`w = \prod_{\text{axes}} (1 - |i - v|)` for each of the eight voxels around the point
    (``trilinear``), or 1 for the nearest, halves away from 0 (``nearest``). Of all votes,

    .. math:: \mathrm{densities}_v \mathrel{+}= w, \qquad \mathrm{features}_v \mathrel{+}= w f

    and if asked the features are divided by the new densities, but by no less than ``min_weight`` (``trilinear``) or 1
    (``nearest``); densities stay sums. Votes for voxels outside of the grid, and those of weight 0, are not cast. On an
    axis of one voxel ``align_corners`` puts every point on it.

    Args:
        points_3d: (B, P, 3) local coordinates (x, y, z): -1 to 1 is the whole volume. Points that are not finite do not
            vote.
        points_features: (B, P, C), C may be 0.
        volume_densities: (B, 1, D, H, W), what the sums begin with.
        volume_features: (B, C, D, H, W), the same for the features; None for zeros.
        mode: ``"trilinear"`` or ``"nearest"``.
        min_weight: the least that ``trilinear`` features are divided by.
        mask: (B, P) bool or numbers; points with False or 0 do not vote. Every other number counts as 1.
        grid_sizes: (B, 3) int64, the used part (D, H, W) of each volume, from its first voxel on; None for the whole.
            The coordinates are those of the used part.
        rescale_features: whether features become means rather than sums.
        _python: computes the same in plain torch: the definition.
        align_corners: whether -1 and 1 are the centres of the outermost voxels, or their outer borders.

    Returns:
        The features (B, C, D, H, W), then the densities (B, 1, D, H, W), in the widest dtype of what is given; float16
        and bfloat16 are computed in float32 and rounded at the end. The inputs are never changed. Both are
        differentiable, any number of times, in ``points_features``, both volumes and, for ``trilinear``, the points: on
        a voxel's centre towards greater indices, and 0 for points that do not vote. Sums and gradients have the same
        bits in every run. Second derivatives are computed in plain torch. Forward mode raises ``NotImplementedError``.

    Raises:
        TypeError: when a dtype or type does not fit.
        ValueError: when shapes or devices disagree, the mode is another, or, on the CPU, ``grid_sizes`` are not within
            the volumes (on CUDA, where looking would wait for the device, what is beyond is not used).

    Cost: O(B P (1 + C)) for the votes, O(B (1 + C) D H W) for the volumes, and sorting the points; nothing waits for
    the device.

    Example:
        >>> points = torch.tensor([[[-0.5, 0.0, 0.0], [0.0, 0.0, 0.0]]])
        >>> colors = torch.tensor([[[1.0], [4.0]]])
        >>> features, densities = add_points_features_to_volume_densities_features(
        ...     points, colors, torch.zeros(1, 1, 1, 1, 3), None
        ... )
        >>> densities.flatten(), features.flatten()
        (tensor([0.5000, 1.5000, 0.0000]), tensor([1., 3., 0.]))
    """
    if mode not in ("trilinear", "nearest"):
        raise ValueError(f"{_OPERATOR}: mode must be 'trilinear' or 'nearest', got {mode!r}")
    splat = mode == "trilinear"
    args = points_3d, points_features, volume_densities, volume_features, grid_sizes, mask
    densities, features = _sums(*args, 1.0, align_corners, splat, _python)
    if rescale_features:
        features = features / densities.clamp(min=min_weight if splat else 1.0)
    real = [x for x in args[:4] if x is not None]
    dtype = reduce(torch.promote_types, [x.dtype for x in real])
    return features.to(dtype), densities.to(dtype)


def add_pointclouds_to_volumes(
    pointclouds: Pointclouds,
    initial_volumes: Volumes,
    mode: Literal["trilinear", "nearest"] = "trilinear",
    min_weight: float = 1e-4,
    rescale_features: bool = True,
    _python: bool = False,
) -> Volumes:
    """Let the points of clouds cast their features as votes for the voxels around them.

    The points are taken to local coordinates by ``initial_volumes.world_to_local_coords``, each cloud to its volume;
    `add_points_features_to_volume_densities_features` says what is computed from there on. Each volume has its own
    size.

    Args:
        pointclouds: N clouds with features of C channels, in world coordinates.
        initial_volumes: N volumes with one density and C features, or none, at each voxel: what the sums begin with.
        mode: ``"trilinear"`` or ``"nearest"``.
        min_weight: the least that ``trilinear`` features are divided by.
        rescale_features: whether features become means rather than sums.
        _python: computes the same in plain torch: the definition.

    Returns:
        New volumes on the grids of ``initial_volumes``, which stay what they are. Differentiable in the features of the
        clouds, in densities and features of the volumes and, for ``trilinear``, in the points and in tensors that the
        size and place of the voxels were given by.

    Raises:
        TypeError: when an argument is of another type or dtype.
        ValueError: when the numbers of clouds and volumes differ, the clouds have no features, or channels disagree.

    Example:
        >>> from patina3d.structures import Pointclouds, Volumes
        >>> clouds = Pointclouds([torch.tensor([[0.25, 0.0, 0.0]])], features=[torch.tensor([[2.0]])])
        >>> volumes = add_pointclouds_to_volumes(clouds, Volumes(torch.zeros(1, 1, 1, 1, 3)))
        >>> volumes.densities().flatten(), volumes.features().flatten()
        (tensor([0.0000, 0.7500, 0.2500]), tensor([0., 2., 2.]))
    """
    name = "add_pointclouds_to_volumes"
    for argument, value, kind in (
        ("pointclouds", pointclouds, Pointclouds),
        ("initial_volumes", initial_volumes, Volumes),
    ):
        if not isinstance(value, kind):
            raise TypeError(f"{name}: {argument} must be {kind.__name__}, got {type(value).__name__}")
    if len(pointclouds) != len(initial_volumes):
        raise ValueError(
            f"{name}: pointclouds must be as many as initial_volumes, {len(initial_volumes)}, got {len(pointclouds)}"
        )
    features = pointclouds.features_padded()
    if features is None:
        raise ValueError(f"{name}: pointclouds must have features, got none")
    points = pointclouds.points_padded()
    if points.dtype in _HALF:
        points = points.float()
    there = torch.arange(points.shape[1], device=points.device) < pointclouds.num_points_per_cloud().unsqueeze(1)
    new_features, new_densities = add_points_features_to_volume_densities_features(
        points_3d=initial_volumes.world_to_local_coords(points),
        points_features=features,
        volume_densities=initial_volumes.densities(),
        volume_features=initial_volumes.features(),
        mode=mode,
        min_weight=min_weight,
        mask=there,
        grid_sizes=initial_volumes.get_grid_sizes(),
        rescale_features=rescale_features,
        _python=_python,
        align_corners=initial_volumes.get_align_corners(),
    )
    return initial_volumes.update_padded(new_densities, new_features)
