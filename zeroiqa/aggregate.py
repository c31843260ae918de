"""From ratings to a score: readout, weighting of regions, lambda, ensemble (LLM-IQA, section 3.2).

per rater:   s_local = Σ a_i s_i / Σ a_i        s = (s_global + λ s_local) / (1 + λ)
raters:      score = mean of s                  disagreement = their standard deviation
standards:   each has a score of its own; their mean is in `zeroiqa.averaging`

What Dog-IQA's authors run adds a multiple of the number of regions to s_local, and divides by nothing: see
`combine`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from zeroiqa.errors import ImageError, UserError
from zeroiqa.types import Rating, Region

Readout: TypeAlias = Literal["digit", "expected", "greedy"]
Weighting: TypeAlias = Literal["area", "mean"]
Formula: TypeAlias = Literal["mean", "dog-iqa", "dog-iqa-first"]

_NUMBERS = tuple("0123456789")
"""Answers that are numbers."""
NO_NUMBER = 1.0
"""What any other answer counts as."""

_LARGEST_LAMBDA = 1e6
_LEAST_DIVISOR = 1e-6
LARGEST_COUNT_WEIGHT = 1e6
_LARGEST = 1e100  # number that a rater answers, or weight: sums and squares stay finite
DECIMALS = 12
"""Of every reported score: equal scores stay equal, whatever the rounding on the way to them."""


class Scale(NamedTuple):
    """Between which numbers all scores lie; None where there is no such end."""

    low: float | None
    high: float | None

    def __str__(self) -> str:
        if self.low is None:
            return "on no scale"
        return f"from {self.low:g} on" if self.high is None else f"from {self.low:g} to {self.high:g}"


NO_SCALE = Scale(None, None)


@dataclass(frozen=True)
class Aggregation:
    """The choices of the arithmetic. Every image of a comparison must be scored under the same ones."""

    readout: Readout = "digit"
    """A rating as a number: its most probable level (the paper), its mean level (not in the paper), or what
    the model answers first of all that it could say (Dog-IQA's code)."""
    weighting: Weighting = "area"
    """Regions weighted by mask area, or all alike."""
    lam: float = 1.0
    """Weight of the regions against the whole image: 0 leaves the regions out, inf the whole image."""
    normalize_areas: bool = True
    """Divide the area weights by their sum. False is the paper's literal inner product; scores may then
    leave [1, K], as areas overlap and do not cover everything. Without effect on the weighting "mean"."""
    formula: Formula = "mean"
    """How the whole image and the regions become one number; see `combine`."""
    count_weight: float = 0.0
    """What each region that has a level adds to s_local, before it is combined."""
    members: tuple[str, ...] = ()
    """The raters of the ensemble; empty means all."""
    member_weights: tuple[float, ...] = ()
    """One positive weight per rater, in the order of `members` (of the ratings, if that is empty)."""
    standard_weights: tuple[float, ...] = ()
    """One positive weight per standard, in their order: the score is the mean of theirs. Empty: each is by
    itself, and the first one's leads."""
    mass_threshold: float = 0.5
    """Mass of a rating, in [0, 1], below which its image has a warning; it moves no score."""
    word_mass_threshold: float = 0.001
    """The same under standards that compare next words: all of them may rightly be rare."""

    def __post_init__(self) -> None:
        """Refuse numbers that no score can be made with."""
        if not (0 <= self.lam <= _LARGEST_LAMBDA or self.lam == math.inf):
            raise UserError(f"Lambda is {self.lam}; it must be from 0 to {_LARGEST_LAMBDA:g}, or inf.")
        if self.formula == "dog-iqa" and self.lam < _LEAST_DIVISOR:
            raise UserError(
                f"Lambda is {self.lam:g}, and the formula dog-iqa divides the whole image's level by it; "
                f"give from {_LEAST_DIVISOR:g} to {_LARGEST_LAMBDA:g}, or inf, or take the formula mean."
            )
        if self.formula == "dog-iqa-first" and self.lam == math.inf:
            raise UserError(
                "Lambda is inf, and the formula dog-iqa-first multiplies by it; give from 0 to "
                f"{_LARGEST_LAMBDA:g}, or take the formula dog-iqa, in which inf leaves the whole image out."
            )
        if not 0 <= self.count_weight <= LARGEST_COUNT_WEIGHT:
            raise UserError(
                f"The weight of the count is {self.count_weight}; it must be from 0 to "
                f"{LARGEST_COUNT_WEIGHT:g}."
            )
        for what, weights in (("raters", self.member_weights), ("standards", self.standard_weights)):
            if not all(0 < weight < _LARGEST for weight in weights):
                raise UserError(f"The weights of the {what} are {weights}; each must be positive.")
        if len(set(self.members)) < len(self.members):
            raise UserError(f"The raters {', '.join(self.members)} hold one twice; name each once.")

    def scale(self, k: int) -> Scale:
        """Between which numbers the scores lie, where levels from 1 to `k` are asked for.

        Answers that are read greedily may be 0 or above K. Where regions count, literal areas have no scale,
        and the formulas of Dog-IQA's code and the count have no upper end.
        """
        low, high = map(float, (_NUMBERS[0], _NUMBERS[-1]) if self.readout == "greedy" else (1, k))
        if self.lam == 0:
            return Scale(low, high)
        if self.weighting == "area" and not self.normalize_areas:
            return NO_SCALE
        return Scale(low, high if self.formula == "mean" and self.count_weight == 0 else None)


@dataclass(frozen=True)
class RaterScore:
    """One image as one rater sees it."""

    score: float
    s_global: float
    """The whole image's level, in [1, K], or [0, 9] if it is read greedily."""
    s_local: float | None
    """The weighted levels of the regions, without their count; None where no region has a level."""
    regions: tuple[float | None, ...]
    """The level of each region, likewise; None where the answer was no level."""
    level: int | None = None
    """The whole image's most probable level, from 1, where the rater gives it beside a number."""


@dataclass(frozen=True)
class Score:
    """One image's score under a standard, or the mean under several, and what it is made of.

    All are means over the raters.
    """

    score: float
    """Within `Aggregation.scale`, as of the usual mean [1, K]; higher is better."""
    s_global: float
    s_local: float | None
    """Of the raters that gave regions a level; None where none did."""
    disagreement: float
    """Population standard deviation of the raters' scores, weighted like their mean; 0 for one rater."""
    raters: dict[str, RaterScore]
    global_contribution: float
    """The whole image's share of `score`."""
    region_contributions: tuple[float, ...]
    """Each region's share of `score`; with `global_contribution` they add up to it."""
    region_levels: tuple[float | None, ...]
    """Each region's level, averaged over the raters that gave one; None where none did."""


def read(rating: Rating, readout: Readout) -> float:
    """The rating as a number in [1, K], or of "greedy" in [0, 9].

    "digit" is the most probable level, the lower one of equals; "expected" is Σ k P(k). "greedy" is the
    answer, if that is one of the digits 0 to 9, and else 1, as in Dog-IQA's code. That code takes whatever
    Python's int() takes, which of one token are also numbers of several digits and digits of other scripts.
    Here they count as 1: no standard asks for them, and a level is one digit. A rating that is a number
    already is that number, as it was answered.

    Raises:
        ImageError: the probabilities do not sum to 1, as when a model's output overflowed, or the number or
            the mass is none.
        UserError: the answer that "greedy" reads was not stored.
    """
    if not 0 <= rating.mass <= 1 + 1e-6:  # sums of rounded shares
        raise ImageError(f"A rating's mass is {rating.mass}; the rater's output is unusable.")
    if rating.value is not None:
        if not abs(rating.value) < _LARGEST:  # its square is asked for
            raise ImageError(f"A rating's number is {rating.value}; the rater's output is unusable.")
        return rating.value
    probabilities = [math.exp(logprob) for logprob in rating.logprobs]
    total = math.fsum(probabilities)
    if not abs(total - 1) < 1e-3:
        raise ImageError(
            f"A rating's probabilities sum to {total}, not to 1; the rater's output is unusable."
        )
    if readout == "greedy":
        return _answered(rating)
    if readout == "digit":
        return float(_most_probable(rating))
    return _rounded(_mean(range(1, len(probabilities) + 1), probabilities))


def is_number(answer: str) -> bool:
    """Whether the readout "greedy" takes an answer as it is."""
    return answer in _NUMBERS


def region_weights(
    levels: Sequence[float | None], areas: Sequence[float], aggregation: Aggregation
) -> tuple[float, ...]:
    """The factor w_i of each region's level in s_local; 0 for a region without a level.

    "area": a_i / Σ a_i, or the literal a_i (LLM-IQA, section 3.2). "mean": 1 / n (Table 3, experiment 4).
    An area is the region's weight, where it has one of its own.
    The sums run over the regions that have a level.
    """
    by_area = aggregation.weighting == "area"
    weights = tuple(
        0.0 if level is None else area if by_area else 1.0 for level, area in zip(levels, areas, strict=True)
    )
    total = math.fsum(weights)
    if total == 0 or (by_area and not aggregation.normalize_areas):
        return weights
    return tuple(weight / total for weight in weights)


def local_score(levels: Sequence[float | None], weights: Sequence[float]) -> float | None:
    """s_local = Σ w_i s_i, the inner product of section 3.2; None if no region weighs anything."""
    return math.fsum(_shares(levels, weights)) if any(weights) else None


def combine(s_global: float, s_local: float, lam: float, formula: Formula = "mean") -> float:
    """The whole image and the regions as one number, which is linear in both.

    "mean": (s_global + λ s_local) / (1 + λ), the paper's sum s_global + λ s_local (section 3.2) divided by a
    constant: the range becomes that of the levels, and no correlation changes.
    "dog-iqa": s_local + s_global / λ, the authors' code (commit 9eb4120, with λ = 2).
    "dog-iqa-first": s_global + λ s_local, its first commit (138203b, with λ = 1).
    Of one λ and one weight of the count all three order images alike; they are multiples of each other.
    """
    if formula == "dog-iqa-first":
        return s_global + lam * s_local
    if lam == math.inf:
        return s_local
    return s_local + s_global / lam if formula == "dog-iqa" else (s_global + lam * s_local) / (1 + lam)


def aggregate(
    regions: Sequence[Region], ratings: Mapping[str, Sequence[Rating | None]], aggregation: Aggregation
) -> Score:
    """The score of one image; by every formula that of the whole image where no region has a level.

    Args:
        regions: The image's regions; each counts by its weight, or by its area where it has none.
        ratings: Rater name -> its ratings: the whole image first, then one per region in their order.
        aggregation: How.

    Raises:
        ImageError: a rater gave the whole image no level, or a rating is unusable.
        UserError: a member of the ensemble has no ratings, or the weights do not fit the members.
    """
    weight_of = _member_weights(ratings, aggregation)
    areas = [region.area if region.weight is None else region.weight for region in regions]
    parts = [_score_rater(name, ratings[name], areas, aggregation) for name in weight_of]
    by_rater, global_shares, region_shares = zip(*parts, strict=True)
    weights = list(weight_of.values())

    def mean(values: Iterable[float]) -> float:
        return _mean(values, weights)

    score = _rounded(mean(rated.score for rated in by_rater))
    return Score(
        score=score,
        s_global=_rounded(mean(rated.s_global for rated in by_rater)),
        s_local=_mean_level((rated.s_local for rated in by_rater), weights),
        disagreement=_rounded(math.sqrt(mean((rated.score - score) ** 2 for rated in by_rater))),
        raters=dict(zip(weight_of, by_rater, strict=True)),
        global_contribution=mean(global_shares),
        region_contributions=tuple(mean(shares) for shares in zip(*region_shares, strict=True)),
        region_levels=tuple(
            _mean_level(levels, weights)
            for levels in zip(*(rated.regions for rated in by_rater), strict=True)
        ),
    )


def failure(rater: str, ratings: Mapping[str, Sequence[Rating | None]]) -> str | None:
    """Why a rater's ratings of an image give no score, as a sentence; None where they do.

    The one definition of an image that failed though it was rated: whatever counts, lists or refuses errors
    asks here, and no choice of the arithmetic changes the answer.

    Args:
        rater: Its name, for the sentence.
        ratings: Standard name -> one rating per view, the whole image first.
    """
    try:
        for by_view in ratings.values():
            _levels(rater, by_view, "digit")
    except ImageError as error:
        return str(error)
    return None


def _score_rater(
    name: str, ratings: Sequence[Rating | None], areas: Sequence[float], aggregation: Aggregation
) -> tuple[RaterScore, float, tuple[float, ...]]:
    """One rater's score, and the shares of the whole image and of each region in it."""
    whole, s_global, levels = _levels(name, ratings, aggregation.readout)
    beside = None if whole.value is None or not whole.logprobs else _most_probable(whole)
    weights = region_weights(levels, areas, aggregation)
    s_local = local_score(levels, weights)
    if s_local is None:  # the whole image is everything, by every formula
        nothing = (0.0,) * len(levels)
        return RaterScore(_rounded(s_global), s_global, None, levels, beside), s_global, nothing
    counted = [0.0 if level is None else aggregation.count_weight for level in levels]

    def combined(of_whole: float, of_regions: float) -> float:
        return combine(of_whole, of_regions, aggregation.lam, aggregation.formula)

    shares = tuple(
        combined(0.0, share + count) for share, count in zip(_shares(levels, weights), counted, strict=True)
    )
    score = _rounded(combined(s_global, s_local + math.fsum(counted)))
    rated = RaterScore(score, s_global, _rounded(s_local), levels, beside)
    return rated, combined(s_global, 0.0), shares


def _levels(
    name: str, ratings: Sequence[Rating | None], readout: Readout
) -> tuple[Rating, float, tuple[float | None, ...]]:
    """The whole image's rating and level, and the regions' levels; raises where there is no score."""
    whole, *rest = ratings
    if whole is None:
        raise ImageError(f"The rater {name} gave the whole image no level; without it there is no score.")
    regions = (None if rating is None else read(rating, readout) for rating in rest)
    return whole, read(whole, readout), tuple(regions)


def _answered(rating: Rating) -> float:
    """The greedy answer as a number."""
    if rating.answer is None:
        raise UserError(
            "A rating has no stored answer, so that there is nothing to read greedily; rate the images again "
            "in a new run by a rater that tells its answers, or take the readout digit or expected."
        )
    return float(rating.answer) if is_number(rating.answer) else NO_NUMBER


def _most_probable(rating: Rating) -> int:
    """The level from 1 on; the lower one of equals."""
    return rating.logprobs.index(max(rating.logprobs)) + 1


def _member_weights(ratings: Mapping[str, object], aggregation: Aggregation) -> dict[str, float]:
    members = aggregation.members or tuple(ratings)
    missing = [name for name in members if name not in ratings]
    if missing or not members:
        raise UserError(
            f"There are no ratings by {', '.join(missing) or 'any rater'}; found {', '.join(ratings)}."
        )
    weights = aggregation.member_weights or (1.0,) * len(members)
    if len(weights) != len(members):
        raise UserError(
            f"There are {len(weights)} weights for {len(members)} raters; "
            f"give one for each of {', '.join(members)}."
        )
    return dict(zip(members, weights, strict=True))


def _shares(levels: Iterable[float | None], weights: Iterable[float]) -> list[float]:
    return [0.0 if level is None else weight * level for level, weight in zip(levels, weights, strict=True)]


def _mean(values: Iterable[float], weights: Sequence[float]) -> float:
    return math.fsum(_shares(values, weights)) / math.fsum(weights)


def _mean_level(levels: Iterable[float | None], weights: Iterable[float]) -> float | None:
    rated = [(level, weight) for level, weight in zip(levels, weights, strict=True) if level is not None]
    return _rounded(_mean(*zip(*rated, strict=True))) if rated else None


def _rounded(value: float) -> float:
    return round(value, DECIMALS)
