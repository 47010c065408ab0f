# SPDX-License-Identifier: Apache-2.0
"""Areas and normals of triangles."""

import torch
from torch import Tensor

from patina3d.structures.meshes.face_geometry import face_areas_normals

__all__ = ["mesh_face_areas_normals"]

_NAME = "mesh_face_areas_normals"


def mesh_face_areas_normals(verts: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
    r"""Area and unit normal of each triangle.

    .. math::
        c = (v_1 - v_0) \times (v_2 - v_0), \qquad \text{area} = \|c\| / 2, \qquad n = c / \|c\|

    The normal points to the side from which the corners run counter-clockwise. `Meshes.faces_areas_packed` and
    `Meshes.faces_normals_packed` are the same for meshes.

    Args:
        verts: (V, 3) floating positions. float16 and bfloat16 are computed in float32 and rounded at the end.
        faces: (F, 3) int64 indices into ``verts``.

    Returns:
        Areas (F,) and normals (F, 3), of the dtype of ``verts``. A degenerate face (``|c|`` within rounding of zero,
        relative to the lengths of the two edges, so at any scale) has normal 0. Differentiable in ``verts``; gradients
        are finite, and 0 through the normal of a degenerate face and through the area of a face with ``c = 0``.

    Raises:
        ValueError: another shape, or faces that are not int64.
        TypeError: vertices that are not floating.

    Cost: O(F); nothing waits for the device.

    Example:
        >>> verts = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        >>> mesh_face_areas_normals(verts, torch.tensor([[0, 1, 2]]))
        (tensor([0.5000]), tensor([[0., 0., 1.]]))
    """
    for argument, value, letter in (("verts", verts, "V"), ("faces", faces, "F")):
        if value.dim() != 2 or value.shape[1] != 3:
            raise ValueError(f"{_NAME}: {argument} must be of shape ({letter}, 3), got {tuple(value.shape)}")
    if faces.dtype != torch.int64:
        raise ValueError(f"{_NAME}: faces must be int64, got {str(faces.dtype).removeprefix('torch.')}")
    if not verts.is_floating_point():
        raise TypeError(f"{_NAME}: verts must be floating, got {str(verts.dtype).removeprefix('torch.')}")
    return face_areas_normals(verts, faces)
