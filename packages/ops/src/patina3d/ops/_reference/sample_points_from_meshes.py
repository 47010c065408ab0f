# SPDX-License-Identifier: Apache-2.0
"""The definition of ``sample_points_from_meshes``."""

from bisect import bisect_right
from itertools import accumulate, pairwise
from math import sqrt

import torch
from torch import Tensor

from patina3d.structures._reference.mesh_face_areas_normals import mesh_face_areas_normals

_WORD = 0xFFFFFFFF
_TOTAL_BITS = 63


def sample_points_from_meshes(
    verts: Tensor, faces: Tensor, first_idxs: Tensor, seed: int, num_samples: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The definition of ``sample_points_from_meshes``, sample by sample.

    Args:
        verts: (V, 3) float64 positions.
        faces: (F, 3) int64 indices into ``verts``.
        first_idxs: (N,) int64, where the faces of each mesh begin.
        seed: which random numbers to use.
        num_samples: S, points a mesh.

    Returns:
        Points (N, S, 3), faces (N, S) and weights of their corners (N, S, 3).
    """
    areas, _ = mesh_face_areas_normals(verts, faces)
    shape = (first_idxs.shape[0], num_samples)
    sampled, weights = torch.full(shape, -1), torch.zeros((*shape, 3), dtype=verts.dtype)
    bounds = [*first_idxs.tolist(), len(faces)]
    for n, (first, end) in enumerate(pairwise(bounds)):
        if first == end:
            continue
        sums = list(accumulate(_chances(areas[first:end].tolist()), initial=0))
        for s in range(num_samples):
            pick, u, v = _draw(seed, n, s)
            sampled[n, s] = first + bisect_right(sums, pick * sums[-1] >> 64) - 1
            root = sqrt(u)
            weights[n, s] = torch.tensor([1 - root, root * (1 - v), root * v], dtype=verts.dtype)
    corners = verts[faces[sampled.clamp(min=0)]]
    return (weights[..., None] * corners).sum(2), sampled, weights


def _chances(areas: list[float]) -> list[int]:
    """A whole number for each face: its area as a share of the greatest, at least 1 if there is one."""
    greatest = max(areas)
    if greatest == 0:
        return [1] * len(areas)
    full = 2.0 ** (_TOTAL_BITS - (len(areas) - 1).bit_length())
    return [max(1, int(area / greatest * full)) if area > 0 else 0 for area in areas]


def _draw(seed: int, mesh: int, sample: int) -> tuple[int, float, float]:
    """64 random bits and two numbers in [0, 1), of 53 bits."""
    counter = (sample & _WORD, sample >> 32, mesh & _WORD, mesh >> 32)
    low, high, u, v = _philox(counter, (seed & _WORD, seed >> 32 & _WORD))
    counter = (*counter[:3], counter[3] | 1 << 31)
    more_u, more_v, _, _ = _philox(counter, (seed & _WORD, seed >> 32 & _WORD))
    return high << 32 | low, (u << 21 | more_u >> 11) / 2**53, (v << 21 | more_v >> 11) / 2**53


def _philox(counter: tuple[int, ...], key: tuple[int, int]) -> tuple[int, ...]:
    """Philox4x32-10 (J. K. Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011)."""
    a, b, c, d = counter
    for i in range(10):
        even, odd = 0xD2511F53 * a, 0xCD9E8D57 * c
        key0, key1 = (key[0] + i * 0x9E3779B9) & _WORD, (key[1] + i * 0xBB67AE85) & _WORD
        a, b, c, d = odd >> 32 ^ b ^ key0, odd & _WORD, even >> 32 ^ d ^ key1, even & _WORD
    return a, b, c, d
