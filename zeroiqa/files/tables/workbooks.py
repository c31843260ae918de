"""Read sheets of Excel workbooks as rows."""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from zeroiqa.errors import UserError, printable
from zeroiqa.files.tables.columns import first_names
from zeroiqa.files.tables.rows import Cells, TableRows, bounded, check_size, explained, text_of

if TYPE_CHECKING:
    from openpyxl.worksheet._read_only import ReadOnlyWorksheet

MAX_ROWS = 1_048_576
"""As many as Excel has."""
_MAX_PARTS = 128 << 20
"""Bytes of all parts but the sheets when they are unpacked: they are kept in memory."""
_MAX_SHEET = 1 << 30
"""Bytes of a sheet when it is unpacked: it streams."""
_CHUNK = 1 << 20
_LONGEST_TAG = 1 << 16
_TAG = re.compile(rb"<(?:\w+:)?(row|c|f)(?=[\s/>])([^<>]*)")
_NUMBER = re.compile(rb"\sr=[\"']0*(\d+)")
_HIDDEN = re.compile(rb"\shidden=[\"'](?:1|true)")


class _Counted(NamedTuple):
    """What a sheet has."""

    rows: int = 0
    cells: int = 0
    formulas: int = 0
    hidden: int = 0
    """TableRows that are not shown."""


def read_workbook(data: bytes, sheet: str | None, shown: str) -> TableRows:
    """All rows of a sheet, with notes on other sheets and hidden rows.

    Args:
        data: The .xlsx file.
        sheet: Its name; the first one if not given.
        shown: The file's name for a message.

    Raises:
        UserError: it is damaged, encrypted or too large, has no such sheet, or openpyxl is not installed.
    """
    try:
        import openpyxl  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"Reading {shown} needs the package openpyxl, which is not installed; pip install openpyxl."
        ) from error
    with explained(shown, "cannot be read as an xlsx file"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about styles and validation, which no score is in
        counted = _count(data, shown)
        with closing(_opened(data, values=True)) as book:
            page, notes = _page(book, sheet, shown)
            cells = list(map(_texts, bounded(_rows_of(page, values=True), shown)))
            if len(cells) > MAX_ROWS:
                raise _too_many_rows(shown)
            of = counted.get(getattr(page, "_worksheet_path", ""), _Counted(formulas=1))
        formulas: Mapping[tuple[int, int], str] = {}
        if of.formulas:
            with closing(_opened(data, values=False)) as book:
                places = list(_formulas(book[page.title]))
            formulas = {place: name for place, name in places if _is_empty(cells, *place)}
    if of.hidden:
        notes += (f"Hidden rows of {shown}, which count like those that are shown: {of.hidden:,}.",)
    return TableRows(cells, list(range(1, len(cells) + 1)), unit="row", formulas=formulas, notes=notes)


def _opened(data: bytes, *, values: bool) -> Any:
    from openpyxl import load_workbook

    return load_workbook(io.BytesIO(data), read_only=True, data_only=values)


def _page(book: Any, sheet: str | None, shown: str) -> tuple[ReadOnlyWorksheet, tuple[str, ...]]:
    """The sheet, and a sentence on the others where nobody chose."""
    pages = {page.title: page for page in book.worksheets}
    if not pages:
        raise UserError(f"{shown} has no sheet of cells; a table with a header is expected there.")
    if sheet is not None and sheet not in pages:
        raise UserError(f"{shown} has no sheet {sheet}; it has {first_names(pages, 5)}.")
    first = next(iter(pages))
    notes: tuple[str, ...] = ()
    if sheet is None and len(pages) > 1:
        others = first_names([name for name in pages if name != first], 3)
        notes = (
            f"Of the {len(pages)} sheets of {shown} the first is read, {printable(first)}, not {others}.",
        )
    return pages[sheet or first], notes


def _rows_of(page: Any, *, values: bool) -> Iterator[Any]:
    """As many rows as there can be, and one more: a row may claim any number, what precedes it is made up.

    Some programs write wrong dimensions, and rows would be lost.
    """
    page.reset_dimensions()
    return islice(page.iter_rows(values_only=values), MAX_ROWS + 1)


def _texts(values: tuple[object, ...]) -> Cells:
    end = len(values)
    while end and values[end - 1] is None:  # formats of whole columns and rows make empty cells
        end -= 1
    return tuple(map(text_of, values[:end]))


def _formulas(page: Any) -> Iterator[tuple[tuple[int, int], str]]:
    """The cells that hold a formula: place and name."""
    for row, each in enumerate(_rows_of(page, values=False)):
        for column, cell in enumerate(each):
            if cell.data_type == "f":
                yield (row, column), f"{cell.column_letter}{row + 1}"


def _is_empty(cells: list[Cells], row: int, column: int) -> bool:
    return row >= len(cells) or column >= len(cells[row]) or not cells[row][column]


def _count(data: bytes, shown: str) -> dict[str, _Counted]:
    """What each sheet has, by the name of its part; what Excel cannot hold is refused before it is parsed.

    Raises:
        UserError: a sheet has too many rows or cells, or the parts are too large to be unpacked.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        _check_kind(archive.namelist(), shown)
        parts = [part for part in archive.infolist() if part.filename.endswith((".xml", ".rels"))]
        sheets = [
            part for part in parts if "/worksheets/" in part.filename and part.filename.endswith(".xml")
        ]
        whole = sum(part.file_size for part in parts) - sum(part.file_size for part in sheets)
        if whole > _MAX_PARTS or any(part.file_size > _MAX_SHEET for part in sheets):
            raise UserError(
                f"{shown} unpacks to more than is read of a workbook ({_MAX_PARTS >> 20} MiB beside its "
                "sheets); save the table as .csv."
            )
        return {part.filename: _count_sheet(archive, part, shown) for part in sheets}


def _check_kind(names: list[str], shown: str) -> None:
    """Raise UserError for a zip archive that is no .xlsx file."""
    if "xl/workbook.bin" in names:
        raise UserError(f"{shown} is a binary workbook (.xlsb); save it as .xlsx or as .csv.")
    if "content.xml" in names and "mimetype" in names:
        raise UserError(f"{shown} is an OpenDocument file (.ods); save it as .xlsx or as .csv.")
    if "[Content_Types].xml" not in names:
        raise UserError(f"{shown} is a zip archive, no workbook; unpack it and name the table that is in it.")


def _count_sheet(archive: zipfile.ZipFile, part: zipfile.ZipInfo, shown: str) -> _Counted:
    rows = cells = width = formulas = hidden = 0
    rest = b""
    with archive.open(part) as file:
        while chunk := file.read(_CHUNK):
            chunk = rest + chunk
            cut = chunk.rfind(b"<", max(len(chunk) - _LONGEST_TAG, 0))
            cut = len(chunk) if cut < 0 else cut
            for name, attributes in _TAG.findall(chunk[:cut]):
                if name == b"row":
                    numbered = _NUMBER.search(attributes)
                    rows, width = rows + 1, 0
                    if rows > MAX_ROWS or (numbered and int(numbered[1]) > MAX_ROWS):
                        raise _too_many_rows(shown)
                    hidden += _HIDDEN.search(attributes) is not None
                elif name == b"c":
                    cells, width = cells + 1, width + 1
                    check_size(width, 1, shown)
                else:
                    formulas += 1
            rest = chunk[cut:]
            check_size(1, cells, shown)
    return _Counted(rows, cells, formulas, hidden)


def _too_many_rows(shown: str) -> UserError:
    return UserError(
        f"{shown} has a sheet of more than the {MAX_ROWS:,} rows that Excel has; save the table as .csv."
    )
