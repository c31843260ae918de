"""Tables of images: a header, rows of text, and which of the columns names the image."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from zeroiqa.errors import UserError, printable
from zeroiqa.storage import Location
from zeroiqa.table_files import Cells, Rows, read_rows_of

IMAGE_COLUMNS = ("path", "image", "file", "filename", "name", "image_name", "image_path", "image_file",
                 "file_path", "img", "img_name", "img_path", "dist_img")  # fmt: skip
"""What the column of the images may be called, in any case, with any of - _ or a space between, or none."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE | re.ASCII)
_DECIMAL_COMMA = re.compile(r"[+-]?(\d+,\d*|,\d+)(e[+-]?\d+)?", re.IGNORECASE | re.ASCII)
_BLANK = ("", "nan", "na", "n/a", "#n/a", "none", "null", "nil", "-", "--", "?")


@dataclass(frozen=True)
class Table:
    """A table with a header; every cell is text, an empty one is ""."""

    path: Location
    header: Cells
    rows: tuple[Cells, ...]
    """As long as the header each."""
    lines: tuple[int, ...] = ()
    """Of each row, its line or row number in the file."""
    decimal_comma: bool = False
    """Whether 2,5 may be a number."""
    formulas: Mapping[tuple[int, int], str] = field(default_factory=dict)
    """Row and column -> name of the Excel cell there, a formula whose value is not stored."""

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
        return [places[name.lower()] for name in wanted]

    def column(self, names: Collection[str], what: str) -> int | None:
        """The place of the one column that has one of the names, in any spelling; None if there is none.

        Raises:
            UserError: there are several; the message names them.
        """
        return named_column(self.header, names, what, self.shown)

    def number(self, row: int, column: int) -> float | None:
        """The number in a cell, None for a blank one.

        Raises:
            UserError: it is something else, or no finite number.
        """
        text = self.rows[row][column]
        value = number(text, decimal_comma=self.decimal_comma)
        if value is None and not is_blank(text):
            raise UserError(
                f"{self.shown} has {printable(text[:40])!r} in line {self.lines[row]}, column "
                f"{printable(self.header[column])}, which is no finite number; correct it."
            )
        return value

    def has_numbers(self, column: int) -> bool:
        """Whether any cell of a column is a number."""
        return any(number(cells[column], decimal_comma=self.decimal_comma) is not None for cells in self.rows)

    def check_decimals(self, column: int) -> None:
        """Raise UserError if a column has both decimal commas and decimal points."""
        signs: dict[str, Cells] = {}
        for cells in self.rows:
            if number(cells[column], decimal_comma=True) is not None:
                signs.setdefault("," if "," in cells[column] else "." if "." in cells[column] else "", cells)
        if self.decimal_comma and {",", "."} <= signs.keys():
            one, other = (printable(signs[sign][column].strip()) for sign in ",.")
            raise UserError(
                f"{self.shown} has both {one} and {other} in its column {printable(self.header[column])}; "
                "write all numbers with a decimal point."
            )

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
    """Read a file with a header: CSV with any delimiter, .xlsx, .jsonl, .parquet.

    Args:
        path: On the disk or in an object store.
        sheet: Of a workbook; the first one if not given.
        header: Columns that mark the header where it does not come first; empty if it does.
        strict: Refuse text that is not UTF-8; else such bytes stay what they are, as Python has paths.
        ragged: Leave out what stands in a row beyond the header; else that is an error.

    Raises:
        UserError: the file cannot be read, is damaged, or has no header.
    """
    found = open_rows(path, sheet=sheet, strict=strict)
    wanted = {name.lower() for name in header}
    for place, row in enumerate(found.cells):
        if any(row) and wanted <= {cell.strip().lower() for cell in row}:
            if not ragged:
                _check_widths(found, place, printable(path.name))
            return _table(path, found, place)
    if header and any(map(any, found.cells)):
        first = next(row for row in found.cells if any(row))
        raise UserError(
            f"{printable(path.name)} has no line with the columns {', '.join(header)}; "
            f"its first line is {first_names(filter(None, first))}."
        )
    raise UserError(f"{printable(path.name)} is empty; a table with a header is expected there.")


def open_rows(path: Location, *, sheet: str | None = None, strict: bool = True) -> Rows:
    """All rows of a file that may lack a header.

    Raises:
        UserError: it cannot be read or is damaged.
    """
    shown = printable(path.name)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{printable(str(path))} cannot be read: {error.strerror or error}; "
            "change its mode or name another file."
        ) from error
    return read_rows_of(data, path.suffix, shown, sheet=sheet, strict=strict)


def _table(path: Location, found: Rows, head: int) -> Table:
    header = tuple(cell.strip() for cell in found.cells[head])
    width = len(header)
    kept = [
        place
        for place in range(head + 1, len(found.cells))
        if any(found.cells[place]) or any((place, column) in found.formulas for column in range(width))
    ]
    rows = {place: row for row, place in enumerate(kept)}
    return Table(
        path,
        header,
        tuple((*found.cells[place], *[""] * width)[:width] for place in kept),
        tuple(found.lines[place] for place in kept),
        found.delimiter != ",",
        {
            (rows[place], column): name
            for (place, column), name in found.formulas.items()
            if place in rows and column < width
        },
    )


def _check_widths(found: Rows, head: int, shown: str) -> None:
    """Refuse rows of text that are wider than the header: their cells would be taken for others."""
    width = len(found.cells[head])
    for row, line in zip(found.cells[head:], found.lines[head:], strict=True):
        if found.delimiter and any(row[width:]):
            sign = {",": "a comma", ";": "a semicolon", "\t": "a tab"}.get(found.delimiter, "the delimiter")
            raise UserError(
                f"{shown} has {len(row)} cells in line {line} and {width} in its header; "
                f"put quotes around a cell that holds {sign}, and write decimals with a point."
            )


def named_column(header: Sequence[str], names: Collection[str], what: str, shown: str) -> int | None:
    """The place of the one column that has one of the names, in any spelling; None if there is none.

    Args:
        header: Names of the columns.
        names: Those that fit.
        what: What such a column holds, for a message.
        shown: The file, for a message.

    Raises:
        UserError: there are several; the message names them.
    """
    wanted = {letters(name) for name in names}
    fitting = [place for place, name in enumerate(header) if letters(name) in wanted]
    if len(fitting) > 1:
        named = " and ".join(printable(header[place]) for place in fitting)
        raise UserError(
            f"{shown} has {len(fitting)} columns of {what}, {named}; leave one of them or rename the others."
        )
    return fitting[0] if fitting else None


def letters(name: str) -> str:
    """A column's name without case, spaces, - and _."""
    return re.sub(r"[\s_-]+", "", name.casefold())


def number(text: str, *, decimal_comma: bool = False) -> float | None:
    """The finite number that a cell holds, or None."""
    text = text.strip()
    if decimal_comma and _DECIMAL_COMMA.fullmatch(text):
        text = text.replace(",", ".")
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def is_blank(text: str) -> bool:
    """Whether a cell stands for no value."""
    return text.strip().lower() in _BLANK


def first_names(names: Iterable[str], limit: int = 12) -> str:
    """The first of some names for a message, and how many more there are."""
    listed = [printable(name) for name in names]
    more = f" and {len(listed) - limit:,} more" if len(listed) > limit else ""
    return ", ".join(listed[:limit]) + more
