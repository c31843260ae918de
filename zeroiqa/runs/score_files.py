"""scores.csv and scores.parquet: written once a run is finished, and read."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO

import pyarrow as pa

from zeroiqa.errors import UserError
from zeroiqa.files.atomic import remove_leftovers, replaced, table, table_writer
from zeroiqa.files.damage import reading
from zeroiqa.files.tables.csv_writer import CsvWriter
from zeroiqa.results import ImageScore, csv_row
from zeroiqa.runs import plan
from zeroiqa.runs.latest import all_left
from zeroiqa.runs.presentation import presented
from zeroiqa.runs.run import Run, is_current

_BUFFERED = 4096  # rows of a row group of scores.parquet
_COLUMN_TYPES: dict[str, pa.DataType] = {
    "path": pa.string(),
    "better": pa.string(),
    "n_regions": pa.int32(),
    "width": pa.int32(),
    "height": pa.int32(),
    "tags": pa.string(),
    "description": pa.string(),
    "status": pa.string(),
    "error": pa.string(),
    "warnings": pa.string(),
}


def write_scores(run: Run) -> None:
    """Write scores.csv and scores.parquet of a finished run; equal runs write equal bytes.

    Raises:
        UserError: shards are left to do, or the files cannot be written.
    """
    left = all_left(run)
    if left:
        raise UserError(
            f"{left} of {run.n_images} images are not finished, so there are no scores; "
            f"`zeroiqa score -o {run.folder}` goes on with them."
        )
    if not is_current(run):
        raise UserError(
            f"{run.folder} has got more raters or images meanwhile, or changed ones; give the command of the "
            "run again, which writes the scores of all."
        )
    columns, results = presented(run)
    schema = table_schema(columns)
    with (
        replaced(run.folder / "scores.csv") as csv_file,
        replaced(run.folder / "scores.parquet") as parquet_file,
        table_writer(parquet_file, schema) as parquet,
    ):
        text = io.TextIOWrapper(csv_file, encoding="utf-8", newline="")
        csv_table = CsvWriter(text, columns)
        for rows in _batches(result.to_dict() for result in results):
            for row in rows:
                csv_table.write(csv_row(row))
            parquet.write_table(pa.Table.from_pylist(rows, schema))
        text.detach()  # flushed; the file is closed by its own block
    remove_leftovers(run.folder, finished=True)


def write_parquet(results: Iterable[ImageScore], columns: Sequence[str], file: BinaryIO) -> None:
    """Write results as a Parquet table with the columns of `zeroiqa.runs.presentation.presented`."""
    schema = table_schema(columns)
    with table_writer(file, schema) as parquet:
        for rows in _batches(result.to_dict() for result in results):
            parquet.write_table(pa.Table.from_pylist(rows, schema))


def table_schema(columns: Sequence[str]) -> pa.Schema:
    """The types of the columns of a run's tables."""
    return pa.schema({name: _COLUMN_TYPES.get(name, pa.float64()) for name in columns})


def read_column(run: Run, column: str) -> list[tuple[str, float | None]]:
    """Path and one column of scores.parquet of every image that is not gone, in plan order.

    The value is None where there is an error.

    Raises:
        UserError: the run is not finished, or has no such column.
    """
    path = run.folder / "scores.parquet"
    images = run.n_images - len(run.revisions.pruned)
    with reading(path, "give the command of the run again, which writes it"), table(path) as file:
        if {"path", "status", column} - {*file.schema_arrow.names} or file.metadata.num_rows != images:
            raise ValueError(f"it has no column {column} of all {images} images")
        found = file.read(["path", "status", column])
        there = (row for row in plan.all_planned(run.folder) if row.image not in run.revisions.pruned)
        if found["path"].to_pylist() != [row.ref.name for row in there]:
            raise ValueError("it has other images than the plan")
        if found.schema.field(column).type != pa.float64():
            raise ValueError(f"its column {column} has no numbers")
        rows: Iterable[tuple[Any, Any, Any]] = zip(
            *(found[name].to_pylist() for name in ("path", "status", column)), strict=True
        )
        return [(path, value) for path, state, value in rows if state != "gone"]


def _batches(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while batch := list(itertools.islice(rows, _BUFFERED)):
        yield batch
