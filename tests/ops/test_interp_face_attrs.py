# SPDX-License-Identifier: Apache-2.0
"""Interpolation of corner values at rasterized points."""

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import forward_ad, gradcheck, gradgradcheck

from patina3d.core import _native
from patina3d.ops import interp_face_attrs
from patina3d.ops.interp_face_attrs import interpolate_face_attributes, interpolate_face_attributes_python

emulated = pytest.mark.emulated
# Torch's own machinery uses what torch deprecates.
torch_warns = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")


def scene(shape=(2, 3, 4, 2), num_faces=5, channels=3, dtype=torch.float64, device="cpu"):
    pix_to_face = torch.randint(-1, num_faces, shape, device=device)
    weights = torch.rand(*shape, 3, dtype=dtype, device=device)
    return pix_to_face, weights, torch.randn(num_faces, 3, channels, dtype=dtype, device=device)


def by_loops(pix_to_face, weights, values):
    out = torch.zeros(*pix_to_face.shape, values.shape[-1], dtype=values.dtype)
    for slot in torch.cartesian_prod(*map(torch.arange, pix_to_face.shape)).tolist():
        face = pix_to_face[tuple(slot)].item()
        if face >= 0:
            out[tuple(slot)] = sum(weights[(*slot, i)] * values[face, i] for i in range(3))
    return out


@emulated
@pytest.mark.parametrize("function", [interpolate_face_attributes, interpolate_face_attributes_python])
@pytest.mark.parametrize("channels", [0, 1, 3, 7])
def test_equals_definition(function, channels):
    inputs = scene(channels=channels)
    assert torch.allclose(function(*inputs), by_loops(*inputs))


@emulated
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_equals_the_python_form_on_each_device(device, dtype):
    pix_to_face, weights, values = scene(dtype=dtype, device=device)
    out = interpolate_face_attributes(pix_to_face, weights, values)
    expected = interpolate_face_attributes_python(pix_to_face, weights.double(), values.double())
    assert out.dtype == dtype
    assert torch.allclose(out.double(), expected, rtol=0, atol=8 * torch.finfo(dtype).eps)


def test_the_wider_dtype_wins():
    pix_to_face, weights, values = scene()
    assert interpolate_face_attributes(pix_to_face, weights.float(), values).dtype == torch.float64
    assert interpolate_face_attributes(pix_to_face, weights, values.half()).dtype == torch.float64


@emulated
@pytest.mark.parametrize("of", [(True, True), (True, False), (False, True)])
def test_gradcheck(of, device):
    pix_to_face, weights, values = scene((1, 2, 3, 2), num_faces=3, device=device)
    inputs = [x.requires_grad_(wants) for x, wants in zip((weights, values), of, strict=True)]
    assert gradcheck(lambda *x: interpolate_face_attributes(pix_to_face, *x), inputs)
    assert gradgradcheck(lambda *x: interpolate_face_attributes(pix_to_face, *x), inputs)


@pytest.mark.parametrize("of", [(True, True), (True, False), (False, True)])
def test_only_what_asks_for_a_gradient_gets_one(monkeypatch, of):
    pix_to_face, weights, values = scene()
    asked, backward = [], interp_face_attrs._backward
    monkeypatch.setattr(interp_face_attrs, "_backward", lambda *x: asked.append(x[-2:]) or backward(*x))
    inputs = [x.requires_grad_(wants) for x, wants in zip((weights, values), of, strict=True)]
    interpolate_face_attributes(pix_to_face, *inputs).sum().backward()
    assert asked == [of]


def test_third_derivative(device):
    pix_to_face, weights, values = scene((1, 1, 3, 2), num_faces=2, channels=2, device=device)
    inputs = weights.requires_grad_(), values.requires_grad_()

    def second(*x):
        first = torch.autograd.grad(interpolate_face_attributes(pix_to_face, *x).pow(3).sum(), x, create_graph=True)
        return torch.autograd.grad(sum(grad.square().sum() for grad in first), x, create_graph=True)

    assert gradcheck(second, inputs)


@emulated
@pytest.mark.parametrize("upstream", [2.0, torch.inf])
@pytest.mark.parametrize("of", ["weights", "values"])
def test_second_derivative_of_one_input_is_zero(of, upstream):
    """The result is linear in each: what does not depend on the other is no 0 times infinity."""
    pix_to_face, weights, values = scene()
    leaf = {"weights": weights, "values": values}[of].requires_grad_()
    up = torch.full((*pix_to_face.shape, 3), upstream, dtype=torch.float64, requires_grad=True)
    out = interpolate_face_attributes(pix_to_face, weights, values)
    (grad,) = torch.autograd.grad(out, leaf, up, create_graph=True)
    second, of_up = torch.autograd.grad(grad, (leaf, up), torch.ones_like(grad), allow_unused=True)
    assert second is None or (second == 0).all()
    along = {"weights": weights, "values": values} | {of: torch.ones_like(leaf)}
    torch.testing.assert_close(of_up, interpolate_face_attributes(pix_to_face, *along.values()))


@pytest.mark.parametrize(
    ("leaves", "to", "passes"),
    [
        (("weights",), 0, {"forward": 0, "backward": 0}),
        (("values",), 0, {"forward": 0, "backward": 0}),
        (("weights", "up"), 0, {"forward": 1, "backward": 0}),
        (("weights", "values"), 0, {"forward": 0, "backward": 1}),
        (("weights", "values", "up"), 1, {"forward": 1, "backward": 1}),
    ],
)
def test_the_second_derivative_computes_what_is_asked_for(monkeypatch, leaves, to, passes):
    pix_to_face, weights, values = scene()
    tensors = {"weights": weights, "values": values, "up": torch.rand(*pix_to_face.shape, 3).double()}
    wanted = [tensors[name].requires_grad_() for name in leaves]
    out = interpolate_face_attributes(pix_to_face, weights, values)
    first = torch.autograd.grad(out, wanted[to], tensors["up"], create_graph=True)[0]
    calls = {"forward": 0, "backward": 0}
    for which in calls:
        native = getattr(interp_face_attrs, f"_{which}")
        monkeypatch.setattr(interp_face_attrs, f"_{which}", counted(native, calls, which))
    torch.autograd.grad(first.sum(), wanted, allow_unused=True)
    assert calls == passes


def counted(function, calls, name):
    def count(*inputs):
        calls[name] += 1
        return function(*inputs)

    return count


@emulated
def test_gradient_equals_the_python_form(device):
    pix_to_face, weights, values = scene(device=device)
    seed = torch.randn(*pix_to_face.shape, values.shape[-1], dtype=values.dtype, device=device)
    inputs = weights.requires_grad_(), values.requires_grad_()
    grads = [
        torch.autograd.grad(function(pix_to_face, *inputs), inputs, seed)
        for function in (interpolate_face_attributes, interpolate_face_attributes_python)
    ]
    for ours, expected in zip(*grads, strict=True):
        assert torch.allclose(ours, expected)


@emulated
@pytest.mark.parametrize("function", [interpolate_face_attributes, interpolate_face_attributes_python])
@pytest.mark.parametrize("empty", [-1, -7])
def test_empty_slots_are_zero_whatever_they_hold(function, empty):
    pix_to_face, weights, values = scene()
    pix_to_face[:, 1] = empty
    pix_to_face[0, 0, 0] = 1
    weights[pix_to_face < 0] = torch.nan
    weights.requires_grad_()
    values.requires_grad_()
    out = function(pix_to_face, weights, values)
    assert (out[pix_to_face < 0] == 0).all()
    assert out.isfinite().all()
    out.square().sum().backward()
    assert (weights.grad[pix_to_face < 0] == 0).all()
    assert (weights.grad[0, 0, 0] != 0).all()
    assert weights.grad.isfinite().all()
    assert values.grad.isfinite().all()


@settings(deadline=None, max_examples=40)
@given(st.permutations(range(5)))
def test_the_numbering_of_faces_does_not_matter(order):
    pix_to_face, weights, values = scene()
    order = torch.tensor(order)
    renumbered = torch.where(pix_to_face < 0, -1, order.argsort()[pix_to_face.clamp(min=0)])
    assert torch.equal(
        interpolate_face_attributes(pix_to_face, weights, values),
        interpolate_face_attributes(renumbered, weights, values[order]),
    )


@settings(deadline=None, max_examples=40)
@given(st.floats(1e-6, 1e6))
def test_linear_in_the_values(scale):
    pix_to_face, weights, values = scene()
    assert torch.allclose(
        interpolate_face_attributes(pix_to_face, weights, values * scale),
        interpolate_face_attributes(pix_to_face, weights, values) * scale,
    )


@emulated
@pytest.mark.parametrize("shape", [(0, 2, 2, 1), (1, 0, 2, 1), (1, 2, 2, 0), (2, 3, 3, 2)])
@pytest.mark.parametrize("function", [interpolate_face_attributes, interpolate_face_attributes_python])
def test_no_faces_and_no_slots(function, shape, device):
    values = torch.zeros(0, 3, 4, device=device, requires_grad=True)
    weights = torch.zeros(*shape, 3, device=device, requires_grad=True)
    out = function(torch.full(shape, -1, device=device), weights, values)
    assert out.shape == (*shape, 4)
    assert (out == 0).all()
    out.sum().backward()
    assert values.grad.shape == values.shape
    assert (weights.grad == 0).all()


@emulated
def test_strided_and_expanded_input():
    pix_to_face, weights, values = scene()
    out = interpolate_face_attributes(
        pix_to_face.transpose(1, 2).contiguous().transpose(1, 2),
        weights.flip(-1).flip(-1).transpose(0, 3).contiguous().transpose(0, 3),
        values[:, :1].expand(-1, 3, -1),
    )
    assert torch.equal(out, interpolate_face_attributes(pix_to_face, weights, values[:, :1].repeat(1, 3, 1)))


@emulated
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [(5, 5), (1, 33), (8, 8)])
def test_an_image_alone_has_the_bits_it_has_in_a_batch(size, dtype, device):
    """Also where its pixels are no whole number of warps."""
    pix_to_face, weights, _ = scene((3, *size, 3), num_faces=2, dtype=dtype, device=device)
    batch = torch.where(pix_to_face < 0, -9, pix_to_face + torch.tensor([0, 2, 4], device=device).reshape(3, 1, 1, 1))
    values = torch.randn(6, 3, 4, dtype=dtype, device=device)
    inputs = weights.requires_grad_(), values.requires_grad_()
    upstream = torch.randn(*pix_to_face.shape, values.shape[-1], dtype=dtype, device=device)

    def everything(images, faces):
        x = inputs[0][images], inputs[1][faces]
        out = interpolate_face_attributes(batch[images] - faces.start, *x)
        return out, *torch.autograd.grad(out, x, upstream[images])

    whole = everything(slice(0, 3), slice(0, 6))
    for n in range(3):
        one, its_faces = slice(n, n + 1), slice(2 * n, 2 * n + 2)
        alone = everything(one, its_faces)
        for got, want in zip(alone, (whole[0][one], whole[1][one], whole[2][its_faces]), strict=True):
            assert torch.equal(got, want)


@emulated
def test_same_bits_in_every_run(device):
    pix_to_face, weights, values = scene((1, 64, 64, 8), num_faces=7, dtype=torch.float32, device=device)
    inputs = weights.requires_grad_(), values.requires_grad_()

    def run():
        return torch.autograd.grad(interpolate_face_attributes(pix_to_face, *inputs).square().sum(), inputs)

    first, second = run(), run()
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_same_bits_for_every_number_of_threads():
    pix_to_face, weights, values = scene((2, 64, 64, 8), num_faces=50, channels=6, dtype=torch.float32)
    inputs = weights.requires_grad_(), values.requires_grad_()

    def everything():
        out = interpolate_face_attributes(pix_to_face, *inputs)
        return out, *torch.autograd.grad(out.square().sum(), inputs)

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
    inputs = scene(channels=4, dtype=torch.float32, device=device)
    forward, backward = (getattr(torch.ops.patina3d, f"interp_face_attrs_{x}").default for x in ("forward", "backward"))
    torch.library.opcheck(forward, inputs)
    grad = interpolate_face_attributes(*inputs)
    for wanted in ((True, True), (False, True), (True, False)):
        torch.library.opcheck(backward, (*inputs, grad, *wanted))


def test_functional_gradient():
    pix_to_face, weights, values = scene()

    def loss(weights):
        return interpolate_face_attributes(pix_to_face, weights, values).square().sum()

    leaf = weights.clone().requires_grad_()
    assert torch.allclose(torch.func.grad(loss)(weights), torch.autograd.grad(loss(leaf), leaf)[0])


def test_compiles_in_one_graph():
    pix_to_face, *inputs = scene()
    wanted = [x.requires_grad_() for x in inputs]
    compiled = torch.compile(interpolate_face_attributes, fullgraph=True, backend="aot_eager")
    outs = compiled(pix_to_face, *wanted), interpolate_face_attributes(pix_to_face, *wanted)
    torch.testing.assert_close(*outs)
    torch.testing.assert_close(*(torch.autograd.grad(out.square().sum(), wanted) for out in outs))


@torch_warns
@pytest.mark.parametrize("of", ["weights", "values"])
def test_forward_mode_is_refused(of):
    pix_to_face, weights, values = scene()

    def mix(x):
        return interpolate_face_attributes(pix_to_face, *({"weights": weights, "values": values} | {of: x}).values())

    x = {"weights": weights, "values": values}[of]
    with pytest.raises(NotImplementedError):
        torch.func.jvp(mix, (x,), (x,))
    with forward_ad.dual_level(), pytest.raises(NotImplementedError):
        mix(forward_ad.make_dual(x, x))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"pix_to_face": [[[[0]]]]}, TypeError, "pix_to_face must be a torch.Tensor, got list"),
        ({"values": None}, TypeError, "face_attributes must be a torch.Tensor, got NoneType"),
        ({"pix_to_face": torch.zeros(1, 2, 2, 1).int()}, TypeError, "pix_to_face must be int64, got int32"),
        (
            {"weights": torch.zeros(1, 2, 2, 1, 3).long()},
            TypeError,
            "barycentric_coords must be float32 or float64, got",
        ),
        ({"values": torch.zeros(1, 3, 2).byte()}, TypeError, "face_attributes must be float32, got uint8"),
        (
            {"pix_to_face": torch.zeros(1, 2, 2).long()},
            ValueError,
            "pix_to_face must be of shape (N, H, W, K), got (1,",
        ),
        (
            {"weights": torch.zeros(1, 2, 2, 3)},
            ValueError,
            "barycentric_coords must be of shape (N, H, W, K, 3) = (1, 2, 2, 1, 3), got (1, 2, 2, 3)",
        ),
        (
            {"values": torch.zeros(3, 2)},
            ValueError,
            "face_attributes must be of shape (F, 3, D) = (_, 3, _), got (3, 2)",
        ),
        ({"values": torch.zeros(1, 4, 2)}, ValueError, "face_attributes must be of shape (F, 3, D) = (_, 3, _), got"),
    ],
)
def test_errors_name_the_argument(change, error, message):
    arguments = {
        "pix_to_face": torch.zeros(1, 2, 2, 1, dtype=torch.int64),
        "weights": torch.zeros(1, 2, 2, 1, 3),
        "values": torch.zeros(1, 3, 2),
    } | change
    with pytest.raises(error, match=re.escape(f"interpolate_face_attributes: {message}")):
        interpolate_face_attributes(*arguments.values())


@emulated
@pytest.mark.parametrize("face", [5, 2**62])
def test_a_face_out_of_range(face):
    pix_to_face, weights, values = scene()
    pix_to_face[0, 1, 2, 1] = face
    if _native.is_emulating():
        # Where looking would wait for the device, its slot is empty.
        empty = torch.where(pix_to_face == face, -1, pix_to_face)
        out = interpolate_face_attributes(pix_to_face, weights, values)
        assert torch.equal(out, interpolate_face_attributes(empty, weights, values))
    else:
        with pytest.raises(ValueError, match=f"pix_to_face must be indices of 5 faces, got {face}"):
            interpolate_face_attributes(pix_to_face, weights, values)
