# SPDX-License-Identifier: Apache-2.0
"""Adam with one size of step for a whole tensor."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

__all__ = ["UniformAdam"]


class UniformAdam(torch.optim.Optimizer):
    r"""Adam whose steps are divided by the largest second moment of a tensor, not each number by its own.

    .. math:: x \leftarrow x - \mathrm{lr} \, \hat m / \sqrt{\max_i \hat v_i}

    Adam moves each number about ``lr`` a step, whatever the size of its gradient. For vertices that is wrong: those
    that no picture says anything about would walk as far as those of an outline, and noise folds them over each
    other. Here a gradient keeps its direction, and a small one stays small (B. Nicolet et al., "Large Steps in Inverse
    Rendering of Geometry", SIGGRAPH Asia 2021).

    Args:
        params: tensors, or groups of them with an ``lr`` of their own.
        lr: the length of a step of the number that changes the most.
        betas: decay of the first and of the second moment.

    Example:
        >>> x = torch.tensor([1.0, 1.0], requires_grad=True)
        >>> optimizer = UniformAdam([x], lr=0.5)
        >>> (4 * x[0] + x[1]).backward()
        >>> optimizer.step()
        >>> x.detach()
        tensor([0.5000, 0.8750])
    """

    def __init__(self, params: Iterable[Any], *, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999)) -> None:
        super().__init__(params, {"lr": lr, "betas": betas})

    @torch.no_grad()
    def step(self) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]: takes no closure
        """Move every tensor that has a gradient."""
        for group in self.param_groups:
            for x in group["params"]:
                if x.grad is not None:
                    self._move(x, x.grad, group["lr"], *group["betas"])

    def _move(self, x: Tensor, grad: Tensor, lr: float, beta1: float, beta2: float) -> None:
        state = self.state[x]
        if not state:
            state.update(step=0, first=torch.zeros_like(x), root=torch.zeros_like(x))
        state["step"] += 1
        state["first"].lerp_(grad, 1 - beta1)
        # The root of the second moment over 1 - beta2: squares of small gradients vanish, of large ones overflow.
        state["root"] = torch.hypot(math.sqrt(beta2) * state["root"], grad)
        first = state["first"] / (1 - beta1 ** state["step"])
        largest = state["root"].max() * math.sqrt((1 - beta2) / (1 - beta2 ** state["step"]))
        # Where no gradient ever came there is nothing to divide by, and nothing to move.
        x.sub_(lr * (first / largest.clamp(min=torch.finfo(x.dtype).tiny)))
