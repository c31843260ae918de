"""From one rating to a number: the likeliest level, the mean level, the greedy answer, or its own number."""

from __future__ import annotations

import math

import pytest
from hypothesis import given

from tests.test_aggregate import LEVELS, K, certain, spread
from zeroiqa.aggregate import Aggregation, aggregate, read
from zeroiqa.errors import ImageError, UserError
from zeroiqa.types import Rating


def test_digit_is_the_lower_of_two_equal_levels():
    assert read(spread([1, 5, 1, 5, 1, 1, 1]), "digit") == 2


@given(level=LEVELS)
def test_both_readouts_of_a_certain_rating_are_its_level(level):
    assert read(certain(level), "digit") == read(certain(level), "expected") == level


def test_expected_is_the_mean_level():
    assert read(spread([1, 0.5, 0.5, 1e-300, 1e-300, 1e-300, 2]), "expected") == pytest.approx(4.375)


@pytest.mark.parametrize("broken", [math.nan, 0.1, -math.inf])
@pytest.mark.parametrize("readout", ["digit", "expected"])
def test_probabilities_that_do_not_sum_to_1_are_no_score(broken, readout):
    with pytest.raises(ImageError, match="not to 1"):
        read(Rating((broken,) * K, 1.0), readout)


@pytest.mark.parametrize(
    ("answer", "number"),
    [
        *((digit, int(digit)) for digit in "0123456789"),
        *(
            (text, 1)
            for text in ("", "Good", "10", "07", "-1", "5.", "+5", "\u0663", "\uff15", "\u00b2", "V")
        ),
    ],
)
def test_greedy_answer_is_its_digit_and_anything_else_1(answer, number):
    assert read(Rating(certain(7).logprobs, 0.1, answer=answer), "greedy") == number


def test_greedy_reads_no_rating_whose_answer_is_not_known():
    with pytest.raises(UserError, match="no stored answer.*digit or expected") as raised:
        aggregate([], {"a": [certain(3)]}, Aggregation(readout="greedy"))
    assert not isinstance(raised.value, ImageError), "else the image would be a row with an error"
    assert read(Rating((), 1.0, value=4.37), "greedy") == 4.37


def test_mass_outside_the_scale_does_not_move_the_score():
    rating = certain(3)
    assert read(Rating(rating.logprobs, 0.01), "expected") == read(rating, "expected")


@pytest.mark.parametrize("readout", ["digit", "expected"])
def test_rating_that_is_a_number_is_that_number(readout):
    assert read(Rating((), 1.0, value=4.37), readout) == 4.37


def test_level_beside_a_number_is_kept_and_moves_nothing():
    beside = Rating(spread([1, 5, 2, 1, 1]).logprobs, 1.0, value=62.5)
    score = aggregate((), {"a": (beside,), "b": (certain(3),)}, Aggregation())
    assert (score.raters["a"].score, score.raters["a"].level) == (62.5, 2)
    assert score.raters["b"].level is None


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_rating_whose_number_is_not_finite_is_an_image_error(broken):
    with pytest.raises(ImageError, match="number is (nan|inf)"):
        read(Rating((), 1.0, value=broken), "expected")


@pytest.mark.parametrize("mass", [math.nan, -0.1, 1.5])
def test_rating_whose_mass_is_no_probability_is_an_image_error(mass):
    with pytest.raises(ImageError, match="mass is"):
        read(Rating((0.0,), mass), "digit")
