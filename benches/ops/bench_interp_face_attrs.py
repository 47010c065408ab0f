# SPDX-License-Identifier: Apache-2.0
"""Values at corners, interpolated at slots of which an eighth hold a face, forward and backward."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from harness import Case, available
from patina3d.ops import interpolate_face_attributes
from patina3d.ops.interp_face_attrs import interpolate_face_attributes_python

SIZES = [64, 128, 256]
"""Pixels a side."""
NUM_FACES, K = 2560, 10


def cases(device: torch.device) -> Iterator[Case]:
    for backward in (False, True):
        for channels in (3, 6):
            for size in SIZES:
                yield case(size, channels, device, backward=backward)


def case(size: int, channels: int, device: torch.device, *, backward: bool) -> Case:
    shape = (2, size, size, K)
    pix_to_face = torch.randint(NUM_FACES, shape, device=device).masked_fill(
        torch.rand(shape, device=device) > 1 / 8, -1
    )
    weights = torch.rand(*shape, 3, device=device, requires_grad=backward)
    values = torch.rand(NUM_FACES, 3, channels, device=device, requires_grad=backward)
    contestants: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
        "patina3d": interpolate_face_attributes,
        "torch": interpolate_face_attributes_python,
    }
    if available("pytorch3d"):
        from pytorch3d.ops import interpolate_face_attributes as theirs

        contestants["pytorch3d"] = theirs

    def run(mix: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Callable[[], object]:
        def forward() -> object:
            return mix(pix_to_face, weights, values)

        def both() -> object:
            return torch.autograd.grad(mix(pix_to_face, weights, values).sum(), (weights, values))

        return both if backward else forward

    series = f"interp_face_attrs_{channels}" + ("_backward" if backward else "")
    sizes = {"slots": pix_to_face.numel(), "channels": channels, "faces": NUM_FACES}
    return Case(series, "slots", sizes, {name: run(mix) for name, mix in contestants.items()})
