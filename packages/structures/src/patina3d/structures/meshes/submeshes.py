# SPDX-License-Identifier: Apache-2.0
"""Which faces and vertices a sub-mesh keeps, and their new numbers."""

import torch
from torch import Tensor

from patina3d.structures.rows import gather_rows

__all__ = ["chosen_faces", "face_positions"]


def face_positions(
    faces_list: list[Tensor], face_indices: list[list[Tensor]] | list[Tensor] | Tensor
) -> list[list[Tensor]]:
    """For each mesh and each set of indices or masks the faces it names, as int64 numbers that are not negative.

    Args:
        faces_list: N tensors (F_n, 3).
        face_indices: for each mesh its sets of indices or masks; see ``Meshes.submeshes``.

    Example:
        >>> face_positions([torch.tensor([[0, 1, 2], [3, 2, 1]])], [[torch.tensor([-1]), torch.tensor([True, False])]])
        [[tensor([1]), tensor([0])]]
    """
    if len(face_indices) != len(faces_list):
        raise ValueError(
            "Meshes.submeshes: You must specify exactly one set of submeshes for each mesh: "
            f"face_indices must have {len(faces_list)} entries, got {len(face_indices)}"
        )
    return [
        [_positions(index, faces.shape[0]) for index in sets]
        for faces, sets in zip(faces_list, face_indices, strict=True)
    ]


def chosen_faces(faces_list: list[Tensor], positions: list[list[Tensor]]) -> list[list[tuple[Tensor, Tensor]]]:
    """For each mesh and each set of faces: the old numbers of the vertices in use, and the renumbered faces.

    Args:
        faces_list: N tensors (F_n, 3).
        positions: for each mesh its sets of faces, as `face_positions` returns them.

    Returns:
        For each mesh a list of (vertex ids (V',), ascending; faces (F', 3), indices into the vertex ids).

    Example:
        >>> chosen_faces([torch.tensor([[0, 1, 2], [3, 2, 1]])], [[torch.tensor([1])]])
        [[(tensor([1, 2, 3]), tensor([[2, 1, 0]]))]]
    """
    return [
        [_renumbered(gather_rows(faces, position)) for position in sets]
        for faces, sets in zip(faces_list, positions, strict=True)
    ]


def _renumbered(faces: Tensor) -> tuple[Tensor, Tensor]:
    vertex_ids, renumbered = torch.unique(faces, return_inverse=True)
    return vertex_ids, renumbered.reshape(-1, 3)


def _positions(index: Tensor, num_faces: int) -> Tensor:
    if index.ndim != 1:
        raise IndexError(f"Meshes.submeshes: a set of face indices must be 1-D, got shape {tuple(index.shape)}")
    if index.dtype == torch.bool:
        if index.shape[0] != num_faces:
            raise IndexError(f"Meshes.submeshes: a mask must have {num_faces} entries, got {index.shape[0]}")
        return index.nonzero()[:, 0]
    if index.numel() == 0:
        return index.to(torch.int64)
    if index.is_floating_point() or index.is_complex():
        raise IndexError(f"Meshes.submeshes: face indices must be integers, got {index.dtype}")
    lowest, highest = torch.stack(torch.aminmax(index)).tolist()
    if lowest < -num_faces or highest >= num_faces:
        raise IndexError(f"Meshes.submeshes: face indices must lie in [0, {num_faces}), got {lowest} to {highest}")
    index = index.to(torch.int64)
    return torch.where(index < 0, index + num_faces, index)
