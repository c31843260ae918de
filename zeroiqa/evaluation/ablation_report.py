"""Ablations as records and tables: the rows' agreement with people beside what the paper prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from zeroiqa.evaluation.ablations import (
    SOURCE,
    Ablation,
    AblationRow,
    common_arithmetic,
    common_settings,
    printed_row,
)
from zeroiqa.evaluation.agreement import Joined, join, pointing_up
from zeroiqa.evaluation.differences import intervals
from zeroiqa.evaluation.formatting import number
from zeroiqa.evaluation.methods import COMPARED_BY
from zeroiqa.evaluation.records import NumberRecord, Report
from zeroiqa.evaluation.run_scores import origin_of
from zeroiqa.files.tables.render import TextTable, cells
from zeroiqa.metrics.measures import Interval
from zeroiqa.runs import iter_scores, reaggregation

if TYPE_CHECKING:
    from zeroiqa.evaluation.datasets.types import Dataset
    from zeroiqa.settings import Settings

ASPECT = "quality"


class FinishedTable(NamedTuple):
    """One table of an ablation whose runs are finished."""

    table: str
    rows: Sequence[AblationRow]
    found: Ablation
    left_out: Sequence[str]
    """Sentences about rows that the settings or the raters cannot give."""


def ablation_report(
    done: Sequence[FinishedTable], settings: Settings, dataset: Dataset, resamples: int, decimals: int | None
) -> Report:
    """One table for each ablation, and the records of all.

    Args:
        done: The tables.
        settings: Those that the rows have in common.
        dataset: Whose opinions.
        resamples: Of the intervals; 0 for none.
        decimals: Of measured numbers in the tables to read, and at most those of published ones.

    Raises:
        UserError: hardly an image has a score and an opinion.
    """
    records: list[NumberRecord] = []
    tables = []
    for each in done:
        joined = [_joined(row, each.found, dataset) for row in each.rows]
        notes = tuple(dict.fromkeys(_notes(each, joined, settings, dataset)))
        lines = []
        for row, both, ends in zip(each.rows, joined, intervals(joined, resamples), strict=True):
            measured = list(_measured(each, row, both, ends, dataset, settings, notes, resamples))
            printed = list(_printed(each.table, row, dataset, notes))
            lines.append((row, measured, printed))
            records += (*measured, *printed)
        tables.append(_table(lines, notes, decimals))
    return Report(tuple(records), tuple(tables))


def _joined(row: AblationRow, found: Ablation, dataset: Dataset) -> Joined:
    run = found.runs[row.run]
    label = run.labels[row.standard]
    results = iter_scores(run, reaggregation(run, dict(common_arithmetic(row))))
    scored = ((each.path, each.scores[label].score if label in each.scores else None) for each in results)
    return join(pointing_up(scored, run.lower_is_better), dataset, ASPECT, origin_of(run))


def _measured(
    done: FinishedTable,
    row: AblationRow,
    joined: Joined,
    ends: Mapping[str, Interval | None],
    dataset: Dataset,
    settings: Settings,
    notes: tuple[str, ...],
    resamples: int,
) -> Iterator[NumberRecord]:
    run = done.found.runs[row.run]
    raters = ", ".join(row.arithmetic.get("members", settings.raters))
    for measure, metric in COMPARED_BY.items():
        interval = ends.get(measure)
        yield NumberRecord(
            row.label,
            dataset.name,
            measure,
            metric(joined.scores, joined.opinions),
            low=interval.low if interval else None,
            high=interval.high if interval else None,
            n=len(joined),
            left_out=len(dataset.samples) - len(joined),
            protocol=f"measured here, {raters}",
            source=str(run.folder),
            better="lower" if run.lower_is_better else "higher",
            resamples=resamples if interval else None,
            notes=notes,
            facts={"aspect": ASPECT, "table": done.table},
        )


def _printed(
    table: str, row: AblationRow, dataset: Dataset, notes: tuple[str, ...]
) -> Iterator[NumberRecord]:
    for measure, text in printed_row(table, row.published, dataset.name).items():
        yield NumberRecord(
            row.label,
            dataset.name,
            measure,
            float(text),
            protocol=f"published, row {row.published}",
            source=SOURCE.format(table),
            decimals=len(text.partition(".")[2]),
            notes=notes,
            facts={"aspect": ASPECT, "table": table},
        )


def _notes(
    done: FinishedTable, joined: Sequence[Joined], settings: Settings, dataset: Dataset
) -> Iterator[str]:
    images = sorted({len(each) for each in joined})
    counted = " to ".join(map(str, dict.fromkeys((images[0], images[-1])))) if images else "no"
    common = common_settings(done.table, settings)
    yield f"{counted} images of {dataset.name}; {common}, unless a row says otherwise."
    rows_of: dict[str, list[str]] = {}
    for row, each in zip(done.rows, joined, strict=True):
        for sentence in each.notes:
            rows_of.setdefault(sentence, []).append(row.label)
    for sentence, labels in rows_of.items():
        yield f"{sentence}." if len(labels) == len(done.rows) else f"{'; '.join(labels)}: {sentence}."
    if any(run.lower_is_better for run in done.found.runs.values()):
        yield "Of the scores lower is better: they were turned."
    yield _shared(done, settings)
    ratings, segmentations = done.found.ratings, done.found.segmentations
    yield (
        f"{ratings.computed} ratings computed, {ratings.reused} shared; {segmentations.computed} images "
        f"segmented, {segmentations.reused} times shared."
    )
    yield from dataset.notes
    yield from done.left_out


def _shared(done: FinishedTable, settings: Settings) -> str:
    """How many of the rows needed no ratings of their own, such as an ensemble's row."""
    rated = len({(row.run, row.standard) for row in done.rows}) * len(settings.raters)
    rows, runs = len(done.rows), len(done.found.runs)
    return (
        f"{rows} rows of {runs} run{'s' * (runs > 1)}; {max(rows - rated, 0)} of them are rescored from "
        "ratings of other rows."
    )


def _table(
    lines: Sequence[tuple[AblationRow, Sequence[NumberRecord], Sequence[NumberRecord]]],
    notes: tuple[str, ...],
    decimals: int | None,
) -> TextTable:
    beside = any(printed for _, _, printed in lines)
    columns = ("row", "images", *COMPARED_BY, *(f"published {name}" for name in COMPARED_BY if beside))
    rows = []
    for row, measured, printed in lines:
        own = {record.measure: record for record in printed}
        texts = [number(record.value, decimals) for record in measured]
        for name in COMPARED_BY if beside else ():
            found = own.get(name)
            texts.append(number(found.value, decimals, found.decimals) if found else "-")
        rows.append(cells(row.label, str(measured[0].n), *texts))
    return TextTable(columns, tuple(rows), notes)
