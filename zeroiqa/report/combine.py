"""The rows of one run, or of two that have images in common, as the one table of a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zeroiqa.errors import UserError, printable
from zeroiqa.evaluation.compare_sets import ScoredSet, SetComparison, below_shared
from zeroiqa.evaluation.sets import ScoredImage, pair
from zeroiqa.reasons import REASONS
from zeroiqa.report.places import absolute
from zeroiqa.report.rows import SCORE, Column, Row, coded, columns, decimals

if TYPE_CHECKING:
    from zeroiqa.images.ref import ImageRef
    from zeroiqa.report.opinions import Opinions
    from zeroiqa.report.read_run import Read

OTHER, DIFFERENCE, OPINION = "other", "difference", "opinion"
"""Columns of the second run's score, of what it has more, and of opinions."""


@dataclass
class Table:
    """What a page shows."""

    runs: Sequence[Read]
    """One or two."""
    rows: list[Row]
    """Of the images that all runs have; status, warnings and tags are those of the first."""
    places: Sequence[tuple[int, ...]]
    """Of each row, its place in each run."""
    opinions: Opinions | None = None
    notes: list[str] = field(default_factory=list)
    partners: Sequence[ImageRef] = ()
    """The other image of each row, where two runs are of other images; empty where they are of the same."""

    def details(self, place: int) -> list[Any]:
        """What an opened image shows of each run."""
        return [run.details[own] for run, own in zip(self.runs, self.places[place], strict=True)]

    def data(self) -> dict[str, Any]:
        """Plain values for the script: the table, column by column."""
        rows = self.rows
        named = columns(rows, self._titles())
        return {
            "runs": [
                {
                    "name": each.name,
                    "low": each.scale.low,
                    "high": each.scale.high,
                    "lower": each.run.lower_is_better,
                    "digits": each.digits,
                    "lambda": f"{each.run.settings.lam:g}",
                    "words": each.words,
                }
                for each in self.runs
            ],
            "columns": [{**column._asdict(), "values": values} for column, values in named],
            "paths": [row.path for row in rows],
            "status": coded([row.status] for row in rows),
            "tags": coded(row.tags for row in rows),
            "warnings": coded(row.warnings for row in rows),
            "errors": coded([row.error] if row.error else [] for row in rows),
            "groups": coded([row.group] if row.group else [] for row in rows),
            "scatters": list(self.scatters()),
        }

    def scatters(self) -> Iterator[dict[str, Any]]:
        """What each scatter plot is of: title and what is said beside it, columns, and their names."""
        found = self.opinions
        if found is not None:
            measures = ", ".join(
                f"{name} {'does not exist' if value is None else f'{value:.3f}'}"
                for name, value in found.measures.items()
            )
            yield {
                "title": f"Scores against {found.name}",
                "about": f"{measures} on {found.images:,} images",
                "x": found.column,
                "y": OPINION,
                "names": [
                    "score" + " (lower is better)" * self.runs[0].run.lower_is_better,
                    "opinion of people" + " (lower is better)" * found.lower_is_better,
                ],
                "same": False,
            }
        if len(self.runs) > 1:
            yield {
                "title": "A against B",
                "about": "",
                "x": SCORE,
                "y": OTHER,
                "names": [f"{letter}: {each.name}" for letter, each in zip("AB", self.runs, strict=True)],
                "same": comparable(*self.runs),
            }

    def _titles(self) -> dict[str, Column]:
        first, *others = self.runs
        titles = {
            SCORE: Column(SCORE, "score", first.digits),
            "disagreement": Column(
                "disagreement", "disagreement", 2, help="standard deviation of the raters"
            ),
            "mass": Column("mass", "mass", 2, help="probability that the answer is a level"),
            "width": Column("width", "width", 0, "px"),
            "height": Column("height", "height", 0, "px"),
            "regions": Column("regions", "regions", 0),
        }
        for reason in REASONS.values():
            titles[reason.name] = Column(reason.name, reason.name, 2, reason.unit, reason.text)
        for label in first.run.labels.values():
            titles.setdefault(label, Column(label, label, first.digits))
        if others:
            titles[SCORE] = Column(SCORE, "A", first.digits, help=first.name)
            titles[OTHER] = Column(OTHER, "B", others[0].digits, help=others[0].name)
            titles[DIFFERENCE] = Column(DIFFERENCE, "B \u2212 A", first.digits, help="what B gives more")
        if self.opinions is not None:
            digits = max(2, decimals(self.opinions.values))
            titles[OPINION] = Column(OPINION, "opinion", digits, help=self.opinions.name)
        return titles


def combined(runs: Sequence[Read], opinions: Opinions | None) -> Table:
    """The table of one run, or of the images that two have in common.

    Args:
        runs: One or two.
        opinions: On the images of the first.

    Raises:
        UserError: the two have no image in common.
    """
    first, *others = runs
    notes = [note if not others else f"{run.name}: {note}" for run in runs for note in run.notes]
    notes += opinions.notes if opinions else ()
    values = opinions.values if opinions else [None] * len(first.rows)
    rows = [_with(row, **{OPINION: value}) for row, value in zip(first.rows, values, strict=True)]
    if not others:
        return Table(runs, rows, [(place,) for place in range(len(rows))], opinions, notes)
    second = others[0]
    there = {absolute(row.ref): place for place, row in enumerate(second.rows)}
    places = [(place, there[path]) for place, row in enumerate(rows) if (path := absolute(row.ref)) in there]
    partners: list[ImageRef] = []
    if not places:
        places, said = _paired(first, second)
        if not places:
            raise UserError(
                f"{first.name} and {second.name} have no image in common, by their paths (such as "
                f"{printable(absolute(rows[0].ref))} and {printable(absolute(second.rows[0].ref))}), and no "
                "pair by name or text prompt; give runs of the same images, or of pairs."
            )
        notes += said
        partners = [second.rows[b].ref for _, b in places]
    notes += _alone(first, second, len(places))
    one_scale = comparable(first, second)
    if not one_scale:
        notes.append(
            f"Scores of {first.name} and {second.name} are not of one scale: there is no difference."
        )
    both = [_beside(rows[a], second.rows[b], one_scale) for a, b in places]
    return Table(runs, both, places, opinions, notes, partners)


def _paired(first: Read, second: Read) -> tuple[list[tuple[int, int]], list[str]]:
    """The places of images that are pairs by name or prompt, and sentences on what these say."""
    sets, places = [], []
    for each in (first, second):
        sign = -1 if each.run.lower_is_better else 1
        paths = below_shared([row.path for row in each.rows])
        scored = {
            path: (place, ScoredImage(path, sign * row.numbers[SCORE], row.ref.prompt))
            for place, (row, path) in enumerate(zip(each.rows, paths, strict=True))
            if row.status == "ok" and SCORE in row.numbers
        }
        images = tuple(image for _, image in scored.values())
        if not images:
            return [], []
        sets.append(ScoredSet(each.name, images, len(each.rows) - len(images)))
        places.append({path: place for path, (place, _) in scored.items()})
    pairs = pair(sets[0].images, sets[1].images)
    found = [(places[0][each.path_a], places[1][each.path_b]) for each in pairs.pairs]
    if not found or not comparable(first, second):
        return found, []
    return found, list(SetComparison(sets[0], sets[1], pairs, first.run.lower_is_better).sentences())


def _alone(first: Read, second: Read, common: int) -> Iterator[str]:
    for one, other in ((first, second), (second, first)):
        if len(one.rows) > common:
            lacking = len(one.rows) - common
            yield f"{lacking:,} images of {one.name} are left out: {other.name} has no result of them."


def comparable(first: Read, second: Read) -> bool:
    """Whether scores of two runs may be subtracted."""
    return first.scale == second.scale and first.run.lower_is_better == second.run.lower_is_better


def _beside(row: Row, other: Row, one_scale: bool) -> Row:
    a, b = row.numbers.get(SCORE), other.numbers.get(SCORE)
    difference = b - a if one_scale and a is not None and b is not None else None
    beside = _with(row, **{OTHER: b, DIFFERENCE: difference})
    if row.status == "ok" and other.status != "ok":
        error = f"B: {other.error or other.status}"
        return beside._replace(warnings=(*beside.warnings, error))
    return beside


def _with(row: Row, **numbers: float | None) -> Row:
    """The row with more columns, behind the score."""
    there = {key: value for key, value in numbers.items() if value is not None}
    if not there:
        return row
    score = {SCORE: row.numbers[SCORE]} if SCORE in row.numbers else {}
    return row._replace(numbers={**score, **there, **row.numbers})
