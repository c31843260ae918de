"""Standards that are averaged: whether there is a mean of them, what it is called, and the mean."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping, Sequence

from zeroiqa.aggregate import DECIMALS, Aggregation, RaterScore, Score
from zeroiqa.errors import UserError
from zeroiqa.standards import Kind

_OF_LEVELS: tuple[Kind, ...] = ("word", "number", "sentence", "next-word")
_WITHOUT = "numbers of its own"


def unit_of(kind: Kind, k: int) -> str:
    """What the ratings under a standard of a kind with K levels are, in a few words."""
    if kind in _OF_LEVELS:
        return f"levels 1 to {k}"
    return f"numbers up to {k}" if kind == "float" else _WITHOUT


def have_mean(scales: Mapping[str, str]) -> bool:
    """Whether standards are of one scale.

    Args:
        scales: Name of a standard -> its `unit_of`.
    """
    return len({*scales.values()}) == 1 and _WITHOUT not in scales.values()


def check_mean(scales: Mapping[str, str]) -> None:
    """Refuse several standards whose mean would mean nothing.

    Raises:
        UserError: their scales differ, or they have none.
    """
    if len(scales) > 1 and not have_mean(scales):
        (first, scale), *others = scales.items()
        name, other = next((each for each in others if each[1] != scale), others[0])
        raise UserError(
            f"There is no mean of {first} ({scale}) and {name} ({other}); give weights to standards of one "
            "scale, or leave the weights out."
        )


def score_labels(labels: Iterable[str], aggregation: Aggregation) -> tuple[str, ...]:
    """What an image's scores are called, the one that leads first: the first standard's, or the mean.

    Args:
        labels: Of the standards, in their order.
        aggregation: With weights for them, there is a mean; of one standard it is that.
    """
    every = tuple(labels)
    if not aggregation.standard_weights or len(every) < 2:
        return every
    mean = "mean"
    while mean in every:  # a standard's own file may be called so
        mean = f"mean_{mean}"
    return (mean, *every)


def not_averaged(rated: Container[str], standards: Sequence[str], aggregation: Aggregation) -> str | None:
    """Why an image has no mean over standards, as a sentence; None where it has, or none is asked for.

    Args:
        rated: The standards that it was asked about.
        standards: All.
        aggregation: Whether there shall be a mean.
    """
    lacking = [name for name in standards if name not in rated]
    if not aggregation.standard_weights or not lacking:
        return None
    return (
        f"The standard {lacking[0]} compares the image with its text prompt, but this image has none, and "
        f"there is no mean of fewer than all {len(standards)} standards; give the prompts in a CSV column or "
        "a sidecar file, or choose other standards."
    )


def average(scores: Sequence[Score], aggregation: Aggregation) -> Score:
    """The mean of one image's scores under several standards.

    Args:
        scores: One for each standard, by the same raters.
        aggregation: Weighs the standards, and the raters whose disagreement is that of their means.

    Raises:
        UserError: there are more or fewer weights than standards.
    """
    weights = aggregation.standard_weights
    if len(weights) != len(scores):
        raise UserError(
            f"There are {len(weights)} weights for {len(scores)} standards; give one for each, in order."
        )

    def mean(values: Iterable[float]) -> float:
        return round(_mean(values, weights), DECIMALS)

    def level(by_standard: Iterable[float | None]) -> float | None:
        """Of regions; None where a standard has none, as that would be a mean of fewer."""
        found = [each for each in by_standard if each is not None]
        return mean(found) if len(found) == len(weights) else None

    def levels(by_standard: Iterable[tuple[float | None, ...]]) -> tuple[float | None, ...]:
        return tuple(map(level, zip(*by_standard, strict=True)))

    def rater(name: str) -> RaterScore:
        own = [each.raters[name] for each in scores]
        return RaterScore(
            score=mean(each.score for each in own),
            s_global=mean(each.s_global for each in own),
            s_local=level(each.s_local for each in own),
            regions=levels(each.regions for each in own),
        )

    raters = {name: rater(name) for name in scores[0].raters}
    score = mean(each.score for each in scores)
    variance = _mean(
        ((each.score - score) ** 2 for each in raters.values()),
        aggregation.member_weights or (1.0,) * len(raters),
    )
    shares = zip(*(each.region_contributions for each in scores), strict=True)
    return Score(
        score=score,
        s_global=mean(each.s_global for each in scores),
        s_local=level(each.s_local for each in scores),
        disagreement=round(math.sqrt(variance), DECIMALS),
        raters=raters,
        global_contribution=_mean((each.global_contribution for each in scores), weights),
        region_contributions=tuple(_mean(each, weights) for each in shares),
        region_levels=levels(each.region_levels for each in scores),
    )


def _mean(values: Iterable[float], weights: Sequence[float]) -> float:
    total = math.fsum(weight * value for weight, value in zip(weights, values, strict=True))
    return total / math.fsum(weights)
