"""Paired tests: printed examples, constructed cases, and how often they err when nothing differs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from zeroiqa.errors import UserError
from zeroiqa.metrics.measures import bootstrap_difference, krcc, plcc, rmse, srcc
from zeroiqa.metrics.significance import holm, paired_bootstraps, related, steiger, williams

# r12, r13, r23, n; Williams' t, Steiger's z, as other programs printed them: the R package cocor in analyses
# of its users, and the R package psych for the values of Steiger's case A (1980), t = -0.89.
PRINTED = (
    (-0.1741, 0.2015, 0.3734, 646, -9.0340, -8.6124),
    (0.8066, 0.2383, 0.2255, 177, 9.3823, 8.5460),
    (0.1724, 0.1795, 0.5387, 646, -0.1909, -0.1909),
    (0.5447, 0.8, 0.0729, 70, -2.8114, None),
    (0.4, 0.5, 0.1, 103, -0.89, None),
)


def three_columns(rng, n, weight=1.0):
    """Opinions and two methods; with weight 1 both are as good."""
    y, shared = rng.normal(size=(2, n))
    return y + shared + rng.normal(size=n), weight * y + shared + rng.normal(size=n), y


@pytest.mark.parametrize(("r12", "r13", "r23", "n", "t", "z"), PRINTED)
def test_printed_examples_are_reproduced(r12, r13, r23, n, t, z):
    found = williams(r12, r13, r23, n)
    assert found.statistic == pytest.approx(t, rel=1e-3, abs=3e-3)
    assert found.degrees == n - 3
    if z is not None:
        assert steiger(r12, r13, r23, n).statistic == pytest.approx(z, rel=1e-3, abs=3e-3)


def test_printed_p_values_are_reproduced():
    assert williams(0.5447, 0.8, 0.0729, 70).p == pytest.approx(0.0065, abs=5e-5)
    assert williams(0.1724, 0.1795, 0.5387, 646).p == pytest.approx(0.8487, abs=1e-3)
    assert steiger(0.1724, 0.1795, 0.5387, 646).p == pytest.approx(0.8486, abs=1e-3)


@pytest.mark.parametrize("test", (williams, steiger))
def test_the_sides_are_exchangeable_and_more_images_find_more(test):
    forth, back = test(0.8, 0.7, 0.6, 100), test(0.7, 0.8, 0.6, 100)
    assert forth.statistic == pytest.approx(-back.statistic)
    assert forth.p == pytest.approx(back.p)
    assert test(0.8, 0.7, 0.6, 1000).p < forth.p
    assert test(0.8, 0.7, 0.9, 100).p < forth.p  # methods that err together are told apart sooner


@pytest.mark.parametrize("test", (williams, steiger))
def test_equal_correlations_do_not_differ(test):
    assert (test(0.7, 0.7, 0.5, 30).statistic, test(0.7, 0.7, 0.5, 30).p) == (0, 1)
    assert test(0.7, 0.7, 1.0, 30).p == 1
    assert test(1.0, 1.0, 1.0, 30).p == 1


def test_a_perfect_correlation_has_no_fisher_transform():
    assert steiger(1.0, 0.5, 0.5, 30) is None
    assert williams(1.0, 0.5, 0.5, 30).p < 1e-6
    assert williams(1.0, -1.0, -1.0, 30) is None


@pytest.mark.parametrize("test", (williams, steiger))
def test_impossible_correlations_are_refused(test):
    with pytest.raises(UserError, match="at least 4 images, found 3"):
        test(0.5, 0.4, 0.3, 3)
    with pytest.raises(UserError, match=r"No three variables have the correlations 0.9, -0.9 and 0.9"):
        test(0.9, -0.9, 0.9, 30)
    with pytest.raises(UserError, match="No three variables"):
        test(math.nan, 0.5, 0.5, 30)


@pytest.mark.parametrize("test", (williams, steiger))
def test_between_equal_methods_a_difference_is_found_as_often_as_stated(test):
    rng = np.random.default_rng(0)
    runs, n = 2000, 30
    p = np.array([test(*related(plcc, *three_columns(rng, n))).p for _ in range(runs)])
    for level in (0.05, 0.2):
        assert np.mean(p < level) == pytest.approx(level, abs=3.5 * math.sqrt(level * (1 - level) / runs))


def paired(metric, x, other, y, resamples, rng):
    """The bootstrap of one comparison."""
    return paired_bootstraps(metric, x, [other], y, resamples, rng)[0]


@pytest.mark.parametrize("metric", (plcc, srcc))
def test_the_bootstrap_errs_about_as_often_as_stated_and_finds_what_differs(metric):
    rng = np.random.default_rng(1)

    def found(weight):
        p = [paired(metric, *three_columns(rng, 80, weight), 99, rng).p < 0.1 for _ in range(150)]
        return np.mean(p)

    assert 0.03 < found(1.0) < 0.19
    assert found(0.4) > 0.6


def test_the_bootstrap_agrees_with_williams_on_normal_values():
    x, other, y = three_columns(np.random.default_rng(3), 400, 0.8)
    test = paired(plcc, x, other, y, 2000, np.random.default_rng(0))
    assert test.p == pytest.approx(williams(*related(plcc, x, other, y)).p, abs=0.02)


def test_the_bootstrap_reports_the_difference_and_its_interval():
    x, other, y = three_columns(np.random.default_rng(4), 100)
    test = paired(srcc, x, other, y, 200, np.random.default_rng(6))
    assert test.difference == srcc(x, y) - srcc(other, y)
    assert test.interval == bootstrap_difference(srcc, x, other, y, 200, np.random.default_rng(6))
    assert test.resamples == 200


def test_a_method_does_not_differ_from_itself():
    x, _, y = three_columns(np.random.default_rng(5), 50)
    test = paired(krcc, x, x, y, 50, np.random.default_rng(0))
    assert (test.difference, test.interval, test.p) == (0, (0, 0), 1)


def test_p_is_never_0():
    y = np.arange(100.0)
    test = paired(rmse, y, y[::-1], y, 99, np.random.default_rng(0))
    assert test.p == pytest.approx(2 / 100)


def test_a_constant_method_has_no_test():
    test = paired(srcc, [1, 1, 1, 1], [1, 2, 3, 4], [1, 2, 4, 3], 20, np.random.default_rng(0))
    assert (test.difference, test.interval, test.p, test.resamples) == (None, None, None, 0)
    assert related(srcc, [1, 1, 1, 1], [1, 2, 3, 4], [1, 2, 4, 3]) is None


def test_related_correlations_come_in_the_order_of_the_tests():
    x, other, y = three_columns(np.random.default_rng(7), 40)
    assert related(krcc, x, other, y) == (krcc(x, y), krcc(other, y), krcc(x, other), 40)


@pytest.mark.parametrize(
    ("p", "corrected"),
    (
        ([0.01, 0.04, 0.03, 0.005], (0.03, 0.06, 0.06, 0.02)),  # by hand, and R's p.adjust
        ([0.5, 0.6], (1.0, 1.0)),
        ([0.02], (0.02,)),
        ([], ()),
    ),
)
def test_holm_corrects_for_many_comparisons(p, corrected):
    assert holm(p) == pytest.approx(corrected)


def test_holm_refuses_what_is_no_p_value():
    with pytest.raises(UserError, match="within 0..1, found 1.5"):
        holm([0.1, 1.5])
    with pytest.raises(UserError, match="found nan"):
        holm([math.nan])
