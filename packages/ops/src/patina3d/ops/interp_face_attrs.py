# SPDX-License-Identifier: Apache-2.0
"""Values at the corners of faces, interpolated at the points that a rasterizer found."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from patina3d.core import _native, is_differentiated, register
from patina3d.ops._reference.interp_face_attrs import interpolate_face_attributes_python

__all__ = ["interpolate_face_attributes", "interpolate_face_attributes_python"]

_HALF = (torch.float16, torch.bfloat16)


def _fake_forward(pix_to_face: Tensor, barycentric_coords: Tensor, face_attributes: Tensor) -> Tensor:
    return barycentric_coords.new_empty((*pix_to_face.shape, face_attributes.shape[-1]))


def _fake_backward(
    pix_to_face: Tensor,
    barycentric_coords: Tensor,
    face_attributes: Tensor,
    grad: Tensor,
    of_weights: bool,
    of_values: bool,
) -> list[Tensor]:
    wanted = (barycentric_coords, of_weights), (face_attributes, of_values)
    return [x.new_empty(x.shape) for x, wants in wanted if wants]


_forward = register(
    "interp_face_attrs_forward(Tensor pix_to_face, Tensor barycentric_coords, Tensor face_attributes) -> Tensor",
    _native.ops.interp_face_attrs_forward,
    _fake_forward,
)
_backward = register(
    "interp_face_attrs_backward(Tensor pix_to_face, Tensor barycentric_coords, Tensor face_attributes, Tensor grad,"
    " bool of_weights, bool of_values) -> Tensor[]",
    _native.ops.interp_face_attrs_backward,
    _fake_backward,
)


class _Interpolate(Function):
    @staticmethod
    def forward(faces: Tensor, weights: Tensor, values: Tensor) -> Tensor:
        return _forward(faces, weights, values)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return None, *_Gradient.apply(*ctx.saved_tensors, grads[0], *ctx.needs_input_grad[1:])


class _Gradient(Function):
    """The gradient is linear in the incoming one and in each of (weights, values): its own gradient is made of both."""

    @staticmethod
    def forward(
        faces: Tensor, weights: Tensor, values: Tensor, grad: Tensor, of_weights: bool, of_values: bool
    ) -> tuple[Tensor | None, Tensor | None]:
        found = iter(_backward(faces, weights, values, grad, of_weights, of_values))
        return next(found) if of_weights else None, next(found) if of_values else None

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor | None, Tensor | None]) -> None:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs[:4])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        faces, weights, values, grad = ctx.saved_tensors
        to_weights, to_values = grads
        wants = ctx.needs_input_grad
        # That of the weights comes from the change of the values, and the other way round.
        of_weights, of_values = wants[1] and to_values is not None, wants[2] and to_weights is not None
        found = None, None
        if of_weights or of_values:
            # What did not change is not read.
            changed = weights if to_weights is None else to_weights, values if to_values is None else to_values
            found = _Gradient.apply(faces, *changed, grad, of_weights, of_values)
        grad_grad = None
        if wants[3] and to_weights is not None:
            grad_grad = _Interpolate.apply(faces, to_weights, values)
        if wants[3] and to_values is not None:
            along = _Interpolate.apply(faces, weights, to_values)
            grad_grad = along if grad_grad is None else grad_grad + along
        return None, *found, grad_grad, None, None


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
        sums over slots have the same bits in every run. float16 and bfloat16 are computed in float32 and rounded at the
        end. Forward mode raises ``NotImplementedError``.

    Raises:
        TypeError: when ``pix_to_face`` is not int64 or another input is not floating.
        ValueError: when shapes or devices disagree; on the CPU also for a face of F or more. On CUDA, where looking
            would wait for the device, its slot is empty.

    Cost: O(N H W K) plus O(D) for each slot that holds a face; nothing waits for the device.

    Example:
        >>> corners = torch.tensor([[[0.0], [10.0], [20.0]]])
        >>> weights = torch.tensor([[[[[0.5, 0.25, 0.25]], [[1.0, 0.0, 0.0]]]]])
        >>> interpolate_face_attributes(torch.tensor([[[[0], [-1]]]]), weights, corners).flatten()
        tensor([7.5000, 0.0000])
    """
    for name, value in (
        ("pix_to_face", pix_to_face),
        ("barycentric_coords", barycentric_coords),
        ("face_attributes", face_attributes),
    ):
        if not isinstance(value, Tensor):
            raise TypeError(f"interpolate_face_attributes: {name} must be a torch.Tensor, got {type(value).__name__}")
    weights, values = barycentric_coords, face_attributes
    alike = weights.dtype == values.dtype and weights.dtype not in _HALF
    if alike or not (weights.is_floating_point() and values.is_floating_point()):
        return _mix(pix_to_face, weights, values)
    dtype = torch.promote_types(weights.dtype, values.dtype)
    single = torch.promote_types(dtype, torch.float32)
    return _mix(pix_to_face, weights.to(single), values.to(single)).to(dtype)


def _mix(faces: Tensor, weights: Tensor, values: Tensor) -> Tensor:
    mix = _Interpolate.apply if is_differentiated(weights, values) else _forward
    return mix(faces, weights, values)
