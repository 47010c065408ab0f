# SPDX-License-Identifier: Apache-2.0
"""Soft blending, forward and backward, where K // 8 + 1 slots of each pixel hold a face."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from harness import Case, available
from patina3d.renderer import BlendParams, softmax_rgb_blend
from patina3d.renderer._reference.blending import softmax_image

SIZES = [(64, 10), (128, 10), (128, 50)]
"""Pixels a side, K."""
SIGMA = GAMMA = 1e-4


def cases(device: torch.device) -> Iterator[Case]:
    for backward in (False, True):
        for size, k in SIZES:
            yield case(size, k, device, backward=backward)


def case(size: int, k: int, device: torch.device, *, backward: bool) -> Case:
    shape = (2, size, size, k)
    held = k // 8 + 1
    pix_to_face = torch.full(shape, -1, device=device)
    pix_to_face[..., :held] = 1
    fragments = SimpleNamespace(
        pix_to_face=pix_to_face,
        dists=(SIGMA * torch.randn(shape, device=device)).requires_grad_(backward),
        zbuf=(1 + torch.rand(shape, device=device)).requires_grad_(backward),
    )
    colors = torch.rand(*shape, 3, device=device, requires_grad=backward)
    contestants: dict[str, Callable[[], Tensor]] = {
        "patina3d": lambda: softmax_rgb_blend(colors, fragments, BlendParams(SIGMA, GAMMA)),
        "torch": lambda: in_torch(colors, fragments),
    }
    if available("pytorch3d"):
        from pytorch3d.renderer.blending import BlendParams as TheirParams
        from pytorch3d.renderer.blending import softmax_rgb_blend as theirs

        contestants["pytorch3d"] = lambda: theirs(colors, fragments, TheirParams(SIGMA, GAMMA))

    def run(blend: Callable[[], Tensor]) -> Callable[[], object]:
        def both() -> object:
            return torch.autograd.grad(blend().sum(), (colors, fragments.dists, fragments.zbuf))

        return both if backward else blend

    series = "softmax_rgb_blend_backward" if backward else "softmax_rgb_blend"
    sizes = {"slots": pix_to_face.numel(), "K": k}
    return Case(series, "slots", sizes, {name: run(blend) for name, blend in contestants.items()})


def in_torch(colors: Tensor, fragments: Any) -> Tensor:
    one = colors.new_ones(1)
    scene = colors, fragments.dists, fragments.zbuf, fragments.pix_to_face, colors.new_ones(1, 3), one, 100 * one
    return softmax_image(*scene, SIGMA, GAMMA, 1e-10)
