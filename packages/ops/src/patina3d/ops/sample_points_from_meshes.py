# SPDX-License-Identifier: Apache-2.0
"""Points sampled on surfaces."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from patina3d.core import _native, at_hand, is_differentiated, register
from patina3d.ops._whole_number import whole_number
from patina3d.ops.mesh_face_areas_normals import mesh_face_areas_normals
from patina3d.structures import Meshes
from patina3d.structures.rows import gather_rows

__all__ = ["sample_points_from_meshes"]

_NAME = "sample_points_from_meshes"
_HALF = (torch.float16, torch.bfloat16)
_LARGEST_SEED = 2**63 - 1


def _fake_forward(
    verts: Tensor, faces: Tensor, first_idxs: Tensor, seed: Tensor, num_samples: int
) -> tuple[Tensor, Tensor, Tensor]:
    shape = (first_idxs.shape[0], num_samples)
    return verts.new_empty((*shape, 3)), faces.new_empty(shape), verts.new_empty((*shape, 3))


def _fake_backward(
    faces: Tensor, sampled_faces: Tensor, weights: Tensor, grad_points: Tensor, num_verts: int
) -> Tensor:
    return weights.new_empty((num_verts, 3))


_forward = register(
    "sample_points_from_meshes_forward(Tensor verts, Tensor faces, Tensor first_idxs, Tensor seed, SymInt num_samples)"
    " -> (Tensor, Tensor, Tensor)",
    _native.ops.sample_points_from_meshes_forward,
    _fake_forward,
)
_backward = register(
    "sample_points_from_meshes_backward(Tensor faces, Tensor sampled_faces, Tensor weights, Tensor grad_points,"
    " SymInt num_verts) -> Tensor",
    _native.ops.sample_points_from_meshes_backward,
    _fake_backward,
)


class _Sample(Function):
    @staticmethod
    def forward(
        verts: Tensor, faces: Tensor, first_idxs: Tensor, seed: Tensor, num_samples: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        return _forward(verts, faces, first_idxs, seed, num_samples)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
        _, sampled_faces, weights = output
        ctx.num_verts = inputs[0].shape[0]
        ctx.mark_non_differentiable(sampled_faces, weights)
        ctx.save_for_backward(inputs[1], sampled_faces, weights)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return _Gradient.apply(*ctx.saved_tensors, grads[0], ctx.num_verts), None, None, None, None


class _Gradient(Function):
    """The gradient is linear in the incoming one: that of its own is the points of moved vertices."""

    @staticmethod
    def forward(faces: Tensor, sampled_faces: Tensor, weights: Tensor, grad_points: Tensor, num_verts: int) -> Tensor:
        return _backward(faces, sampled_faces, weights, grad_points, num_verts)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:3])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        faces, sampled_faces, weights = ctx.saved_tensors
        # A sample without a face has no weights, whichever face is read.
        corners = gather_rows(grads[0], gather_rows(faces, sampled_faces.clamp(min=0)))
        return None, None, None, (weights[..., None] * corners).sum(2), None


def sample_points_from_meshes(
    meshes: Meshes, num_samples: int = 10000, return_normals: bool = False, return_textures: bool = False
) -> Any:
    r"""Sample points uniformly by area on each mesh of a batch.

    A face is drawn with a chance proportional to its area, by a look-up in sums of whole numbers: exact for any number
    of faces, and a face whose area is 0 is never drawn. With u, v uniform in [0, 1), the point is

    .. math:: (1 - \sqrt{u})\, v_0 + \sqrt{u} (1 - v)\, v_1 + \sqrt{u}\, v\, v_2

    (R. Osada et al., "Shape Distributions", 2002).

    Args:
        meshes: N meshes; one without faces gets points at 0.
        num_samples: S, points a mesh.
        return_normals: whether to return the unit normals of the faces.
        return_textures: whether to return the textures at the points.

    Returns:
        Points (N, S, 3), of the dtype of the vertices; then normals (N, S, 3) and textures (N, S, C) where asked for (a
        bare tensor when neither is). A mesh whose faces have no area is sampled as if all its faces were equally large;
        a face without area (see ``mesh_face_areas_normals``) has normal 0. float16 and bfloat16 are computed in float32
        and rounded at the end.

    Differentiable, any number of times, in the vertices (points and normals) and the textures; the choice of faces and
    weights is fixed. Gradients have the same bits in every run. Forward mode raises ``NotImplementedError``.

    Each call takes one number, its seed, from torch's generator of the meshes' device (``torch.manual_seed``). Sample s
    of mesh n depends on this seed, on (n, s) and on mesh n alone: the CPU and CUDA agree for one seed, fewer samples
    are the first ones of more, and the rest of the batch does not matter.

    Raises:
        TypeError: ``meshes`` are no ``Meshes``, or ``num_samples`` is no int.
        ValueError: all meshes are empty, a vertex is not finite (seen on the CPU, but not in a compiled graph; looking
            would wait for a CUDA device, or break the graph), textures are asked for and there are none, or
            ``num_samples`` is negative.

    Cost: O(F + N S log F) time, at most 12 bytes a face beside the results; nothing waits for the device.

    Example:
        >>> square = Meshes([torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0]])], [torch.tensor([[0, 1, 2]])])
        >>> points, normals = sample_points_from_meshes(square, 5, return_normals=True)
        >>> points.shape, normals[0, 0]
        (torch.Size([1, 5, 3]), tensor([0., 0., 1.]))
    """
    if not isinstance(meshes, Meshes):
        raise TypeError(f"{_NAME}: meshes must be Meshes, got {type(meshes).__name__}")
    num_samples = whole_number(_NAME, "num_samples", num_samples)
    if meshes.isempty():
        raise ValueError(f"{_NAME}: Meshes are empty. There must be at least one face, got {meshes!r}")
    verts = meshes.verts_packed()
    if at_hand(verts) and not bool(torch.isfinite(verts).all()):
        raise ValueError(f"{_NAME}: Meshes contain nan or inf. All vertices must be finite")
    if return_textures and meshes.textures is None:
        raise ValueError(f"{_NAME}: Meshes do not contain textures. return_textures needs them")

    single = verts.float() if verts.dtype in _HALF else verts
    faces = meshes.faces_packed()
    # One number, drawn on the device: nobody here has to know it.
    seed = torch.randint(_LARGEST_SEED, (1,), device=verts.device)
    sample = _Sample.apply if is_differentiated(verts) else _forward
    points, face, weights = sample(single, faces, meshes.mesh_to_faces_packed_first_idx(), seed, num_samples)
    results = [points.to(verts.dtype)]
    if return_normals:
        sampled = gather_rows(faces, face.clamp(min=0)).reshape(-1, 3)
        _, normals = mesh_face_areas_normals(single, sampled)
        results.append(_where_sampled(face, normals.reshape(points.shape)).to(verts.dtype))
    if return_textures:
        # One row of pixels a mesh, one face a pixel: what `sample_textures` reads of a rasterized picture.
        fragments = SimpleNamespace(pix_to_face=face[:, :, None, None], bary_coords=weights[:, :, None, None, :])
        results.append(_where_sampled(face, meshes.sample_textures(fragments)[:, :, 0, 0]))
    return results[0] if len(results) == 1 else tuple(results)


def _where_sampled(face: Tensor, values: Tensor) -> Tensor:
    """The values at samples that have a face, 0 at the others."""
    return torch.where((face >= 0)[..., None], values, 0)


def _rand_barycentric_coords(
    size1: int, size2: int, dtype: torch.dtype, device: torch.device | str
) -> tuple[Tensor, Tensor, Tensor]:
    """Weights (size1, size2) of the three corners at points drawn uniformly from a triangle."""
    u, v = torch.rand((2, size1, size2), dtype=dtype, device=device).unbind(0)
    root = u.sqrt()
    return 1 - root, root * (1 - v), root * v
