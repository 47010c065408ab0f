# SPDX-License-Identifier: Apache-2.0
"""Eigenvalues and eigenvectors of symmetric 3 x 3 matrices."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from patina3d.common.workaround import _safe_det_3x3, symeig3x3
from patina3d.common.workaround.symeig3x3 import symeig3x3 as symeig3x3_of_module
from patina3d.transforms import random_rotations

DTYPES = pytest.mark.parametrize(("dtype", "eps"), [(torch.float32, 1.2e-7), (torch.float64, 2.2e-16)])
SPECTRA = torch.tensor(
    [[1, 2, 3], [-1, 0, 1], [0, 0, 0], [1, 1, 1], [1, 1, 2], [1, 2, 2], [0, 0, 1], [-1, -1, 5],
     [1, 1 + 1e-7, 2], [1, 1 + 1e-12, 1 + 2e-12], [1e-8, 1, 1e3], [1, 1 + 1e-4, 1 + 2e-4]],
    dtype=torch.float64,
)  # fmt: skip


def matrices(dtype: torch.dtype, scale: float = 1.0) -> torch.Tensor:
    rotations = random_rotations(20, dtype=torch.float64)[:, None]
    made = rotations @ torch.diag_embed(SPECTRA) @ rotations.mT
    made = torch.cat([made.reshape(-1, 3, 3), torch.diag_embed(SPECTRA.roll(1, 1))])
    return (scale * (made + made.mT) / 2).to(dtype)


def test_public_name():
    assert symeig3x3 is symeig3x3_of_module


@DTYPES
@pytest.mark.parametrize("scale", [1e-30, 1e-6, 1e-4, 1.0, 1e6, 1e15])
def test_equals_definition_at_every_scale(dtype, eps, scale, device):
    matrix = matrices(dtype, scale).to(device)
    values, vectors = symeig3x3(matrix)
    size = torch.linalg.matrix_norm(matrix.double())[:, None]
    expected = torch.linalg.eigvalsh(matrix.double())
    assert ((values.double() - expected).abs() <= 8 * eps * size).all()
    assert (values.diff(dim=-1) >= 0).all()
    eye = torch.eye(3, dtype=dtype, device=device).expand_as(matrix)
    torch.testing.assert_close(vectors.mT @ vectors, eye, rtol=0, atol=20 * eps)
    residual = matrix.double() @ vectors.double() - vectors.double() * values.double()[:, None]
    assert (residual.abs() <= 20 * eps * size[..., None]).all()


def test_small_off_diagonal_entries_count():
    matrix = 1e-5 * torch.tensor([[0.0, 1, 0], [1, 0, 0], [0, 0, 3]])
    torch.testing.assert_close(symeig3x3(matrix)[0], 1e-5 * torch.tensor([-1.0, 1, 3]))


@pytest.mark.parametrize("batch", [(), (0,), (2, 3)])
def test_shapes_and_values_only(batch):
    matrix = torch.randn(*batch, 3, 3)
    values, vectors = symeig3x3(matrix)
    assert values.shape == (*batch, 3)
    assert vectors.shape == (*batch, 3, 3)
    alone, nothing = symeig3x3(matrix, eigenvectors=False)
    assert nothing is None
    assert torch.equal(alone, values)


def test_half_precision():
    values, vectors = symeig3x3(matrices(torch.float16)[:20])
    assert values.dtype == vectors.dtype == torch.float16
    assert values.isfinite().all()


def test_gradcheck():
    matrix = torch.randn(4, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda m: symeig3x3(m, eigenvectors=False)[0], matrix)
    assert torch.autograd.gradgradcheck(lambda m: symeig3x3(m, eigenvectors=False)[0], matrix)
    # The signs of the vectors are arbitrary; their outer products are functions of the matrix.
    weights = torch.randn(3, 3, 3, dtype=torch.float64)

    def projections(m):
        vectors = symeig3x3(m)[1]
        return torch.einsum("nik,njk,kij->n", vectors, vectors, weights)

    assert torch.autograd.gradcheck(projections, matrix)
    assert torch.autograd.gradgradcheck(projections, matrix)


@DTYPES
def test_gradients_are_finite_for_repeated_values(dtype, eps):
    matrix = matrices(dtype).requires_grad_()
    values, vectors = symeig3x3(matrix)
    (values.sum() + vectors.sum()).backward()
    assert matrix.grad.isfinite().all()
    matrix.grad = None
    symeig3x3(matrix)[0].sum().backward()  # the trace
    torch.testing.assert_close(matrix.grad, torch.eye(3, dtype=dtype).expand_as(matrix), rtol=0, atol=20 * eps)


@settings(deadline=None)
@given(st.integers(0, 2**31))
def test_rotating_the_matrix_keeps_the_values(seed):
    torch.manual_seed(seed)
    matrix, rotation = torch.randn(3, 3, dtype=torch.float64), random_rotations(1, torch.float64)[0]
    matrix = matrix + matrix.T
    torch.testing.assert_close(symeig3x3(rotation @ matrix @ rotation.T)[0], symeig3x3(matrix)[0])


def test_error():
    with pytest.raises(ValueError, match=r"inputs must have shape \(..., 3, 3\), got \(3,\)"):
        symeig3x3(torch.zeros(3))


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
def test_dtype_error(dtype):
    with pytest.raises(TypeError, match="symeig3x3: inputs must be floating, got torch"):
        symeig3x3(torch.ones(3, 3, dtype=dtype))


@DTYPES
def test_entries_above_half_the_largest_number(dtype, eps):
    # Values -m and m, and their half between.
    m = 0.75 * torch.finfo(dtype).max
    matrix = m / 2 * torch.tensor([[-1.0, 0, 3**0.5], [0, 1, 0], [3**0.5, 0, 1]], dtype=dtype)
    values, vectors = symeig3x3(matrix)
    torch.testing.assert_close(values / m, torch.tensor([-1.0, 0.5, 1], dtype=dtype), rtol=0, atol=20 * eps)
    torch.testing.assert_close(vectors.mT @ vectors, torch.eye(3, dtype=dtype), rtol=0, atol=20 * eps)


def test_transforms_of_functions():
    matrices = torch.randn(4, 3, 3, dtype=torch.float64)

    def projection(matrix):
        values, vectors = symeig3x3(matrix)
        return values[0] + vectors[0, 0] ** 2

    each = [torch.func.grad(projection)(matrix) for matrix in matrices]
    leaf = matrices.clone().requires_grad_()
    sum(projection(matrix) for matrix in leaf).backward()
    torch.testing.assert_close(torch.stack(each), leaf.grad)
    torch.testing.assert_close(torch.func.vmap(torch.func.grad(projection))(matrices), leaf.grad)
    torch.testing.assert_close(torch.func.vmap(symeig3x3)(matrices), symeig3x3(matrices))
    jacobian = torch.func.jacrev(lambda matrix: symeig3x3(matrix)[0])(matrices[0])
    torch.testing.assert_close(jacobian.sum(0), torch.eye(3).double())


def test_determinant():
    matrix = torch.randn(5, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(_safe_det_3x3(matrix), torch.linalg.det(matrix))
    assert torch.autograd.gradcheck(_safe_det_3x3, matrix)
    singular = torch.zeros(3, 3, requires_grad=True)
    _safe_det_3x3(singular).backward()
    assert not singular.grad.any()
