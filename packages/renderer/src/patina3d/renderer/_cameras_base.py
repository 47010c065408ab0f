# SPDX-License-Identifier: Apache-2.0
"""What all cameras share: their place in the world, their batch, and the chain world -> view -> NDC -> screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from patina3d.common.datatypes import Device
from patina3d.renderer._camera_transforms import (
    _R,
    _T,
    get_screen_to_ndc_transform,
    get_world_to_view_transform,
    ndc_to_screen_scale_and_offset,
)
from patina3d.renderer._homogeneous import apply_transform, compose, points_at_depth, world_from_view
from patina3d.renderer._tensor_properties import (
    TensorProperties,
    common_float_dtype,
    convert_to_tensors_and_broadcast,
)
from patina3d.structures.rows import gather_rows
from patina3d.transforms import Transform3d

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["CameraIndexError", "CamerasBase", "try_get_projection_transform"]


class CameraIndexError(IndexError, ValueError):
    """A camera that a batch does not have: an IndexError, by which iteration ends, and the ValueError of PyTorch3D."""


class CamerasBase(TensorProperties):
    """A batch of N cameras.

    A camera maps world to view by ``x_view = x_world R + T`` (row vectors; view has +X left, +Y up, +Z forward), and
    view to its own image plane by a projection that the subclass defines, in NDC or in screen units.

    Every method that projects takes the constructor's values as keywords that override the stored ones for this call;
    ``R`` and ``T`` are stored and stay, and are broadcast with the rest of the batch. Nothing is cached: transforms are
    made anew at each call, so gradients always reach the current tensors.

    A subclass lists in ``_FIELDS`` what indexing and joining carry (a leading underscore is dropped for the
    constructor) and in ``_SHARED_FIELDS`` which of these are one value for the whole batch.
    """

    _FIELDS: tuple[str, ...] = ()
    _SHARED_FIELDS: tuple[str, ...] = ()

    R: Tensor
    T: Tensor
    K: Tensor | None = None

    def __init__(self, dtype: torch.dtype | None = None, device: Device = "cpu", **kwargs: Any) -> None:
        # The defaults are shared by all cameras; what is written into one must not reach them.
        for name, default in (("R", _R), ("T", _T)):
            if kwargs.get(name) is default:
                kwargs[name] = default.clone()
        super().__init__(dtype=dtype or common_float_dtype(*kwargs.values()), device=device, **kwargs)

    def get_projection_transform(self, **kwargs: Any) -> Transform3d:
        """Return the transform from view to the image plane, before the homogeneous division is done."""
        raise NotImplementedError(f"{type(self).__name__} has no projection matrix")

    def unproject_points(self, xy_depth: Tensor, **kwargs: Any) -> Tensor:
        """Return the points that project to (x, y) and have the given depth."""
        raise NotImplementedError(f"{type(self).__name__} does not unproject")

    def is_perspective(self) -> bool:
        """Whether the projection divides by depth."""
        raise NotImplementedError(f"{type(self).__name__} does not say whether it is a perspective camera")

    def in_ndc(self) -> bool:
        """Whether the projection leads to NDC; otherwise to the camera's own screen units."""
        raise NotImplementedError(f"{type(self).__name__} does not say whether it projects to NDC")

    def get_znear(self) -> Tensor | None:
        """Return the depth of the near plane, (N,), or None where the camera has none."""
        return getattr(self, "znear", None)

    def get_image_size(self) -> Tensor | None:
        """Return the image sizes (height, width) in pixels, (N, 2), or None where the camera has none."""
        return getattr(self, "image_size", None)

    def get_world_to_view_transform(self, **kwargs: Any) -> Transform3d:
        """Return the transform ``x_view = x_world R + T``.

        Args:
            kwargs: ``R`` (N, 3, 3) and ``T`` (N, 3) replace those of the camera and stay; other keywords are ignored.
        """
        R, T = kwargs.get("R"), kwargs.get("T")
        if R is not None or T is not None:
            self._write_pose(self.R if R is None else R, self.T if T is None else T)
        return get_world_to_view_transform(R=self.R, T=self.T)

    def _write_pose(self, R: Any, T: Any) -> None:
        R, T = convert_to_tensors_and_broadcast(R, T, dtype=common_float_dtype(R, T), device=self.device)
        if R.shape[0] not in (1, self._N) and self._N != 1:
            raise ValueError(
                f"{type(self).__name__}: R and T must be given once or for each of {self._N} cameras, got {R.shape[0]}"
            )
        self._assign("R", R)
        self._assign("T", T)
        self._rebroadcast()

    def get_camera_center(self, **kwargs: Any) -> Tensor:
        """Return where the cameras are in world space: ``-T R^-1``, (N, 3).

        Args:
            kwargs: as for ``get_world_to_view_transform``.
        """
        matrix = self.get_world_to_view_transform(**kwargs).get_matrix()
        return world_from_view(matrix.new_zeros(1, 1, 3), matrix)[:, 0]

    def get_full_projection_transform(self, **kwargs: Any) -> Transform3d:
        """Return the transform from world to the image plane (NDC, or screen units where ``in_ndc()`` is False)."""
        world_to_view = self.get_world_to_view_transform(**kwargs)
        return compose(world_to_view, self.get_projection_transform(**kwargs))

    def get_ndc_camera_transform(self, **kwargs: Any) -> Transform3d:
        """Return the transform from the camera's own image plane to NDC: the identity where ``in_ndc()``.

        For a screen camera it is here the scaling from the image to NDC, without a flip; a subclass whose screen has
        another origin says so itself.
        """
        if self.in_ndc():
            return Transform3d(device=self.device)
        return get_screen_to_ndc_transform(self, image_size=kwargs.get("image_size", self.get_image_size()))

    def transform_points(self, points: Tensor, eps: float | None = None, **kwargs: Any) -> Tensor:
        """Project world points onto the image plane: NDC, or screen units where ``in_ndc()`` is False.

        Args:
            points: (P, 3) or (N, P, 3) world points.
            eps: where given, the homogeneous coordinate w is replaced by ``sign(w) max(|w|, eps)``, sign(0) = 1,
                before the division.
            kwargs: overrides of the camera's values.

        Returns:
            (P, 3) for (P, 3) points and one camera, otherwise (N, P, 3), in the wider dtype of points and camera. The
            third coordinate is the projection's own measure of depth. Differentiable in points and camera.

        Raises:
            ValueError: points that are not of these shapes, or on another device than the camera.
        """
        self._check_points(points, "transform_points")
        return apply_transform(self.get_full_projection_transform(**kwargs), points, eps)

    def transform_points_ndc(self, points: Tensor, eps: float | None = None, **kwargs: Any) -> Tensor:
        """Project world points to NDC (+X left, +Y up, the shorter image side spans [-1, 1]).

        Arguments, result and errors are those of ``transform_points``; a camera defined in screen units needs an image
        size (``ValueError``).
        """
        self._check_points(points, "transform_points_ndc")
        transform = self.get_full_projection_transform(**kwargs)
        if not self.in_ndc():
            transform = compose(transform, self.get_ndc_camera_transform(**kwargs))
        return apply_transform(transform, points, eps)

    def transform_points_screen(
        self, points: Tensor, eps: float | None = None, with_xyflip: bool = True, **kwargs: Any
    ) -> Tensor:
        """Project world points to pixels: +X right, +Y down from the image's top-left corner.

        Args:
            points: (P, 3) or (N, P, 3) world points.
            eps: as for ``transform_points``.
            with_xyflip: False gives +X left, +Y up, the same numbers negated.
            kwargs: overrides of the camera's values; ``image_size`` is (height, width) or (N, 2).

        Returns:
            As ``transform_points``. The third coordinate is the projection's.

        Raises:
            ValueError: no image size, neither given nor stored; points as for ``transform_points``.
        """
        points_ndc = self.transform_points_ndc(points, eps=eps, **kwargs)
        scale, offset = ndc_to_screen_scale_and_offset(
            kwargs.get("image_size", self.get_image_size()),
            self.device,
            points_ndc.shape[0] if points_ndc.dim() == 3 else 1,
            with_xyflip=with_xyflip,
            operator="transform_points_screen",
        )
        if points_ndc.dim() == 2 and scale.shape[0] == 1:
            return points_ndc * scale + offset
        return points_ndc * scale[:, None] + offset[:, None]

    def _check_points(self, points: Tensor, operator: str, argument: str = "points") -> None:
        if points.dim() not in (2, 3) or points.shape[-1] != 3:
            raise ValueError(f"{operator}: {argument} must be (P, 3) or (N, P, 3), got {tuple(points.shape)}")
        if points.dim() == 3 and points.shape[0] not in (1, self._N) and self._N != 1:
            raise ValueError(
                f"{operator}: {argument} must hold 1 or {self._N} batches, as there are cameras, got {points.shape[0]}"
            )
        if points.device != self.R.device:
            raise ValueError(f"{operator}: {argument} must be on the camera's {self.R.device}, got {points.device}")

    def _given_projection_matrix(self, kwargs: dict[str, Any]) -> Tensor | None:
        """Return ``K``, given here or to the constructor, once it is known to be (N, 4, 4); None if there is none."""
        K = kwargs.get("K", self.K)
        if K is None:
            return None
        if K.dim() != 3 or K.shape[1:] != (4, 4) or (K.shape[0] not in (1, self._N) and self._N != 1):
            raise ValueError(f"{type(self).__name__}: K must be ({self._N}, 4, 4), got {tuple(K.shape)}")
        return K

    def _unproject_at_depth(
        self, xy_depth: Tensor, projection: Transform3d, *, world_coordinates: bool, **kwargs: Any
    ) -> Tensor:
        """Return the points of view depth ``xy_depth[..., 2]`` that ``projection`` (from view) sends to (x, y)."""
        points = points_at_depth(xy_depth if xy_depth.dim() == 3 else xy_depth[None], projection.get_matrix())
        if world_coordinates:
            points = world_from_view(points, self.get_world_to_view_transform(**kwargs).get_matrix())
        return points[0] if xy_depth.dim() == 2 and points.shape[0] == 1 else points

    def __getitem__(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, index: int | list[int] | Tensor
    ) -> Self:
        """Select cameras: a batch of the same class, differentiable in every field.

        Args:
            index: int (negative allowed), list of ints, int64 tensor (M,), or bool tensor (N,).

        Raises:
            ValueError: any other index, or one that selects no camera.
            CameraIndexError: outside the batch.
        """
        rows = self._rows(index)
        kwargs: dict[str, Any] = {"device": self.device}
        for field in self._FIELDS:
            value = getattr(self, field, None)
            if value is None:
                continue
            if isinstance(value, Tensor):
                value = gather_rows(value, rows)
            elif not isinstance(value, str | bool):
                raise ValueError(
                    f"{type(self).__name__}: field {field} must be a tensor, str or bool to be indexed, "
                    f"got {type(value).__name__}"
                )
            kwargs[field.removeprefix("_")] = value
        return type(self)(**kwargs)

    def _rows(self, index: Any) -> Tensor:
        name, size = type(self).__name__, self._N
        if isinstance(index, int) and not isinstance(index, bool):
            rows = torch.tensor([index])
        elif isinstance(index, list) and all(isinstance(i, int) and not isinstance(i, bool) for i in index):
            rows = torch.tensor(index, dtype=torch.int64)
        elif isinstance(index, Tensor) and index.dim() == 1 and index.dtype == torch.int64:
            rows = index
        elif isinstance(index, Tensor) and index.dim() == 1 and index.dtype == torch.bool:
            if index.shape[0] != size:
                raise ValueError(f"{name}: a mask of {index.shape[0]} entries does not match cameras, which are {size}")
            rows = index.nonzero()[:, 0]
        else:
            got = f"{index.dtype} {tuple(index.shape)}" if isinstance(index, Tensor) else type(index).__name__
            raise ValueError(
                f"{name}: Invalid index type: index must be an int, a list of ints, an int64 tensor (M,) or a bool "
                f"tensor ({size},), got {got}"
            )
        if rows.numel() == 0:
            raise ValueError(f"{name}: index must select at least one camera, got none")
        if not (-size <= int(rows.min()) and int(rows.max()) < size):
            raise CameraIndexError(f"{name}: index {index} is out of bounds for a batch of {size} cameras")
        return (rows % size).to(self.device)


def try_get_projection_transform(cameras: CamerasBase, cameras_kwargs: dict[str, Any]) -> Transform3d | None:
    """Return the projection transform of ``cameras``, or None where the projection has no matrix.

    Args:
        cameras: any camera.
        cameras_kwargs: overrides of its values.

    Example:
        >>> from patina3d.renderer.cameras import CamerasBase, PerspectiveCameras
        >>> try_get_projection_transform(PerspectiveCameras(), {}) is None
        False
        >>> try_get_projection_transform(CamerasBase(), {}) is None
        True
    """
    try:
        return cameras.get_projection_transform(**cameras_kwargs)
    except NotImplementedError:
        return None
