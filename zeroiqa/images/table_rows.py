"""Images whose files lie in the rows of a Parquet table, as the Hugging Face hub keeps them.

Such an image is called TABLE.parquet/ROW, rows counted from 0.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from zeroiqa.errors import ChangedError, ImageError, UnreachableError, UserError, printable
from zeroiqa.files.damage import reason, stumbles
from zeroiqa.files.storage import Location, explaining, location
from zeroiqa.files.tables.columns import prompt_column
from zeroiqa.files.tables.image_column import ImageColumn, image_column, kind_of
from zeroiqa.files.tables.rows import explained
from zeroiqa.images.archives import time_of
from zeroiqa.images.ref import ImageRef

_LOG = logging.getLogger(__name__)

SUFFIX = ".parquet"

_BATCH = 16
"""Rows that are read at once."""
_KEPT = 4
"""Batches that stay in memory: several threads ask for neighbouring rows, not quite in their order."""
_BUFFER = 1 << 20
"""Bytes of a request; without, whole row groups would be in memory."""
_OPEN = 4
"""Tables that a process keeps open."""
_TEXTS = 4096
"""Prompts that are read at once."""


class Cell(NamedTuple):
    """What one row holds: the bytes of a file, or its path beside the table, or neither."""

    content: bytes | None
    path: str | None


def column_of(path: str, wanted: str | None = None) -> ImageColumn:
    """The column of a table that holds its images.

    Args:
        path: Of the table, or its address in an object store.
        wanted: The column's name, where the caller says it.

    Raises:
        UserError: it cannot be read, is damaged, or has no column of images, or several.
    """
    shown = printable(path)
    with _opened(path, shown) as file:
        return image_column(file.schema_arrow, shown, wanted)


def rows_of(path: str, column: str) -> Iterator[ImageRef]:
    """One image for each row, in their order, with its prompt; of the images themselves nothing is read.

    Args:
        path: Of the table, or its address in an object store.
        column: That holds the files.

    Raises:
        UserError: it cannot be read or is damaged, or none of its rows has an image.
    """
    shown = printable(path)
    modified = time_of(path)
    with explained(shown, "is damaged or no Parquet file"), _opened(path, shown) as file:
        total = file.metadata.num_rows
        if not total:
            raise UserError(f"{shown} has no rows, so no images; name another table.")
        if _all_empty(file, column):
            raise UserError(
                f"{shown} has no images: its column {printable(column)} is empty in all {total:,} rows; name "
                "another column with --image-column."
            )
        for row, prompt in enumerate(_prompts(file, total, shown)):
            yield _row(path, row, column, modified, prompt)


def row_of(path: str, text: str, wanted: str | None = None) -> ImageRef | None:
    """The image in one row of a table; None if it has no such row.

    Args:
        path: Of the table.
        text: The row's number.
        wanted: The column's name, where the caller says it.

    Raises:
        UserError: the table cannot be read, is damaged, or has no column of files.
    """
    if not (text.isascii() and text.isdecimal()):
        return None
    shown = printable(path)
    with _opened(path, shown) as file:
        found = image_column(file.schema_arrow, shown, wanted)
        if found.kind == "paths" or int(text) >= file.metadata.num_rows:
            return None
    return _row(path, int(text), found.name, time_of(path), None)


def cell(ref: ImageRef) -> Cell:
    """What the row of an image holds.

    Raises:
        ChangedError: the table is another one than planned, or has fewer rows.
        UnreachableError: it is not there, or cannot be read.
        ImageError: the row holds no image.
    """
    assert ref.offset is not None and ref.column is not None
    shown = printable(ref.path)
    try:
        table = _table(ref.place, time_of(ref.place), ref.column)
        found = table.cell(ref.offset)
    except FileNotFoundError as error:
        raise UnreachableError(f"{shown} does not exist: {printable(ref.place)} is gone.") from error
    except (IndexError, KeyError) as error:
        raise ChangedError(
            f"{shown} is not there any more: {printable(ref.place)} has changed; give the same command "
            "again, which takes the table of now."
        ) from error
    except UserError:
        raise
    except stumbles() as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise UnreachableError(f"{shown} cannot be read: {error.strerror}.") from error
        raise UnreachableError(
            f"{shown} cannot be read: the table is damaged there ({reason(error)}); write it again."
        ) from error
    if found.content is None and not found.path:
        raise ImageError(f"{shown} has no image: the column {printable(ref.column)} is empty in this row.")
    return found


def _row(path: str, row: int, column: str, modified: int | None, prompt: str | None) -> ImageRef:
    name = f"{path}/{row}"
    return ImageRef(name, 0, prompt, archive=path, offset=row, modified=modified, column=column)


def _prompts(file: pq.ParquetFile, total: int, shown: str) -> Iterator[str | None]:
    names = file.schema_arrow.names
    place = prompt_column(names, shown)
    if place is not None and kind_of(file.schema_arrow.field(place).type) != "paths":
        _LOG.warning("The column %s is no text; the images have no prompts.", printable(names[place]))
        place = None
    if place is None:
        yield from (None for _ in range(total))
        return
    for batch in file.iter_batches(_TEXTS, columns=[names[place]]):
        yield from (text or None for text in batch[0].to_pylist())


def _all_empty(file: pq.ParquetFile, column: str) -> bool:
    """Whether the file says of itself that no row has an image."""
    leaves = [
        place
        for place in range(file.metadata.num_columns)
        if file.schema.column(place).path.split(".")[0] == column
    ]
    for group in range(file.metadata.num_row_groups):
        for place in leaves:
            chunk = file.metadata.row_group(group).column(place)
            nulls = None if chunk.statistics is None else chunk.statistics.null_count
            if nulls is None or nulls < chunk.num_values:
                return False
    return True


@contextmanager
def _opened(path: str, shown: str) -> Iterator[pq.ParquetFile]:
    place = location(path)
    try:
        with explained(shown, "is damaged or no Parquet file"):
            if isinstance(place, Path):
                with pq.ParquetFile(place) as file:
                    yield file
            else:
                with explaining(place), place.open() as content, pq.ParquetFile(content) as file:
                    yield file
    except UserError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno is not None:
            raise UserError(
                f"{shown} cannot be read: {cause.strerror or cause}; change its mode or name another table."
            ) from cause
        raise


@functools.lru_cache(maxsize=_OPEN)
def _table(path: str, modified: int | None, column: str) -> _OpenTable:
    """The table as it was written at a time; one that is written again is opened anew."""
    del modified
    return _OpenTable(location(path), column)


class _OpenTable:
    """Reads the rows of a table, forwards for the most part; several threads may ask."""

    def __init__(self, place: Location, column: str) -> None:
        source: Any = place if isinstance(place, Path) else place.open()
        self._file = pq.ParquetFile(source, buffer_size=_BUFFER, pre_buffer=False)
        self._column = column
        self._lock = threading.Lock()
        self._starts = [0]
        for group in range(self._file.metadata.num_row_groups):
            self._starts.append(self._starts[-1] + self._file.metadata.row_group(group).num_rows)
        self._kept: deque[tuple[int, pa.Array[Any]]] = deque(maxlen=_KEPT)
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._next = 0
        self._end = 0

    def cell(self, row: int) -> Cell:
        """One row; IndexError where there is none, and KeyError where there is no such column."""
        with self._lock:
            if row >= self._starts[-1]:
                raise IndexError(row)
            while (found := self._known(row)) is None:
                self._advance(row)
        return found

    def _known(self, row: int) -> Cell | None:
        for first, values in self._kept:
            if first <= row < first + len(values):
                return _as_cell(values[row - first].as_py())
        return None

    def _advance(self, row: int) -> None:
        """Read the next batch; where the row is in another row group, or behind, the first one there."""
        group = next(number for number, start in enumerate(self._starts[1:]) if row < start)
        start = self._starts[group]
        if not max(start, self._next) <= row < self._end or self._end != self._starts[group + 1]:
            self._batches = self._file.iter_batches(_BATCH, row_groups=[group], columns=[self._column])
            self._next, self._end = start, self._starts[group + 1]
        batch = next(self._batches)
        self._kept.append((self._next, batch[self._column]))
        self._next += batch.num_rows


def _as_cell(value: Any) -> Cell:
    if isinstance(value, dict):
        return Cell(value["bytes"], value.get("path"))
    return Cell(value, None)
