"""Metrics of resamples without sorting: as if each resample were computed from its own values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from zeroiqa.errors import UserError
from zeroiqa.metrics.correlation import PairCounter
from zeroiqa.metrics.measures import (
    FAST,
    bootstrap_difference,
    bootstrap_interval,
    bootstrap_values,
    krcc,
    percentile_interval,
    plcc,
    rmse,
    srcc,
)

METRICS = (srcc, plcc, krcc, rmse)
COLUMNS = st.integers(3, 30).flatmap(
    lambda n: st.tuples(*[st.lists(st.sampled_from((-2.0, 0.0, 0.5, 7.0)), min_size=n, max_size=n)] * 3)
)


def one_by_one(metric, methods, y, resamples, seed) -> np.ndarray:
    """What `bootstrap_values` promises, by the metric itself."""
    rng, found = np.random.default_rng(seed), []
    y = np.asarray(y)
    for _ in range(resamples):
        rows = rng.integers(len(y), size=len(y))
        values = [metric(np.asarray(method)[rows], y[rows]) for method in methods]
        found.append([math.nan if value is None else value for value in values])
    return np.array(found).T


@pytest.mark.parametrize("metric", METRICS)
@given(COLUMNS, st.integers(0, 1000))
def test_resamples_with_ties_and_constants_are_those_computed_one_by_one(metric, columns, seed):
    first, second, y = columns
    found = bootstrap_values(metric, [first, second], y, 8, np.random.default_rng(seed))
    np.testing.assert_allclose(found, one_by_one(metric, [first, second], y, 8, seed), rtol=0, atol=1e-12)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("n", (63, 64, 65, 1000))
def test_resamples_of_many_images_are_those_computed_one_by_one(metric, n):
    rng = np.random.default_rng(n)
    y = rng.normal(50, 15, n).round(1)
    methods = [y + rng.normal(0, 9, n), np.round(y / 15 + rng.normal(size=n)), -1e-5 * y + 1e3]
    found = bootstrap_values(metric, methods, y, 5, np.random.default_rng(1))
    np.testing.assert_allclose(found, one_by_one(metric, methods, y, 5, 1), rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    "x",
    (
        [1e16, 1.0, 2.0, 3.0, 5.0, 4.0],  # without the first image the others differ in lost digits
        [1e300, 1e-300, 2e-300, 3e-300, 4e-300, 5e-300],
        [1e150, -1e150, 1.0, 2.0, 3.0, 4.0],
        [1e9 + 1, 1e9 + 2, 1e9 + 4, 1e9 + 3, 1e9, 1e9 + 7],
    ),
)
def test_a_resample_without_the_outlier_keeps_its_digits(x):
    y = [3.0, 1.0, 2.0, 4.0, 3.0, 6.0]
    found = bootstrap_values(plcc, [x], y, 300, np.random.default_rng(0))
    np.testing.assert_allclose(found, one_by_one(plcc, [x], y, 300, 0), rtol=0, atol=1e-9)


def test_the_fast_way_is_taken_and_gives_the_intervals_of_the_slow_one():
    assert set(FAST) == {srcc, plcc, krcc}
    rng = np.random.default_rng(3)
    y = rng.normal(size=300).round(1)
    x, other = y + rng.normal(size=300), y + rng.normal(size=300)
    for metric in FAST:
        slow = one_by_one(metric, [x, other], y, 50, 9)
        interval = bootstrap_interval(metric, x, y, 50, np.random.default_rng(9))
        assert interval == pytest.approx(np.quantile(slow[0], [0.025, 0.975]), abs=1e-12)
        gap = bootstrap_difference(metric, x, other, y, 50, np.random.default_rng(9))
        assert gap == pytest.approx(np.quantile(slow[0] - slow[1], [0.025, 0.975]), abs=1e-12)


@given(COLUMNS, st.integers(0, 1000))
def test_pairs_are_those_counted_one_by_one(columns, seed):
    x, y, _ = columns
    times = np.random.default_rng(seed).integers(0, 4, len(x))
    found = PairCounter(np.array(x), np.array(y)).count(times)
    every_x, every_y = np.repeat(x, times), np.repeat(y, times)
    above = np.triu_indices(len(every_x), 1)
    gap_x, gap_y = (np.sign(np.subtract.outer(each, each))[above] for each in (every_x, every_y))
    expected = (
        len(gap_x),
        (gap_x == 0).sum(),
        (gap_y == 0).sum(),
        ((gap_x == 0) & (gap_y == 0)).sum(),
        (gap_x * gap_y < 0).sum(),
    )
    assert found == expected
    assert found.concordant == (gap_x * gap_y > 0).sum()


def test_pairs_of_images_taken_very_often_do_not_overflow():
    times = np.array([2**30, 2**30, 5])
    pairs = PairCounter(np.array([1.0, 2.0, 3.0]), np.array([2.0, 1.0, 3.0])).count(times)
    assert pairs.discordant == 2**60
    assert pairs.concordant == 2 * 5 * 2**30
    assert pairs.tied_both == 2 * (2**30 * (2**30 - 1) // 2) + 10


def test_tau_b_of_many_images_is_that_of_scipy():
    rng = np.random.default_rng(0)
    x = rng.normal(size=5000).round(2)
    y = (x + rng.normal(size=5000)).round(1)
    assert krcc(x, y) == pytest.approx(stats.kendalltau(x, y).statistic, abs=1e-12)


def test_a_resample_of_one_image_only_has_no_correlation():
    with_nan = bootstrap_values(srcc, [[1.0, 2.0, 3.0]], [1.0, 2.0, 3.0], 200, np.random.default_rng(0))
    assert np.isnan(with_nan).any()
    assert percentile_interval(with_nan[0]) == (1.0, 1.0)
    assert percentile_interval([math.nan]) is None


def test_impossible_settings_are_refused():
    with pytest.raises(UserError, match="at least 1 resample, found 0"):
        bootstrap_values(srcc, [[1, 2, 3]], [1, 2, 3], 0, np.random.default_rng(0))
    with pytest.raises(UserError, match="level within 0..1, found 1"):
        percentile_interval([0.5], 1)
    with pytest.raises(UserError, match="1 of 3 images"):
        bootstrap_values(srcc, [[1, 2, 3], [1, math.nan, 3]], [1, 2, 3], 10, np.random.default_rng(0))
