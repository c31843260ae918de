"""A monotone map from scores to a scale of the user's own, fitted to labels, with intervals and its error.

Isotonic: least squares among all maps that never fall (pool adjacent violators); it has plateaus, between
whose centres it is interpolated, so that images of different scores keep their order where labels are.
Logistic: the curve of VQEG with 4 parameters, which is monotone and bounded; it needs fewer labels, as it has
a shape already. Both are clipped beyond the scores that have a label.

Intervals are those of jackknife+ after bootstrap (Kim, Xu, Barber, NeurIPS 2020): maps of resamples of the
labels, averaged over those without a label, and how far that label is off.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from zeroiqa.errors import UserError
from zeroiqa.metrics.correlation import Values, is_constant
from zeroiqa.metrics.logistic import Logistic, fit_logistic
from zeroiqa.metrics.measures import srcc

Kind: TypeAlias = Literal["isotonic", "logistic"]
KINDS: tuple[str, ...] = get_args(Kind)
LEAST_LABELS = 10
"""With fewer there is no interval that holds 9 of 10 labels."""
FEW = 30
"""With fewer labels the kind "auto" is logistic: in simulations it is nearer to smooth curves at any number,
and from here on an isotonic map is nearer to those that are not."""
LEAST_VALUES = 3
"""Different labels, and different scores, that say anything of a curve between them."""
WEAK = 0.3
"""Under this rank correlation a map says little of a single image, and a negative one does not tell that the
labels are the other way round."""
SHARE = 0.9
"""Of new labels that an interval holds."""
RESAMPLES = 100
SEED = 0
ALONE = 100
"""Up to so many labels each is left out alone for the error; of more, a tenth at a time."""
_FOLDS = 10
_GRID = 65
"""Knots of a logistic curve, which is straight between them."""
_MOST_KNOTS = 257
"""Scores at which intervals are computed; they are straight between them."""
_MOST_OFF = 5000
"""Labels by which intervals are told; of more than that, some will do."""

Bounds: TypeAlias = tuple[float, float]


class Knot(NamedTuple):
    """What is said of one score."""

    score: float
    value: float
    """On the user's scale."""
    low: float
    """Between this and `high` lie 9 of 10 labels of images with this score."""
    high: float


class Error(NamedTuple):
    """How far the map is off at labels that it was not fitted to, in their unit."""

    mae: float
    """Mean absolute error."""
    rmse: float
    labels: int
    how: str
    """leave-one-out, or 10-fold."""


class Bin(NamedTuple):
    """Labels whose images have similar values: of a good map, `expected` and `label` are equal."""

    labels: int
    first: float
    """The least value that is expected of one."""
    last: float
    expected: float
    """The mean of the values, each by a map that does not know its label."""
    label: float
    """The mean of the labels."""


@dataclass(frozen=True)
class Fit:
    """A map, and how good it is; scores and labels are turned so that higher is better."""

    kind: Kind
    knots: tuple[Knot, ...]
    error: Error
    bins: tuple[Bin, ...]


def fit(scores: Values, labels: Values, kind: str = "auto", bounds: Bounds | None = None) -> Fit:
    """Fit a map that never falls.

    Args:
        scores: One per image, shape (images,); higher is better.
        labels: Of the same images, shape (images,), in the user's unit; higher is better.
        kind: "isotonic", "logistic", or "auto" for the latter where there are fewer than 30 labels.
        bounds: The ends of the labels' scale; if left out, values lie between the least and the greatest
            label, and intervals have no bounds.

    Raises:
        UserError: there are fewer than 10 labels, or hardly different ones; or they do not rise with scores.
    """
    _check(scores, labels)
    chosen: Kind = ("logistic" if len(labels) < FEW else "isotonic") if kind == "auto" else kind  # type: ignore[assignment]
    within = bounds or (float(labels.min()), float(labels.max()))
    like = fit_logistic(scores, labels, 4) if chosen == "logistic" else None
    fitter = _Fitter(chosen, within, like)
    whole = fitter(scores, labels)
    if whole is None:
        raise UserError(
            f"No logistic curve fits these {len(labels)} labels (it did not converge); take --map isotonic."
        )
    places = np.union1d(whole[0], _spread(np.unique(scores), _MOST_KNOTS))
    values = np.maximum.accumulate(np.interp(places, *whole)).clip(*within)  # last digits may fall
    if is_constant(values):
        raise UserError(
            "The labels do not rise with the scores: the best map that never falls is a constant; check the "
            "labels, or score the images by other raters."
        )
    low, high = _intervals(fitter, scores, labels, places)
    low, high = np.minimum(low, values), np.maximum(high, values)
    if bounds is not None:
        low, high = np.clip(low, *bounds), np.clip(high, *bounds)
    knots = tuple(Knot(*map(float, row)) for row in zip(places, values, low, high, strict=True))
    expected, how = _expected(fitter, scores, labels)
    return Fit(chosen, knots, _error(expected, labels, how), tuple(_bins(expected, labels)))


def isotonic(scores: Values, labels: Values) -> tuple[Values, Values]:
    """The map that never falls and has the least squared error, as the points between which it is straight.

    Labels of equal scores are averaged first. Each block of equal values becomes one point at the mean of
    its scores, the first and the last block at the least and the greatest score: within the labelled range
    no two scores get one value. A label that violates no order is its own block, through which the map goes.

    Returns:
        Scores and values, both rising.
    """
    from scipy.optimize import isotonic_regression  # takes longer to import than anything else here

    places, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    means = np.bincount(inverse, weights=labels) / counts
    values = isotonic_regression(means, weights=counts).x
    starts = np.flatnonzero(np.diff(values, prepend=-math.inf) > 0)
    centres = np.add.reduceat(places * counts, starts) / np.add.reduceat(counts, starts)
    if len(centres) > 1:
        centres[[0, -1]] = places[[0, -1]]
    return centres, values[starts]


def logistic(scores: Values, labels: Values, like: Logistic | None = None) -> tuple[Values, Values] | None:
    """The 4-parameter logistic curve with the least squared error, if that rises; else the labels' mean.

    Args:
        scores: One per image.
        labels: Of the same images.
        like: The curve of nearly the same images, to begin at.

    Returns:
        Scores and values, both rising; None where no fit converged.
    """
    places = np.union1d(scores, np.linspace(scores.min(), scores.max(), _GRID))
    found = None
    if not is_constant(scores) and not is_constant(labels):
        found = fit_logistic(scores, labels, 4, like)
        if found is None:
            return None
    if found is None or found.parameters[0] <= found.parameters[1]:
        return places[[0, -1]], np.full(2, labels.mean())
    return places, np.maximum.accumulate(found(places))  # its last digits may fall


def _check(scores: Values, labels: Values) -> None:
    if len(labels) < LEAST_LABELS:
        raise UserError(
            f"Only {len(labels)} labels are of images with a score, and {LEAST_LABELS} are needed (about 30 "
            "are good); label more images."
        )
    for what, values in (("labels", labels), ("scores of the labelled images", scores)):
        different = len(np.unique(values))
        if different < LEAST_VALUES:
            found = f"are all {values[0]:g}" if different == 1 else f"have only {different} different values"
            raise UserError(
                f"The {what} {found}, from which no map can be told ({LEAST_VALUES} are needed); label "
                "images that differ more."
            )
    rank = srcc(scores, labels)
    if rank is not None and -WEAK < rank < 0:
        raise UserError(
            f"Scores and labels hardly agree (SRCC {rank:.2f}), and no map can be told from them; check the "
            "labels, or score the images by other raters."
        )
    if rank is not None and rank < 0:
        raise UserError(
            f"The scores fall as the labels rise (SRCC {rank:.2f}), and a map would turn the order round; if "
            "lower labels are better, say --lower-is-better, or name their column dmos; else check them."
        )


@dataclass(frozen=True)
class _Fitter:
    """Fits maps of one kind to some of the labels."""

    kind: Kind
    within: Bounds
    like: Logistic | None = None
    """The curve of all labels; None before it is known."""

    def __call__(self, scores: Values, labels: Values) -> tuple[Values, Values] | None:
        """Scores and values, both rising; None where it does not converge."""
        if self.kind == "isotonic":
            found: tuple[Values, Values] | None = isotonic(scores, labels)
        else:
            found = logistic(scores, labels, self.like)
        return None if found is None else (found[0], np.clip(found[1], *self.within))


def _spread(values: Any, most: int) -> Any:
    """At most so many of an array's values, the first and the last among them."""
    if len(values) <= most:
        return values
    return values[np.linspace(0, len(values) - 1, most).round().astype(int)]


def _intervals(fitter: _Fitter, scores: Values, labels: Values, places: Values) -> tuple[Values, Values]:
    """Both ends of an interval at each place; they rise as the places do.

    For each label the maps of those resamples are averaged that are without it: order statistics of these
    maps, each moved by how far it is off at its label.
    """
    count, rng = len(labels), np.random.default_rng(SEED)
    there, here, without = [], [], []
    for _ in range(RESAMPLES):
        rows = rng.integers(count, size=count)
        found = fitter(scores[rows], labels[rows])
        if found is not None:
            there.append(np.interp(places, *found))
            here.append(np.interp(scores, *found))
            without.append(np.bincount(rows, minlength=count) == 0)
    out = np.array(without, dtype=np.float64).reshape(-1, count)
    known = _spread(np.flatnonzero(out.sum(axis=0)), _MOST_OFF)
    shares = (out[:, known] / out[:, known].sum(axis=0)).T  # of each label, over the maps without it
    maps = shares @ np.array(there).reshape(-1, len(places))
    off = np.abs(labels[known] - np.sum(shares.T * np.array(here).reshape(-1, count)[:, known], axis=0))
    last = min(math.ceil(SHARE * (len(known) + 1)), len(known)) - 1
    low = -np.partition(off[:, None] - maps, last, axis=0)[last]
    high = np.partition(maps + off[:, None], last, axis=0)[last]
    return np.maximum.accumulate(low), np.maximum.accumulate(high)  # their last digits may fall


def _expected(fitter: _Fitter, scores: Values, labels: Values) -> tuple[Values, str]:
    """Each label's value by a map that was fitted without it; NaN where that did not converge."""
    count = len(labels)
    if count <= ALONE:
        groups, how = np.arange(count), "leave-one-out"
    else:
        groups, how = np.random.default_rng(SEED).permutation(count) % _FOLDS, f"{_FOLDS}-fold"
    expected = np.full(count, math.nan)
    for group in range(int(groups.max()) + 1):
        left = groups == group
        found = fitter(scores[~left], labels[~left])
        if found is not None:
            expected[left] = np.interp(scores[left], *found)
    return expected, how


def _error(expected: Values, labels: Values, how: str) -> Error:
    off = (expected - labels)[np.isfinite(expected)]
    return Error(float(np.abs(off).mean()), float(np.sqrt(np.mean(off**2))), len(off), how)


def _bins(expected: Values, labels: Values) -> Iterator[Bin]:
    """The labels in the order of what is expected of them, cut into equal parts of five or more."""
    order = np.argsort(expected, kind="stable")[: int(np.isfinite(expected).sum())]
    for rows in np.array_split(order, max(2, min(10, len(order) // 5))):
        own = expected[rows]
        yield Bin(len(rows), float(own[0]), float(own[-1]), float(own.mean()), float(labels[rows].mean()))
