"""Several methods on several databases: measured here, by others, or published, in one table."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import numpy as np

from zeroiqa.errors import UserError
from zeroiqa.evaluation.agreement import Joined, Scored, join
from zeroiqa.evaluation.metrics import plcc, srcc
from zeroiqa.evaluation.published import PublishedNumber, published_numbers
from zeroiqa.evaluation.significance import holm, paired_bootstrap
from zeroiqa.evaluation.tables import Cell, Table, cells, marked, number

if TYPE_CHECKING:
    from zeroiqa.evaluation.datasets import Dataset

_PATHS = ("path", "image", "name", "filename")


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
    notes: tuple[str, ...] = ()
    """Sentences that the reader of its numbers should know."""


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
    notes: list[str] = []
    for dataset in datasets:
        joined = [_joined(method, dataset, aspect, notes) for method in methods]
        for row, (method, each) in enumerate(zip(methods, joined, strict=True)):
            if each is not None:
                numbers[row] += [srcc(each.scores, each.opinions), plcc(each.scores, each.opinions)]
            else:
                numbers[row] += (method.published or {}).get(dataset.name, (None, None))
        if resamples:
            for row, said in enumerate(_against_the_best(joined, resamples, seed)):
                tests[row].append(said)
    notes += [f"{method.name}: {said}" for method in methods for said in method.notes]
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
    """Scores of other tools: a CSV file with a column of paths, and a column of scores for each method.

    Raises:
        UserError: it cannot be read, has no such columns, or a score is no number.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"The file {path} cannot be read ({error}); give a CSV file with a header."
        ) from error
    columns = list(rows[0]) if rows else []
    key = next((column for column in columns if column.casefold() in _PATHS), None)
    methods = [column for column in columns if column != key]
    if key is None or not methods:
        raise UserError(
            f"The file {path} needs a column path and a column of scores for each method, found "
            f"{', '.join(columns) or 'nothing'}."
        )
    return [
        Method(name, f"external scores, {path.name}", tuple(_external(path, row, key, name) for row in rows))
        for name in methods
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


def _joined(method: Method, dataset: Dataset, aspect: str, notes: list[str]) -> Joined | None:
    """What a measured method and a database have in common; None for a published one, or for nothing."""
    if not method.scored:
        return None
    names = {sample.path.name.casefold() for sample in dataset.samples}
    if not any(PurePath(path).name.casefold() in names for path, _ in method.scored):
        return None
    joined = join(method.scored, dataset, aspect)
    notes += [f"{method.name}: {said}." for said in joined.left_out]
    return joined


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


def _external(path: Path, row: Mapping[str, str], key: str, name: str) -> Scored:
    text = (row[name] or "").strip()
    try:
        return row[key], float(text) if text else None
    except ValueError:
        raise UserError(
            f"The file {path} has {text!r} for {row[key]}, column {name}; give a number or nothing."
        ) from None
