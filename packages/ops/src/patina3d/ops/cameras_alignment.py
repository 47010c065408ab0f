# SPDX-License-Identifier: Apache-2.0
"""One similarity transform of the world that moves cameras onto others."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from patina3d.core import at_hand
from patina3d.ops._procrustes import nearest_rotation
from patina3d.ops.points_alignment import coincide, corresponding_points_alignment

__all__ = ["corresponding_cameras_alignment"]

_NAME = "corresponding_cameras_alignment"


class Cameras(Protocol):
    """What is asked of cameras; those of ``patina3d.renderer`` have it."""

    R: Any
    """(N, 3, 3): ``x_view = x_world R + T``."""
    T: Any
    """(N, 3)."""

    def clone(self) -> Any:
        """A copy whose R and T can be replaced."""

    def get_camera_center(self) -> Tensor:
        """(N, 3), in the world."""
        ...


AnyCameras = TypeVar("AnyCameras", bound=Cameras)


def corresponding_cameras_alignment(
    cameras_src: AnyCameras,
    cameras_tgt: Cameras,
    estimate_scale: bool = True,
    mode: str = "extrinsics",
    eps: float = 1e-9,
) -> AnyCameras:
    r"""Align cameras with others of the same index by one similarity transform of the world.

    The cameras returned have the extrinsics

    .. math:: R_i' = R_A R_i, \qquad T_i' = T_A R_i + s_A T_i

    for one rotation, translation and scale, such that they are close to the target's :math:`(\hat R_i, \hat T_i)`:

    - "extrinsics": :math:`R_A` minimises :math:`\sum_i \lVert R_A R_i - \hat R_i \rVert_F^2`; with
      :math:`a_i = T_i R_i^T` and :math:`b_i = \hat T_i R_i^T`, :math:`s_A` and :math:`T_A` minimise
      :math:`\sum_i \lVert T_A + s_A a_i - b_i \rVert^2`, which is
      :math:`\sum_i \lVert T_i' - \hat T_i \rVert^2`.
    - "centers": only the centres of the cameras are compared, by
      :func:`~patina3d.ops.corresponding_points_alignment`.

    The noise is taken to be Gaussian in the extrinsics or in the centres.

    Args:
        cameras_src: N cameras: R (N, 3, 3), T (N, 3), ``clone()`` and ``get_camera_center()``, as those of
            `patina3d.renderer` have.
        cameras_tgt: N cameras of any kind.
        estimate_scale: whether :math:`s_A` is looked for; otherwise it is 1. One camera does not tell a scale.
        mode: "extrinsics" or "centers".
        eps: accepted for compatibility. What guards divisions is relative to the size of the scene.

    Returns:
        A clone of ``cameras_src`` with other R and T. :math:`R_A` is a rotation, also where the targets are mirrored or
        contradict each other. Where all cameras stand in one place :math:`s_A = 1`. Differentiable in R and T of both;
        gradients are finite.

    Raises:
        ValueError: the numbers of cameras differ, or ``mode`` is neither of the two.

    Warns:
        UserWarning: with "centers", fewer than 4 cameras: the rotation is not unique.

    Example:
        >>> from types import SimpleNamespace
        >>> class Cameras(SimpleNamespace):
        ...     def clone(self):
        ...         return Cameras(R=self.R.clone(), T=self.T.clone())
        >>> half_turn = torch.diag(torch.tensor([-1.0, -1.0, 1.0]))
        >>> source = Cameras(R=torch.eye(3).expand(2, 3, 3), T=torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 2.0]]))
        >>> target = Cameras(R=half_turn.expand(2, 3, 3), T=torch.tensor([[0.0, 0.0, 5.0], [0.0, 0.0, 8.0]]))
        >>> aligned = corresponding_cameras_alignment(source, target)
        >>> torch.equal(aligned.R, target.R), torch.equal(aligned.T, target.T)
        (True, True)
    """
    n, n_tgt = cameras_src.R.shape[0], cameras_tgt.R.shape[0]
    if n != n_tgt:
        raise ValueError(
            f"{_NAME}: cameras_src and cameras_tgt have to contain the same number of cameras, got {n} and {n_tgt}"
        )
    if mode == "centers":
        align = _align_centers
    elif mode == "extrinsics":
        align = _align_extrinsics
    else:
        raise ValueError(f"{_NAME}: mode has to be one of (centers, extrinsics), got {mode!r}")
    dtype = torch.promote_types(cameras_src.R.dtype, cameras_tgt.R.dtype)
    rotation, translation, scale = align(cameras_src, cameras_tgt, dtype, estimate_scale and n > 1)
    aligned = cameras_src.clone()
    aligned.R = rotation @ cameras_src.R.to(dtype)
    aligned.T = (translation @ cameras_src.R.to(dtype))[:, 0] + scale * cameras_src.T
    return aligned


def _align_centers(
    source: Cameras, target: Cameras, dtype: torch.dtype, estimate_scale: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Of the world's points: ``s C R + T``. A camera undoes the rotation and the shift first."""
    centers = (cameras.get_camera_center()[None].to(dtype) for cameras in (source, target))
    rotation, translation, scale = corresponding_points_alignment(*centers, estimate_scale=estimate_scale)
    inverse = rotation[0].mT
    return inverse, -translation @ inverse, scale


def _align_extrinsics(
    source: Cameras, target: Cameras, dtype: torch.dtype, estimate_scale: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Rotation (3, 3), translation (1, 3) and scale (1,) by which the source's extrinsics change."""
    n, back = source.R.shape[0], source.R.mT.to(dtype)
    agreement = (target.R.to(dtype) @ back).sum(0, keepdim=True)
    a, b = ((cameras.T[:, None].to(dtype) @ back)[:, 0] for cameras in (source, target))
    if at_hand(agreement) and not bool(agreement.isfinite().all() & a.isfinite().all() & b.isfinite().all()):
        raise ValueError(f"{_NAME}: R and T of the cameras must be finite")
    rotation = nearest_rotation(agreement)[0][0]
    mean_a, mean_b = (rows.sum(0, keepdim=True) / max(n, 1) for rows in (a, b))
    scale = a.new_ones(1)
    if estimate_scale:
        a_centred, b_centred = a - mean_a, b - mean_b
        spread = a_centred.square().sum()
        is_one = coincide(spread / n, mean_a[0])
        scale = torch.where(is_one, 1, (a_centred * b_centred).sum() / torch.where(is_one, 1, spread))[None]
    return rotation, mean_b - scale * mean_a, scale
