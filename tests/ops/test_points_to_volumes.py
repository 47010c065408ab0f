# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from patina3d.ops._reference.points_to_volumes import points_to_volumes as reference
from patina3d.ops.points_to_volumes import points_to_volumes

pytestmark = pytest.mark.emulated

# What is left to write, in this order. Delete each with its work.


def test_definition_is_written():
    pytest.fail(
        "write packages/ops/src/patina3d/ops/_reference/points_to_volumes.py: "
        "the operator in plain torch, ready for float64; loops are welcome"
    )


def test_contract_is_written():
    pytest.fail("write crates/ops/src/points_to_volumes/mod.rs: inputs, outputs, checks; then cpu.rs")


def test_kernels_are_written():
    pytest.fail(
        "write crates/ops/src/points_to_volumes/points_to_volumes.cu, points_to_volumes.h and cuda.rs, and run `just ptx`"
    )


def test_page_is_written():
    pytest.fail("write docs/ops/points_to_volumes.md, export points_to_volumes from its __init__.py, and bench it")


# What every operator must pass.


def numbers(*shape: int, dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu") -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64).to(device, dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (1, 1), (7, 300)])
def test_equals_reference(device, shape, dtype):
    x = numbers(*shape, dtype=dtype, device=device)
    torch.testing.assert_close(points_to_volumes(x), reference(x.double()).to(dtype))


def test_gradient_equals_reference(device):
    x = numbers(5, 4, device=device).requires_grad_()
    weight = numbers(5, 4, device=device)
    got = torch.autograd.grad((points_to_volumes(x) * weight).sum(), x)
    torch.testing.assert_close(got, torch.autograd.grad((reference(x) * weight).sum(), x))


def test_gradcheck():
    x = numbers(3, 2).requires_grad_()
    assert torch.autograd.gradcheck(points_to_volumes, (x,))
    assert torch.autograd.gradgradcheck(points_to_volumes, (x,))


@given(scale=st.floats(1e-6, 1e6))
def test_scales(scale):
    x = numbers(4, 3)
    torch.testing.assert_close(points_to_volumes(scale * x), scale**2 * points_to_volumes(x))


def test_strides_do_not_matter(device):
    x = numbers(6, 8, device=device)
    for view in (x.T, x[::2, 1::3], x[:1].expand(5, 8)):
        torch.testing.assert_close(points_to_volumes(view), points_to_volumes(view.contiguous()), rtol=0, atol=0)


def test_runs_give_the_same_bits(device):
    x = numbers(50, 40, device=device)
    assert torch.equal(points_to_volumes(x), points_to_volumes(x))


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ([1.0], TypeError, "points_to_volumes: x must be a torch.Tensor, got list"),
        (torch.zeros(2, 3, dtype=torch.int64), TypeError, "points_to_volumes: x must be float32 or float64, got int64"),
        (torch.zeros(2), ValueError, r"points_to_volumes: x must be of shape \(N, D\), got \(2,\)"),
    ],
)
def test_errors_name_the_argument(x, error, message):
    with pytest.raises(error, match=message):
        points_to_volumes(x)


def test_opcheck():
    x = numbers(3, 2)
    torch.library.opcheck(torch.ops.patina3d.points_to_volumes_forward.default, (x,))
    torch.library.opcheck(torch.ops.patina3d.points_to_volumes_backward.default, (x, x))
