"""Correlations of many resamples of the same images, without sorting any of them.

A resample takes image i a number of times. SRCC, PLCC and KRCC of the resample are sums in which each image
has that number as its weight, over orders which are found once. The results are those of computing each
resample anew: ranks and pairs are whole numbers and exact, other sums differ in the last digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from zeroiqa.metrics.correlation import Counts, PairCounter, Values, codes, pearson

Metric: TypeAlias = Callable[[npt.ArrayLike, npt.ArrayLike], float | None]

CANCELLATION = 0.01
"""Under this share of the second moment a variance lost digits by subtraction, and is computed anew."""
TINY = 1e-100
"""Likewise under this: products of such sums vanish."""


class Statistic(Protocol):
    """A metric of several methods against the same opinions, ready for resampling."""

    def __call__(self, rows: Counts, times: Counts) -> list[float | None]:
        """The metric of each method.

        Args:
            rows: The images of the resample, shape (images,).
            times: How often each image is among them, shape (images,).
        """
        ...


class Ranked:
    """SRCC: Pearson's r of the ranks of the resample.

    Of a sorted resample, a group of equal values that starts after b values and holds c has the mean rank
    b + (c + 1) / 2: sums along the order of the whole column.
    """

    def __init__(self, columns: Sequence[Values], y: Values) -> None:
        self._columns = [_Ranks(column) for column in columns]
        self._y = _Ranks(y)

    def __call__(self, rows: Counts, times: Counts) -> list[float | None]:
        """As `Statistic`."""
        ranked, spread = self._y(times)
        weighted = times * ranked
        found: list[float | None] = []
        for column in self._columns:
            mine, my_spread = column(times)
            found.append(_ratio(_dot(mine, weighted), my_spread, spread))
        return found


class _Ranks:
    """One column's ranks in a resample."""

    def __init__(self, values: Values) -> None:
        self._order = np.argsort(values)
        self._places = codes(values)
        self._starts = np.flatnonzero(np.diff(self._places[self._order], prepend=-1))

    def __call__(self, times: Counts) -> tuple[Values, float]:
        """Each image's rank, times 2 and less the mean (whole numbers), and their sum of squares."""
        sizes = times[self._order]
        if len(self._starts) < len(sizes):
            sizes = np.add.reduceat(sizes, self._starts)
        ends = np.cumsum(sizes)
        twice = ends.astype(np.float64)
        twice *= 2
        twice -= sizes
        twice -= ends[-1]
        return twice[self._places], _dot(sizes * twice, twice)


class Linear:
    """PLCC of the raw values."""

    def __init__(self, columns: Sequence[Values], y: Values) -> None:
        self._raw = [*columns, y]
        self._scaled = [_scale(column) for column in self._raw]

    def __call__(self, rows: Counts, times: Counts) -> list[float | None]:
        """As `Statistic`."""
        n, weights = float(len(rows)), times.astype(np.float64)
        y = self._scaled[-1]
        weighted = weights * y
        total, square = float(weighted.sum()), _dot(weighted, y)
        spread = square - total**2 / n
        doubtful = spread <= max(CANCELLATION * square, TINY)
        found: list[float | None] = []
        for raw, column in zip(self._raw[:-1], self._scaled[:-1], strict=True):
            mine = weights * column
            my_total, my_square = float(mine.sum()), _dot(mine, column)
            my_spread = my_square - my_total**2 / n
            if doubtful or my_spread <= max(CANCELLATION * my_square, TINY):
                found.append(pearson(raw[rows], self._raw[-1][rows]))
            else:
                found.append(_ratio(_dot(mine, y) - my_total * total / n, my_spread, spread))
        return found


def _scale(values: Values) -> Values:
    """The values less their mean, within -1..1 so that products cannot overflow."""
    centred: Values = values - values.mean()
    largest = float(np.abs(centred).max())
    if largest:
        centred /= largest
    return centred


def _dot(first: Values, second: Values) -> float:
    """The dot product without BLAS, whose threads change the digits and, on busy machines, cost more."""
    return float(np.sum(first * second))


def _ratio(covariance: float, first: float, second: float) -> float | None:
    if not first or not second:
        return None
    return min(max(covariance / math.sqrt(first * second), -1.0), 1.0)


class Paired:
    """KRCC: tau-b from counts of pairs."""

    def __init__(self, columns: Sequence[Values], y: Values) -> None:
        self._counters = [PairCounter(column, y) for column in columns]

    def __call__(self, rows: Counts, times: Counts) -> list[float | None]:
        """As `Statistic`."""
        return [counter.count(times).tau_b for counter in self._counters]


class Recomputed:
    """Any metric, computed from the resample's own values."""

    def __init__(self, metric: Metric, columns: Sequence[Values], y: Values) -> None:
        self._metric, self._columns, self._y = metric, columns, y

    def __call__(self, rows: Counts, times: Counts) -> list[float | None]:
        """As `Statistic`."""
        people = self._y[rows]
        return [self._metric(column[rows], people) for column in self._columns]


def resample(statistic: Statistic, images: int, resamples: int, rng: np.random.Generator) -> Values:
    """The statistic of resamples that are drawn one after another, with replacement.

    Returns:
        Shape (methods, resamples); NaN where the metric does not exist.
    """
    found = []
    for _ in range(resamples):  # one at a time: all row numbers at once would fill the memory
        rows = rng.integers(images, size=images)
        times = np.bincount(rows, minlength=images)
        found.append([math.nan if value is None else value for value in statistic(rows, times)])
    return np.array(found).T
