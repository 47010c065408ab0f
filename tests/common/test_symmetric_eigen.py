# SPDX-License-Identifier: Apache-2.0
"""Eigenvectors of matrices of any size, with gradients where eigenvalues repeat."""

import pytest
import torch

from patina3d.common.workaround.symmetric_eigen import symmetric_eigen


def matrices(n: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    made = torch.randn(3, n, n, dtype=dtype)
    return made + made.mT


@pytest.mark.parametrize("n", [1, 4, 12])
def test_equals_torch(n, device):
    matrix = matrices(n).to(device).requires_grad_()
    weights = torch.randn(n, n, n, dtype=matrix.dtype, device=device)
    found = []
    for solve in (symmetric_eigen, torch.linalg.eigh):
        values, vectors = solve((matrix + matrix.mT) / 2)
        loss = values.square().sum() + torch.einsum("bik,bjk,kij->", vectors, vectors, weights)
        found.append((values, vectors.abs(), torch.autograd.grad(loss, matrix)[0]))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_gradients():
    matrix = matrices(4).requires_grad_()

    def projections(m):
        values, vectors = symmetric_eigen((m + m.mT) / 2)
        return values, vectors[..., :2] @ vectors[..., :2].mT

    assert torch.autograd.gradcheck(projections, matrix)
    assert torch.autograd.gradgradcheck(projections, matrix)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_nothing_flows_between_equal_values(dtype, scale):
    spectrum = scale * torch.tensor([1.0, 1.0, 1.0, 5.0], dtype=dtype)
    basis = torch.linalg.qr(torch.randn(4, 4, dtype=dtype))[0]
    matrix = (basis @ torch.diag(spectrum) @ basis.T).requires_grad_()
    _, vectors = symmetric_eigen((matrix + matrix.mT) / 2)
    (gradient,) = torch.autograd.grad((vectors * torch.randn(4, 4, dtype=dtype)).sum(), matrix)
    # What the gap of 4 lets through, not what one in the last place would.
    assert 0 < gradient.abs().max() * scale < 10


def test_transforms_of_functions():
    made = matrices(5)

    def spread(matrix):
        values, vectors = symmetric_eigen((matrix + matrix.mT) / 2)
        return values[-1] + vectors[0, 0] ** 2

    leaf = made.clone().requires_grad_()
    sum(spread(matrix) for matrix in leaf).backward()
    torch.testing.assert_close(torch.func.grad(spread)(made[0]), leaf.grad[0])
    torch.testing.assert_close(torch.func.vmap(torch.func.grad(spread))(made), leaf.grad)
