# SPDX-License-Identifier: Apache-2.0
"""Batches of random meshes with all that is allowed: empty ones, loose vertices, degenerate and repeated faces."""

import torch
from hypothesis import strategies as st
from torch import Tensor

SIZES = [(4, 4), (0, 0), (7, 12), (5, 0), (3, 1)]
"""(vertices, faces) of a batch in which each kind of mesh occurs."""


def random_lists(
    sizes: list[tuple[int, int]],
    *,
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> tuple[list[Tensor], list[Tensor]]:
    """Vertices and faces of meshes with the given (vertices, faces)."""
    generator = torch.Generator().manual_seed(seed)
    verts = [torch.randn((v, 3), generator=generator, dtype=torch.float64).to(device, dtype) for v, _ in sizes]
    faces = [torch.randint(max(v, 1), (f, 3), generator=generator).to(device) for v, f in sizes]
    return verts, faces


def batch_sizes() -> st.SearchStrategy[list[tuple[int, int]]]:
    """Sizes of a batch of up to five meshes."""
    occupied = st.tuples(st.integers(1, 6), st.integers(0, 8))
    return st.lists(st.one_of(st.just((0, 0)), occupied), max_size=5)
