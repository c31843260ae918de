"""Read CSV with any delimiter, Excel, JSON and Parquet files as rows of text.

What a file is decides its content where that says it, else its name. Every exception of a parser becomes a
`UserError`, and what would not fit into memory is refused before it is read.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from zeroiqa.errors import UserError, printable
from zeroiqa.files.storage import Location, explaining
from zeroiqa.files.tables.json import read_json
from zeroiqa.files.tables.rows import (
    BATCH,
    MAX_BYTES,
    MAX_TEXT,
    Cells,
    TableRows,
    bounded,
    check_size,
    explained,
    text_of,
    too_large,
    too_much_text,
)
from zeroiqa.files.tables.text import separated
from zeroiqa.files.tables.workbooks import read_workbook
from zeroiqa.files.text import decoded
from zeroiqa.suggestions import did_you_mean_path

if TYPE_CHECKING:
    import pyarrow.parquet as pq

SUFFIXES = (".csv", ".tsv", ".tab", ".xlsx", ".xlsm", ".json", ".jsonl", ".ndjson", ".parquet",
            ".xls", ".xlsb", ".ods", ".csv.gz", ".tsv.gz", ".json.gz", ".jsonl.gz", ".txt.gz")  # fmt: skip
"""What tables are called, those among them that are refused with advice."""
_JSON = (".json", ".jsonl", ".ndjson")
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


def read_rows_of(
    data: bytes, suffix: str, shown: str, *, sheet: str | None = None, strict: bool
) -> TableRows:
    """All rows of a file.

    Args:
        data: Its content.
        suffix: Of its name; decides where the content does not.
        shown: Its name for a message.
        sheet: Of a workbook; the first one if not given.
        strict: Refuse text that is not UTF-8; else such bytes stay what they are, as Python has paths.

    Raises:
        UserError: it is damaged, too large or of another kind.
    """
    kind = suffix.lower()
    for mark, name in _COMPRESSED.items():
        if data.startswith(mark):
            raise UserError(f"{shown} is compressed ({name}); unpack it first.")
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        raise UserError(
            f"{shown} is an old or foreign workbook (.xls, or one with a password); "
            "save it as .xlsx or as .csv."
        )
    if data.startswith(b"PK\x03\x04") or kind in (".xlsx", ".xlsm"):
        return read_workbook(data, sheet, shown)
    if kind in (".xls", ".xlsb", ".ods"):
        raise UserError(f"{shown} is an old or foreign workbook; save it as .xlsx or as .csv.")
    if data.startswith(b"PAR1") or kind == ".parquet":
        return _parquet(data, shown)
    text = decoded(data, shown, strict=strict)
    if kind in _JSON:
        return read_json(text, shown)
    return separated(text, kind, shown)


def read_whole(path: Location) -> bytes:
    """The content of a list or table.

    Raises:
        UserError: it cannot be read, or is larger than `MAX_BYTES`.
    """
    shown = printable(path.name)
    try:
        if isinstance(path, Path):
            with path.open("rb") as file:
                if os.fstat(file.fileno()).st_size > MAX_BYTES:
                    raise too_large(shown)
                data = file.read(MAX_BYTES + 1)  # a pipe has no size
        else:
            with explaining(path), closing(path.open()) as remote:
                data = bytes(remote.read(MAX_BYTES + 1))
    except FileNotFoundError as error:
        hint = did_you_mean_path(str(path))
        raise UserError(f"{printable(str(path))} does not exist; give the path of a table.{hint}") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise UserError(
            f"{printable(str(path))} cannot be read: {getattr(error, 'strerror', None) or error}; "
            "change its mode or name another file."
        ) from error
    if len(data) > MAX_BYTES:
        raise too_large(shown)
    return data


def _parquet(data: bytes, shown: str) -> TableRows:
    import pyarrow.parquet as pq

    with explained(shown, "is damaged or no Parquet file"), pq.ParquetFile(io.BytesIO(data)) as file:
        header = tuple(file.schema_arrow.names)
        check_size(len(header), file.metadata.num_rows + 1, shown)
        cells = list(bounded(chain([header], _parquet_rows(file, shown)), shown))
    return TableRows(cells, list(range(len(cells))), unit="row")


def _parquet_rows(file: pq.ParquetFile, shown: str) -> Iterator[Cells]:
    size = 0
    for batch in file.iter_batches(BATCH):
        columns = [column.to_pylist() for column in batch.columns]
        for row in zip(*columns, strict=True):
            cells = tuple(map(text_of, row))
            size += sum(map(len, cells))
            if size > MAX_TEXT:
                raise too_much_text(shown)
            yield cells
