# SPDX-License-Identifier: Apache-2.0
r"""From the K faces of each pixel to one colour and an alpha: the last step of rendering a mesh.

Shape letters: N images, H x W pixels, K slots a pixel (nearest face first), C channels. With
``p_k = sigmoid(-dists_k / sigma)``, and 0 in an empty slot, every soft blend has the silhouette
``alpha = 1 - prod_k (1 - p_k)``. From S. Liu et al., "Soft Rasterizer", ICCV 2019, as stated in N. Ravi et al.,
"Accelerating 3D Deep Learning with PyTorch3D", 2020, Algorithms 1 and 2.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function

from patina3d.core import _native, at_hand, distinct, in_forward_mode, is_differentiated, register
from patina3d.renderer._reference.blending import coverage, softmax_image
from patina3d.renderer._slots import Fragments, checked_fields, checked_slots

__all__ = ["BlendParams", "hard_rgb_blend", "sigmoid_alpha_blend", "softmax_rgb_blend"]

# The depth of the background in softmax_rgb_blend (in units of 1 at znear, 0 at zfar) and the least weight it has.
_BACKGROUND = 1e-10


class BlendParams(NamedTuple):
    """How the faces of a pixel mix.

    Attributes:
        sigma: width of a face's border: a squared NDC distance, positive. A face covers half of a pixel whose centre
            lies on its border, and ``sigmoid(-d / sigma)`` of one at signed squared distance d (positive outside). A
            number, or a tensor of one value, which is differentiable.
        gamma: how strongly the nearest face wins in `softmax_rgb_blend`, in normalised depth, positive; a number
            or a tensor, likewise.
        background_color: C numbers, or a tensor that broadcasts against (N, H, W, C), for example (C,), or
            (N, H, W, C) for a background picture. Differentiable when it is a tensor.
    """

    sigma: float | Tensor = 1e-4
    gamma: float | Tensor = 1e-4
    background_color: Tensor | Sequence[float] = (1.0, 1.0, 1.0)


def _fake_forward(
    colors: Tensor,
    dists: Tensor,
    zbuf: Tensor,
    pix_to_face: Tensor,
    background: Tensor,
    znear: Tensor,
    zfar: Tensor,
    sigma: float,
    gamma: float,
    least: float,
) -> Tensor:
    return colors.new_empty((*colors.shape[:3], colors.shape[4] + 1))


def _fake_backward(
    colors: Tensor,
    dists: Tensor,
    zbuf: Tensor,
    pix_to_face: Tensor,
    background: Tensor,
    znear: Tensor,
    zfar: Tensor,
    sigma: float,
    gamma: float,
    least: float,
    image: Tensor,
    grad_image: Tensor,
    wanted: Sequence[bool],
) -> list[Tensor]:
    n, h, w, _, c = colors.shape
    shapes = colors.shape, dists.shape, zbuf.shape, (n * h * w, c)
    return [colors.new_empty(shape) for shape, wants in zip(shapes, wanted, strict=True) if wants]


_INPUTS = (
    "Tensor colors, Tensor dists, Tensor zbuf, Tensor pix_to_face, Tensor background, Tensor znear, Tensor zfar,"
    " float sigma, float gamma, float least"
)
_forward = register(f"blending_forward({_INPUTS}) -> Tensor", _native.renderer.blending_forward, _fake_forward)
_backward = register(
    f"blending_backward({_INPUTS}, Tensor image, Tensor grad_image, bool[4] wanted) -> Tensor[]",
    _native.renderer.blending_backward,
    _fake_backward,
)


class _SoftBlend(Function):
    """`softmax_image` with numbers for sigma and gamma; the inputs and a copy of the image are kept."""

    @staticmethod
    def forward(*inputs: Any) -> Tensor:
        return _forward(*inputs)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.numbers = inputs[7:]
        # A copy, for the image is the caller's to write into.
        ctx.save_for_backward(*inputs[:7], output.clone())

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        *tensors, image = ctx.saved_tensors
        inputs = (*tensors, *ctx.numbers)
        wanted = ctx.needs_input_grad
        if torch.is_grad_enabled():
            # The result will be differentiated again: torch's own derivative of the formula, in aliases of the inputs,
            # which hide that one input may have been computed from another.
            aliases = [x.view_as(x) if wants else x for x, wants in zip(inputs, wanted, strict=True)]
            again = softmax_image(*aliases)
            # Without channels it may depend on nothing that is wanted.
            if again.requires_grad:
                sources = [x for x, wants in zip(aliases, wanted, strict=True) if wants]
                found = iter(torch.autograd.grad(again, sources, grad, create_graph=True, allow_unused=True))
                return tuple(next(found) if wants else None for wants in wanted)
        native = [wanted[i] for i in (0, 1, 2, 4)]
        found = iter(_backward(*inputs, image, grad, native))
        of_colors, of_dists, of_zbuf, of_background = (next(found) if wants else None for wants in native)
        if of_background is not None and len(tensors[4]) == 1:
            of_background = of_background.sum(dim=0, keepdim=True)
        return of_colors, of_dists, of_zbuf, None, of_background, None, None, None, None, None


def _blend(
    colors: Tensor,
    dists: Tensor,
    zbuf: Tensor,
    pix_to_face: Tensor,
    background: Tensor,
    znear: Tensor,
    zfar: Tensor,
    sigma: float | Tensor,
    gamma: float | Tensor,
) -> Tensor:
    inputs = colors, dists, zbuf, pix_to_face, background, znear, zfar, sigma, gamma, _BACKGROUND
    by_torch = isinstance(sigma, Tensor) or isinstance(gamma, Tensor) or znear.requires_grad or zfar.requires_grad
    if by_torch or in_forward_mode():
        return softmax_image(*inputs)
    blend = _SoftBlend.apply if is_differentiated(colors, dists, zbuf, background) else _forward
    return blend(*distinct(*inputs))


def hard_rgb_blend(colors: Tensor, fragments: Fragments, blend_params: BlendParams) -> Tensor:
    """The colour of the nearest face, or the background where there is none; alpha is 1 or 0.

    Args:
        colors: (N, H, W, K, C) colour of each slot.
        fragments: the rasterizer's output; ``pix_to_face`` (N, H, W, K) is read, negative where a slot is empty.
        blend_params: ``background_color`` is read. It has C entries, or either it or ``colors`` has one channel,
            which then stands for all.

    Returns:
        (N, H, W, C + 1) colours and alpha, of the dtype of ``colors``. Differentiable in ``colors`` (slot 0) and in a
        ``background_color`` tensor; coverage has no gradient.

    Raises:
        TypeError: when ``pix_to_face`` is not int64, or ``colors`` are not floating.
        ValueError: when shapes or devices disagree.

    Example:
        >>> from types import SimpleNamespace
        >>> fragments = SimpleNamespace(pix_to_face=torch.tensor([[[[4], [-1]]]]))
        >>> hard_rgb_blend(torch.zeros(1, 1, 2, 1, 3), fragments, BlendParams())
        tensor([[[[0., 0., 0., 1.],
                  [1., 1., 1., 0.]]]])
    """
    (pix_to_face,) = checked_slots("hard_rgb_blend", colors, fragments)
    background = _background("hard_rgb_blend", colors, blend_params)
    covered = pix_to_face[..., :1] >= 0
    rgb = torch.where(covered, colors[..., 0, :], background)
    return torch.cat([rgb, covered.to(rgb.dtype)], dim=-1)


def sigmoid_alpha_blend(colors: Tensor, fragments: Fragments, blend_params: BlendParams) -> Tensor:
    r"""The colour of the nearest slot as it is, with the silhouette of all faces as alpha.

    .. math:: \alpha = 1 - \prod_k (1 - p_k), \qquad p_k = \mathrm{sigmoid}(-d_k / \sigma)

    Args:
        colors: (N, H, W, K, C) colour of each slot; only slot 0 is read, and no background is put behind it.
        fragments: the rasterizer's output; ``pix_to_face`` and ``dists``, both (N, H, W, K), are read.
        blend_params: ``sigma`` is read.

    Returns:
        (N, H, W, C + 1) colours and alpha, in the wider dtype of ``colors`` and ``dists``. Differentiable (any number
        of times, and in forward mode) in ``colors``, ``dists`` and a ``sigma`` tensor:
        ``d alpha / d d_k = -(1 - alpha) p_k / sigma``, which is finite everywhere and exactly 0 in empty slots,
        whatever they hold.

    Raises:
        TypeError: when ``dists`` is None, ``pix_to_face`` is not int64, or another input is not floating.
        ValueError: when shapes or devices disagree, or ``sigma`` is not positive (a tensor on CUDA whose derivative may
            be asked for, and any tensor in a compiled graph, is not looked at).

    Cost: O(N H W K) time; nothing of that size is kept for the backward pass.

    Example:
        >>> from types import SimpleNamespace
        >>> fragments = SimpleNamespace(pix_to_face=torch.tensor([[[[2, 5]]]]), dists=torch.zeros(1, 1, 1, 2))
        >>> sigmoid_alpha_blend(torch.ones(1, 1, 1, 2, 3), fragments, BlendParams())
        tensor([[[[1.0000, 1.0000, 1.0000, 0.7500]]]])
    """
    name = "sigmoid_alpha_blend"
    pix_to_face, dists = checked_slots(name, colors, fragments, "dists")
    result_dtype, dtype = _dtypes(colors, dists)
    sigma = _positive(name, "sigma", blend_params.sigma, dtype)
    dists = dists.to(dtype)
    # Without channels nothing but alpha is computed, and depths are not read.
    nothing, one = dists.new_empty((*dists.shape, 0)), dists.new_ones(1)
    alpha = _blend(nothing, dists, dists.detach(), pix_to_face, nothing.new_empty(1, 0), one, one, sigma, 1.0)
    return torch.cat([colors[..., 0, :].to(dtype), alpha], dim=-1).to(result_dtype)


def softmax_rgb_blend(
    colors: Tensor,
    fragments: Fragments,
    blend_params: BlendParams,
    znear: float | Tensor = 1.0,
    zfar: float | Tensor = 100,
) -> Tensor:
    r"""The mean of all faces' colours and the background, weighted by coverage and by closeness.

    .. math::
        w_k = p_k \exp((\zeta_k - m) / \gamma), \quad
        w_b = \max(\exp((\epsilon - m) / \gamma), \epsilon), \quad
        \mathrm{rgb} = \frac{\sum_k w_k c_k + w_b c_b}{\sum_k w_k + w_b}

    with closeness :math:`\zeta_k = (z_{far} - z_k) / (z_{far} - z_{near})` (0 in an empty slot),
    :math:`m = \max(\max_k \zeta_k, \epsilon)`, :math:`\epsilon = 10^{-10}`, and the silhouette of
    `sigmoid_alpha_blend` as alpha.

    Args:
        colors: (N, H, W, K, C) colour of each slot.
        fragments: the rasterizer's output; ``pix_to_face``, ``dists`` and ``zbuf`` (view depth), all (N, H, W, K),
            are read.
        blend_params: ``sigma``, ``gamma`` and ``background_color``. The background has C entries, or either it or
            ``colors`` has one channel, which then stands for all.
        znear: depth at which closeness is 1: a number, or a tensor of one value or one an image, (N,) or
            (N, 1, 1, 1).
        zfar: depth at which closeness is 0, likewise.

    Returns:
        (N, H, W, C + 1) colours and alpha, in the wider dtype of ``colors`` and ``dists``. Differentiable (any number
        of times, and in forward mode) in ``colors``, ``dists``, ``zbuf`` and in ``sigma``, ``gamma``, ``znear``,
        ``zfar`` and ``background_color`` tensors. All gradients are finite, and exactly 0 in empty slots, whatever
        these hold (where there is a face, its values must be finite). When several slots share the largest closeness,
        the first takes the gradient of m.

    Raises:
        TypeError: when ``dists`` is None, ``pix_to_face`` is not int64, another input is not floating, or the
            background is neither a tensor nor a sequence.
        ValueError: when shapes or devices disagree, or ``sigma`` or ``gamma`` is not positive (a tensor on CUDA whose
            derivative may be asked for, and any tensor in a compiled graph, is not looked at).

    Cost: O(N H W K C) time; nothing of the size (N, H, W, K) but the inputs is kept for the backward pass, unless
    ``sigma``, ``gamma``, ``znear`` or ``zfar`` are learned.

    Example:
        >>> from types import SimpleNamespace
        >>> fragments = SimpleNamespace(
        ...     pix_to_face=torch.tensor([[[[0, -1]]]]),
        ...     dists=torch.tensor([[[[0.0, -1.0]]]]),
        ...     zbuf=torch.tensor([[[[2.0, -1.0]]]]),
        ... )
        >>> softmax_rgb_blend(torch.zeros(1, 1, 1, 2, 3), fragments, BlendParams())
        tensor([[[[2.0000e-10, 2.0000e-10, 2.0000e-10, 5.0000e-01]]]])
    """
    name = "softmax_rgb_blend"
    pix_to_face, dists, zbuf = checked_slots(name, colors, fragments, "dists", "zbuf")
    result_dtype, dtype = _dtypes(colors, dists)
    colors, dists, zbuf = colors.to(dtype), dists.to(dtype), zbuf.to(dtype)
    background = _background(name, colors, blend_params)
    sigma, gamma = (_positive(name, each, getattr(blend_params, each), dtype) for each in ("sigma", "gamma"))
    channels = background.shape[-1] if colors.shape[-1] == 1 else colors.shape[-1]
    background = background.expand(*background.shape[:-1], channels)
    if background.numel() != channels:
        background = background.expand(*colors.shape[:3], channels)
    return _blend(
        colors.expand(*colors.shape[:-1], channels),
        dists,
        zbuf,
        pix_to_face,
        background.reshape(-1, channels) if channels else background.new_empty(1, 0),
        per_image(name, "znear", znear, dists).reshape(-1),
        per_image(name, "zfar", zfar, dists).reshape(-1),
        sigma,
        gamma,
    ).to(result_dtype)


def face_coverage(name: str, fragments: Fragments, blend_params: BlendParams) -> Tensor:
    """``p_k``, (N, H, W, K), for an operator of that name; differentiable in ``dists`` and in a ``sigma`` tensor."""
    pix_to_face, dists = checked_fields(name, fragments, "dists")
    sigma = _positive(name, "sigma", blend_params.sigma, torch.promote_types(dists.dtype, torch.float32))
    return coverage(dists, pix_to_face, sigma)


def per_image(name: str, argument: str, depth: float | Tensor, like: Tensor) -> Tensor:
    """A number, or a tensor of one value or one an image, as a tensor that broadcasts against (N, H, W, K) ``like``."""
    if not isinstance(depth, Tensor):
        return like.new_full((1, 1, 1, 1), depth)
    if depth.numel() not in (1, like.shape[0]):
        raise ValueError(
            f"{name}: {argument} must hold one value or one for each of {like.shape[0]} images, "
            f"got shape {tuple(depth.shape)}"
        )
    return depth.to(like).reshape(-1, 1, 1, 1)


def _dtypes(colors: Tensor, dists: Tensor) -> tuple[torch.dtype, torch.dtype]:
    """Of the result, and of what is computed: half precision cannot hold the tails of the weights."""
    result_dtype = torch.promote_types(colors.dtype, dists.dtype)
    return result_dtype, torch.promote_types(result_dtype, torch.float32)


def _background(name: str, colors: Tensor, blend_params: BlendParams) -> Tensor:
    """The background, of the dtype and device of ``colors``, against which (N, H, W, C) broadcasts."""
    background = blend_params.background_color
    if not isinstance(background, Tensor):
        try:
            # One fill an entry, because a copy of host values makes the host wait for a GPU.
            fills = [colors.new_full((1,), entry) for entry in background]
        except TypeError:
            raise TypeError(
                f"{name}: background_color must be a tensor or a sequence of numbers, got {background!r}"
            ) from None
        background = torch.cat(fills or [colors.new_empty(0)])
    background = background.to(colors)
    pixels = (*colors.shape[:-2], colors.shape[-1])
    try:
        fits = torch.broadcast_shapes(background.shape, pixels)[:-1] == pixels[:-1]
    except RuntimeError:
        fits = False
    if background.dim() == 0 or not fits:
        raise ValueError(
            f"{name}: background_color must have one entry a channel, or broadcast against {pixels}, "
            f"got shape {tuple(background.shape)}"
        )
    return background


def _positive(name: str, argument: str, value: float | Tensor, dtype: torch.dtype) -> float | Tensor:
    """A checked number; a tensor, of shape () and this dtype, only where it is differentiated or a graph compiled."""
    if isinstance(value, Tensor):
        if value.numel() != 1:
            raise ValueError(f"{name}: {argument} must hold one value, got shape {tuple(value.shape)}")
        stays = is_differentiated(value) or torch.compiler.is_compiling()
        value = value.reshape(()).to(dtype) if stays else value.item()
    if (not isinstance(value, Tensor) or at_hand(value)) and not value > 0:
        raise ValueError(f"{name}: {argument} must be positive, got {value}")
    return value if isinstance(value, Tensor) else float(value)
