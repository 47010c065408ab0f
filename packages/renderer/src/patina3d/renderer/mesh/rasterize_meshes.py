# SPDX-License-Identifier: Apache-2.0
"""Mesh rasterization: the K nearest faces of each pixel."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from patina3d.core import _native, is_differentiated, register
from patina3d.renderer._image_space import parse_image_size
from patina3d.renderer._reference.rasterize_meshes import (
    barycentric_coordinates,
    barycentric_coordinates_clip,
    edge_function,
    non_square_ndc_range,
    pix_to_non_square_ndc,
    point_line_distance,
    point_triangle_distance,
    rasterize_faces,
)
from patina3d.renderer.mesh.clip import (
    ClipFrustum,
    ClippedFaces,
    clip_faces,
    convert_clipped_rasterization_to_original_faces,
)
from patina3d.structures import Meshes
from patina3d.structures.rows import gather_rows

__all__ = [
    "barycentric_coordinates",
    "barycentric_coordinates_clip",
    "edge_function",
    "non_square_ndc_range",
    "pix_to_non_square_ndc",
    "point_line_distance",
    "point_triangle_distance",
    "rasterize_meshes",
    "rasterize_meshes_python",
]

_Fragments = tuple[Tensor, Tensor, Tensor, Tensor]


def _fake_forward(
    face_verts: Tensor,
    mesh_to_face_first_idx: Tensor,
    num_faces_per_mesh: Tensor,
    clipped_faces_neighbor_idx: Tensor | None,
    image_height: int,
    image_width: int,
    blur_radius: float,
    faces_per_pixel: int,
    perspective_correct: bool,
    clip_barycentric_coords: bool,
    cull_backfaces: bool,
) -> _Fragments:
    slots = (mesh_to_face_first_idx.shape[0], image_height, image_width, faces_per_pixel)
    new = face_verts.new_empty
    return new(slots, dtype=torch.int64), new(slots), new((*slots, 3)), new(slots)


def _fake_backward(
    face_verts: Tensor,
    mesh_to_face_first_idx: Tensor,
    num_faces_per_mesh: Tensor,
    pix_to_face: Tensor,
    perspective_correct: bool,
    clip_barycentric_coords: bool,
    grad_zbuf: Tensor | None,
    grad_bary_coords: Tensor | None,
    grad_dists: Tensor | None,
) -> Tensor:
    return face_verts.new_empty(face_verts.shape)


_forward = register(
    "rasterize_meshes_forward(Tensor face_verts, Tensor mesh_to_face_first_idx, Tensor num_faces_per_mesh,"
    " Tensor? clipped_faces_neighbor_idx, SymInt image_height, SymInt image_width, float blur_radius,"
    " SymInt faces_per_pixel, bool perspective_correct, bool clip_barycentric_coords, bool cull_backfaces)"
    " -> (Tensor, Tensor, Tensor, Tensor)",
    _native.renderer.rasterize_meshes_forward,
    _fake_forward,
)
_backward = register(
    "rasterize_meshes_backward(Tensor face_verts, Tensor mesh_to_face_first_idx, Tensor num_faces_per_mesh,"
    " Tensor pix_to_face, bool perspective_correct, bool clip_barycentric_coords, Tensor? grad_zbuf,"
    " Tensor? grad_bary_coords, Tensor? grad_dists) -> Tensor",
    _native.renderer.rasterize_meshes_backward,
    _fake_backward,
)


class _RasterizeFaces(Function):
    @staticmethod
    def forward(
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
    ) -> _Fragments:
        return _forward(
            face_verts,
            mesh_to_face_first_idx,
            num_faces_per_mesh,
            clipped_faces_neighbor_idx,
            *image_size,
            blur_radius,
            faces_per_pixel,
            perspective_correct,
            clip_barycentric_coords,
            cull_backfaces,
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: _Fragments) -> None:
        face_verts, first, count, _, _, _, _, ctx.perspective_correct, ctx.clip_barycentric_coords, _ = inputs
        ctx.mark_non_differentiable(output[0])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(face_verts, first, count, output[0])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        grad = _RasterizeFacesGradient.apply(*saved, ctx.perspective_correct, ctx.clip_barycentric_coords, *grads[1:])
        return grad, *[None] * 9


class _RasterizeFacesGradient(Function):
    @staticmethod
    def forward(
        face_verts: Tensor,
        mesh_to_face_first_idx: Tensor,
        num_faces_per_mesh: Tensor,
        pix_to_face: Tensor,
        perspective_correct: bool,
        clip_barycentric_coords: bool,
        *grads: Tensor | None,
    ) -> Tensor:
        return _backward(
            face_verts,
            mesh_to_face_first_idx,
            num_faces_per_mesh,
            pix_to_face,
            perspective_correct,
            clip_barycentric_coords,
            *grads,
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        raise NotImplementedError("rasterize_meshes: the gradient of the gradient is not available")


def _rasterize_faces(face_verts: Tensor, *args: Any) -> _Fragments:
    rasterize = _RasterizeFaces.apply if is_differentiated(face_verts) else _RasterizeFaces.forward
    return rasterize(face_verts, *args)


def rasterize_meshes(
    meshes: Meshes,
    image_size: int | Sequence[int] = 256,
    blur_radius: float = 0.0,
    faces_per_pixel: int = 8,
    bin_size: int | None = None,
    max_faces_per_bin: int | None = None,
    perspective_correct: bool = False,
    clip_barycentric_coords: bool = False,
    cull_backfaces: bool = False,
    z_clip_value: float | None = None,
    cull_to_frustum: bool = False,
) -> _Fragments:
    r"""Find, for each pixel, the K nearest faces that cover it or come within the blur radius of it.

    Vertices are in NDC: +X left, +Y up, the shorter image side spans [-1, 1] and the longer one [-s, s] with s = longer
    / shorter; z is the view-space depth, +Z into the screen. Row 0 is the +Y (top) and column 0 the +X (left) end.

    For a pixel centre p and a face with corners :math:`v_i` and depths :math:`z_i`, with
    :math:`e(p, a, b) = (p_x - a_x)(b_y - a_y) - (p_y - a_y)(b_x - a_x)`:

    .. math::
        w_i = \frac{e(p, v_{i+1}, v_{i+2})}{e(v_2, v_0, v_1) + 10^{-8}}, \qquad
        u_i = \frac{w_i z_j z_k}{\max(\sum_m w_m z_n z_o,\, 10^{-8})}
        \ \text{with}\ \mathrm{perspective\_correct},\ \text{else}\ w_i

    The pixel is inside when all :math:`u_i > 0`. The coordinates c are the u, clipped to the face if asked for; the
    depth is :math:`z = \sum_i c_i z_i`, d the squared distance of p to the border of the face. The face is hit when
    :math:`z \ge 0` and p is inside or :math:`d <` ``blur_radius``. Of the faces that are hit, the first K in the order
    (z, face index) are kept. The order is total, so the result is unique: the same in every run, on every device.

    Faces with an area :math:`|e(v_0, v_1, v_2)| \le 10^{-8}`, a depth below 1e-8 or a number that is not finite are not
    drawn, nor those so large that the area or the squared length of an edge overflows. Of a face that clipping cut into
    two halves, one half is kept at a pixel: one that contains it before one that does not, else the one with the
    smaller d.

    Args:
        meshes: batch of N meshes with vertices in NDC and depth. float32 or float64; float16 and bfloat16 are computed
            in float32. Meshes without faces give empty images.
        image_size: (H, W) in pixels, or one number for both.
        blur_radius: a **squared** NDC distance: how near a face must come to a pixel that it does not cover. Not
            negative.
        faces_per_pixel: K, any number.
        bin_size: accepted for compatibility; has no effect. Any number of faces is handled exactly.
        max_faces_per_bin: accepted for compatibility; has no effect.
        perspective_correct: whether barycentric coordinates are those in space rather than in the image.
        clip_barycentric_coords: whether the coordinates of pixels outside a face are moved to its border.
        cull_backfaces: whether faces with :math:`e(v_0, v_1, v_2) < 0` are left out.
        z_clip_value: depth at which faces are cut before they are drawn; ``None`` cuts nothing. See
            `patina3d.renderer.mesh.clip.clip_faces`.
        cull_to_frustum: whether faces with all corners beyond one side of the image are left out. It drops faces that
            reach into the image by blur alone.

    Returns:
        A tuple of four tensors, ascending in z along K, -1 in unused slots of each:

        - ``pix_to_face`` (N, H, W, K) int64, the face as an index into ``meshes.faces_packed()``;
        - ``zbuf`` (N, H, W, K), the depth z;
        - ``bary_coords`` (N, H, W, K, 3), the coordinates c (with clipping at a depth: in the original face);
        - ``dists`` (N, H, W, K), -d inside the face, d outside, in squared NDC units (with clipping at a depth: to the
          border of the piece that was drawn).

    Differentiable once in the vertices through ``zbuf``, ``bary_coords`` and ``dists``, with the choice of faces, of
    inside and of the nearest edge held fixed. Gradients are finite, and zero where a clamp holds or a face is
    degenerate; they are summed in a fixed order, so the same call gives the same bits. An incoming gradient that is
    infinite or NaN makes the gradient of the face that it reaches so: on the CPU infinite or NaN, on CUDA always NaN.
    Forward mode raises ``NotImplementedError``.

    Raises:
        TypeError: vertices of another dtype.
        ValueError: ``image_size``, ``blur_radius`` or ``faces_per_pixel`` out of range.

    Cost: O(F + pixels in the faces' boxes + N H W K) time, 28 N H W K bytes of results in float32.

    Source: Ravi et al., Accelerating 3D Deep Learning with PyTorch3D, 2020; Liu et al., Soft Rasterizer, ICCV 2019.

    Example:
        >>> from patina3d.structures import Meshes
        >>> verts = torch.tensor([[-1.0, -1.0, 2.0], [1.0, -1.0, 2.0], [-1.0, 1.0, 2.0]])
        >>> meshes = Meshes(verts=[verts], faces=[torch.tensor([[0, 1, 2]])])
        >>> pix_to_face, zbuf, bary_coords, dists = rasterize_meshes(meshes, image_size=4, faces_per_pixel=1)
        >>> pix_to_face[0, :, :, 0]
        tensor([[-1, -1, -1, -1],
                [-1, -1, -1,  0],
                [-1, -1,  0,  0],
                [-1,  0,  0,  0]])
        >>> zbuf[0, 3, 3], bary_coords[0, 3, 3, 0]
        (tensor([2.]), tensor([0.7500, 0.1250, 0.1250]))
    """
    return _rasterize(
        _rasterize_faces,
        meshes,
        parse_image_size(image_size),
        (float(blur_radius), faces_per_pixel, perspective_correct, clip_barycentric_coords, cull_backfaces),
        z_clip_value,
        cull_to_frustum,
        None,
    )


def rasterize_meshes_python(
    meshes: Meshes,
    image_size: int | Sequence[int] = 256,
    blur_radius: float = 0.0,
    faces_per_pixel: int = 8,
    perspective_correct: bool = False,
    clip_barycentric_coords: bool = False,
    cull_backfaces: bool = False,
    z_clip_value: float | None = None,
    cull_to_frustum: bool = True,
    clipped_faces_neighbor_idx: Tensor | None = None,
) -> _Fragments:
    """The definition of :func:`rasterize_meshes` in plain torch: every face at every pixel, slow and readable.

    Args:
        meshes: as for :func:`rasterize_meshes`.
        image_size: as there.
        blur_radius: as there.
        faces_per_pixel: as there.
        perspective_correct: as there.
        clip_barycentric_coords: as there.
        cull_backfaces: as there.
        z_clip_value: as there.
        cull_to_frustum: as there, but on unless turned off.
        clipped_faces_neighbor_idx: (F,) int64, for each face the other half of a quadrilateral that was cut in two, or
            -1; for faces that were clipped before. Clipping here puts its own in its place.

    Returns:
        The same four tensors, differentiable any number of times.

    Cost: O(H W F) time and memory for each mesh.

    Example:
        >>> from patina3d.structures import Meshes
        >>> verts = torch.tensor([[-1.0, -1.0, 2.0], [1.0, -1.0, 2.0], [-1.0, 1.0, 2.0]])
        >>> meshes = Meshes(verts=[verts], faces=[torch.tensor([[0, 1, 2]])])
        >>> pix_to_face, *_ = rasterize_meshes_python(meshes, image_size=2, faces_per_pixel=1)
        >>> pix_to_face[0, :, :, 0]
        tensor([[-1, -1],
                [-1,  0]])
    """
    return _rasterize(
        rasterize_faces,
        meshes,
        parse_image_size(image_size),
        (blur_radius, faces_per_pixel, perspective_correct, clip_barycentric_coords, cull_backfaces),
        z_clip_value,
        cull_to_frustum,
        clipped_faces_neighbor_idx,
    )


def _rasterize(
    rasterize: Callable[..., _Fragments],
    meshes: Meshes,
    image_size: tuple[int, int],
    settings: tuple[float, int, bool, bool, bool],
    z_clip_value: float | None,
    cull_to_frustum: bool,
    neighbor: Tensor | None,
) -> _Fragments:
    verts = meshes.verts_packed()
    if verts.dtype in (torch.float16, torch.bfloat16):
        verts = verts.float()
    faces = ClippedFaces(
        gather_rows(verts, meshes.faces_packed()),
        meshes.mesh_to_faces_packed_first_idx(),
        meshes.num_faces_per_mesh(),
        clipped_faces_neighbor_idx=neighbor,
    )
    if z_clip_value is not None or cull_to_frustum:
        height, width = image_size
        x, y = non_square_ndc_range(width, height) / 2, non_square_ndc_range(height, width) / 2
        perspective_correct = settings[2]
        frustum = ClipFrustum(-x, x, -y, y, None, None, perspective_correct, cull_to_frustum, z_clip_value)
        clipped = clip_faces(faces.face_verts, faces.mesh_to_face_first_idx, faces.num_faces_per_mesh, frustum)
        if clipped.faces_clipped_to_unclipped_idx is not None:
            faces = clipped
    pix_to_face, zbuf, bary_coords, dists = rasterize(
        faces.face_verts,
        faces.mesh_to_face_first_idx,
        faces.num_faces_per_mesh,
        faces.clipped_faces_neighbor_idx,
        image_size,
        *settings,
    )
    pix_to_face, bary_coords = convert_clipped_rasterization_to_original_faces(pix_to_face, bary_coords, faces)
    return pix_to_face, zbuf, bary_coords, dists
