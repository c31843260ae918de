"""PLCC and RMSE after a logistic curve was fitted from scores to opinions, as most papers report them.

The curve takes out the shape of a method's scale. It also takes out its direction: a method whose scores fall
as quality rises is fitted by a falling curve, so the fitted PLCC is never negative. Read it beside SRCC.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from zeroiqa.metrics.correlation import Values, checked, is_constant, pearson
from zeroiqa.metrics.measures import rmse

Parameters: TypeAlias = Literal[4, 5]

NARROWEST = 30.0
"""Largest absolute logarithm of a width in standard deviations: a step beyond is the same curve."""
TOLERANCE = 1e-6
"""A fit has converged once a step takes off less than this share of the squared error. Where the best curve
is a straight line or an exponential the parameters would wander off for ever, while PLCC no longer moves."""
STEPS, ROUGH_STEPS = 1000, 50
EXACT = 1e-6
"""A fit that leaves less than this share of the variance of the opinions needs no further step."""
THINNED = 2000
"""Images on which starts are compared; the curve is fitted to all."""


@dataclass(frozen=True)
class Logistic:
    """A fitted curve; its parameters are in the units of scores and opinions.

    With 4, the monotone curve of VQEG (Final report, FR-TV phase II, 2003):
    b2 + (b1 - b2) / (1 + exp(-(x - b3) / b4)), b4 > 0.
    With 5, that of Sheikh, Sabir, Bovik (IEEE Trans. Image Processing 15(11), 2006), not always monotone:
    b1 (1/2 - 1 / (1 + exp(b2 (x - b3)))) + b4 x + b5.
    """

    parameters: tuple[float, ...]

    def __call__(self, x: npt.ArrayLike) -> Values:
        """The opinions that the curve expects for scores, same shape."""
        scores = np.asarray(x, dtype=np.float64)
        if len(self.parameters) == 5:
            return _five(np.array(self.parameters), scores)
        top, bottom, centre, width = self.parameters
        return _rise(top, bottom, (scores - centre) / width)


def fit_logistic(
    x: npt.ArrayLike, y: npt.ArrayLike, parameters: Parameters, like: Logistic | None = None
) -> Logistic | None:
    """The curve with the least squared error, by Levenberg-Marquardt from fixed starts.

    Args:
        x: Predicted scores, one per image.
        y: Mean opinion scores of the same images.
        parameters: 4 or 5, see `Logistic`.
        like: A curve of 4 parameters, that of nearly the same images, as of a resample: it is where the fit
            begins in place of the fixed starts, and what it reaches in 50 steps will do.

    Returns:
        The best of the fits that converged; None if none did, if x or y is constant, or if there are no more
        images than parameters.

    Raises:
        UserError: as `zeroiqa.metrics.measures.srcc`.
    """
    first, second = checked(x, y)
    if len(first) <= parameters or is_constant(first) or is_constant(second):
        return None
    (scores, middle, width), (opinions, level, height) = _standardise(first), _standardise(second)
    form = FORMS[parameters]
    starts = form.starts(scores, opinions)
    if like is not None:
        top, bottom, centre, wide = like.parameters
        ends = ((top - level) / height, (bottom - level) / height)
        starts = [np.array([*ends, (centre - middle) / width, math.log(wide / width)])]
    if len(scores) > THINNED:  # where to start is found on a part of the images
        some = np.argsort(scores, kind="stable")[:: len(scores) // THINNED]
        starts = [found for found in [_best(form, scores[some], opinions[some], starts)] if found is not None]
    best = _best(form, scores, opinions, starts, rough=like is not None)
    if best is None:
        return None
    if parameters == 4:
        top, bottom, centre, log_width = (float(value) for value in best)
        ends = (level + height * top, level + height * bottom)
        return Logistic((*ends, middle + width * centre, width * _width(log_width)))
    b1, b2, b3, b4, b5 = (float(value) for value in best)
    slope = height * b4 / width
    line = (slope, level + height * b5 - slope * middle)
    return Logistic((height * b1, b2 / width, middle + width * b3, *line))


def plcc_fitted(x: npt.ArrayLike, y: npt.ArrayLike, parameters: Parameters) -> float | None:
    """PLCC of the fitted scores; None where there is no fit, otherwise 0..1. Arguments as `fit_logistic`."""
    fit = fit_logistic(x, y, parameters)
    return None if fit is None else pearson(fit(x), np.asarray(y, dtype=np.float64))


def rmse_fitted(x: npt.ArrayLike, y: npt.ArrayLike, parameters: Parameters) -> float | None:
    """RMSE of the fitted scores, in the unit of the opinions; None where there is no fit."""
    fit = fit_logistic(x, y, parameters)
    return None if fit is None else rmse(fit(x), y)


def _standardise(values: Values) -> tuple[Values, float, float]:
    """Values with mean 0 and deviation 1; the mean and the deviation."""
    mean = float(values.mean())
    centred = values - mean
    largest = float(np.abs(centred).max())  # squares of what is divided by it cannot overflow
    deviation = largest * float(np.sqrt(np.mean((centred / largest) ** 2)))
    return centred / deviation, mean, deviation


@dataclass(frozen=True)
class _Form:
    """A curve of standardised scores, its slopes by each parameter, and where to start."""

    curve: Callable[[Values, Values], Values]
    slopes: Callable[[Values, Values], Values]
    starts: Callable[[Values, Values], list[Values]]


def _best(
    form: _Form, scores: Values, opinions: Values, starts: Sequence[Values], *, rough: bool = False
) -> Values | None:
    """The parameters of the best fit that converged; or, if it may be rough, that came so far."""
    from scipy.optimize import least_squares  # takes longer to import than anything else here

    def errors(b: Values) -> Values:
        return form.curve(b, scores) - opinions

    def slopes(b: Values) -> Values:
        return form.slopes(b, scores)

    best, least = None, math.inf
    for start in starts:
        steps = ROUGH_STEPS if rough else STEPS
        found = least_squares(errors, start, slopes, method="lm", ftol=TOLERANCE, max_nfev=steps)
        done = rough or found.status > 0 or 2 * found.cost < EXACT * len(scores)
        if done and np.isfinite(found.x).all() and found.cost < least:
            best, least = found.x, float(found.cost)
    return best


def _rise(top: float, bottom: float, u: Values) -> Values:
    return bottom + (top - bottom) * _sigmoid(u)


def _sigmoid(u: Values) -> Values:
    from scipy.special import expit

    value: Values = expit(u)
    return value


def _four(b: Values, x: Values) -> Values:
    """b: top, bottom, centre, logarithm of the width (so that the curve is monotone whatever it is)."""
    return _rise(b[0], b[1], (x - b[2]) / _width(b[3]))


def _slopes_four(b: Values, x: Values) -> Values:
    width = _width(b[3])
    u = (x - b[2]) / width
    rise = _sigmoid(u)
    bend = (b[0] - b[1]) * rise * (1 - rise)
    return _columns(rise, 1 - rise, -bend / width, -bend * u)


def _starts_four(scores: Values, opinions: Values) -> list[Values]:
    """Rising and falling curves, gentle and steep."""
    high, low = float(opinions.max()), float(opinions.min())
    ends = ((high, low), (low, high))
    return [np.array([*each, 0.0, math.log(width)]) for each in ends for width in (1.0, 0.25)]


def _width(log_width: float) -> float:
    return math.exp(min(max(log_width, -NARROWEST), NARROWEST))


def _five(b: Values, x: Values) -> Values:
    value: Values = _rise(b[0] / 2, -b[0] / 2, b[1] * (x - b[2])) + b[3] * x + b[4]
    return value


def _slopes_five(b: Values, x: Values) -> Values:
    rise = _sigmoid(b[1] * (x - b[2]))
    bend = b[0] * rise * (1 - rise)
    return _columns(rise - 0.5, bend * (x - b[2]), -bend * b[1], x, np.ones_like(x))


def _starts_five(scores: Values, opinions: Values) -> list[Values]:
    """The best line, with a bend up and a bend down, gentle and steep."""
    line = float(np.mean(scores * opinions))
    return [np.array([size, steep, 0.0, line, 0.0]) for size in (1.0, -1.0) for steep in (1.0, 4.0)]


def _columns(*slopes: Values) -> Values:
    stacked: Values = np.stack(slopes, axis=1)
    return stacked


FORMS: dict[Parameters, _Form] = {
    4: _Form(_four, _slopes_four, _starts_four),
    5: _Form(_five, _slopes_five, _starts_five),
}
