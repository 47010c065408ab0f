# SPDX-License-Identifier: Apache-2.0
r"""From the K faces of each pixel to one colour and an alpha: the last step of rendering a mesh.

Shape letters: N images, H x W pixels, K slots a pixel (nearest face first), C channels. With
``p_k = sigmoid(-dists_k / sigma)``, and 0 in an empty slot, every soft blend has the silhouette
``alpha = 1 - prod_k (1 - p_k)``. From S. Liu et al., "Soft Rasterizer", ICCV 2019, as stated in N. Ravi et al.,
"Accelerating 3D Deep Learning with PyTorch3D", 2020, Algorithms 1 and 2.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

__all__ = ["BlendParams", "hard_rgb_blend", "sigmoid_alpha_blend", "softmax_rgb_blend"]

# The depth of the background in softmax_rgb_blend (in units of 1 at znear, 0 at zfar) and the least weight it has.
_BACKGROUND = 1e-10


class BlendParams(NamedTuple):
    """How the faces of a pixel mix.

    Attributes:
        sigma: width of a face's border: a squared NDC distance, positive. A face covers half of a pixel whose centre
            lies on its border, and ``sigmoid(-d / sigma)`` of one at signed squared distance d (positive outside). A
            number, or a tensor of one; differentiable when it is a tensor that requires a gradient.
        gamma: how strongly the nearest face wins in `softmax_rgb_blend`, in normalised depth, positive; a number
            or a tensor, likewise.
        background_color: C numbers, or a tensor that broadcasts against (N, H, W, C), for example (C,), or
            (N, H, W, C) for a background picture. Differentiable when it is a tensor.
    """

    sigma: float | Tensor = 1e-4
    gamma: float | Tensor = 1e-4
    background_color: Tensor | Sequence[float] = (1.0, 1.0, 1.0)


class _Fragments(Protocol):
    """The part of the rasterizer's output that blending reads."""

    @property
    def pix_to_face(self) -> Tensor: ...
    @property
    def zbuf(self) -> Tensor: ...
    @property
    def dists(self) -> Tensor | None: ...


def hard_rgb_blend(colors: Tensor, fragments: _Fragments, blend_params: BlendParams) -> Tensor:
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
        ValueError: when shapes disagree.

    Example:
        >>> from types import SimpleNamespace
        >>> fragments = SimpleNamespace(pix_to_face=torch.tensor([[[[4], [-1]]]]))
        >>> hard_rgb_blend(torch.zeros(1, 1, 2, 1, 3), fragments, BlendParams())
        tensor([[[[0., 0., 0., 1.],
                  [1., 1., 1., 0.]]]])
    """
    _check("hard_rgb_blend", colors, fragments.pix_to_face)
    background = _background("hard_rgb_blend", colors, blend_params)
    covered = fragments.pix_to_face[..., :1] >= 0
    rgb = torch.where(covered, colors[..., 0, :], background)
    return torch.cat([rgb, covered.to(rgb.dtype)], dim=-1)


def sigmoid_alpha_blend(colors: Tensor, fragments: _Fragments, blend_params: BlendParams) -> Tensor:
    r"""The colour of the nearest slot as it is, with the silhouette of all faces as alpha.

    .. math:: \alpha = 1 - \prod_k (1 - p_k), \qquad p_k = \mathrm{sigmoid}(-d_k / \sigma)

    Args:
        colors: (N, H, W, K, C) colour of each slot; only slot 0 is read, and no background is put behind it.
        fragments: the rasterizer's output; ``pix_to_face`` and ``dists``, both (N, H, W, K), are read.
        blend_params: ``sigma`` is read.

    Returns:
        (N, H, W, C + 1) colours and alpha, in the wider dtype of ``colors`` and ``dists``. Differentiable (twice as
        well) in ``colors`` and ``dists``: ``d alpha / d d_k = -(1 - alpha) p_k / sigma``, which is finite everywhere
        and exactly 0 in empty slots, whatever they hold.

    Raises:
        ValueError: when shapes disagree, ``dists`` is None, or ``sigma`` is not positive.

    Cost: O(N H W K) time; nothing of that size is kept for the backward pass.

    Example:
        >>> from types import SimpleNamespace
        >>> fragments = SimpleNamespace(pix_to_face=torch.tensor([[[[2, 5]]]]), dists=torch.zeros(1, 1, 1, 2))
        >>> sigmoid_alpha_blend(torch.ones(1, 1, 1, 2, 3), fragments, BlendParams())
        tensor([[[[1.0000, 1.0000, 1.0000, 0.7500]]]])
    """
    name = "sigmoid_alpha_blend"
    _check(name, colors, fragments.pix_to_face)
    dists = _distances(name, fragments)
    dtype = _working_dtype(colors, dists)
    sigma = _positive(name, "sigma", blend_params.sigma)
    transmittance = _transmittance if isinstance(sigma, Tensor) else _Transmittance.apply
    through = transmittance(dists.to(dtype), fragments.pix_to_face, sigma)
    image = torch.cat([colors[..., 0, :].to(dtype), 1.0 - through.unsqueeze(-1)], dim=-1)
    return image.to(_result_dtype(colors, dists))


def softmax_rgb_blend(
    colors: Tensor,
    fragments: _Fragments,
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
        (N, H, W, C + 1) colours and alpha, in the wider dtype of ``colors`` and ``dists``. Differentiable (twice as
        well) in ``colors``, ``dists``, ``zbuf`` and in ``znear``, ``zfar`` and ``background_color`` tensors. All
        gradients are finite, and exactly 0 in empty slots, whatever ``dists`` and ``zbuf`` hold there (``colors`` must
        be finite).
        When several slots share the largest closeness, the first takes the gradient of m.

    Raises:
        ValueError: when shapes disagree, ``dists`` is None, or ``sigma`` or ``gamma`` is not positive.

    Cost: O(N H W K C) time; nothing of the size (N, H, W, K) but the inputs is kept for the backward pass.

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
    _check(name, colors, fragments.pix_to_face)
    dists = _distances(name, fragments)
    result_dtype, dtype = _result_dtype(colors, dists), _working_dtype(colors, dists)
    dists = dists.to(dtype)
    background = _background(name, colors, blend_params).to(dtype)
    channels = max(colors.shape[-1], background.shape[-1])
    sigma, gamma = (_positive(name, each, getattr(blend_params, each)) for each in ("sigma", "gamma"))
    learned = isinstance(sigma, Tensor) or isinstance(gamma, Tensor)
    blend = _softmax_image if learned else _SoftmaxBlend.apply
    zbuf = fragments.zbuf.masked_fill(fragments.pix_to_face < 0, 0.0) if learned else fragments.zbuf
    return blend(
        colors.to(dtype).expand(*colors.shape[:-1], channels),
        dists,
        zbuf.to(dtype),
        fragments.pix_to_face,
        background.expand(*background.shape[:-1], channels),
        per_image(name, "znear", znear, dists),
        per_image(name, "zfar", zfar, dists),
        sigma,
        gamma,
    ).to(result_dtype)


def face_coverage(name: str, fragments: _Fragments, blend_params: BlendParams) -> Tensor:
    """``p_k``, (N, H, W, K), for an operator of that name; differentiable in ``dists``."""
    sigma = _positive(name, "sigma", blend_params.sigma)
    return _coverage(_distances(name, fragments), fragments.pix_to_face < 0, sigma)


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


def _coverage(dists: Tensor, empty: Tensor, sigma: float | Tensor) -> Tensor:
    """``p_k``, (N, H, W, K): the part of the pixel that face k covers; 0 in empty slots whatever they hold."""
    return _known(dists, empty, sigma).mul(-1.0 / sigma).masked_fill_(empty, -math.inf).sigmoid_()


def _transmittance(dists: Tensor, pix_to_face: Tensor, sigma: float | Tensor) -> Tensor:
    """``prod_k (1 - p_k)``, (N, H, W): exact also where ``p_k`` rounds to 1, for the gradient there."""
    empty = pix_to_face < 0
    return _known(dists, empty, sigma).mul(1.0 / sigma).masked_fill_(empty, math.inf).sigmoid_().prod(dim=-1)


def _known(dists: Tensor, empty: Tensor, sigma: float | Tensor) -> Tensor:
    """Distances for a product with sigma: the gradient of a tensor reads them all, so empty slots must be finite."""
    return dists.masked_fill(empty, 0.0) if isinstance(sigma, Tensor) else dists


class _SoftmaxWeights(NamedTuple):
    coverage: Tensor  # (N, H, W, K) p_k
    closeness: Tensor  # (N, H, W, K) zeta_k
    weights: Tensor  # (N, H, W, K) w_k / (sum w + w_b)
    behind: Tensor  # (N, H, W, 1) w_b / (sum w + w_b)
    first: Tensor  # (N, H, W, 1) slot of the largest closeness
    held: Tensor  # (N, H, W, 1) where m is the closeness of that slot, and w_b is at its least value


def _softmax_weights(
    dists: Tensor,
    zbuf: Tensor,
    pix_to_face: Tensor,
    znear: Tensor,
    zfar: Tensor,
    sigma: float | Tensor,
    gamma: float | Tensor,
) -> _SoftmaxWeights:
    empty = pix_to_face < 0
    coverage = _coverage(dists, empty, sigma)
    closeness = ((zfar - zbuf) / (zfar - znear)).masked_fill(empty, 0.0)
    largest, first = closeness.max(dim=-1, keepdim=True)
    shift = largest.clamp(min=_BACKGROUND)
    # Not in place: the gradient of gamma reads the difference.
    weights = closeness.sub(shift).mul(1.0 / gamma).exp_() * coverage
    behind = ((_BACKGROUND - shift) / gamma).exp_()
    held = (behind < _BACKGROUND) & (largest >= _BACKGROUND)
    behind = behind.clamp(min=_BACKGROUND)
    total = weights.sum(dim=-1, keepdim=True) + behind
    return _SoftmaxWeights(coverage, closeness, weights / total, behind / total, first, held)


def _softmax_image(
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
    """The formulas of `softmax_rgb_blend`, with ``znear`` and ``zfar`` that broadcast against (N, H, W, K)."""
    soft = _softmax_weights(dists, zbuf, pix_to_face, znear, zfar, sigma, gamma)
    rgb = torch.matmul(soft.weights.unsqueeze(-2), colors).squeeze(-2) + soft.behind * background
    through = (1.0 - soft.coverage).prod(dim=-1, keepdim=True)
    return torch.cat([rgb, 1.0 - through], dim=-1)


def _graph_of_gradients(
    function: Callable[..., Tensor], inputs: Sequence[Any], wanted: Sequence[bool], grad: Tensor
) -> tuple[Tensor | None, ...]:
    """What ``backward`` returns when its result will be differentiated again: torch's own derivative of the formula."""
    sources = [x for x, wants in zip(inputs, wanted, strict=True) if wants]
    grads = iter(torch.autograd.grad(function(*inputs), sources, grad, create_graph=True, allow_unused=True))
    return tuple(next(grads) if wants else None for wants in wanted)


class _Transmittance(torch.autograd.Function):
    """`_transmittance` with a derivative that divides by nothing and keeps nothing of the size (N, H, W, K)."""

    @staticmethod
    def forward(dists: Tensor, pix_to_face: Tensor, sigma: float) -> Tensor:
        return _transmittance(dists, pix_to_face, sigma)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, float], output: Tensor) -> None:
        dists, pix_to_face, ctx.sigma = inputs
        ctx.save_for_backward(dists, pix_to_face, output)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grad_outputs
        dists, pix_to_face, through = ctx.saved_tensors
        if torch.is_grad_enabled():
            inputs = dists, pix_to_face, ctx.sigma
            return _graph_of_gradients(_transmittance, inputs, ctx.needs_input_grad, grad)
        scale = grad * through / ctx.sigma
        return _coverage(dists, pix_to_face < 0, ctx.sigma).mul_(scale.unsqueeze(-1)), None, None


class _SoftmaxBlend(torch.autograd.Function):
    """`_softmax_image`; the backward pass computes the weights again instead of keeping them.

    The derivative: with G the gradient of rgb and ``v = w / (sum w + w_b)`` the normalised weights, the gradient of
    ``log w_k`` is ``t_k = v_k G . (c_k - rgb)``, from which both ``p_k`` and ``zeta_k`` take theirs. The shift m
    cancels between all weights except where the background's is held at its least value.
    """

    @staticmethod
    def forward(*inputs: Any) -> Tensor:
        return _softmax_image(*inputs)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        *tensors, ctx.sigma, ctx.gamma = inputs
        ctx.save_for_backward(*tensors, output)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grad_outputs
        *tensors, image = ctx.saved_tensors
        if torch.is_grad_enabled():
            inputs = (*tensors, ctx.sigma, ctx.gamma)
            return _graph_of_gradients(_softmax_image, inputs, ctx.needs_input_grad, grad)
        colors, dists, zbuf, pix_to_face, background, znear, zfar = tensors
        wants_colors, wants_dists, wants_zbuf, _, wants_background, wants_znear, wants_zfar, *_ = ctx.needs_input_grad
        soft = _softmax_weights(dists, zbuf, pix_to_face, znear, zfar, ctx.sigma, ctx.gamma)
        (rgb, alpha), (grad_rgb, grad_alpha) = (x.split([x.shape[-1] - 1, 1], dim=-1) for x in (image, grad))
        out: list[Tensor | None] = [None] * 9
        if wants_colors:
            out[0] = soft.weights.unsqueeze(-1) * grad_rgb.unsqueeze(-2)
        if wants_background:
            out[4] = (soft.behind * grad_rgb).sum_to_size(background.shape)
        grad_log = torch.matmul(grad_rgb.unsqueeze(-2), colors.transpose(-1, -2)).squeeze(-2)
        grad_log = grad_log.sub_((grad_rgb * rgb).sum(dim=-1, keepdim=True)).mul_(soft.weights)
        if wants_dists:
            # d p_k / d d_k = -p_k (1 - p_k) / sigma and d alpha / d p_k = (1 - alpha) / (1 - p_k).
            by_alpha = soft.coverage * (grad_alpha * (1.0 - alpha))
            out[1] = by_alpha.addcmul_(1.0 - soft.coverage, grad_log).mul_(-1.0 / ctx.sigma)
        if wants_zbuf or wants_znear or wants_zfar:
            left_over = (grad_rgb * (background - rgb)).sum(dim=-1, keepdim=True) * soft.behind * soft.held
            grad_closeness = grad_log.scatter_add_(-1, soft.first, left_over).div_(ctx.gamma * (zfar - znear))
            if wants_znear:
                out[5] = (grad_closeness * soft.closeness).sum_to_size(znear.shape)
            if wants_zfar:
                out[6] = (grad_closeness * (1.0 - soft.closeness)).sum_to_size(zfar.shape)
            out[2] = grad_closeness.neg_()
        return tuple(out)


def _check(name: str, colors: Tensor, pix_to_face: Tensor) -> None:
    if colors.dim() != 5 or pix_to_face.dim() != 4 or colors.shape[:-1] != pix_to_face.shape:
        raise ValueError(
            f"{name}: colors must be (N, H, W, K, C) for fragments of (N, H, W, K), "
            f"got {tuple(colors.shape)} and {tuple(pix_to_face.shape)}"
        )
    if pix_to_face.shape[-1] == 0:
        raise ValueError(f"{name}: fragments must hold at least one face per pixel, got none")


def _distances(name: str, fragments: _Fragments) -> Tensor:
    if fragments.dists is None:
        raise ValueError(f"{name}: fragments.dists must be a tensor, got None")
    return fragments.dists


def _working_dtype(colors: Tensor, dists: Tensor) -> torch.dtype:
    """Half precision cannot hold the tails of the weights: they are computed in float32 at least."""
    return torch.promote_types(_result_dtype(colors, dists), torch.float32)


def _result_dtype(colors: Tensor, dists: Tensor) -> torch.dtype:
    return torch.promote_types(colors.dtype, dists.dtype)


def _background(name: str, colors: Tensor, blend_params: BlendParams) -> Tensor:
    background = blend_params.background_color
    if not isinstance(background, Tensor):
        # One fill an entry, because a copy of host values makes the host wait for a GPU.
        background = torch.cat([colors.new_full((1,), entry) for entry in background])
    background = background.to(colors.device)
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


def _positive(name: str, argument: str, value: float | Tensor) -> float | Tensor:
    """A checked number; a tensor, of shape (), only where its gradient is wanted."""
    if isinstance(value, Tensor) and value.numel() != 1:
        raise ValueError(f"{name}: {argument} must hold one value, got shape {tuple(value.shape)}")
    if not value > 0:
        raise ValueError(f"{name}: {argument} must be positive, got {value}")
    return value.reshape(()) if isinstance(value, Tensor) and value.requires_grad else float(value)
