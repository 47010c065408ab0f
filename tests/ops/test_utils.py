# SPDX-License-Identifier: Apache-2.0
"""What the operators on points share."""

import pytest
import torch
from torch.autograd import gradcheck

from patina3d.ops import convert_pointclouds_to_tensor, eyes, is_pointclouds, wmean
from patina3d.ops.utils import masked_gather
from patina3d.structures import Pointclouds


@pytest.mark.parametrize("shape", [(2, 6), (2, 3, 6)])
def test_masked_gather(shape, device):
    points = torch.randn((2, 4, 3), dtype=torch.float64, device=device, requires_grad=True)
    idx = torch.randint(-1, 4, shape, device=device)
    out = masked_gather(points, idx)
    cloud = torch.arange(2, device=device).reshape(2, *[1] * (len(shape) - 1))
    assert torch.equal(out, torch.where((idx >= 0)[..., None], points[cloud, idx], 0))
    assert (idx < 0).any()
    assert gradcheck(lambda p: masked_gather(p, idx), points)


def test_masked_gather_of_nothing():
    assert not masked_gather(torch.rand(2, 0, 3), torch.full((2, 5), -1)).any()


def test_masked_gather_errors():
    with pytest.raises(ValueError, match=r"masked_gather: points must be of shape \(N, P, D\), got \(4, 3\)"):
        masked_gather(torch.rand(4, 3), torch.zeros(2, 3).long())
    for idx in (torch.zeros(3, 3).long(), torch.zeros(2).long(), torch.zeros(2, 1, 1, 1).long()):
        with pytest.raises(ValueError, match=r"masked_gather: idx must be of shape \(2, K\) or \(2, L, K\), got"):
            masked_gather(torch.rand(2, 4, 3), idx)
    with pytest.raises(ValueError, match="format is not supported"):
        masked_gather(torch.rand(2, 4, 3), torch.zeros(2, 1, 1, 1).long())
    with pytest.raises(ValueError, match="same batch dimension"):
        masked_gather(torch.rand(2, 4, 3), torch.zeros(3, 3).long())


def test_wmean(device):
    x = torch.randn((2, 5, 3), dtype=torch.float64, device=device, requires_grad=True)
    weight = torch.rand((2, 5), dtype=torch.float64, device=device, requires_grad=True)
    torch.testing.assert_close(wmean(x), x.mean(1, keepdim=True))
    want = (weight[..., None] * x).sum(1) / weight.sum(1, keepdim=True)
    torch.testing.assert_close(wmean(x, weight, keepdim=False), want)
    torch.testing.assert_close(wmean(x, weight[:1])[1, 0], (weight[0, :, None] * x[1]).sum(0) / weight[0].sum())
    torch.testing.assert_close(wmean(x, weight[0])[1], wmean(x, weight[:1])[1])
    over_both = wmean(x, weight, dim=(0, 1), keepdim=False)
    torch.testing.assert_close(over_both, (weight[..., None] * x).sum((0, 1)) / weight.sum())
    assert not wmean(x, torch.zeros_like(weight)).any()
    assert gradcheck(wmean, (x, weight))


@pytest.mark.parametrize(
    ("shape", "weights"),
    [((10, 20), (3, 1, 20)), ((1, 1), (1, 5)), ((5,), (2, 5)), ((2, 5), (1, 2, 5)), ((2, 1), (5,))],
)
def test_wmean_broadcasts_both_ways(shape, weights):
    x, weight = torch.randn(*shape, 3).double(), torch.rand(weights).double()
    wide = (weight[..., None] * torch.ones_like(x))[..., 0]
    expected = (wide[..., None] * x).sum(-2) / wide.sum(-1, keepdim=True)
    torch.testing.assert_close(wmean(x, weight, keepdim=False), expected)
    torch.testing.assert_close(wmean(x, weight), expected[..., None, :])
    torch.testing.assert_close(wmean(x, weight > 0.5), wmean(x, (weight > 0.5).double()))


def test_wmean_errors():
    for shape in ((4,), (3, 5), (1, 3, 5)):
        with pytest.raises(ValueError, match=r"wmean: weight .* broadcasts with \(2, 5\), got .* are not compatible"):
            wmean(torch.rand(2, 5, 3), torch.rand(shape))


def test_eyes():
    out = eyes(3, 2, dtype=torch.float64)
    assert torch.equal(out, torch.eye(3, dtype=torch.float64).expand(2, 3, 3))
    out[0, 0, 0] = 5
    assert out[1, 0, 0] == 1
    assert eyes(3, 0).shape == (0, 3, 3)


def test_convert_pointclouds_to_tensor(device):
    clouds = Pointclouds([torch.rand(3, 3, device=device), torch.rand(5, 3, device=device)])
    points, counts = convert_pointclouds_to_tensor(clouds)
    assert torch.equal(points, clouds.points_padded())
    assert counts.tolist() == [3, 5]
    points, counts = convert_pointclouds_to_tensor(points)
    assert counts.tolist() == [5, 5]
    assert counts.dtype == torch.int64
    assert counts.device == points.device
    assert is_pointclouds(clouds)
    assert not is_pointclouds(points)


def test_convert_pointclouds_to_tensor_errors():
    with pytest.raises(ValueError, match=r"convert_pointclouds_to_tensor: pcl must be a torch.Tensor or Pointclouds"):
        convert_pointclouds_to_tensor([1.0])
    with pytest.raises(ValueError, match=r"pcl must be of shape \(N, P, D\), got \(5, 3\)"):
        convert_pointclouds_to_tensor(torch.rand(5, 3))
