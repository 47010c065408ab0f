# SPDX-License-Identifier: Apache-2.0
"""The border between torch and the native module: what comes in, what is refused, and how."""

import os
import subprocess
import sys
import textwrap

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from patina3d.core import DeviceError, _native

P = torch.rand(1, 4, 3)


def find(p1: object, p2: object = P, lengths1: object = None, k: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    return _native.ops.knn_forward(p1, p2, lengths1, None, None, None, None, 2, k)


def python(code: str, timeout: int = 300, **environment: str) -> str:
    """Run a program in a process of its own; return what it prints."""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("got", [None, [[[0.0] * 3]], P.numpy(), "points", 1])
def test_what_is_no_tensor_is_named(got):
    name = type(got).__name__
    with pytest.raises(TypeError, match=f"knn_points: p1 must be a torch.Tensor, got .*{name}"):
        find(got)


def test_a_tensor_without_storage_is_refused():
    with FakeTensorMode():
        fake = torch.empty(1, 4, 3)
    with pytest.raises(ValueError, match="knn_points: p1 must be a tensor with storage, got a tensor without storage"):
        find(fake)
    # These torch itself does not export.
    with pytest.raises((ValueError, RuntimeError), match="meta"):
        find(P.to("meta"))
    with pytest.raises((ValueError, RuntimeError)):
        find(P.to_sparse())
    with pytest.raises((ValueError, RuntimeError), match=r"(?i)storage|data pointer"):
        torch.func.vmap(find, out_dims=(0, 0))(torch.rand(2, 1, 4, 3))


def test_a_tensor_without_elements_has_no_address_and_is_accepted():
    assert P[:, :0].contiguous().data_ptr() == 0
    assert find(P[:, :0].contiguous())[0].shape == (1, 0, 2)


def test_lazy_negation_is_resolved():
    # The imaginary part of a conjugate is a view that negates when read.
    lazy = torch.view_as_complex(torch.rand(1, 4, 3, 2)).conj().imag
    assert lazy.is_neg()
    for got, want in zip(find(lazy), find(lazy.clone()), strict=True):
        assert torch.equal(got, want)
    assert (lazy < 0).all()


def test_views_into_the_middle_of_a_storage():
    longer = torch.rand(3, 4, 3)
    for view in (longer[1:2], longer.transpose(1, 2)[2:, :, :3].transpose(1, 2), longer[:1].flip(1)):
        assert torch.equal(find(view)[0], find(view.clone(memory_format=torch.contiguous_format))[0])


def test_subclasses_and_leaves_are_tensors():
    for points in (torch.nn.Parameter(P), P.clone().requires_grad_()):
        dists, _ = find(points)
        assert torch.equal(dists, find(P)[0])
        assert not dists.requires_grad


def test_results_belong_to_torch():
    dists, idx = find(P)
    assert type(dists) is torch.Tensor
    assert dists.is_contiguous()
    dists.resize_(1000)
    idx.add_(1)


def test_errors_are_pythons_own():
    assert issubclass(DeviceError, RuntimeError)
    assert DeviceError.__module__ == "patina3d.core"
    with pytest.raises(OverflowError):
        find(P, k=2**80)
    # An error leaves the module as it was.
    assert find(P)[0].shape == (1, 4, 2)


def test_dlpack_capsules_give_the_same():
    # Torch before 2.10 has no exchange API.
    printed = python(
        """
        import torch
        from patina3d.ops import knn_points
        points = torch.arange(24.0).reshape(1, 8, 3)
        leaf = points[:, ::2].clone().requires_grad_()
        for p1, p2 in ((points, points), (points[:, ::2], points), (torch._neg_view(points), points), (leaf, points)):
            dists, idx, _ = knn_points(p1, p2, torch.tensor([3]), K=2)
            print(dists.tolist(), idx.tolist())
        dists.square().sum().backward()
        print(leaf.grad.tolist())
        print(knn_points(points[:, :0], points).dists.shape)
        try:
            knn_points(points, points.double())
        except TypeError as error:
            print(error)
        """,
        PATINA3D_DLPACK_CAPSULES="1",
    ).splitlines()
    assert printed[0] == f"{[[[0.0, 27.0]] * 3 + [[0.0, 0.0]] * 5]} {[[[0, 1], [1, 0], [2, 1]] + [[0, 0]] * 5]}"
    assert printed[1] == f"{[[[0.0, 27.0]] * 3 + [[0.0, 0.0]]]} {[[[0, 1], [2, 1], [4, 3], [0, 0]]]}"
    assert printed[3] == printed[1]
    # Of dists^2: 2 * 27 * 2 * (p1 - p2). The second neighbour of the first query lies above it, the others' below.
    assert printed[4] == str([[[-324.0] * 3, [324.0] * 3, [324.0] * 3, [0.0] * 3]])
    assert printed[5:] == ["torch.Size([1, 0, 1])", "knn_points: p2 must be float32, got float64"]


@pytest.mark.skipif(not _native.has_emulator(), reason="this build of the native module has no emulator")
def test_emulation_is_switched_by_the_environment():
    code = "from patina3d.core import _native; print(_native.is_emulating())"
    assert python(code, PATINA3D_EMULATE_CUDA="1") == "True\n"
