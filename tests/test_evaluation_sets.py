"""Two sets against each other: what must hold of the numbers whatever the scores are."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from zeroiqa.evaluation.sets import ScoredImage, difference_of_means, mean, pair, wilson

scores = st.lists(st.floats(1, 7, allow_nan=False), min_size=1, max_size=30)


def images(
    values: list[float], prompts: list[str | None] | None = None, end: str = ".png"
) -> list[ScoredImage]:
    return [
        ScoredImage(f"{number}{end}", value, None if prompts is None else prompts[number])
        for number, value in enumerate(values)
    ]


@settings(deadline=None)
@given(scores, st.randoms())
def test_swapped_sets_have_the_other_rate_and_order_counts_for_nothing(
    values: list[float], order: random.Random
) -> None:
    first, second = images(values), images(values[::-1])
    there, back = pair(first, second), pair(second, first)
    assert there.win_rate.value == pytest.approx(1 - back.win_rate.value)
    assert there.difference(0).value == pytest.approx(-back.difference(0).value)
    assert there.p == back.p
    mixed = list(second)
    order.shuffle(mixed)
    assert pair(first, mixed) == there


@given(scores)
def test_a_set_against_itself_differs_in_nothing(values: list[float]) -> None:
    found = pair(images(values), images(values))
    assert found.counts == (0, len(values), 0)
    assert (found.win_rate.value, found.difference(10).value, found.p) == (0.5, 0, None)


def test_known_values() -> None:
    a, b = [3.0, 2.0, 5.0, 4.0, 1.0, 6.0, 2.5], [3.5, 1.0, 5.5, 6.0, 4.0, 6.2, 2.5]
    found = pair(images(a), images(b))
    assert found.counts == (5, 1, 1)
    assert found.win_rate.value == 5.5 / 7
    assert found.difference(0).value == pytest.approx(np.mean(np.subtract(b, a)))
    # signed ranks of 0.5, -1, 0.5, 2, 3, 0.2 (the equal pair is left out): W- = 4
    assert found.p == pytest.approx(stats.wilcoxon(b[:6], a[:6]).pvalue)
    assert [each.key for each in found.largest(2)] == ["4.png", "3.png"]
    # Wilson, 1927: 8 of 10, from Newcombe, Statistics in Medicine 17 (1998), by his formula
    low, high = wilson(8, 10)[1:]
    assert (low, high) == (pytest.approx(0.4901625, abs=1e-6), pytest.approx(0.9433178, abs=1e-6))
    assert stats.binomtest(8, 10).proportion_ci(method="wilson").low == pytest.approx(low, abs=1e-12)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    random_numbers = np.random.default_rng(0)
    inside = both = 0
    for trial in range(200):
        a, b = random_numbers.normal(4, 1, 60), random_numbers.normal(4.3, 1, 60)
        found = mean(list(a), 200, seed=trial)
        assert found.low is not None and found.high is not None
        inside += found.low <= 4 <= found.high
        apart = difference_of_means(list(a), list(b), 200, seed=trial)
        assert apart.low is not None and apart.high is not None
        both += apart.low <= 0.3 <= apart.high
    assert 175 <= inside <= 199 and 175 <= both <= 199


def test_one_value_and_no_resamples_have_no_interval() -> None:
    assert mean([3.0], 100)[1:] == (None, None)
    assert mean([3.0, 4.0], 0)[1:] == (None, None)
    assert difference_of_means([1.0], [2.0, 3.0], 100) == (1.5, None, None)


def test_names_pair_without_folder_or_suffix_where_that_is_no_guess() -> None:
    a = [ScoredImage("x/1.png", 1), ScoredImage("x/2.png", 2)]
    b = [ScoredImage("y/1.jpg", 3), ScoredImage("3.jpg", 4)]
    found = pair(a, b)
    assert [(each.key, each.a, each.b) for each in found.pairs] == [("1", 1, 3)]
    assert (found.by, found.alone) == ("name", (1, 1))
    twice = [*b, ScoredImage("z/1.webp", 5)]
    assert pair(a, twice).pairs == ()
    assert pair(
        [ScoredImage("a/1.png", 1)], [ScoredImage("a/1.png", 2), ScoredImage("b/1.png", 3)]
    ).alone == (0, 1)


def test_prompts_pair_by_their_means() -> None:
    a = images([1, 3, 5, 2], ["cat", "cat ", "dog", None])
    b = [ScoredImage("p.png", 4, "dog"), ScoredImage("q.png", 6, "cat"), ScoredImage("r.png", 7, "fox")]
    found = pair(a, b)
    assert found.by == "prompt"
    assert [(each.key, each.a, each.b) for each in found.pairs] == [("cat", 2, 6), ("dog", 5, 4)]
    assert (found.alone, found.averaged) == ((1, 1), 2)
    assert pair(a, b, "name").pairs == ()


def test_one_name_by_chance_does_not_hide_the_prompts() -> None:
    a = [*images([1, 2, 3], ["x", "y", "z"], end="a.png"), ScoredImage("logo.png", 4)]
    b = [*images([2, 3, 4], ["x", "y", "z"], end="b.png"), ScoredImage("logo.png", 5)]
    assert (pair(a, b).by, len(pair(a, b).pairs)) == ("prompt", 3)
    assert len(pair(a, b, "name").pairs) == 1


def test_few_pairs_have_no_test() -> None:
    few = pair(images([1.0] * 5), images([2.0] * 5))
    assert few.p is None
    assert pair(images([1.0] * 6), images([2.0, 3, 4, 5, 6, 7])).p == pytest.approx(2 / 2**6)
    assert math.isfinite(few.win_rate.value)
