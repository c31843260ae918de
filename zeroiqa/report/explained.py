"""Why an image has its score: what adds up to it, and what was answered about each view; text or data."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zeroiqa.errors import printable
from zeroiqa.files.tables.render import aligned
from zeroiqa.raters import declared
from zeroiqa.report.details import apportioned

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zeroiqa.aggregate import Aggregation, RaterScore, Score
    from zeroiqa.results import ImageScore
    from zeroiqa.types import RatedImage, Rating

_BLOCKS = " ▁▂▃▄▅▆▇█"
_DIGITS = ".123456789#"


@dataclass(frozen=True)
class Explanation:
    """One image: its result, and what that was made of."""

    score: ImageScore
    rated: RatedImage
    """Regions and ratings; without ratings where the result is an error."""
    labels: Mapping[str, str]
    """Standard name -> what its scores are called."""
    aggregation: Aggregation
    """By which the result was made."""

    def of(self, label: str) -> dict[str, Sequence[Rating | None]]:
        """Rater -> its ratings under the standard of a label, the whole image first; empty of a mean."""
        members = self.score.scores[label].raters
        names = [name for name, own in self.labels.items() if own == label]
        return {
            rater: self.rated.ratings[rater][name]
            for name in names
            for rater in members
            if name in self.rated.ratings.get(rater, {})
        }


def bars(rating: Rating | None, *, ascii_only: bool = False) -> str:
    """The distribution over the levels as one sign each, level 1 first; empty where there is none.

    A block is as high as the level is probable; a digit counts tenths of the probability, # is nearly all of
    it, and a dot next to nothing.
    """
    signs = _DIGITS if ascii_only else _BLOCKS
    shares = () if rating is None else tuple(map(math.exp, rating.logprobs))
    if ascii_only:
        return "".join(signs[min(10, math.floor(10 * share + 0.5))] for share in shares)
    return "".join(signs[0 if share < 0.005 else min(8, math.ceil(8 * share))] for share in shares)


def as_text(explained: Explanation, *, ascii_only: bool = False) -> Iterator[str]:
    """Lines for people.

    Args:
        explained: What to explain.
        ascii_only: For terminals that cannot show blocks.
    """
    result = explained.score
    path = printable(result.path)
    if result.error is not None:
        yield f"{path}: error: {result.error}"
        return
    if result.gone:
        yield f"{path}: gone"
        return
    if result.score is None:
        yield f"{path}: no score of the first standard"
    else:
        lower = ", lower is better" if result.lower_is_better else ""
        size = "" if result.size is None else f"; {result.size[1]} x {result.size[0]} pixels"
        yield f"{path}: {result.score:.2f} ({result.scale}{lower}{size})"
    if result.description:
        yield f"  {result.description}"
    yield from _reasons(result)
    for label, score in result.scores.items():
        yield ""
        yield from _standard(explained, label, score, ascii_only)
    remarks = [*_remarks(explained), *(f"warning: {warning}" for warning in result.warnings)]
    yield from ("", *(f"  {remark}" for remark in remarks)) if remarks else ()


def as_record(explained: Explanation) -> dict[str, Any]:
    """Plain values for JSON: what `ImageScore.to_record` has, with the ratings, and the whole image's own."""
    result = explained.score
    record = result.to_record()
    answers = {label: explained.of(label) for label in result.scores}

    def ratings(view: int) -> dict[str, dict[str, Any]]:
        return {
            label: {rater: _rating(by_view[view]) for rater, by_view in by_rater.items()}
            for label, by_rater in answers.items()
        }

    if result.scores:
        record["whole"] = {
            "levels": {label: score.s_global for label, score in result.scores.items()},
            "contributions": {label: score.global_contribution for label, score in result.scores.items()},
            "ratings": ratings(0),
        }
    record["regions"] = [
        {"number": number, **region, "ratings": ratings(number)}
        for number, region in enumerate(record["regions"], start=1)
    ]
    return record


def _rating(rating: Rating | None) -> dict[str, Any] | None:
    if rating is None:
        return None
    found: dict[str, Any] = {"mass": rating.mass}
    if rating.logprobs:
        found["levels"] = [math.exp(each) for each in rating.logprobs]
    others = {"value": rating.value, "answer": rating.answer, "description": rating.description}
    return found | {name: value for name, value in others.items() if value is not None}


def _reasons(result: ImageScore) -> Iterator[str]:
    if result.tags:
        yield f"  {', '.join(result.tags)}"
    if result.measures:
        from zeroiqa.reasons import REASONS

        rows = [
            (f"  {REASONS[name].name}", f"{value:.6g}", REASONS[name].unit)
            for name, value in result.measures.items()
        ]
        yield ""
        yield from aligned(rows, right={1})


def _standard(explained: Explanation, label: str, score: Score, ascii_only: bool) -> Iterator[str]:
    """One score: who gave it, and the sum that it is."""
    if len(score.raters) == 1:
        yield f"  {label} by {next(iter(score.raters))}"
    else:
        yield f"  {label}: {score.score:.2f}, the raters disagree by {score.disagreement:.2f}"
        members = zip(_keys(score.raters), score.raters.items(), strict=True)
        yield from aligned([_of_rater(key, name, each, score) for key, (name, each) in members])
    answers = explained.of(label)
    measuring = [rater for rater in answers if declared(rater).measures_mass]
    header = ["", "area", "level", "adds"]
    for key, (rater, ratings) in zip(_keys(answers), answers.items(), strict=True):
        k = max((len(rating.logprobs) for rating in ratings if rating is not None), default=0)
        levels = f"levels 1-{k}" if k else ""
        header += [levels if len(answers) == 1 else key]
        header += ["mass"] if rater in measuring else []
    shares = (score.global_contribution, *score.region_contributions)
    added = apportioned(shares, score.score, 2)
    views: list[tuple[str, float, float | None]] = [("whole image", 1.0, score.s_global)]
    views += [
        (f"{number} {region.kind}", region.area, level)
        for number, (region, level) in enumerate(
            zip(explained.score.regions, score.region_levels, strict=True), start=1
        )
    ]
    table = [[f"  {header[0]}", *header[1:]]]
    for place, ((name, area, level), share) in enumerate(zip(views, added, strict=True)):
        row = [f"  {name}", f"{area:.0%}", "no answer" if level is None else f"{level:.2f}", f"{share:.2f}"]
        for rater, ratings in answers.items():
            rating = ratings[place]
            row.append(bars(rating, ascii_only=ascii_only))
            if rater in measuring:
                row.append("" if rating is None else f"{rating.mass:.2g}")
        table.append(row)
    table.append(["  score", "", "", f"{score.score:.2f}", *[""] * (len(header) - 4)])
    yield from aligned(table, right={1, 2, 3})


def _keys(raters: Collection[str]) -> list[str]:
    """A short name for each rater of an ensemble, by its place."""
    return [f"rater {number}" for number in range(1, len(raters) + 1)]


def _of_rater(key: str, name: str, own: RaterScore, score: Score) -> tuple[str, ...]:
    regions = "" if own.s_local is None else f", regions {own.s_local:.2f}"
    apart = own.score - score.score
    return f"    {key}", f"{own.score:.2f} ({apart:+.2f})", f"whole {own.s_global:.2f}{regions}", name


def _remarks(explained: Explanation) -> Iterator[str]:
    """What has to be known of the sum."""
    result, aggregation = explained.score, explained.aggregation
    if not result.regions:
        yield "No region was rated: the whole image is all."
    elif aggregation.lam == 0 and aggregation.formula != "dog-iqa":
        yield "At lambda 0 the regions do not count and add nothing; --lambda 1 lets them weigh as the whole."
    elif aggregation.lam == math.inf:
        yield "At lambda inf the whole image does not count: the regions are all."
