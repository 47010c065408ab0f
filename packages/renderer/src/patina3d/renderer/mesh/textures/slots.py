# SPDX-License-Identifier: Apache-2.0
"""Values for the slots in which a rasterizer found a face."""

from collections.abc import Callable

import torch
from torch import Tensor

from patina3d.core import at_hand

__all__ = ["sample_occupied"]


def sample_occupied(pix_to_face: Tensor, sample: Callable[[Tensor], Tensor], *, has_faces: bool) -> Tensor:
    """Sample where there is a face; 0, with a gradient of 0, where there is none.

    On a GPU, and when compiled, ``sample`` is asked about every slot, so that the host need not wait for the number of
    those that are occupied. It must then return something finite or not for empty slots, which is not looked at.

    Args:
        pix_to_face: (N, H, W, K) int64, negative where a slot is empty.
        sample: takes (M,) slots, indices into the flattened ``pix_to_face``, and returns (M, C).
        has_faces: whether there is a face at all.

    Returns:
        (N, H, W, K, C).

    Example:
        >>> sample_occupied(torch.tensor([[[[3], [-1]]]]), lambda slots: torch.ones(len(slots), 1), has_faces=True)
        tensor([[[[[1.]],
        <BLANKLINE>
                  [[0.]]]]])
    """
    faces = pix_to_face.reshape(-1)
    if has_faces and not at_hand(faces):
        values = sample(torch.arange(faces.numel(), device=faces.device))
        values = values.masked_fill((faces < 0).unsqueeze(-1), 0.0)
    else:
        slots = (faces >= 0).nonzero().squeeze(1)
        occupied = sample(slots)
        values = occupied.new_zeros(faces.numel(), occupied.shape[1]).index_copy(0, slots, occupied)
    return values.reshape(*pix_to_face.shape, values.shape[1])
