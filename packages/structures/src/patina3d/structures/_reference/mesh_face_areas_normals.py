# SPDX-License-Identifier: Apache-2.0
"""The definition of ``mesh_face_areas_normals``."""

import torch
from torch import Tensor

NOISE_ULPS = 4


def mesh_face_areas_normals(verts: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
    """Area and unit normal of one triangle after the other; differentiable by torch's own rules."""
    areas, normals = [verts.new_zeros(0)], [verts.new_zeros((0, 3))]
    for i, j, k in faces.tolist():
        edge1, edge2 = verts[j] - verts[i], verts[k] - verts[i]
        cross = torch.linalg.cross(edge1, edge2)
        noise = NOISE_ULPS * torch.finfo(verts.dtype).eps * edge1.norm() * edge2.norm()
        # Where all is zero torch's norm has a gradient of its own choice.
        areas.append((cross.norm() / 2 if cross.any() else 0 * cross.sum()).reshape(1))
        normals.append((0 * cross if cross.norm() <= noise else cross / cross.norm()).reshape(1, 3))
    return torch.cat(areas), torch.cat(normals)
