"""Scores as stars: monotone, by the scale, by ranks or by the user's own scores."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroiqa.aggregate import NO_SCALE, Scale
from zeroiqa.errors import UserError
from zeroiqa.export.stars import ByCuts, by_percentile, by_scale, read_cuts

SCORES = st.lists(st.floats(0, 10), min_size=1, max_size=30)


@pytest.mark.parametrize(
    ("lower", "expected"), [(False, [1, 1, 2, 3, 4, 5, 5]), (True, [5, 5, 5, 4, 3, 2, 1])]
)
def test_the_scale_is_cut_into_five_equal_parts(lower: bool, expected: list[int]) -> None:
    stars = by_scale(Scale(1, 7), lower_is_better=lower)
    assert list(map(stars, [1, 2.19, 2.2, 3.4, 4.6, 5.8, 7])) == expected
    words = {
        False: "1 below 2.2, 2 from 2.2, 3 from 3.4, 4 from 4.6, 5 from 5.8",
        True: "5 to 2.2, 4 to 3.4, 3 to 4.6, 2 to 5.8, 1 above",
    }
    assert str(stars) == words[lower]


@pytest.mark.parametrize("scale", [NO_SCALE, Scale(1, None)])
def test_without_two_ends_there_are_no_equal_parts(scale: Scale) -> None:
    with pytest.raises(UserError, match="--stars percentile"):
        by_scale(scale)


def test_a_fifth_of_the_images_has_each_rating_and_equal_scores_have_one() -> None:
    assert list(map(by_percentile(range(10)), range(10))) == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    turned = by_percentile(range(10), lower_is_better=True)
    assert list(map(turned, range(10))) == [5, 5, 4, 4, 3, 3, 2, 2, 1, 1]
    assert {by_percentile([3.0] * 9)(3.0), by_percentile([3.0], lower_is_better=True)(3.0)} == {3}


@given(SCORES, st.booleans())
def test_no_map_falls_as_quality_rises(scores: list[float], lower: bool) -> None:
    maps = (
        by_percentile(scores, lower_is_better=lower),
        by_scale(Scale(0, 10), lower_is_better=lower),
        ByCuts((1, 2, 3, 4), lower),
    )
    best_last = sorted(scores, reverse=lower)
    for stars in maps:
        given_stars = list(map(stars, best_last))
        assert given_stars == sorted(given_stars) and {*given_stars} <= {1, 2, 3, 4, 5}


@pytest.mark.parametrize(
    "text", ["", "1,2,3", "1,2,3,4,5", "1,3,2,4", "1,1,2,3", "1,2,3,inf", "nan,1,2,3", "best"]
)
def test_other_maps_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="no map to stars; give scale, percentile"):
        read_cuts(text)
