# SPDX-License-Identifier: Apache-2.0
"""Rectangles in a rectangle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patina3d.renderer.mesh.utils import PackedRectangle, Rectangle, pack_rectangles, pack_unique_rectangles

SIDES = st.integers(1, 20)


@given(st.lists(st.tuples(SIDES, SIDES), min_size=2, max_size=20))
def test_all_inside_and_apart(sizes: list[tuple[int, int]]):
    packed = pack_rectangles(sizes)
    seen = set()
    for (xsize, ysize), place in zip(sizes, packed.locations, strict=True):
        if place.flipped:
            xsize, ysize = ysize, xsize
        pixels = {(x, y) for x in range(place.x, place.x + xsize) for y in range(place.y, place.y + ysize)}
        assert not pixels & seen
        seen |= pixels
    assert max(x for x, _ in seen) < packed.total_size[0]
    assert max(y for _, y in seen) < packed.total_size[1]
    assert packed.total_size[0] == max(map(max, sizes))


@pytest.mark.parametrize(
    ("sizes", "total"),
    [
        ([(3, 4), (4, 3)], {6, 4}),
        ([(2, 2), (2, 4), (2, 2)], {4}),
        ([(3, 3)] + [(1, 1)] * 3, {3, 4}),
        ([(1, 1)] * 6 + [(3, 3)], {3, 5}),
        ([(7, 190)] * 4 + [(190, 7)] * 4, {190, 56}),
        ([(1, 100), (5, 96), (4, 5)], {100, 6}),
    ],
)
def test_gaps_are_filled(sizes: list[tuple[int, int]], total: set[int]):
    assert set(pack_rectangles(sizes).total_size) == total


def test_equal_identifiers_share_a_place():
    packed = pack_unique_rectangles([Rectangle(2, 5, 1), Rectangle(3, 4, 2), Rectangle(2, 5, 1)])
    assert packed.locations[2] == packed.locations[0]._replace(is_first=False)
    assert packed.locations[0].is_first
    assert packed.locations[1].is_first
    assert packed.locations[:2] == pack_rectangles([(2, 5), (3, 4)]).locations
    assert pack_unique_rectangles([Rectangle(2, 5, 1)] * 2).locations[1] == PackedRectangle(0, 0, False, False)


def test_bad_input():
    for function, one in ((pack_rectangles, (2, 2)), (pack_unique_rectangles, Rectangle(2, 2, 0))):
        with pytest.raises(ValueError, match="must have at least 2 entries, got 1"):
            function([one])
    with pytest.raises(ValueError, match="sizes must be positive"):
        pack_rectangles([(2, 0), (1, 1)])


def test_equal_rectangles_lie_along_x_the_last_one_first():
    packed = pack_unique_rectangles([Rectangle(2, 5, 1), Rectangle(2, 5, 2), Rectangle(2, 5, 1)])
    assert packed.total_size == (5, 4)
    assert packed.locations == [
        PackedRectangle(0, 2, True, True),
        PackedRectangle(0, 0, True, True),
        PackedRectangle(0, 2, True, False),
    ]
