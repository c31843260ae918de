"""Files of rows as people have them, as rows of text: CSV with any delimiter, Excel, JSON lines, Parquet."""

from __future__ import annotations

import csv
import io
import json
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeAlias

from zeroiqa.damage import reason, stumbles
from zeroiqa.errors import UserError

Cells: TypeAlias = tuple[str, ...]

SUFFIXES = (".csv", ".tsv", ".tab", ".xlsx", ".jsonl", ".ndjson", ".parquet")
"""What tables are called; how one is read is decided by its content where that says it."""
_DELIMITERS = (",", ";", "\t")
_NO_DELIMITER = "\x1f"  # of a table with a single column, where a comma is part of the cell
_LOOKED_AT = 100  # rows from which the delimiter is found


@dataclass(frozen=True)
class Rows:
    """The rows of a file, the header among them; a cell without a value is ""."""

    cells: list[Cells]
    lines: list[int]
    """Of each row, its line or row number in the file."""
    delimiter: str = ""
    """What ends the cells; empty where they are no text between delimiters."""
    formulas: Mapping[tuple[int, int], str] = field(default_factory=dict)
    """Place in `cells` -> name of an Excel cell with a formula whose value is not stored."""


def read_rows_of(data: bytes, suffix: str, shown: str, *, sheet: str | None = None, strict: bool) -> Rows:
    """All rows of a file.

    Args:
        data: Its content.
        suffix: Of its name; decides where the content does not.
        shown: Its name for a message.
        sheet: Of a workbook; the first one if not given.
        strict: Refuse text that is not UTF-8; else such bytes stay what they are, as Python has paths.

    Raises:
        UserError: it is damaged or of another kind.
    """
    kind = suffix.lower()
    if data.startswith(b"\xd0\xcf\x11\xe0") or kind in (".xls", ".ods"):
        raise UserError(f"{shown} is an old or foreign workbook; save it as .xlsx or as .csv.")
    if data.startswith(b"PK\x03\x04") or kind in (".xlsx", ".xlsm"):
        return _workbook(data, sheet, shown)
    if data.startswith(b"PAR1") or kind == ".parquet":
        return _parquet(data, shown)
    text = decoded(data, shown, strict=strict)
    if kind in (".jsonl", ".ndjson"):
        return _json_lines(text, shown)
    return _separated(text, kind, shown)


def decoded(data: bytes, shown: str, *, strict: bool = False) -> str:
    """UTF-8 (other bytes stay what they are in a path) or, as Windows writes it, UTF-16 with its mark.

    Raises:
        UserError: it has the mark and is no UTF-16; or, where `strict` says so, it is no UTF-8.
    """
    errors = "strict" if strict else "surrogateescape"
    try:
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            return data.decode("utf-16")
        return data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", errors)
    except UnicodeDecodeError as error:
        raise UserError(f"{shown} is not UTF-8 text; save it as UTF-8.") from error


def _separated(text: str, suffix: str, shown: str) -> Rows:
    named = re.match(r"sep=(.)\r?\n", text)  # a line that Excel writes and reads
    text = text[named.end() :] if named else text
    delimiter = named[1] if named else _delimiter(text, suffix)
    cells, lines = [], []
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    begun = 0
    try:
        for row in rows:
            cells.append(tuple(row))
            lines.append(begun + 1 + bool(named))
            begun = rows.line_num
    except csv.Error as error:
        raise UserError(
            f"{shown} is damaged near line {rows.line_num}: {error}; is a quote missing?"
        ) from error
    return Rows(cells, lines, delimiter)


def _delimiter(text: str, suffix: str) -> str:
    """The one that cuts most of the first rows into as many cells as the first row."""
    found = []
    for delimiter in _DELIMITERS:
        widths = [len(row) for row in _first_rows(text, delimiter) if any(row)]
        if widths and widths[0] > 1:
            agreement = sum(width == widths[0] for width in widths) / len(widths)
            expected = delimiter == ("\t" if suffix in (".tsv", ".tab") else ",")
            found.append((agreement, expected, widths[0], delimiter))
    return max(found)[-1] if found else _NO_DELIMITER


def _first_rows(text: str, delimiter: str) -> list[list[str]]:
    rows: list[list[str]] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    with suppress(csv.Error):  # said when all of it is read
        rows.extend(islice(reader, _LOOKED_AT))
    return rows


def _json_lines(text: str, shown: str) -> Rows:
    records: list[tuple[int, dict[str, Any]]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{shown} is damaged in line {number}: {error}; write it again.") from error
        if not isinstance(record, dict):
            raise UserError(f"{shown} has no object in line {number}; each line must be one ({{...}}).")
        records.append((number, record))
    header = tuple(dict.fromkeys(key for _, record in records for key in record))
    cells = [header, *(tuple(_text(record.get(key)) for key in header) for _, record in records)]
    return Rows(cells, [0, *(number for number, _ in records)])


def _parquet(data: bytes, shown: str) -> Rows:
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(io.BytesIO(data)) as file:
            header = tuple(file.schema_arrow.names)
            columns = [column.to_pylist() for column in file.read().columns]
    except stumbles() as error:
        raise UserError(
            f"{shown} is damaged or no Parquet file ({reason(error)}); write it again."
        ) from error
    cells = [header, *(tuple(map(_text, row)) for row in zip(*columns, strict=True))]
    return Rows(cells, list(range(len(cells))))


def _text(value: object) -> str:
    """A value as a cell; what has no plain text is JSON."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _workbook(data: bytes, sheet: str | None, shown: str) -> Rows:
    cells = _sheet(data, sheet, shown, _values)
    formulas: Mapping[tuple[int, int], str] = {}
    if any(not cell for row in cells for cell in row):
        places = _sheet(data, sheet, shown, _formulas, values=False)
        formulas = {place: name for place, name in places.items() if _is_empty(cells, *place)}
    return Rows(cells, list(range(1, len(cells) + 1)), formulas=formulas)


def _is_empty(cells: list[Cells], row: int, column: int) -> bool:
    return row >= len(cells) or column >= len(cells[row]) or not cells[row][column]


def _values(rows: Iterable[Iterable[Any]]) -> list[Cells]:
    return [tuple(_text(cell.value) for cell in row) for row in rows]


def _formulas(rows: Iterable[Iterable[Any]]) -> dict[tuple[int, int], str]:
    """The cells that hold a formula, by their places."""
    return {
        (row, column): f"{cell.column_letter}{row + 1}"
        for row, each in enumerate(rows)
        for column, cell in enumerate(each)
        if cell.data_type == "f"
    }


def _sheet(
    data: bytes,
    sheet: str | None,
    shown: str,
    read: Callable[[Iterator[Any]], Any],
    *,
    values: bool = True,
) -> Any:
    """What a function makes of the rows of a sheet, of its values or of its formulas."""
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise UserError(
            f"Reading {shown} needs the package openpyxl, which is not installed; pip install openpyxl."
        ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about styles and validation, which no score is in
            book = load_workbook(io.BytesIO(data), read_only=True, data_only=values)
            with closing(book):
                names = book.sheetnames
                if sheet is not None and sheet not in names:
                    raise UserError(f"{shown} has no sheet {sheet}; it has {', '.join(names[:5])}.")
                page = book[sheet or names[0]]
                page.reset_dimensions()  # some programs write wrong ones, and rows would be lost
                return read(page.iter_rows())
    except UserError:
        raise
    except Exception as error:  # whatever zipfile, the XML parser or openpyxl stumble over
        raise UserError(
            f"{shown} cannot be read as an xlsx file: {reason(error)}; unpack it anew."
        ) from error
