"""What tables show beside the scores of a run: from 0 to 100, as percentiles, or on a scale of one's own.

Nothing here moves a score: each is a column of its own, behind the column `score`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from zeroiqa.answers import scale_of
from zeroiqa.averaging import score_labels
from zeroiqa.errors import UserError
from zeroiqa.runs.calibrated import check_same_scores
from zeroiqa.runs.scores import iter_scores, score_columns

if TYPE_CHECKING:
    from zeroiqa.aggregate import Aggregation, Scale
    from zeroiqa.calibration_file import Calibration
    from zeroiqa.metrics.correlation import Values
    from zeroiqa.results import ImageScore
    from zeroiqa.runs.planned_run import PlannedRun
    from zeroiqa.settings import Settings, Shown
    from zeroiqa.standards import Standard

HUNDRED, PERCENTILE = "score_0_100", "percentile"
"""The columns of the two scales."""
CALIBRATED = ("calibrated", "calibrated_low", "calibrated_high")
_DECIMALS = 10
"""Of shown numbers: equal scores stay equal, whatever the rounding on the way to them."""


class Shows(NamedTuple):
    """Columns that are made of a result."""

    columns: tuple[str, ...]
    values: Callable[[ImageScore], Sequence[float | None]]
    """One for each column; None where the image has no score."""
    note: str = ""
    """A sentence on all of them."""


@dataclass(frozen=True)
class Presentation:
    """What is shown of each image beside its score; nothing, if it is empty."""

    shows: tuple[Shows, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """All that it adds."""
        return tuple(column for each in self.shows for column in each.columns)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on the columns, for people."""
        return tuple(each.note for each in self.shows if each.note)

    def header(self, columns: Sequence[str]) -> list[str]:
        """The columns of a table with these behind the column `score`."""
        behind = columns.index("score") + 1
        return [*columns[:behind], *self.columns, *columns[behind:]]

    def of(self, results: Iterable[ImageScore]) -> Iterator[ImageScore]:
        """The results with what is shown beside their scores."""
        return map(self.beside, results) if self.shows else iter(results)

    def beside(self, result: ImageScore) -> ImageScore:
        """One result with what is shown beside its score."""
        if not self.shows:
            return result
        found: dict[str, float | None] = {}
        for each in self.shows:
            found |= zip(each.columns, each.values(result), strict=True)
        return replace(result, presented={**result.presented, **found})


BARE = Presentation()
"""Shows nothing beside the scores."""


def presentation(
    run: PlannedRun,
    aggregation: Aggregation | None = None,
    scale: Shown | None = None,
    calibration: Calibration | None = None,
) -> Presentation:
    """What is to be shown of a run.

    A percentile, and how many images a calibration is asked about that it does not cover, need all scores of
    the run, which are computed for it once more.

    Args:
        run: The run; of its shards, those that are finished count.
        aggregation: By which the scores are; the run's own if left out.
        scale: One of `zeroiqa.settings.Shown`; that of the run's settings if left out.
        calibration: From `zeroiqa.calibration_file.read_calibration`.

    Raises:
        UserError: the scores have no scale with two ends, where 0 to 100 is asked for; or the calibration is
            of other scores.
    """
    aggregation = aggregation or run.settings.aggregation
    asked, scale = scale is not None, scale or run.settings.scale
    shows = []
    if scale == "0-100":
        own = run.scales(aggregation)[next(iter(run.labels))]
        ends = own.low is not None and own.high is not None
        shows.append(_hundred(own, run.lower_is_better) if ends or asked else _without(own))
    elif scale == "percentile":
        shows.append(_percentile(_all_scores(run, aggregation, None), run.lower_is_better))
    if calibration is not None:
        check_same_scores(run, aggregation, calibration)
        leads = score_labels(run.labels.values(), aggregation)[0]
        prefix = "" if calibration.label == leads else f"{calibration.label}_"
        shows.append(_calibrated(_all_scores(run, aggregation, calibration.label), calibration, prefix))
    return Presentation(tuple(shows))


def presented(
    run: PlannedRun,
    aggregation: Aggregation | None = None,
    shown: Presentation | None = None,
    shards: Iterable[int] | None = None,
) -> tuple[list[str], Iterator[ImageScore]]:
    """The columns of a table of a run, and its results, streaming.

    Args:
        run: The run.
        aggregation: How; the run's own way if left out.
        shown: From `presentation`; that of the run's settings if left out.
        shards: Those that count; all if left out.
    """
    shown = presentation(run, aggregation) if shown is None else shown
    columns = shown.header(score_columns(run, aggregation))
    return columns, shown.of(iter_scores(run, aggregation, shards))


def check_scale(settings: Settings, standards: Sequence[Standard]) -> None:
    """Raise `UserError` where 0 to 100 is asked for, and scores by these settings have no such scale."""
    if settings.scale == "0-100" and settings.raters:
        first = standards[0]
        _hundred(scale_of(settings.raters, first.kind, first.k, settings.aggregation), False)


def _all_scores(run: PlannedRun, aggregation: Aggregation, label: str | None) -> Values:
    """The scores of a run's images that have one, sorted: those that lead, or those of a label."""
    found = (
        each.score if label is None else each.scores[label].score
        for each in iter_scores(run, aggregation)
        if (each.score is not None if label is None else label in each.scores)
    )
    return np.sort(np.fromiter(found, np.float64))


def _calibrated(scores: Values, calibration: Calibration, prefix: str) -> Shows:
    def values(result: ImageScore) -> Sequence[float | None]:
        score = result.scores.get(calibration.label)
        return (None,) * 3 if score is None else calibration.of(score.score)

    first, last = calibration.knots[0].score, calibration.knots[-1].score
    outside = int(((scores < first) | (scores > last)).sum())
    note = f"{prefix}{CALIBRATED[0]} is on the scale {calibration.scale}; 9 of 10 labels lie in its interval."
    if outside:
        note += (
            f" {outside:,} of {len(scores):,} images have scores outside of those with labels, {first:.2f} "
            f"to {last:.2f}, and get the value at the nearer end."
        )
    return Shows(tuple(f"{prefix}{column}" for column in CALIBRATED), values, note)


def _hundred(scale: Scale, lower_is_better: bool) -> Shows:
    if scale.low is None or scale.high is None:
        raise UserError(
            f"The scores lie {scale}, so that there is no 0 and no 100 of them; use --scale percentile, or "
            "map them to a scale of your own (zeroiqa calibrate)."
        )
    low, high = (scale.high, scale.low) if lower_is_better else (scale.low, scale.high)

    def values(result: ImageScore) -> tuple[float | None]:
        if result.score is None:
            return (None,)
        return (round(100 * (result.score - low) / (high - low), _DECIMALS),)

    note = f"{HUNDRED} is 0 at a score of {low:g} and 100 at {high:g}; score stays as it is."
    return Shows((HUNDRED,), values, note)


def _without(scale: Scale) -> Shows:
    """Nothing, where the run has the column, and other arithmetic has no such numbers."""
    return Shows((), lambda _: (), f"By this arithmetic the scores lie {scale}, so there is no {HUNDRED}.")


def _percentile(scores: Values, lower_is_better: bool) -> Shows:
    def values(result: ImageScore) -> tuple[float | None]:
        if result.score is None:
            return (None,)
        below, up_to = (np.searchsorted(scores, result.score, side) for side in ("left", "right"))
        share = float(below + up_to) / 2 / max(len(scores), 1)
        return (round(100 * (1 - share if lower_is_better else share), _DECIMALS),)

    note = (
        f"{PERCENTILE} is the rank of an image among all of this run that have a score now "
        f"({len(scores):,}), from 0 (worst) to 100; equal scores share the middle of their ranks, "
        "and with other images it is another."
    )
    return Shows((PERCENTILE,), values, note)
