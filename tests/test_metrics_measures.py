from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from zeroiqa.errors import UserError
from zeroiqa.metrics.measures import (
    Interval,
    bootstrap_difference,
    bootstrap_interval,
    krcc,
    level_accuracy,
    pairwise_accuracy,
    plcc,
    rmse,
    rough_accuracy,
    srcc,
    to_levels,
)

CORRELATIONS = (srcc, plcc, krcc)
SCORES = st.lists(st.integers(-6, 6), min_size=3, max_size=40)


def a_sample(n: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    return x, x + rng.normal(size=n)


@given(SCORES, st.randoms(use_true_random=False))
def test_correlations_with_ties_are_those_of_scipy(values, random):
    x = np.array(values, dtype=float)
    y = np.array([random.choice(values) for _ in values], dtype=float)
    if x.min() == x.max() or y.min() == y.max():
        assert [metric(x, y) for metric in CORRELATIONS] == [None, None, None]
        return
    assert srcc(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    assert plcc(x, y) == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-12)
    assert krcc(x, y) == pytest.approx(stats.kendalltau(x, y).statistic, abs=1e-12)


@pytest.mark.parametrize("metric", CORRELATIONS)
def test_correlation_is_one_with_itself_and_minus_one_with_its_negative(metric):
    x = [1.0, 4.0, 2.0, 8.0]
    assert metric(x, x) == pytest.approx(1)
    assert metric(x, [-value for value in x]) == pytest.approx(-1)


@pytest.mark.parametrize("metric", CORRELATIONS)
def test_correlation_is_symmetric_and_ignores_the_order_of_the_images(metric):
    x, y = a_sample()
    shuffled = np.random.default_rng(1).permutation(len(x))
    assert metric(x, y) == pytest.approx(metric(y, x))
    assert metric(x, y) == pytest.approx(metric(x[shuffled], y[shuffled]))


@pytest.mark.parametrize("metric", (srcc, krcc))
def test_rank_correlation_ignores_a_rising_transformation(metric):
    x, y = a_sample()
    assert metric(np.exp(3 * x), y) == pytest.approx(metric(x, y))


def test_kendall_counts_concordant_against_discordant_pairs():
    assert krcc([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx((5 - 1) / 6)


def test_spearman_gives_ties_their_mean_rank():
    # ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: the covariance is 4.5 and the variances are 4.5 and 5
    assert srcc([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(4.5 / math.sqrt(4.5 * 5))


def test_rmse_is_the_root_of_the_mean_square():
    assert rmse([1, 2, 3], [1, 2, 6]) == pytest.approx(math.sqrt(3))


@pytest.mark.parametrize("metric", CORRELATIONS)
@pytest.mark.parametrize("value", (0.1, 1e300))
def test_correlation_with_a_constant_is_none(metric, value):
    assert metric([value] * 7, range(7)) is None
    assert metric(range(7), [value] * 7) is None


def test_linear_correlation_survives_huge_and_tiny_values():
    assert plcc([1e300, 2e300, 3e300], [1e-300, 2e-300, 3e-300]) == pytest.approx(1)


@pytest.mark.parametrize("metric", (*CORRELATIONS, rmse))
@pytest.mark.parametrize(
    ("x", "y", "message"),
    (
        ([1.0, math.nan, 3.0], [1.0, 2.0, 3.0], "1 of 3 images have a score that is no finite number"),
        ([1.0, 2.0, 3.0], [1.0, math.inf, math.nan], "2 of 3 images"),
        ([1.0, 2.0], [1.0, 2.0], "at least 3 images with both scores, found 2"),
        ([1.0, 2.0, 3.0], [1.0, 2.0], r"found the shapes \(3,\) and \(2,\)"),
        ([[1.0], [2.0], [3.0]], [[1.0], [2.0], [3.0]], "one score per image"),
    ),
)
def test_unusable_scores_are_refused_with_a_sentence(metric, x, y, message):
    with pytest.raises(UserError, match=message):
        metric(x, y)


def test_pairwise_accuracy_is_the_share_of_preferences_that_the_scores_reproduce():
    # people prefer one in five pairs: 0-2 is in order, 1-2 is tied, 0-3, 1-3 and 2-3 are not in order
    x, y = [1, 2, 2, 0], [1, 1, 2, 3]
    assert pairwise_accuracy(x, y) == pytest.approx(1.5 / 5)
    assert pairwise_accuracy(x, y, tie=0) == pytest.approx(1 / 5)


def test_pairwise_accuracy_of_a_constant_is_that_of_a_coin_and_of_equal_opinions_none():
    assert pairwise_accuracy([3, 3, 3], [1, 2, 3]) == 0.5
    assert pairwise_accuracy([1, 2, 3], [3, 3, 3]) is None


@given(SCORES, st.randoms(use_true_random=False))
def test_without_ties_pairwise_accuracy_is_kendalls_tau_on_another_scale(values, random):
    x, y = (random.sample(range(len(values)), len(values)) for _ in range(2))
    assert pairwise_accuracy(x, y) == pytest.approx((1 + krcc(x, y)) / 2)


def test_pairs_of_different_prompts_do_not_count():
    x, y, prompts = [1, 2, 9, 8], [1, 2, 3, 4], ["a cat", "a cat", "a dog", "a dog"]
    assert pairwise_accuracy(x, y, prompts) == 0.5  # the cats are in order, the dogs are not
    assert pairwise_accuracy(x, y) == pytest.approx(5 / 6)
    with pytest.raises(UserError, match="Each of 4 images needs a group, found 1 groups"):
        pairwise_accuracy(x, y, ["a cat"])


@pytest.mark.parametrize("metric", (level_accuracy, rough_accuracy))
def test_accuracy_needs_levels(metric):
    with pytest.raises(UserError, match="Levels are whole numbers, found 2 images with others"):
        metric([1, 2.5, 3], [1, 2, 2.9])


def test_rough_accuracy_forgives_one_level():
    people, predicted = [0, 1, 2, 3, 4], [1, 1, 4, 3, 2]
    assert rough_accuracy(predicted, people) == 0.6
    assert level_accuracy(predicted, people) == 0.4


def test_levels_at_the_borders_are_those_of_the_papers():
    # M3-AGIQA on 0..5: 0.999 is bad, 1 is poor, 4 and 5 are excellent
    assert list(to_levels([0, 0.999, 1, 3.999, 4, 5], 0, 5)) == [1, 1, 2, 4, 5, 5]
    # LMM4LMM, equation 2, on 0..100: 20 is bad, 20.01 is poor
    assert list(to_levels([0, 20, 20.01, 80, 80.01, 100], 0, 100, edge="below")) == [1, 1, 2, 4, 5, 5]
    assert list(to_levels([-3, 0.5, 99], 0, 1, levels=2)) == [1, 2, 2]


@pytest.mark.parametrize("settings", ((1, 1), (2, 1), (0, 5, 1)))
def test_an_empty_scale_or_a_single_level_is_refused(settings):
    with pytest.raises(UserError, match="cannot be cut into"):
        to_levels([1.0, 2.0], *settings)


def test_levels_of_what_is_no_number_are_refused():
    with pytest.raises(UserError, match="1 of 2 scores are no finite numbers"):
        to_levels([1.0, math.nan], 0, 5)


def test_bootstrap_interval_has_the_width_that_theory_gives():
    # the standard error of Pearson's r is about (1 - r^2) / sqrt(n)
    x, y = a_sample(400)
    interval = bootstrap_interval(plcc, x, y, 1000, np.random.default_rng(0))
    r = plcc(x, y)
    assert interval.low < r < interval.high
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * (1 - r**2) / math.sqrt(400), rel=0.15)


def test_bootstrap_interval_is_decided_by_the_seed():
    x, y = a_sample()
    first, again, other = (
        bootstrap_interval(srcc, x, y, 50, np.random.default_rng(seed)) for seed in (7, 7, 8)
    )
    assert first == again != other


def test_lower_level_gives_a_narrower_interval():
    x, y = a_sample()
    wide, narrow = (
        bootstrap_interval(srcc, x, y, 300, np.random.default_rng(0), level) for level in (0.95, 0.5)
    )
    assert wide.low < narrow.low < narrow.high < wide.high


def test_bootstrap_leaves_out_resamples_without_a_correlation():
    # most resamples of these four images hold the zeros alone
    interval = bootstrap_interval(plcc, [0, 0, 0, 1], [0, 0, 0, 1], 200, np.random.default_rng(0))
    assert interval == Interval(1.0, 1.0)


def test_bootstrap_of_a_constant_is_none():
    assert bootstrap_interval(srcc, [1, 1, 1, 1], [1, 2, 3, 4], 20, np.random.default_rng(0)) is None


def test_paired_difference_of_a_method_with_itself_is_zero():
    x, y = a_sample()
    assert bootstrap_difference(srcc, x, x, y, 50, np.random.default_rng(0)) == Interval(0.0, 0.0)


def test_paired_difference_is_narrower_than_the_intervals_of_two_like_methods():
    x, y = a_sample()
    other = x + 0.1 * np.random.default_rng(5).normal(size=len(x))
    difference = bootstrap_difference(srcc, x, other, y, 300, np.random.default_rng(0))
    alone = bootstrap_interval(srcc, x, y, 300, np.random.default_rng(0))
    assert difference.low < srcc(x, y) - srcc(other, y) < difference.high
    assert difference.high - difference.low < (alone.high - alone.low) / 2


@pytest.mark.parametrize(("resamples", "level"), ((0, 0.95), (10, 1.0), (10, 0.0)))
def test_impossible_bootstrap_settings_are_refused(resamples, level):
    with pytest.raises(UserError, match="A bootstrap needs"):
        bootstrap_interval(srcc, *a_sample(), resamples, np.random.default_rng(0), level)


def test_bootstrap_refuses_broken_scores_before_it_starts():
    with pytest.raises(UserError, match="no finite number"):
        bootstrap_interval(srcc, [1.0, 2.0, math.nan], [1.0, 2.0, 3.0], 10, np.random.default_rng(0))
