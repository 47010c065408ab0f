# SPDX-License-Identifier: Apache-2.0
"""The mean that the mesh losses share."""

from torch import Tensor

from patina3d.structures import Meshes
from patina3d.structures.rows import gather_rows, sum_rows

__all__ = ["mean_of_means"]


def mean_of_means(values: Tensor, mesh_of_value: Tensor, meshes: Meshes) -> Tensor:
    """The mean over a mesh's values, summed over meshes and divided by their number; meshes without values add 0.

    Args:
        values: (M,).
        mesh_of_value: (M,) int64.
        meshes: the N meshes, those without values included.

    Returns:
        A scalar. Where there is nothing to measure (no values, or no faces) it is a 0 that can be backpropagated even
        when no input requires a gradient, so that a training step may meet an empty batch.
    """
    num_meshes = len(meshes)
    if not values.requires_grad and (values.shape[0] == 0 or meshes.isempty()):
        return values.new_zeros(()).requires_grad_()
    if num_meshes <= 1:
        return values.sum() / max(values.shape[0], 1)
    counts = sum_rows(values.new_ones(values.shape), mesh_of_value, num_meshes)
    return (values / gather_rows(counts, mesh_of_value)).sum() / num_meshes
