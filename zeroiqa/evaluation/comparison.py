"""Several methods on several databases: measured here, by others, or published, in one table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zeroiqa.errors import UserError
from zeroiqa.evaluation.agreement import Joined, common_images, join
from zeroiqa.evaluation.matching import NothingInCommonError, Origin, Scored
from zeroiqa.evaluation.metrics import plcc, srcc
from zeroiqa.evaluation.published import PublishedNumber, published_numbers
from zeroiqa.evaluation.significance import holm, paired_bootstrap
from zeroiqa.evaluation.tables import Cell, Table, cells, marked, number
from zeroiqa.tabular import IMAGE_COLUMNS, read_table

if TYPE_CHECKING:
    from zeroiqa.evaluation.datasets import Dataset


@dataclass(frozen=True)
class Method:
    """One row: how a method scored images, or what is printed of it."""

    name: str
    protocol: str
    """Where its numbers come from: measured here, external scores or a paper's table; its training."""
    scored: tuple[Scored, ...] = ()
    """Path and score of each image; empty for a published row."""
    published: Mapping[str, tuple[float | None, float | None]] | None = None
    """Dataset -> SRCC and PLCC, of a published row."""
    origin: Origin = field(default_factory=Origin)
    """Where the paths of the images come from."""
    notes: tuple[str, ...] = ()
    """What was said while the scores were read."""


def compare(
    methods: Sequence[Method],
    datasets: Sequence[Dataset],
    aspect: str,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Table:
    """SRCC and PLCC of every method on every database, the best and second best of each column marked.

    The column p asks whether a measured method differs from the best measured one on the same images: paired
    bootstrap of SRCC, corrected for the number of comparisons in the column (Holm).

    Args:
        methods: In the order of the rows.
        datasets: With the aspect; published methods are looked up by their names.
        aspect: Which opinions.
        resamples: Of the paired bootstrap; 0 leaves the column out.
        seed: Of the resamples.

    Raises:
        UserError: a measured method has no image in common with any database.
    """
    numbers: list[list[float | None]] = [[] for _ in methods]
    tests: list[list[str]] = [[] for _ in methods]
    notes: list[str] = [note for method in methods for note in method.notes]
    for dataset, joined in zip(datasets, _all_joined(methods, datasets, aspect), strict=True):
        notes += _notes_on(dataset, methods, joined)
        for row, (method, each) in enumerate(zip(methods, joined, strict=True)):
            if each is not None:
                numbers[row] += [srcc(each.scores, each.opinions), plcc(each.scores, each.opinions)]
            else:
                numbers[row] += (method.published or {}).get(dataset.name, (None, None))
        if resamples:
            for row, said in enumerate(_against_the_best(joined, resamples, seed)):
                tests[row].append(said)
    made = marked(numbers)
    step = 3 if resamples else 2
    columns: list[str] = []
    rows = [[Cell(method.name)] for method in methods]
    for place, dataset in enumerate(datasets):
        columns += [f"{dataset.name} SRCC", "PLCC", "p"][:step]
        for row, line in enumerate(rows):
            line += made[row][2 * place : 2 * place + 2]
            line += cells(tests[row][place]) if resamples else ()
    table = [(*line, Cell(method.protocol)) for line, method in zip(rows, methods, strict=True)]
    return Table(("method", *columns, "protocol"), tuple(table), tuple(dict.fromkeys(notes)))


def read_external(path: Path) -> list[Method]:
    """Scores of other tools: a table with a column of paths, and a column of scores for each method.

    Columns of text are passed over, and said.

    Raises:
        UserError: it cannot be read, has no such columns, or a score is no number.
    """
    table = read_table(path)
    key = table.column(IMAGE_COLUMNS, "paths")
    others = [place for place, name in enumerate(table.header) if place != key and name]
    columns = [place for place in others if table.has_numbers(place)]
    if key is None or not columns:
        raise UserError(
            f"The file {path} needs a column path and a column of scores for each method, found "
            f"{', '.join(table.header) or 'nothing'}."
        )
    twice = [name for name, count in Counter(table.header[place] for place in columns).items() if count > 1]
    if twice:
        raise UserError(f"The file {path} has the column {twice[0]} more than once; leave one of them.")
    origin = Origin((str(path.parent), "."), names=True, what=path.name)
    unused = [table.header[place] for place in others if place not in columns]
    said = [f"Columns of {path.name} without numbers, not used: {', '.join(unused)}."] if unused else []
    for place in columns:
        table.check_decimals(place)
    rows = [row for row, cells in enumerate(table.rows) if cells[key].strip()]
    return [
        Method(
            table.header[place],
            f"external scores, {path.name}",
            tuple((table.rows[row][key], table.number(row, place)) for row in rows),
            origin=origin,
            notes=(*said, *table.formula_note([place])),
        )
        for place in columns
    ]


def published_methods(datasets: Iterable[str], aspect: str) -> list[Method]:
    """What papers print for the databases, one row for each method, training and table, the best SRCC first.

    Rows of ablations are left out: they are other settings than the method's own.
    """
    found: dict[tuple[str, str], dict[str, dict[str, float | None]]] = {}
    for dataset in datasets:
        for each in published_numbers(dataset):
            if each.aspect == aspect and each.metric in ("srcc", "plcc") and not each.setting:
                row = found.setdefault((each.method, _protocol(each)), {})
                row.setdefault(dataset, {})[each.metric] = each.value
    methods = [
        Method(
            method,
            protocol,
            published={name: (values.get("srcc"), values.get("plcc")) for name, values in row.items()},
        )
        for (method, protocol), row in found.items()
    ]
    return sorted(methods, key=_best_published, reverse=True)


def _protocol(each: PublishedNumber) -> str:
    trained = "training-free" if not each.training else f"trained on {each.training}"
    if each.training == "not stated":
        trained = "training not stated"
    return ", ".join(filter(None, ("published", each.source, trained, f"fit {each.fit}", each.flag)))


def _best_published(method: Method) -> float:
    return max((abs(srcc) for srcc, _ in (method.published or {}).values() if srcc is not None), default=0.0)


def _all_joined(
    methods: Sequence[Method], datasets: Sequence[Dataset], aspect: str
) -> list[list[Joined | None]]:
    """What each measured method and each database have in common; None for a published one, or for nothing.

    Raises:
        NothingInCommonError: a measured method has nothing in common with any database.
    """
    found: list[list[Joined | None]] = [[None] * len(methods) for _ in datasets]
    for row, method in enumerate(methods):
        errors = []
        for place, dataset in enumerate(datasets if method.scored else ()):
            try:
                found[place][row] = join(method.scored, dataset, aspect, method.origin)
            except NothingInCommonError as error:
                errors.append(error)
        if errors and len(errors) == len(datasets):
            raise errors[0]
    return found


def _notes_on(dataset: Dataset, methods: Sequence[Method], joined: Sequence[Joined | None]) -> list[str]:
    """What was left out of a database, and who has which of its images."""
    notes = list(dataset.notes)
    there: list[tuple[str, Joined]] = []
    for method, each in zip(methods, joined, strict=True):
        if each is not None:
            there.append((method.name, each))
            notes += [f"{method.name}: {said}." for said in each.left_out]
        elif method.scored:
            notes.append(f"{method.name} has no image of {dataset.name}.")
    return [*notes, *common_images(there, dataset.name)]


def _against_the_best(joined: Sequence[Joined | None], resamples: int, seed: int) -> list[str]:
    """For each method "best", a corrected p, or a dash."""
    values = [None if each is None else srcc(each.scores, each.opinions) for each in joined]
    there = [row for row, value in enumerate(values) if value is not None]
    if not there:
        return ["-"] * len(joined)
    best = max(there, key=lambda row: values[row] or -2.0)
    raw: dict[int, float] = {}
    for row in there:
        if row != best:
            p = _p(joined[best], joined[row], resamples, seed)
            if p is not None:
                raw[row] = p
    corrected = dict(zip(raw, holm(list(raw.values())), strict=True))
    return [
        "best" if row == best else number(corrected.get(row)) if row in corrected else "-"
        for row in range(len(joined))
    ]


def _p(best: Joined | None, other: Joined | None, resamples: int, seed: int) -> float | None:
    """Of the images that both have."""
    assert best is not None
    assert other is not None
    place = {name: row for row, name in enumerate(other.names)}
    rows = [row for row, name in enumerate(best.names) if name in place]
    theirs = [place[best.names[row]] for row in rows]
    if len(rows) < 3:
        return None
    test = paired_bootstrap(
        srcc,
        best.scores[rows],
        other.scores[theirs],
        best.opinions[rows],
        resamples,
        np.random.default_rng(seed),
    )
    return test.p
