# SPDX-License-Identifier: Apache-2.0
"""What cameras, lights, materials and samplers share."""

from patina3d.renderer._image_space import ndc_grid_sample, ndc_to_grid_sample_coords, parse_image_size
from patina3d.renderer._tensor_properties import (
    TensorAccessor,
    TensorProperties,
    convert_to_tensors_and_broadcast,
    format_tensor,
)

__all__ = [
    "TensorAccessor",
    "TensorProperties",
    "convert_to_tensors_and_broadcast",
    "format_tensor",
    "ndc_grid_sample",
    "ndc_to_grid_sample_coords",
    "parse_image_size",
]
