"""Logistic fits, on curves whose parameters are known and on what has no fit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import curve_fit

from zeroiqa.errors import UserError
from zeroiqa.metrics.logistic import Logistic, fit_logistic, plcc_fitted, rmse_fitted
from zeroiqa.metrics.measures import plcc, rmse

FOUR = Logistic((80.0, 10.0, 4.0, 0.7))
FIVE = Logistic((30.0, 1.5, 4.0, 5.0, 20.0))
SCORES = np.linspace(1, 7, 200)


def vqeg(x, b1, b2, b3, b4):
    return b2 + (b1 - b2) / (1 + np.exp(-(x - b3) / b4))


def sheikh(x, b1, b2, b3, b4, b5):
    return b1 * (0.5 - 1 / (1 + np.exp(b2 * (x - b3)))) + b4 * x + b5


def noisy(curve, n=300, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.uniform(1, 7, n)
    return x, curve(x) + rng.normal(0, 4, n)


@pytest.mark.parametrize(("curve", "formula"), ((FOUR, vqeg), (FIVE, sheikh)))
def test_a_curve_is_what_the_papers_write(curve, formula):
    np.testing.assert_allclose(curve(SCORES), formula(SCORES, *curve.parameters))


def test_the_parameters_of_a_curve_are_found_again():
    assert fit_logistic(SCORES, FOUR(SCORES), 4).parameters == pytest.approx(FOUR.parameters, rel=1e-3)
    found = fit_logistic(SCORES, FIVE(SCORES), 5)
    np.testing.assert_allclose(found(SCORES), FIVE(SCORES), atol=0.05)


@pytest.mark.parametrize(("curve", "formula", "n"), ((FOUR, vqeg, 4), (FIVE, sheikh, 5)))
def test_no_fit_of_scipy_from_the_true_parameters_is_better(curve, formula, n):
    x, y = noisy(curve)
    best, _ = curve_fit(formula, x, y, curve.parameters)
    assert rmse_fitted(x, y, n) == pytest.approx(rmse(formula(x, *best), y), rel=1e-5)
    assert plcc_fitted(x, y, n) == pytest.approx(plcc(formula(x, *best), y), abs=1e-5)


@pytest.mark.parametrize("parameters", (4, 5))
def test_the_fit_ignores_unit_and_offset_of_the_scores_and_their_direction(parameters):
    x, y = noisy(FOUR)
    value = plcc_fitted(x, y, parameters)
    for same in (1e200 * x, 1e-200 * x, 1e3 - 5 * x):
        assert plcc_fitted(same, y, parameters) == pytest.approx(value, abs=1e-5)
    assert plcc_fitted(x, -1e-9 * y, parameters) == pytest.approx(value, abs=1e-5)


def test_the_fit_with_4_parameters_is_monotone():
    x, y = noisy(FOUR)
    for scores in (x, -x):
        steps = np.diff(fit_logistic(scores, y, 4)(np.linspace(-50, 50, 999)))
        assert (steps >= 0).all() or (steps <= 0).all()


@pytest.mark.parametrize("seed", range(5))
def test_5_parameters_never_fit_worse_than_the_best_line(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=60)
    y = rng.normal(size=60) + x * rng.normal()
    assert plcc_fitted(x, y, 5) >= abs(plcc(x, y)) - 1e-6
    slope, offset = np.polyfit(x, y, 1)
    assert rmse_fitted(x, y, 5) <= rmse(slope * x + offset, y) + 1e-6


@pytest.mark.parametrize("parameters", (4, 5))
@pytest.mark.parametrize("shape", (np.exp, lambda x: x, np.log, lambda x: 9 * (x > 4), np.round))
def test_shapes_that_a_logistic_reaches_only_in_the_limit_are_fitted(parameters, shape):
    x, _ = noisy(FOUR)
    y = shape(x) + np.random.default_rng(1).normal(0, 0.01, len(x))
    assert plcc_fitted(x, y, parameters) > max(plcc(x, y), 0.98)


def test_many_images_are_fitted_as_well_as_few():
    x, y = noisy(FOUR, 30_000)
    best, _ = curve_fit(vqeg, x, y, FOUR.parameters)
    assert rmse_fitted(x, y, 4) == pytest.approx(rmse(vqeg(x, *best), y), rel=1e-6)


@pytest.mark.parametrize("parameters", (4, 5))
@pytest.mark.parametrize(
    ("x", "y"),
    (
        ([3.0] * 9, range(9)),
        (range(9), [3.0] * 9),
        (range(4), [1.0, 2.0, 4.0, 3.0]),
    ),
)
def test_what_has_no_fit_is_none_and_never_nan(parameters, x, y):
    assert fit_logistic(x, y, parameters) is None
    assert plcc_fitted(x, y, parameters) is None
    assert rmse_fitted(x, y, parameters) is None


def test_hard_digits_and_ties_are_fitted():
    digits = np.repeat([1.0, 3.0, 5.0, 7.0], 20)
    y = np.repeat([10.0, 12.0, 60.0, 65.0], 20) + np.tile([-1.0, 1.0], 40)
    for parameters in (4, 5):
        assert rmse_fitted(digits, y, parameters) == pytest.approx(1, abs=0.5)


def test_broken_scores_are_refused():
    with pytest.raises(UserError, match="1 of 9 images have a score that is no finite number"):
        fit_logistic([np.nan, *range(8)], range(9), 4)


def test_a_fit_that_does_not_converge_is_none(monkeypatch):
    monkeypatch.setattr("zeroiqa.metrics.logistic.STEPS", 2)
    assert fit_logistic(*noisy(FOUR), 4) is None
