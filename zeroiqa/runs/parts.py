"""The parts of a run: what each stage found out about each image of one shard, as Parquet files."""

from __future__ import annotations

import hashlib
import os
import re
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from zeroiqa.files.atomic import complete, created, table, table_writer
from zeroiqa.files.damage import reading
from zeroiqa.files.storage import Location
from zeroiqa.runs.part_checks import (
    FIRST_WITH_ANSWERS,
    check_columns,
    check_rows,
    check_version,
    numbered,
    versioned,
)
from zeroiqa.runs.part_records import (
    RatingsRow,
    RegionsRow,
    rating_records,
    ratings_of,
    region_record,
    regions_row,
)

REGIONS = "regions"
_LONGEST_NAME = 200  # file systems take 255 bytes
_BUFFERED = 64  # rows: the masks of more images than that are never in memory at once


def _struct(**fields: pa.DataType) -> pa.StructType:
    return pa.struct(list(fields.items()))


def _schema(**fields: pa.DataType) -> pa.Schema:
    return versioned(pa.schema(list(fields.items())))


_INT, _FLOAT, _TEXT = (
    pa.int32(),
    pa.float64(),
    pa.string(),
)  # float64: nothing is lost between rating and score
_MASK = _struct(size=pa.list_(_INT), counts=pa.list_(_INT))
_REGION = _struct(x0=_INT, y0=_INT, x1=_INT, y1=_INT, area=_FLOAT, kind=_TEXT, mask=_MASK, weight=_FLOAT)
_RATING = _struct(
    standard=_TEXT,
    view=_INT,
    logprobs=pa.list_(_FLOAT),
    mass=_FLOAT,
    value=_FLOAT,
    answer=_TEXT,
    measures=pa.map_(_TEXT, _FLOAT),
    description=_TEXT,
)
_REGIONS_SCHEMA = _schema(
    image=pa.int64(),
    width=_INT,
    height=_INT,
    error=_TEXT,
    warnings=pa.list_(_TEXT),
    regions=pa.list_(_REGION),
    content_hash=pa.binary(),
    cause=_TEXT,
)
_RATINGS_SCHEMA = _schema(image=pa.int64(), error=_TEXT, ratings=pa.list_(_RATING), cause=_TEXT)
_LATER = ("content_hash", "value", "cause", "weight", "answer", "measures", "description")
"""Columns, and fields of a region or rating, that the parts of older versions lack."""


class StoredError(NamedTuple):
    """Why an image has no regions or ratings."""

    sentence: str
    cause: str | None = None
    """As that of a `RegionsRow`."""


def rating_stage(rater: str) -> str:
    """The folder of a rater's parts inside the run; a name too long for a file system ends in a hash."""
    name = quote(rater, safe="", errors="surrogateescape")
    if len(name) > _LONGEST_NAME:
        digest = hashlib.sha256(os.fsencode(rater)).hexdigest()[:16]
        name = f"{name[: _LONGEST_NAME - len(digest) - 1]}-{digest}"
    return f"ratings/{name}"


def content_hash(content: bytes) -> bytes:
    """The first 16 bytes of the SHA-256 of an image file."""
    return hashlib.sha256(content).digest()[:16]


def part_path(folder: Location, stage: str, shard: int, generation: int = 0) -> Location:
    """Where a stage's part of a shard is; a later generation has the number of its revision."""
    return folder / stage / _part_name(shard, generation)


def _part_name(shard: int, generation: int) -> str:
    later = f"-{generation:04d}" if generation else ""
    return f"part-{shard:05d}{later}.parquet"


def part_of(name: str) -> tuple[int, int] | None:
    """The shard and the generation of the part that a file of this name is; None if it is none of ours."""
    found = re.fullmatch(r"part-(\d{5,})(?:-(\d{4,}))?\.parquet", name, re.ASCII)
    part = None if found is None else (int(found[1]), int(found[2] or 0))
    return part if part is not None and name == _part_name(*part) else None


def parts(folder: Location, stage: str) -> dict[int, set[int]]:
    """Shard -> the generations of which its part of a stage is there."""
    found: dict[int, set[int]] = {}
    for path in (folder / stage).glob("part-*.parquet"):
        if (part := part_of(path.name)) is not None:
            found.setdefault(part[0], set()).add(part[1])
    return found


def finished_shards(folder: Location, stage: str) -> set[int]:
    """The shards whose part of a stage is there, of any generation."""
    return set(parts(folder, stage))


@contextmanager
def new_regions(folder: Location, shard: int, generation: int = 0) -> Iterator[Callable[[RegionsRow], None]]:
    """Yield a function that takes the rows in plan order; the part appears when the block ends well."""
    with _new_part(part_path(folder, REGIONS, shard, generation), _REGIONS_SCHEMA) as add:
        yield lambda row: add(
            {
                "image": row.image,
                "height": row.size and row.size[0],
                "width": row.size and row.size[1],
                "error": row.error,
                "warnings": row.warnings,
                "regions": None
                if row.error is not None
                else [region_record(region) for region in row.regions],
                "content_hash": row.content_hash,
                "cause": row.cause,
            }
        )


@contextmanager
def new_ratings(
    folder: Location, rater: str, shard: int, generation: int = 0
) -> Iterator[Callable[[RatingsRow], None]]:
    """Yield a function that takes the rows in plan order; the part appears when the block ends well."""
    path = part_path(folder, rating_stage(rater), shard, generation)
    with _new_part(path, _RATINGS_SCHEMA) as add:
        yield lambda row: add(
            {
                "image": row.image,
                "error": row.error,
                "ratings": None if row.ratings is None else rating_records(row.ratings),
                "cause": row.cause,
            }
        )


def read_regions(
    folder: Location, shard: int, generation: int = 0, images: range | None = None
) -> Iterator[RegionsRow]:
    """The rows of a part, streaming.

    Args:
        folder: Of the run.
        shard: Number of the part.
        generation: Of the part.
        images: Those that the plan has there; None where there is none to compare with.

    Raises:
        UserError: the part is not there or damaged, or has other images.
    """
    path = part_path(folder, REGIONS, shard, generation)
    with _explained_damage(path):
        for record in _records(path, _REGIONS_SCHEMA, images):
            yield regions_row(record)


def read_ratings(
    folder: Location, rater: str, shard: int, generation: int = 0, images: range | None = None
) -> Iterator[RatingsRow]:
    """The rows of a part, streaming; arguments and errors as of `read_regions`."""
    path = part_path(folder, rating_stage(rater), shard, generation)
    with _explained_damage(path):
        for record in _records(path, _RATINGS_SCHEMA, images):
            stored = record["ratings"]
            ratings = None if stored is None else ratings_of(stored)
            yield RatingsRow(record["image"], ratings, record["error"], record.get("cause"))


def read_errors(
    folder: Location, stage: str, shard: int, generation: int = 0, images: range | None = None
) -> dict[int, StoredError]:
    """Image -> error, for the images of a part that have one; nothing else is read.

    Raises:
        UserError: the part is not there or damaged, or has other images.
    """
    path = part_path(folder, stage, shard, generation)
    with _explained_damage(path), _opened(path, _schema_of(stage), images) as part:
        columns = [name for name in ("image", "error", "cause") if name in part.schema_arrow.names]
        rows = numbered(part.read(columns).to_pylist(), images)
        return {
            row["image"]: StoredError(row["error"], row.get("cause"))
            for row in rows
            if row["error"] is not None
        }


def read_part(
    folder: Location, stage: str, shard: int, generation: int = 0, images: range | None = None
) -> pa.Table:
    """A part as it is stored, for copies; columns and fields that it lacks are null.

    Raises:
        UserError: the part is not there or damaged, or has other images.
    """
    path = part_path(folder, stage, shard, generation)
    with _explained_damage(path), _opened(path, _schema_of(stage), images) as part:
        rows, schema = part.read(), _schema_of(stage)
        deque(numbered(rows.select(["image"]).to_pylist(), images), maxlen=0)
        return complete(rows, schema).cast(schema)


def check_part(folder: Location, stage: str, shard: int, generation: int, images: range) -> None:
    """Read all of a part and compare it with the plan; raises what `zeroiqa.files.damage.stumbles` knows."""
    for record in _records(part_path(folder, stage, shard, generation), _schema_of(stage), images):
        if stage == REGIONS:
            regions_row(record)
        else:
            ratings_of(record["ratings"] or [])


def keeps_answers(folder: Location, stage: str, shard: int, generation: int = 0) -> bool:
    """Whether a part with ratings is of a version that stores answers.

    Raises:
        UserError: the part is not there or damaged.
    """
    path = part_path(folder, stage, shard, generation)
    with _explained_damage(path), table(path) as part:
        return check_version(part, path) >= FIRST_WITH_ANSWERS


def write_part(folder: Location, stage: str, shard: int, table: pa.Table) -> None:
    """Store rows from `read_part` as a part.

    Raises:
        UserError: it cannot be written.
    """
    schema = _schema_of(stage)
    with created(part_path(folder, stage, shard)) as file, table_writer(file, schema) as writer:
        writer.write_table(table.cast(schema), row_group_size=_BUFFERED)


def _schema_of(stage: str) -> pa.Schema:
    return _REGIONS_SCHEMA if stage == REGIONS else _RATINGS_SCHEMA


@contextmanager
def _new_part(path: Location, schema: pa.Schema) -> Iterator[Callable[[dict[str, Any]], None]]:
    buffered: list[dict[str, Any]] = []
    with created(path) as file, table_writer(file, schema) as writer:

        def flush() -> None:
            writer.write_table(pa.Table.from_pylist(buffered, schema))
            buffered.clear()

        def add(record: dict[str, Any]) -> None:
            buffered.append(record)
            if len(buffered) == _BUFFERED:
                flush()

        yield add
        if buffered:
            flush()


def _records(path: Location, schema: pa.Schema, images: range | None) -> Iterator[dict[str, Any]]:
    with _opened(path, schema, images) as part:
        batches = part.iter_batches(batch_size=_BUFFERED)
        yield from numbered((record for batch in batches for record in batch.to_pylist()), images)


def _explained_damage(path: Location) -> AbstractContextManager[None]:
    return reading(path, "delete it and give the command of the run again", "The part")


@contextmanager
def _opened(path: Location, schema: pa.Schema, images: range | None) -> Iterator[pq.ParquetFile]:
    with table(path) as part:
        check_version(part, path)
        check_columns(part, schema, _LATER)
        if images is not None:
            check_rows(part, images)
        yield part
