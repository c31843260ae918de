"""Tables to read: plain text, Markdown or LaTeX, from the same cells. Programs get `records` instead."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from zeroiqa.names import harmless

Mark: TypeAlias = Literal["", "best", "second"]
STYLES = ("table", "markdown", "latex")
DECIMALS = 3
"""How many a measured number is shown with; a published one keeps its own."""
_EQUAL = 12  # decimals: the same value computed in two ways is a tie
_SPECIAL = str.maketrans({char: f"\\{char}" for char in "&%$#_{}"})
"""What LaTeX would not print as it is."""


class Cell(NamedTuple):
    """What stands in one place."""

    text: str
    mark: Mark = ""


@dataclass(frozen=True)
class Table:
    """Rows of cells, the first column names what a row is about."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    """Sentences below the table."""


def cells(*texts: str) -> tuple[Cell, ...]:
    """A row without marks."""
    return tuple(map(Cell, texts))


def number(value: float | None, decimals: int | None = None, printed: int | None = None) -> str:
    """A number as tables show it; a dash for one that does not exist.

    Args:
        value: The number.
        decimals: How many the reader asked for; None for the usual ones.
        printed: How many a published number was printed with: it has no more than these.
    """
    if value is None or math.isnan(value):
        return "-"
    if decimals is None:
        decimals = DECIMALS if printed is None else printed
    elif printed is not None:
        decimals = min(decimals, printed)
    return f"{value:.{decimals}f}"


def p_value(p: float | None, at_floor: bool, decimals: int | None = None) -> str:
    """A p value as tables show it; "<" where it is smaller than can be shown, or than could be found.

    Args:
        p: Within 0..1.
        at_floor: Whether it is the smallest that the resamples could find, so that it is an upper limit.
        decimals: As for `number`.
    """
    if p is None:
        return "-"
    digits = DECIMALS if decimals is None else decimals
    least = 10.0**-digits
    if at_floor and p < 1:
        return f"<{max(math.ceil(p / least - 1e-9) * least, least):.{digits}f}"
    return f"<{least:.{digits}f}" if p < least else f"{p:.{digits}f}"


def marks(values: Sequence[float | None]) -> list[Mark]:
    """Which of a column's values are the best and the second best: higher is better, ties share a mark."""
    exact = [None if value is None or math.isnan(value) else round(value, _EQUAL) for value in values]
    ranked = sorted({value for value in exact if value is not None}, reverse=True)[:2]
    names: dict[float, Mark] = dict(zip(ranked, ("best", "second"), strict=False))
    return ["" if value is None else names.get(value, "") for value in exact]


def render(table: Table, style: str) -> str:
    """The table as text that ends in a line break; `style` is one of `STYLES`."""
    table = Table(
        tuple(map(harmless, table.columns)),
        tuple(tuple(cell._replace(text=harmless(cell.text)) for cell in row) for row in table.rows),
        tuple(map(harmless, table.notes)),
    )
    renderers: dict[str, Callable[[Table], str]] = {"table": _plain, "markdown": _markdown, "latex": _latex}
    return renderers[style](table)


def _plain(table: Table) -> str:
    marks = {"best": "*", "second": "'", "": ""}
    texts = [table.columns, *([cell.text + marks[cell.mark] for cell in row] for row in table.rows)]
    widths = [max(len(row[column]) for row in texts) for column in range(len(table.columns))]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in texts
    ]
    return "\n".join([*lines, *table.notes]) + "\n"


def _markdown(table: Table) -> str:
    marks = {"best": "**{}**", "second": "_{}_", "": "{}"}

    def line(texts: Sequence[str]) -> str:
        return f"| {' | '.join(text.replace('|', chr(92) + '|') for text in texts)} |"

    rows = [line([marks[cell.mark].format(cell.text) for cell in row]) for row in table.rows]
    lines = [line(table.columns), "|---" * len(table.columns) + "|", *rows]
    return "\n".join([*lines, *(f"\n{note}" for note in table.notes)]) + "\n"


def _latex(table: Table) -> str:
    marks = {"best": "\\textbf{{{}}}", "second": "\\underline{{{}}}", "": "{}"}

    def line(texts: Sequence[str]) -> str:
        return " & ".join(texts) + " \\\\"

    rows = [line([marks[cell.mark].format(_escaped(cell.text)) for cell in row]) for row in table.rows]
    return "\n".join(
        [
            f"\\begin{{tabular}}{{l{'r' * (len(table.columns) - 1)}}}",
            "\\hline",
            line([_escaped(column) for column in table.columns]),
            "\\hline",
            *rows,
            "\\hline",
            "\\end{tabular}",
            *(f"% {note}" for note in table.notes),
            "",
        ]
    )


def _escaped(text: str) -> str:
    return text.replace("\\", "/").translate(_SPECIAL)
