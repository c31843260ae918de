"""Copy a table with more columns: Parquet group by group, text row by row, all else as it was."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from zeroiqa.errors import UserError, printable
from zeroiqa.files.atomic import replaced
from zeroiqa.files.damage import reading
from zeroiqa.files.storage import Location, location
from zeroiqa.files.tables.read import read_table
from zeroiqa.files.tables.row_files import read_whole
from zeroiqa.files.text import decoded
from zeroiqa.names import json_text
from zeroiqa.results import csv_row
from zeroiqa.runs.score_files import table_schema

PARQUET, LINES = ".parquet", ".jsonl"
TEXTS = (".csv", ".tsv", ".tab")
SUFFIXES = (PARQUET, *TEXTS, LINES)
"""What tables are called that can come back."""

_MOST = 256 << 20
"""Bytes of a group of rows that is copied as one; a larger one comes back as several."""


def comes_back(table: str) -> bool:
    """Whether a table is of a kind that is written."""
    return table.lower().endswith(SUFFIXES)


def header(table: str) -> Sequence[str]:
    """The names of a table's columns.

    Raises:
        UserError: it cannot be read, or is of a kind that is not written.
    """
    if not comes_back(table):
        raise UserError(
            f"{printable(table)} cannot come back with more columns; of lists and tables "
            f"{', '.join(SUFFIXES)} can."
        )
    if table.lower().endswith(PARQUET):
        with _parquet(location(table)) as file:
            return list(file.schema_arrow.names)
    return read_table(location(table), strict=False).header


def check_place(table: str, place: Location, tables: Sequence[str]) -> None:
    """Refuse a place that holds a table to read, or anything that is no table of an earlier time.

    Raises:
        UserError: it does; or it has another suffix than the table.
    """
    shown = printable(str(place))
    if place.suffix.lower() != location(table).suffix.lower():
        raise UserError(
            f"{printable(table)} comes back as {location(table).suffix}; give {shown} that suffix, too."
        )
    if any(_is_same(place, each) for each in tables):
        raise UserError(f"{shown} is a table that is read; give another place for the one that comes back.")
    if place.exists() and not place.is_file():
        raise UserError(f"{shown} is a folder; give another name.")
    if place.is_file() and not any(name.endswith("status") for name in header(str(place))):
        raise UserError(
            f"{shown} exists and has no scores of ours, so it is not replaced; give another name."
        )


def write(
    table: str, place: Location, columns: Sequence[str], prefix: str, rows: Iterator[Mapping[str, Any]]
) -> None:
    """Write a table with more columns behind its own.

    Args:
        table: Its path or address.
        place: Where it goes.
        columns: Names of the columns to add.
        prefix: What their names begin with.
        rows: Their values, for each row of the table.

    Raises:
        UserError: the table cannot be read, or the place not be written.
    """
    if isinstance(place, Path):
        place.parent.mkdir(parents=True, exist_ok=True)
    with replaced(place) as file:
        if table.lower().endswith(PARQUET):
            _copy_parquet(table, file, columns, prefix, rows)
        else:
            text = io.TextIOWrapper(file, encoding="utf-8", errors="surrogateescape", newline="")
            (_copy_lines if table.lower().endswith(LINES) else _copy_text)(table, text, columns, prefix, rows)
            text.detach()


def _copy_parquet(
    table: str, to: BinaryIO, columns: Sequence[str], prefix: str, rows: Iterator[Mapping[str, Any]]
) -> None:
    ours = table_schema([name.removeprefix(prefix) for name in columns])
    added = pa.schema([field.with_name(name) for field, name in zip(ours, columns, strict=True)])
    with _parquet(location(table)) as file:
        schema = file.schema_arrow
        whole = schema
        for field in added:
            whole = whole.append(field)
        with pq.ParquetWriter(to, whole, compression=_codec(file)) as writer:
            for batch in _groups(file):
                values = list(itertools.islice(rows, batch.num_rows))
                new = pa.Table.from_pylist(values, added)
                arrays = [*batch.columns, *new.columns]
                writer.write_table(pa.Table.from_arrays(arrays, schema=whole), row_group_size=batch.num_rows)


def _groups(file: pq.ParquetFile) -> Iterator[pa.Table]:
    """The groups of rows, one by one; in pieces where they would not fit into memory."""
    for number in range(file.num_row_groups):
        group = file.metadata.row_group(number)
        if group.total_byte_size <= _MOST:
            yield file.read_row_group(number)
            continue
        rows = max(group.num_rows * _MOST // group.total_byte_size, 1)
        for batch in file.iter_batches(rows, row_groups=[number]):
            yield pa.Table.from_batches([batch])


def _codec(file: pq.ParquetFile) -> Any:
    """How the table is compressed."""
    if not file.num_row_groups or not file.metadata.num_columns:
        return "snappy"
    codec = file.metadata.row_group(0).column(0).compression
    return "none" if codec == "UNCOMPRESSED" else codec


def _copy_text(
    table: str, to: io.TextIOWrapper, columns: Sequence[str], prefix: str, rows: Iterator[Mapping[str, Any]]
) -> None:
    read = read_table(location(table), strict=False)
    writer = csv.writer(to, delimiter=read.delimiter or ",", lineterminator="\n")
    writer.writerow([*read.header, *columns])
    for cells, row in zip(read.rows, rows, strict=True):
        values = csv_row({name.removeprefix(prefix): value for name, value in row.items()})
        writer.writerow([*cells, *(values.get(name.removeprefix(prefix)) for name in columns)])


def _copy_lines(
    table: str, to: io.TextIOWrapper, columns: Sequence[str], prefix: str, rows: Iterator[Mapping[str, Any]]
) -> None:
    del prefix
    shown = printable(table)
    text = decoded(read_whole(location(table)), shown, strict=False)
    for line in filter(str.strip, text.split("\n")):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            raise UserError(f"{shown} has not one object on each line, so it cannot come back; write it so.")
        to.write(json_text({**record, **dict.fromkeys(columns), **next(rows)}) + "\n")


@contextmanager
def _parquet(place: Location) -> Iterator[pq.ParquetFile]:
    with reading(place, "write it again"):
        if isinstance(place, Path):
            with pq.ParquetFile(place, pre_buffer=False) as file:
                yield file
        else:
            with place.open() as content, pq.ParquetFile(content, pre_buffer=False) as file:
                yield file


def _is_same(place: Location, table: str) -> bool:
    if not isinstance(place, Path):
        return str(place) == table
    try:
        return place.samefile(table)
    except (OSError, ValueError):
        return False
