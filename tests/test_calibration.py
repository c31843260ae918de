"""Maps from scores to labels: against an oracle, what they promise, and how often intervals are right."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zeroiqa.calibration import FEW, LEAST_LABELS, Fit, fit, isotonic, logistic
from zeroiqa.errors import UserError

Values = np.ndarray[Any, np.dtype[np.float64]]


def brute_force(labels: list[float]) -> list[float]:
    """The best never falling values: of all ways to cut into blocks, the one with the least squared error."""
    best, least = labels, np.inf
    for cuts in itertools.product((False, True), repeat=len(labels) - 1):
        starts = [0, *(at + 1 for at, cut in enumerate(cuts) if cut), len(labels)]
        blocks = [labels[a:b] for a, b in itertools.pairwise(starts)]
        means = [sum(block) / len(block) for block in blocks]
        if all(a <= b for a, b in itertools.pairwise(means)):
            values = [mean for mean, block in zip(means, blocks, strict=True) for _ in block]
            error = sum((a - b) ** 2 for a, b in zip(values, labels, strict=True))
            if error < least - 1e-12:
                best, least = values, error
    return best


@settings(max_examples=40)
@given(st.lists(st.integers(0, 9), min_size=2, max_size=8))
def test_isotonic_blocks_are_those_of_the_best_of_all_maps(labels: list[int]) -> None:
    scores = np.arange(len(labels), dtype=float)
    centres, values = isotonic(scores, np.array(labels, dtype=float))
    wanted = brute_force([float(label) for label in labels])
    blocks = [[at for at, each in enumerate(wanted) if each == value] for value in dict.fromkeys(wanted)]
    assert values == pytest.approx(sorted(set(wanted)))
    means = [sum(block) / len(block) for block in blocks]
    assert centres == pytest.approx([0, *means[1:-1], len(labels) - 1] if len(means) > 1 else means)


def test_labels_of_equal_scores_are_averaged_whatever_their_order() -> None:
    scores, labels = np.array([1.0, 2, 2, 3]), np.array([0.0, 9, 1, 6])
    for order in itertools.permutations(range(4)):
        centres, values = isotonic(scores[list(order)], labels[list(order)])
        assert (list(centres), list(values)) == ([1, 2, 3], [0, 5, 6])


def sample(count: int, noise: float, seed: int = 0) -> tuple[Values, Values]:
    rng = np.random.default_rng(seed)
    scores = rng.uniform(1, 7, count)
    return scores, 100 / (1 + np.exp(4 - scores)) + rng.normal(0, noise, count)


def applied(found: Fit, scores: Values) -> tuple[Values, Values, Values]:
    table = np.array(found.knots).T
    value, low, high = (np.interp(scores, table[0], column) for column in table[1:])
    return value, low, high


@pytest.mark.parametrize("kind", ["isotonic", "logistic"])
@pytest.mark.parametrize("count", [LEAST_LABELS, 40])
def test_maps_and_intervals_never_fall_and_stay_on_the_scale(kind: str, count: int) -> None:
    scores, labels = sample(count, 20)
    labels = labels.clip(0, 100)
    found = fit(scores, labels, kind, (0, 100))
    everywhere = np.linspace(0, 8, 500)
    value, low, high = applied(found, everywhere)
    for column in (value, low, high):
        assert (np.diff(column) >= 0).all() and column.min() >= 0 and column.max() <= 100
    assert (low <= value).all() and (value <= high).all()
    inside = (everywhere > scores.min()) & (everywhere < scores.max())
    assert len(np.unique(value[~inside])) == 2, "beyond the labels it is clipped"
    assert (np.diff(value[inside]) > 0).all(), "plateaus are interpolated"
    assert fit(scores, labels, kind, (0, 100)).knots == found.knots, "the seed is fixed"


@pytest.mark.parametrize("seed", range(5))
def test_perfect_labels_are_met_exactly_and_a_second_map_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.uniform(1, 7, 10 + 5 * seed)
    labels = scores**3
    value, low, high = applied(fit(scores, labels, "isotonic"), scores)
    assert (value == labels).all() and (low <= labels).all() and (labels <= high).all()
    rough = labels + rng.normal(0, 60, len(labels))
    once, _, _ = applied(fit(scores, rough, "isotonic"), scores)
    twice, _, _ = applied(fit(scores, once, "isotonic"), scores)
    assert twice == pytest.approx(once) and once != pytest.approx(rough)


def test_few_labels_get_the_logistic_curve_which_is_that_of_the_labels() -> None:
    scores, labels = sample(FEW - 1, 0)
    found = fit(scores, labels)
    assert found.kind == "logistic" and fit(*sample(FEW, 0)).kind == "isotonic"
    assert applied(found, scores)[0] == pytest.approx(labels, abs=0.1)
    assert found.error.mae < 1 and found.error.how == "leave-one-out"
    falling = logistic(scores, -labels)
    assert falling is not None and falling[1] == pytest.approx(-labels.mean()), "no curve that falls"


@pytest.mark.parametrize(
    ("kind", "count", "runs"), [("isotonic", 30, 40), ("isotonic", 10, 40), ("logistic", 15, 4)]
)
def test_intervals_hold_nine_of_ten_new_labels(kind: str, count: int, runs: int) -> None:
    """By simulation; of 40 runs with 200 new labels each, the mean has a standard error of about 0.01."""
    held = []
    for seed in range(runs):
        found = fit(*sample(count, 10, seed), kind)
        scores, labels = sample(200, 10, 1000 + seed)
        _, low, high = applied(found, scores)
        held.append(np.mean((low <= labels) & (labels <= high)))
    assert 0.86 < np.mean(held) < 0.99


def test_the_error_is_that_at_labels_which_the_map_does_not_know() -> None:
    """With as many blocks as labels the training error is 0."""
    scores = np.arange(40.0)
    labels = scores + np.where(scores % 2 == 0, 0.4, -0.4)
    found = fit(scores, labels, "isotonic")
    assert applied(found, scores)[0] == pytest.approx(labels)
    alone = [
        np.interp(scores[at], *isotonic(np.delete(scores, at), np.delete(labels, at))) - labels[at]
        for at in range(40)
    ]
    assert found.error.mae == pytest.approx(np.mean(np.abs(alone))) and found.error.mae > 0.5
    assert found.error.rmse == pytest.approx(np.sqrt(np.mean(np.square(alone))))
    assert fit(*sample(101, 5)).error.how == "10-fold"
    assert sum(each.labels for each in found.bins) == 40
    assert [each.expected for each in found.bins] == sorted(each.expected for each in found.bins)


@pytest.mark.parametrize(
    ("scores", "labels", "said"),
    [
        (np.arange(9.0), np.arange(9.0), "Only 9 labels are of images with a score, and 10 are needed"),
        (np.arange(12.0), np.ones(12), "The labels are all 1, from which no map"),
        (np.arange(12.0), np.arange(12) % 2.0, "The labels have only 2 different values"),
        (np.full(12, 3.5), np.arange(12.0), "scores of the labelled images are all 3.5"),
        (np.arange(12.0), -np.arange(12.0), "The scores fall as the labels rise (SRCC -1.00)"),
        (np.arange(12.0), np.array([100.0, *range(11)]), "The labels do not rise with the scores"),
    ],
)
def test_what_gives_no_map_is_one_sentence(scores: Values, labels: Values, said: str) -> None:
    with pytest.raises(UserError, match=r"\.$") as caught:
        fit(scores, labels, "isotonic")
    assert said in str(caught.value)
