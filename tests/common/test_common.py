# SPDX-License-Identifier: Apache-2.0
"""Devices, batch indices, unit vectors."""

import math

import pytest
import torch

from patina3d.common.compat import meshgrid_ij, prod
from patina3d.common.datatypes import get_device, make_device
from patina3d.common.vectors import unit_or_zero


def test_make_device():
    assert make_device("cpu") == make_device(torch.device("cpu")) == torch.device("cpu")
    assert make_device("cuda:1") == torch.device("cuda", 1)
    for bad in (None, 0, 1.5, ["cpu"]):
        with pytest.raises(TypeError, match=r"device must be a str or a torch\.device, got"):
            make_device(bad)


@pytest.mark.gpu
def test_plain_cuda_is_the_current_device():
    assert make_device("cuda") == torch.rand(1, device="cuda").device


def test_get_device():
    assert get_device(torch.zeros(1, device="meta")) == torch.device("meta")
    assert get_device(torch.zeros(1, device="meta"), "cpu") == torch.device("cpu")
    assert get_device([torch.zeros(1, device="meta")]) == torch.device("cpu")
    assert get_device(1.0) == torch.device("cpu")


def test_compat():
    a, b = torch.arange(2), torch.arange(3)
    for grid in (meshgrid_ij(a, b), meshgrid_ij([a, b])):
        assert grid[0].tolist() == [[0, 0, 0], [1, 1, 1]]
        assert grid[1].tolist() == [[0, 1, 2], [0, 1, 2]]
    assert prod([2, 3], start=4) == 24
    assert prod is math.prod


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-15, 1e-6, 1.0, 1e6, 1e15])
def test_unit_vectors_at_every_scale(dtype, scale):
    vectors = scale * torch.randn(10, 3, dtype=dtype)
    torch.testing.assert_close(unit_or_zero(vectors).norm(dim=-1), torch.ones(10, dtype=dtype))


def test_unit_vectors_of_zero_and_noise():
    vectors = torch.tensor([[0.0, 0.0], [1e-7, 0.0], [1e-3, 0.0]], requires_grad=True)
    units = unit_or_zero(vectors, torch.ones(3))
    assert units.tolist() == [[0, 0], [0, 0], [1, 0]]
    units.sum().backward()
    assert vectors.grad.isfinite().all()
    assert not vectors.grad[:2].any()
    assert unit_or_zero(torch.tensor([torch.nan, 1.0])).isnan().all()


def test_unit_vectors_gradcheck():
    vectors = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(unit_or_zero, vectors)
    assert torch.autograd.gradgradcheck(unit_or_zero, vectors)
