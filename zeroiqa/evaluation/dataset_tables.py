"""Score files as they are published: CSV, two columns of text, xlsx and .mat."""

from __future__ import annotations

import csv
import io
import math
import warnings
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from zeroiqa.errors import UserError, printable
from zeroiqa.evaluation.dataset_types import some

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Cells: TypeAlias = tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table with a header; every cell is text, an empty one is ""."""

    path: Path
    header: Cells
    rows: tuple[Cells, ...]
    """As long as the header each."""

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
                f"its columns are {some(map(printable, self.header), 12) or 'none'}."
            )
        return [places[name.lower()] for name in wanted]


def read_table(path: Path, *, sheet: str | None = None, header: Sequence[str] = ()) -> Table:
    """Read a .csv, .tsv or .xlsx with a header.

    Args:
        path: What the suffix says it is.
        sheet: Of an xlsx; the first one if not given.
        header: Columns that mark the header where it does not come first; empty if it does.

    Raises:
        UserError: the file cannot be read, is damaged, or has no header.
    """
    rows = _xlsx(path, sheet) if path.suffix.lower() == ".xlsx" else _separated(path)
    wanted = {name.lower() for name in header}
    for line, row in enumerate(rows, start=1):
        if any(row) and wanted <= {cell.strip().lower() for cell in row}:
            width = len(row)
            body = tuple((*each, *[""] * (width - len(each)))[:width] for each in rows[line:] if any(each))
            return Table(path, tuple(cell.strip() for cell in row), body)
    if header and any(map(any, rows)):
        first = next(row for row in rows if any(row))
        raise UserError(
            f"{printable(path.name)} has no line with the columns {', '.join(header)}; "
            f"its first line is {some(filter(None, first), 12)}."
        )
    raise UserError(f"{printable(path.name)} is empty; a table with a header is expected there.")


def read_rows(path: Path) -> list[Cells]:
    """All rows of a .csv, .tsv or .xlsx that may lack a header; rows without any text are left out.

    Raises:
        UserError: the file cannot be read or is damaged.
    """
    rows = _xlsx(path, None) if path.suffix.lower() == ".xlsx" else _separated(path)
    return [row for row in rows if any(row)]


def read_pairs(path: Path) -> Table:
    """Read lines of an image and its score with white space between, in either order: columns name, score.

    Raises:
        UserError: the file cannot be read, or a line is something else.
    """
    rows = []
    for line, text in enumerate(read_text(path).splitlines(), start=1):
        if not text.strip():
            continue
        first, _, rest = text.strip().replace("\t", " ").partition(" ")
        name, _, score = text.strip().replace("\t", " ").rpartition(" ")
        if number(first) is not None:
            name, score = rest, first
        if number(score) is None or not name.strip():
            raise UserError(
                f"{printable(path.name)}, line {line}: found {printable(text[:60])!r}; "
                "an image and its score are expected, with a space between."
            )
        rows.append((name.strip(), score))
    return Table(path, ("name", "score"), tuple(rows))


def read_mat(path: Path, variable: str) -> npt.NDArray[np.generic]:
    """One variable of a .mat file, flattened; a cell array gives an array of objects.

    Raises:
        UserError: the file cannot be read, or has no such variable.
    """
    from scipy.io import loadmat

    try:
        content = loadmat(path, variable_names=None)
    except (
        Exception
    ) as error:  # scipy raises what its parser stumbles over: ValueError, TypeError, zlib.error...
        raise UserError(
            f"{printable(path.name)} cannot be read as a .mat file: {_first_line(error)}; unpack it anew."
        ) from error
    if variable not in content:
        there = [name for name in content if not name.startswith("__")]
        raise UserError(f"{printable(path.name)} has no variable {variable}; it has {some(there) or 'none'}.")
    values: npt.NDArray[np.generic] = content[variable].ravel()
    return values


def read_text(path: Path) -> str:
    """UTF-8 with or without its mark, or UTF-16 with it.

    Raises:
        UserError: the file cannot be read, or is no such text.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{printable(str(path))} cannot be read: {error.strerror}.") from error
    try:
        return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{printable(path.name)} is not UTF-8 text; save it as UTF-8.") from error


def number(text: str) -> float | None:
    """The finite number that a cell holds, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def is_blank(text: str) -> bool:
    """Whether a cell stands for no value."""
    return text.strip().lower() in ("", "nan", "na", "n/a", "none", "null", "-")


def _separated(path: Path) -> list[Cells]:
    text = read_text(path)
    first = text.partition("\n")[0]
    delimiter = (
        "\t"
        if path.suffix.lower() in (".tsv", ".tab") or ("\t" in first and "," not in first)
        else (";" if ";" in first and "," not in first else ",")
    )
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        return [tuple(row) for row in rows]
    except csv.Error as error:
        raise UserError(
            f"{printable(path.name)} is damaged near line {rows.line_num}: {error}; is a quote missing?"
        ) from error


def _xlsx(path: Path, sheet: str | None) -> list[Cells]:
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise UserError(
            f"Reading {printable(path.name)} needs the package openpyxl, which is not installed; "
            "pip install openpyxl."
        ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about styles and validation, which no score is in
            book = load_workbook(path, read_only=True, data_only=True)
            with closing(book):
                names = book.sheetnames
                if sheet is not None and sheet not in names:
                    raise UserError(f"{printable(path.name)} has no sheet {sheet}; it has {some(names)}.")
                page = book[sheet or names[0]]
                page.reset_dimensions()  # some programs write wrong ones, and rows would be lost
                return [tuple(map(_cell, row)) for row in page.iter_rows(values_only=True)]
    except UserError:
        raise
    except Exception as error:  # whatever zipfile, the XML parser or openpyxl stumble over
        raise UserError(
            f"{printable(path.name)} cannot be read as an xlsx file: {_first_line(error)}; unpack it anew."
        ) from error


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
