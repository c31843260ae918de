"""Tables for papers and programs: Markdown, LaTeX, CSV, JSON or plain text, from the same cells."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

Style: TypeAlias = Literal["table", "markdown", "latex", "csv", "json"]
STYLES: tuple[str, ...] = get_args(Style)
_SPECIAL = str.maketrans({char: f"\\{char}" for char in "&%$#_{}"})
"""What LaTeX would not print as it is."""


class Cell(NamedTuple):
    """What stands in one place."""

    text: str
    mark: Literal["", "best", "second"] = ""


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


def number(value: float | None, decimals: int = 3) -> str:
    """A number as tables show it; a dash for one that does not exist."""
    return "-" if value is None else f"{value:.{decimals}f}"


def marked(rows: Sequence[Sequence[float | None]], higher_is_better: bool = True) -> list[list[Cell]]:
    """Numbers as cells, the best and the second best of each column marked; equal texts share a mark.

    Args:
        rows: Method by method, the same columns in each.
        higher_is_better: Or lower.
    """
    made = [[Cell(number(value)) for value in row] for row in rows]
    for column in range(len(rows[0]) if rows else 0):
        shown = sorted(
            {float(row[column].text) for row in made if row[column].text != "-"}, reverse=higher_is_better
        )
        for mark, value in zip(("best", "second"), shown, strict=False):
            for row in made:
                if row[column].text != "-" and float(row[column].text) == value:
                    row[column] = Cell(row[column].text, mark)  # type: ignore[arg-type]
    return made


def render(table: Table, style: str) -> str:
    """The table as text that ends in a line break.

    Args:
        table: What to show.
        style: One of `STYLES`; JSON is a list of records, CSV has no marks and no notes.
    """
    renderers: dict[str, Callable[[Table], str]] = {
        "table": _plain,
        "markdown": _markdown,
        "latex": _latex,
        "csv": _csv,
        "json": _json,
    }
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


def _csv(table: Table) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([cell.text for cell in row] for row in table.rows)
    return text.getvalue()


def _json(table: Table) -> str:
    records: list[dict[str, Any]] = [
        {column: _value(cell.text) for column, cell in zip(table.columns, row, strict=True)}
        for row in table.rows
    ]
    return json.dumps({"rows": records, "notes": list(table.notes)}, ensure_ascii=False, indent=2) + "\n"


def _value(text: str) -> Any:
    """A number where the text is one; None for a dash."""
    try:
        return None if text == "-" else float(text)
    except ValueError:
        return text
