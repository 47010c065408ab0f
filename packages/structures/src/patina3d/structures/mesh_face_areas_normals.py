# SPDX-License-Identifier: Apache-2.0
"""Areas and normals of triangles."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from patina3d.common.vectors import NOISE_ULPS
from patina3d.core import _native, is_differentiated, register
from patina3d.structures.rows import gather_rows, sum_rows

__all__ = ["mesh_face_areas_normals"]

_HALF = (torch.float16, torch.bfloat16)


def _fake_forward(verts: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
    return verts.new_empty(faces.shape[:1]), verts.new_empty(faces.shape)


def _fake_backward(verts: Tensor, faces: Tensor, grad_areas: Tensor | None, grad_normals: Tensor | None) -> Tensor:
    return verts.new_empty(verts.shape)


_forward = register(
    "mesh_face_areas_normals_forward(Tensor verts, Tensor faces) -> (Tensor, Tensor)",
    _native.ops.mesh_face_areas_normals_forward,
    _fake_forward,
)
_backward = register(
    "mesh_face_areas_normals_backward(Tensor verts, Tensor faces, Tensor? grad_areas, Tensor? grad_normals) -> Tensor",
    _native.ops.mesh_face_areas_normals_backward,
    _fake_backward,
)


class _MeshFaceAreasNormals(Function):
    @staticmethod
    def forward(verts: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
        return _forward(verts, faces)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        if grads[0] is None and grads[1] is None:
            return None, None
        verts, faces = ctx.saved_tensors
        gradient = _Gradient.apply if is_differentiated(verts, *(g for g in grads if g is not None)) else _backward
        return gradient(verts, faces, *grads), None


class _Gradient(Function):
    """The gradient of the vertices; its own gradient is written in torch, hence differentiable as often as you like."""

    @staticmethod
    def forward(verts: Tensor, faces: Tensor, grad_areas: Tensor | None, grad_normals: Tensor | None) -> Tensor:
        return _backward(verts, faces, grad_areas, grad_normals)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        verts, faces, grad_areas, grad_normals = ctx.saved_tensors
        of_verts, of_areas, of_normals = _second_derivative(verts, faces, grad_areas, grad_normals, grads[0])
        wanted = ctx.needs_input_grad
        return of_verts if wanted[0] else None, None, of_areas if wanted[2] else None, of_normals if wanted[3] else None


def _second_derivative(
    verts: Tensor, faces: Tensor, grad_areas: Tensor | None, grad_normals: Tensor | None, motion: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of the change of ``sum(grad_areas * areas) + sum(grad_normals * normals)`` when vertices move.

    With c = e1 x e2, its velocity c', L = |c| and n = c / L: area' = n.c' / 2 and normal' = (c' - (n.c') n) / L. Each
    edge is divided by a scale of its own, and each motion multiplied by those scales that its result needs.
    """
    edge1, edge2 = _edges(verts, faces)
    motion1, motion2 = _edges(motion, faces)
    root1, root2 = _root_of_scale(edge1), _root_of_scale(edge2)
    edge1, edge2 = edge1 / root1 / root1, edge2 / root2 / root2
    cross = torch.linalg.cross(edge1, edge2)
    length = _length(cross)
    degenerate = length <= NOISE_ULPS * torch.finfo(verts.dtype).eps * _length(edge1) * _length(edge2)
    normal = cross.masked_fill(length == 0, 0) / length.masked_fill(length == 0, 1)
    curvature = (1 / length.masked_fill(degenerate, 1)).masked_fill(degenerate, 0)

    def velocity(moved1: Tensor, moved2: Tensor, factor1: Tensor | float, factor2: Tensor | float) -> Tensor:
        """Of the scaled cross product; the motions are multiplied by the squares of the factors, by and by."""
        return torch.linalg.cross(moved1 * factor1 * factor1, edge2) + torch.linalg.cross(
            edge1, moved2 * factor2 * factor2
        )

    def across(vector: Tensor) -> Tensor:
        return vector - _dot(normal, vector) * normal

    # A degenerate face has no curvature; its motions over its scales may be infinite.
    bent1, bent2 = motion1.masked_fill(degenerate, 0), motion2.masked_fill(degenerate, 0)
    of_areas = _dot(normal, velocity(motion1, motion2, root2, root1)).squeeze(-1) / 2
    of_normals = curvature * across(velocity(bent1, bent2, 1 / root1, 1 / root2))
    of_edge1, of_edge2 = torch.zeros_like(edge1), torch.zeros_like(edge2)
    if grad_areas is not None:
        half = grad_areas[:, None] / 2
        turn1 = curvature * across(velocity(bent1, bent2, root2 / root1, 1.0))
        turn2 = curvature * across(velocity(bent1, bent2, 1.0, root1 / root2))
        of_edge1 = half * (torch.linalg.cross(edge2, turn1) + torch.linalg.cross(motion2, normal))
        of_edge2 = half * (torch.linalg.cross(turn2, edge1) + torch.linalg.cross(normal, motion1))
    if grad_normals is not None:
        along_grad, turn = _dot(normal, grad_normals), curvature * across(grad_normals)

        def of_cross(velocity: Tensor) -> Tensor:
            along = _dot(normal, velocity) * turn + _dot(turn, velocity) * normal
            return -curvature * (along_grad * curvature * across(velocity) + along)

        both = 1 / (root1 * root2)
        of_cross1 = of_cross(velocity(bent1, bent2, 1 / root1.square(), both))
        of_cross2 = of_cross(velocity(bent1, bent2, both, 1 / root2.square()))
        of_edge1 = of_edge1 + torch.linalg.cross(edge2, of_cross1) + torch.linalg.cross(bent2 * both * both, turn)
        of_edge2 = of_edge2 + torch.linalg.cross(of_cross2, edge1) + torch.linalg.cross(turn, bent1 * both * both)
    of_corners = torch.stack([-(of_edge1 + of_edge2), of_edge1, of_edge2], dim=1)
    of_verts = sum_rows(of_corners.reshape(-1, 3), faces.reshape(-1), verts.shape[0])
    return of_verts, of_areas, of_normals


def _root_of_scale(edge: Tensor) -> Tensor:
    """A power of two, (F, 1), whose square is at most 4 times below the largest coordinate.

    Its square, the product and the quotient of two, and the inverses of these are normal numbers; what is multiplied by
    one of them twice vanishes or overflows on the way only where the result does.
    """
    largest = edge.detach().abs().amax(-1, keepdim=True).clamp(min=torch.finfo(edge.dtype).tiny)
    return torch.ldexp(torch.ones_like(largest), (torch.frexp(largest).exponent - 1) >> 1)


def _edges(verts: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
    """From the first corner to the others."""
    corners = gather_rows(verts, faces)
    return corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]


def _length(a: Tensor) -> Tensor:
    return torch.linalg.vector_norm(a, dim=-1, keepdim=True)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(-1, keepdim=True)


def mesh_face_areas_normals(verts: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
    r"""Area and unit normal of each triangle.

    .. math::
        c = (v_1 - v_0) \times (v_2 - v_0), \qquad \text{area} = \|c\| / 2, \qquad n = c / \|c\|

    The normal points to the side from which the corners run counter-clockwise. Areas are in squared units of the
    positions. ``Meshes.faces_areas_packed`` and ``Meshes.faces_normals_packed`` are the same for meshes.

    Args:
        verts: (V, 3) positions, float32 or float64; float16 and bfloat16 are computed in float32 and rounded at the
            end.
        faces: (F, 3) int64 indices into ``verts``.

    Returns:
        Areas (F,) and normals (F, 3), of the dtype of ``verts``. A degenerate face (``|c|`` within rounding of zero,
        relative to the lengths of the two edges, so at any scale) has normal 0.

        Differentiable in ``verts`` as often as you like; gradients of finite positions are right where they
        are representable (that of a normal grows as one over the edge, its second as one over the square), and 0
        through the normal of a degenerate face and through the area of a face with ``c = 0``. They are summed in the
        order of the faces: the same bits in every run, on CPU and CUDA. Forward mode raises ``NotImplementedError``.

    Raises:
        TypeError: an argument is no tensor, or has another dtype than stated.
        ValueError: shapes or devices do not fit; on the CPU also an index outside of [0, V). On CUDA, where looking
            would wait for the device, its face has area 0, normal 0 and no gradient.

    Cost: O(F + V); nothing waits for the device.

    Example:
        >>> verts = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        >>> mesh_face_areas_normals(verts, torch.tensor([[0, 1, 2]]))
        (tensor([0.5000]), tensor([[0., 0., 1.]]))
    """
    for name, value in (("verts", verts), ("faces", faces)):
        if not isinstance(value, Tensor):
            raise TypeError(f"mesh_face_areas_normals: {name} must be a torch.Tensor, got {type(value).__name__}")
    if verts.dtype in _HALF:
        areas, normals = mesh_face_areas_normals(verts.float(), faces)
        return areas.to(verts.dtype), normals.to(verts.dtype)
    compute = _MeshFaceAreasNormals.apply if is_differentiated(verts) else _forward
    return compute(verts, faces)
