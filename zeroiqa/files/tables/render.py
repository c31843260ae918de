"""The one place that draws tables for people: aligned text, Markdown or LaTeX, from the same cells."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from zeroiqa.names import harmless

Mark: TypeAlias = Literal["", "best", "second"]
STYLES = ("table", "markdown", "latex")
_SPECIAL = str.maketrans({char: f"\\{char}" for char in "&%$#_{}"})
"""What LaTeX would not print as it is."""


class Cell(NamedTuple):
    """The text of one row in one column, and whether it is marked as the best or the second best."""

    text: str
    mark: Mark = ""


@dataclass(frozen=True)
class TextTable:
    """Rows of cells; the first column names what a row is about."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    """Sentences below the table."""


def cells(*texts: str) -> tuple[Cell, ...]:
    """A row without marks."""
    return tuple(map(Cell, texts))


def aligned(rows: Iterable[Sequence[str]], right: Collection[int] = ()) -> Iterator[str]:
    """The lines of a table as text: columns as wide as their longest text, two blanks between them.

    Args:
        rows: The texts of each row, one for each column; a header is a row like others.
        right: Columns, counted from 0, whose texts end together (numbers); the others begin together.
    """
    lines = list(rows)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for row in lines:
        texts = (
            text.rjust(width) if column in right else text.ljust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(texts).rstrip()


def render(table: TextTable, style: str) -> str:
    """The table as text that ends in a line break; `style` is one of `STYLES`."""
    table = TextTable(
        tuple(map(harmless, table.columns)),
        tuple(tuple(cell._replace(text=harmless(cell.text)) for cell in row) for row in table.rows),
        tuple(map(harmless, table.notes)),
    )
    return _RENDERERS[style](table)


def _plain(table: TextTable) -> str:
    marks = {"best": "*", "second": "'", "": ""}
    texts = [table.columns, *([cell.text + marks[cell.mark] for cell in row] for row in table.rows)]
    return "\n".join([*aligned(texts), *table.notes]) + "\n"


def _markdown(table: TextTable) -> str:
    marks = {"best": "**{}**", "second": "_{}_", "": "{}"}

    def line(texts: Sequence[str]) -> str:
        return f"| {' | '.join(text.replace('|', chr(92) + '|') for text in texts)} |"

    rows = [line([marks[cell.mark].format(cell.text) for cell in row]) for row in table.rows]
    lines = [line(table.columns), "|---" * len(table.columns) + "|", *rows]
    return "\n".join([*lines, *(f"\n{note}" for note in table.notes)]) + "\n"


def _latex(table: TextTable) -> str:
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


_RENDERERS: dict[str, Callable[[TextTable], str]] = {
    "table": _plain,
    "markdown": _markdown,
    "latex": _latex,
}
