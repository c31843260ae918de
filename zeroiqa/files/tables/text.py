"""Split text with delimiters into rows: find the delimiter and where the header begins."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice
from typing import NamedTuple

from zeroiqa.errors import UserError
from zeroiqa.files.tables.columns import names_images
from zeroiqa.files.tables.rows import Cells, TableRows, bounded

_DELIMITERS = (",", ";", "\t", "|")
_NO_DELIMITER = "\x1f"  # of a table with a single column, where a comma is part of the cell
_LOOKED_AT = 100  # rows from which the delimiter is found
_PREAMBLE = 10  # rows among which the header is looked for
_SEP = re.compile(r'"?sep=([,;:|!&^~\t ])"?[,;\t ]*(?:\r\n|\r|\n)', re.IGNORECASE)
_MARK = re.compile(r"#+\s*(?=[^\s,;\t|])")  # of a comment; a column may be called # as well
_END = "\x1e"  # stands after the last line: it is a row of its own unless a quote is open


class _Begin(NamedTuple):
    """What precedes the rows."""

    offset: int
    """Where in the text they begin."""
    lines: int
    """How many lines stand before."""
    delimiter: str | None
    """The one that a line of Excel names."""


def separated(text: str, suffix: str, shown: str) -> TableRows:
    """All rows of a text with any delimiter.

    A line `sep=;`, as Excel has it, names the delimiter; else it is the one that fits the content.

    Args:
        text: The content.
        suffix: Of the file's name, in lower case; decides where the content does not.
        shown: The file's name for a message.

    Raises:
        UserError: a quote is not closed, a cell is longer than 131,072 characters, or there is too much.
    """
    begin = _begin(text)
    delimiter = begin.delimiter or _delimiter(text, begin.offset, suffix)
    cells: list[Cells] = []
    lines = []
    source = chain(_lines(text, begin.offset), (_END,))
    rows = csv.reader(source, delimiter=delimiter, skipinitialspace=True)
    begun = 0
    try:
        for row in bounded(map(tuple, rows), shown):
            cells.append(row)
            lines.append(begin.lines + begun + 1)
            begun = rows.line_num
    except csv.Error as error:
        raise UserError(
            f"{shown} is damaged near line {begin.lines + rows.line_num}: {error}; is a quote missing?"
        ) from error
    last = lines.pop()
    if cells.pop() != (_END,):
        raise UserError(
            f"{shown} is damaged near line {last}: a quote that begins there is never closed; "
            "is a quote missing?"
        )
    return TableRows(cells, lines, delimiter)


def begins_a_table(text: str) -> bool:
    """Whether the first line is a header: of several cells without dots or slashes, one names the images."""
    line = next((line for line in _lines(text.removeprefix("\ufeff"), 0) if line.strip()), "")
    cells = max((line.split(delimiter) for delimiter in _DELIMITERS), key=len)
    named = [cell for cell in cells if names_images(_bare(cell))]
    return len(cells) > 1 and len(named) == 1 and not re.search(r"[./\\]", line)


def _begin(text: str) -> _Begin:
    """Where the rows begin: after the line of Excel, or after comments (#) before a header.

    That a line is a comment is sure only where a line after it, or its own rest, is a header with a column of
    images.
    """
    named = _SEP.match(text)
    if named:
        return _Begin(named.end(), 1, named[1])
    offset = count = 0
    marked = None
    for line in islice(_lines(text, 0), _LOOKED_AT):
        mark = _MARK.match(line)
        if mark and _is_header(line[mark.end() :]):
            marked = _Begin(offset + mark.end(), count, None)
        elif line.strip() and not line.startswith("#"):
            return _Begin(offset, count, None) if _is_header(line) else marked or _Begin(0, 0, None)
        offset, count = offset + len(line), count + 1
    return marked or _Begin(0, 0, None)


def _is_header(line: str) -> bool:
    return any(names_images(_bare(cell)) for cell in re.split(r"[,;\t|]", line))


def _bare(cell: str) -> str:
    return cell.strip().strip('"')


def _lines(text: str, offset: int) -> Iterator[str]:
    r"""The lines with what ends them (\n, \r or \r\n), one by one: a copy of all would double a file."""
    feed = -1
    while offset < len(text):
        if feed < offset:
            found = text.find("\n", offset)
            feed = len(text) if found < 0 else found
        end = text.find("\r", offset, feed)
        end = feed if end < 0 or end + 1 == feed else end
        yield text[offset : end + 1]
        offset = end + 1


def _delimiter(text: str, offset: int, suffix: str) -> str:
    """The one that finds a column of images, and cuts most of the first rows as it does the header."""
    found = []
    for delimiter in _DELIMITERS:
        rows = _first_rows(text, offset, delimiter)
        place = header_place(rows)
        widths = [len(row) for row in rows[place:]]
        if widths and widths[0] > 1:
            agreement = sum(width == widths[0] for width in widths) / len(widths)
            expected = delimiter == ("\t" if suffix in (".tsv", ".tab") else ",")
            named = any(map(names_images, rows[place]))
            found.append((named, agreement, expected, widths[0], delimiter))
    if found:
        return max(found)[-1]
    return " " if _are_parted_by_blanks(text, offset) else _NO_DELIMITER


def _are_parted_by_blanks(text: str, offset: int) -> bool:
    rows = _first_rows(text, offset, " ")
    return bool(
        rows
        and len(rows[0]) > 1
        and not names_images(" ".join(rows[0]))
        and any(map(names_images, rows[0]))
        and len({len(row) for row in rows}) == 1
    )


def _first_rows(text: str, offset: int, delimiter: str) -> list[list[str]]:
    """Those of the first rows that are not empty."""
    rows: list[list[str]] = []
    reader = csv.reader(_lines(text, offset), delimiter=delimiter, skipinitialspace=True)
    with suppress(csv.Error):  # said when all of it is read
        rows.extend(row for row in islice(reader, _LOOKED_AT) if any(row))
    return rows


def header_place(rows: Sequence[Sequence[str]]) -> int:
    """Which row is the header: the first one that is not empty, or that after titles of one cell each.

    What follows titles is a header only if it has several cells, one of which names the images.
    """
    first = None
    for place, row in enumerate(rows):
        filled = [cell for cell in row if cell.strip()]
        if any(map(names_images, filled)) and (len(filled) > 1 or first is None):
            return place
        if filled and first is None:
            first = place
        if len(filled) > 1 or (first is not None and place - first >= _PREAMBLE):
            break
    return first or 0
