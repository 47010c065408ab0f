# SPDX-License-Identifier: Apache-2.0
"""What ``Meshes`` accepts, and the one form each input is brought to."""

import torch
from torch import Tensor

from patina3d.structures.layout import RowLayout
from patina3d.structures.ragged import RaggedRows, rows_of_one_dtype

__all__ = ["checked_lists", "checked_normals", "checked_padded"]


def checked_lists(verts: list[Tensor], faces: list[Tensor]) -> tuple[RaggedRows, list[Tensor]]:
    """Check lists of vertices and faces.

    Returns:
        The vertices, and the faces as (F_n, 3) int64 without the rows that have a negative entry.
    """
    if len(verts) != len(faces):
        raise ValueError(f"Meshes: verts and faces must be lists of equal length, got {len(verts)} and {len(faces)}")
    for name, tensors in (("verts", verts), ("faces", faces)):
        for n, tensor in enumerate(tensors):
            if not isinstance(tensor, Tensor):
                raise ValueError(f"Meshes: {name}[{n}] must be a tensor, got {type(tensor).__name__}")
            if tensor.shape != (0,) and (tensor.ndim != 2 or tensor.shape[1] != 3):
                raise ValueError(f"Meshes: {name}[{n}] must have 3 columns, got shape {tuple(tensor.shape)}")
            if tensor.device != verts[0].device:
                raise ValueError(
                    f"Meshes: all verts and faces must be on the same device, got {verts[0].device} and {tensor.device}"
                )
    if not verts:
        return RaggedRows(RowLayout([], torch.device("cpu")), packed=torch.zeros((0, 3))), []
    verts = rows_of_one_dtype(verts, 3, "Meshes: verts")
    _check_floating(verts[0], "verts")
    layout = RowLayout([v.shape[0] for v in verts], verts[0].device)
    faces = [f if f.ndim == 2 else f.reshape(0, 3) for f in faces]
    return RaggedRows(layout, rows=verts), _without_padding([_as_indices(f, "faces") for f in faces], layout)


def checked_padded(verts: Tensor, faces: Tensor) -> tuple[Tensor, list[int]]:
    """Check padded vertices and faces.

    Returns:
        (N, F, 3) int64 faces (the same tensor if it was int64), and the number of faces of each mesh.
    """
    for name, tensor in (("verts", verts), ("faces", faces)):
        if tensor.ndim != 3 or tensor.shape[2] != 3:
            raise ValueError(f"Meshes: padded {name} must have shape (N, *, 3), got {tuple(tensor.shape)}")
    if verts.shape[0] != faces.shape[0]:
        raise ValueError(f"Meshes: verts and faces must have equal N, got {verts.shape[0]} and {faces.shape[0]}")
    if verts.device != faces.device:
        raise ValueError(f"Meshes: verts and faces must be on the same device, got {verts.device} and {faces.device}")
    _check_floating(verts, "verts")
    faces = _as_indices(faces, "faces")
    if faces.numel() == 0:
        return faces, [0] * faces.shape[0]
    is_face = (faces >= 0).all(-1)
    num_faces = is_face.sum(1)
    is_first = torch.arange(faces.shape[1], device=faces.device) < num_faces[:, None]
    # One transfer from the device answers all questions.
    misplaced, highest, *counts = torch.cat(
        [(is_face != is_first).any()[None], faces.masked_fill(~is_face[..., None], -1).max()[None], num_faces]
    ).tolist()
    if misplaced:
        raise ValueError("Meshes: Padding of faces (rows with an entry < 0) must follow the faces of their mesh")
    if highest >= verts.shape[1]:
        raise ValueError(f"Meshes: faces refer to vertex {highest}, but a mesh has {verts.shape[1]} vertices")
    return faces, counts


def checked_normals(normals: list[Tensor] | Tensor, verts: RowLayout) -> RaggedRows:
    """Check vertex normals, as a list of (V_n, 3) or padded (N, V, 3)."""
    tensors = normals if isinstance(normals, list) else [normals]
    if not all(isinstance(tensor, Tensor) for tensor in tensors):
        raise ValueError("Meshes: verts_normals must be a list of tensors or a tensor")
    for tensor in tensors:
        _check_floating(tensor, "verts_normals")
        if tensor.device != verts.device:
            raise ValueError(f"Meshes: verts_normals must be on {verts.device} like verts, got {tensor.device}")
    if isinstance(normals, Tensor):
        if normals.shape != (len(verts), verts.width, 3):
            raise ValueError(
                f"Meshes: verts_normals must have shape {(len(verts), verts.width, 3)}, got {tuple(normals.shape)}"
            )
        return RaggedRows(verts, padded=normals)
    if len(normals) != len(verts):
        raise ValueError(f"Meshes: verts_normals must have {len(verts)} entries, got {len(normals)}")
    for n, (tensor, count) in enumerate(zip(normals, verts.counts, strict=True)):
        if tensor.shape != (count, 3) and not (count == 0 and tensor.shape == (0,)):
            raise ValueError(
                f"Meshes: verts_normals[{n}] must have shape {(count, 3)} like verts, got {tuple(tensor.shape)}"
            )
    if not normals:
        return RaggedRows(verts, packed=torch.zeros((0, 3)))
    return RaggedRows(verts, rows=rows_of_one_dtype(normals, 3, "Meshes: verts_normals"))


def _check_floating(tensor: Tensor, name: str) -> None:
    if not tensor.is_floating_point():
        raise TypeError(f"Meshes: {name} must be floating, got {tensor.dtype}")


def _as_indices(faces: Tensor, name: str) -> Tensor:
    if faces.dtype == torch.bool or faces.is_complex():
        raise TypeError(f"Meshes: {name} must be integers, got {faces.dtype}")
    if faces.is_floating_point() and not torch.equal(faces, faces.round()):
        raise ValueError(f"Meshes: {name} must be whole numbers, got {faces.dtype} with fractions")
    return faces.to(torch.int64)


def _without_padding(faces: list[Tensor], verts: RowLayout) -> list[Tensor]:
    """Drop face rows with a negative entry; the rest must refer to vertices of their mesh."""
    occupied = [n for n, f in enumerate(faces) if f.shape[0] > 0]
    if not occupied:
        return faces
    # One transfer from the device, whatever the number of meshes.
    extremes = torch.stack([torch.stack(torch.aminmax(faces[n])) for n in occupied]).tolist()
    faces = list(faces)
    for n, (lowest, highest) in zip(occupied, extremes, strict=True):
        if lowest < 0:
            faces[n] = faces[n][(faces[n] >= 0).all(1)]
            highest = int(faces[n].max()) if faces[n].shape[0] > 0 else -1
        if highest >= verts.counts[n]:
            raise ValueError(
                f"Meshes: faces[{n}] refers to vertex {highest}, but verts[{n}] has {verts.counts[n]} vertices"
            )
    return faces
