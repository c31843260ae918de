"""Properties of the arithmetic (LLM-IQA, section 3.2), on worked examples and on random ratings."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau, pearsonr, spearmanr

from zeroiqa.aggregate import (
    NO_SCALE,
    Aggregation,
    Scale,
    aggregate,
    combine,
    failure,
    local_score,
    region_weights,
)
from zeroiqa.errors import ImageError, UserError
from zeroiqa.types import Rating, Region

K = 7
LEVELS = st.integers(1, K)
AREAS = st.floats(0.01, 1)
LAMBDAS = st.one_of(st.sampled_from([0.0, 1.0, math.inf]), st.floats(0, 1e6))
CHOICES = {
    "readout": st.sampled_from(["digit", "expected"]),
    "weighting": st.sampled_from(["area", "mean"]),
    "normalize_areas": st.booleans(),
}
COUNTS = st.sampled_from([0.0, 0.1, 1.0])
SUMS = st.builds(
    Aggregation,
    formula=st.sampled_from(["dog-iqa", "dog-iqa-first"]),
    lam=st.floats(0.1, 100),
    count_weight=COUNTS,
    **CHOICES,
)
AGGREGATIONS = st.one_of(st.builds(Aggregation, lam=LAMBDAS, count_weight=COUNTS, **CHOICES), SUMS)


def region(area):
    return Region((0, 0, 1, 1), area, "object")


def certain(level):
    """A rating that puts everything on one level."""
    return Rating(tuple(0.0 if k == level else -math.inf for k in range(1, K + 1)), 1.0)


def spread(weights):
    """A rating with probabilities proportional to the weights."""
    return Rating(tuple(math.log(weight / sum(weights)) for weight in weights), 1.0)


SPREADS = st.lists(st.integers(1, 1000), min_size=K, max_size=K).map(spread)
IMAGES = st.lists(st.tuples(AREAS, st.none() | SPREADS), max_size=6)
"""Regions of one image: area and rating of each."""


def score_of(whole, parts, aggregation, rater="a"):
    """Score of one image by one rater; `parts` holds (area, rating) of each region."""
    ratings = [whole, *(rating for _, rating in parts)]
    return aggregate([region(area) for area, _ in parts], {rater: ratings}, aggregation)


def local(levels, areas, **choices):
    aggregation = Aggregation(**choices)
    return local_score(levels, region_weights(levels, areas, aggregation))


def test_area_weighting_of_7_and_1_by_three_quarters_and_one_is_5_5():
    assert local([7, 1], [0.75, 0.25]) == 5.5


def test_mean_weighting_of_7_and_1_is_4():
    assert local([7, 1], [0.75, 0.25], weighting="mean") == 4.0
    assert local([7, 1], [0.75, 0.25], weighting="mean", normalize_areas=False) == 4.0


def test_overlapping_areas_give_4_normalised_and_6_literally():
    assert local([7, 1], [0.75, 0.75]) == 4.0
    assert local([7, 1], [0.75, 0.75], normalize_areas=False) == 6.0


def test_global_7_and_local_7_give_7_after_division():
    assert combine(7, 7, lam=1) == 7.0


def test_lambda_0_leaves_the_whole_image_and_infinity_the_regions():
    assert (combine(6, 2, lam=0), combine(6, 2, lam=math.inf)) == (6, 2)


@settings(max_examples=25)
@given(lam=st.floats(0.001, 1e6), seed=st.integers(0, 2**32))
def test_division_by_one_plus_lambda_changes_no_correlation(lam, seed):
    draw = random.Random(seed)
    rows = [(draw.uniform(1, 7), draw.uniform(1, 7), draw.uniform(0, 100)) for _ in range(40)]
    mos = [row[2] for row in rows]
    raw = [s_global + lam * s_local for s_global, s_local, _ in rows]
    divided = [combine(s_global, s_local, lam) for s_global, s_local, _ in rows]
    for correlation in (spearmanr, pearsonr, kendalltau):
        assert correlation(divided, mos).statistic == pytest.approx(
            correlation(raw, mos).statistic, abs=1e-12
        )


@given(
    level=LEVELS, areas=st.lists(AREAS, max_size=6), lam=LAMBDAS, weighting=st.sampled_from(["area", "mean"])
)
def test_rater_that_always_says_c_gives_c(level, areas, lam, weighting):
    rating = certain(level)
    score = score_of(rating, [(area, rating) for area in areas], Aggregation(lam=lam, weighting=weighting))
    assert (score.score, score.s_global, score.s_local) == (level, level, level if areas else None)


@given(whole=SPREADS, parts=IMAGES, aggregation=AGGREGATIONS)
def test_contributions_add_up_to_the_score(whole, parts, aggregation):
    score = score_of(whole, parts, aggregation)
    total = score.global_contribution + math.fsum(score.region_contributions)
    assert total == pytest.approx(score.score, abs=1e-9)
    assert len(score.region_contributions) == len(score.region_levels) == len(parts)


@given(
    ratings=st.lists(st.tuples(SPREADS, SPREADS, SPREADS), min_size=2, max_size=4),
    areas=st.tuples(AREAS, AREAS),
    aggregation=AGGREGATIONS,
)
def test_contributions_of_an_ensemble_add_up_too(ratings, areas, aggregation):
    members = {f"rater{index}": list(views) for index, views in enumerate(ratings)}
    score = aggregate([region(area) for area in areas], members, aggregation)
    total = score.global_contribution + math.fsum(score.region_contributions)
    assert total == pytest.approx(score.score, abs=1e-9)


@given(whole=SPREADS, parts=IMAGES, aggregation=AGGREGATIONS, draw=st.randoms(use_true_random=False))
def test_order_of_the_regions_does_not_matter(whole, parts, aggregation, draw):
    shuffled = draw.sample(parts, len(parts))
    assert score_of(whole, shuffled, aggregation).score == score_of(whole, parts, aggregation).score


@given(
    whole=LEVELS, parts=st.lists(st.tuples(AREAS, LEVELS), min_size=1, max_size=6), aggregation=AGGREGATIONS
)
def test_a_better_view_never_lowers_the_score(whole, parts, aggregation):
    def score(whole, parts):
        return score_of(certain(whole), [(area, certain(level)) for area, level in parts], aggregation).score

    before = score(whole, parts)
    assert score(min(K, whole + 1), parts) >= before
    for index, (area, level) in enumerate(parts):
        better = [*parts[:index], (area, min(K, level + 1)), *parts[index + 1 :]]
        assert score(whole, better) >= before


@given(whole=SPREADS, parts=IMAGES, aggregation=AGGREGATIONS)
def test_scores_stay_on_the_scale_that_is_declared(whole, parts, aggregation):
    score, (low, high) = score_of(whole, parts, aggregation).score, aggregation.scale(K)
    assert low is None or low <= score
    assert high is None or score <= high
    usual = aggregation.formula == "mean" and aggregation.count_weight == 0
    if usual and (aggregation.normalize_areas or aggregation.weighting == "mean"):
        assert (low, high) == (1, K)


@pytest.mark.parametrize(
    ("choices", "scale"),
    [
        ({}, Scale(1, K)),
        ({"readout": "greedy"}, Scale(0, 9)),
        ({"normalize_areas": False}, NO_SCALE),
        ({"normalize_areas": False, "lam": 0.0}, Scale(1, K)),
        ({"normalize_areas": False, "weighting": "mean"}, Scale(1, K)),
        ({"count_weight": 0.1}, Scale(1, None)),
        ({"count_weight": 0.1, "lam": 0.0}, Scale(1, K)),
        ({"formula": "dog-iqa"}, Scale(1, None)),
        ({"formula": "dog-iqa-first", "readout": "greedy"}, Scale(0, None)),
    ],
)
def test_the_scale_follows_from_the_arithmetic(choices, scale):
    assert Aggregation(**choices).scale(K) == scale


@given(
    whole=SPREADS,
    parts=st.lists(st.tuples(AREAS, SPREADS), min_size=1, max_size=6),
    readout=st.sampled_from(["digit", "expected"]),
)
def test_sums_of_the_authors_code_are_multiples_of_the_mean(whole, parts, readout):
    """Its tip is 1.5 x the mean at lambda 2, its first commit 2 x that at lambda 1; 0.1 for each region."""

    def score(**choices):
        return score_of(whole, parts, Aggregation(readout=readout, **choices)).score

    tip, first = (
        score(formula=formula, lam=lam, count_weight=0.1)
        for formula, lam in (("dog-iqa", 2), ("dog-iqa-first", 1))
    )
    assert tip == pytest.approx(1.5 * score(lam=2) + 0.1 * len(parts), abs=1e-9)
    assert first == pytest.approx(2 * score(lam=1) + 0.1 * len(parts), abs=1e-9)
    assert score(lam=2, count_weight=0.1) == pytest.approx(tip / 1.5, abs=1e-9)


def test_worked_example_of_the_authors_sum():
    parts = [(0.75, certain(7)), (0.25, certain(1)), (0.5, None)]
    score = score_of(certain(3), parts, Aggregation(formula="dog-iqa", lam=2, count_weight=0.1))
    assert (score.score, score.s_global, score.s_local) == (pytest.approx(5.5 + 0.2 + 1.5), 3, 5.5)
    assert score.global_contribution == 1.5
    assert score.region_contributions == pytest.approx((5.25 + 0.1, 0.25 + 0.1, 0))
    first = score_of(certain(3), parts, Aggregation(formula="dog-iqa-first", count_weight=0.1))
    assert first.score == pytest.approx(3 + 5.5 + 0.2)


@pytest.mark.parametrize("formula", ["mean", "dog-iqa", "dog-iqa-first"])
@pytest.mark.parametrize("parts", [[], [(0.5, None)]])
def test_by_every_formula_the_whole_image_is_everything_where_no_region_has_a_level(formula, parts):
    score = score_of(certain(5), parts, Aggregation(formula=formula, lam=2, count_weight=0.1))
    assert (score.score, score.s_local, score.global_contribution) == (5.0, None, 5.0)
    assert sum(score.region_contributions) == 0


def test_infinite_lambda_leaves_the_whole_image_out_of_the_sum():
    parts = [(1, certain(2))]
    alone = score_of(certain(5), parts, Aggregation(formula="dog-iqa", lam=math.inf, count_weight=1))
    assert (alone.score, alone.global_contribution) == (3.0, 0.0)


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [
        ({"formula": "dog-iqa", "lam": 0.0}, "Lambda is 0, and the formula dog-iqa divides .* formula mean"),
        ({"formula": "dog-iqa", "lam": 1e-9}, "Lambda is 1e-09, and the formula dog-iqa divides"),
        ({"formula": "dog-iqa-first", "lam": math.inf}, "inf, and the formula dog-iqa-first multiplies"),
        ({"count_weight": -0.1}, "weight of the count is -0.1; it must be from 0 to 1e"),
        ({"count_weight": math.nan}, "weight of the count is nan"),
        ({"count_weight": math.inf}, "weight of the count is inf"),
    ],
)
def test_formula_that_gives_no_number_is_refused(choices, sentence):
    with pytest.raises(UserError, match=sentence):
        Aggregation(**choices)


@pytest.mark.parametrize("formula", ["mean", "dog-iqa"])
def test_a_weight_of_its_own_stands_in_for_the_area(formula):
    regions = [Region((0, 0, 1, 1), 0.9, "object", weight=0.25), Region((0, 0, 1, 1), 0.75, "complement")]
    ratings = {"a": [certain(4), certain(1), certain(5)]}
    score = aggregate(regions, ratings, Aggregation(formula=formula, lam=math.inf))
    assert (score.score, score.region_contributions) == (4.0, (0.25, 3.75))
    literal = aggregate(regions, ratings, Aggregation(lam=math.inf, normalize_areas=False))
    assert literal.score == 0.25 * 1 + 0.75 * 5


@given(whole=SPREADS, parts=IMAGES, aggregation=AGGREGATIONS)
def test_ensemble_of_one_is_itself(whole, parts, aggregation):
    score = score_of(whole, parts, aggregation)
    alone = score.raters["a"]
    assert (score.score, score.s_global, score.s_local) == (alone.score, alone.s_global, alone.s_local)
    assert score.disagreement == 0


@given(first=SPREADS, second=SPREADS, parts=IMAGES, aggregation=AGGREGATIONS)
def test_ensemble_of_two_is_their_mean(first, second, parts, aggregation):
    regions = [region(area) for area, _ in parts]
    rest = [rating for _, rating in parts]
    score = aggregate(regions, {"a": [first, *rest], "b": [second, *rest]}, aggregation)
    scores = [score_of(whole, parts, aggregation).score for whole in (first, second)]
    assert score.score == pytest.approx(statistics.fmean(scores), abs=1e-11)
    assert score.disagreement == pytest.approx(statistics.pstdev(scores), abs=1e-9)


@given(ratings=st.permutations("abc"), wholes=st.tuples(SPREADS, SPREADS, SPREADS))
def test_order_of_the_raters_does_not_matter(ratings, wholes):
    members = dict(zip("abc", wholes, strict=True))
    shuffled = {name: [members[name]] for name in ratings}
    expected = Aggregation(readout="expected")
    assert (
        aggregate([], shuffled, expected).score
        == aggregate([], dict(sorted(shuffled.items())), expected).score
    )


def test_members_choose_among_the_stored_raters():
    ratings = {"a": [certain(2)], "b": [certain(4)], "c": [certain(7)]}
    score = aggregate([], ratings, Aggregation(members=("c", "a")))
    assert (score.score, list(score.raters)) == (4.5, ["c", "a"])


def test_weights_move_the_mean_and_the_disagreement():
    ratings = {"a": [certain(2)], "b": [certain(6)]}
    score = aggregate([], ratings, Aggregation(member_weights=(3, 1)))
    assert score.score == 3.0
    assert score.disagreement == pytest.approx(math.sqrt((3 * 1**2 + 1 * 3**2) / 4), abs=1e-12)


def test_unknown_member_is_refused_naming_the_known_ones():
    with pytest.raises(UserError, match="no ratings by z; found a, b"):
        aggregate([], {"a": [certain(2)], "b": [certain(4)]}, Aggregation(members=("a", "z")))


def test_no_raters_at_all_is_refused():
    with pytest.raises(UserError, match="no ratings by any rater"):
        aggregate([], {}, Aggregation())


def test_weights_must_fit_the_members():
    with pytest.raises(UserError, match="2 weights for 1 raters"):
        aggregate([], {"a": [certain(2)]}, Aggregation(member_weights=(1, 1)))


@pytest.mark.parametrize("lam", [-0.1, math.nan, -math.inf, 1e7])
def test_lambda_outside_its_range_is_refused(lam):
    with pytest.raises(UserError, match="Lambda is"):
        Aggregation(lam=lam)


@pytest.mark.parametrize("weight", [0, -1, math.nan, math.inf])
def test_weight_that_is_not_positive_is_refused(weight):
    with pytest.raises(UserError, match="must be positive"):
        Aggregation(members=("a", "b"), member_weights=(1, weight))


def test_member_named_twice_is_refused():
    with pytest.raises(UserError, match="name each once"):
        Aggregation(members=("a", "a"))


def test_region_without_a_level_is_left_out_of_the_average():
    parts = [(0.5, certain(6)), (0.5, None)]
    score = score_of(certain(2), parts, Aggregation())
    assert (score.s_local, score.score) == (6.0, 4.0)
    assert score.region_contributions == (3.0, 0.0)
    assert score.region_levels == (6.0, None)


def test_region_level_is_the_mean_of_the_raters_that_gave_one():
    ratings = {"a": [certain(1), certain(3), None], "b": [certain(1), certain(4), certain(5)]}
    score = aggregate([region(0.5), region(0.5)], ratings, Aggregation())
    assert score.region_levels == (3.5, 5.0)
    assert score.raters["a"].regions == (3.0, None)
    ratings["a"][1] = None
    of_one = aggregate([region(0.5), region(0.5)], ratings, Aggregation())
    assert (of_one.s_local, of_one.raters["a"].s_local) == (4.5, None)


@pytest.mark.parametrize("lam", [0.0, 1.0, math.inf])
@pytest.mark.parametrize("parts", [[], [(0.5, None)]])
def test_without_regions_the_whole_image_is_everything(parts, lam):
    score = score_of(certain(5), parts, Aggregation(lam=lam))
    assert (score.score, score.s_local, score.global_contribution) == (5.0, None, 5.0)
    assert sum(score.region_contributions) == 0


def test_whole_image_without_a_level_is_an_error_of_the_image():
    with pytest.raises(ImageError, match="rater b gave the whole image no level"):
        aggregate([], {"a": [certain(3)], "b": [None]}, Aggregation())


@pytest.mark.parametrize(
    "ratings", [(None, certain(4)), (certain(4), Rating((math.nan,), 1.0)), (Rating((), 1.0, math.inf),)]
)
@pytest.mark.parametrize("lam", [0.0, 1.0])
@pytest.mark.parametrize("readout", ["digit", "expected"])
def test_what_counts_failures_and_what_scores_agree(ratings, lam, readout):
    regions = [Region((0, 0, 1, 1), 0.5, "object")] * (len(ratings) - 1)
    said = failure("a", {"quality": (certain(4),), "authenticity": ratings})
    with pytest.raises(ImageError) as raised:
        aggregate(regions, {"a": ratings}, Aggregation(lam=lam, readout=readout))
    assert said == str(raised.value)
    assert failure("a", {"quality": (certain(4), None)}) is None
