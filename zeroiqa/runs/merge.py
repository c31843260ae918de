"""One run from several of the same settings over other images. Nothing is computed again."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from zeroiqa.errors import UserError
from zeroiqa.files.storage import Location
from zeroiqa.runs import known_answers, parts, plan, record
from zeroiqa.runs.identity import differences
from zeroiqa.runs.latest import all_left
from zeroiqa.runs.run import Run, load_run

Kept = Sequence[npt.NDArray[np.bool_]]
"""For each run, which of its images are taken."""


def merge_runs(runs: Sequence[Run], folder: Location) -> tuple[Run, int]:
    """Copy finished runs into a new one, whose images are theirs in order, each path once.

    Of an image that several runs have, the first one's ratings are taken. Interrupted, the same call goes on.

    Args:
        runs: Finished, of the same settings, each with the same raters.
        folder: New, empty, or that of the same merge.

    Returns:
        The new run, by the first one's arithmetic, and how many images were left out because an earlier run
        has them. Those that are gone are left out, too.

    Raises:
        UserError: the runs differ or are unfinished, a part is damaged, or the folder holds something else.
    """
    for run in runs:
        _check(runs[0], run)
    known = known_answers.common(run.folder for run in runs)
    kept = _first_mentions(runs)
    identity = {**runs[0].identity, "inputs": plan.set_of(_images(runs, kept))}
    sizes = plan.shard_sizes(identity["inputs"]["count"])
    if not record.is_run(folder):
        versions = record.read_record(runs[0].folder)["environment"]
        first, origin = runs[0], _common_origin(runs, folder)
        record.create(folder, first.settings, "merge", identity, first.labels, first.kinds, versions, origin)
    if record.read_record(folder)["identity"] != identity:
        raise UserError(f"{folder} holds another run; choose another folder with -o.")
    if not plan.belongs(plan.first_inputs(folder), identity["inputs"]):
        rows = (map(run.revisions.planned_table, plan.read_tables(run.folder)) for run in runs)
        inputs = {**plan.inputs_of(_images(runs, kept)), "set": identity["inputs"]["sha256"]}
        plan.write_tables(folder, _cut(_taken(rows, kept), sizes), inputs)
    known_answers.copy(known, folder)
    for stage in runs[0].stages:
        _copy_stage(runs, kept, stage, folder, sizes)
    gone = sum(len(run.revisions.gone) for run in runs)
    return load_run(folder), sum(int((~each).sum()) for each in kept) - gone


def _check(first: Run, other: Run) -> None:
    left = all_left(other)
    if left:
        raise UserError(
            f"{left} of {other.n_images} images of {other.folder} are not finished; "
            f"`zeroiqa score -o {other.folder}` goes on with them."
        )
    changed = differences(first.identity, other.identity)
    if first.has_regions != other.has_regions and changed.keys() <= {"segmenter"}:
        has, lacks = (first, other) if first.has_regions else (other, first)
        command = f"zeroiqa score -o {shlex.quote(str(lacks.folder))} --regions"
        raise UserError(
            f"{has.folder} has regions and {lacks.folder} has none; `{command}` adds them and their ratings."
        )
    if changed:
        field, (one, two) = next(iter(changed.items()))
        raise UserError(
            f"{first.folder} and {other.folder} have other settings, {field} is {one} and {two}; "
            "only runs of the same settings can be merged."
        )


def _common_origin(runs: Sequence[Run], folder: Location) -> Mapping[str, str]:
    """Where the images of all runs come from; empty if not from one folder."""
    if len({run.origin.get("cwd") for run in runs}) > 1 or not runs[0].origin:
        return {}
    here = record.origin_here(folder)
    return here if here["cwd"] == runs[0].origin["cwd"] else {"cwd": runs[0].origin["cwd"]}


def _first_mentions(runs: Sequence[Run]) -> Kept:
    seen: set[str] = set()
    kept = []
    for run in runs:
        taken = np.zeros(run.n_images, dtype=bool)
        for row in plan.all_planned(run.folder):
            if row.image not in run.revisions.gone:
                taken[row.image] = row.ref.path not in seen
                seen.add(row.ref.path)
        kept.append(taken)
    return kept


def _images(runs: Sequence[Run], kept: Kept) -> Iterator[tuple[str, str | None]]:
    for run, taken in zip(runs, kept, strict=True):
        rows = map(run.revisions.planned, plan.all_planned(run.folder))
        yield from ((row.ref.path, row.ref.prompt) for row in rows if taken[row.image])


def _copy_stage(runs: Sequence[Run], kept: Kept, stage: str, folder: Location, sizes: Sequence[int]) -> None:
    """Write the parts of a stage that are missing."""
    there = parts.finished_shards(folder, stage)
    rows = (_parts(run, stage) for run in runs)
    for shard, table in enumerate(_cut(_taken(rows, kept), sizes)):
        if shard not in there:
            parts.write_part(folder, stage, shard, table)


def _parts(run: Run, stage: str) -> Iterator[pa.Table]:
    for shard in range(run.n_shards):
        generation = run.revisions.generation(shard)
        yield parts.read_part(run.folder, stage, shard, generation, run.images_of(shard))


def _taken(by_run: Iterable[Iterable[pa.Table]], kept: Kept) -> Iterator[pa.Table]:
    """The rows of the images that are taken, with their new numbers in the column `image`."""
    new = 0
    for tables, taken in zip(by_run, kept, strict=True):
        for table in tables:
            rows = table.filter(pa.array(taken[table["image"].to_numpy()]))
            numbers = pa.array(range(new, new + rows.num_rows), pa.int64())
            new += rows.num_rows
            yield rows.set_column(rows.schema.get_field_index("image"), "image", numbers)


def _cut(tables: Iterable[pa.Table], sizes: Sequence[int]) -> Iterator[pa.Table]:
    """The same rows in tables of the given sizes."""
    source = iter(tables)
    waiting = next(source)
    for size in sizes:
        while waiting.num_rows < size:
            waiting = pa.concat_tables([waiting, next(source)])
        yield waiting.slice(0, size)
        waiting = waiting.slice(size)
