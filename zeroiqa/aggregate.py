"""From ratings to a score: readout, weighting of regions, lambda, ensemble (LLM-IQA, section 3.2).

per rater:   s_local = Σ a_i s_i / Σ a_i        s = (s_global + λ s_local) / (1 + λ)
raters:      score = mean of s                  disagreement = their standard deviation
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from zeroiqa.errors import ImageError, UserError
from zeroiqa.types import Rating, Region

Readout: TypeAlias = Literal["digit", "expected"]
Weighting: TypeAlias = Literal["area", "mean"]

_LARGEST_LAMBDA = 1e6
_LARGEST = 1e100  # number that a rater answers, or weight: sums and squares stay finite
_DECIMALS = 12  # of every reported score: equal scores stay equal, whatever the rounding on the way to them


@dataclass(frozen=True)
class Aggregation:
    """The choices of the arithmetic. Every image of a comparison must be scored under the same ones."""

    readout: Readout = "digit"
    """A rating as a number: its most probable level (the paper), or its mean level (not in the paper)."""
    weighting: Weighting = "area"
    """Regions weighted by mask area, or all alike."""
    lam: float = 1.0
    """Weight of the regions against the whole image: 0 leaves the regions out, inf the whole image."""
    normalize_areas: bool = True
    """Divide the area weights by their sum. False is the paper's literal inner product; scores may then
    leave [1, K], as areas overlap and do not cover everything. Without effect on the weighting "mean"."""
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
        for what, weights in (("raters", self.member_weights), ("standards", self.standard_weights)):
            if not all(0 < weight < _LARGEST for weight in weights):
                raise UserError(f"The weights of the {what} are {weights}; each must be positive.")
        if len(set(self.members)) < len(self.members):
            raise UserError(f"The raters {', '.join(self.members)} hold one twice; name each once.")


@dataclass(frozen=True)
class RaterScore:
    """One image as one rater sees it."""

    score: float
    s_global: float
    """The whole image's level, in [1, K]."""
    s_local: float
    """The weighted levels of the regions; `s_global` where no region has a level."""
    regions: tuple[float | None, ...]
    """The level of each region, in [1, K]; None where the answer was no level."""
    level: int | None = None
    """The whole image's most probable level, from 1, where the rater gives it beside a number."""


@dataclass(frozen=True)
class Score:
    """One image's score, and what it is made of; all means over the raters."""

    score: float
    """In [1, K] with normalised areas; higher is better."""
    s_global: float
    s_local: float
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
    """The rating as a number in [1, K].

    "digit" is the most probable level, the lower one of equals; "expected" is Σ k P(k). A rating that is a
    number already is that number, as it was answered.

    Raises:
        ImageError: the probabilities do not sum to 1, as when a model's output overflowed, or the number or
            the mass is none.
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
    if readout == "digit":
        return float(_most_probable(rating))
    return _rounded(_mean(range(1, len(probabilities) + 1), probabilities))


def region_weights(
    levels: Sequence[float | None], areas: Sequence[float], aggregation: Aggregation
) -> tuple[float, ...]:
    """The factor w_i of each region's level in s_local; 0 for a region without a level.

    "area": a_i / Σ a_i, or the literal a_i (LLM-IQA, section 3.2). "mean": 1 / n (Table 3, experiment 4).
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


def combine(s_global: float, s_local: float, lam: float) -> float:
    """s = (s_global + λ s_local) / (1 + λ).

    The paper's sum s_global + λ s_local (section 3.2), divided by a constant: the range becomes that of the
    levels, and no correlation changes.
    """
    return s_local if lam == math.inf else (s_global + lam * s_local) / (1 + lam)


def aggregate(
    regions: Sequence[Region], ratings: Mapping[str, Sequence[Rating | None]], aggregation: Aggregation
) -> Score:
    """The score of one image.

    Args:
        regions: The image's regions.
        ratings: Rater name -> its ratings: the whole image first, then one per region in their order.
        aggregation: How.

    Raises:
        ImageError: a rater gave the whole image no level, or a rating is unusable.
        UserError: a member of the ensemble has no ratings, or the weights do not fit the members.
    """
    weight_of = _member_weights(ratings, aggregation)
    areas = [region.area for region in regions]
    parts = [_score_rater(name, ratings[name], areas, aggregation) for name in weight_of]
    by_rater, global_shares, region_shares = zip(*parts, strict=True)
    weights = list(weight_of.values())

    def mean(values: Iterable[float]) -> float:
        return _mean(values, weights)

    score = _rounded(mean(rated.score for rated in by_rater))
    return Score(
        score=score,
        s_global=_rounded(mean(rated.s_global for rated in by_rater)),
        s_local=_rounded(mean(rated.s_local for rated in by_rater)),
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
    weights = region_weights(levels, areas, aggregation)
    s_local = local_score(levels, weights)
    lam = 0.0 if s_local is None else aggregation.lam  # without regions the whole image is everything
    s_local = s_global if s_local is None else s_local
    shares = tuple(combine(0.0, share, lam) for share in _shares(levels, weights))
    beside = None if whole.value is None or not whole.logprobs else _most_probable(whole)
    score = _rounded(combine(s_global, s_local, lam))
    rated = RaterScore(score, s_global, _rounded(s_local), levels, beside)
    return rated, combine(s_global, 0.0, lam), shares


def _levels(
    name: str, ratings: Sequence[Rating | None], readout: Readout
) -> tuple[Rating, float, tuple[float | None, ...]]:
    """The whole image's rating and level, and the regions' levels; raises where there is no score."""
    whole, *rest = ratings
    if whole is None:
        raise ImageError(f"The rater {name} gave the whole image no level; without it there is no score.")
    regions = (None if rating is None else read(rating, readout) for rating in rest)
    return whole, read(whole, readout), tuple(regions)


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
    return round(value, _DECIMALS)
