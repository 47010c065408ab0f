# SPDX-License-Identifier: Apache-2.0
"""How surfaces reflect light."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from patina3d.common.datatypes import Device
from patina3d.renderer._tensor_properties import TensorProperties, common_float_dtype, format_rows

__all__ = ["Materials"]


class Materials(TensorProperties):
    """A batch of N materials for the Phong model.

    Args:
        ambient_color: (N, C) share of the ambient light that is reflected; one vector (C,) serves all.
        diffuse_color: (N, C) share of the diffuse light.
        specular_color: (N, C) share of the specular light.
        shininess: (N,) exponent of the highlight, at least 0; larger is smaller and sharper.
        device: where the tensors lie.

    Numbers take the widest dtype of the tensors given, float32 at least.

    Raises:
        ValueError: colours with different numbers of channels, or a shininess that is not (N,).

    Example:
        >>> Materials(shininess=[8.0, 16.0]).diffuse_color
        tensor([[1., 1., 1.],
                [1., 1., 1.]])
    """

    ambient_color: Tensor
    diffuse_color: Tensor
    specular_color: Tensor
    shininess: Tensor

    def __init__(
        self,
        ambient_color: Any = ((1, 1, 1),),
        diffuse_color: Any = ((1, 1, 1),),
        specular_color: Any = ((1, 1, 1),),
        shininess: Any = 64,
        device: Device = "cpu",
    ) -> None:
        dtype = common_float_dtype(ambient_color, diffuse_color, specular_color, shininess)
        super().__init__(
            dtype=dtype,
            device=device,
            ambient_color=format_rows(ambient_color, dtype, device),
            diffuse_color=format_rows(diffuse_color, dtype, device),
            specular_color=format_rows(specular_color, dtype, device),
            shininess=shininess,
        )
        shapes = [tuple(c.shape) for c in (self.ambient_color, self.diffuse_color, self.specular_color)]
        if any(len(shape) != 2 or shape != shapes[0] for shape in shapes):
            raise ValueError(f"Materials: colours must be (N, C) with one C, got {shapes}")
        if self.shininess.shape != (self._N,):
            raise ValueError(f"Materials: shininess must be ({self._N},), got {tuple(self.shininess.shape)}")
