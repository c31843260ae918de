"""Several methods on several databases: measured here, by others, or published."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from zeroiqa.evaluation.agreement import SUSPICIOUS, Joined, common_images, join, pointing_up
from zeroiqa.evaluation.differences import RESAMPLES, against_the_best, intervals
from zeroiqa.evaluation.formatting import marks, number, p_value
from zeroiqa.evaluation.matching import NothingInCommonError
from zeroiqa.evaluation.methods import COMPARED_BY, ComparedMethod
from zeroiqa.evaluation.records import NumberRecord, Report
from zeroiqa.files.tables.render import Cell, TextTable
from zeroiqa.metrics.measures import Interval

if TYPE_CHECKING:
    from zeroiqa.evaluation.datasets.types import Dataset


@dataclass(frozen=True)
class OnDatabase:
    """What every method reaches on one database."""

    name: str
    records: tuple[Mapping[str, NumberRecord], ...]
    """Of each method: measure -> its number; empty where there is none."""
    notes: tuple[str, ...]
    """Sentences: which images do not count, how the methods were tested."""
    best: int | None
    """Position of the measured method that the others are tested against; None where none is measured."""


@dataclass(frozen=True)
class Comparison:
    """Methods beside each other, on one or several databases."""

    methods: tuple[str, ...]
    """Their names, in the order of the rows."""
    protocols: tuple[str, ...]
    """How the numbers of each came about: measured here, external scores, or published; its training."""
    databases: tuple[OnDatabase, ...]
    notes: tuple[str, ...]
    """Sentences from reading the scores of the methods."""
    tested: bool
    """Whether the table has p values."""

    @property
    def records(self) -> tuple[NumberRecord, ...]:
        """Every number: SRCC and PLCC, each in -1..1, by database and method."""
        return tuple(each for found in self.databases for row in found.records for each in row.values())

    def rows(self) -> list[dict[str, Any]]:
        """One row of plain values for each number, in full precision; see `NumberRecord` for its columns."""
        return self.report().rows()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: `rows` and `notes`, as `zeroiqa compare --format json` prints them."""
        return self.report().to_dict()

    def report(self, decimals: int | None = None) -> Report:
        """The numbers as records, and as a table with a row for each method.

        Args:
            decimals: Of measured numbers in the table, and at most those of published ones; None for 3 of
                measured numbers and all that are printed of published ones.
        """
        return Report(self.records, (self._table(decimals),), self.notes)

    def _table(self, decimals: int | None) -> TextTable:
        shown = (*COMPARED_BY, *(("p",) if self.tested else ()))
        head = ("method", *(f"{found.name} {what}" for found in self.databases for what in shown), "protocol")
        rows = []
        for place, (method, protocol) in enumerate(zip(self.methods, self.protocols, strict=True)):
            row = [Cell(method)]
            for found in self.databases:
                records = found.records[place]
                row += [_cell(records.get(measure), decimals) for measure in COMPARED_BY]
                if self.tested:
                    rank = records.get("SRCC")
                    p = p_value(rank.p, bool(rank.p_at_floor), decimals) if rank else "-"
                    row.append(Cell("best" if place == found.best else p))
            rows.append((*row, Cell(protocol)))
        notes = [*self.notes, *(note for found in self.databases for note in found.notes)]
        notes += [note for record in self.records for note in record.notes]
        return TextTable(head, tuple(rows), tuple(dict.fromkeys(notes)))


def compare_methods(
    methods: Sequence[ComparedMethod],
    datasets: Sequence[Dataset],
    aspect: str,
    *,
    resamples: int | None = None,
) -> Comparison:
    """SRCC and PLCC of every method on every database, the best and second best of each column marked.

    p says whether a measured method differs from the best measured one on the same images: paired bootstrap
    of SRCC, corrected for the number of comparisons on the database (Holm).

    Args:
        methods: In the order of the rows.
        datasets: With the aspect; published methods are looked up by their names.
        aspect: Which opinions.
        resamples: Of the bootstraps; None for 1,000, and for p as many more as the number of comparisons
            needs; 0 for neither intervals nor p.

    Raises:
        UserError: a database has no such aspect, a method's scores of it are unusable, or a measured method
            has no image in common with any database.
    """
    every = _all_joined(methods, datasets, aspect)
    return Comparison(
        tuple(method.name for method in methods),
        tuple(method.protocol for method in methods),
        tuple(
            _on_database(methods, dataset, joined, aspect, resamples)
            for dataset, joined in zip(datasets, every, strict=True)
        ),
        tuple(dict.fromkeys(note for method in methods for note in method.notes)),
        tested=resamples != 0,
    )


def _on_database(
    methods: Sequence[ComparedMethod],
    dataset: Dataset,
    joined: Sequence[Joined | None],
    aspect: str,
    resamples: int | None,
) -> OnDatabase:
    notes = _notes_on(dataset, methods, joined)
    drawn = RESAMPLES if resamples is None else resamples
    ends = intervals(joined, drawn)
    rows = [
        _published(method, dataset, aspect)
        if each is None
        else _measured(method, dataset, aspect, each, interval, drawn)
        for method, each, interval in zip(methods, joined, ends, strict=True)
    ]
    found = against_the_best([method.name for method in methods], joined, dataset.name, resamples)
    for place, (test, p) in found.tests.items():
        rank = rows[place]["SRCC"]
        rows[place]["SRCC"] = replace(rank, p=p, p_at_floor=test.at_floor, resamples=test.resamples)
    notes += found.notes
    for measure in COMPARED_BY:
        there = [(method, row) for method, row in zip(methods, rows, strict=True) if measure in row]
        ranked = marks([_strength(method, row[measure]) for method, row in there])
        for (_, row), mark in zip(there, ranked, strict=True):
            row[measure] = replace(row[measure], mark=mark, notes=(*row[measure].notes, *notes))
    return OnDatabase(dataset.name, tuple(rows), tuple(notes), found.best)


def _all_joined(
    methods: Sequence[ComparedMethod], datasets: Sequence[Dataset], aspect: str
) -> list[list[Joined | None]]:
    """What each measured method and each database have in common; None for a published one, or for nothing.

    Raises:
        NothingInCommonError: a measured method has nothing in common with any database.
    """
    found: list[list[Joined | None]] = [[None] * len(methods) for _ in datasets]
    for row, method in enumerate(methods):
        scored = list(pointing_up(method.scored, method.direction.sign == -1))
        errors = []
        for place, dataset in enumerate(datasets if method.scored else ()):
            try:
                found[place][row] = join(scored, dataset, aspect, method.origin)
            except NothingInCommonError as error:
                errors.append(error)
        if errors and len(errors) == len(datasets):
            raise errors[0]
    return found


def _notes_on(
    dataset: Dataset, methods: Sequence[ComparedMethod], joined: Sequence[Joined | None]
) -> list[str]:
    """What was left out of a database, and who has which of its images."""
    notes = list(dataset.notes)
    there: list[tuple[str, Joined]] = []
    for method, each in zip(methods, joined, strict=True):
        if each is not None:
            there.append((method.name, each))
        elif method.scored:
            notes.append(f"{method.name} has no image of {dataset.name}.")
    return [*notes, *common_images(there, dataset.name)]


def _published(method: ComparedMethod, dataset: Dataset, aspect: str) -> dict[str, NumberRecord]:
    return {
        measure: NumberRecord(
            method.name,
            dataset.name,
            measure,
            each.value,
            protocol=method.protocol,
            source=each.source,
            decimals=each.decimals,
            facts={"aspect": aspect},
        )
        for measure, each in method.published.get(dataset.name, {}).items()
    }


def _measured(
    method: ComparedMethod,
    dataset: Dataset,
    aspect: str,
    joined: Joined,
    ends: Mapping[str, Interval | None],
    resamples: int,
) -> dict[str, NumberRecord]:
    values = {name: metric(joined.scores, joined.opinions) for name, metric in COMPARED_BY.items()}
    notes = [f"{method.name}: {sentence}." for sentence in joined.notes]
    notes += _about_direction(method, dataset.name, values["SRCC"])
    sign = method.direction.sign
    return {
        measure: NumberRecord(
            method.name,
            dataset.name,
            measure,
            value,
            low=interval.low if (interval := ends.get(measure)) else None,
            high=interval.high if interval else None,
            n=len(joined),
            left_out=len(dataset.samples) - len(joined),
            protocol=method.protocol,
            source=method.source,
            better=None if sign is None else "lower" if sign < 0 else "higher",
            resamples=resamples if interval else None,
            notes=tuple(notes),
            facts={"aspect": aspect},
        )
        for measure, value in values.items()
    }


def _about_direction(method: ComparedMethod, database: str, rank: float | None) -> list[str]:
    """Notes: scores were turned; a correlation looks as if they should have been, or should not."""
    sign, stated_by = method.direction
    notes = []
    if sign == -1:
        by = f" by {stated_by}" if stated_by else ""
        notes.append(f"{method.name}: lower is better{by}, so its scores were turned.")
    if rank is None or rank >= SUSPICIOUS:
        return notes
    found = f"{method.name} correlates strongly negatively with {database} (SRCC {rank:.3f})"
    if sign is None:
        what = "and nothing says which of its scores are better: if the lower ones, give "
        what += f"--lower-is-better {shlex.quote(method.name)}"
    elif stated_by == "--lower-is-better":
        what = "after its scores were turned: if the higher ones are better, leave --lower-is-better out"
    elif stated_by:
        way = "lower" if sign < 0 else "higher"
        what = f"though by {stated_by} the {way} ones are better: if not in this file, say so in its column"
        what += " better"
    else:
        what = "in the direction that its scores have: are the opinions DMOS? Then name their column dmos"
    return [*notes, f"{found}, {what}."]


def _strength(method: ComparedMethod, record: NumberRecord) -> float | None:
    """What ranks a number: one that is printed against DMOS is best at -1."""
    printed = method.published.get(record.database, {}).get(record.measure)
    if record.value is None or printed is None or not printed.is_against_dmos:
        return record.value
    return -record.value


def _cell(record: NumberRecord | None, decimals: int | None) -> Cell:
    return Cell("-") if record is None else Cell(number(record.value, decimals, record.decimals), record.mark)
