# SPDX-License-Identifier: Apache-2.0
"""Chamfer distance: the smallest call, batches of usual sizes, and clouds of very different sizes."""

from collections.abc import Callable, Iterator

import torch

from harness import Case, available
from patina3d.loss import chamfer_distance

BATCHES = [(8, 1_000), (2, 10_000)]
SWEEP = [1_000, 3_000, 10_000, 30_000, 100_000]
MOST_PAIRS = 2e8
"""The matrix of more distances than this is not asked of a CPU."""


def cases(device: torch.device) -> Iterator[Case]:
    for backward in (False, True):
        ending = "_backward" if backward else ""
        yield case(f"chamfer_tiny{ending}", 1, 16, 16, device, backward=backward)
        for n, points in BATCHES:
            yield case(f"chamfer{ending}", n, points, points, device, backward=backward)
    for points in SWEEP:
        yield case(
            "fig1a_chamfer",
            32 if device.type == "cuda" else 1,
            1_000,
            points,
            device,
            backward=True,
            heterogeneous=True,
        )


def case(
    series: str,
    n: int,
    num_x: int,
    num_y: int,
    device: torch.device,
    *,
    backward: bool,
    heterogeneous: bool = False,
) -> Case:
    """Uniform points; sizes of heterogeneous clouds are uniform about 3/4 of the largest."""
    generator = torch.Generator().manual_seed(0)

    def cloud(points: int) -> torch.Tensor:
        return torch.rand((n, points, 3), generator=generator).to(device).requires_grad_(backward)

    def sizes(points: int) -> torch.Tensor:
        return torch.randint(points // 2 if heterogeneous else points, points + 1, (n,), generator=generator).to(device)

    x, y = cloud(num_x), cloud(num_y)
    lengths = sizes(num_x), sizes(num_y)

    def run(loss: Callable[..., tuple[torch.Tensor, object]]) -> object:
        value, _ = loss(x, y, *lengths)
        return torch.autograd.grad(value, (x, y)) if backward else value

    contestants: dict[str, Callable[[], object]] = {"patina3d": lambda: run(chamfer_distance)}
    if device.type == "cuda" or n * num_x * num_y <= MOST_PAIRS:
        contestants["torch.cdist"] = lambda: run(by_matrix)
    if available("pytorch3d"):
        from pytorch3d.loss import chamfer_distance as theirs

        contestants["pytorch3d"] = lambda: run(theirs)
    return Case(series, "points", {"clouds": n, "other points": num_x, "points": num_y}, contestants)


def by_matrix(
    x: torch.Tensor, y: torch.Tensor, x_lengths: torch.Tensor, y_lengths: torch.Tensor
) -> tuple[torch.Tensor, None]:
    """The naive form: the matrix of all distances."""
    counts_x = torch.arange(x.shape[1], device=x.device) < x_lengths[:, None]
    counts_y = torch.arange(y.shape[1], device=y.device) < y_lengths[:, None]
    distances = torch.cdist(x, y).square().masked_fill(~(counts_x[:, :, None] & counts_y[:, None]), torch.inf)
    of_x = torch.where(counts_x, distances.amin(2), 0).sum(1) / x_lengths
    of_y = torch.where(counts_y, distances.amin(1), 0).sum(1) / y_lengths
    return (of_x + of_y).mean(), None
