"""Fit a map from the scores of a run to labels of one's own: what `zeroiqa calibrate` does, as an object."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Unpack

import numpy as np

from zeroiqa.calibration import LEAST_LABELS, SHARE, WEAK, Bounds, Fit, Knot, fit
from zeroiqa.calibration_file import Calibration, LabelScale
from zeroiqa.errors import UserError, printable
from zeroiqa.evaluation.agreement import Joined, join, pointing_up
from zeroiqa.evaluation.opinions import read_opinions
from zeroiqa.evaluation.run_scores import check_standards, label_of, load, not_the_mean, origin_of
from zeroiqa.metrics.measures import srcc
from zeroiqa.runs import iter_scores, reaggregation
from zeroiqa.runs.calibrated import scores_by
from zeroiqa.runs.remarks import lacking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeroiqa.aggregate import Aggregation
    from zeroiqa.calibration import Bin
    from zeroiqa.evaluation.evaluate import Arithmetic
    from zeroiqa.evaluation.matching import Scored
    from zeroiqa.evaluation.opinions import PathLike
    from zeroiqa.metrics.correlation import Values
    from zeroiqa.runs import Run

_RANGE = re.compile(r"(-?\d+(?:\.\d+)?)-(-?\d+(?:\.\d+)?)")
_NARROW = 0.15
"""Labels that fill less of the scale that is named may be of another one, such as 0-1 or 0-10 for 0-100."""


@dataclass(frozen=True)
class Calibrated:
    """A calibration, and what is known of how good it is."""

    calibration: Calibration
    scores: Values
    """Of the images with a label, shape (labels,), as the run has them."""
    labels: Values
    """Of the same images, as the table has them."""
    names: tuple[str, ...]
    """Of the same images, as the table names them."""
    bins: tuple[Bin, ...]
    """The labels by the values that maps without them give; in the unit of the labels."""
    notes: tuple[str, ...]
    """Sentences: what does not count, with counts; what looks wrong."""

    @property
    def error(self) -> str:
        """How far it is off at labels that it does not know, as a sentence."""
        found = self.calibration.error
        return (
            f"At labels that it was not fitted to ({found.how}, {found.labels} labels) it is off by "
            f"{found.mae:.2f} on average (RMSE {found.rmse:.2f}); its intervals hold {SHARE:.0%} of labels."
        )


def calibrate(
    run: PathLike | Run,
    labels: PathLike,
    *,
    root: PathLike | None = None,
    aspect: str = "quality",
    standard: str | None = None,
    by_name: bool = False,
    lower_is_better: bool = False,
    scale: str | None = None,
    kind: str = "auto",
    **arithmetic: Unpack[Arithmetic],
) -> Calibrated:
    """Fit a monotone map from a run's scores to the scale of some labels; about 30 are good, 10 are needed.

    Args:
        run: A run, or its folder (on the disk, s3:// or gs://); of one that is not finished, what is scored.
        labels: Table of images and labels, as `zeroiqa.evaluate` takes opinions: a column image and a column
            mos, score or dmos (lower is better).
        root: From which paths in the table count, its own folder if left out.
        aspect: Which labels and which scores: quality, authenticity or correspondence.
        standard: Whose scores, where the run has several standards for the aspect.
        by_name: Tell images by their file names alone, as the run's are copies.
        lower_is_better: Whether lower labels are better, whatever their column is called.
        scale: Of the labels: "1-5", "0-100" or the like, or "percentile"; if left out, from the least to the
            greatest label.
        kind: "isotonic", "logistic", or "auto" for the latter where there are fewer than 30 labels.
        **arithmetic: Other arithmetic than the run's own, such as `lam=1.0`.

    Returns:
        The calibration, for `zeroiqa.calibration_file.text_of` and `Run.scores`, and its error.

    Raises:
        UserError: the run or the labels cannot be read, too few of them are of scored images, they hardly
            differ, lie outside of the scale, or fall as the scores rise.
    """
    loaded = load(run)
    bounds = None if scale is None else _bounds(scale)
    origin = origin_of(loaded, by_name=by_name)
    people = read_opinions(None, root, labels, runs=[origin])
    chosen = [] if standard is None else [standard]
    check_standards([loaded], aspect, chosen)
    aggregation = reaggregation(loaded, arithmetic)
    label = label_of(loaded, aspect, chosen, aggregation)
    falls = loaded.lower_is_better
    joined = join(
        pointing_up(_scores(loaded, label, aggregation), falls), people, aspect, origin, LEAST_LABELS
    )
    lower = lower_is_better or joined.turned
    own = -joined.opinions if joined.turned else joined.opinions
    _check_bounds(own, joined.names, scale, bounds)
    up = tuple(sorted((-bounds[0], -bounds[1]))) if bounds is not None and lower else bounds
    found = fit(joined.scores, -own if lower else own, kind, up)  # type: ignore[arg-type]
    ends = bounds or (float(own.min()), float(own.max()))
    return Calibrated(
        Calibration(
            run_id=loaded.run_id,
            label=label,
            by=scores_by(loaded, aggregation, label),
            lower_is_better=falls,
            labels=len(joined),
            scale=LabelScale(*ends, scale or ("DMOS" if lower else "MOS"), lower),
            kind=found.kind,
            knots=_turned(found.knots, falls, lower),
            error=found.error,
            file=os.path.basename(os.fspath(labels)),  # noqa: PTH119
        ),
        -joined.scores if falls else joined.scores,
        own,
        joined.names,
        tuple(_turned_bins(found.bins, lower)),
        tuple(
            dict.fromkeys(
                (*people.notes, *_notes(loaded, label, aggregation, joined, found, own, scale, bounds))
            )
        ),
    )


def _scores(run: Run, label: str, aggregation: Aggregation) -> Iterator[Scored]:
    """Path and score of each image that is finished, of a run that need not be."""
    for each in iter_scores(run, aggregation):
        if not each.gone:
            yield each.path, each.scores[label].score if label in each.scores else None


def _bounds(scale: str) -> Bounds:
    if scale == "percentile":
        return 0.0, 100.0
    found = _RANGE.fullmatch(scale)
    if found is None or float(found[1]) >= float(found[2]):
        raise UserError(
            f"The scale {printable(scale)!r} is none; give two numbers, the lower one first, such as 1-5 or "
            "0-100, or percentile."
        )
    return float(found[1]), float(found[2])


def _check_bounds(labels: Values, names: Sequence[str], scale: str | None, bounds: Bounds | None) -> None:
    if bounds is None:
        return
    outside = np.flatnonzero((labels < bounds[0]) | (labels > bounds[1]))
    if len(outside):
        first = outside[0]
        count = "1 label lies" if len(outside) == 1 else f"{len(outside)} labels lie"
        raise UserError(
            f"{count} outside of the scale {scale}, the first is {labels[first]:g} of "
            f"{printable(names[first])}; correct the labels or --scale."
        )


def _turned(knots: Sequence[Knot], falls: bool, lower: bool) -> tuple[Knot, ...]:
    """The knots in the units of scores and labels as they are, scores rising."""
    if lower:
        knots = [Knot(score, -value, -high, -low) for score, value, low, high in knots]
    if falls:
        knots = [Knot(-score, *rest) for score, *rest in reversed(knots)]
    return tuple(knots)


def _turned_bins(bins: Sequence[Bin], lower: bool) -> Iterator[Bin]:
    for each in reversed(bins) if lower else bins:
        yield (
            each._replace(first=-each.last, last=-each.first, expected=-each.expected, label=-each.label)
            if lower
            else each
        )


def _notes(
    run: Run,
    label: str,
    aggregation: Aggregation,
    joined: Joined,
    found: Fit,
    labels: Values,
    scale: str | None,
    bounds: Bounds | None,
) -> Iterator[str]:
    yield from (f"{note}." for note in joined.notes)
    yield from lacking(run)
    yield from not_the_mean(run, label, aggregation)
    if scale is None:
        yield (
            f"The scale is that of the labels found, {labels.min():g} to {labels.max():g}; --scale says "
            "what it is."
        )
    elif labels.max() - labels.min() < _NARROW * (bounds[1] - bounds[0] if bounds else 0.0):
        yield (
            f"The labels, {labels.min():g} to {labels.max():g}, fill little of the scale {scale}; give "
            "--scale another value if it is not theirs."
        )
    rank = srcc(joined.scores, labels)
    if rank is not None and abs(rank) < WEAK:
        yield f"Scores and labels hardly agree (SRCC {abs(rank):.2f}), as the widths of the intervals say."
