"""Opinions of people beside the scores of a run, image by image, for its page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from zeroiqa.evaluation.agreement import join, measure, pointing_up
from zeroiqa.evaluation.opinions import PathLike, read_opinions
from zeroiqa.evaluation.run_scores import check_standards, label_of, origin_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zeroiqa.report.read_run import Read


@dataclass(frozen=True)
class OpinionTable:
    """Where the opinions are, as `zeroiqa evaluate` takes them."""

    file: PathLike
    root: PathLike | None = None
    aspect: str = "quality"
    standard: str | None = None
    by_name: bool = False


class Opinions(NamedTuple):
    """Of the images of a run."""

    values: Sequence[float | None]
    """Of each row, as the table has them."""
    lower_is_better: bool
    """Whether they fall as quality rises."""
    name: str
    """Of the table."""
    column: str
    """Of the scores that they are compared with."""
    measures: Mapping[str, float | None]
    """SRCC and PLCC, as `zeroiqa evaluate` computes them."""
    images: int
    """How many have a score and an opinion."""
    notes: tuple[str, ...]


def opinions_of(found: Read, table: OpinionTable) -> Opinions:
    """The opinions on the images that have a score.

    Raises:
        UserError: the table cannot be read, or hardly an image has both.
    """
    run = found.run
    origin = origin_of(run, by_name=table.by_name)
    people = read_opinions(None, table.root, table.file, runs=[origin])
    chosen = [] if table.standard is None else [table.standard]
    check_standards([run], table.aspect, chosen)
    label = label_of(run, table.aspect, chosen)
    column = found.column_of(label)
    scored = [
        (row.path, None if row.status != "ok" else row.numbers.get(column))
        for row in found.rows
        if row.status != "gone"
    ]
    joined = join(pointing_up(scored, run.lower_is_better), people, table.aspect, origin)
    agreement = measure(joined)
    sign = -1 if joined.turned else 1
    by_path = dict(zip(joined.paths, (joined.opinions * sign).tolist(), strict=True))
    return Opinions(
        [by_path.get(row.path) for row in found.rows],
        joined.turned,
        people.name,
        column,
        {name: agreement.measures[name] for name in ("SRCC", "PLCC")},
        agreement.images,
        (*people.notes, *agreement.notes),
    )
