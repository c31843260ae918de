"""Tables: the same cells in every style."""

from __future__ import annotations

import csv
import io
import json

import pytest

from zeroiqa.evaluation.tables import STYLES, Cell, Table, cells, marked, number, render

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


def test_csv_and_json_read_back():
    rows = list(csv.DictReader(io.StringIO(render(TABLE, "csv"))))
    assert rows[0] == {"method": "ours & co", "SRCC": "0.912", "100 %_a|b": "-"}
    record = json.loads(render(TABLE, "json"))
    assert record["rows"][0] == {"method": "ours & co", "SRCC": 0.912, "100 %_a|b": None}
    assert record["notes"] == ["Higher is better."]


def test_latex_escapes_what_it_would_not_print():
    text = render(TABLE, "latex")
    assert "ours \\& co & \\textbf{0.912} & - \\\\" in text
    assert "100 \\%\\_a|b" in text and "\\underline{0.900}" in text
    assert text.count("\\hline") == 3 and "{lrr}" in text


def test_markdown_marks_and_keeps_its_columns():
    lines = render(TABLE, "markdown").splitlines()
    assert lines[2] == "| ours & co | **0.912** | - |"
    assert lines[0] == "| method | SRCC | 100 %_a\\|b |"


@pytest.mark.parametrize(
    ("higher", "best", "second"), [(True, ["0.900", "0.900"], ["0.500"]), (False, ["0.100"], ["0.500"])]
)
def test_best_and_second_best_are_marked_by_what_is_shown(higher, best, second):
    made = marked([[0.9001], [0.5], [None], [0.8999], [0.1]], higher)
    column = [row[0] for row in made]
    assert [cell.text for cell in column if cell.mark == "best"] == best
    assert [cell.text for cell in column if cell.mark == "second"] == second
    assert column[2] == Cell("-")


def test_nothing_to_mark():
    assert marked([]) == []
    assert marked([[None], [None]]) == [[Cell("-")], [Cell("-")]]
    assert number(None) == "-" and number(0.12345, 2) == "0.12"
    assert cells("a", "b") == (Cell("a"), Cell("b"))
