"""Read lists of images: files with a path per line, or tables with a column of paths."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from zeroiqa.errors import UserError, printable
from zeroiqa.files.storage import explaining, location
from zeroiqa.files.tables import row_files
from zeroiqa.files.tables.read import IMAGE_COLUMNS, first_names, named_column, prompt_column, read_table
from zeroiqa.files.tables.row_files import read_whole
from zeroiqa.files.tables.rows import BATCH, MAX_TEXT, explained, too_much_text
from zeroiqa.files.tables.text import begins_a_table
from zeroiqa.files.text import decoded

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_LOG = logging.getLogger(__name__)
SUFFIXES = (".txt", ".lst", *row_files.SUFFIXES)


class Listed(NamedTuple):
    """One line of a list."""

    path: str
    prompt: str | None


def read_list(path: str, column: str | None = None) -> Iterator[Listed]:
    """What a list names, as `read_rows` has it, without the rows that name nothing."""
    return (row for row in read_rows(path, column) if row.path.strip())


def read_rows(path: str, column: str | None = None) -> Iterator[Listed]:
    """Every row of a list, streaming where it is Parquet; the path is empty where it names nothing.

    Args:
        path: Of a list with one of `SUFFIXES`, or its address in an object store.
        column: That of the paths; if left out, the one that is called like one.

    Raises:
        UserError: it cannot be read, is damaged, or has no column of paths.
    """
    shown = printable(path)
    suffix = location(path).suffix.lower()
    if suffix in (".txt", ".lst"):
        text = decoded(read_whole(location(path)), shown)
        yield from _table(path, shown, column) if column or begins_a_table(text) else lines(text)
    elif suffix == ".parquet":
        yield from _parquet(path, shown, column)
    else:
        yield from _table(path, shown, column)


def lines(text: str) -> Iterator[Listed]:
    """One path per line, or per NUL if there is one."""
    end = "\0" if "\0" in text else "\n" if "\n" in text else "\r"
    return (Listed(path, None) for line in text.split(end) if (path := line.removesuffix("\r")))


def checked_prompt(text: str | None, shown: str) -> str | None:
    """The prompt; None if it is empty.

    Raises:
        UserError: it is not UTF-8 text.
    """
    try:
        (text or "").encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{shown} holds a prompt that is not UTF-8 text; save the file as UTF-8.") from error
    return text or None


def prompt_in(data: bytes, shown: str) -> str | None:
    """The prompt that a text beside an image holds; None if it is empty.

    Args:
        data: The content of the file.
        shown: Its name for a message.

    Raises:
        UserError: it is not UTF-8 text, nor UTF-16.
    """
    return checked_prompt(decoded(data, shown).strip(), shown)


def _table(path: str, shown: str, wanted: str | None) -> Iterator[Listed]:
    table = read_table(location(path), strict=False)
    for note in table.notes:
        _LOG.warning("%s", note)
    column = _column_of_paths(table.header, shown, wanted)
    prompt = prompt_column(table.header, shown)
    for row, cells in enumerate(table.rows):
        if (row, column) in table.formulas and not cells[column].strip():
            raise UserError(
                f"{shown} has a formula without a stored value in {table.formulas[row, column]}; "
                "open and save it in a spreadsheet program."
            )
        yield Listed(cells[column], checked_prompt(cells[prompt] if prompt is not None else None, shown))


def _column_of_paths(header: Sequence[str], shown: str, wanted: str | None = None) -> int:
    if wanted is not None:
        if header.count(wanted) != 1:
            raise UserError(
                f"{shown} has {header.count(wanted) or 'no'} column{'s' * (wanted in header)} "
                f"{printable(wanted)}; its columns are {first_names(header)[:80]}."
            )
        return list(header).index(wanted)
    column = named_column(header, IMAGE_COLUMNS, "paths", shown)
    if column is None:
        raise UserError(
            f"{shown} has no column of paths; its columns are {first_names(header)[:80]!r}; "
            f"one of {', '.join(IMAGE_COLUMNS[:6])} is needed."
        )
    return column


def _parquet(path: str, shown: str, wanted: str | None) -> Iterator[Listed]:
    """What a Parquet file lists, in batches: it may have any size."""
    import pyarrow.parquet as pq

    place = location(path)
    try:
        with explained(shown, "is damaged or no Parquet file"):
            if isinstance(place, Path):
                with pq.ParquetFile(place) as table:
                    yield from _parquet_rows(table, shown, wanted)
            else:
                with explaining(place), place.open() as content, pq.ParquetFile(content) as table:
                    yield from _parquet_rows(table, shown, wanted)
    except UserError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno is not None:
            raise UserError(
                f"{shown} cannot be read: {cause.strerror or cause}; change its mode or name another list."
            ) from cause
        raise


def _parquet_rows(table: pq.ParquetFile, shown: str, wanted: str | None) -> Iterator[Listed]:
    import pyarrow as pa

    names = table.schema_arrow.names
    column = names[_column_of_paths(names, shown, wanted)]
    place = prompt_column(names, shown)
    prompt = None if place is None else names[place]
    for name in (column, prompt):
        kind = pa.string() if name is None else table.schema_arrow.field(name).type
        kind = kind.value_type if isinstance(kind, pa.DictionaryType) else kind
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise UserError(f"{shown} has the column {name} of type {kind}, which is no text; write paths.")
    size = 0
    for batch in table.iter_batches(BATCH, columns=[column] if prompt is None else [column, prompt]):
        texts = batch[prompt].to_pylist() if prompt is not None else [None] * batch.num_rows
        for listed, text in zip(batch[column].to_pylist(), texts, strict=True):
            size += len(listed or "") + len(text or "")
            if size > MAX_TEXT:
                raise too_much_text(shown)
            yield Listed(listed or "", text or None)
