"""The arithmetic of correlations, on columns that were checked: ranks, Pearson's r, counts of pairs."""

from __future__ import annotations

import math
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from zeroiqa.errors import UserError

Values: TypeAlias = npt.NDArray[np.float64]
Counts: TypeAlias = npt.NDArray[np.int64]

LEAST_IMAGES = 3
"""Through two points every correlation is 1 or -1."""


def checked(x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Values, Values]:
    """Both columns as float64, shape (images,).

    Raises:
        UserError: the lengths differ, there are fewer than 3 images, or a value is not finite.
    """
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


def is_constant(values: Values) -> bool:
    """Whether all values are equal (their computed variance need not be exactly 0)."""
    return bool(values.min() == values.max())


def ranks(values: Values) -> Values:
    """Ranks from 1, ties sharing their mean rank."""
    order = np.argsort(values)
    ordered = values[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    counts = np.diff(starts, append=len(values))
    found = np.empty(len(values))
    found[order] = np.repeat(starts + (counts + 1) / 2, counts)
    return found


def pearson(x: Values, y: Values) -> float | None:
    """Pearson's correlation, or None if x or y is constant."""
    if is_constant(x) or is_constant(y):
        return None
    first, second = x - x.mean(), y - y.mean()
    first, second = first / np.abs(first).max(), second / np.abs(second).max()  # products cannot overflow
    covariance = float(np.sum(first * second))
    value = covariance / math.sqrt(float(np.sum(first**2)) * float(np.sum(second**2)))
    return min(max(value, -1.0), 1.0)


def codes(values: Values | Counts) -> Counts:
    """Each value's place among the different values, from 0: equal values share one, ranks without gaps."""
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


class Pairs(NamedTuple):
    """All pairs of images, by what x and y say of their order."""

    total: int
    tied_x: int
    """Pairs with equal x, whatever their y."""
    tied_y: int
    tied_both: int
    discordant: int
    """Pairs that x and y put into opposite orders."""

    @property
    def concordant(self) -> int:
        """Pairs that x and y put into the same order."""
        return self.total - self.tied_x - self.tied_y + self.tied_both - self.discordant

    @property
    def tau_b(self) -> float | None:
        """Kendall's tau-b, corrected for ties (Kendall 1945); None if x or y is constant."""
        apart_x, apart_y = self.total - self.tied_x, self.total - self.tied_y
        if not apart_x or not apart_y:
            return None
        return (self.concordant - self.discordant) / math.sqrt(apart_x) / math.sqrt(apart_y)


class PairCounter:
    """Counts the pairs of two columns, each image taken a given number of times.

    Discordant pairs are counted as in merge sort (Knight 1966): at each level, blocks of images in the order
    of x are two halves in the order of y. Those orders do not depend on how often an image is taken: they are
    found once, and each counting is sums along them, without a sort. Integers: their running sums are exact,
    and an order of magnitude faster than those of floats.
    """

    def __init__(self, x: Values, y: Values) -> None:
        self._x, self._y = codes(x), codes(y)
        self._both = codes(self._x * (self._y.max() + 1) + self._y)
        order = np.lexsort((self._y, self._x))
        heights = self._y[order]
        self._levels: list[tuple[Counts, npt.NDArray[np.bool_], Counts]] = []
        merged = np.arange(len(order))
        half = 1
        while half < len(order):
            merged = merged[
                np.lexsort((heights[merged], merged // (2 * half)))
            ]  # left half first among equals
            is_right = merged % (2 * half) >= half
            self._levels.append((order[merged], is_right, np.arange(0, len(order), 2 * half)))
            half *= 2

    def count(self, times: Counts) -> Pairs:
        """The pairs if image i is taken times[i] times; an image's copies are tied pairs."""
        n = int(times.sum())
        wrong = (n**2 - int((times * times).sum())) // 2  # two different images are split at one level only
        narrow = (
            np.int32 if n * int(times.max()) < 2**31 else np.int64
        )  # half the memory, where nothing overflows
        times_here = times.astype(narrow)
        taken, right, so_far = (
            np.empty_like(times_here) for _ in range(3)
        )  # new ones at each level would cost
        for order, is_right, starts in self._levels:
            np.take(times_here, order, out=taken, mode="clip")
            np.multiply(taken, is_right, out=right)
            np.subtract(taken, right, out=so_far)
            np.cumsum(so_far, out=so_far)  # of the left halves
            rights = np.add.reduceat(right, starts, dtype=np.int64)
            wrong += int((rights[1:] * so_far[starts[1:] - 1]).sum())
            wrong -= int(np.multiply(right, so_far, out=right).sum(dtype=np.int64))
        return Pairs(
            total=n * (n - 1) // 2,
            tied_x=_tied(self._x, times),
            tied_y=_tied(self._y, times),
            tied_both=_tied(self._both, times),
            discordant=wrong,
        )


def _tied(places: Counts, times: Counts) -> int:
    """How many pairs share their place."""
    sizes = np.bincount(places, weights=times).astype(np.int64)
    return int((sizes * (sizes - 1)).sum()) // 2
