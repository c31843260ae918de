"""Tables: the same cells in every style."""

from __future__ import annotations

import math

import pytest
from zeroiqa.evaluation.tables import STYLES, Cell, Table, cells, marks, number, p_value, render

TABLE = Table(
    ("method", "SRCC", "100 %_a|b"),
    (
        (Cell("ours & co"), Cell("0.912", "best"), Cell("-")),
        (Cell("theirs"), Cell("0.900", "second"), Cell("1")),
    ),
    ("Higher is better.",),
)


def test_every_style_ends_in_one_line_break_and_holds_every_cell():
    for style in STYLES:
        text = render(TABLE, style)
        assert text.endswith("\n") and not text.endswith("\n\n")
        for part in ("0.9", "theirs"):
            assert part in text


def test_latex_escapes_what_it_would_not_print():
    text = render(TABLE, "latex")
    assert "ours \\& co & \\textbf{0.912} & - \\\\" in text
    assert "100 \\%\\_a|b" in text and "\\underline{0.900}" in text
    assert text.count("\\hline") == 3 and "{lrr}" in text


def test_markdown_marks_and_keeps_its_columns():
    lines = render(TABLE, "markdown").splitlines()
    assert lines[2] == "| ours & co | **0.912** | - |"
    assert lines[0] == "| method | SRCC | 100 %_a\\|b |"


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


def test_cells_without_marks():
    assert cells("a", "b") == (Cell("a"), Cell("b"))
