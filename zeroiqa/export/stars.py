"""Scores as ratings of 1 to 5 stars, by a map that never falls as quality rises."""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from zeroiqa.aggregate import Scale
from zeroiqa.errors import UserError

BY_SCALE = "scale"
BY_PERCENTILE = "percentile"
MOST = 5


class Stars(Protocol):
    """A map from scores to ratings."""

    def __call__(self, score: float) -> int:
        """The rating of a score, from 1 to 5."""
        ...

    def __str__(self) -> str:
        """The map in words, for one line."""
        ...


@dataclass(frozen=True)
class ByCuts:
    """Ratings between fixed scores."""

    cuts: tuple[float, ...]
    """Four scores that rise: where the rating changes. A score on a cut has the better rating."""
    lower_is_better: bool = False

    def __call__(self, score: float) -> int:
        """The rating of a score, from 1 to 5."""
        if self.lower_is_better:
            return MOST - bisect_left(self.cuts, score)
        return 1 + bisect_right(self.cuts, score)

    def __str__(self) -> str:
        """The map in words, for one line."""
        if self.lower_is_better:
            steps = (f"{MOST - index} to {cut:g}" for index, cut in enumerate(self.cuts))
            return f"{', '.join(steps)}, 1 above"
        steps = (f"{index} from {cut:g}" for index, cut in enumerate(self.cuts, 2))
        return f"1 below {self.cuts[0]:g}, {', '.join(steps)}"


@dataclass(frozen=True)
class ByPercentile:
    """Ratings by the rank among all scores of a run: a fifth of the images each, equal scores together."""

    scores: np.ndarray[tuple[int], np.dtype[np.float64]]
    """Sorted, the smallest first."""
    lower_is_better: bool = False

    def __call__(self, score: float) -> int:
        """The rating of a score, from 1 to 5: that of the middle rank of those that are equal to it."""
        below, above = (int(np.searchsorted(self.scores, score, side)) for side in ("left", "right"))
        rank = (below + above) / (2 * len(self.scores))
        better = 1 - rank if self.lower_is_better else rank
        return min(MOST, 1 + int(MOST * better))

    def __str__(self) -> str:
        """The map in words, for one line."""
        return f"a fifth of {len(self.scores)} images each, by rank"


def by_scale(scale: Scale, *, lower_is_better: bool = False) -> ByCuts:
    """Five equal parts of the scale.

    Raises:
        UserError: the scale has no two ends.
    """
    if scale.low is None or scale.high is None:
        raise UserError(
            f"Scores {scale} cannot be cut into five equal parts; give --stars percentile, or four scores."
        )
    low, high = scale.low, scale.high
    cuts = tuple(low + (high - low) * part / MOST for part in range(1, MOST))
    return ByCuts(cuts, lower_is_better)


def by_percentile(scores: Iterable[float], *, lower_is_better: bool = False) -> ByPercentile:
    """Five equal parts of the images; there must be one."""
    return ByPercentile(np.sort(np.fromiter(scores, np.float64)), lower_is_better)


def read_cuts(text: str) -> tuple[float, ...]:
    """Four scores between commas.

    Raises:
        UserError: they are no four numbers that rise.
    """
    try:
        cuts = tuple(map(float, text.split(",")))
    except ValueError:
        cuts = ()
    if len(cuts) != MOST - 1 or not _rising(cuts):
        raise UserError(
            f"{text!r} is no map to stars; give scale, percentile, or the four scores from which on an image "
            "has one star more, such as 2,3,4,5."
        )
    return cuts


def _rising(numbers: Sequence[float]) -> bool:
    finite = all(abs(number) < float("inf") for number in numbers)
    return finite and all(one < other for one, other in itertools.pairwise(numbers))
