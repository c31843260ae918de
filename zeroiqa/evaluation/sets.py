"""Two sets of images against each other: arithmetic alone, on scores of which higher ones are better."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

PairBy: TypeAlias = Literal["name", "prompt", "none"]

LEAST_PAIRS = 6
"""Fewer cannot reach p < 0.05 in a signed-rank test, whatever they are."""
_CONFIDENCE = 0.95
_Z = 1.959963984540054
"""Of the normal distribution, for this confidence."""


class ScoredImage(NamedTuple):
    """An image of a set."""

    path: str
    """Below the folder that its set is of."""
    score: float
    """Higher is better."""
    prompt: str | None = None


class Interval(NamedTuple):
    """A number, with the interval of 95 % around it; no interval where there are not two values."""

    value: float
    low: float | None
    high: float | None


class Pair(NamedTuple):
    """What two sets have in common, with the score of each."""

    key: str
    """A name without its folder or suffix, or a prompt."""
    a: float
    b: float
    path_a: str
    path_b: str

    @property
    def difference(self) -> float:
        """What the second one's score is higher by."""
        return self.b - self.a


@dataclass(frozen=True)
class Pairs:
    """What pairs of two sets say."""

    by: PairBy
    pairs: tuple[Pair, ...]
    """In the order of the first set."""
    alone: tuple[int, int]
    """Images of each set that are in no pair."""
    averaged: int = 0
    """Images that share their prompt with others of their set, whose mean counts."""

    @property
    def counts(self) -> tuple[int, int, int]:
        """Pairs in which the second one is better, equal ones, and those in which the first one is."""
        return (
            sum(pair.b > pair.a for pair in self.pairs),
            sum(pair.b == pair.a for pair in self.pairs),
            sum(pair.b < pair.a for pair in self.pairs),
        )

    @property
    def win_rate(self) -> Interval:
        """How often the second one is better, a tie counting half, with Wilson's interval; in [0, 1]."""
        wins, ties, _ = self.counts
        return wilson(wins + ties / 2, len(self.pairs))

    @property
    def p(self) -> float | None:
        """Of Wilcoxon's signed-rank test, two-sided, without equal pairs; None below `LEAST_PAIRS` others."""
        differences = [pair.difference for pair in self.pairs if pair.difference]
        if len(differences) < LEAST_PAIRS:
            return None
        from scipy.stats import wilcoxon

        return float(wilcoxon(differences).pvalue)

    def difference(self, resamples: int) -> Interval:
        """The mean difference within pairs."""
        return mean([pair.difference for pair in self.pairs], resamples)

    def largest(self, most: int) -> list[Pair]:
        """The pairs that differ most, the largest difference first."""
        return sorted(self.pairs, key=lambda pair: -abs(pair.difference))[:most]


def mean(values: Sequence[float], resamples: int, seed: int = 0) -> Interval:
    """The mean of some values, with a percentile bootstrap over them.

    Args:
        values: At least one.
        resamples: 0 for no interval.
        seed: Of the resamples.
    """
    array = np.asarray(values, np.float64)
    means = _means(array, resamples, seed)
    return Interval(float(array.mean()), *_ends(means if len(array) > 1 else None))


def difference_of_means(a: Sequence[float], b: Sequence[float], resamples: int, seed: int = 0) -> Interval:
    """What the second mean is higher by, each set resampled on its own."""
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    found = None
    if min(len(first), len(second)) > 1 and resamples:
        found = _means(second, resamples, seed + 1) - _means(first, resamples, seed)
    return Interval(float(second.mean() - first.mean()), *_ends(found))


def wilson(successes: float, trials: int) -> Interval:
    """A share with Wilson's score interval (1927), in [0, 1].

    Args:
        successes: Half ones are ties.
        trials: At least one.
    """
    share = successes / trials
    middle = (share + _Z**2 / (2 * trials)) / (1 + _Z**2 / trials)
    half = _Z / (1 + _Z**2 / trials) * math.sqrt(share * (1 - share) / trials + _Z**2 / (4 * trials**2))
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half))


def pair(a: Sequence[ScoredImage], b: Sequence[ScoredImage], by: PairBy | None = None) -> Pairs:
    """The pairs of two sets.

    Args:
        a: The first set.
        b: The second one.
        by: What tells a pair; None: names or prompts, whichever pairs more images, names where both do.
    """
    found = [_by_name(a, b)] if by in (None, "name") else []
    if by in (None, "prompt"):
        found.append(_by_prompt(a, b))
    nothing = Pairs(by or "none", (), (len(a), len(b)))
    best = min(found, key=lambda each: sum(each.alone), default=nothing)
    return best if best.pairs else nothing


def _by_name(a: Sequence[ScoredImage], b: Sequence[ScoredImage]) -> Pairs:
    """By the strictest spelling of names that gives most pairs, among those by which no set has two alike."""
    best = Pairs("name", (), (len(a), len(b)))
    for spelled in _SPELLINGS:
        first, second = (
            {spelled(PurePosixPath(each.path)): each for each in each_set} for each_set in (a, b)
        )
        if len(first) < len(a) or len(second) < len(b):
            continue
        pairs = tuple(
            Pair(key, one.score, second[key].score, one.path, second[key].path)
            for key, one in first.items()
            if key in second
        )
        if len(pairs) > len(best.pairs):
            best = Pairs("name", pairs, (len(a) - len(pairs), len(b) - len(pairs)))
    return best


_SPELLINGS: Sequence[Callable[[PurePosixPath], str]] = (
    str,
    lambda path: str(path.with_suffix("")),
    lambda path: path.name,
    lambda path: path.stem,
)


def _by_prompt(a: Sequence[ScoredImage], b: Sequence[ScoredImage]) -> Pairs:
    """By the text prompt; the images of one prompt count by their mean."""
    first, second = _of_prompts(a), _of_prompts(b)
    common = [prompt for prompt in first if prompt in second]
    pairs = tuple(
        Pair(
            prompt,
            _mean(first[prompt]),
            _mean(second[prompt]),
            first[prompt][0].path,
            second[prompt][0].path,
        )
        for prompt in common
    )
    groups = [group for prompt in common for group in (first[prompt], second[prompt])]
    inside = [sum(len(each[prompt]) for prompt in common) for each in (first, second)]
    averaged = sum(len(group) for group in groups if len(group) > 1)
    return Pairs("prompt", pairs, (len(a) - inside[0], len(b) - inside[1]), averaged)


def _of_prompts(images: Sequence[ScoredImage]) -> Mapping[str, list[ScoredImage]]:
    found: dict[str, list[ScoredImage]] = defaultdict(list)
    for image in images:
        if image.prompt and image.prompt.strip():
            found[image.prompt.strip()].append(image)
    return found


def _mean(images: Sequence[ScoredImage]) -> float:
    return math.fsum(image.score for image in images) / len(images)


def _means(values: npt.NDArray[np.float64], resamples: int, seed: int) -> npt.NDArray[np.float64]:
    """The means of resamples of the values."""
    random = np.random.default_rng(seed)
    return np.array([values[random.integers(0, len(values), len(values))].mean() for _ in range(resamples)])


def _ends(found: npt.NDArray[np.float64] | None) -> tuple[float | None, float | None]:
    if found is None or not len(found):
        return None, None
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(found, [tail, 1 - tail])
    return float(low), float(high)
