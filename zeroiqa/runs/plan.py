"""The plan: the images of a run, in order, cut into shards. One row group of a plan file is one shard.

plan.parquet holds the images that the run began with, plan-0001.parquet and so on those that were added. Each
file is created once, under the next free number: whoever comes second finds it and adds what is missing.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import accumulate, count, takewhile
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from zeroiqa.errors import UserError, printable
from zeroiqa.files.atomic import complete, created, replaced, table, table_writer
from zeroiqa.files.damage import parse_json, reading, stumbles
from zeroiqa.files.schema import TEXT, WHOLE, Record, Shape, first_wrong
from zeroiqa.files.storage import Location
from zeroiqa.images.ref import ImageRef
from zeroiqa.names import escaped
from zeroiqa.runs.naming import NAMED, Naming, naming_from, spelled_from
from zeroiqa.runs.part_checks import check_columns

NAME = "plan.parquet"
_LEAST_CAP, _LARGEST_CAP, _AIM = 8, 4096, 1000
_INPUTS = b"zeroiqa.inputs"
_COUNTED: dict[str, Shape] = {"count": WHOLE, "sha256": TEXT}
INPUTS = Record({}, optional={**_COUNTED, **NAMED, "set": TEXT})
"""What a run.json says of its images."""
"""What `inputs_of` is, in run.json, too."""
_FIELDS: dict[str, pa.DataType] = {
    "image": pa.int64(),
    "path": pa.string(),
    "raw_path": pa.binary(),  # only where the path is no UTF-8; `path` shows it escaped
    "bytes": pa.int64(),
    "prompt": pa.string(),
    "shard": pa.int32(),
    "archive": pa.binary(),  # only of a member of a tar archive: the archive's path
    "offset": pa.int64(),  # and where the member's bytes begin in it
    "modified": pa.int64(),  # of the file, object or archive: nanoseconds since 1970 (UTC)
    "column": pa.string(),  # only of a row of a table, which is the archive then, and the offset its number
}
_LATER = ("archive", "offset", "modified", "column")
"""Columns that the plans of older versions lack."""
_READ = ("image", "path", "raw_path", "prompt", "bytes", "archive", "offset", "modified", "column")


class Planned(NamedTuple):
    """One row of the plan."""

    image: int
    """Position in the plan, from 0."""
    ref: ImageRef
    """The image as it was when it was planned; a time of None is not known, or not to be compared."""


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


def inputs_of(images: Iterable[tuple[str, str | None]]) -> dict[str, Any]:
    """What a plan says of its images: their number, and the SHA-256 of paths and prompts in order."""
    digest, number = hashlib.sha256(), 0
    for path, prompt in images:
        digest.update(json.dumps([path, prompt]).encode() + b"\n")
        number += 1
    return {"count": number, "sha256": digest.hexdigest()}


def set_of(images: Iterable[tuple[str, str | None]]) -> dict[str, Any]:
    """What an exact set of images is in a run's identity, in whatever order and spelling they come.

    Relative paths count from the current folder.
    """
    digest, number = hashlib.sha256(), 0
    here = str(Path.cwd())
    spelled = spelled_from(here, here)
    for path, prompt in sorted((spelled(path), prompt or "") for path, prompt in images):
        digest.update(f"{path}\0{json.dumps(prompt) if prompt else ''}\0".encode(errors="surrogatepass"))
        number += 1
    return {"count": number, "sha256": digest.hexdigest()}


def write_plan(
    folder: Location, sources: Sequence[ImageRef], inputs: Mapping[str, Any], *, again: bool = False
) -> None:
    """Write plan.parquet, unless it is there.

    Args:
        folder: Of the run.
        sources: The images.
        inputs: Their `inputs_of`; and what was named, or as `set` the digest of their `set_of`.
        again: Put it in the place of one that is no plan of this run.

    Raises:
        UserError: it cannot be written.
    """
    with (replaced if again else created)(folder / NAME) as file:
        _write(file, sources, inputs, image=0, shard=0)


def add_images(folder: Location, sources: Sequence[ImageRef], naming: Naming | None = None) -> int:
    """Plan those of the images that the run does not have yet, behind the others; how many they are.

    Args:
        folder: Of the run.
        sources: As the command's arguments lead to them.
        naming: What these name; None for exact images.

    Raises:
        UserError: an image has another prompt in the plan, or a file cannot be read or written.
    """
    while True:
        there = {row.ref.path: row.ref.prompt for row in all_planned(folder)}
        for source in sources:
            if source.path in there and there[source.path] != source.prompt:
                raise UserError(
                    f"{printable(source.path)} is planned with the prompt {there[source.path]!r} and now "
                    f"has {source.prompt!r}; score it again with --refresh, or in another run (-o)."
                )
        new = [source for source in sources if source.path not in there]
        if not new:
            return 0
        images = (*there.items(), *((source.path, source.prompt) for source in new))
        inputs = inputs_of(images) | ({} if naming is None else naming.to_dict())
        if "set" in (first_inputs(folder) or {}):
            inputs["set"] = set_of(images)["sha256"]
        path = folder / _name(len(_files(folder)))
        with created(path) as file:
            _write(file, new, inputs, image=len(there), shard=len(planned_sizes(folder)))
        if _inputs_in(path) == inputs:  # else another process was first, with other images
            return len(new)


def belongs(inputs: Mapping[str, Any] | None, to: Mapping[str, Any]) -> bool:
    """Whether a plan that says `inputs` is the first one of a run whose identity says `to`."""
    if inputs is None or "named" in to:
        return inputs is not None and naming_from(inputs) == naming_from(to)
    return inputs["count"] == to["count"] and to["sha256"] in (inputs.get("set"), inputs["sha256"])


def first_inputs(folder: Location) -> dict[str, Any] | None:
    """What plan.parquet says of the images that the run began with; None if there is no plan of ours."""
    return _inputs_in(folder / NAME)


def all_inputs(folder: Location) -> dict[str, Any] | None:
    """The same of all images, those included that came later, and what was named for the last ones."""
    return _inputs_in((_files(folder) or [folder / NAME])[-1])


def planned_sizes(folder: Location) -> tuple[int, ...]:
    """Images in each shard, as planned."""
    with _explained_damage(folder), _opened(folder) as plans:
        return _sizes(plans)


@contextmanager
def shard_reader(folder: Location) -> Iterator[Callable[[int], list[Planned]]]:
    """Yield a function from a shard's number to its images; opening the plan takes longer than reading."""
    with ExitStack() as files:
        with _explained_damage(folder):
            plans = files.enter_context(_opened(folder))
        ends = list(accumulate(plan.num_row_groups for plan in plans))
        starts = list(accumulate(_sizes(plans), initial=0))

        def read(shard: int) -> list[Planned]:
            file = bisect_right(ends, shard)
            group = shard - (ends[file - 1] if file else 0)
            with _explained_damage(folder):
                return _rows(plans[file].read_row_group(group, _columns(plans[file])), starts[shard])

        yield read


def planned(folder: Location, shard: int) -> list[Planned]:
    """The images of one shard."""
    with shard_reader(folder) as read:
        return read(shard)


def all_planned(folder: Location) -> Iterator[Planned]:
    """Every image in plan order, streaming."""
    for _, rows in by_naming(folder):
        yield from rows


def by_naming(folder: Location) -> Iterator[tuple[Naming | None, Iterator[Planned]]]:
    """What was named for the images of each plan file, and these, streaming; all in plan order."""
    with _explained_damage(folder), _opened(folder) as plans:
        starts = accumulate((plan.metadata.num_rows for plan in plans), initial=0)
        for plan, start in zip(plans, starts, strict=False):
            yield naming_from(_inputs_of(plan)), _streamed(folder, plan, start)


def _streamed(folder: Location, plan: pq.ParquetFile, first: int) -> Iterator[Planned]:
    with _explained_damage(folder):
        for batch in plan.iter_batches(columns=_columns(plan)):
            yield from _rows(batch, first)
            first += batch.num_rows


def paths(folder: Location) -> list[str]:
    """The path of every image for opening it, in plan order."""
    with _explained_damage(folder), _opened(folder) as plans:
        tables = [plan.read(["path", "raw_path"]) for plan in plans]
    return [
        path if raw is None else os.fsdecode(raw)
        for table in tables
        for path, raw in zip(*(column.to_pylist() for column in table.columns), strict=True)
    ]


def read_tables(folder: Location) -> Iterator[pa.Table]:
    """The plan as it is stored, shard by shard: all columns, for copies; what older plans lack is null."""
    with _explained_damage(folder), _opened(folder) as plans:
        for file in plans:
            for group in range(file.num_row_groups):
                yield complete(file.read_row_group(group), pa.schema(_FIELDS))


def write_tables(folder: Location, tables: Iterable[pa.Table], inputs: Mapping[str, Any]) -> None:
    """Write plan.parquet from what `read_tables` gives, with other numbers of images; a table is a shard.

    Raises:
        UserError: it cannot be written.
    """
    schema = _schema(inputs)
    with replaced(folder / NAME) as file, table_writer(file, schema) as writer:
        for shard, table in enumerate(tables):
            numbers = pa.array([shard] * table.num_rows, _FIELDS["shard"])
            numbered = table.set_column(table.schema.get_field_index("shard"), "shard", numbers)
            writer.write_table(numbered.select(schema.names).cast(schema))


def _schema(inputs: Mapping[str, Any]) -> pa.Schema:
    return pa.schema(_FIELDS, metadata={_INPUTS: json.dumps(dict(inputs)).encode()})


def misplaced(folder: Location) -> int | None:
    """The first image whose number, or that of its shard, is not that of its place; None if all are right."""
    places, shards = count(), count()
    with _explained_damage(folder), _opened(folder) as plans:
        for plan in plans:
            for group in range(plan.num_row_groups):
                shard, rows = next(shards), plan.read_row_group(group, ["image", "shard"])
                for image, own in zip(*(column.to_pylist() for column in rows.columns), strict=True):
                    if (place := next(places)) != image or own != shard:
                        return place
    return None


def _write(
    file: BinaryIO, sources: Sequence[ImageRef], inputs: Mapping[str, Any], *, image: int, shard: int
) -> None:
    """Write a plan file whose numbers begin at `image` and `shard`."""
    schema = _schema(inputs)
    begun = 0
    with table_writer(file, schema) as writer:
        for number, size in enumerate(shard_sizes(len(sources)), start=shard):
            rows = sources[begun : begun + size]
            columns = [
                range(image + begun, image + begun + size),
                [source.name for source in rows],
                [_raw(source.path) for source in rows],
                [source.bytes for source in rows],
                [source.prompt and escaped(source.prompt) for source in rows],
                [number] * size,
                [source.archive and os.fsencode(source.archive) for source in rows],
                [source.offset for source in rows],
                [source.modified for source in rows],
                [source.column for source in rows],
            ]
            arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            begun += size


def _name(number: int) -> str:
    return f"plan-{number:04d}.parquet" if number else NAME


def _files(folder: Location) -> list[Location]:
    """The plan's files in order; empty if there is no plan."""
    paths = (folder / _name(number) for number in count())
    return list(takewhile(lambda path: path.exists(), paths))


def _inputs_in(path: Location) -> dict[str, Any] | None:
    try:
        with table(path) as plan:
            return _inputs_of(plan)
    except stumbles():
        return None


def _inputs_of(plan: pq.ParquetFile) -> dict[str, Any]:
    """What the metadata of a plan file say; ValueError and the like where they are none."""
    found: dict[str, Any] = parse_json((plan.schema_arrow.metadata or {})[_INPUTS].decode())
    if wrong := first_wrong(found, Record(_COUNTED, optional={**NAMED, "set": TEXT})):
        raise ValueError(wrong)
    return found


def _columns(plan: pq.ParquetFile) -> list[str]:
    """Those of `_READ` that the file has; older ones lack the last."""
    return [name for name in _READ if name in plan.schema_arrow.names]


def _sizes(plans: Iterable[pq.ParquetFile]) -> tuple[int, ...]:
    return tuple(
        plan.metadata.row_group(group).num_rows for plan in plans for group in range(plan.num_row_groups)
    )


def _rows(part: pa.Table | pa.RecordBatch, first: int) -> list[Planned]:
    """The rows of a plan file, whose numbers begin at `first`; ValueError for what no plan holds."""
    missing = [None] * part.num_rows
    columns = [part[name].to_pylist() if name in part.schema.names else missing for name in _READ]
    if columns[0] != list(range(first, first + part.num_rows)):
        raise ValueError(f"an image from {first} on has the number of another one")
    if None in columns[1]:
        raise ValueError(f"an image from {first} on has no path")
    return [
        Planned(
            image,
            ImageRef(
                path if raw is None else os.fsdecode(raw),
                size,
                prompt,
                None if archive is None else os.fsdecode(archive),
                offset,
                modified,
                column=column,
            ),
        )
        for image, path, raw, prompt, size, archive, offset, modified, column in zip(*columns, strict=True)
    ]


def _explained_damage(folder: Location) -> AbstractContextManager[None]:
    return reading(folder / NAME, "use another folder", "The plan")


@contextmanager
def _opened(folder: Location) -> Iterator[list[pq.ParquetFile]]:
    """The plan's files, whose columns are right."""
    with ExitStack() as files:
        plans = [files.enter_context(table(path)) for path in _files(folder) or [folder / NAME]]
        for plan in plans:
            check_columns(plan, pa.schema(_FIELDS), _LATER)
        yield plans


def _raw(path: str) -> bytes | None:
    return None if path.isascii() or escaped(path) == path else os.fsencode(path)
