# SPDX-License-Identifier: Apache-2.0
"""Adam with one size of step for a whole tensor."""

import pytest
import torch

from patina3d.models.uniform_adam import UniformAdam


def moved(grads, **options):
    """Where a tensor of zeros is after a step along each of the gradients."""
    x = torch.zeros_like(grads[0], requires_grad=True)
    optimizer = UniformAdam([x], **options)
    for grad in grads:
        x.grad = grad
        optimizer.step()
    return x.detach()


def test_the_first_step_keeps_the_direction_and_its_largest_number_moves_by_lr():
    grad = torch.tensor([[3.0, -4.0], [0.0, 1.0]])
    torch.testing.assert_close(moved([grad], lr=0.2), -0.2 * grad / 4)


def test_for_one_number_it_is_adam():
    grads = [torch.tensor([g], dtype=torch.float64) for g in (1.0, -0.3, 2.0, 0.7)]
    x = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([x], lr=0.1, eps=0)
    for grad in grads:
        x.grad = grad
        adam.step()
    torch.testing.assert_close(moved(grads, lr=0.1), x.detach())


def test_the_size_of_the_loss_does_not_matter():
    grads = list(torch.randn(4, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(moved([1e-6 * g for g in grads]), moved(grads))


@pytest.mark.parametrize("scale", [1e-36, 1e-22, 1e22, 1e36])
def test_squares_of_gradients_neither_vanish_nor_overflow(scale):
    grads = list(torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(moved([scale * g for g in grads], lr=0.1), moved(grads, lr=0.1))
    after_zero = moved([torch.zeros(1), torch.full((1,), 1e-22)], lr=0.1)
    torch.testing.assert_close(after_zero, moved([torch.zeros(1), torch.ones(1)], lr=0.1))


def test_a_subnormal_gradient_moves_no_further_than_lr():
    for grad in (1e-38, 1e-42, 1e-45):
        assert moved([torch.full((3,), grad)] * 3, lr=0.1).abs().max() <= 0.31


def test_nothing_moves_without_a_gradient():
    assert torch.equal(moved([torch.zeros(3)], lr=0.1), torch.zeros(3))
    x = torch.ones(3, requires_grad=True)
    UniformAdam([x]).step()
    assert torch.equal(x.detach(), torch.ones(3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_state_that_was_saved_goes_on(dtype):
    grads = list(torch.randn(4, 3, dtype=dtype, generator=torch.Generator().manual_seed(0)))
    x = torch.zeros(3, dtype=dtype, requires_grad=True)
    first, second = UniformAdam([x], lr=0.1), UniformAdam([x], lr=0.1)
    for grad in grads[:2]:
        x.grad = grad
        first.step()
    second.load_state_dict(first.state_dict())
    for grad in grads[2:]:
        x.grad = grad
        second.step()
    assert torch.equal(x.detach(), moved(grads, lr=0.1))
