# SPDX-License-Identifier: Apache-2.0
"""Cameras in the conventions of OpenCV and of Pulsar.

An OpenCV camera maps a point on column vectors: ``x_cam = R x + tvec`` with +x right, +y down, +z into the scene, and
``pixel = K x_cam`` divided by its last coordinate. Pixels count from the top left corner. With s = min(H, W) / 2, the
camera of focal length f and principal point c in pixels is, in NDC,

    focal_ndc = f / s,    principal_ndc = -(c - (W, H) / 2) / s,

with R transposed for row vectors, and x and y of the view frame negated: +X left, +Y up.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from patina3d.transforms import matrix_to_rotation_6d

if TYPE_CHECKING:
    from patina3d.renderer import PerspectiveCameras

__all__ = [
    "cameras_from_opencv_projection",
    "opencv_from_cameras_projection",
    "pulsar_from_cameras_projection",
    "pulsar_from_opencv_projection",
]

_LOGGER = logging.getLogger(__name__)

# Pulsar's image plane lies this far in front of its near plane.
_BEFORE_ZNEAR = 1e-5
# Focal lengths in x and y that differ by more are worth a word.
_SQUARE_PIXELS = 0.01


def cameras_from_opencv_projection(
    R: Tensor, tvec: Tensor, camera_matrix: Tensor, image_size: Tensor
) -> PerspectiveCameras:
    """The camera in NDC that sees what an OpenCV camera sees.

    Args:
        R: (N, 3, 3) rotations of OpenCV.
        tvec: (N, 3), or (N, 3, 1), translations of OpenCV.
        camera_matrix: (N, 3, 3); of its entries the focal lengths and the principal point are read.
        image_size: (N, 2) or (1, 2), height and width in pixels.

    Returns:
        N cameras with ``image_size``: their screen coordinates are OpenCV's pixels. Differentiable in all but the size.

    Raises:
        ValueError: wrong shapes, or sizes below 1.
        ImportError: patina3d-renderer is not installed.

    Example:
        >>> K = torch.tensor([[[100.0, 0.0, 70.0], [0.0, 110.0, 40.0], [0.0, 0.0, 1.0]]])
        >>> size = torch.tensor([[100, 160]])
        >>> camera = cameras_from_opencv_projection(torch.eye(3)[None], torch.tensor([[0.1, 0.2, 3.0]]), K, size)
        >>> camera.focal_length, camera.T
        (tensor([[2.0000, 2.2000]]), tensor([[-0.1000, -0.2000,  3.0000]]))
        >>> camera.transform_points_screen(torch.tensor([[0.5, 0.0, 1.0]]))[:, :2]
        tensor([[85.0000, 45.5000]])
    """
    name = "cameras_from_opencv_projection"
    tvec = _check_opencv(name, R, tvec, camera_matrix, image_size)
    size = image_size.to(R)
    scale, centre = _scale_and_centre(size)
    focal, principal = _pixels(camera_matrix)
    flip = R.new_tensor([-1.0, -1.0, 1.0])
    return _perspective_cameras(name)(
        focal_length=focal / scale,
        principal_point=-(principal - centre) / scale,
        R=R.transpose(1, 2) * flip,
        T=tvec * flip,
        image_size=size.expand(R.shape[0], 2),
        device=R.device,
    )


def opencv_from_cameras_projection(cameras: PerspectiveCameras, image_size: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The OpenCV camera that sees what a perspective camera sees; the inverse of `cameras_from_opencv_projection`.

    Args:
        cameras: N perspective cameras, defined in NDC or on the screen.
        image_size: (N, 2) or (1, 2), height and width in pixels. A camera defined on a screen of another size sees the
            same in NDC.

    Returns:
        R (N, 3, 3), tvec (N, 3) and the camera matrix (N, 3, 3). Differentiable in the camera's values.

    Raises:
        TypeError: another class of cameras.
        ValueError: wrong shape, or sizes below 1.

    Example:
        >>> from patina3d.renderer import PerspectiveCameras
        >>> camera = PerspectiveCameras(focal_length=2.0, principal_point=((0.2, 0.2),))
        >>> opencv_from_cameras_projection(camera, torch.tensor([[100, 160]]))[2]
        tensor([[[100.,   0.,  70.],
                 [  0., 100.,  40.],
                 [  0.,   0.,   1.]]])
    """
    name = "opencv_from_cameras_projection"
    if not isinstance(cameras, _perspective_cameras(name)):
        raise TypeError(f"{name}: cameras must be PerspectiveCameras, got {type(cameras).__name__}")
    number = cameras.R.shape[0]
    _check_sizes(name, image_size, number)
    projection = cameras.get_projection_transform().get_matrix()
    focal, principal = projection.diagonal(dim1=1, dim2=2)[:, :2], cameras.get_principal_point()
    if not cameras.in_ndc():
        own = cameras.get_image_size()
        scale, centre = _scale_and_centre((image_size if own is None else own).to(focal))
        focal, principal = focal / scale, -(principal - centre) / scale
    scale, centre = _scale_and_centre(image_size.to(focal))
    focal, principal = focal * scale, centre - principal * scale
    camera_matrix = torch.zeros(number, 3, 3, dtype=focal.dtype, device=focal.device)
    camera_matrix[:, :2, :2] = torch.diag_embed(focal)
    camera_matrix[:, :2, 2] = principal
    camera_matrix[:, 2, 2] = 1
    flip = cameras.R.new_tensor([-1.0, -1.0, 1.0])
    return (cameras.R * flip).transpose(1, 2), cameras.T * flip, camera_matrix


def pulsar_from_opencv_projection(
    R: Tensor, tvec: Tensor, camera_matrix: Tensor, image_size: Tensor, znear: float = 0.1
) -> Tensor:
    """The parameters that Pulsar's renderer takes of a camera.

    Args:
        R: (N, 3, 3) rotations of OpenCV.
        tvec: (N, 3), or (N, 3, 1), translations of OpenCV.
        camera_matrix: (N, 3, 3).
        image_size: (N, 2) or (1, 2), height and width in pixels, the same for all cameras.
        znear: depth of the near plane; the image plane lies 1e-5 before it.

    Returns:
        (N, 13): position ``-R^T tvec`` (3), ``matrix_to_rotation_6d(R^T)`` (6), focal length ``g = znear - 1e-5``,
        sensor width ``g W / f`` with f the mean of both focal lengths, and the principal point
        ``(W/2 - cx, cy - H/2)``. Pulsar knows square pixels alone: a warning is logged where the focal lengths differ
        by more than 1 %. Differentiable in all but the size.

    Raises:
        ValueError: wrong shapes, sizes below 1 or unequal, or a near plane within 1e-5.

    Example:
        >>> K = torch.tensor([[[100.0, 0.0, 70.0], [0.0, 100.0, 40.0], [0.0, 0.0, 1.0]]])
        >>> size = torch.tensor([[100, 160]])
        >>> pulsar_from_opencv_projection(torch.eye(3)[None], torch.tensor([[0.1, 0.2, 3.0]]), K, size)[0, 9:]
        tensor([  0.1000,   0.1600,  10.0000, -10.0000])
    """
    name = "pulsar_from_opencv_projection"
    tvec = _check_opencv(name, R, tvec, camera_matrix, image_size)
    if not bool((image_size == image_size[:1]).all()):
        raise ValueError(f"{name}: image_size must be the same for all cameras, got {image_size.tolist()}")
    focal_length = znear - _BEFORE_ZNEAR
    if focal_length <= 0:
        raise ValueError(f"{name}: znear must be greater than {_BEFORE_ZNEAR}, got {znear}")
    (fx, fy), principal = _pixels(camera_matrix)[0].unbind(1), _pixels(camera_matrix)[1]
    if bool(((fx / fy - 1).abs() > _SQUARE_PIXELS).any()):
        _LOGGER.warning(
            "%s: focal lengths in x and y differ by more than %g %%; their mean is used", name, 100 * _SQUARE_PIXELS
        )
    height, width = image_size.to(R).expand(R.shape[0], 2).unbind(1)
    inverse = R.transpose(1, 2)
    return torch.cat(
        [
            -torch.matmul(inverse, tvec[..., None])[..., 0],
            matrix_to_rotation_6d(inverse),
            torch.stack(
                [
                    torch.full_like(fx, focal_length),
                    focal_length * width / ((fx + fy) / 2),
                    width / 2 - principal[:, 0],
                    principal[:, 1] - height / 2,
                ],
                dim=1,
            ),
        ],
        dim=1,
    )


def pulsar_from_cameras_projection(cameras: PerspectiveCameras, image_size: Tensor) -> Tensor:
    """As `pulsar_from_opencv_projection`, of what `opencv_from_cameras_projection` returns.

    Args:
        cameras: N perspective cameras.
        image_size: (N, 2) or (1, 2), height and width in pixels, the same for all cameras.

    Returns:
        (N, 13).

    Raises:
        TypeError: another class of cameras.
        ValueError: as the two functions.

    Example:
        >>> from patina3d.renderer import PerspectiveCameras
        >>> pulsar_from_cameras_projection(PerspectiveCameras(2.0), torch.tensor([[100, 160]])).shape
        torch.Size([1, 13])
    """
    return pulsar_from_opencv_projection(*opencv_from_cameras_projection(cameras, image_size), image_size)


def _perspective_cameras(name: str) -> type[PerspectiveCameras]:
    try:
        from patina3d.renderer import PerspectiveCameras
    except ModuleNotFoundError as error:
        raise ImportError(f"{name} needs patina3d-renderer for its cameras") from error
    return PerspectiveCameras


def _pixels(camera_matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Focal lengths and principal points, (N, 2) each."""
    return camera_matrix.diagonal(dim1=1, dim2=2)[:, :2], camera_matrix[:, :2, 2]


def _scale_and_centre(size: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels of one NDC unit, (N, 1), and the pixel in the middle, (N, 2) as (x, y)."""
    return size.amin(dim=1, keepdim=True) / 2, size.flip(1) / 2


def _check_opencv(name: str, R: Tensor, tvec: Tensor, camera_matrix: Tensor, image_size: Tensor) -> Tensor:
    """Check shapes; the translation as (N, 3)."""
    for argument, value in (("R", R), ("camera_matrix", camera_matrix)):
        if value.dim() != 3 or value.shape != (R.shape[0], 3, 3):
            raise ValueError(f"{name}: {argument} must be (N, 3, 3), got {tuple(value.shape)}")
    if tvec.shape not in ((R.shape[0], 3), (R.shape[0], 3, 1)):
        raise ValueError(f"{name}: tvec must be ({R.shape[0]}, 3), got {tuple(tvec.shape)}")
    _check_sizes(name, image_size, R.shape[0])
    return tvec.reshape(R.shape[0], 3)


def _check_sizes(name: str, image_size: Tensor, number: int) -> None:
    if image_size.dim() != 2 or image_size.shape[1] != 2 or image_size.shape[0] not in (1, number):
        raise ValueError(f"{name}: image_size must be ({number}, 2) or (1, 2), got {tuple(image_size.shape)}")
    if not bool((image_size >= 1).all()):
        raise ValueError(f"{name}: image_size must be at least 1, got {image_size.tolist()}")
