# SPDX-License-Identifier: Apache-2.0
"""Chamfer distance: the definition in float64, gradients, laws, edges, errors."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import forward_ad, gradcheck, gradgradcheck
from torch.nn.functional import cosine_similarity, normalize
from torch.utils._python_dispatch import TorchDispatchMode

from patina3d.core import _native
from patina3d.loss import chamfer_distance
from patina3d.loss._reference.chamfer import nearest_both_ways
from patina3d.ops import PointIndex, knn_points
from patina3d.ops.point_index import NO_TREES
from patina3d.structures import Pointclouds
from support.emulator import needs_emulator, on_cpu_and_emulated

emulated = pytest.mark.emulated
laws = settings(max_examples=15, deadline=None)
seeds = st.integers(0, 2**31 - 1)

# Torch's own machinery uses what torch deprecates.
torch_warns = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")

REDUCTIONS = [(b, p) for p in ("mean", "sum", "max") for b in ("mean", "sum", None)] + [(None, None)]


class Batch:
    """Two batches of clouds with normals; lengths with an empty cloud on either side."""

    def __init__(self, dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu", d: int = 3) -> None:
        def rand(points: int) -> Tensor:
            return torch.randn((4, points, d), dtype=torch.float64).to(device, dtype)

        self.x, self.y, self.x_normals, self.y_normals = rand(6), rand(9), rand(6), rand(9)
        self.x_lengths = torch.tensor([6, 3, 0, 4], device=device)
        self.y_lengths = torch.tensor([9, 5, 4, 0], device=device)
        self.weights = torch.tensor([1.0, 0.5, 2, 3], device=device, dtype=dtype)

    def arguments(self, *, normals: bool, lengths: bool, weights: bool) -> dict[str, Tensor]:
        names = ["x", "y", *["x_lengths", "y_lengths"] * lengths, *["x_normals", "y_normals"] * normals]
        return {name: getattr(self, name) for name in [*names, *["weights"] * weights]}


def one_way(x: Tensor, y: Tensor, x_normals: Tensor, y_normals: Tensor, norm: int, *, absolute: bool) -> list[Tensor]:
    """Distance and normal term of each point of one cloud, by definition."""
    if len(y) == 0:
        return [x.new_zeros(len(x)), x.new_zeros(len(x))]
    difference = x[:, None] - y
    dists = difference.abs().sum(-1) if norm == 1 else difference.square().sum(-1)
    nearest = dists.min(1)
    cosine = cosine_similarity(x_normals, y_normals[nearest.indices], dim=1, eps=1e-6)
    return [nearest.values, 1 - (cosine.abs() if absolute else cosine)]


def definition(
    batch: Batch, *, lengths: bool, weights: bool, norm: int, absolute: bool, reductions: tuple, single: bool
) -> list:
    """[loss, loss_normals] cloud by cloud."""
    over_batch, over_points = reductions
    n = len(batch.x)
    totals: list[list[Tensor]] = [[], []]
    points: list[list[Tensor]] = [[], []]
    for i in range(n):
        a, b = (batch.x_lengths[i], batch.y_lengths[i]) if lengths else (batch.x.shape[1], batch.y.shape[1])
        x, y, xn, yn = batch.x[i, :a], batch.y[i, :b], batch.x_normals[i, :a], batch.y_normals[i, :b]
        ways = [one_way(x, y, xn, yn, norm, absolute=absolute), one_way(y, x, yn, xn, norm, absolute=absolute)]
        weight = batch.weights[i] if weights else 1
        for term in range(2):
            of_ways = [weight * way[term] for way in ways[: 1 if single else 2]]
            points[term] += [of_ways]
            if over_points is None:
                continue
            reduced = [
                w.sum() / (max(len(w), 1) if over_points == "mean" else 1)
                if over_points != "max"
                else (w.max() if len(w) else w.sum())
                for w in of_ways
            ]
            totals[term].append(torch.stack(reduced).max() if over_points == "max" else torch.stack(reduced).sum())
    if over_points is None:
        sizes = (batch.x.shape[1], batch.y.shape[1])
        padded = [
            [
                torch.stack([torch.nn.functional.pad(cloud[way], (0, sizes[way] - len(cloud[way]))) for cloud in term])
                for way in range(1 if single else 2)
            ]
            for term in points
        ]
        return [term[0] if single else tuple(term) for term in padded]
    stacked = [torch.stack(term) for term in totals]
    if over_batch == "sum":
        return [term.sum() for term in stacked]
    if over_batch == "mean":
        return [term.sum() / (batch.weights.sum() if weights else n) for term in stacked]
    return stacked


@emulated
@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("reductions", REDUCTIONS)
def test_definition(reductions, lengths, weights, single, device):
    batch = Batch(device=device)
    for norm, absolute in ((1, True), (2, False), (2, True)):
        normals = reductions[1] != "max"
        got = chamfer_distance(
            **batch.arguments(normals=normals, lengths=lengths, weights=weights),
            batch_reduction=reductions[0],
            point_reduction=reductions[1],
            norm=norm,
            single_directional=single,
            abs_cosine=absolute,
        )
        want = definition(
            batch, lengths=lengths, weights=weights, norm=norm, absolute=absolute, reductions=reductions, single=single
        )
        torch.testing.assert_close(got[0], want[0])
        if normals:
            torch.testing.assert_close(got[1], want[1])
        else:
            assert got[1] is None


def test_float32_keeps_its_dtype(device):
    batch, wide = Batch(torch.float32, device), Batch(torch.float64, device)
    for name in ("x", "y", "x_normals", "y_normals"):
        setattr(wide, name, getattr(batch, name).double())
    got = chamfer_distance(**batch.arguments(normals=True, lengths=True, weights=True))
    want = chamfer_distance(**wide.arguments(normals=True, lengths=True, weights=True))
    for a, b in zip(got, want, strict=True):
        assert a.dtype == torch.float32
        torch.testing.assert_close(a.double(), b, rtol=1e-5, atol=1e-6)


def test_known_values(device):
    x = torch.tensor([[[0.0, 0], [1, 0]]], device=device)
    y = torch.tensor([[[0.0, 3]]], device=device)
    # x to y: 9 and 10; y to x: 9.
    assert chamfer_distance(x, y)[0].item() == 9.5 + 9
    assert chamfer_distance(x, y, point_reduction="sum")[0].item() == 28
    assert chamfer_distance(x, y, point_reduction="max")[0].item() == 10
    assert chamfer_distance(x, y, norm=1)[0].item() == 3.5 + 3
    assert chamfer_distance(x, y, single_directional=True)[0].item() == 9.5


def test_gradcheck(device):
    batch = Batch(device=device)
    for name in ("x", "y", "x_normals", "y_normals", "weights"):
        getattr(batch, name).requires_grad_()

    def loss(x: Tensor, y: Tensor, x_normals: Tensor, y_normals: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        return chamfer_distance(x, y, batch.x_lengths, batch.y_lengths, x_normals, y_normals, weights)

    assert gradcheck(loss, (batch.x, batch.y, batch.x_normals, batch.y_normals, batch.weights))
    for norm, over in ((1, "mean"), (2, "max")):
        assert gradcheck(
            lambda x, y, norm=norm, over=over: chamfer_distance(x, y, norm=norm, point_reduction=over)[0],
            (batch.x, batch.y),
        )
    assert gradgradcheck(lambda x, y: chamfer_distance(x, y)[0], (batch.x, batch.y))


@laws
@given(seeds)
def test_blind_to_order_and_symmetric(seed):
    generator = torch.Generator().manual_seed(seed)
    x, y = (torch.randn((2, p, 3), generator=generator, dtype=torch.float64) for p in (5, 8))
    loss = chamfer_distance(x, y)[0]
    order = torch.randperm(8, generator=generator)
    torch.testing.assert_close(chamfer_distance(x, y[:, order])[0], loss)
    torch.testing.assert_close(chamfer_distance(y, x)[0], loss)
    assert chamfer_distance(x, x)[0] == 0
    rotation, _ = torch.linalg.qr(torch.randn((3, 3), generator=generator, dtype=torch.float64))
    torch.testing.assert_close(chamfer_distance(x @ rotation + 1, y @ rotation + 1)[0], loss)


@laws
@given(seeds, st.integers(-20, 20), st.sampled_from([torch.float32, torch.float64]))
def test_scale(seed, exponent, dtype):
    generator = torch.Generator().manual_seed(seed)
    x, y = (torch.randn((2, p, 3), generator=generator).to(dtype).requires_grad_() for p in (5, 8))
    scale = 2.0**exponent
    for norm in (1, 2):
        loss, scaled = chamfer_distance(x, y, norm=norm)[0], chamfer_distance(scale * x, scale * y, norm=norm)[0]
        assert scaled == scale**norm * loss
        (plain,) = torch.autograd.grad(loss, x)
        (of_scaled,) = torch.autograd.grad(scaled, x)
        assert torch.equal(of_scaled, scale**norm * plain)


@laws
@given(seeds)
def test_a_cloud_alone_equals_the_cloud_in_a_batch(seed):
    torch.manual_seed(seed)
    x, y, xn, yn = (torch.randn(1, p, 3) for p in (4, 6, 4, 6))
    alone = chamfer_distance(x, y, x_normals=xn, y_normals=yn, batch_reduction=None)
    noise = torch.randn(2, 12, 3)

    def padded(values: Tensor) -> Tensor:
        # What lies beyond the length must not count.
        out = noise.clone()
        out[1, : values.shape[1]] = values[0]
        return out

    together = chamfer_distance(
        *(padded(x), padded(y), torch.tensor([7, 4]), torch.tensor([9, 6]), padded(xn), padded(yn)),
        batch_reduction=None,
    )
    for a, b in zip(alone, together, strict=True):
        torch.testing.assert_close(a[0], b[1])


def test_pointclouds_bring_lengths_and_normals():
    batch = Batch(torch.float32)
    clouds_x = Pointclouds(
        [p[:length] for p, length in zip(batch.x, batch.x_lengths.tolist(), strict=True)],
        [p[:length] for p, length in zip(batch.x_normals, batch.x_lengths.tolist(), strict=True)],
    )
    clouds_y = Pointclouds(
        [p[:length] for p, length in zip(batch.y, batch.y_lengths.tolist(), strict=True)],
        [p[:length] for p, length in zip(batch.y_normals, batch.y_lengths.tolist(), strict=True)],
    )
    want = chamfer_distance(**batch.arguments(normals=True, lengths=True, weights=False))
    torch.testing.assert_close(chamfer_distance(clouds_x, clouds_y), want)
    ignored = torch.zeros(4, dtype=torch.int64)
    torch.testing.assert_close(chamfer_distance(clouds_x, clouds_y, ignored, ignored), want)
    # Normals on one side alone do not count.
    assert chamfer_distance(clouds_x, batch.y, y_lengths=batch.y_lengths)[1] is None


@emulated
@pytest.mark.parametrize("point_reduction", ["mean", "sum", "max"])
@pytest.mark.parametrize(("n", "num_x", "num_y"), [(0, 3, 3), (2, 0, 3), (2, 3, 0), (2, 0, 0)])
def test_empty(n, num_x, num_y, point_reduction, device):
    x = torch.rand((n, num_x, 3), device=device, requires_grad=True)
    y = torch.rand((n, num_y, 3), device=device, requires_grad=True)
    normals = {} if point_reduction == "max" else {"x_normals": x, "y_normals": y}
    for over_batch, shape in (("mean", ()), ("sum", ()), (None, (n,))):
        losses = chamfer_distance(x, y, **normals, batch_reduction=over_batch, point_reduction=point_reduction)
        for loss in losses[: 2 if normals else 1]:
            assert loss.shape == shape
            assert not loss.any()
            loss.sum().backward(retain_graph=True)
    assert not x.grad.any()
    assert not y.grad.any()


def test_an_empty_cloud_in_a_batch_has_no_gradient(device):
    batch = Batch(device=device)
    batch.x.requires_grad_()
    losses = chamfer_distance(**batch.arguments(normals=True, lengths=True, weights=False))
    sum(losses).backward()
    assert torch.isfinite(batch.x.grad).all()
    assert batch.x.grad[0].any()
    assert not batch.x.grad[3].any()
    assert not batch.x.grad[1, 3:].any()


@pytest.mark.parametrize("point_reduction", ["mean", "sum", None])
def test_all_weights_zero(point_reduction):
    batch = Batch()
    batch.x.requires_grad_()
    batch.x_normals.requires_grad_()
    for over_batch, shape in (("mean", ()), ("sum", ()), (None, (4,))):
        if point_reduction is None and over_batch is not None:
            continue
        losses = chamfer_distance(
            **{**batch.arguments(normals=True, lengths=True, weights=True), "weights": torch.zeros(4).double()},
            batch_reduction=over_batch,
            point_reduction=point_reduction,
        )
        for loss in losses:
            of_x = loss[0] if point_reduction is None else loss
            assert of_x.shape == ((4, 6) if point_reduction is None else shape)
            assert not of_x.any()
            of_x.sum().backward(retain_graph=True)
    assert not batch.x.grad.any()


@pytest.mark.parametrize("weight", [2e38, 3e38, 1e-44])
@pytest.mark.parametrize("point_reduction", ["mean", "sum", "max"])
def test_a_sum_of_weights_out_of_range(weight, point_reduction):
    x, y = torch.rand(3, 5, 3), torch.rand(3, 6, 3)
    expected, _ = chamfer_distance(x, y, point_reduction=point_reduction)
    found, _ = chamfer_distance(x, y, weights=torch.full((3,), weight), point_reduction=point_reduction)
    torch.testing.assert_close(found, expected)


def test_mean_by_weights_of_a_wider_dtype():
    x, y = torch.rand(2, 5, 3), torch.rand(2, 6, 3)
    weights = torch.tensor([1.0, 3.0], dtype=torch.float64)
    expected, _ = chamfer_distance(x, y, weights=weights)
    torch.testing.assert_close(chamfer_distance(x, y, weights=1e300 * weights)[0], expected)


@pytest.mark.parametrize("single", [False, True])
def test_all_weights_zero_without_normals(single):
    batch = Batch()
    arguments = {"x": batch.x, "y": batch.y, "single_directional": single}
    zeros = torch.zeros(4).double()
    for over_points in ("mean", "sum", "max"):
        for over_batch, shape in (("mean", ()), ("sum", ()), (None, (4,))):
            losses = chamfer_distance(
                **arguments, weights=zeros, batch_reduction=over_batch, point_reduction=over_points
            )
            for loss in losses:
                assert torch.equal(loss, torch.zeros(shape).double())
    losses = chamfer_distance(**arguments, weights=zeros, batch_reduction=None, point_reduction=None)
    torch.testing.assert_close(losses[1], losses[0])
    assert chamfer_distance(**arguments, weights=batch.weights)[1] is None


def test_normals_need_no_length_and_no_direction():
    batch = Batch()
    arguments = batch.arguments(normals=True, lengths=False, weights=False)
    loss = chamfer_distance(**arguments)[1]
    torch.testing.assert_close(chamfer_distance(**{**arguments, "x_normals": -3 * batch.x_normals})[1], loss)
    arguments["x_normals"], arguments["y_normals"] = (
        normalize(batch.x_normals, dim=2),
        -normalize(batch.x_normals, dim=2),
    )
    arguments["y"] = batch.x
    assert chamfer_distance(**arguments)[1].item() == pytest.approx(0, abs=1e-12)
    assert chamfer_distance(**arguments, abs_cosine=False)[1].item() == pytest.approx(4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_converted(dtype, device):
    x, y = torch.rand((2, 5, 3), device=device).to(dtype), torch.rand((2, 6, 3), device=device).to(dtype)
    got = chamfer_distance(x, y, x_normals=x, y_normals=y)
    x, y = x.float(), y.float()
    for a, b in zip(got, chamfer_distance(x, y, x_normals=x, y_normals=y), strict=True):
        assert a.dtype == torch.float32
        assert torch.equal(a, b)


X = torch.rand(2, 4, 3)


@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (ValueError, 'batch_reduction must be one of "mean", "sum" or None, got "max"', {"batch_reduction": "max"}),
        (
            ValueError,
            'point_reduction must be one of "mean", "sum", "max" or None, got "min"',
            {"point_reduction": "min"},
        ),
        (ValueError, "batch_reduction must be None when point_reduction is None", {"point_reduction": None}),
        (ValueError, "norm must be 1 or 2, got 3", {"norm": 3}),
        (ValueError, "norm must be 1 or 2, got 2.0", {"norm": 2.0}),
        (
            ValueError,
            'point_reduction must not be "max" when normals are given',
            {"x_normals": X, "y_normals": X, "point_reduction": "max"},
        ),
        (ValueError, "x must be of shape (N, P, D), got (4, 3)", {"x": X[0]}),
        (ValueError, "y must be of shape (2, P2, 3), got (1, 4, 3)", {"y": X[:1]}),
        (ValueError, "y must be of shape (2, P2, 3), got (2, 4, 2)", {"y": X[..., :2]}),
        (ValueError, "x_lengths must be of shape (2,), got (3,)", {"x_lengths": torch.tensor([1, 1, 1])}),
        (ValueError, "y_lengths must be in [0, 4], got [1, 5]", {"y_lengths": torch.tensor([1, 5])}),
        (ValueError, "y_lengths must be in [0, 4], got [-1, 4]", {"y_lengths": torch.tensor([-1, 4])}),
        (TypeError, "x_lengths must be a torch.Tensor or None, got list", {"x_lengths": [4, 4]}),
        (TypeError, "y_normals must be a torch.Tensor or None, got int", {"y_normals": 1}),
        (ValueError, "x_normals must be of shape (2, 4) + (D,), got (2, 3, 3)", {"x_normals": X[:, :3]}),
        (ValueError, "y_normals must have 3 channels, got 2", {"x_normals": X, "y_normals": X[..., :2]}),
        (ValueError, "weights must be of shape (2,), got (3,)", {"weights": torch.ones(3)}),
        (ValueError, "weights must be non-negative, got [1.0, -1.0]", {"weights": torch.tensor([1.0, -1])}),
        (ValueError, "weights must be non-negative, got [1.0, nan]", {"weights": torch.tensor([1.0, torch.nan])}),
        (TypeError, "weights must be a torch.Tensor or None, got list", {"weights": [1.0, 1.0]}),
        (ValueError, "x must be one of Pointclouds objects or torch.Tensor, got list", {"x": [0.0]}),
        (TypeError, "x must be float32 or float64, got int64", {"x": X.long()}),
        (TypeError, "y must be float32, got float64", {"y": X.double()}),
        (TypeError, "x_lengths must be int64, got int32", {"x_lengths": torch.tensor([4, 4], dtype=torch.int32)}),
        (ValueError, "x must be of at least one coordinate a point, got 0", {"x": X[..., :0], "y": X[..., :0]}),
    ],
)
@pytest.mark.parametrize("single", [False, True])
def test_errors(error, message, arguments, single):
    with pytest.raises(error) as caught:
        chamfer_distance(**{"x": X, "y": X, "single_directional": single, **arguments})
    assert str(caught.value).replace("'", '"').startswith(f"chamfer_distance: {message}")


def test_normals_of_any_length():
    batch = Batch(torch.float32, "cpu")
    arguments = batch.arguments(normals=True, lengths=True, weights=False)
    want = chamfer_distance(**arguments)[1]
    for scale in (1e-30, 1e-8, 1e8, 1e30):
        scaled = {**arguments, "x_normals": arguments["x_normals"] * scale, "y_normals": arguments["y_normals"] / scale}
        torch.testing.assert_close(chamfer_distance(**scaled)[1], want)


def test_padding_of_normals_may_be_nan():
    batch = Batch(torch.float64, "cpu")
    arguments = batch.arguments(normals=True, lengths=True, weights=False)
    wanted = [arguments[name].requires_grad_() for name in ("x_normals", "y_normals")]
    want = torch.autograd.grad(chamfer_distance(**arguments)[1], wanted)
    for name in ("x", "y"):
        padding = torch.arange(arguments[name].shape[1]) >= arguments[f"{name}_lengths"][:, None]
        normals = arguments[f"{name}_normals"].detach()
        arguments[f"{name}_normals"] = normals.masked_fill(padding[..., None], torch.nan).requires_grad_()
    wanted = [arguments[name] for name in ("x_normals", "y_normals")]
    torch.testing.assert_close(torch.autograd.grad(chamfer_distance(**arguments)[1], wanted), want)


def test_second_derivatives_at_normals_of_no_length():
    x = torch.rand(1, 4, 3, dtype=torch.float64)
    normals = torch.rand(1, 4, 3, dtype=torch.float64)
    normals[0, 1] = 0
    normals.requires_grad_()
    loss = chamfer_distance(x, x, x_normals=normals, y_normals=torch.ones_like(x))[1]
    (slope,) = torch.autograd.grad(loss, normals, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.square().sum(), normals)
    assert bool(torch.isfinite(curvature).all())
    assert bool((slope[0, 1] == 0).all())
    assert bool((curvature[0, 1] == 0).all())


def test_weights_take_the_dtype_of_the_points():
    x, y = torch.rand(2, 4, 3), torch.rand(2, 5, 3)
    weights = torch.tensor([1.0, 3.0])
    got = chamfer_distance(x, y, weights=weights.double())[0]
    assert got.dtype == torch.float32
    assert torch.equal(got, chamfer_distance(x, y, weights=weights)[0])


@torch_warns
@pytest.mark.parametrize("single", [False, True])
def test_compile_with_one_tensor_twice(device, single):
    x, lengths = torch.rand(2, 6, 3, device=device).requires_grad_(), torch.tensor([6, 4], device=device)

    def loss(x: Tensor) -> Tensor:
        return chamfer_distance(x, x, lengths, lengths, single_directional=single)[0]

    torch.compiler.reset()
    got, want = torch.compile(loss, fullgraph=True, backend="aot_eager")(x), loss(x)
    torch.testing.assert_close(got, want)
    torch.testing.assert_close(torch.autograd.grad(got, x), torch.autograd.grad(want, x))


@torch_warns
def test_compile(device):
    batch = Batch(torch.float32, device)
    leaves = batch.x.requires_grad_(), batch.y.requires_grad_()
    rest = batch.arguments(normals=True, lengths=True, weights=True)
    del rest["x"], rest["y"]

    def loss(x: Tensor, y: Tensor) -> Tensor:
        distances, normals = chamfer_distance(x, y, **rest)
        return distances + normals + chamfer_distance(x, y, weights=batch.weights)[0]

    for dynamic in (False, True):
        compiled = torch.compile(loss, fullgraph=True, backend="aot_eager", dynamic=dynamic)
        got, want = compiled(*leaves), loss(*leaves)
        torch.testing.assert_close(got, want)
        torch.testing.assert_close(torch.autograd.grad(got, leaves), torch.autograd.grad(want, leaves))


# The operator: nearest points both ways.


def both_ways(x: Tensor, y: Tensor, *lengths: Tensor | None, norm: int = 2) -> tuple[Tensor, ...]:
    """As the definition returns them, with gradients."""
    ends = lengths or (None, None)
    dists_x, dists_y = chamfer_distance(x, y, *ends, norm=norm, batch_reduction=None, point_reduction=None)[0]
    _, idx_x, _, idx_y = torch.ops.patina3d.chamfer_forward(x.detach(), y.detach(), *ends, *NO_TREES, *NO_TREES, norm)
    return dists_x, idx_x, dists_y, idx_y


@emulated
@pytest.mark.parametrize("norm", [1, 2])
@pytest.mark.parametrize("d", [1, 2, 3, 5, 40])
def test_nearest_by_definition(d, norm, device):
    batch = Batch(device=device, d=d)
    for ends in ((), (batch.x_lengths, batch.y_lengths)):
        for x, y, lengths in ((batch.x, batch.y, ends), (batch.y, batch.x, ends[::-1])):
            for got, want in zip(
                both_ways(x, y, *lengths, norm=norm), nearest_both_ways(x, y, *lengths, norm=norm), strict=True
            ):
                torch.testing.assert_close(got, want, rtol=1e-13, atol=0)


@emulated
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("norm", [1, 2])
def test_an_index_changes_nothing(norm, dtype, device):
    x, y = (torch.rand((3, size, 3), dtype=dtype, device=device, requires_grad=True) for size in (70, 90))
    x_lengths, y_lengths = torch.tensor([70, 0, 31], device=device), torch.tensor([90, 12, 0], device=device)
    normals = {f"{name}_normals": torch.rand_like(points, requires_grad=False) for name, points in (("x", x), ("y", y))}
    for single in (False, True):
        options = {**normals, "norm": norm, "single_directional": single}
        want = chamfer_distance(x, y, x_lengths, y_lengths, **options)
        gradients = torch.autograd.grad(want[0] + want[1], (x, y))
        of_x, of_y = PointIndex(x, x_lengths), PointIndex(y, y_lengths)
        for clouds in ((of_x, of_y), (x, of_y, x_lengths), (of_x, y, None, y_lengths)):
            got = chamfer_distance(*clouds, **options)
            for a, b in zip(got, want, strict=True):
                assert torch.equal(a, b)
            for a, b in zip(torch.autograd.grad(got[0] + got[1], (x, y)), gradients, strict=True):
                assert torch.equal(a, b)


@emulated
@pytest.mark.parametrize(("num_x", "num_y"), [(8200, 8300), (100, 8300)])
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("indexed", [False, True])
def test_large_clouds_are_searched_by_trees(num_x, num_y, ragged, indexed, device):
    x, y = (torch.rand((1, size, 3), device=device) for size in (num_x, num_y))
    lengths = tuple(torch.tensor([size - 50], device=device) if ragged else None for size in (num_x, num_y))
    same_as_knn(x, y, lengths)
    if indexed:
        unreduced = {"point_reduction": None, "batch_reduction": None}
        (found, _), _ = chamfer_distance(PointIndex(x, lengths[0]), y, None, lengths[1], **unreduced)
        (expected, _), _ = chamfer_distance(x, y, *lengths, **unreduced)
        assert torch.equal(found, expected)


def test_errors_of_an_index():
    index = PointIndex(X)
    with pytest.raises(ValueError, match="chamfer_distance: y_lengths must be None where y is a PointIndex"):
        chamfer_distance(X, index, y_lengths=torch.tensor([4]))
    points = X.clone()
    stale = PointIndex(points)
    points.add_(1)
    with pytest.raises(ValueError, match="chamfer_distance: x must be an index of points that did not change since"):
        chamfer_distance(stale, X)


def same_as_knn(x: Tensor, y: Tensor, lengths: tuple[Tensor | None, Tensor | None], norm: int = 2) -> None:
    found = torch.ops.patina3d.chamfer_forward(x, y, *lengths, *NO_TREES, *NO_TREES, norm)
    want = (
        *knn_points(x, y, *lengths, norm=norm)[:2],
        *knn_points(y, x, *reversed(lengths), norm=norm)[:2],
    )
    for a, b in zip(found, want, strict=True):
        torch.testing.assert_close(a, b[..., 0], rtol=0, atol=0, equal_nan=True)


@emulated
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("n", "num_x", "num_y"), [(1, 1, 1), (3, 17, 64), (2, 200, 65), (1, 700, 90), (0, 5, 5), (2, 0, 5), (2, 5, 0)]
)
def test_nearest_has_the_bits_of_knn(n, num_x, num_y, dtype, device):
    for d in (1, 3, 6):
        x, y = (torch.randn((n, p, d), device=device).to(dtype) for p in (num_x, num_y))
        lengths = torch.randint(num_x + 1, (n,), device=device), torch.randint(num_y + 1, (n,), device=device)
        for norm in (1, 2):
            same_as_knn(x, y, (None, None), norm)
            same_as_knn(x, y, lengths, norm)
        # A lattice: nearly everything is a tie.
        same_as_knn(x.round(), y.round(), lengths)


def test_large_clouds_have_the_bits_of_knn():
    # Large enough for trees, beside a small one.
    x, y = torch.rand(2, 5000, 3), torch.rand(2, 4500, 3)
    same_as_knn(x, y, (torch.tensor([5000, 30]), None))
    same_as_knn(x.double(), y.double(), (None, None))


@emulated
def test_nearest_where_distances_are_not_finite(device):
    nan, inf = float("nan"), float("inf")
    x = torch.tensor([[[0.0, 0.0], [nan, 0.0], [inf, 0.0], [1e30, 0.0]]], device=device)
    y = torch.tensor([[[nan, 1], [3, 4], [inf, 0], [1, 1], [-inf, nan], [1e38, 0], [0, 0]]], device=device)
    for norm in (1, 2):
        same_as_knn(x, y, (None, None), norm)
        same_as_knn(x, torch.full_like(y, nan), (None, None), norm)


@emulated
def test_lengths_are_clamped(device):
    batch = Batch(device=device)
    beyond, negative = torch.full((4,), 1000, device=device), torch.full((4,), -5, device=device)
    same_as_knn(batch.x, batch.y, (beyond, negative))
    same_as_knn(batch.x, batch.y, (beyond, beyond))


@emulated
@pytest.mark.parametrize("norm", [1, 2])
def test_gradient_equals_that_of_the_definition(norm, device):
    for d in (1, 3, 5):
        batch = Batch(device=device, d=d)
        # The same points again, so that one is the nearest of many; and equal points.
        x, y = batch.x.requires_grad_(), batch.y[:, [0, 1, 0, 0, 1, 2, 3, 4, 5]].clone()
        y[:, 3] = x.detach()[:, 0]
        y.requires_grad_()
        upstream = [torch.randn((4, p), dtype=torch.float64, device=device) for p in (6, 9)]
        for ends in ((), (batch.x_lengths, batch.y_lengths)):
            got = torch.autograd.grad(both_ways(x, y, *ends, norm=norm)[::2], (x, y), upstream)
            want = torch.autograd.grad(nearest_both_ways(x, y, *ends, norm=norm)[::2], (x, y), upstream)
            for a, b in zip(got, want, strict=True):
                torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@emulated
@pytest.mark.parametrize("norm", [1, 2])
@pytest.mark.parametrize("which", [0, 1])
def test_a_gradient_alone_is_that_of_both(which, norm, device):
    batch = Batch(device=device)
    both = [batch.x.clone().requires_grad_(), batch.y.clone().requires_grad_()]
    alone = [batch.x, batch.y]
    alone[which] = alone[which].clone().requires_grad_()
    losses = [sum(d.square().sum() for d in both_ways(*points, norm=norm)[::2]) for points in (both, alone)]
    want, got = (
        torch.autograd.grad(loss, points[which], create_graph=True)[0]
        for loss, points in zip(losses, (both, alone), strict=True)
    )
    assert torch.equal(got, want)
    # And its own gradient, which is a sum over the same pairs.
    want, got = (
        torch.autograd.grad(gradient.square().sum(), points[which])[0]
        for gradient, points in zip((want, got), (both, alone), strict=True)
    )
    torch.testing.assert_close(got, want)


def test_a_gradient_that_nobody_asks_for_is_not_computed():
    found = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            found.extend(result if "chamfer_backward" in str(func) else [])
            return result

    x, y = torch.rand(1, 4, 3), torch.rand(1, 5, 3, requires_grad=True)
    loss, _ = chamfer_distance(x, y)
    with Watch():
        loss.backward()
    assert [grad.shape for grad in found] == [y.shape]


def test_the_gradient_is_blind_to_which_cloud_is_x():
    x, y = torch.rand(2, 40, 3, requires_grad=True), torch.rand(2, 70, 3, requires_grad=True)
    there = torch.autograd.grad(chamfer_distance(x, y)[0], (x, y))
    back = torch.autograd.grad(chamfer_distance(y, x)[0], (x, y))
    assert all(map(torch.equal, there, back))


@pytest.mark.parametrize("norm", [1, 2])
def test_second_gradients_with_lengths(norm):
    batch = Batch()
    leaves = batch.x.requires_grad_(), batch.y.requires_grad_()
    ends = (batch.x_lengths, batch.y_lengths)
    assert gradgradcheck(lambda x, y: tuple(d.square() for d in both_ways(x, y, *ends, norm=norm)[::2]), leaves)


@emulated
def test_backward_takes_an_index_out_of_range_for_no_choice(device):
    x, y = torch.rand((1, 3, 3), device=device), torch.rand((1, 4, 3), device=device)
    idx_x = torch.tensor([[0, -1, 2**40]], device=device)
    idx_y = torch.tensor([[3, 1, -(2**40), 1]], device=device)
    grad_x, grad_y = torch.rand((1, 3), device=device), torch.rand((1, 4), device=device)
    in_y, in_x = (idx_x >= 0) & (idx_x < 4), (idx_y >= 0) & (idx_y < 3)
    backward = _native.ops.chamfer_backward
    got = backward(x, y, None, None, 2, idx_x, idx_y, grad_x, grad_y, True, True)
    want = backward(x, y, None, None, 2, idx_x * in_y, idx_y * in_x, grad_x * in_y, grad_y * in_x, True, True)
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b)


def test_the_same_bits_for_every_number_of_threads_and_in_every_run():
    x, y = torch.randn(2, 700, 3, requires_grad=True), torch.randn(2, 300, 3, requires_grad=True)

    def everything() -> tuple[Tensor, ...]:
        loss, _ = chamfer_distance(x, y)
        return loss, *both_ways(x, y), *torch.autograd.grad(loss, (x, y))

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        want = everything()
        for threads in (1, 2, 2, 5):
            torch.set_num_threads(threads)
            for a, b in zip(everything(), want, strict=True):
                assert torch.equal(a, b)
    finally:
        torch.set_num_threads(before)


@emulated
def test_strides_and_lazy_negation(device):
    batch = Batch(device=device)
    want = chamfer_distance(batch.x, batch.y, batch.x_lengths, batch.y_lengths)[0]
    transposed = batch.x.transpose(1, 2).contiguous().transpose(1, 2)
    negated = torch._neg_view(-batch.y)
    assert negated.is_neg()
    lengths = batch.x_lengths.repeat_interleave(3)[::3]
    assert chamfer_distance(transposed, negated, lengths, batch.y_lengths)[0] == want


@needs_emulator
@emulated
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("norm", [1, 2])
def test_kernels_give_the_gradient_of_the_cpu_where_many_choose_one_point(norm, dtype):
    """To the bit: of either cloud, with more choices of a point than one thread adds up."""
    few, many = torch.randn(2, 2, 3, dtype=dtype), torch.randn(2, 700, 3, dtype=dtype)
    upstream = torch.randn(2, 2, dtype=dtype), torch.randn(2, 700, dtype=dtype)
    for points, grads in (((few, many), upstream), ((many, few), upstream[::-1])):
        leaves = [x.clone().requires_grad_() for x in points]
        found = both_ways(*leaves, norm=norm)
        assert max(idx.bincount().max() for idx in (*found[1], *found[3])) > 256

        def gradients(leaves=leaves, grads=grads):
            return torch.autograd.grad(both_ways(*leaves, norm=norm)[::2], leaves, grads)

        for here, there in zip(*on_cpu_and_emulated(gradients), strict=True):
            assert torch.equal(here, there)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("norm", [1, 2])
def test_cuda_gives_the_bits_of_the_cpu(norm, dtype):
    for d in (2, 3, 40):
        x, y = torch.randn(2, 300, d, dtype=dtype), torch.randn(2, 500, d, dtype=dtype)
        upstream = torch.rand(2, 300, dtype=dtype), torch.rand(2, 500, dtype=dtype)
        results = []
        for device in ("cpu", "cuda"):
            leaves = [points.to(device).requires_grad_() for points in (x, y)]
            found = both_ways(*leaves, norm=norm)
            gradients = torch.autograd.grad(found[::2], leaves, [grad.to(device) for grad in upstream])
            results.append([value.cpu() for value in (*found, *gradients)])
        for here, there in zip(*results, strict=True):
            assert torch.equal(here, there)


@torch_warns
def test_opcheck(device):
    batch = Batch(torch.float32, device)
    for ends in ((None, None), (batch.x_lengths, batch.y_lengths)):
        arguments = (batch.x, batch.y, *ends, 2)
        forward_arguments = (*arguments[:-1], *NO_TREES, *NO_TREES, 2)
        torch.library.opcheck(torch.ops.patina3d.chamfer_forward.default, forward_arguments)
        dists_x, idx_x, dists_y, idx_y = torch.ops.patina3d.chamfer_forward(*forward_arguments)
        for wanted in ((True, True), (False, True)):
            torch.library.opcheck(
                torch.ops.patina3d.chamfer_backward.default, (*arguments, idx_x, idx_y, dists_x, dists_y, *wanted)
            )


def test_functional_gradient(device):
    batch = Batch(device=device)
    got = torch.func.grad(lambda x: chamfer_distance(x, batch.y)[0])(batch.x)
    (want,) = torch.autograd.grad(chamfer_distance(batch.x.requires_grad_(), batch.y)[0], batch.x)
    assert got.abs().sum() > 0
    torch.testing.assert_close(got, want)


@torch_warns
def test_forward_mode_is_an_error_not_zero():
    with pytest.raises(NotImplementedError, match="jvp"):
        torch.func.jvp(lambda x: chamfer_distance(x, X)[0], (X + 1,), (X,))
    with forward_ad.dual_level(), pytest.raises(NotImplementedError, match="jvp"):
        chamfer_distance(X, forward_ad.make_dual(X + 1, X))


def test_the_bare_operators_have_no_derivative():
    leaf = (X + 1).requires_grad_()
    dists_x, idx_x, dists_y, idx_y = torch.ops.patina3d.chamfer_forward(leaf, X, None, None, *NO_TREES, *NO_TREES, 2)
    with pytest.raises(RuntimeError, match="patina3d::chamfer_forward has no derivative of its own"):
        dists_x.sum().backward()
    grads = torch.ones_like(dists_x), torch.ones_like(dists_y)
    (gradient,) = torch.ops.patina3d.chamfer_backward(leaf, X, None, None, 2, idx_x, idx_y, *grads, True, False)
    with pytest.raises(RuntimeError, match="patina3d::chamfer_backward has no derivative of its own"):
        gradient.sum().backward()
