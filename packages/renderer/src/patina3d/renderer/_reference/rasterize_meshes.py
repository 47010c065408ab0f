# SPDX-License-Identifier: Apache-2.0
"""The definition of ``rasterize_meshes``: every face at every pixel, in plain torch."""

from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

__all__ = [
    "barycentric_coordinates",
    "barycentric_coordinates_clip",
    "edge_function",
    "non_square_ndc_range",
    "perspective_correct_coordinates",
    "pix_to_non_square_ndc",
    "point_line_distance",
    "point_triangle_distance",
    "rasterize_faces",
]

# Areas, depths and squared lengths up to this count as zero.
_EPSILON = 1e-8
# The least sum that clipped barycentric coordinates are divided by.
_CLIP_EPSILON = 1e-5

_Coordinates = tuple[Tensor, Tensor, Tensor]
_Number = TypeVar("_Number", float, Tensor)


def non_square_ndc_range(S1: int, S2: int) -> float:
    """How much of NDC an image side of ``S1`` pixels spans, where the other side has ``S2``: ``2 max(1, S1 / S2)``.

    Args:
        S1: pixels of this side.
        S2: pixels of the other side.

    Example:
        >>> non_square_ndc_range(200, 100), non_square_ndc_range(100, 200)
        (4.0, 2.0)
    """
    return S1 * 2.0 / S2 if S1 > S2 else 2.0


def pix_to_non_square_ndc(i: _Number, S1: int, S2: int) -> _Number:
    """The NDC coordinate of the centre of pixel ``i`` of a side of ``S1`` pixels.

    ``-o + (r i + o) / S1`` with the range r of :func:`non_square_ndc_range` and ``o = r / 2``. Numbers ascend with NDC:
    column x of an image is pixel ``W - 1 - x`` here, row y is ``H - 1 - y``, for +X points left and +Y up.

    Args:
        i: number of the pixel, or a tensor of numbers.
        S1: pixels of this side.
        S2: pixels of the other side.

    Example:
        >>> pix_to_non_square_ndc(0, 4, 2), pix_to_non_square_ndc(3, 4, 2)
        (-1.5, 1.5)
    """
    extent = non_square_ndc_range(S1, S2)
    offset = extent / 2.0
    return -offset + (extent * i + offset) / S1


def edge_function(p: Tensor, v0: Tensor, v1: Tensor) -> Tensor:
    """Twice the signed area of the triangle p v0 v1: ``(p.x - v0.x)(v1.y - v0.y) - (p.y - v0.y)(v1.x - v0.x)``.

    Args:
        p: (..., 2) points.
        v0: (..., 2) one end of the edge.
        v1: (..., 2) the other end.

    Returns:
        (...) tensor.

    Example:
        >>> edge_function(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 0.0]), torch.tensor([0.0, 1.0]))
        tensor(1.)
    """
    return (p[..., 0] - v0[..., 0]) * (v1[..., 1] - v0[..., 1]) - (p[..., 1] - v0[..., 1]) * (v1[..., 0] - v0[..., 0])


def barycentric_coordinates(p: Tensor, v0: Tensor, v1: Tensor, v2: Tensor) -> _Coordinates:
    """Barycentric coordinates of ``p``: ``edge_function(p, v_{i+1}, v_{i+2}) / (edge_function(v2, v0, v1) + 1e-8)``.

    Args:
        p: (..., 2) points.
        v0: (..., 2) first vertex.
        v1: (..., 2) second vertex.
        v2: (..., 2) third vertex.

    Returns:
        Three tensors of shape (...).

    Example:
        >>> corners = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
        >>> barycentric_coordinates(torch.tensor([0.25, 0.5]), *corners)
        (tensor(0.2500), tensor(0.5000), tensor(0.2500))
    """
    area = edge_function(v2, v0, v1) + _EPSILON
    return edge_function(p, v1, v2) / area, edge_function(p, v2, v0) / area, edge_function(p, v0, v1) / area


def perspective_correct_coordinates(bary: _Coordinates, z: _Coordinates) -> _Coordinates:
    """Barycentric coordinates in space from those in the image: ``w_i z_j z_k / max(sum, 1e-8)``."""
    (w0, w1, w2), (z0, z1, z2) = bary, z
    top = w0 * z1 * z2, z0 * w1 * z2, z0 * z1 * w2
    total = (top[0] + top[1] + top[2]).clamp(min=_EPSILON)
    return top[0] / total, top[1] / total, top[2] / total


def barycentric_coordinates_clip(bary: _Coordinates) -> _Coordinates:
    """Negative coordinates to 0, the rest divided by their sum, or by 1e-5 where that is more.

    Args:
        bary: three tensors of one shape.

    Returns:
        Three tensors of that shape.

    Example:
        >>> barycentric_coordinates_clip((torch.tensor(-1.0), torch.tensor(1.0), torch.tensor(1.0)))
        (tensor(0.), tensor(0.5000), tensor(0.5000))
    """
    w0, w1, w2 = bary[0].clamp(min=0.0), bary[1].clamp(min=0.0), bary[2].clamp(min=0.0)
    total = (w0 + w1 + w2).clamp(min=_CLIP_EPSILON)
    return w0 / total, w1 / total, w2 / total


def point_line_distance(p: Tensor, v0: Tensor, v1: Tensor) -> Tensor:
    """Squared distance of ``p`` to the segment from ``v0`` to ``v1``.

    A segment with a squared length of at most 1e-8 counts as its end ``v1``.

    Args:
        p: (..., 2) points.
        v0: (..., 2) one end.
        v1: (..., 2) the other end.

    Returns:
        (...) tensor. Its gradient holds the nearest point fixed on the segment, which is exact: moving it along the
        segment changes nothing to first order.

    Example:
        >>> point_line_distance(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 0.0]), torch.tensor([4.0, 0.0]))
        tensor(4.)
    """
    x, y = v1[..., 0] - v0[..., 0], v1[..., 1] - v0[..., 1]
    with torch.no_grad():
        length2 = x * x + y * y
        t = (x * (p[..., 0] - v0[..., 0]) + y * (p[..., 1] - v0[..., 1])) / length2
        t = torch.where(length2 <= _EPSILON, 1.0, t.clamp(0.0, 1.0))
    x, y = v0[..., 0] + t * x - p[..., 0], v0[..., 1] + t * y - p[..., 1]
    return x * x + y * y


def point_triangle_distance(p: Tensor, v0: Tensor, v1: Tensor, v2: Tensor) -> Tensor:
    """Squared distance of ``p`` to the border of a triangle, from outside and from inside.

    Args:
        p: (..., 2) points.
        v0: (..., 2) first vertex.
        v1: (..., 2) second vertex.
        v2: (..., 2) third vertex.

    Returns:
        (...) tensor. Of edges at one distance the first of v0 v1, v0 v2, v1 v2 has the gradient.

    Example:
        >>> corners = torch.tensor([[0.0, 0.0], [0.0, 4.0], [4.0, 0.0]])
        >>> point_triangle_distance(torch.tensor([1.0, 0.5]), *corners)
        tensor(0.2500)
    """
    e01, e02, e12 = point_line_distance(p, v0, v1), point_line_distance(p, v0, v2), point_line_distance(p, v1, v2)
    return torch.where((e01 <= e02) & (e01 <= e12), e01, torch.where(e02 <= e12, e02, e12))


class _Samples(NamedTuple):
    """What faces are at points."""

    inside: Tensor
    z: Tensor
    bary: Tensor
    dist2: Tensor


def _sample(p: Tensor, face_verts: Tensor, perspective_correct: bool, clip_barycentric_coords: bool) -> _Samples:
    """Faces (..., 3, 3) at points (..., 2)."""
    v0, v1, v2 = face_verts[..., :2].unbind(-2)
    z0, z1, z2 = face_verts[..., 2].unbind(-1)
    bary = barycentric_coordinates(p, v0, v1, v2)
    if perspective_correct:
        bary = perspective_correct_coordinates(bary, (z0, z1, z2))
    inside = (bary[0] > 0) & (bary[1] > 0) & (bary[2] > 0)
    if clip_barycentric_coords:
        bary = barycentric_coordinates_clip(bary)
    z = bary[0] * z0 + bary[1] * z1 + bary[2] * z2
    return _Samples(inside, z, torch.stack(bary, dim=-1), point_triangle_distance(p, v0, v1, v2))


def rasterize_faces(
    face_verts: Tensor,
    mesh_to_face_first_idx: Tensor,
    num_faces_per_mesh: Tensor,
    clipped_faces_neighbor_idx: Tensor | None,
    image_size: tuple[int, int],
    blur_radius: float,
    faces_per_pixel: int,
    perspective_correct: bool,
    clip_barycentric_coords: bool,
    cull_backfaces: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Rasterize packed faces (F, 3, 3) of N meshes; differentiable by torch's own rules.

    Returns:
        ``pix_to_face``, ``zbuf``, ``bary_coords``, ``dists`` of H x W images as ``rasterize_meshes`` describes them.
    """
    height, width = image_size
    numbers = {"dtype": face_verts.dtype, "device": face_verts.device}
    x = pix_to_non_square_ndc(torch.arange(width, **numbers).flip(0), width, height)
    y = pix_to_non_square_ndc(torch.arange(height, **numbers).flip(0), height, width)
    pixels = torch.cartesian_prod(y, x).reshape(-1, 2).flip(-1)
    blur = torch.tensor(blur_radius, **numbers)

    def hits(p: Tensor, faces: Tensor) -> tuple[Tensor, _Samples]:
        """Faces (..., 3, 3) at points (..., 2): where they are hit, and what they are there."""
        xy, z = faces[..., :2], faces[..., 2]
        area = edge_function(*xy.unbind(-2))
        edges = xy.roll(-1, dims=-2) - xy
        length2 = edges[..., 0] * edges[..., 0] + edges[..., 1] * edges[..., 1]
        drawn = (area.abs() > _EPSILON) & area.isfinite() & length2.isfinite().all(-1)
        drawn &= z.isfinite().all(-1) & (z.amin(-1) >= _EPSILON)
        if cull_backfaces:
            drawn &= area >= 0
        boxed = (p >= xy.amin(-2) - blur.sqrt()) & (p <= xy.amax(-2) + blur.sqrt())
        samples = _sample(p, faces, perspective_correct, clip_barycentric_coords)
        sound = (samples.z >= 0) & samples.z.isfinite() & samples.dist2.isfinite()
        return drawn & boxed.all(-1) & sound & (samples.inside | (samples.dist2 < blur)), samples

    shape = (len(mesh_to_face_first_idx), height * width, faces_per_pixel)
    pix_to_face = torch.full(shape, -1, dtype=torch.int64, device=face_verts.device)
    for mesh, (first, count) in enumerate(
        zip(mesh_to_face_first_idx.tolist(), num_faces_per_mesh.tolist(), strict=True)
    ):
        with torch.no_grad():
            # (H W, faces)
            hit, own = hits(pixels[:, None], face_verts[first : first + count])
            if clipped_faces_neighbor_idx is not None:
                index = torch.arange(first, first + count, device=face_verts.device)
                neighbor = clipped_faces_neighbor_idx[first : first + count]
                other_hit, other = hits(pixels[:, None], face_verts[neighbor.clamp(0, len(face_verts) - 1)])
                nearer = (other.dist2 < own.dist2) | ((other.dist2 == own.dist2) & (neighbor < index))
                beats = torch.where(other.inside == own.inside, nearer, other.inside)
                is_other = (neighbor >= 0) & (neighbor < len(face_verts)) & (neighbor != index)
                hit &= ~(is_other & other_hit & beats)
            order = own.z.masked_fill(~hit, torch.inf).sort(dim=1, stable=True).indices[:, :faces_per_pixel]
            kept = torch.where(hit.gather(1, order), order + first, -1)
            pix_to_face[mesh, :, : kept.shape[1]] = kept

    used = pix_to_face >= 0
    samples = _sample(
        pixels[used.nonzero()[:, 1]], face_verts[pix_to_face[used]], perspective_correct, clip_barycentric_coords
    )

    def slots(values: Tensor) -> Tensor:
        out = values.new_full((*shape, *values.shape[1:]), -1).index_put((used,), values)
        return out.reshape(shape[0], height, width, faces_per_pixel, *values.shape[1:])

    dists = torch.where(samples.inside, -samples.dist2, samples.dist2)
    pix_to_face = pix_to_face.reshape(shape[0], height, width, faces_per_pixel)
    return pix_to_face, slots(samples.z), slots(samples.bary), slots(dists)
