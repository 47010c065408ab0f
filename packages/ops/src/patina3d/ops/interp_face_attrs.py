# SPDX-License-Identifier: Apache-2.0
"""Values at the corners of faces, interpolated at the points that a rasterizer found."""

from typing import Any

import torch
from torch import Tensor

from patina3d.structures.rows import gather_rows, sum_rows

__all__ = ["interpolate_face_attributes", "interpolate_face_attributes_python"]


def interpolate_face_attributes(pix_to_face: Tensor, barycentric_coords: Tensor, face_attributes: Tensor) -> Tensor:
    r"""Mix the values at a face's corners by barycentric coordinates.

    .. math:: \mathrm{out}_{nhwk} = \sum_{i=0}^{2} b_{nhwki} \, a_{f i}, \qquad f = \mathrm{pix\_to\_face}_{nhwk}

    Args:
        pix_to_face: (N, H, W, K) int64 indices into the F faces; negative where a slot is empty.
        barycentric_coords: (N, H, W, K, 3) floating weights of the three corners.
        face_attributes: (F, 3, D) floating values at the corners.

    Returns:
        (N, H, W, K, D), in the wider dtype of the weights and values; 0 in empty slots. Differentiable, any number of
        times, in the weights and the values. The gradient of an empty slot is exactly 0, whatever its weights are, and
        sums over slots are taken in the same order in every run.

    Raises:
        TypeError: when ``pix_to_face`` is not int64 or another input is not floating.
        ValueError: when shapes disagree.

    Cost: O(N H W K) plus O(D) for each slot that holds a face. On a GPU, and when compiled, empty slots cost as much
    as others, so that the host need not wait for their number.

    Example:
        >>> corners = torch.tensor([[[0.0], [10.0], [20.0]]])
        >>> weights = torch.tensor([[[[[0.5, 0.25, 0.25]], [[1.0, 0.0, 0.0]]]]])
        >>> interpolate_face_attributes(torch.tensor([[[[0], [-1]]]]), weights, corners).flatten()
        tensor([7.5000, 0.0000])
    """
    _check(pix_to_face, barycentric_coords, face_attributes)
    num_faces, _, channels = face_attributes.shape
    dtype = torch.promote_types(barycentric_coords.dtype, face_attributes.dtype)
    faces, weights, values = (
        pix_to_face.reshape(-1),
        barycentric_coords.reshape(-1, 3).to(dtype),
        face_attributes.to(dtype),
    )
    if num_faces > 0 and (faces.is_cuda or torch.compiler.is_compiling()):
        empty = faces < 0
        weights = weights.masked_fill(empty.unsqueeze(-1), 0.0)
        out = _Interpolate.apply(faces.masked_fill(empty, 0), weights, values)
    else:
        slots = (faces >= 0).nonzero().squeeze(1)
        mixed = _Interpolate.apply(faces.index_select(0, slots), weights.index_select(0, slots), values)
        out = mixed.new_zeros(faces.numel(), channels).index_copy(0, slots, mixed)
    return out.reshape(*pix_to_face.shape, channels)


def interpolate_face_attributes_python(
    pix_to_face: Tensor, barycentric_coords: Tensor, face_attributes: Tensor
) -> Tensor:
    """The definition of `interpolate_face_attributes`, slot by slot in plain torch; arguments and result are the same.

    Cost: O(N H W K D) time and memory for any number of empty slots.

    Example:
        >>> corners = torch.tensor([[[0.0], [10.0], [20.0]]])
        >>> weights = torch.tensor([[[[[0.5, 0.25, 0.25]]]]])
        >>> interpolate_face_attributes_python(torch.tensor([[[[0]]]]), weights, corners).flatten()
        tensor([7.5000])
    """
    _check(pix_to_face, barycentric_coords, face_attributes)
    # A face of zeros after the last: index -1 is where empty slots read.
    values = torch.nn.functional.pad(face_attributes, (0, 0, 0, 0, 0, 1))
    weights = torch.where(pix_to_face.unsqueeze(-1) < 0, 0.0, barycentric_coords)
    return (weights.unsqueeze(-1) * values[pix_to_face.clamp(min=-1)]).sum(dim=-2)


class _Interpolate(torch.autograd.Function):
    """Slots that hold a face: (M,) faces, (M, 3) weights, (F, 3, D) values -> (M, D).

    Only the inputs are kept for the backward pass, which torch can differentiate again.
    """

    @staticmethod
    def forward(faces: Tensor, weights: Tensor, values: Tensor) -> Tensor:
        return torch.matmul(weights.unsqueeze(1), gather_rows(values, faces)).squeeze(1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grad_outputs
        faces, weights, values = ctx.saved_tensors
        grad_weights = grad_values = None
        if ctx.needs_input_grad[1]:
            grad_weights = torch.matmul(gather_rows(values, faces), grad.unsqueeze(-1)).squeeze(-1)
        if ctx.needs_input_grad[2]:
            grad_values = sum_rows(weights.unsqueeze(-1) * grad.unsqueeze(1), faces, values.shape[0])
        return None, grad_weights, grad_values


def _check(pix_to_face: Tensor, barycentric_coords: Tensor, face_attributes: Tensor) -> None:
    name = "interpolate_face_attributes"
    if face_attributes.dim() != 3 or face_attributes.shape[1] != 3:
        raise ValueError(f"{name}: face_attributes must be (F, 3, D), got {tuple(face_attributes.shape)}")
    if pix_to_face.dim() != 4 or barycentric_coords.shape != (*pix_to_face.shape, 3):
        raise ValueError(
            f"{name}: pix_to_face must be (N, H, W, K) and barycentric_coords (N, H, W, K, 3), "
            f"got {tuple(pix_to_face.shape)} and {tuple(barycentric_coords.shape)}"
        )
    if pix_to_face.dtype != torch.int64:
        raise TypeError(f"{name}: pix_to_face must be int64, got {_dtype(pix_to_face)}")
    for argument, value in (("barycentric_coords", barycentric_coords), ("face_attributes", face_attributes)):
        if not value.is_floating_point():
            raise TypeError(f"{name}: {argument} must be floating, got {_dtype(value)}")


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
