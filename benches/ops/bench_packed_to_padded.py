# SPDX-License-Identifier: Apache-2.0
"""From the packed form to the padded one and back: elements of 1 to M items of three numbers."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from harness import Case, available
from patina3d.ops import packed_to_padded, padded_to_packed

BATCHES = [
    # elements, items of the largest
    (8, 1_000),
    (16, 100_000),
    (10_000, 30),
]


def cases(device: torch.device) -> Iterator[Case]:
    for n, largest in [(1, 16), *BATCHES]:
        yield case(n, largest, device)


def case(n: int, largest: int, device: torch.device) -> Case:
    counts = torch.randint(1, largest + 1, (n,), generator=torch.Generator().manual_seed(0))
    counts[0] = largest
    total = int(counts.sum())
    first = (counts.cumsum(0) - counts).to(device)
    items = torch.rand((total, 3), device=device, requires_grad=True)
    rows = torch.repeat_interleave(torch.arange(n), counts)
    place = torch.arange(total) + rows * largest - (counts.cumsum(0) - counts)[rows]
    place = place.to(device)

    def by_index(x: Tensor) -> Tensor:
        # What one writes with torch: the places are known, as those of a mesh are.
        return x.new_zeros((n * largest, 3)).index_copy(0, place, x).reshape(n, largest, 3)[:, :, 0].reshape(-1)[place]

    def by_us(x: Tensor) -> Tensor:
        return padded_to_packed(packed_to_padded(x, first, largest)[:, :, 0], first, total)

    contestants = {"patina3d": by_us, "torch.index": by_index}
    if available("pytorch3d"):
        from pytorch3d import ops as theirs

        def by_them(x: Tensor) -> Tensor:
            return theirs.padded_to_packed(theirs.packed_to_padded(x, first, largest)[:, :, 0], first, total)

        contestants["pytorch3d"] = by_them

    def both(there_and_back: Callable[[Tensor], Tensor]) -> Callable[[], object]:
        return lambda: torch.autograd.grad(there_and_back(items).sum(), items)

    runs = {name: both(run) for name, run in contestants.items()}
    return Case("packed_to_padded", "items", {"elements": n, "items": total}, runs)
