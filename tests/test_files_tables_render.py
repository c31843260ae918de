"""Tables: the same cells in every style."""

from __future__ import annotations

from zeroiqa.files.tables.render import STYLES, Cell, TextTable, aligned, cells, render

TABLE = TextTable(
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


def test_cells_without_marks():
    assert cells("a", "b") == (Cell("a"), Cell("b"))


def test_text_is_aligned_to_the_longest_of_its_column_on_the_side_asked_for():
    rows = [("name", "images", "from"), ("a", "12,000", "x"), ("longer", "7", "")]
    assert list(aligned(rows, right=(1,))) == [
        "name    images  from",
        "a       12,000  x",
        "longer       7",
    ]
    assert list(aligned([])) == []
