"""Labels on a picture: inside of it, near what they name, and never on another."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from zeroiqa.report.labels import Box, Wanted, distance, place

PICTURE = Box(0, 0, 400, 300)


def test_a_label_stands_on_its_anchor_where_nothing_is_in_the_way() -> None:
    assert [*place([Wanted((200, 150), (60, 20))], PICTURE)] == [Box(170, 140, 230, 160)]


@pytest.mark.parametrize("anchor", [(0, 0), (399, 299), (399, 0), (2, 150)])
def test_a_label_stays_in_the_picture(anchor: tuple[int, int]) -> None:
    (box,) = place([Wanted(anchor, (60, 20))], PICTURE)
    assert box is not None and box.x0 >= 0 and box.y0 >= 0 and box.x1 <= 400 and box.y1 <= 300
    assert distance(box, anchor) <= 1


def test_no_label_covers_another_or_what_is_taken_however_many_want_one_place() -> None:
    drawn = np.random.default_rng(1)
    wanted = [
        Wanted((int(x), int(y)), (int(width), 20))
        for x, y, width in zip(
            drawn.integers(180, 220, 25),
            drawn.integers(130, 170, 25),
            drawn.integers(30, 70, 25),
            strict=True,
        )
    ]
    taken = Box(0, 0, 120, 40)
    boxes = [box for box in place(wanted, PICTURE, [taken]) if box is not None]
    assert len(boxes) == 25
    for one, other in combinations([taken, *boxes], 2):
        assert one.x1 <= other.x0 or other.x1 <= one.x0 or one.y1 <= other.y0 or other.y1 <= one.y0
    assert np.mean([distance(box, each.anchor) for box, each in zip(boxes, wanted, strict=True)]) < 100


def test_a_label_without_room_has_no_place_and_the_others_keep_theirs() -> None:
    boxes = [
        *place([Wanted((5, 5), (500, 20)), Wanted((5, 5), (50, 20)), Wanted((5, 5), (50, 290))], PICTURE)
    ]
    assert boxes[0] is None and boxes[1] is not None and boxes[2] is not None
    assert [*place([Wanted((5, 5), (390, 290))], PICTURE, [Box(0, 0, 20, 20)])] == [None]
