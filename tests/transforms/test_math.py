# SPDX-License-Identifier: Apache-2.0
"""The extrapolated arc cosine, and the analytic functions of angles."""

import math

import pytest
import torch

from patina3d.transforms import acos_linear_extrapolation
from patina3d.transforms.math import cos, cosc, inverse_rest, sinc, sinc_rest


def test_anchor_values():
    x = torch.tensor([-2.0, -1.0, 0.0, 0.5, 1.0, 2.0], dtype=torch.float64)
    expected = torch.tensor([73.847, 3.1345, 1.5708, 1.0472, 0.00707, -70.705], dtype=torch.float64)
    torch.testing.assert_close(acos_linear_extrapolation(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_slope_is_finite_everywhere(dtype):
    x = torch.tensor([-1e3, -2, -1, -0.9999, -0.999, 0, 0.999, 0.9999, 1, 2, 1e3], dtype=dtype, requires_grad=True)
    y = acos_linear_extrapolation(x)
    y.sum().backward()
    assert y.dtype == dtype
    assert (x.grad < -0.99).all()
    assert (x.grad >= -71).all()


def test_gradcheck_inside_and_outside():
    x = torch.tensor([-2.0, -1.0, -0.99, 0.0, 0.3, 0.99, 1.0, 3.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(acos_linear_extrapolation, x)
    assert torch.autograd.gradgradcheck(acos_linear_extrapolation, x)


def test_own_bounds_and_shapes():
    x = torch.linspace(-2, 2, 24).reshape(2, 3, 4)
    y = acos_linear_extrapolation(x, (-0.5, 0.25))
    assert y.shape == x.shape
    inside = (x > -0.5) & (x < 0.25)
    assert torch.equal(y[inside], x[inside].acos())
    above = math.acos(0.25) - (x[-1, -1, -1] - 0.25) / math.sqrt(1 - 0.25**2)
    torch.testing.assert_close(y[-1, -1, -1], above)
    assert acos_linear_extrapolation(x[:0]).shape == (0, 3, 4)
    assert acos_linear_extrapolation(torch.tensor(torch.nan)).isnan()
    close_to_one = acos_linear_extrapolation(torch.tensor([1.0, 2.0]), (-0.5, 1 - 1e-12))
    assert close_to_one.isfinite().all()


@pytest.mark.parametrize("bounds", [(0.5, -0.5), (-1, 0.5), (-0.5, 1), (-2, 2), (math.nan, 0.5)])
def test_bad_bounds(bounds):
    with pytest.raises(ValueError, match="-1 < lower <= upper < 1"):
        acos_linear_extrapolation(torch.zeros(1), bounds)


def series(coefficient, t):
    """The sum of (-1)^k coefficient(k) t^(2 k), to all digits for t up to pi."""
    return math.fsum((-1) ** k * coefficient(k) * t ** (2 * k) for k in range(25))


FUNCTIONS = {
    sinc: lambda t: series(lambda k: 1 / math.factorial(2 * k + 1), t),
    cos: lambda t: series(lambda k: 1 / math.factorial(2 * k), t),
    cosc: lambda t: series(lambda k: 1 / math.factorial(2 * k + 2), t),
    sinc_rest: lambda t: series(lambda k: 1 / math.factorial(2 * k + 3), t),
    # (sin h - h cos h) / (4 h^2 sin h) with h = t / 2
    inverse_rest: lambda t: (
        series(lambda k: (2 * k + 2) / math.factorial(2 * k + 3), t / 2) / FUNCTIONS[sinc](t / 2) / 4
    ),
}


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 3e-14), (torch.float32, 3e-6)])
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_analytic_functions(function, dtype, tolerance):
    near_limits = torch.tensor([0, 1e-30, 1e-8, 1e-3, 0.0999, 0.1001, 0.49999, 0.50001], dtype=torch.float64)
    t = torch.cat([near_limits, torch.linspace(0.01, 3.1, 100, dtype=torch.float64)])
    expected = torch.tensor([FUNCTIONS[function](x) for x in t.tolist()], dtype=dtype)
    torch.testing.assert_close(function(t.square().to(dtype)), expected, rtol=tolerance, atol=tolerance / 10)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_analytic_functions_have_all_derivatives(function):
    t2 = torch.tensor([0.0, 1e-12, 1e-3, 0.02, 0.3, 2.0, 9.0], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(function(t2).sum(), t2, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), t2)
    h = 1e-4
    at = t2.detach() + h
    numeric = (function(at + h) - function(at - h)) / (2 * h)
    torch.testing.assert_close(slope + h * curvature, numeric, rtol=1e-5, atol=1e-8)
