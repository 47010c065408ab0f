# SPDX-License-Identifier: Apache-2.0
"""Native functions as torch operators."""

import itertools
from typing import Any

import pytest
import torch
from torch.autograd import forward_ad

from patina3d.core import distinct, is_differentiated, register

numbers = itertools.count()


def double() -> object:
    """A new operator; torch keeps names for ever."""
    return register(f"test_double_{next(numbers)}(Tensor x) -> Tensor", lambda x: 2 * x, torch.empty_like)


def test_an_operator_computes_and_has_a_fake():
    operator = double()
    assert operator(torch.ones(2)).tolist() == [2, 2]
    assert operator(torch.ones(2, device="meta")).shape == (2,)
    assert str(operator).startswith("patina3d.test_double_")


def test_an_operator_passes_torchs_check():
    torch.library.opcheck(double(), (torch.rand(3),))


def test_the_operator_itself_has_no_derivative():
    leaf = torch.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"patina3d::test_double_\d+ has no derivative of its own"):
        double()(leaf).sum().backward()


def test_an_operator_in_a_compiled_program():
    operator = double()
    compiled = torch.compile(lambda x: operator(x) + 1, fullgraph=True, backend="aot_eager")
    assert compiled(torch.ones(2)).tolist() == [3, 3]


def test_a_name_is_given_once():
    register("test_once(Tensor x) -> Tensor", lambda x: x.clone(), torch.empty_like)
    with pytest.raises(RuntimeError, match="test_once"):
        register("test_once(Tensor x) -> Tensor", lambda x: x.clone(), torch.empty_like)


def test_is_differentiated():
    constant, leaf = torch.ones(1), torch.ones(1, requires_grad=True)
    assert not is_differentiated()
    assert not is_differentiated(constant, constant)
    assert is_differentiated(constant, leaf)
    with torch.no_grad():
        assert not is_differentiated(leaf)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_is_differentiated_in_forward_mode():
    seen = []

    def function(x: torch.Tensor) -> torch.Tensor:
        seen.append(is_differentiated(x))
        return 2 * x

    with forward_ad.dual_level():
        function(forward_ad.make_dual(torch.ones(1), torch.ones(1)))
    torch.func.grad(lambda x: function(x).sum())(torch.ones(1))
    assert seen == [True, True]


class Product(torch.autograd.Function):
    @staticmethod
    def forward(x: torch.Tensor, y: torch.Tensor, factor: float) -> torch.Tensor:
        return factor * x * y

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        ctx.factor = inputs[2]
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, y = ctx.saved_tensors
        return ctx.factor * grads[0] * y, ctx.factor * grads[0] * x, None


def product(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return Product.apply(*distinct(x, y, 3.0))


def test_one_tensor_as_two_inputs_of_a_compiled_function():
    compiled = torch.compile(product, fullgraph=True, backend="aot_eager")
    x, y = (torch.rand(3, requires_grad=True) for _ in range(2))
    for inputs in ((x, x), (x, y), (x, x.detach())):
        result, expected = compiled(*inputs), product(*inputs)
        assert torch.equal(result, expected)
        grads = (torch.autograd.grad(out.sum(), x)[0] for out in (result, expected))
        torch.testing.assert_close(*grads)


def test_distinct_passes_everything_through_outside_of_compiled_graphs():
    x = torch.ones(1)
    inputs = x, None, x, 2.0
    assert all(given is taken for given, taken in zip(inputs, distinct(*inputs), strict=True))
    assert distinct() == ()
