"""Agreement between predicted scores and mean opinion scores: SRCC, PLCC, KRCC, RMSE, accuracies of pairs and
of levels, and their bootstrap intervals.

A measure that does not exist, such as a correlation with a constant, is None, never 0 and never NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from zeroiqa.errors import UserError
from zeroiqa.metrics.correlation import LEAST_IMAGES, Counts, PairCounter, Values, checked, pearson, ranks
from zeroiqa.metrics.resampling import Linear, Metric, Paired, Ranked, Recomputed, Statistic, resample

__all__ = [
    "LEAST_IMAGES",
    "Interval",
    "Metric",
    "Values",
    "srcc",
    "plcc",
    "krcc",
    "rmse",
    "pairwise_accuracy",
    "to_levels",
    "level_accuracy",
    "rough_accuracy",
    "bootstrap_interval",
    "bootstrap_difference",
    "bootstrap_values",
    "percentile_interval",
]


class Interval(NamedTuple):
    """A bootstrap interval; both ends are in the unit of the measure."""

    low: float
    high: float


def srcc(x: npt.ArrayLike, y: npt.ArrayLike) -> float | None:
    """Spearman's rank correlation: Pearson's of the ranks, ties sharing their mean rank.

    Args:
        x: Predicted scores, one per image.
        y: Mean opinion scores of the same images.

    Returns:
        -1..1, or None if x or y is constant.

    Raises:
        UserError: the lengths differ, there are fewer than 3 images, or a value is not finite.
    """
    first, second = checked(x, y)
    return pearson(ranks(first), ranks(second))


def plcc(x: npt.ArrayLike, y: npt.ArrayLike) -> float | None:
    """Pearson's linear correlation of the raw values, without a logistic fit; otherwise as `srcc`."""
    return pearson(*checked(x, y))


def krcc(x: npt.ArrayLike, y: npt.ArrayLike) -> float | None:
    """Kendall's rank correlation tau-b, corrected for ties; otherwise as `srcc`."""
    first, second = checked(x, y)
    return PairCounter(first, second).count(np.ones(len(first), np.int64)).tau_b


def rmse(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Root mean squared difference, in the unit of the scores; arguments and errors as `srcc`."""
    first, second = checked(x, y)
    return math.sqrt(float(np.mean((first - second) ** 2)))


def pairwise_accuracy(
    x: npt.ArrayLike, y: npt.ArrayLike, groups: Sequence[str] | None = None, tie: float = 0.5
) -> float | None:
    """Share of the pairs of images of which people prefer one that the scores put into the same order.

    This is the preference accuracy of MINT-IQA, Table IV, after ImageReward (Xu et al. 2023), whose script
    compares images of one text prompt only and counts a predicted tie as wrong: there, `groups` are the
    prompts and `tie` is 0.

    Args:
        x: Predicted scores, one per image; higher is better.
        y: Mean opinion scores of the same images; pairs with equal ones are left out.
        groups: If given, each image's group; only pairs within a group count.
        tie: What a pair with equal predicted scores counts; 0.5 is what tossing a coin would give.

    Returns:
        0..1, or None if people prefer none in any pair.

    Raises:
        UserError: as `srcc`, or there are not as many groups as images.
    """
    first, second = checked(x, y)
    right, of = 0.0, 0
    for members in [np.arange(len(first))] if groups is None else _members(groups, len(first)):
        pairs = PairCounter(first[members], second[members]).count(np.ones(len(members), np.int64))
        right += pairs.concordant + tie * (pairs.tied_x - pairs.tied_both)
        of += pairs.total - pairs.tied_y
    return right / of if of else None


def to_levels(
    scores: npt.ArrayLike, low: float, high: float, levels: int = 5, edge: Literal["above", "below"] = "above"
) -> npt.NDArray[np.int64]:
    """Scores as levels from 1: equal intervals of a scale; scores outside it get the nearest level.

    Args:
        scores: Shape (images,).
        low: The scale's lowest score.
        high: The scale's highest score.
        levels: How many, from 2 on; both papers have 5, from bad to excellent.
        edge: To which level a score on the border of two belongs: "above" as in M3-AGIQA's code (on 0..5, a
            score from 1 to under 2 is poor), "below" as in LMM4LMM (equation 2: on 0..100, 20 is bad).

    Raises:
        UserError: the scale is empty, there are under 2 levels, or a score is not finite.
    """
    values = np.asarray(scores, dtype=np.float64)
    if not low < high or levels < 2:
        raise UserError(f"A scale from {low} to {high} cannot be cut into {levels} levels.")
    if not np.isfinite(values).all():
        raise UserError(f"{int((~np.isfinite(values)).sum())} of {values.size} scores are no finite numbers.")
    borders = [low + (high - low) * place / levels for place in range(1, levels)]
    return np.searchsorted(borders, values, side="right" if edge == "above" else "left") + 1


def level_accuracy(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Share of the images whose predicted level is that of people (M3-AGIQA, Table V, "Acc.").

    Args:
        x: Predicted levels, whole numbers, one per image; see `to_levels`.
        y: Levels of the mean opinion scores of the same images.

    Raises:
        UserError: as `srcc`, or a level is no whole number.
    """
    return float(np.mean(_level_differences(x, y) == 0))


def rough_accuracy(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Share of the images whose predicted level is at most 1 from that of people (M3-AGIQA, equation 11).

    Arguments and errors as `level_accuracy`.
    """
    return float(np.mean(_level_differences(x, y) <= 1))


def _level_differences(x: npt.ArrayLike, y: npt.ArrayLike) -> Values:
    first, second = checked(x, y)
    broken = int(((first % 1 != 0) | (second % 1 != 0)).sum())
    if broken:
        raise UserError(f"Levels are whole numbers, found {broken} images with others; cut the scale first.")
    return np.abs(first - second)


def _members(groups: Sequence[str], images: int) -> list[Counts]:
    """The images of each group, in the order of the groups' names."""
    if len(groups) != images:
        raise UserError(f"Each of {images} images needs a group, found {len(groups)} groups.")
    names = np.asarray(groups)
    order = np.argsort(names, kind="stable")
    return np.split(order, np.flatnonzero(names[order][1:] != names[order][:-1]) + 1)


def bootstrap_interval(
    metric: Metric,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    resamples: int,
    rng: np.random.Generator,
    level: float = 0.95,
) -> Interval | None:
    """Percentile interval of a metric under resampling of the images (Efron, Tibshirani 1993, section 13.3).

    Args:
        metric: `srcc`, `plcc`, `krcc`, `rmse` or any function like them.
        x: Predicted scores, one per image.
        y: Mean opinion scores of the same images.
        resamples: How many; 1,000 is usual.
        rng: Its state decides the resamples: the same seed gives the same interval.
        level: Share of the resamples inside the interval.

    Returns:
        The interval; None if the metric exists in no resample (those without one are left out).
    """
    return percentile_interval(bootstrap_values(metric, [x], y, resamples, rng)[0], level)


def bootstrap_difference(
    metric: Metric,
    x: npt.ArrayLike,
    other: npt.ArrayLike,
    y: npt.ArrayLike,
    resamples: int,
    rng: np.random.Generator,
    level: float = 0.95,
) -> Interval | None:
    """Percentile interval of metric(x, y) - metric(other, y), both on the same resampled images.

    Arguments and result as for `bootstrap_interval`; `other` holds another method's scores, pointing the same
    way as x.
    """
    mine, theirs = bootstrap_values(metric, [x, other], y, resamples, rng)
    return percentile_interval(mine - theirs, level)


FAST: dict[Metric, Callable[[Sequence[Values], Values], Statistic]] = {
    srcc: Ranked,
    plcc: Linear,
    krcc: Paired,
}
"""Metrics that need no sort in a resample; all others are computed from its values."""


def bootstrap_values(
    metric: Metric,
    methods: Sequence[npt.ArrayLike],
    y: npt.ArrayLike,
    resamples: int,
    rng: np.random.Generator,
) -> Values:
    """A metric of several methods on the same resamples of the images.

    Intervals of each method and of each difference follow from it by `percentile_interval`; the resamples
    are those of `bootstrap_interval` with the same rng. Ten methods, 50,000 images and 1,000 resamples take
    seconds for `srcc` and `plcc` (results/bench/metrics.json).

    Args:
        metric: As for `bootstrap_interval`.
        methods: Each method's scores, one per image.
        y: Mean opinion scores of the same images.
        resamples: How many.
        rng: Its state decides the resamples.

    Returns:
        Shape (methods, resamples); NaN where the metric does not exist.

    Raises:
        UserError: as `srcc`, or there is no resample.
    """
    if resamples < 1:
        raise UserError(f"A bootstrap needs at least 1 resample, found {resamples}.")
    columns = [checked(method, y)[0] for method in methods]
    people = np.asarray(y, dtype=np.float64)
    fast = FAST.get(metric)
    statistic = fast(columns, people) if fast else Recomputed(metric, columns, people)
    return resample(statistic, len(people), resamples, rng)


def percentile_interval(values: npt.ArrayLike, level: float = 0.95) -> Interval | None:
    """The interval that holds the middle share `level` of resampled values.

    Returns:
        None if all values are NaN; single ones are left out.

    Raises:
        UserError: the level is not within 0..1.
    """
    if not 0 < level < 1:
        raise UserError(f"A bootstrap needs a level within 0..1, found {level}.")
    found = np.asarray(values, dtype=np.float64)
    found = found[~np.isnan(found)]
    if not found.size:
        return None
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))
