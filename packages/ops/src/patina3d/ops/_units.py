# SPDX-License-Identifier: Apache-2.0
"""Units of length in which squares and sums stay within the range of a dtype."""

import torch
from torch import Tensor

__all__ = ["unit_of"]


def unit_of(values: Tensor) -> Tensor:
    """The power of two that is nearest below the largest entry of each (P, D) matrix, 1 where all are 0.

    Dividing by it rounds nothing. It is a constant: what does not depend on the unit has the same gradient without it.

    Args:
        values: (N, P, D) floating.

    Returns:
        (N, 1, 1).

    Example:
        >>> unit_of(torch.tensor([[[3.0, -5.0]], [[0.0, 0.0]]])).flatten()
        tensor([4., 1.])
    """
    with torch.no_grad():
        one = values.new_ones((values.shape[0], 1, 1))
        if values.shape[1] == 0 or values.shape[2] == 0:
            return one
        largest = values.abs().amax((1, 2), keepdim=True)
        return torch.where(largest > 0, torch.ldexp(one, torch.frexp(largest).exponent - 1), one)
