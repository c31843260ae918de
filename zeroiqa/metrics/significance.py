"""Whether two methods differ on the same images: paired tests, and many of them.

Two methods scored the same images against the same opinions, so their correlations depend on each other, and
tests for independent samples find too little. Williams' t and Steiger's z assume normal values: they are
approximations for Spearman's and Kendall's correlations, and there the bootstrap is the test to report.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from zeroiqa.errors import UserError
from zeroiqa.metrics.correlation import checked
from zeroiqa.metrics.measures import Interval, Metric, Values, bootstrap_values, percentile_interval


@dataclass(frozen=True)
class PairedTest:
    """A method against another on the same images."""

    difference: float | None
    """The metric of the first less that of the second; None if one of them has none."""
    interval: Interval | None
    """95 % percentile interval of the difference."""
    p: float | None
    """Two-sided: how probable so large a difference is between equal methods."""
    resamples: int
    """In how many resamples both metrics exist."""

    @property
    def at_floor(self) -> bool:
        """Whether p is the smallest that so many resamples can find."""
        return self.p is not None and self.p <= 2 / (self.resamples + 1)


@dataclass(frozen=True)
class CorrelationTest:
    """Two correlations that share one variable, compared."""

    statistic: float
    degrees: int | None
    """Of freedom, of Student's t; None where the statistic is normal."""
    p: float
    """Two-sided."""


class Related(NamedTuple):
    """What `williams` and `steiger` need to know, in the order of their arguments."""

    r12: float
    r13: float
    r23: float
    n: int


def paired_bootstraps(
    metric: Metric,
    x: npt.ArrayLike,
    others: Sequence[npt.ArrayLike],
    y: npt.ArrayLike,
    resamples: int,
    rng: np.random.Generator,
) -> list[PairedTest]:
    """Compare a method with each of several others on the same resamples of the images that all scored.

    p is twice the smaller share of resamples on either side of 0, resamples at 0 on both, one more counted in
    each (Davison, Hinkley 1997, section 4.2): it is never 0, and 1,000 resamples cannot find less than .002.

    Args:
        metric: `srcc`, `plcc`, `krcc` or any function like them.
        x: A method's scores, one per image.
        others: Other methods' scores of the same images, pointing the same way.
        y: Mean opinion scores of the same images.
        resamples: How many; 1,000 is usual.
        rng: Its state decides the resamples.

    Raises:
        UserError: as `zeroiqa.metrics.measures.bootstrap_values`.
    """
    mine = metric(x, y)
    values = bootstrap_values(metric, [x, *others], y, resamples, rng)
    return [
        _paired(mine, metric(other, y), values[0] - theirs)
        for other, theirs in zip(others, values[1:], strict=True)
    ]


def _paired(mine: float | None, theirs: float | None, gaps: Values) -> PairedTest:
    gaps = gaps[~np.isnan(gaps)]
    if mine is None or theirs is None or not gaps.size:
        return PairedTest(None, None, None, gaps.size)
    tail = 1 + min(int((gaps <= 0).sum()), int((gaps >= 0).sum()))
    p = min(2 * tail / (gaps.size + 1), 1.0)
    return PairedTest(mine - theirs, percentile_interval(gaps), p, gaps.size)


def related(metric: Metric, x: npt.ArrayLike, other: npt.ArrayLike, y: npt.ArrayLike) -> Related | None:
    """The correlations of two methods with opinions and with each other; None if one does not exist.

    Raises:
        UserError: as the metric.
    """
    r12, r13, r23 = metric(x, y), metric(other, y), metric(x, other)
    if r12 is None or r13 is None or r23 is None:
        return None
    return Related(r12, r13, r23, len(checked(x, y)[0]))


def williams(r12: float, r13: float, r23: float, n: int) -> CorrelationTest | None:
    """Williams' t for two correlations that share variable 1 (Williams 1959; Steiger 1980, equation 7).

    Args:
        r12: Correlation of the opinions with one method.
        r13: Correlation of the opinions with the other method.
        r23: Correlation of the methods with each other.
        n: Number of images, from 4 on.

    Returns:
        None where the data cannot tell: the determinant of the correlations and the mean one are 0.

    Raises:
        UserError: there are too few images, or no three variables have such correlations.
    """
    from scipy.special import stdtr

    determinant = _determinant(r12, r13, r23, n)
    if r12 == r13:
        return CorrelationTest(0.0, n - 3, 1.0)
    mean = (r12 + r13) / 2
    noise = 2 * (n - 1) / (n - 3) * determinant + mean**2 * (1 - r23) ** 3
    if noise <= 0:
        return None
    t = (r12 - r13) * math.sqrt((n - 1) * (1 + r23) / noise)
    return CorrelationTest(t, n - 3, float(2 * stdtr(n - 3, -abs(t))))


def steiger(r12: float, r13: float, r23: float, n: int) -> CorrelationTest | None:
    """Steiger's z of Fisher's transforms, with the mean correlation in their covariance (1980, equation 14).

    Arguments and errors as `williams`.

    Returns:
        None where a correlation is 1 or -1, as Fisher's transform is infinite.
    """
    from scipy.special import ndtr

    _determinant(r12, r13, r23, n)
    if r12 == r13:
        return CorrelationTest(0.0, None, 1.0)
    if max(abs(r12), abs(r13)) == 1:
        return None
    square = ((r12 + r13) / 2) ** 2
    covariance = r23 * (1 - 2 * square) - square * (1 - 2 * square - r23**2) / 2
    noise = 2 - 2 * covariance / (1 - square) ** 2
    if noise <= 0:
        return None
    z = (math.atanh(r12) - math.atanh(r13)) * math.sqrt((n - 3) / noise)
    return CorrelationTest(z, None, float(2 * ndtr(-abs(z))))


def holm(p: Sequence[float]) -> tuple[float, ...]:
    """p values of several comparisons, corrected so that one false finding in all stays as rare as stated.

    Holm (1979): the smallest is multiplied by the number of comparisons, the next by one less, and so on;
    none becomes smaller than the one before it, or larger than 1. In the order given.

    Raises:
        UserError: a value is not within 0..1.
    """
    broken = [value for value in p if not 0 <= value <= 1]
    if broken:
        raise UserError(f"A p value lies within 0..1, found {broken[0]}.")
    corrected, so_far = [0.0] * len(p), 0.0
    for done, place in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        so_far = max(so_far, min((len(p) - done) * p[place], 1.0))
        corrected[place] = so_far
    return tuple(corrected)


def _determinant(r12: float, r13: float, r23: float, n: int) -> float:
    """Of the correlation matrix; rounding may take it a little under 0."""
    if n < 4:
        raise UserError(f"Comparing two correlations needs at least 4 images, found {n}.")
    determinant = 1 - r12**2 - r13**2 - r23**2 + 2 * r12 * r13 * r23
    if not (max(abs(r12), abs(r13), abs(r23)) <= 1 and determinant > -1e-9):
        raise UserError(
            f"No three variables have the correlations {r12}, {r13} and {r23}; give those of the same images."
        )
    return max(determinant, 0.0)
