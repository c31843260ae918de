"""The plan: the images of a run, in order, cut into shards. One row group of plan.parquet is one shard."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from zeroiqa.errors import UserError
from zeroiqa.runs.files import replaced, table_writer

if TYPE_CHECKING:
    from zeroiqa.inputs import Source

NAME = "plan.parquet"
_LEAST_CAP, _LARGEST_CAP, _AIM = 8, 4096, 1000
_RUN_ID = b"zeroiqa.run_id"
_FIELDS: dict[str, pa.DataType] = {
    "image": pa.int64(),
    "path": pa.string(),
    "raw_path": pa.binary(),  # only where the path is no UTF-8; `path` shows it escaped
    "bytes": pa.int64(),
    "prompt": pa.string(),
    "shard": pa.int32(),
}
_READ = ["image", "path", "raw_path", "prompt"]


class Planned(NamedTuple):
    """One row of the plan."""

    image: int
    """Position in the plan, from 0."""
    path: str
    """For people and tables: undecodable bytes are shown as escapes."""
    file: str
    """For opening the file; `path`, unless that has escapes."""
    prompt: str | None


def shard_sizes(images: int) -> list[int]:
    """Images per shard: 1, 2, 4, ... up to a cap, so that first scores appear at once and parts stay few.

    The cap is a thousandth of the images, between 8 (all workers get some) and 4096 (a kill costs little).
    """
    cap = min(max(_LEAST_CAP, math.ceil(images / _AIM)), _LARGEST_CAP)
    sizes: list[int] = []
    left = images
    while left > 0:
        size = min(1 << min(len(sizes), cap.bit_length()), cap, left)
        sizes.append(size)
        left -= size
    return sizes


def write_plan(folder: Path, sources: Sequence[Source], run_id: str) -> None:
    """Write plan.parquet.

    Raises:
        UserError: it cannot be written.
    """
    schema = pa.schema(_FIELDS, metadata={_RUN_ID: run_id.encode()})
    with replaced(folder / NAME) as file, table_writer(file, schema) as writer:
        start = 0
        for shard, size in enumerate(shard_sizes(len(sources))):
            rows = sources[start : start + size]
            columns = [
                range(start, start + size),
                [escaped(source.path) for source in rows],
                [_raw(source.path) for source in rows],
                [source.bytes for source in rows],
                [source.prompt and escaped(source.prompt) for source in rows],
                [shard] * size,
            ]
            arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            start += size


def owner(folder: Path) -> str | None:
    """The id of the run that the folder's plan was made for; None if there is no plan of ours."""
    try:
        return (pq.read_schema(folder / NAME).metadata or {})[_RUN_ID].decode()
    except (OSError, pa.ArrowInvalid, KeyError):
        return None


def planned_sizes(folder: Path) -> tuple[int, ...]:
    """Images in each shard, as planned."""
    with _opened(folder) as plan:
        return tuple(plan.metadata.row_group(shard).num_rows for shard in range(plan.num_row_groups))


@contextmanager
def shard_reader(folder: Path) -> Iterator[Callable[[int], list[Planned]]]:
    """Yield a function from a shard's number to its images; opening the plan takes longer than reading."""
    with _opened(folder) as plan:
        yield lambda shard: _rows(plan.read_row_group(shard, _READ))


def planned(folder: Path, shard: int) -> list[Planned]:
    """The images of one shard."""
    with shard_reader(folder) as read:
        return read(shard)


def all_planned(folder: Path) -> Iterator[Planned]:
    """Every image in plan order, streaming."""
    with _opened(folder) as plan:
        for batch in plan.iter_batches(columns=_READ):
            yield from _rows(batch)


def _rows(table: pa.Table | pa.RecordBatch) -> list[Planned]:
    return [
        Planned(image, path, path if raw is None else os.fsdecode(raw), prompt)
        for image, path, raw, prompt in zip(*(column.to_pylist() for column in table.columns), strict=True)
    ]


@contextmanager
def _opened(folder: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(folder / NAME) as plan:
            yield plan
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(f"The plan {folder / NAME} cannot be read ({error}); use another folder.") from error


def escaped(text: str) -> str:
    """The text in valid UTF-8: what a file name holds besides is shown as escapes."""
    return text.encode(errors="backslashreplace").decode()


def _raw(path: str) -> bytes | None:
    return None if path.isascii() or escaped(path) == path else os.fsencode(path)
