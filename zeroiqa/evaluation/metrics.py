"""Agreement between predicted scores and mean opinion scores: SRCC, PLCC, KRCC, RMSE and their bootstrap
intervals.

A correlation with a constant does not exist: it is None, never 0 and never NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from zeroiqa.errors import UserError

Values: TypeAlias = npt.NDArray[np.float64]
Metric: TypeAlias = Callable[[npt.ArrayLike, npt.ArrayLike], float | None]

LEAST_IMAGES = 3
"""Through two points every correlation is 1 or -1."""


class Interval(NamedTuple):
    """A bootstrap interval."""

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
    checked = _checked(x, y)
    return _pearson(_ranks(checked[0]), _ranks(checked[1]))


def plcc(x: npt.ArrayLike, y: npt.ArrayLike) -> float | None:
    """Pearson's linear correlation of the raw values, without a logistic fit; otherwise as `srcc`."""
    return _pearson(*_checked(x, y))


def krcc(x: npt.ArrayLike, y: npt.ArrayLike) -> float | None:
    """Kendall's rank correlation tau-b, corrected for ties; otherwise as `srcc`."""
    from scipy.stats import kendalltau  # takes longer to import than anything else here

    first, second = _checked(x, y)
    if _constant(first) or _constant(second):
        return None
    return float(kendalltau(first, second, method="asymptotic").statistic)


def rmse(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Root mean squared difference, in the unit of the scores; arguments and errors as `srcc`."""
    first, second = _checked(x, y)
    return math.sqrt(float(np.mean((first - second) ** 2)))


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
    return _interval(lambda rows: metric(rows[0], rows[1]), (x, y), resamples, rng, level)


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

    def difference(rows: Sequence[Values]) -> float | None:
        mine, theirs = metric(rows[0], rows[2]), metric(rows[1], rows[2])
        return None if mine is None or theirs is None else mine - theirs

    return _interval(difference, (x, other, y), resamples, rng, level)


def _interval(
    statistic: Callable[[Sequence[Values]], float | None],
    columns: Sequence[npt.ArrayLike],
    resamples: int,
    rng: np.random.Generator,
    level: float,
) -> Interval | None:
    """Percentile interval of a statistic of several columns whose rows are resampled together."""
    if resamples < 1 or not 0 < level < 1:
        raise UserError(
            f"A bootstrap needs a number of resamples and a level within 0..1, found {resamples} and {level}."
        )
    last = np.asarray(columns[-1], dtype=np.float64)
    arrays = [_checked(column, last)[0] for column in columns]
    values = []
    for _ in range(resamples):  # one resample at a time: all row numbers at once would fill the memory
        rows = rng.integers(len(last), size=len(last))
        value = statistic([array[rows] for array in arrays])
        if value is not None:
            values.append(value)
    if not values:
        return None
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def _checked(x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Values, Values]:
    """Both columns as float64, or a `UserError` that says what is wrong with them."""
    first, second = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape:
        raise UserError(
            f"Two lists of one score per image are needed, found the shapes {first.shape} and {second.shape}."
        )
    if len(first) < LEAST_IMAGES:
        raise UserError(
            f"Agreement needs at least {LEAST_IMAGES} images with both scores, found {len(first)}."
        )
    broken = int((~(np.isfinite(first) & np.isfinite(second))).sum())
    if broken:
        raise UserError(
            f"{broken} of {len(first)} images have a score that is no finite number; leave them out first."
        )
    return first, second


def _constant(values: Values) -> bool:
    """Whether all values are equal (their computed variance need not be exactly 0)."""
    return bool(values.min() == values.max())


def _ranks(values: Values) -> Values:
    """Ranks from 1, ties sharing their mean rank."""
    order = np.argsort(values)
    ordered = values[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    counts = np.diff(starts, append=len(values))
    ranks = np.empty(len(values))
    ranks[order] = np.repeat(starts + (counts + 1) / 2, counts)
    return ranks


def _pearson(x: Values, y: Values) -> float | None:
    """Pearson's correlation of checked values, or None."""
    if _constant(x) or _constant(y):
        return None
    first, second = x - x.mean(), y - y.mean()
    first, second = first / np.abs(first).max(), second / np.abs(second).max()  # products cannot overflow
    covariance = float(np.sum(first * second))
    value = covariance / math.sqrt(float(np.sum(first**2)) * float(np.sum(second**2)))
    return min(max(value, -1.0), 1.0)
