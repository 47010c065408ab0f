# SPDX-License-Identifier: Apache-2.0
"""Rectangles packed into a small rectangle."""

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["PackedRectangle", "PackedRectangles", "Rectangle", "pack_rectangles", "pack_unique_rectangles"]


class Rectangle(NamedTuple):
    """A rectangle to be packed.

    Attributes:
        xsize: its size along x.
        ysize: its size along y.
        identifier: of what it shows; equal ones share a place.
    """

    xsize: int
    ysize: int
    identifier: int


class PackedRectangle(NamedTuple):
    """Where a rectangle went.

    Attributes:
        x: its least x.
        y: its least y.
        flipped: whether its sides have been exchanged.
        is_first: whether it is the first of its identifier; the others share its place.
    """

    x: int
    y: int
    flipped: bool
    is_first: bool


class PackedRectangles(NamedTuple):
    """Where all rectangles went.

    Attributes:
        total_size: of what holds them, along x and y.
        locations: one of each rectangle, in the order given.
    """

    total_size: tuple[int, int]
    locations: list[PackedRectangle]


class _Gap(NamedTuple):
    along: int
    across: int
    length: int
    depth: int


def pack_rectangles(sizes: Sequence[tuple[int, int]]) -> PackedRectangles:
    """Place rectangles in a rectangle, turned or not, without overlap.

    The longest side of all is the length of the whole. Rectangles are taken by descending long side, of equal ones the
    last first; each goes into the shallowest gap that holds it, and where there is none it opens a new shelf across the
    whole length.

    Args:
        sizes: at least two sizes (x, y), whole and positive.

    Returns:
        The size of the whole and the places, in the order of ``sizes``.

    Raises:
        ValueError: fewer than two rectangles, or a size below 1.

    Cost: O(R^2) for R rectangles.

    Example:
        >>> pack_rectangles([(3, 4), (4, 3)])
        PackedRectangles(total_size=(4, 6), locations=[PackedRectangle(x=0, y=3, flipped=True, is_first=True), \
PackedRectangle(x=0, y=0, flipped=False, is_first=True)])
    """
    if len(sizes) < 2:
        raise ValueError(f"pack_rectangles: sizes must have at least 2 entries, got {len(sizes)}")
    if any(side < 1 for size in sizes for side in size):
        raise ValueError(f"pack_rectangles: sizes must be positive, got {list(sizes)}")
    length = max(max(size) for size in sizes)
    # x runs along the shelves, y across them.
    places: dict[int, PackedRectangle] = {}
    gaps: list[_Gap] = []
    top = 0
    for number in sorted(range(len(sizes)), key=lambda n: (-max(sizes[n]), -min(sizes[n]), -n)):
        long, short = max(sizes[number]), min(sizes[number])
        fits = [
            (gap.depth, gap.length, position, along, across)
            for position, gap in enumerate(gaps)
            for along, across in ((long, short), (short, long))
            if along <= gap.length and across <= gap.depth
        ]
        if fits:
            _, _, position, along, across = min(fits)
            gap = gaps.pop(position)
        else:
            along, across = long, short
            gap = _Gap(0, top, length, short)
            top += short
        places[number] = PackedRectangle(gap.along, gap.across, (along, across) != tuple(sizes[number]), True)
        rest = (
            _Gap(gap.along + along, gap.across, gap.length - along, gap.depth),
            _Gap(gap.along, gap.across + across, along, gap.depth - across),
        )
        gaps += [new for new in rest if new.length > 0 and new.depth > 0]
    return PackedRectangles((length, top), [places[number] for number in range(len(sizes))])


def pack_unique_rectangles(rectangles: Sequence[Rectangle]) -> PackedRectangles:
    """As `pack_rectangles`, with one place for all rectangles of an identifier.

    Args:
        rectangles: at least two; those of one identifier have one size.

    Raises:
        ValueError: fewer than two rectangles.

    Example:
        >>> pack_unique_rectangles([Rectangle(2, 3, 7), Rectangle(2, 3, 7)])
        PackedRectangles(total_size=(2, 3), locations=[PackedRectangle(x=0, y=0, flipped=False, is_first=True), \
PackedRectangle(x=0, y=0, flipped=False, is_first=False)])
    """
    if len(rectangles) < 2:
        raise ValueError(f"pack_unique_rectangles: rectangles must have at least 2 entries, got {len(rectangles)}")
    sizes: dict[int, tuple[int, int]] = {}
    for rectangle in rectangles:
        sizes.setdefault(rectangle.identifier, (rectangle.xsize, rectangle.ysize))
    if len(sizes) == 1:
        packed = PackedRectangles(rectangles[0][:2], [PackedRectangle(0, 0, False, True)])
    else:
        packed = pack_rectangles(list(sizes.values()))
    places = dict(zip(sizes, packed.locations, strict=True))
    seen: set[int] = set()
    locations = []
    for rectangle in rectangles:
        first = rectangle.identifier not in seen
        seen.add(rectangle.identifier)
        locations.append(places[rectangle.identifier]._replace(is_first=first))
    return PackedRectangles(packed.total_size, locations)
