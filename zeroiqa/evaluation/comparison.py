"""Several methods on several databases: measured here, by others, or published."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from zeroiqa.evaluation.agreement import Joined, common_images, join, pointing_up
from zeroiqa.evaluation.formatting import marks, number, p_value
from zeroiqa.evaluation.matching import NothingInCommonError
from zeroiqa.evaluation.methods import MEASURES, ComparedMethod
from zeroiqa.evaluation.records import NumberRecord, Report
from zeroiqa.files.tables.render import Cell, TextTable
from zeroiqa.metrics.measures import Interval, Values, bootstrap_values, percentile_interval, srcc
from zeroiqa.metrics.significance import PairedTest, holm, paired_bootstraps

if TYPE_CHECKING:
    from zeroiqa.evaluation.datasets.types import Dataset

RESAMPLES = 1000
"""Of every bootstrap, at least."""
_RESAMPLES_PER_TEST = 200
"""So that the smallest p of m tests, 2 m / (resamples + 1) after Holm's correction, stays under .01."""
_SUSPICIOUS = -0.3
"""A correlation under this is one of scores or opinions that point the other way."""


def compare(
    methods: Sequence[ComparedMethod],
    datasets: Sequence[Dataset],
    aspect: str,
    *,
    resamples: int | None = None,
    seed: int = 0,
    decimals: int | None = None,
) -> Report:
    """SRCC and PLCC of every method on every database, the best and second best of each column marked.

    p says whether a measured method differs from the best measured one on the same images: paired bootstrap
    of SRCC, corrected for the number of comparisons on the database (Holm).

    Args:
        methods: In the order of the rows.
        datasets: With the aspect; published methods are looked up by their names.
        aspect: Which opinions.
        resamples: Of the bootstraps; None for 1,000, and for p as many more as the number of comparisons
            needs; 0 for neither intervals nor p.
        seed: Of the resamples.
        decimals: Of measured numbers in the table to read, and at most those of published ones.

    Raises:
        UserError: a database has no such aspect, a method's scores of it are unusable, or a measured method
            has no image in common with any database.
    """
    every = _all_joined(methods, datasets, aspect)
    columns = [
        _column(methods, dataset, joined, aspect, resamples, seed)
        for dataset, joined in zip(datasets, every, strict=True)
    ]
    records = [record for column in columns for row in column.records for record in row.values()]
    notes = tuple(dict.fromkeys(note for method in methods for note in method.notes))
    return Report(tuple(records), (_table(methods, columns, notes, decimals, tested=resamples != 0),), notes)


class _Column(NamedTuple):
    """One database."""

    name: str
    records: list[dict[str, NumberRecord]]
    """Of each method: measure -> its number; empty where there is none."""
    notes: list[str]
    best: int | None
    """The measured method that the others are tested against."""


def _column(
    methods: Sequence[ComparedMethod],
    dataset: Dataset,
    joined: Sequence[Joined | None],
    aspect: str,
    resamples: int | None,
    seed: int,
) -> _Column:
    notes = _notes_on(dataset, methods, joined)
    drawn = RESAMPLES if resamples is None else resamples
    ends = intervals(joined, drawn, seed)
    rows = [
        _published(method, dataset, aspect)
        if each is None
        else _measured(method, dataset, aspect, each, interval, drawn)
        for method, each, interval in zip(methods, joined, ends, strict=True)
    ]
    best, tests, said = _against_the_best(methods, joined, dataset, resamples, seed)
    for place, (test, p) in tests.items():
        at_floor, drawn = test.at_floor, test.resamples
        rows[place]["SRCC"] = replace(rows[place]["SRCC"], p=p, p_at_floor=at_floor, resamples=drawn)
    notes += said
    for measure in MEASURES:
        there = [(method, row) for method, row in zip(methods, rows, strict=True) if measure in row]
        ranked = marks([_strength(method, row[measure]) for method, row in there])
        for (_, row), mark in zip(there, ranked, strict=True):
            row[measure] = replace(row[measure], mark=mark, notes=(*row[measure].notes, *notes))
    return _Column(dataset.name, rows, notes, best)


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
    values = {name: metric(joined.scores, joined.opinions) for name, metric in MEASURES.items()}
    said = [f"{method.name}: {sentence}." for sentence in joined.left_out]
    said += _about_direction(method, dataset.name, values["SRCC"])
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
            notes=tuple(said),
            facts={"aspect": aspect},
        )
        for measure, value in values.items()
    }


def _about_direction(method: ComparedMethod, database: str, rank: float | None) -> list[str]:
    """That scores were turned, and that a correlation looks as if they had to be, or had not."""
    sign, said_by = method.direction
    notes = []
    if sign == -1:
        by = f" by {said_by}" if said_by else ""
        notes.append(f"{method.name}: lower is better{by}, so its scores were turned.")
    if rank is None or rank >= _SUSPICIOUS:
        return notes
    found = f"{method.name} correlates strongly negatively with {database} (SRCC {rank:.3f})"
    if sign is None:
        what = "and nothing says which of its scores are better: if the lower ones, give "
        what += f"--lower-is-better {shlex.quote(method.name)}"
    elif said_by == "--lower-is-better":
        what = "after its scores were turned: if the higher ones are better, leave --lower-is-better out"
    elif said_by:
        way = "lower" if sign < 0 else "higher"
        what = (
            f"though by {said_by} the {way} ones are better: if not in this file, say so in its column better"
        )
    else:
        what = "in the direction that its scores have: are the opinions DMOS? Then name their column dmos"
    return [*notes, f"{found}, {what}."]


def intervals(
    joined: Sequence[Joined | None], resamples: int, seed: int = 0
) -> list[dict[str, Interval | None]]:
    """95 % intervals of every one of `MEASURES`, by method; those with the same images share resamples.

    Args:
        joined: Of each method; None for one without scores, which gets no interval.
        resamples: Of the bootstrap; 0 for no interval.
        seed: Of the resamples.
    """
    found: list[dict[str, Interval | None]] = [{} for _ in joined]
    together: dict[tuple[str, ...], list[tuple[int, Joined]]] = {}
    for row, each in enumerate(joined):
        if each is not None and resamples:
            together.setdefault(each.names, []).append((row, each))
    for group in together.values():
        opinions, scores = group[0][1].opinions, [each.scores for _, each in group]
        for name, metric in MEASURES.items():
            values = bootstrap_values(metric, scores, opinions, resamples, np.random.default_rng(seed))
            for (row, _), own in zip(group, values, strict=True):
                found[row][name] = percentile_interval(own)
    return found


def _against_the_best(
    methods: Sequence[ComparedMethod],
    joined: Sequence[Joined | None],
    dataset: Dataset,
    resamples: int | None,
    seed: int,
) -> tuple[int | None, dict[int, tuple[PairedTest, float]], list[str]]:
    """The best measured method, the test and the corrected p of each other one, and what was done."""
    values = {row: srcc(each.scores, each.opinions) for row, each in enumerate(joined) if each is not None}
    known = {row: value for row, value in values.items() if value is not None}
    if len(known) < 2 or resamples == 0:
        return (max(known, key=known.__getitem__) if known else None), {}, []
    best = max(known, key=known.__getitem__)
    others = [row for row in known if row != best]
    drawn = max(RESAMPLES, _RESAMPLES_PER_TEST * len(others)) if resamples is None else resamples
    found = _tests(joined, best, others, drawn, seed)
    tests = {row: (test, test.p) for row, test in found.items() if test.p is not None}
    corrected = holm([p for _, p in tests.values()])
    least = min(2 * len(tests) / (drawn + 1), 1.0)
    note = (
        f"p on {dataset.name}: against {methods[best].name} on the same images, paired bootstrap of SRCC, "
        f"{drawn:,} resamples, corrected for {len(tests)} comparison{'s' * (len(tests) != 1)} (Holm); the "
        f"smallest that can be found is {least:.2g}{': leave --resamples out for more' * (least >= 0.05)}."
    )
    return best, {row: (found[row], p) for row, p in zip(tests, corrected, strict=True)}, [note]


def _tests(
    joined: Sequence[Joined | None], best: int, others: Iterable[int], resamples: int, seed: int
) -> dict[int, PairedTest]:
    """Each of the others against the best one, on the images that both have."""
    first = joined[best]
    assert first is not None
    together: dict[tuple[int, ...], list[tuple[int, Values]]] = {}
    for row in others:
        other = joined[row]
        assert other is not None
        place = {name: position for position, name in enumerate(other.names)}
        common = tuple(position for position, name in enumerate(first.names) if name in place)
        if len(common) >= 3:
            theirs = other.scores[[place[first.names[position]] for position in common]]
            together.setdefault(common, []).append((row, theirs))
    found: dict[int, PairedTest] = {}
    for common, group in together.items():
        mine, opinions = first.scores[list(common)], first.opinions[list(common)]
        scores = [theirs for _, theirs in group]
        rng = np.random.default_rng(seed)
        tests = paired_bootstraps(srcc, mine, scores, opinions, resamples, rng)
        found |= {row: test for (row, _), test in zip(group, tests, strict=True)}
    return {row: found[row] for row in others if row in found}


def _strength(method: ComparedMethod, record: NumberRecord) -> float | None:
    """What ranks a number: one that is printed against DMOS is best at -1."""
    printed = method.published.get(record.database, {}).get(record.measure)
    if record.value is None or printed is None or not printed.is_against_dmos:
        return record.value
    return -record.value


def _table(
    methods: Sequence[ComparedMethod],
    columns: Sequence[_Column],
    notes: Sequence[str],
    decimals: int | None,
    *,
    tested: bool,
) -> TextTable:
    """A row for each method, and a column for each database and measure."""
    shown = (*MEASURES, *(("p",) if tested else ()))
    head = ("method", *(f"{column.name} {what}" for column in columns for what in shown), "protocol")
    rows = []
    for place, method in enumerate(methods):
        row = [Cell(method.name)]
        for column in columns:
            records = column.records[place]
            row += [_cell(records.get(measure), decimals) for measure in MEASURES]
            if tested:
                rank = records.get("SRCC")
                p = p_value(rank.p, bool(rank.p_at_floor), decimals) if rank else "-"
                row.append(Cell("best" if place == column.best else p))
        rows.append((*row, Cell(method.protocol)))
    notes = [*notes, *(note for column in columns for note in column.notes)]
    notes += [
        note for column in columns for row in column.records for rank in row.values() for note in rank.notes
    ]
    return TextTable(head, tuple(rows), tuple(dict.fromkeys(notes)))


def _cell(record: NumberRecord | None, decimals: int | None) -> Cell:
    return Cell("-") if record is None else Cell(number(record.value, decimals, record.decimals), record.mark)
