# SPDX-License-Identifier: Apache-2.0
"""The definition of ``interpolate_face_attributes``."""

import torch
from torch import Tensor


def interpolate_face_attributes_python(
    pix_to_face: Tensor, barycentric_coords: Tensor, face_attributes: Tensor
) -> Tensor:
    """The definition of `interpolate_face_attributes`, slot by slot in plain torch; arguments and result are the same.

    Torch's own errors say what does not fit.

    Cost: O(N H W K D) time and memory for any number of empty slots.

    Example:
        >>> corners = torch.tensor([[[0.0], [10.0], [20.0]]])
        >>> weights = torch.tensor([[[[[0.5, 0.25, 0.25]]]]])
        >>> interpolate_face_attributes_python(torch.tensor([[[[0]]]]), weights, corners).flatten()
        tensor([7.5000])
    """
    # A face of zeros after the last: index -1 is where empty slots read.
    values = torch.nn.functional.pad(face_attributes, (0, 0, 0, 0, 0, 1))
    weights = torch.where(pix_to_face.unsqueeze(-1) < 0, 0.0, barycentric_coords)
    return (weights.unsqueeze(-1) * values[pix_to_face.clamp(min=-1)]).sum(dim=-2)
