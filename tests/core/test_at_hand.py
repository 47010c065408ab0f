# SPDX-License-Identifier: Apache-2.0
"""When the values of a tensor may be looked at."""

import pytest
import torch

from patina3d.core import at_hand


def test_plain_tensors(device):
    assert at_hand(torch.ones(2))
    assert at_hand(torch.ones(2, device=device)) == (torch.device(device).type == "cpu")


@pytest.mark.parametrize("nested", [False, True])
def test_transformed_tensors(nested):
    seen = []

    def look(x):
        seen.append(at_hand(x))
        return x.sum()

    torch.func.grad(look)(torch.ones(2))
    mapped = torch.func.grad(look) if nested else look
    torch.func.vmap(mapped)(torch.ones(3, 2))
    assert seen == [True, False]


def test_compiling():
    compiled = torch.compile(lambda x: x + (1 if at_hand(x) else 2), fullgraph=True, backend="eager")
    assert compiled(torch.zeros(1)) == 2
