# SPDX-License-Identifier: Apache-2.0
"""Cut faces at a near plane and drop faces outside the view, before they are rasterized.

Projection by ``x / z`` turns inside out behind the camera, so a face that reaches there is cut at ``z = z_clip_value``
first. What is left of it is rasterized as one or two triangles; `convert_clipped_rasterization_to_original_faces` then
speaks of the original face again.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from patina3d.structures.rows import gather_rows

__all__ = ["ClipFrustum", "ClippedFaces", "clip_faces", "convert_clipped_rasterization_to_original_faces"]


@dataclass(slots=True)
class ClippedFaces:
    """The faces to rasterize, and the way back to the original ones.

    T is the number of faces after clipping, R the number of those that were cut. Where an index map is None, nothing
    was cut or dropped (or, for the last three, nothing was cut).

    Attributes:
        face_verts: (T, 3, 3) corners: x and y in NDC, z view depth.
        mesh_to_face_first_idx: (N,) int64, each mesh's first face among the T.
        num_faces_per_mesh: (N,) int64.
        faces_clipped_to_unclipped_idx: (T,) int64, the original face of each face.
        barycentric_conversion: (R, 3, 3); column k holds the weights of the original corners in corner k of the cut
            face, so that ``matrix @ bary`` are barycentrics in the original face.
        faces_clipped_to_conversion_idx: (T,) int64, a row of ``barycentric_conversion``, or -1 for a face not cut.
        clipped_faces_neighbor_idx: (T,) int64, the other half of a quadrilateral that was cut in two, or -1.
    """

    face_verts: Tensor
    mesh_to_face_first_idx: Tensor
    num_faces_per_mesh: Tensor
    faces_clipped_to_unclipped_idx: Tensor | None = None
    barycentric_conversion: Tensor | None = None
    faces_clipped_to_conversion_idx: Tensor | None = None
    clipped_faces_neighbor_idx: Tensor | None = None


@dataclass(slots=True)
class ClipFrustum:
    """The view that faces are clipped to. A limit that is None does not exist.

    Attributes:
        left: least x.
        right: greatest x.
        top: least y.
        bottom: greatest y.
        znear: least z.
        zfar: greatest z.
        perspective_correct: whether x and y were divided by z; a cut point then lies on the straight edge in 3D.
        cull: whether faces beyond a limit are dropped.
        z_clip_value: the depth at which faces are cut, or None for no cut. Positive with ``perspective_correct``.
    """

    left: float | None = None
    right: float | None = None
    top: float | None = None
    bottom: float | None = None
    znear: float | None = None
    zfar: float | None = None
    perspective_correct: bool = False
    cull: bool = True
    z_clip_value: float | None = None


def clip_faces(
    face_verts_unclipped: Tensor,
    mesh_to_face_first_idx: Tensor,
    num_faces_per_mesh: Tensor,
    frustum: ClipFrustum,
) -> ClippedFaces:
    r"""Cut faces at ``z = z_clip_value`` and drop those beyond one side of the frustum.

    A corner is behind when ``z < z_clip_value``. With none behind a face stays, with all behind it is dropped. Else the
    corner that is alone on its side is called p1, the next ones in order p2 and p3, and p4, p5 are the points of the
    edges p1 p2 and p1 p3 on the plane. Two behind: the triangle (p4, p5, p1). One behind: the neighbours (p4, p2, p5)
    and (p5, p2, p3), one after the other. Winding and the order of faces are kept. A face is culled when all its
    corners lie beyond the same limit.

    The point on the edge from p1 to pj has the weights :math:`1 - w` and :math:`w = (z_1 - c) / (z_1 - z_j)` of its
    ends; with ``perspective_correct`` they act in view space: :math:`xy = ((1 - w) z_1 xy_1 + w z_j xy_j) / c`.

    Args:
        face_verts_unclipped: (F, 3, 3) corners: x and y in NDC, z view depth.
        mesh_to_face_first_idx: (N,) int64, each mesh's first face; meshes hold consecutive faces, in order.
        num_faces_per_mesh: (N,) int64.
        frustum: where to cut and what to drop.

    Returns:
        `ClippedFaces`; the input itself, with all maps None, when nothing is behind or culled. ``face_verts`` and
        ``barycentric_conversion`` are differentiable in the input corners; the plane and all decisions are constant.

    Raises:
        ValueError: for shapes other than these, or a ``z_clip_value`` that is not positive with
            ``perspective_correct``.

    Cost: O(F); on a GPU the host waits for the number of faces.

    Example:
        >>> face = torch.tensor([[[0.0, 0.0, 1.0], [1.0, 0.0, 3.0], [0.0, 1.0, 3.0]]])
        >>> clipped = clip_faces(face, torch.tensor([0]), torch.tensor([1]), ClipFrustum(z_clip_value=2.0))
        >>> clipped.face_verts[0]
        tensor([[0.5000, 0.0000, 2.0000],
                [1.0000, 0.0000, 3.0000],
                [0.0000, 0.5000, 2.0000]])
        >>> clipped.clipped_faces_neighbor_idx
        tensor([1, 0])
    """
    _check(face_verts_unclipped, mesh_to_face_first_idx, num_faces_per_mesh, frustum)
    face_verts, clip_z = face_verts_unclipped, frustum.z_clip_value
    behind = torch.zeros_like(face_verts[..., 2], dtype=torch.bool) if clip_z is None else face_verts[..., 2] < clip_z
    num_behind = behind.sum(dim=1)
    dropped = (num_behind == 3) | _culled(face_verts, frustum)
    if not bool((dropped | (num_behind > 0)).any()):
        return ClippedFaces(face_verts, mesh_to_face_first_idx, num_faces_per_mesh)

    num_pieces = (1 + (num_behind == 1).long()).masked_fill(dropped, 0)
    end = num_pieces.cumsum(0)
    piece = torch.cat([end.new_zeros(1), end])
    first = piece[mesh_to_face_first_idx]
    original = torch.repeat_interleave(num_pieces)
    clipped = ClippedFaces(
        gather_rows(face_verts, original),
        mesh_to_face_first_idx=first,
        num_faces_per_mesh=piece[mesh_to_face_first_idx + num_faces_per_mesh] - first,
        faces_clipped_to_unclipped_idx=original,
    )
    trimmed = (num_behind.eq(2) & ~dropped).nonzero().squeeze(1)
    halved = (num_behind.eq(1) & ~dropped).nonzero().squeeze(1)
    if clip_z is None or trimmed.numel() + halved.numel() == 0:
        return clipped

    # Rows of the conversion table: trimmed faces, then first halves, then second halves.
    halves = torch.cat([piece[halved], piece[halved] + 1])
    cut = torch.cat([piece[trimmed], halves])
    cut_verts, weights = _cut_faces(
        *_cut_edges(gather_rows(face_verts, trimmed), behind[trimmed], clip_z, frustum.perspective_correct),
        *_cut_edges(gather_rows(face_verts, halved), behind[halved], clip_z, frustum.perspective_correct),
    )
    none = torch.full_like(original, -1)
    clipped.face_verts = clipped.face_verts.index_copy(0, cut, cut_verts)
    clipped.barycentric_conversion = weights.transpose(1, 2)
    clipped.faces_clipped_to_conversion_idx = none.index_copy(0, cut, torch.arange(cut.numel(), device=cut.device))
    clipped.clipped_faces_neighbor_idx = none.index_copy(0, halves, halves.roll(halved.numel()))
    return clipped


def convert_clipped_rasterization_to_original_faces(
    pix_to_face_clipped: Tensor, bary_coords_clipped: Tensor, clipped_faces: ClippedFaces
) -> tuple[Tensor, Tensor]:
    """Say what was rasterized of clipped faces in terms of the original faces.

    Depth and distances need no conversion: depth is the same, and distances are to the border of the cut face.

    Args:
        pix_to_face_clipped: (N, H, W, K) int64 numbers of clipped faces, negative in empty slots.
        bary_coords_clipped: (N, H, W, K, 3) barycentrics in them.
        clipped_faces: what `clip_faces` returned.

    Returns:
        (N, H, W, K) numbers of original faces, -1 in empty slots, and (N, H, W, K, 3) barycentrics in them, those of
        empty slots as they were. The barycentrics are differentiable in ``bary_coords_clipped`` and, through the cut,
        in the corners given to `clip_faces`.

    Cost: O(N H W K) where something was cut or dropped, else none; on a GPU the host waits for the number of slots that
    show a cut face.

    Example:
        >>> face = torch.tensor([[[0.0, 0.0, 1.0], [1.0, 0.0, 3.0], [0.0, 1.0, 1.0]]])
        >>> clipped = clip_faces(face, torch.tensor([0]), torch.tensor([1]), ClipFrustum(z_clip_value=2.0))
        >>> pix_to_face, bary = torch.tensor([[[[0]]]]), torch.tensor([[[[[0.5, 0.5, 0.0]]]]])
        >>> convert_clipped_rasterization_to_original_faces(pix_to_face, bary, clipped)[1]
        tensor([[[[[0.2500, 0.5000, 0.2500]]]]])
    """
    original = clipped_faces.faces_clipped_to_unclipped_idx
    if original is None:
        return pix_to_face_clipped, bary_coords_clipped
    # One entry more than there are faces: -1 reads the last one.
    pix_to_face = torch.cat([original, original.new_full((1,), -1)])[pix_to_face_clipped.clamp(min=-1)]
    conversion, row = clipped_faces.barycentric_conversion, clipped_faces.faces_clipped_to_conversion_idx
    if conversion is None or row is None:
        return pix_to_face, bary_coords_clipped
    row = torch.cat([row, row.new_full((1,), -1)])[pix_to_face_clipped.clamp(min=-1)].flatten()
    slots = (row >= 0).nonzero().squeeze(1)
    bary = bary_coords_clipped.reshape(-1, 3)
    converted = torch.matmul(gather_rows(conversion, row[slots]), bary.index_select(0, slots).unsqueeze(-1)).squeeze(-1)
    return pix_to_face, bary.index_copy(0, slots, converted).reshape(bary_coords_clipped.shape)


def _cut_edges(face_verts: Tensor, behind: Tensor, clip_z: float, perspective: bool) -> tuple[Tensor, Tensor]:
    """The points p1 to p5 of faces with corners on both sides: (B, 5, 3) places and (B, 5, 3) weights of corners."""
    alone = behind == behind.sum(dim=1, keepdim=True).eq(1)
    order = (alone.long().argmax(dim=1, keepdim=True) + torch.arange(3, device=behind.device)) % 3
    ends = face_verts.gather(1, order.unsqueeze(-1).expand(-1, -1, 3))
    weights = torch.nn.functional.one_hot(order, 3).to(face_verts.dtype)
    z = ends[..., 2:]
    w = (z[:, :1] - clip_z) / (z[:, :1] - z[:, 1:])
    xy = ends[..., :2] * z if perspective else ends[..., :2]
    xy = (1.0 - w) * xy[:, :1] + w * xy[:, 1:]
    cut = torch.cat([xy / clip_z if perspective else xy, torch.full_like(w, clip_z)], dim=-1)
    return torch.cat([ends, cut], dim=1), torch.cat([weights, (1.0 - w) * weights[:, :1] + w * weights[:, 1:]], dim=1)


def _cut_faces(
    trimmed: Tensor, trimmed_weights: Tensor, halved: Tensor, halved_weights: Tensor
) -> tuple[Tensor, Tensor]:
    """The corners that `_cut_edges` found, put together to faces: (R, 3, 3) places and (R, 3, 3) weights."""

    def faces(of_trimmed: Tensor, of_halved: Tensor) -> Tensor:
        p1, _, _, p4, p5 = of_trimmed.unbind(dim=1)
        trimmed_face = torch.stack([p4, p5, p1], dim=1)
        _, p2, p3, p4, p5 = of_halved.unbind(dim=1)
        return torch.cat([trimmed_face, torch.stack([p4, p2, p5], dim=1), torch.stack([p5, p2, p3], dim=1)])

    return faces(trimmed, halved), faces(trimmed_weights, halved_weights)


def _culled(face_verts: Tensor, frustum: ClipFrustum) -> Tensor:
    """(F,) bool: all corners beyond the same limit."""
    culled = torch.zeros_like(face_verts[:, 0, 0], dtype=torch.bool)
    if not frustum.cull:
        return culled
    limits = (frustum.left, frustum.right), (frustum.top, frustum.bottom), (frustum.znear, frustum.zfar)
    for axis, (least, greatest) in enumerate(limits):
        if least is not None:
            culled |= (face_verts[..., axis] < least).all(dim=1)
        if greatest is not None:
            culled |= (face_verts[..., axis] > greatest).all(dim=1)
    return culled


def _check(face_verts: Tensor, first: Tensor, num: Tensor, frustum: ClipFrustum) -> None:
    if face_verts.dim() != 3 or face_verts.shape[1:] != (3, 3):
        raise ValueError(f"clip_faces: face_verts_unclipped must be (F, 3, 3), got {tuple(face_verts.shape)}")
    if first.dim() != 1 or first.shape != num.shape:
        raise ValueError(
            "clip_faces: mesh_to_face_first_idx and num_faces_per_mesh must both be (N,), "
            f"got {tuple(first.shape)} and {tuple(num.shape)}"
        )
    if frustum.perspective_correct and frustum.z_clip_value is not None and not frustum.z_clip_value > 0:
        raise ValueError(
            f"clip_faces: z_clip_value must be positive with perspective_correct, got {frustum.z_clip_value}"
        )
