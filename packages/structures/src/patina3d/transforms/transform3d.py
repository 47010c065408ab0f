# SPDX-License-Identifier: Apache-2.0
"""Batches of 4 x 4 transforms of points: translations, scales, rotations and their compositions.

Points are **row vectors**: ``[y, 1] ~ [x, 1] M``, with the translation in row 3 of M and the projective part in column
3. Coordinates are right-handed, positive angles turn counter-clockwise.
"""

from __future__ import annotations

import copy as copying
import numbers
import os
import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from patina3d.common.datatypes import Device, get_device, make_device
from patina3d.transforms.rotation_conversions import axis_rotation
from patina3d.transforms.se3 import se3_log_map

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Self

__all__ = ["Rotate", "RotateAxisAngle", "Scale", "Transform3d", "Translate"]

_CHECK_ROTATIONS = ("PATINA3D_CHECK_ROTATION_MATRICES", "PYTORCH3D_CHECK_ROTATION_MATRICES")


class Transform3d:
    """A batch of N transforms of 3D points, ``[y, 1] ~ [x, 1] M`` with row vectors.

    ``t1.compose(t2)``, or ``t1.translate(...)``, ``t1.rotate(...)``, ... is a new transform that does t1 first. Parts
    are kept and multiplied when the matrix is asked for, so gradients flow to all of them, and each part is inverted by
    its own rule: a rotation by its transpose, a translation by its negative.

    A method that changes nothing in place returns a new object; nothing here changes in place.

    Args:
        dtype: of the identity, where no matrix is given.
        device: of the identity, where no matrix is given.
        matrix: (4, 4) or (N, 4, 4), kept without a copy; its dtype and device are those of the transform. The identity
            (N = 1) if None.

    Attributes:
        dtype: of all results.
        device: of all results.

    Raises:
        ValueError: another shape.

    Example:
        >>> t = Transform3d().translate(1, 2, 3).scale(2)
        >>> t.transform_points(torch.zeros(1, 3))
        tensor([[2., 4., 6.]])
        >>> t.inverse().transform_points(torch.tensor([[2.0, 4.0, 6.0]]))
        tensor([[0., 0., 0.]])
    """

    def __init__(
        self, dtype: torch.dtype = torch.float32, device: Device = "cpu", matrix: Tensor | None = None
    ) -> None:
        if matrix is None:
            self.dtype = dtype
            self.device = make_device(device)
            self._matrix = torch.eye(4, dtype=dtype, device=self.device)[None]
        else:
            if matrix.ndim not in (2, 3) or matrix.shape[-2:] != (4, 4):
                raise ValueError(f"Transform3d: matrix must be (4, 4) or (N, 4, 4), got {tuple(matrix.shape)}")
            self.dtype = matrix.dtype
            self.device = matrix.device
            self._matrix = matrix if matrix.ndim == 3 else matrix[None]
        self._transforms: list[Transform3d] = []
        self._lu = None

    def __len__(self) -> int:
        return self.get_matrix().shape[0]

    def __repr__(self) -> str:
        dtype = str(self.dtype).removeprefix("torch.")
        return f"{type(self).__name__}(N={len(self)}, dtype={dtype}, device={self.device})"

    def __getitem__(self, index: int | Sequence[int] | slice | Tensor) -> Self:
        """The chosen transforms, of the same class; gradients flow.

        Args:
            index: an int, a slice, a list of ints or bools, or a 1-D bool or integer tensor.

        Raises:
            IndexError: out of range, or any other index.
        """
        if isinstance(index, numbers.Integral):
            index = [int(index)]
        if isinstance(index, tuple) or (isinstance(index, Tensor) and index.ndim != 1):
            raise IndexError(f"{type(self).__name__}: an index must be an int, a slice, a list or a 1-D tensor")
        return self._with_matrix(self.get_matrix()[index])

    def compose(self, *others: Transform3d) -> Transform3d:
        """This transform, then the others in order: matrix ``M M1 M2 ...``.

        Args:
            *others: transforms whose batch sizes are equal, or 1; they are kept, not copied.

        Raises:
            ValueError: not a Transform3d. Batch sizes that do not fit are found by ``get_matrix``.

        Example:
            >>> Scale(2.0).compose(Translate(1.0, 2.0, 3.0)).transform_points(torch.zeros(1, 3))
            tensor([[1., 2., 3.]])
        """
        for other in others:
            if not isinstance(other, Transform3d):
                raise ValueError(f"Transform3d.compose: others must be Transform3d, got {type(other).__name__}")
        composed = Transform3d(matrix=self._matrix.clone())
        composed._transforms = [*self._transforms, *others]
        return composed

    def get_matrix(self) -> Tensor:
        """The matrices (N, 4, 4) of this transform with all that it was composed with.

        Raises:
            ValueError: the batch sizes of the parts are neither equal nor 1.
        """
        matrix = self._matrix
        for other in self._transforms:
            matrix = _product(matrix, other.get_matrix())
        return matrix if self._transforms else matrix.clone()

    def get_se3_log(self, eps: float = 1e-4, cos_bound: float = 1e-4) -> Tensor:
        """The logarithms (N, 6) of rigid motions; see ``se3_log_map``.

        Raises:
            ValueError: the transform is not a rigid motion.

        Example:
            >>> Translate(1.0, 2.0, 3.0).get_se3_log()
            tensor([[1., 2., 3., 0., 0., 0.]])
        """
        return se3_log_map(self.get_matrix(), eps, cos_bound)

    def inverse(self, invert_composed: bool = False) -> Transform3d:
        """The inverse transform.

        Args:
            invert_composed: invert the composed matrix, in place of each part by its own cheap rule in reverse order.

        Raises:
            torch.linalg.LinAlgError: a general matrix is singular. (A Scale by 0 gives inf.)

        Example:
            >>> Translate(1.0, 2.0, 3.0).inverse().get_matrix()[0, 3]
            tensor([-1., -2., -3.,  1.])
        """
        if invert_composed:
            return Transform3d(matrix=_inverse(self.get_matrix()))
        own = Transform3d(matrix=self._get_matrix_inverse())
        if not self._transforms:
            return own
        first, *rest = [transform.inverse() for transform in reversed(self._transforms)]
        return first.compose(*rest, own)

    def stack(self, *others: Transform3d) -> Transform3d:
        """All transforms in one batch, their matrices composed; mixed dtypes are promoted.

        Example:
            >>> len(Scale(2.0).stack(Translate(1.0, 2.0, 3.0)))
            2
        """
        return Transform3d(matrix=torch.cat([transform.get_matrix() for transform in (self, *others)]))

    def transform_points(self, points: Tensor, eps: float | None = None) -> Tensor:
        """Transform points, and divide by their fourth coordinate w.

        Args:
            points: (P, 3) or (N, P, 3). Batch sizes must be equal, or one of them 1.
            eps: keep ``abs(w)`` at least this large (with its sign, + at 0), so that the division is defined; no
                gradient flows through w where that acts. By default w is taken as it is.

        Returns:
            (P, 3) if ``points`` is so and there is one transform, else (N, P, 3). Differentiable.

        Raises:
            ValueError: wrong shape or batch size.
            TypeError: another dtype than the transform's.

        Example:
            >>> Scale(2.0, 1.0, 1.0).transform_points(torch.tensor([[1.0, 1.0, 1.0]]))
            tensor([[2., 1., 1.]])
        """
        points_batch = self._checked_batch("transform_points", "points", points)
        matrix = self.get_matrix()
        homogeneous = _affine(points_batch, matrix[:, :3], matrix[:, 3:])
        w = homogeneous[..., 3:]
        if eps is not None:
            w = torch.where(w < 0, -1.0, 1.0).to(w) * w.abs().clamp(min=eps)
        out = homogeneous[..., :3] / w
        return out[0] if points.ndim == 2 and out.shape[0] == 1 else out

    def transform_normals(self, normals: Tensor) -> Tensor:
        """Transform normals: by the inverse transpose of the upper left 3 x 3 block, so they stay normal to surfaces.

        Their lengths change; the projective part is ignored.

        Args:
            normals: (P, 3) or (N, P, 3), as ``transform_points``.

        Returns:
            (P, 3) or (N, P, 3), as ``transform_points``. Differentiable.

        Raises:
            ValueError: wrong shape or batch size.
            TypeError: another dtype than the transform's.
            torch.linalg.LinAlgError: the block is singular.

        Example:
            >>> Scale(2.0, 1.0, 1.0).transform_normals(torch.tensor([[1.0, 1.0, 0.0]]))
            tensor([[0.5000, 1.0000, 0.0000]])
        """
        normals_batch = self._checked_batch("transform_normals", "normals", normals)
        block = _inverse(self.get_matrix()[:, :3, :3]).transpose(1, 2)
        out = _affine(normals_batch, block, None)
        return out[0] if normals.ndim == 2 and out.shape[0] == 1 else out

    def translate(self, *args: Any, **kwargs: Any) -> Transform3d:
        """This transform, then ``Translate(...)``."""
        return self.compose(Translate(*args, device=self.device, dtype=self.dtype, **kwargs))

    def scale(self, *args: Any, **kwargs: Any) -> Transform3d:
        """This transform, then ``Scale(...)``."""
        return self.compose(Scale(*args, device=self.device, dtype=self.dtype, **kwargs))

    def rotate(self, *args: Any, **kwargs: Any) -> Transform3d:
        """This transform, then ``Rotate(...)``."""
        return self.compose(Rotate(*args, device=self.device, dtype=self.dtype, **kwargs))

    def rotate_axis_angle(self, *args: Any, **kwargs: Any) -> Transform3d:
        """This transform, then ``RotateAxisAngle(...)``."""
        return self.compose(RotateAxisAngle(*args, device=self.device, dtype=self.dtype, **kwargs))

    def clone(self) -> Self:
        """A copy of this transform and of its parts, of the same class; the autograd graph is kept."""
        other = self._with_matrix(self._matrix.clone())
        other._transforms = [transform.clone() for transform in self._transforms]
        return other

    def to(self, device: Device, copy: bool = False, dtype: torch.dtype | None = None) -> Self:
        """The same transform on another device or of another dtype, of the same class; differentiable.

        Args:
            device: a device or its name; plain ``"cuda"`` is the current CUDA device.
            copy: make a copy even if nothing changes.
            dtype: keep the dtype if None.

        Returns:
            This object if nothing changes and no copy is asked for, else a new one.
        """
        target, dtype = make_device(device), self.dtype if dtype is None else dtype
        if target == self.device and dtype == self.dtype:
            return self.clone() if copy else self
        other = self._with_matrix(self._matrix.to(device=target, dtype=dtype))
        other._transforms = [transform.to(target, copy=copy, dtype=dtype) for transform in self._transforms]
        return other

    def cpu(self) -> Self:
        """The same transform on the CPU."""
        return self.to("cpu")

    def cuda(self) -> Self:
        """The same transform on the current CUDA device."""
        return self.to("cuda")

    def _get_matrix_inverse(self) -> Tensor:
        """The inverse of this object's own matrix; subclasses know cheaper rules."""
        return _inverse(self._matrix)

    def _with_matrix(self, matrix: Tensor) -> Self:
        """An object of this class with that matrix, composed with nothing."""
        other = copying.copy(self)
        other._matrix, other._transforms = matrix, []
        other.dtype, other.device = matrix.dtype, matrix.device
        return other

    def _checked_batch(self, operator: str, argument: str, vectors: Tensor) -> Tensor:
        """The vectors as (N, P, 3)."""
        if vectors.ndim not in (2, 3) or vectors.shape[-1] != 3:
            raise ValueError(
                f"Transform3d.{operator}: {argument} must be (P, 3) or (N, P, 3), got {tuple(vectors.shape)}"
            )
        if vectors.dtype != self.dtype:
            raise TypeError(f"Transform3d.{operator}: {argument} must be {self.dtype}, got {vectors.dtype}")
        return vectors if vectors.ndim == 3 else vectors[None]


class Translate(Transform3d):
    """Translations: ``y = x + t``.

    Args:
        x: (N, 3) or (3,) tensor of shifts, then ``y`` and ``z`` must be None; or the shift along x: a number, or a 0-d
            or (N,) tensor.
        y: the shift along y, like ``x``.
        z: the shift along z, like ``x``.
        dtype: of the matrices; tensors are converted.
        device: of the matrices; by default that of the first tensor given, else the CPU.

    Raises:
        ValueError: wrong shapes, sizes that are neither 1 nor N, or only one or two of x, y, z.

    Example:
        >>> Translate(torch.tensor([1.0, 2.0, 3.0])).get_matrix()[0, 3]
        tensor([1., 2., 3., 1.])
    """

    def __init__(
        self,
        x: float | Tensor,
        y: float | Tensor | None = None,
        z: float | Tensor | None = None,
        dtype: torch.dtype = torch.float32,
        device: Device | None = None,
    ) -> None:
        if y is None and z is None and isinstance(x, Tensor) and x.shape == (3,):
            x = x[None]
        shift = _rows_of_three("Translate", x, y, z, dtype, device)
        super().__init__(matrix=_translation(shift))

    def _get_matrix_inverse(self) -> Tensor:
        return _translation(-self._matrix[:, 3, :3])


class Scale(Transform3d):
    """Scales along the axes: ``y = s x``.

    Args:
        x: (N, 3) tensor of scales, then ``y`` and ``z`` must be None; or the scale along x: a number, or a 0-d or (N,)
            tensor; alone, it is the scale along all axes (a (3,) tensor: three transforms).
        y: the scale along y, like ``x``.
        z: the scale along z, like ``x``.
        dtype: of the matrices; tensors are converted.
        device: of the matrices; by default that of the first tensor given, else the CPU.

    Raises:
        ValueError: wrong shapes, sizes that are neither 1 nor N, or only two of x, y, z.

    Example:
        >>> Scale(2.0).get_matrix()[0].diag()
        tensor([2., 2., 2., 1.])
    """

    def __init__(
        self,
        x: float | Tensor,
        y: float | Tensor | None = None,
        z: float | Tensor | None = None,
        dtype: torch.dtype = torch.float32,
        device: Device | None = None,
    ) -> None:
        if y is None and z is None and not (isinstance(x, Tensor) and x.ndim == 2):
            y = z = x
        scale = _rows_of_three("Scale", x, y, z, dtype, device)
        super().__init__(matrix=torch.diag_embed(torch.nn.functional.pad(scale, (0, 1), value=1.0)))

    def _get_matrix_inverse(self) -> Tensor:
        return torch.diag_embed(1 / self._matrix.diagonal(dim1=1, dim2=2))


class Rotate(Transform3d):
    """Rotations of row vectors: ``y = x R``.

    The matrices of ``rotation_conversions`` are for column vectors: transpose them first. The inverse is the transpose.
    With the environment variable PATINA3D_CHECK_ROTATION_MATRICES=1 (or PYTORCH3D_CHECK_ROTATION_MATRICES=1) a matrix
    that is no rotation gives a warning.

    Args:
        R: (3, 3) or (N, 3, 3), used as it is.
        dtype: of the matrices; R is converted.
        device: of the matrices; by default that of R.
        orthogonal_tol: largest deviation of R R^T from the identity, and of det R from 1, without a warning.

    Raises:
        ValueError: another shape.

    Example:
        >>> Rotate(torch.eye(3)).transform_points(torch.tensor([[1.0, 2.0, 3.0]]))
        tensor([[1., 2., 3.]])
    """

    def __init__(
        self,
        R: Tensor,
        dtype: torch.dtype = torch.float32,
        device: Device | None = None,
        orthogonal_tol: float = 1e-5,
    ) -> None:
        if R.ndim not in (2, 3) or R.shape[-2:] != (3, 3):
            raise ValueError(f"Rotate: R must be (3, 3) or (N, 3, 3), got {tuple(R.shape)}")
        R = (R if R.ndim == 3 else R[None]).to(device=get_device(R, device), dtype=dtype)
        if any(os.environ.get(name, "0") == "1" for name in _CHECK_ROTATIONS):
            _warn_if_no_rotation(R.detach(), orthogonal_tol)
        super().__init__(matrix=_linear(R))

    def _get_matrix_inverse(self) -> Tensor:
        return self._matrix.transpose(1, 2)


class RotateAxisAngle(Rotate):
    """Rotations about a coordinate axis, counter-clockwise seen against it.

    Args:
        angle: a number, or a 0-d or (N,) tensor.
        axis: X, Y or Z, upper or lower case.
        degrees: the angle is in degrees, else in radians.
        dtype: of the matrices; a tensor is converted.
        device: of the matrices; by default that of the angle, else the CPU.

    Raises:
        ValueError: another axis, or an angle with more dimensions.

    Example:
        >>> RotateAxisAngle(90, "Z").transform_points(torch.tensor([[1.0, 0.0, 0.0]])).round()
        tensor([[-0., 1., 0.]])
    """

    def __init__(
        self,
        angle: float | Tensor,
        axis: str = "X",
        degrees: bool = True,
        dtype: torch.dtype = torch.float32,
        device: Device | None = None,
    ) -> None:
        axis = axis.upper()
        if axis not in ("X", "Y", "Z"):
            raise ValueError(f"RotateAxisAngle: axis must be X, Y or Z, got {axis!r}")
        angle = torch.as_tensor(angle, dtype=dtype, device=get_device(angle, device))
        if angle.ndim > 1:
            raise ValueError(f"RotateAxisAngle: angle must be a number or (N,), got {tuple(angle.shape)}")
        radians = torch.deg2rad(angle) if degrees else angle
        rotation = axis_rotation(axis, radians.reshape(-1))
        super().__init__(rotation.transpose(1, 2), dtype=dtype)


def _rows_of_three(
    owner: str,
    x: float | Tensor,
    y: float | Tensor | None,
    z: float | Tensor | None,
    dtype: torch.dtype,
    device: Device | None,
) -> Tensor:
    """The arguments of Translate and Scale as (N, 3)."""
    if isinstance(x, Tensor) and x.ndim == 2:
        if y is not None or z is not None:
            raise ValueError(f"{owner}: y and z must be None where x is a 2-D tensor")
        if x.shape[1] != 3:
            raise ValueError(f"{owner}: x must be (N, 3), got {tuple(x.shape)}")
        return x.to(device=get_device(x, device), dtype=dtype)
    if y is None or z is None:
        raise ValueError(f"{owner}: give x, y and z, or one tensor (N, 3)")
    tensors = [value for value in (x, y, z) if isinstance(value, Tensor)]
    place = get_device(tensors[0] if tensors else None, device)
    columns = [torch.as_tensor(value, dtype=dtype, device=place) for value in (x, y, z)]
    if any(column.ndim > 1 for column in columns):
        raise ValueError(f"{owner}: x, y and z must be numbers, 0-d or 1-D, got {[tuple(c.shape) for c in columns]}")
    sizes = {column.shape[0] for column in columns if column.ndim == 1} - {1}
    if len(sizes) > 1:
        raise ValueError(f"{owner}: x, y and z must have size 1 or N, got {sorted(sizes)}")
    size = sizes.pop() if sizes else 1
    return torch.stack([column.expand(size) for column in columns], 1)


def _linear(block: Tensor) -> Tensor:
    """Matrices (N, 4, 4) with that upper left block and no translation."""
    corner = torch.zeros((block.shape[0], 1, 4), dtype=block.dtype, device=block.device)
    corner[:, 0, 3] = 1
    return torch.cat([torch.nn.functional.pad(block, (0, 1)), corner], 1)


def _translation(shift: Tensor) -> Tensor:
    """Matrices (N, 4, 4) that shift by (N, 3)."""
    upper = torch.eye(3, 4, dtype=shift.dtype, device=shift.device).expand(shift.shape[0], 3, 4)
    return torch.cat([upper, torch.nn.functional.pad(shift, (0, 1), value=1.0)[:, None]], 1)


def _product(a: Tensor, b: Tensor) -> Tensor:
    if a.shape[0] != b.shape[0] and 1 not in (a.shape[0], b.shape[0]):
        raise ValueError(
            f"Transform3d: composed transforms must have equal batch sizes, or 1, got {a.shape[0]} and {b.shape[0]}"
        )
    return a @ b


def _affine(vectors: Tensor, block: Tensor, shift: Tensor | None) -> Tensor:
    """``vectors @ block + shift`` with (N, P, 3), (N, 3, K), (N, 1, K); one of the batch sizes may be 1."""
    if vectors.shape[0] != block.shape[0] and 1 not in (vectors.shape[0], block.shape[0]):
        raise ValueError(
            f"Transform3d: vectors and transforms must have equal batch sizes, or 1, "
            f"got {vectors.shape[0]} and {block.shape[0]}"
        )
    out = vectors @ block
    return out if shift is None else out + shift


def _inverse(matrix: Tensor) -> Tensor:
    """The inverse, also of dtypes for which torch has none."""
    if matrix.dtype in (torch.float16, torch.bfloat16):
        return torch.linalg.inv(matrix.float()).to(matrix.dtype)
    return torch.linalg.inv(matrix)


def _warn_if_no_rotation(R: Tensor, tolerance: float) -> None:
    off_orthogonal = (R @ R.transpose(1, 2) - torch.eye(3, dtype=R.dtype, device=R.device)).abs()
    off_one = (torch.linalg.det(R) - 1).abs()
    if bool((off_orthogonal > tolerance).any() | (off_one > tolerance).any()):
        warnings.warn(f"Rotate: R is not a rotation to within {tolerance:g}", UserWarning, stacklevel=3)
