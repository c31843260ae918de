"""How numbers are shown: decimals, limits of p values, marks of the best."""

from __future__ import annotations

import math

import pytest

from zeroiqa.evaluation.formatting import marks, number, p_value


def test_best_and_second_best_compare_full_values_and_ties_share_a_mark():
    """0.9001 and 0.8999 are shown alike; 0.1 + 0.2 and 0.3 are the same number computed in two ways."""
    assert marks([0.9001, 0.5, None, 0.8999, 0.1]) == ["best", "", "", "second", ""]
    assert marks([0.1 + 0.2, 0.3, 0.2, 0.1]) == ["best", "best", "second", ""]
    assert marks([]) == [] and marks([None, math.nan]) == ["", ""]


@pytest.mark.parametrize(
    ("value", "decimals", "printed", "text"),
    [
        (None, None, None, "-"),
        (math.nan, None, None, "-"),
        (0.12345, None, None, "0.123"),
        (0.12345, 5, None, "0.12345"),
        (0.8566, None, 4, "0.8566"),
        (0.9, None, 1, "0.9"),
        (0.8566, 2, 4, "0.86"),
        (0.9, 5, 1, "0.9"),
    ],
)
def test_a_number_has_the_decimals_asked_for_and_a_published_one_no_more_than_printed(
    value, decimals, printed, text
):
    assert number(value, decimals, printed) == text


@pytest.mark.parametrize(
    ("p", "at_floor", "decimals", "text"),
    [
        (None, False, None, "-"),
        (0.25, False, None, "0.250"),
        (0.00004, False, None, "<0.001"),
        (0.004, False, 2, "<0.01"),
        (6 / 1001, True, None, "<0.006"),
        (0.0104, True, None, "<0.011"),
        (1.0, True, None, "1.000"),
    ],
)
def test_a_p_value_that_is_only_a_limit_says_so(p, at_floor, decimals, text):
    assert p_value(p, at_floor, decimals) == text
