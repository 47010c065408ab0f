# SPDX-License-Identifier: Apache-2.0
"""Squares of n x 3 numbers, forward and backward."""

from collections.abc import Callable, Iterator

import torch

from harness import Case
from patina3d.ops.points_to_volumes import points_to_volumes


def cases(device: torch.device) -> Iterator[Case]:
    for n in (1_000, 10_000, 100_000, 1_000_000):
        x = torch.randn(n, 3, device=device, requires_grad=True)

        def both(forward: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor = x) -> Callable[[], object]:
            return lambda: torch.autograd.grad(forward(x).sum(), x)

        yield Case(
            "points_to_volumes", "n", {"n": n}, {"patina3d": both(points_to_volumes), "torch": both(torch.square)}
        )
