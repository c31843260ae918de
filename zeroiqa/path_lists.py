"""Lists of images in files: text, tables of text, Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from zeroiqa.errors import UserError, printable
from zeroiqa.storage import explaining, location

if TYPE_CHECKING:
    import pyarrow.parquet as pq

SUFFIXES = (".txt", ".lst", ".csv", ".tsv", ".parquet")
COLUMNS = ("path", "image", "file", "filename", "name")
"""What a column of paths may be called, in any case."""


class Listed(NamedTuple):
    """One line of a list."""

    path: str
    prompt: str | None


def read_list(path: str) -> Iterator[Listed]:
    """What a list names, streaming where it is Parquet.

    Args:
        path: Of a list with one of `SUFFIXES`, or its address in an object store.

    Raises:
        UserError: it cannot be read, is damaged, or has no column of paths.
    """
    shown = printable(path)
    suffix = location(path).suffix.lower()
    try:
        if suffix == ".parquet":
            yield from _parquet(path, shown)
            return
        text = decoded(location(path).read_bytes(), shown)
    except OSError as error:
        raise UserError(
            f"{shown} cannot be read: {error.strerror or error}; change its mode or name another list."
        ) from error
    yield from _table(text, suffix, shown) if suffix in (".csv", ".tsv") else lines(text)


def lines(text: str) -> Iterator[Listed]:
    """One path per line, or per NUL if there is one."""
    if "\0" in text:
        return (Listed(path, None) for path in text.split("\0") if path)
    return (Listed(path, None) for line in text.split("\n") if (path := line.removesuffix("\r")))


def decoded(data: bytes, shown: str) -> str:
    """UTF-8 (other bytes stay what they are in a path) or, as Windows writes it, UTF-16 with its mark.

    Raises:
        UserError: it has the mark and is no UTF-16.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError as error:
            raise UserError(f"{shown} is neither UTF-8 nor UTF-16 text; save it as UTF-8.") from error
    return data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")


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


def _table(text: str, suffix: str, shown: str) -> Iterator[Listed]:
    header = text.partition("\n")[0]
    delimiter = "\t" if suffix == ".tsv" else ";" if ";" in header and "," not in header else ","
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    names = [name.strip().lower() for name in next(rows, [])]
    column = next((names.index(name) for name in COLUMNS if name in names), None)
    if column is None:
        raise UserError(
            f"{shown} has no column of paths; its first line is {header.strip()[:80]!r}; "
            f"one of {', '.join(COLUMNS)} is needed there."
        )
    try:
        for row in rows:
            if len(row) > column and row[column]:
                prompt = dict(zip(names, row, strict=False)).get("prompt")
                yield Listed(row[column], checked_prompt(prompt, shown))
    except csv.Error as error:
        raise UserError(
            f"{shown} is damaged near line {rows.line_num}: {error}; is a quote missing?"
        ) from error


def _parquet(path: str, shown: str) -> Iterator[Listed]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    place = location(path)
    try:
        if isinstance(place, Path):
            with pq.ParquetFile(place) as table:
                yield from _parquet_rows(table, shown)
        else:
            with explaining(place), place.open() as content, pq.ParquetFile(content) as table:
                yield from _parquet_rows(table, shown)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = " ".join(str(error).split())
        raise UserError(f"{shown} is damaged or no Parquet file ({reason}); write it again.") from error


def _parquet_rows(table: pq.ParquetFile, shown: str) -> Iterator[Listed]:
    import pyarrow as pa

    names = {name.strip().lower(): name for name in table.schema_arrow.names}
    column = next((names[name] for name in COLUMNS if name in names), None)
    if column is None:
        raise UserError(
            f"{shown} has no column of paths; its columns are {', '.join(table.schema_arrow.names)[:80]!r}; "
            f"one of {', '.join(COLUMNS)} is needed."
        )
    prompt = names.get("prompt")
    for name in (column, prompt):
        kind = pa.string() if name is None else table.schema_arrow.field(name).type
        kind = kind.value_type if isinstance(kind, pa.DictionaryType) else kind
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise UserError(f"{shown} has the column {name} of type {kind}, which is no text; write paths.")
    for batch in table.iter_batches(columns=[column] if prompt is None else [column, prompt]):
        texts = batch[prompt].to_pylist() if prompt is not None else [None] * batch.num_rows
        for listed, text in zip(batch[column].to_pylist(), texts, strict=True):
            if listed:
                yield Listed(listed, text or None)
