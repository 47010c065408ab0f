# SPDX-License-Identifier: Apache-2.0
"""Blending: from K slots a pixel to one colour and an alpha."""

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import forward_ad, gradcheck, gradgradcheck

from patina3d.renderer import blending
from patina3d.renderer._reference.blending import softmax_image
from patina3d.renderer.blending import BlendParams, hard_rgb_blend, sigmoid_alpha_blend, softmax_rgb_blend

emulated = pytest.mark.emulated
# Torch's own machinery uses what torch deprecates.
torch_warns = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")

SIGMA = 0.1


def scene(shape=(2, 2, 3, 4), channels=3, dtype=torch.float64, device="cpu"):
    """Colours and fragments with empty slots anywhere and one empty pixel."""
    pix_to_face = torch.randint(-1, 3, shape, device=device)
    pix_to_face[0, 0, 0] = -1
    pix_to_face[0, 0, 1, 0] = 2
    fragments = SimpleNamespace(
        pix_to_face=pix_to_face,
        dists=SIGMA * torch.randn(shape, dtype=dtype, device=device),
        zbuf=1 + 2 * torch.rand(shape, dtype=dtype, device=device),
    )
    return torch.rand(*shape, channels, dtype=dtype, device=device), fragments


def by_loops(colors, fragments, params, znear=1.0, zfar=100.0):
    """The formulas, slot by slot."""
    *pixels, slots, channels = colors.shape
    out = torch.zeros(*pixels, channels + 1, dtype=torch.float64)
    for pixel in torch.cartesian_prod(*map(torch.arange, pixels)).tolist():
        pixel = tuple(pixel)
        held = [k for k in range(slots) if fragments.pix_to_face[(*pixel, k)] >= 0]
        p = {k: 1 / (1 + math.exp(fragments.dists[(*pixel, k)].item() / params.sigma)) for k in held}
        closeness = {k: (zfar - fragments.zbuf[(*pixel, k)].item()) / (zfar - znear) for k in held}
        m = max([*closeness.values(), 1e-10])
        w = {k: p[k] * math.exp((closeness[k] - m) / params.gamma) for k in held}
        behind = max(math.exp((1e-10 - m) / params.gamma), 1e-10)
        background = torch.as_tensor(params.background_color, dtype=torch.float64)
        total = sum(w.values()) + behind
        out[pixel][:channels] = (sum(w[k] * colors[(*pixel, k)].double() for k in held) + behind * background) / total
        out[pixel][channels] = 1 - math.prod(1 - p[k] for k in held)
    return out


def by_coverage(colors, fragments, params):
    """`face_coverage`, called as a blend."""
    return blending.face_coverage("by_coverage", fragments, params)


# What three known slots give.


def known_pixel():
    colors = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 0]]).reshape(1, 1, 1, 3, 3)
    fragments = SimpleNamespace(
        pix_to_face=torch.tensor([3, 7, -1]).reshape(1, 1, 1, 3),
        zbuf=torch.tensor([2.0, 5.0, -1.0]).reshape(1, 1, 1, 3),
        dists=torch.tensor([-1e-4, 5e-5, -1.0]).reshape(1, 1, 1, 3),
    )
    return colors, fragments


@emulated
def test_softmax_of_a_known_pixel():
    params = BlendParams(gamma=0.05, background_color=(0.2, 0.4, 0.6))
    image = softmax_rgb_blend(*known_pixel(), params, znear=1, zfar=10)
    assert image.flatten().tolist() == pytest.approx([0.999343, 0.000657, 0, 0.832595], abs=5e-7)


@emulated
def test_silhouette_of_a_known_pixel():
    image = sigmoid_alpha_blend(*known_pixel(), BlendParams())
    assert image.flatten().tolist() == pytest.approx([1, 0, 0, 0.832595], abs=5e-7)


def test_hard_takes_the_first_slot_or_the_background():
    colors, fragments = scene()
    image = hard_rgb_blend(colors, fragments, BlendParams(background_color=(0.1, 0.2, 0.3)))
    covered = fragments.pix_to_face[..., 0] >= 0
    assert torch.equal(image[covered], torch.nn.functional.pad(colors[..., 0, :][covered], (0, 1), value=1.0))
    assert torch.equal(
        image[~covered], torch.tensor([0.1, 0.2, 0.3, 0], dtype=torch.float64).expand_as(image[~covered])
    )
    assert covered.any()
    assert not covered.all()


# The formulas.


@emulated
@pytest.mark.parametrize("gamma", [0.5, 0.01, 1e-4])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_softmax_equals_definition(gamma, channels):
    colors, fragments = scene(channels=channels)
    params = BlendParams(SIGMA, gamma, tuple(0.1 * c for c in range(channels)))
    image = softmax_rgb_blend(colors, fragments, params, 0.5, 4.0)
    assert torch.allclose(image, by_loops(colors, fragments, params, 0.5, 4.0))


@emulated
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_silhouette_equals_definition(channels):
    colors, fragments = scene(channels=channels)
    image = sigmoid_alpha_blend(colors, fragments, BlendParams(SIGMA))
    assert torch.equal(image[..., :-1], colors[..., 0, :])
    expected = by_loops(colors, fragments, BlendParams(SIGMA, background_color=[0.0] * channels))
    assert torch.allclose(image[..., -1], expected[..., -1])


@emulated
def test_faces_beyond_zfar_are_behind_the_background():
    colors, fragments = scene()
    fragments.zbuf += 10
    params = BlendParams(SIGMA, 0.01, (0.1, 0.2, 0.3))
    image = softmax_rgb_blend(colors, fragments, params, 1.0, 5.0)
    assert torch.allclose(image, by_loops(colors, fragments, params, 1.0, 5.0))
    assert torch.allclose(image[..., :3], torch.tensor([0.1, 0.2, 0.3]).double().expand(2, 2, 3, 3))


# Gradients.


@emulated
@pytest.mark.parametrize("least_background", [1e-10, 0.1])
@pytest.mark.parametrize("gamma", [0.5, 0.02])
@pytest.mark.parametrize("learned_range", [False, True])
def test_softmax_gradcheck(monkeypatch, gamma, least_background, learned_range, device):
    """Also with the background's least weight where it matters."""
    monkeypatch.setattr(blending, "_BACKGROUND", least_background)
    colors, fragments = scene((2, 1, 2, 3), channels=2, device=device)
    background = torch.rand(2, dtype=torch.float64, device=device)
    znear, zfar = (torch.tensor(depths, dtype=torch.float64, device=device) for depths in ([0.5, 0.7], [4.0, 5.0]))
    inputs = [x.requires_grad_() for x in (colors, fragments.dists, fragments.zbuf, background)]
    inputs += [x.requires_grad_(learned_range) for x in (znear, zfar)]

    def blend(colors, dists, zbuf, background, znear, zfar):
        slots = SimpleNamespace(pix_to_face=fragments.pix_to_face, dists=dists, zbuf=zbuf)
        return softmax_rgb_blend(colors, slots, BlendParams(SIGMA, gamma, background), znear, zfar)

    assert gradcheck(blend, inputs)
    assert gradgradcheck(blend, inputs, fast_mode=True)


@emulated
def test_gradients_equal_those_of_the_definition(device):
    colors, fragments = scene((2, 9, 8, 5), channels=5, device=device)
    picture = torch.rand(2, 9, 8, 5, dtype=torch.float64, device=device)
    inputs = [x.requires_grad_() for x in (colors, fragments.dists, fragments.zbuf, picture)]
    one = colors.new_ones(1)
    for gamma in (0.5, 0.01, 1e-4):
        image = softmax_rgb_blend(colors, fragments, BlendParams(SIGMA, gamma, picture), 0.5, 4.0)
        expected = softmax_image(
            *(colors, fragments.dists, fragments.zbuf, fragments.pix_to_face, picture.reshape(-1, 5)),
            *(0.5 * one, 4 * one, SIGMA, gamma, 1e-10),
        )
        torch.testing.assert_close(image, expected, rtol=1e-12, atol=1e-12)
        up = torch.randn_like(image)
        grads = (torch.autograd.grad(x, inputs, up) for x in (image, expected))
        for ours, theirs in zip(*grads, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-14 / gamma)


@emulated
def test_each_gradient_of_softmax_alone(monkeypatch):
    """Whichever inputs need no gradient, the others get theirs, and nothing else is computed."""
    asked, backward = [], blending._backward
    monkeypatch.setattr(blending, "_backward", lambda *x: asked.append(x[-1]) or backward(*x))
    colors, fragments = scene()
    whole = [x.requires_grad_() for x in (colors, fragments.dists, fragments.zbuf)]

    def blend(colors, dists, zbuf):
        slots = SimpleNamespace(pix_to_face=fragments.pix_to_face, dists=dists, zbuf=zbuf)
        return softmax_rgb_blend(colors, slots, BlendParams(SIGMA, 0.1), 0.5, 4.0).square().sum()

    for i, expected in enumerate(torch.autograd.grad(blend(*whole), whole)):
        alone = [x if i == j else x.detach() for j, x in enumerate(whole)]
        assert torch.equal(torch.autograd.grad(blend(*alone), alone[i])[0], expected)
        assert asked[-1] == [i == j for j in range(4)]


@emulated
@pytest.mark.parametrize("blend", [sigmoid_alpha_blend, softmax_rgb_blend])
def test_inputs_that_are_computed_from_each_other(blend):
    """Each path to the image counts once, also where the gradient is differentiated again."""
    _, fragments = scene((1, 2, 2, 3), channels=1)
    leaf = fragments.zbuf.requires_grad_()

    def image(z):
        slots = SimpleNamespace(pix_to_face=fragments.pix_to_face, dists=0.1 * z - 0.2, zbuf=z)
        return blend(z[..., None].sin(), slots, BlendParams(SIGMA, 0.3, (0.0,)), *((0.5, 4.0) if soft else ()))

    soft = blend is softmax_rgb_blend
    assert gradcheck(image, leaf)
    assert gradgradcheck(image, leaf)
    (expected,) = torch.autograd.grad(image(leaf).square().sum(), leaf)
    (again,) = torch.autograd.grad(image(leaf).square().sum(), leaf, create_graph=True)
    torch.testing.assert_close(again.detach(), expected)
    torch.testing.assert_close(torch.func.grad(lambda z: image(z).square().sum())(leaf.detach()), expected)


@emulated
def test_third_derivative():
    colors, fragments = scene((1, 1, 2, 2), channels=1)
    inputs = [x.requires_grad_() for x in (colors, fragments.dists, fragments.zbuf)]

    def second(*x):
        slots = SimpleNamespace(pix_to_face=fragments.pix_to_face, dists=x[1], zbuf=x[2])
        image = softmax_rgb_blend(x[0], slots, BlendParams(SIGMA, 0.5, (0.2,)), 0.5, 4.0)
        first = torch.autograd.grad(image.square().sum(), x, create_graph=True)
        return torch.autograd.grad(sum(grad.square().sum() for grad in first), x, create_graph=True)

    assert gradcheck(second, inputs)


@emulated
@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("wanted", ["colors", "dists", "zbuf"])
def test_no_channels(wanted, create_graph):
    colors, fragments = scene(channels=0)
    leaf = {"colors": colors, **vars(fragments)}[wanted].requires_grad_()
    for background in ((), (0.5,), torch.ones(2, 2, 3, 0)):
        image = softmax_rgb_blend(colors, fragments, BlendParams(SIGMA, 0.1, background))
        assert torch.equal(image, sigmoid_alpha_blend(colors, fragments, BlendParams(SIGMA)))
        (grad,) = torch.autograd.grad(image.sum(), leaf, create_graph=create_graph)
        assert grad.shape == leaf.shape
        assert grad.isfinite().all()
        assert bool(grad.any()) == (wanted == "dists")


@emulated
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("blend", [hard_rgb_blend, sigmoid_alpha_blend, softmax_rgb_blend])
def test_the_image_may_be_written_into(blend, dtype):
    colors, fragments = scene(dtype=dtype)
    colors.requires_grad_()
    (expected,) = torch.autograd.grad(blend(colors, fragments, BlendParams(SIGMA, 0.1))[..., :3].sum(), colors)
    image = blend(colors, fragments, BlendParams(SIGMA, 0.1))
    image[..., 3] = 1
    image.clamp_(-9, 9).sum().backward()
    assert torch.equal(colors.grad, expected)


# Forward mode.


def tangents(shape=(2, 1, 2, 3)):
    colors, fragments = scene(shape, channels=2)
    numbers = (torch.tensor(x, dtype=torch.float64) for x in (SIGMA, 0.3, 0.5, 4.0))
    inputs = colors, fragments.dists, fragments.zbuf, torch.rand(2, dtype=torch.float64), *numbers
    return fragments.pix_to_face, inputs


@torch_warns
@emulated
@pytest.mark.parametrize("wanted", range(8))
def test_tangent_of_each_input_of_softmax(wanted):
    pix_to_face, inputs = tangents()

    def image(x):
        colors, dists, zbuf, background, sigma, gamma, znear, zfar = (*inputs[:wanted], x, *inputs[wanted + 1 :])
        slots = SimpleNamespace(pix_to_face=pix_to_face, dists=dists, zbuf=zbuf)
        return softmax_rgb_blend(colors, slots, BlendParams(sigma, gamma, background), znear, zfar)

    check_tangent(image, inputs[wanted])


@torch_warns
@emulated
@pytest.mark.parametrize("wanted", range(3))
def test_tangent_of_each_input_of_the_silhouette(wanted):
    pix_to_face, (colors, dists, _, _, sigma, *_) = tangents()
    inputs = colors, dists, sigma

    def image(x):
        colors, dists, sigma = (*inputs[:wanted], x, *inputs[wanted + 1 :])
        slots = SimpleNamespace(pix_to_face=pix_to_face, dists=dists)
        return sigmoid_alpha_blend(colors, slots, BlendParams(sigma))

    check_tangent(image, inputs[wanted])


def check_tangent(function, x):
    """By both of torch's ways, against a difference."""
    tangent = torch.randn_like(x)
    expected = (function(x + 1e-6 * tangent) - function(x - 1e-6 * tangent)) / 2e-6
    assert expected.any()
    torch.testing.assert_close(torch.func.jvp(function, (x,), (tangent,))[1], expected, rtol=1e-5, atol=1e-6)
    with forward_ad.dual_level():
        image = function(forward_ad.make_dual(x, tangent))
        torch.testing.assert_close(forward_ad.unpack_dual(image).tangent, expected, rtol=1e-5, atol=1e-6)


@emulated
def test_silhouette_gradcheck():
    colors, fragments = scene((2, 1, 2, 3))
    inputs = colors.requires_grad_(), fragments.dists.requires_grad_()

    def blend(colors, dists):
        slots = SimpleNamespace(pix_to_face=fragments.pix_to_face, dists=dists)
        return sigmoid_alpha_blend(colors, slots, BlendParams(SIGMA))

    assert gradcheck(blend, inputs)
    assert gradgradcheck(blend, inputs)


def test_hard_gradcheck():
    colors, fragments = scene()
    inputs = colors.requires_grad_(), torch.rand(3, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda colors, b: hard_rgb_blend(colors, fragments, BlendParams(background_color=b)), inputs)


@emulated
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("blend", [sigmoid_alpha_blend, softmax_rgb_blend])
def test_gradients_are_finite_and_zero_in_empty_slots_whatever_they_hold(blend, dtype):
    """Deep inside, far outside, and nothing there: p is 1, 0 or undefined."""
    colors, fragments = scene((1, 8, 8, 5), dtype=dtype)
    fragments.dists = torch.randn(1, 8, 8, 5, dtype=dtype) * 10 ** torch.empty(1, 8, 8, 5, dtype=dtype).uniform_(-9, 9)
    empty = fragments.pix_to_face < 0
    for i, value in enumerate((torch.nan, torch.inf, -torch.inf, -1.0)):
        for x in (fragments.dists, fragments.zbuf, *((colors,) if blend is softmax_rgb_blend else ())):
            x[:, :, i][empty[:, :, i]] = value
    inputs = [x.requires_grad_() for x in (colors, fragments.dists, fragments.zbuf)]
    for learned, create_graph in ((False, False), (False, True), (True, False)):
        sigma = torch.tensor(1e-4, dtype=dtype, requires_grad=learned)
        image = blend(colors, fragments, BlendParams(sigma))
        assert image.isfinite().all()
        grads = torch.autograd.grad(
            image.square().sum(), inputs, allow_unused=blend is sigmoid_alpha_blend, create_graph=create_graph
        )
        for x, grad in zip(inputs, grads, strict=True):
            if grad is not None:
                assert grad.isfinite().all()
                # The silhouette hands on the colour of the nearest slot as it is.
                assert (x is colors and blend is sigmoid_alpha_blend) or (grad[empty] == 0).all()


def test_silhouette_gradient_where_a_face_covers_the_pixel():
    """Alpha is 1 in float32 here, yet the derivative -(1 - alpha) p / sigma is not lost."""
    dists = torch.tensor([[[[-2e-3]]]], requires_grad=True)
    fragments = SimpleNamespace(pix_to_face=torch.zeros(1, 1, 1, 1, dtype=torch.int64), dists=dists)
    alpha = sigmoid_alpha_blend(torch.ones(1, 1, 1, 1, 3), fragments, BlendParams(sigma=1e-4))[..., 3]
    assert alpha.item() == 1.0
    assert torch.autograd.grad(alpha.sum(), dists)[0].item() == pytest.approx(-math.exp(-20) / 1e-4, rel=1e-4)


# Laws.


@settings(deadline=None, max_examples=40)
@given(st.permutations(range(4)))
def test_the_order_of_slots_does_not_matter_to_soft_blends(order):
    colors, fragments = scene()
    other = SimpleNamespace(**{name: value[..., order] for name, value in vars(fragments).items()})
    for blend in (softmax_rgb_blend, lambda *x: sigmoid_alpha_blend(*x)[..., 3:]):
        params = BlendParams(SIGMA, 0.1)
        assert torch.allclose(blend(colors[..., order, :], other, params), blend(colors, fragments, params))


@settings(deadline=None, max_examples=40)
@given(st.floats(1e-6, 1e6))
def test_distances_count_in_units_of_sigma(scale):
    colors, fragments = scene()
    plain = sigmoid_alpha_blend(colors, fragments, BlendParams(SIGMA))
    fragments.dists = fragments.dists * scale
    assert torch.allclose(sigmoid_alpha_blend(colors, fragments, BlendParams(SIGMA * scale)), plain)


@settings(deadline=None, max_examples=40)
@given(st.floats(1e-6, 1e6))
def test_depths_count_in_units_of_the_depth_range(scale):
    colors, fragments = scene()
    plain = softmax_rgb_blend(colors, fragments, BlendParams(SIGMA, 0.1), 1.0, 5.0)
    fragments.zbuf = fragments.zbuf * scale
    assert torch.allclose(softmax_rgb_blend(colors, fragments, BlendParams(SIGMA, 0.1), scale, 5.0 * scale), plain)


@emulated
@pytest.mark.parametrize("blend", [hard_rgb_blend, sigmoid_alpha_blend, softmax_rgb_blend])
def test_an_image_alone_is_that_of_the_batch(blend, device):
    colors, fragments = scene((2, 5, 5, 4), dtype=torch.float32, device=device)
    inputs = [x.requires_grad_() for x in (colors, fragments.dists, fragments.zbuf)]

    def everything(images):
        x = [value[images] for value in inputs]
        slots = SimpleNamespace(pix_to_face=fragments.pix_to_face[images], dists=x[1], zbuf=x[2])
        image = blend(x[0], slots, BlendParams(SIGMA, 0.1))
        grads = torch.autograd.grad(image.square().sum(), x, allow_unused=True)
        return image, *(grad for grad in grads if grad is not None)

    whole = everything(slice(0, 2))
    for n in range(2):
        for alone, want in zip(everything(slice(n, n + 1)), whole, strict=True):
            assert torch.equal(alone, want[n : n + 1])


@emulated
def test_depth_ranges_a_number_or_a_tensor():
    colors, fragments = scene()
    params = BlendParams(SIGMA, 0.1)
    two = softmax_rgb_blend(colors, fragments, params, torch.tensor([1.0, 0.5]), torch.tensor([4.0, 9.0]))
    for n, (near, far) in enumerate([(1.0, 4.0), (0.5, 9.0)]):
        one = softmax_rgb_blend(colors, fragments, params, near, far)
        assert torch.allclose(two[n], one[n])
        shaped = softmax_rgb_blend(
            colors, fragments, params, torch.tensor([near]), torch.tensor(far).reshape(1, 1, 1, 1)
        )
        assert torch.allclose(shaped, one)


@emulated
def test_background_forms():
    """A sequence, a tensor, a picture; one channel stands for all."""
    colors, fragments = scene()
    for blend in (hard_rgb_blend, softmax_rgb_blend):
        plain = blend(colors, fragments, BlendParams(SIGMA, 0.1, (0.2, 0.4, 0.6)))
        color = torch.tensor([0.2, 0.4, 0.6], dtype=torch.float64)
        picture = color.expand(2, 2, 3, 3)
        for background in ([0.2, 0.4, 0.6], color, picture, picture[:1]):
            assert torch.allclose(blend(colors, fragments, BlendParams(SIGMA, 0.1, background)), plain)
        gray = blend(colors, fragments, BlendParams(SIGMA, 0.1, (0.5, 0.5, 0.5)))
        assert torch.allclose(blend(colors, fragments, BlendParams(SIGMA, 0.1, (0.5,))), gray)
        assert blend(colors[..., :1], fragments, BlendParams(SIGMA, 0.1, (0.2, 0.4, 0.6))).shape == (2, 2, 3, 4)


@pytest.mark.parametrize("background", [torch.ones(3).double(), torch.ones(3).half(), torch.ones(3).long(), (1, 1, 1)])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("blend", [hard_rgb_blend, softmax_rgb_blend])
def test_the_background_has_no_part_in_the_dtype(blend, dtype, background):
    colors, fragments = scene(dtype=dtype)
    image = blend(colors, fragments, BlendParams(SIGMA, 0.1, background))
    assert image.dtype == dtype
    assert torch.equal(image, blend(colors, fragments, BlendParams(SIGMA, 0.1)))


@emulated
def test_gradient_of_a_background_picture():
    colors, fragments = scene()
    picture = torch.rand(1, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    params = BlendParams(SIGMA, 0.5, picture)
    assert gradcheck(lambda p: softmax_rgb_blend(colors, fragments, params._replace(background_color=p)), (picture,))


# Types, devices, edges.


@pytest.mark.parametrize("blend", [hard_rgb_blend, sigmoid_alpha_blend, softmax_rgb_blend])
def test_equals_float64_on_each_device(blend, device):
    colors, fragments = scene(device=device)
    single = SimpleNamespace(
        pix_to_face=fragments.pix_to_face, dists=fragments.dists.float(), zbuf=fragments.zbuf.float()
    )
    image = blend(colors.float(), single, BlendParams(SIGMA, 0.1))
    assert image.dtype == torch.float32
    assert torch.allclose(image.double(), blend(colors, fragments, BlendParams(SIGMA, 0.1)), atol=1e-6)


@emulated
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("blend", [sigmoid_alpha_blend, softmax_rgb_blend])
def test_half_precision_is_computed_in_single(blend, dtype):
    colors, fragments = scene(dtype=dtype)
    params = BlendParams(1e-4, 1e-4)
    colors.requires_grad_()
    image = blend(colors, fragments, params)
    single = SimpleNamespace(
        pix_to_face=fragments.pix_to_face, dists=fragments.dists.float(), zbuf=fragments.zbuf.float()
    )
    assert image.dtype == dtype
    assert torch.equal(image, blend(colors.float(), single, params).to(dtype))
    image.sum().backward()
    assert colors.grad.dtype == dtype
    assert blend(colors, single, params).dtype == torch.float32


@emulated
@pytest.mark.parametrize("blend", [hard_rgb_blend, sigmoid_alpha_blend, softmax_rgb_blend])
@pytest.mark.parametrize("shape", [(0, 4, 4, 2), (1, 0, 4, 2), (2, 3, 0, 1)])
def test_no_pixels(blend, shape):
    fragments = SimpleNamespace(
        pix_to_face=torch.zeros(shape, dtype=torch.int64), dists=torch.zeros(shape), zbuf=torch.zeros(shape)
    )
    colors = torch.zeros(*shape, 3, requires_grad=True)
    image = blend(colors, fragments, BlendParams())
    assert image.shape == (*shape[:3], 4)
    image.sum().backward()
    assert colors.grad.shape == colors.shape


@emulated
@pytest.mark.parametrize("blend", [hard_rgb_blend, sigmoid_alpha_blend, softmax_rgb_blend])
def test_strided_and_expanded_input(blend):
    colors, fragments = scene()
    strided = SimpleNamespace(
        **{name: value.transpose(1, 3).contiguous().transpose(1, 3) for name, value in vars(fragments).items()}
    )
    params = BlendParams(SIGMA, 0.1)
    flat = colors[..., :1, :].expand_as(colors)
    assert torch.equal(blend(flat, strided, params), blend(flat.contiguous(), fragments, params))


@pytest.mark.parametrize("numbers", ["floats", "constants", "learned"])
@pytest.mark.parametrize("blend", [hard_rgb_blend, sigmoid_alpha_blend, softmax_rgb_blend])
def test_compiles_in_one_graph(blend, numbers):
    torch.compiler.reset()
    colors, fragments = scene()
    pix_to_face, dists, zbuf = vars(fragments).values()
    sigma, gamma = SIGMA, 0.1
    if numbers != "floats":
        sigma, gamma = (torch.tensor(x).double().requires_grad_(numbers == "learned") for x in (sigma, gamma))
    wanted = [x.requires_grad_() for x in (colors, dists, zbuf, torch.rand(3, dtype=torch.float64))]

    def image(pix_to_face, sigma, gamma, colors, dists, zbuf, background):
        slots = SimpleNamespace(pix_to_face=pix_to_face, dists=dists, zbuf=zbuf)
        return blend(colors, slots, BlendParams(sigma, gamma, background))

    inputs = pix_to_face, sigma, gamma, *wanted
    compiled = torch.compile(image, fullgraph=True, backend="aot_eager")(*inputs)
    torch.testing.assert_close(compiled, image(*inputs))
    if numbers == "learned":
        wanted += [sigma, gamma]
    grads = [torch.autograd.grad(x.square().sum(), wanted, allow_unused=True) for x in (compiled, image(*inputs))]
    torch.testing.assert_close(*grads)


def test_one_tensor_as_two_inputs_compiles():
    torch.compiler.reset()
    colors, fragments = scene()
    depths = fragments.zbuf.requires_grad_()

    def image(colors, pix_to_face, x):
        return softmax_rgb_blend(colors, SimpleNamespace(pix_to_face=pix_to_face, dists=x, zbuf=x), BlendParams(1.0))

    inputs = colors, fragments.pix_to_face, depths
    images = torch.compile(image, fullgraph=True, backend="aot_eager")(*inputs), image(*inputs)
    torch.testing.assert_close(*images)
    torch.testing.assert_close(*(torch.autograd.grad(x.square().sum(), depths) for x in images))


@pytest.mark.parametrize("blend", [sigmoid_alpha_blend, softmax_rgb_blend])
def test_functional_gradient(blend):
    colors, fragments = scene()

    def loss(dists):
        slots = SimpleNamespace(pix_to_face=fragments.pix_to_face, dists=dists, zbuf=fragments.zbuf)
        return blend(colors, slots, BlendParams(SIGMA, 0.1)).square().sum()

    dists = fragments.dists.clone().requires_grad_()
    assert torch.allclose(torch.func.grad(loss)(fragments.dists), torch.autograd.grad(loss(dists), dists)[0])


@emulated
def test_same_bits_in_every_run(device):
    colors, fragments = scene((1, 64, 64, 8), dtype=torch.float32, device=device)
    inputs = [x.requires_grad_() for x in (colors, fragments.dists, fragments.zbuf)]
    runs = [
        torch.autograd.grad(softmax_rgb_blend(colors, fragments, BlendParams()).square().sum(), inputs)
        for _ in range(2)
    ]
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


def test_same_bits_for_every_number_of_threads():
    colors, fragments = scene((2, 64, 64, 8), dtype=torch.float32)
    inputs = [x.requires_grad_() for x in (colors, fragments.dists, fragments.zbuf)]

    def everything():
        image = softmax_rgb_blend(colors, fragments, BlendParams(SIGMA, 0.01))
        return image, *torch.autograd.grad(image.square().sum(), inputs)

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        want = everything()
        for threads in (2, 5):
            torch.set_num_threads(threads)
            assert all(torch.equal(a, b) for a, b in zip(everything(), want, strict=True))
    finally:
        torch.set_num_threads(before)


@torch_warns
@emulated
def test_opcheck(device):
    colors, fragments = scene(dtype=torch.float32, device=device)
    one = colors.new_ones(1)
    inputs = (
        *(colors, fragments.dists, fragments.zbuf, fragments.pix_to_face, colors.new_ones(1, 3), one, 100 * one),
        *(SIGMA, 0.1, 1e-10),
    )
    torch.library.opcheck(torch.ops.patina3d.blending_forward.default, inputs)
    image = softmax_rgb_blend(colors, fragments, BlendParams(SIGMA, 0.1))
    for wanted in ([True, True, True, True], [False, True, False, False], [True, False, True, False]):
        torch.library.opcheck(torch.ops.patina3d.blending_backward.default, (*inputs, image, image, wanted))


@emulated
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_narrowest_border_and_the_sharpest_depth(dtype):
    colors, fragments = scene(dtype=dtype)
    fragments.dists[0, 1] = 0.0
    inputs = [x.requires_grad_() for x in (colors, fragments.dists, fragments.zbuf)]
    image = softmax_rgb_blend(colors, fragments, BlendParams(1e-320, 1e-320))
    assert image.isfinite().all()
    (grad,) = torch.autograd.grad(image.sum(), inputs[0])
    assert grad.isfinite().all()


def test_only_the_inputs_are_kept_for_the_backward_pass():
    colors, fragments = scene((1, 8, 8, 16))
    fragments.dists.requires_grad_()
    kept = []
    known = {x.data_ptr() for x in (colors, *vars(fragments).values())}
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        sigmoid_alpha_blend(colors, fragments, BlendParams())
        softmax_rgb_blend(colors, fragments, BlendParams())
    assert len(kept) > 0
    assert all(x.data_ptr() in known or x.numel() < fragments.dists.numel() for x in kept)


@pytest.mark.parametrize("blend", [hard_rgb_blend, sigmoid_alpha_blend, softmax_rgb_blend])
@pytest.mark.parametrize("shape", [(2, 2, 3, 4), (2, 2, 3, 1, 3), (1, 2, 3, 4, 3)])
def test_colors_must_fit_the_fragments(blend, shape):
    _, fragments = scene()
    with pytest.raises(ValueError, match=rf"{blend.__name__}: colors must be \(N, H, W, K, C\)"):
        blend(torch.zeros(shape), fragments, BlendParams())


SOFT = [sigmoid_alpha_blend, softmax_rgb_blend, by_coverage]
ALL = [hard_rgb_blend, *SOFT]
SHORT = torch.zeros(2, 2, 3, 1, dtype=torch.float64)


@pytest.mark.parametrize(
    ("blends", "change", "error", "message"),
    [
        (ALL, {"pix_to_face": None}, TypeError, "fragments.pix_to_face must be an int64 tensor, got NoneType"),
        (
            ALL,
            {"pix_to_face": torch.zeros(2, 2, 3, 4, dtype=torch.int32)},
            TypeError,
            "fragments.pix_to_face must be an int64 tensor, got int32",
        ),
        (
            ALL,
            {"pix_to_face": torch.zeros(2, 2, dtype=torch.int64)},
            ValueError,
            r"fragments.pix_to_face must be \(N, H, W, K\), got \(2, 2\)",
        ),
        (SOFT, {"dists": None}, TypeError, "fragments.dists must be a floating tensor, got NoneType"),
        (SOFT, {"dists": SHORT.long()}, TypeError, "fragments.dists must be a floating tensor, got int64"),
        (
            SOFT,
            {"dists": SHORT},
            ValueError,
            r"fragments.dists must be \(N, H, W, K\) = \(2, 2, 3, 4\), got \(2, 2, 3, 1\)",
        ),
        (SOFT, {"dists": SHORT.to("meta")}, ValueError, "fragments.dists must be on cpu, as pix_to_face, got meta"),
        ([softmax_rgb_blend], {"zbuf": None}, TypeError, "fragments.zbuf must be a floating tensor, got NoneType"),
        ([softmax_rgb_blend], {"zbuf": SHORT}, ValueError, r"fragments.zbuf must be \(N, H, W, K\)"),
    ],
)
@pytest.mark.parametrize("learned", [False, True])
def test_fragments_must_fit(blends, change, error, message, learned):
    """On every path: a learned sigma takes torch's."""
    colors, fragments = scene()
    vars(fragments).update(change)
    for blend in blends:
        with pytest.raises(error, match=f"^{blend.__name__}: {message}"):
            blend(colors, fragments, BlendParams(torch.tensor(SIGMA, requires_grad=learned)))


@pytest.mark.parametrize(
    ("blend", "params", "error", "message"),
    [
        (sigmoid_alpha_blend, BlendParams(sigma=0.0), ValueError, "sigma must be positive, got 0.0"),
        (softmax_rgb_blend, BlendParams(sigma=-1.0), ValueError, "sigma must be positive, got -1.0"),
        (softmax_rgb_blend, BlendParams(gamma=math.nan), ValueError, "gamma must be positive, got nan"),
        (softmax_rgb_blend, BlendParams(gamma=torch.tensor([0.0])), ValueError, "gamma must be positive, got 0.0"),
        (
            sigmoid_alpha_blend,
            BlendParams(sigma=torch.tensor(-1.0, requires_grad=True)),
            ValueError,
            "sigma must be positive, got -1.0",
        ),
        (by_coverage, BlendParams(sigma=0.0), ValueError, "sigma must be positive, got 0.0"),
        (softmax_rgb_blend, BlendParams(background_color=(1.0, 1.0)), ValueError, r"background_color .* \(2,\)"),
        (softmax_rgb_blend, BlendParams(background_color=()), ValueError, r"background_color must .* shape \(0,\)"),
        (hard_rgb_blend, BlendParams(background_color=()), ValueError, r"background_color must .* shape \(0,\)"),
        (
            softmax_rgb_blend,
            BlendParams(background_color=1.0),
            TypeError,
            "background_color must be a tensor or a sequence of numbers, got 1.0",
        ),
        (
            hard_rgb_blend,
            BlendParams(background_color=("white",)),
            TypeError,
            r"background_color must be a tensor or a sequence of numbers, got \('white',\)",
        ),
        (hard_rgb_blend, BlendParams(background_color=torch.ones(3, 1, 1, 3)), ValueError, "background_color must"),
        (hard_rgb_blend, BlendParams(background_color=torch.tensor(1.0)), ValueError, "background_color must"),
    ],
)
def test_errors_name_the_argument(blend, params, error, message):
    with pytest.raises(error, match=f"^{blend.__name__}: {message}"):
        blend(*scene(), params)


@pytest.mark.parametrize("blend", [hard_rgb_blend, sigmoid_alpha_blend, softmax_rgb_blend])
def test_colors_are_floating_and_beside_the_fragments(blend):
    colors, fragments = scene()
    with pytest.raises(TypeError, match=f"{blend.__name__}: colors must be a floating tensor, got uint8"):
        blend(colors.byte(), fragments, BlendParams())
    with pytest.raises(ValueError, match=f"{blend.__name__}: colors must be on cpu, as pix_to_face, got meta"):
        blend(colors.to("meta"), fragments, BlendParams())


def test_depth_range_must_fit_the_batch():
    with pytest.raises(ValueError, match=r"softmax_rgb_blend: zfar must hold one value or one for each of 2 images"):
        softmax_rgb_blend(*scene(), BlendParams(), 1.0, torch.ones(3))


def test_no_slots():
    fragments = SimpleNamespace(pix_to_face=torch.zeros(1, 2, 2, 0, dtype=torch.int64))
    with pytest.raises(ValueError, match="at least one face per pixel, got none"):
        hard_rgb_blend(torch.zeros(1, 2, 2, 0, 3), fragments, BlendParams())


# Borders and sharpness that are learned.


@pytest.mark.parametrize("shape", [(), (1,)])
def test_sigma_and_gamma_gradcheck(shape):
    colors, fragments = scene(shape=(1, 1, 2, 3))
    # What stands in empty slots must not reach the gradient.
    empty = fragments.pix_to_face < 0
    fragments.dists[empty] = math.inf
    fragments.zbuf[empty] = math.nan
    sigma, gamma = (torch.full(shape, value, dtype=torch.float64, requires_grad=True) for value in (SIGMA, 0.3))

    def soft(sigma, gamma, znear):
        return softmax_rgb_blend(colors, fragments, BlendParams(sigma, gamma), znear=znear, zfar=5.0)

    def silhouette(sigma):
        return sigmoid_alpha_blend(colors, fragments, BlendParams(sigma))

    znear = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    assert gradcheck(soft, (sigma, gamma, znear))
    assert gradcheck(silhouette, sigma)
    assert gradcheck(lambda sigma: blending.face_coverage("test", fragments, BlendParams(sigma)), sigma)
    assert gradcheck(lambda gamma: soft(SIGMA, gamma, 0.5), gamma)


@pytest.mark.parametrize("blend", [softmax_rgb_blend, sigmoid_alpha_blend])
def test_a_learned_sigma_changes_no_value_and_no_other_gradient(blend):
    colors, fragments = scene()
    fragments.dists.requires_grad_()
    results = []
    for learned in (False, True):
        sigma = torch.tensor(SIGMA, dtype=torch.float64, requires_grad=learned)
        image = blend(colors, fragments, BlendParams(sigma, gamma=0.3))
        results.append((image.detach(), *torch.autograd.grad(image.square().sum(), fragments.dists)))
    torch.testing.assert_close(*results)


def test_sigma_holds_one_value():
    with pytest.raises(ValueError, match=r"softmax_rgb_blend: sigma must hold one value, got shape \(2,\)"):
        softmax_rgb_blend(*scene(), BlendParams(sigma=torch.ones(2)))
