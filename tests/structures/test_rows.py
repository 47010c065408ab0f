# SPDX-License-Identifier: Apache-2.0
"""Gathering rows and adding rows up."""

import torch

from patina3d.structures.rows import gather_rows, sum_rows


def test_gather_equals_indexing(device):
    values, index = torch.rand(5, 3, device=device), torch.randint(5, (4, 2), device=device)
    assert torch.equal(gather_rows(values, index), values[index])
    assert gather_rows(values, index[:0]).shape == (0, 2, 3)


def test_sum_equals_a_loop(device):
    values, index = torch.rand(20, 3, device=device), torch.randint(4, (20,), device=device)
    expected = torch.stack([values[index == r].sum(0) for r in range(6)])
    torch.testing.assert_close(sum_rows(values, index, 6), expected)


def test_gradcheck(device):
    values = torch.rand(5, 2, dtype=torch.float64, device=device, requires_grad=True)
    index = torch.tensor([0, 2, 2, 4, 0], device=device)
    assert torch.autograd.gradcheck(lambda v: gather_rows(v, index), values)
    assert torch.autograd.gradcheck(lambda v: sum_rows(v, index, 6), values)


def test_deterministic(device):
    values, index = torch.rand(200_000, 2, device=device), torch.randint(50, (200_000,), device=device)
    sums = sum_rows(values, index, 50)
    leaf = values.requires_grad_()
    gather_rows(leaf[:50], index).square().sum().backward()
    gradient = leaf.grad
    for _ in range(3):
        assert torch.equal(sum_rows(values, index, 50), sums)
        leaf.grad = None
        gather_rows(leaf[:50], index).square().sum().backward()
        assert torch.equal(leaf.grad, gradient)
