# SPDX-License-Identifier: Apache-2.0
"""The linear layer on rows that share a part of their input."""

import pytest
import torch

from patina3d.common.linear_with_repeat import LinearWithRepeat


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch", [(), (0,), (2, 5)])
def test_equals_a_linear_layer_on_repeated_input(bias, batch, device):
    torch.manual_seed(5)
    layer = LinearWithRepeat(7, 4, bias, device, torch.float64)
    torch.manual_seed(5)
    plain = torch.nn.Linear(7, 4, bias, device, torch.float64)
    assert torch.equal(layer.weight, plain.weight)
    assert (layer.bias is None) == (plain.bias is None)
    x = torch.randn(*batch, 3, 5, dtype=torch.float64, device=device)
    y = torch.randn(*batch, 2, dtype=torch.float64, device=device)
    repeated = torch.cat([x, y[..., None, :].expand(*batch, 3, 2)], -1)
    torch.testing.assert_close(layer((x, y)), plain(repeated))
    assert layer((x, y)).shape == (*batch, 3, 4)


def test_state_is_that_of_linear():
    layer, plain = LinearWithRepeat(7, 4), torch.nn.Linear(7, 4)
    layer.load_state_dict(plain.state_dict())
    assert torch.equal(layer.bias, plain.bias)
    assert repr(layer) == "LinearWithRepeat(in_features=7, out_features=4, bias=True)"


def test_gradcheck():
    layer = LinearWithRepeat(5, 2, dtype=torch.float64)
    x = torch.randn(3, 4, 3, dtype=torch.float64, requires_grad=True)
    y = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b: layer((a, b)), (x, y))


def test_error():
    with pytest.raises(ValueError, match="must have 7 columns together, got 3 and 2"):
        LinearWithRepeat(7, 4)((torch.zeros(1, 3), torch.zeros(2)))
