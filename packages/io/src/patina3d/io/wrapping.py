# SPDX-License-Identifier: Apache-2.0
"""Texture coordinates outside [0, 1], where an image is meant to be repeated."""

import warnings

import torch
from torch import Tensor

__all__ = ["Layouts"]

_PERIODS = {"repeat": 1, "mirror": 2}
_MOST_TEXELS = 2**24
_TOLERANCE = 1e-4
"""Of an image: coordinates that reach so little beyond it show its border. Half a texel of 5000 in a row."""


class Layouts:
    """Images laid out as often as texture coordinates ask for; what is asked for twice is one tensor."""

    def __init__(self) -> None:
        # The images are kept, so that no other gets the id of one.
        self._made: dict[tuple[int, tuple[int, int], tuple[str, str]], tuple[Tensor, Tensor]] = {}

    def wrapped(
        self, image: Tensor, uvs: Tensor, faces: Tensor, modes: tuple[str, str], source: str
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Bring texture coordinates into [0, 1], so that sampling without repetition shows the same.

        Each face moves by whole images towards [0, 1]. Where one does not fit there, the image is laid out as often as
        the largest needs.

        Args:
            image: (H, W, 3), row 0 at v = 0.
            uvs: (T, 2), measured from the edges of the image.
            faces: (F, 3) int64, rows of ``uvs``.
            modes: along u and v: "repeat", "mirror", or "clamp", which changes nothing.
            source: the file's name, for the warning.

        Returns:
            The image, the coordinates, and the faces that point into them: those given, if there is nothing to do.

        Warns:
            UserWarning: the image would have to be larger than 2^24 texels. Faces that need that many show its border
                beyond what is laid out for the others.
        """
        corners = uvs.to(torch.float64)[faces]
        moved, needs = corners.clone(), torch.ones(len(faces), 2, dtype=torch.int64)
        for axis, mode in enumerate(modes):
            along = corners[..., axis]
            if mode == "clamp" or not along.numel() or not bool(torch.isfinite(along).all()):
                continue
            if along.min() >= -_TOLERANCE and along.max() <= 1 + _TOLERANCE:
                continue
            period = _PERIODS[mode]
            moved[..., axis] -= ((along.amin(dim=1, keepdim=True) + _TOLERANCE) / period).floor() * period
            needs[:, axis] = (moved[..., axis].amax(dim=1) - _TOLERANCE).ceil().clamp(1, 2**31).to(torch.int64)
        tiles = _tiles(image, needs, source)
        if tiles == (1, 1) and torch.equal(moved, corners):
            return image, uvs, faces
        coordinates = (moved / torch.tensor(tiles, dtype=torch.float64)).to(uvs.dtype).reshape(-1, 2)
        return self._laid_out(image, tiles, modes), coordinates, torch.arange(faces.numel()).view_as(faces)

    def _laid_out(self, image: Tensor, tiles: tuple[int, int], modes: tuple[str, str]) -> Tensor:
        if tiles == (1, 1):
            return image
        key = (id(image), tiles, modes)
        if key not in self._made:
            self._made[key] = image, _repeated(_repeated(image, 0, tiles[1], modes[1]), 1, tiles[0], modes[0])
        return self._made[key][1]


def _tiles(image: Tensor, needs: Tensor, source: str) -> tuple[int, int]:
    """How often to lay out an image along u and v, for faces that need it (F, 2) times."""
    height, width, _ = image.shape
    most = _MOST_TEXELS // (height * width)
    # All faces, those that each could be had alone, or none.
    for number, kept in enumerate((needs, needs[needs.double().prod(dim=1) <= most], needs[:0])):
        u, v = kept.amax(dim=0).tolist() if len(kept) else (1, 1)
        if u * v > max(most, 1):
            continue
        if number:
            wanted = needs.amax(dim=0).tolist()
            warnings.warn(
                f"{source}: a face repeats its image of {height} x {width} texels too often ({wanted[1]} x "
                f"{wanted[0]}): beyond {v} x {u}, the border is shown",
                UserWarning,
                stacklevel=3,
            )
        return u, v
    return 1, 1


def _repeated(image: Tensor, axis: int, times: int, mode: str) -> Tensor:
    if times == 1:
        return image
    return torch.cat([image.flip(axis) if mode == "mirror" and i % 2 else image for i in range(times)], dim=axis)
