# SPDX-License-Identifier: Apache-2.0
"""Images sampled at texture coordinates, each at its own size and without a copy of it."""

from typing import Any

import torch
from torch import Tensor

from patina3d.renderer.mesh.textures.maps import TexelTable
from patina3d.structures.rows import gather_rows, sum_rows

__all__ = ["PADDING_MODES", "SAMPLING_MODES", "sample_maps", "texel_coordinates"]

PADDING_MODES = ("border", "zeros", "reflection")
SAMPLING_MODES = ("bilinear", "nearest")


def texel_coordinates(uv: Tensor, height: Tensor, width: Tensor, *, align_corners: bool) -> Tensor:
    """Where texture coordinates lie in an image: (column, row), with texel centres at whole numbers.

    ``(u (W - 1), (1 - v) (H - 1))`` where corners are aligned, else ``(u W - 1/2, (1 - v) H - 1/2)``.

    Args:
        uv: (..., 2).
        height: (...) int64, rows of the image.
        width: (...) int64, columns of the image.
        align_corners: whether 0 and 1 are the centres of the outermost texels, or their outer edges.

    Returns:
        (..., 2), of the dtype of ``uv``. Differentiable.

    Example:
        >>> size = torch.tensor(4)
        >>> texel_coordinates(torch.tensor([0.0, 0.0]), size, size, align_corners=True)
        tensor([0., 3.])
    """
    size = torch.stack([width, height], dim=-1).to(uv.dtype)
    across = torch.stack([uv[..., 0], 1 - uv[..., 1]], dim=-1)
    return across * (size - 1) if align_corners else across * size - 0.5


def sample_maps(
    table: TexelTable, maps: Tensor, uv: Tensor, *, padding_mode: str, align_corners: bool, sampling_mode: str
) -> Tensor:
    """The values of images at texture coordinates, as ``torch.nn.functional.grid_sample`` means its options.

    Args:
        table: the images.
        maps: (M,) int64, which of them.
        uv: (M, 2) floating; (0, 0) is at the lower left.
        padding_mode: what stands beyond the image: "border" its nearest texel, "zeros", or its "reflection".
        align_corners: see `texel_coordinates`.
        sampling_mode: "bilinear", or "nearest" with halves rounded to the even texel.

    Returns:
        (M, C), in the wider dtype of the images and ``uv``. Differentiable, any number of times, in the images and, if
        bilinear, in ``uv``. Texel gradients are summed in the same order in every run.

    Cost: O(M C) time and memory beside the images.
    """
    dtype = torch.promote_types(table.texels.dtype, uv.dtype)
    height, width = table.height[maps], table.width[maps]
    size = torch.stack([width, height], dim=-1)
    place = texel_coordinates(uv.to(dtype), height, width, align_corners=align_corners)
    if padding_mode != "zeros":
        if padding_mode == "reflection":
            place = _reflected(place, size, align_corners=align_corners)
        place = _clamped(place, (size - 1).to(dtype))
    if sampling_mode == "nearest":
        corners = place.detach().round().unsqueeze(1)
        weights = torch.ones_like(corners[..., 0])
    else:
        low = place.detach().floor()
        right, down = (place - low).unbind(-1)
        weights = torch.stack([(1 - right) * (1 - down), right * (1 - down), (1 - right) * down, right * down], dim=-1)
        corners = low.unsqueeze(1) + low.new_tensor([[0, 0], [1, 0], [0, 1], [1, 1]])
    if padding_mode == "zeros":
        inside = ((corners >= 0) & (corners < size.unsqueeze(1))).all(-1)
        weights = torch.where(inside, weights, 0.0)
    # Not-a-number must not become an index; it stays in the weights.
    column, row = corners.to(torch.int64).clamp(min=0).minimum(size.unsqueeze(1) - 1).unbind(-1)
    index = table.first_texel[maps].unsqueeze(1) + row * width.unsqueeze(1) + column
    return _WeightedRows.apply(index, weights, table.texels.to(dtype))


def _clamped(place: Tensor, limit: Tensor) -> Tensor:
    place = place.clamp(min=0)
    return torch.where(place > limit, limit, place)


def _reflected(place: Tensor, size: Tensor, *, align_corners: bool) -> Tensor:
    """Coordinates folded into the image at its outermost centres, or at its outer edges."""
    start, span = (0.0, size - 1) if align_corners else (-0.5, size)
    span = span.to(place.dtype)
    # An image of one texel with aligned corners has no span: everything is that texel.
    period = 2 * torch.where(span > 0, span, 1.0)
    offset = place - start
    folded = offset - period * (offset.detach() / period).floor()
    return torch.where(span > 0, span - (folded - span).abs() + start, 0.0)


class _WeightedRows(torch.autograd.Function):
    """(M, T) rows and weights, (R, C) values -> (M, C): the weighted sums of the rows.

    Only the inputs are kept for the backward pass, which torch can differentiate again.
    """

    @staticmethod
    def forward(index: Tensor, weights: Tensor, values: Tensor) -> Tensor:
        return torch.matmul(weights.unsqueeze(1), gather_rows(values, index)).squeeze(1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grad_outputs
        index, weights, values = ctx.saved_tensors
        grad_weights = grad_values = None
        if ctx.needs_input_grad[1]:
            grad_weights = torch.matmul(gather_rows(values, index), grad.unsqueeze(-1)).squeeze(-1)
        if ctx.needs_input_grad[2]:
            terms = weights.unsqueeze(-1) * grad.unsqueeze(1)
            grad_values = sum_rows(terms.flatten(0, 1), index.reshape(-1), values.shape[0])
        return None, grad_weights, grad_values
