"""Scores from stored parts: arithmetic alone, no image and no model."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa

from zeroiqa.aggregate import Aggregation
from zeroiqa.errors import UserError
from zeroiqa.files.atomic import remove_leftovers, replaced, table, table_writer
from zeroiqa.files.damage import reading, shortened
from zeroiqa.files.tables.csv_writer import CsvWriter
from zeroiqa.raters import find_rater
from zeroiqa.results import ImageScore, csv_row, score_rated
from zeroiqa.runs import parts, plan
from zeroiqa.runs.latest import all_left
from zeroiqa.runs.plan import Planned
from zeroiqa.runs.run import Run, is_current, pending
from zeroiqa.settings import key_of, settings_from_dict
from zeroiqa.types import RatedImage, Rating

_BUFFERED = 4096  # rows of a row group of scores.parquet
_COLUMN_TYPES: dict[str, pa.DataType] = {
    "path": pa.string(),
    "better": pa.string(),
    "n_regions": pa.int32(),
    "status": pa.string(),
    "error": pa.string(),
    "warnings": pa.string(),
}


def read_rated(run: Run, shard: int) -> Iterator[tuple[str, RatedImage]]:
    """Path, regions and ratings of each image of a finished shard that was rated, in plan order.

    Raises:
        UserError: a part is missing or damaged.
    """
    images, raters = plan.planned(run.folder, shard), run.settings.raters
    return (
        (stored.path, stored.rated)
        for stored in _read(run, shard, images, raters)
        if stored.error is None and not stored.gone
    )


def read_scores(run: Run, shard: int, aggregation: Aggregation | None = None) -> list[ImageScore]:
    """The results of a finished shard, in plan order.

    Args:
        run: The run.
        shard: Its number.
        aggregation: How; the run's own way if left out.

    Raises:
        UserError: a part is missing or damaged, or the aggregation names a rater that the run has not.
    """
    return list(_scores(run, shard, plan.planned(run.folder, shard), aggregation))


def iter_scores(
    run: Run, aggregation: Aggregation | None = None, shards: Iterable[int] | None = None
) -> Iterator[ImageScore]:
    """The results of those of the shards (all, if left out) that are finished now, in plan order, streaming.

    Raises:
        UserError: as `read_scores`.
    """
    left = set(pending(run))
    with plan.shard_reader(run.folder) as planned:
        for shard in range(run.n_shards) if shards is None else shards:
            if shard not in left:
                yield from _scores(run, shard, planned(shard), aggregation)


def score_columns(run: Run, aggregation: Aggregation | None = None) -> list[str]:
    """The columns of scores.csv: those of an image that has a score, the same for all images."""
    aggregation = replace(aggregation or run.settings.aggregation, lam=0.0)

    def whole(rater: str) -> tuple[Rating | None, ...]:
        return (Rating(logprobs=(0.0,), mass=1.0, value=1.0 if find_rater(rater).gives_levels else None),)

    ratings = {rater: dict.fromkeys(run.labels, whole(rater)) for rater in run.settings.raters}
    smallest = RatedImage((), ratings)
    scored = score_rated(
        "", smallest, run.labels, aggregation, kinds=run.kinds, lower_is_better=run.lower_is_better
    )
    return list(scored.to_dict())


def reaggregation(run: Run, choices: Mapping[str, Any]) -> Aggregation:
    """The run's aggregation with other choices.

    Args:
        run: The run.
        choices: readout, weighting, lam, normalize_areas, rater_weights, mass_threshold and
            word_mass_threshold as in the settings; and members, names of raters. What is left out stays; a
            choice of members drops the run's weights.

    Raises:
        UserError: a choice is out of its range, or a member is none of the run's raters.
    """
    if not run.settings.raters:
        raise UserError(
            f"{run.folder} holds regions without ratings; give its settings and -o {run.folder} to "
            "`zeroiqa score --crop mask`, which rates them."
        )
    fields = {key_of(name): value for name, value in choices.items()}
    members = tuple(fields.pop("members", ()))
    unknown = [member for member in members if member not in run.settings.raters]
    if unknown:
        raise UserError(
            f"The run has no ratings by {unknown[0]}; its raters are {', '.join(run.settings.raters)}."
        )
    fields["raters"] = list(members or run.settings.raters)
    if members:
        fields.setdefault("rater_weights", [])
    settings = settings_from_dict({**run.settings.to_dict(), **fields}, "the command")
    ids = run.identity["raters"]
    digits = [name for name in settings.raters if find_rater(name).digits_only(ids[name])]
    if digits and settings.readout != "digit":
        raise UserError(
            f"Of {digits[0]} the run has the answered digits alone, from which no mean level can be made; "
            "use --readout digit."
        )
    return replace(settings.aggregation, members=members)


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
    columns = score_columns(run)
    schema = _schema(columns)
    with (
        replaced(run.folder / "scores.csv") as csv_file,
        replaced(run.folder / "scores.parquet") as parquet_file,
        table_writer(parquet_file, schema) as parquet,
    ):
        text = io.TextIOWrapper(csv_file, encoding="utf-8", newline="")
        csv_table = CsvWriter(text, columns)
        for rows in _batches(result.to_dict() for result in iter_scores(run)):
            for row in rows:
                csv_table.write(csv_row(row))
            parquet.write_table(pa.Table.from_pylist(rows, schema))
        text.detach()  # flushed; the file is closed by its own block
    remove_leftovers(run.folder, finished=True)


def write_parquet(results: Iterable[ImageScore], columns: Sequence[str], file: BinaryIO) -> None:
    """Write results as a Parquet table with the columns of `score_columns`."""
    schema = _schema(columns)
    with table_writer(file, schema) as parquet:
        for rows in _batches(result.to_dict() for result in results):
            parquet.write_table(pa.Table.from_pylist(rows, schema))


def _schema(columns: Sequence[str]) -> pa.Schema:
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


class _Stored(NamedTuple):
    """All that is stored of one image."""

    path: str
    rated: RatedImage
    warnings: tuple[str, ...]
    error: str | None
    cause: str | None
    """Of the error."""
    gone: bool


def _read(run: Run, shard: int, images: Iterable[Planned], raters: Sequence[str]) -> Iterator[_Stored]:
    """What some raters have stored, but for pruned images; an error of another one is none of theirs."""
    generation = run.revisions.generation(shard)
    rows = zip(
        images,
        parts.read_regions(run.folder, shard, generation, run.images_of(shard)),
        *(parts.read_ratings(run.folder, rater, shard, generation, run.images_of(shard)) for rater in raters),
        strict=True,
    )
    for image, segmented, *by_rater in rows:
        if image.image in run.revisions.pruned:
            continue
        for rater, row in zip(raters, by_rater, strict=True):
            _check_views(run, rater, row, len(segmented.regions))
        ratings = {
            rater: dict(row.ratings)
            for rater, row in zip(raters, by_rater, strict=True)
            if row.ratings is not None
        }
        errors = ((row.error, row.cause) for row in (segmented, *by_rater) if row.error is not None)
        rated = RatedImage(segmented.regions, ratings)
        error, cause = next(errors, (None, None))
        yield _Stored(
            image.ref.name, rated, segmented.warnings, error, cause, gone=image.image in run.revisions.gone
        )


def _check_views(run: Run, rater: str, row: parts.RatingsRow, regions: int) -> None:
    """Refuse ratings of other standards than the run's, or of other views than the image and its regions."""
    for standard, by_view in (row.ratings or {}).items():
        if standard not in run.labels or len(by_view) != 1 + regions:
            raise UserError(
                f"The ratings of image {row.image} by {rater} in {run.folder} are those of another run: "
                f"{len(by_view)} under {shortened(standard)}, where the image has {regions} regions; delete "
                "the parts of its shard and give the command of the run again."
            )


def _scores(
    run: Run, shard: int, images: Iterable[Planned], aggregation: Aggregation | None
) -> Iterator[ImageScore]:
    aggregation, lower = aggregation or run.settings.aggregation, run.lower_is_better
    for stored in _read(run, shard, images, aggregation.members or run.settings.raters):
        if stored.gone:
            yield ImageScore(stored.path, gone=True, lower_is_better=lower)
        elif stored.error is not None:
            yield ImageScore(
                stored.path,
                error=stored.error,
                cause=stored.cause,
                warnings=stored.warnings,
                lower_is_better=lower,
            )
        else:
            yield score_rated(
                stored.path,
                stored.rated,
                run.labels,
                aggregation,
                stored.warnings,
                kinds=run.kinds,
                lower_is_better=lower,
            )


def _batches(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while batch := list(itertools.islice(rows, _BUFFERED)):
        yield batch
