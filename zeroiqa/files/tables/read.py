"""Read a table of images: its header, its rows as text, its column of images and its numbers.

The one reader of what people bring: lists of images, opinions, scores of other tools, ratings to train on.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from zeroiqa.errors import UserError, printable
from zeroiqa.files.storage import Location
from zeroiqa.files.tables.columns import (
    IMAGE_COLUMNS,
    SCORE_COLUMNS,
    first_names,
    letters,
    named_column,
    prompt_column,
)
from zeroiqa.files.tables.numbers import has_comma, is_blank, may_be_thousands, plain_number
from zeroiqa.files.tables.row_files import read_rows_of, read_whole
from zeroiqa.files.tables.rows import Cells, TableRows, check_size
from zeroiqa.files.tables.text import header_place

__all__ = [
    "IMAGE_COLUMNS",
    "SCORE_COLUMNS",
    "Table",
    "first_names",
    "is_blank",
    "letters",
    "named_column",
    "open_rows",
    "plain_number",
    "prompt_column",
    "read_table",
]

_DATE = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True)
class Table:
    """A table with a header; every cell is text, an empty one is ""."""

    path: Location
    header: Cells
    rows: tuple[Cells, ...]
    """As long as the header each."""
    lines: tuple[int, ...] = ()
    """Of each row, its line or row number in the file."""
    delimiter: str = ""
    """What ends the cells in the file; empty where they are no text between delimiters."""
    unit: str = "line"
    """What `lines` counts: line, row or record."""
    formulas: Mapping[tuple[int, int], str] = field(default_factory=dict)
    """Row and column -> name of the Excel cell there, a formula whose value is not stored."""
    notes: tuple[str, ...] = ()
    """Sentences on what of the file is not read."""

    @property
    def shown(self) -> str:
        """The file's name for a message."""
        return printable(self.path.name)

    def columns(self) -> dict[str, int]:
        """Places of the columns by their names in lower case; of equal names the first."""
        places: dict[str, int] = {}
        for place, name in enumerate(self.header):
            places.setdefault(name.strip().lower(), place)
        return places

    def require(self, names: Iterable[str]) -> list[int]:
        """Places of the named columns.

        Raises:
            UserError: some are not there; the message names those that are.
        """
        places, wanted = self.columns(), list(names)
        missing = [name for name in wanted if name.lower() not in places]
        if missing:
            raise UserError(
                f"{self.shown} has no column {' and no column '.join(missing)}; "
                f"its columns are {first_names(self.header) or 'none'}."
            )
        there = [name.strip().lower() for name in self.header]
        twice = [name for name in wanted if there.count(name.lower()) > 1]
        if twice:
            raise UserError(f"{self.shown} has the column {twice[0]} more than once; leave one of them.")
        return [places[name.lower()] for name in wanted]

    def column(self, names: Collection[str], what: str) -> int | None:
        """The place of the one column that has one of the names, in any spelling; None if there is none.

        Raises:
            UserError: there are several; the message names them.
        """
        return named_column(self.header, names, what, self.shown)

    def place(self, row: int) -> str:
        """Where a row is in the file, for a message."""
        return f"{self.unit} {self.lines[row]}"

    def numbers(self, column: int, of: int) -> tuple[float | None, ...]:
        """The numbers of a column, None for blanks; rows without an image may hold anything.

        A decimal comma counts where commas do not end the cells, no number of the column has a point, and
        thousands cannot be meant.

        Args:
            column: Its place.
            of: The column of the images.

        Raises:
            UserError: a cell holds something else, or it is not certain which number it is.
        """
        decimal_comma = self._has_decimal_commas(column)
        values = []
        for row, cells in enumerate(self.rows):
            value = plain_number(cells[column], decimal_comma=decimal_comma)
            if value is None and not is_blank(cells[column]) and cells[of].strip():
                raise self._no_number(row, column, of)
            values.append(value)
        return tuple(values)

    def has_numbers(self, column: int) -> bool:
        """Whether any cell of a column is a number."""
        return any(plain_number(cells[column], decimal_comma=True) is not None for cells in self.rows)

    def _has_decimal_commas(self, column: int) -> bool:
        with_comma = [text for cells in self.rows if has_comma(text := cells[column])]
        if not with_comma or self.delimiter == ",":
            return False
        comma = with_comma[0].strip()
        for cells in self.rows:
            if "." in cells[column] and plain_number(cells[column]) is not None:
                raise UserError(
                    f"{self.shown} has both {comma} and {cells[column].strip()} in its column "
                    f"{self._head(column)}; write all numbers with a decimal point."
                )
        if self.delimiter != ";" and may_be_thousands(with_comma):
            raise UserError(
                f"{self.shown} has {comma} in its column {self._head(column)}, where the comma may part "
                "thousands or decimals; write decimals with a point and thousands without a sign."
            )
        return True

    def _no_number(self, row: int, column: int, of: int) -> UserError:
        text = self.rows[row][column]
        image = printable(self.rows[row][of].strip()[:200])
        where = f"{self.place(row)}, column {self._head(column)}"
        kind = "a date and no number" if _DATE.match(text) else "no finite number"
        advice = "write decimals with a point" if has_comma(text) else "correct it"
        return UserError(
            f"{self.shown} gives {image} the score {printable(text[:40])!r} in {where}, which is {kind}; "
            f"{advice}."
        )

    def _head(self, column: int) -> str:
        return printable(self.header[column][:60])

    def formula_note(self, columns: Collection[int]) -> tuple[str, ...]:
        """A sentence on Excel cells of some columns that hold a formula without a stored value, if any do."""
        cells = [name for (_, column), name in self.formulas.items() if column in columns]
        if not cells:
            return ()
        are = "is a formula" if len(cells) == 1 else f"are {len(cells):,} formulas"
        return (
            f"{first_names(cells, 5)} of {self.shown} {are} without a stored value, left out as blank; "
            "open and save the file in a spreadsheet program.",
        )


def read_table(
    path: Location,
    *,
    sheet: str | None = None,
    header: Sequence[str] = (),
    strict: bool = True,
    ragged: bool = False,
) -> Table:
    """Read a file with a header: CSV with any delimiter, .xlsx, .json, .jsonl, .parquet.

    Args:
        path: On the disk or in an object store.
        sheet: Of a workbook; the first one if not given.
        header: Columns that mark the header where it does not come first. Without them it is the first line,
            or after titles that which names the images.
        strict: Refuse text that is not UTF-8; else such bytes stay what they are, as Python has paths.
        ragged: Leave out what stands in a row beyond the header; else that is an error.

    Raises:
        UserError: the file cannot be read, is damaged or too large, or has no header.
    """
    found = open_rows(path, sheet=sheet, strict=strict)
    shown = printable(path.name)
    if not any(map(any, found.cells)):
        raise UserError(f"{shown} is empty; a table with a header is expected there.")
    place = _marked(found, header, shown) if header else header_place(found.cells)
    if not ragged:
        _check_widths(found, place, shown)
    return _table(path, found, place, shown)


def _marked(found: TableRows, header: Sequence[str], shown: str) -> int:
    """Which row has all the columns that mark the header."""
    wanted = {name.lower() for name in header}
    for place, row in enumerate(found.cells):
        if any(row) and wanted <= {cell.strip().lower() for cell in row}:
            return place
    first = next(row for row in found.cells if any(row))
    raise UserError(
        f"{shown} has no line with the columns {', '.join(header)}; "
        f"its first line is {first_names([cell for cell in first if cell])}."
    )


def open_rows(path: Location, *, sheet: str | None = None, strict: bool = True) -> TableRows:
    """All rows of a file that may lack a header.

    Raises:
        UserError: it cannot be read, is damaged or too large.
    """
    return read_rows_of(read_whole(path), path.suffix, printable(path.name), sheet=sheet, strict=strict)


def _table(path: Location, found: TableRows, head: int, shown: str) -> Table:
    header = tuple(cell.strip().removeprefix("\ufeff") for cell in found.cells[head])
    width = len(header)
    with_formulas = {place for place, column in found.formulas if column < width}
    kept = [
        place
        for place in range(head + 1, len(found.cells))
        if any(found.cells[place]) or place in with_formulas
    ]
    check_size(width, len(kept) + 1, shown)  # short rows become as long as the header
    rows = {place: row for row, place in enumerate(kept)}
    return Table(
        path,
        header,
        tuple((*found.cells[place], *[""] * width)[:width] for place in kept),
        tuple(found.lines[place] for place in kept),
        found.delimiter,
        found.unit,
        {
            (rows[place], column): name
            for (place, column), name in found.formulas.items()
            if place in rows and column < width
        },
        found.notes,
    )


def _check_widths(found: TableRows, head: int, shown: str) -> None:
    """Refuse rows of text that are wider than the header: their cells would be taken for others."""
    width = len(found.cells[head])
    for row, line in zip(found.cells[head:], found.lines[head:], strict=True):
        if found.delimiter and any(row[width:]):
            sign = {",": "a comma", ";": "a semicolon", "\t": "a tab"}.get(found.delimiter, "the delimiter")
            raise UserError(
                f"{shown} has {len(row)} cells in line {line} and {width} in its header; "
                f"put quotes around a cell that holds {sign}, and write decimals with a point."
            )
