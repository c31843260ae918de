"""The five quality levels: their words, and the level of a score (equation 2 of the LMM4LMM paper)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from zeroiqa.errors import UserError

LEVEL_WORDS = ("bad", "poor", "fair", "good", "excellent")
"""From level 1 to level 5."""


def level_of(mos: float, low: float, high: float) -> int:
    """The level, from 1 to 5, of a score.

    The scale is cut into five equal intervals; an upper edge belongs to the interval below it, and the least
    score to level 1. On [0, 100], 20 is bad, 20.01 poor and 100 excellent.

    Args:
        mos: A score; one outside of the scale gets the level at its end.
        low: Least score of the training examples.
        high: Greatest score of the training examples, above `low`.
    """
    edges = [low + (high - low) * number / len(LEVEL_WORDS) for number in range(1, len(LEVEL_WORDS))]
    return 1 + sum(mos > edge for edge in edges)


def levels_of(mos: Sequence[float]) -> npt.NDArray[np.int64]:
    """The levels, shape (n,), of scores whose least and greatest are the ends of the scale.

    Raises:
        UserError: the scores are fewer than two, or all equal: they have no scale.
    """
    if len(set(mos)) < 2:
        raise UserError(
            f"Levels need ratings that differ, found {len(mos):,} that do not; give those of more images."
        )
    return np.array([level_of(value, min(mos), max(mos)) for value in mos], dtype=np.int64)


def level_in(text: str) -> int:
    """The level, from 1 to 5, whose word an answer contains; 0 if none (looked for from bad to excellent)."""
    found = (level for level, word in enumerate(LEVEL_WORDS, 1) if word in text.lower())
    return next(found, 0)
