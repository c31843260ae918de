"""What a model would say first: how much of it is on the scale, and which tokens are the likeliest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

COUNT = 5
"""Tokens that are shown."""
LEAST_MASS = 0.5
"""Of an answer, on the levels; below it the model rather says something else."""


class FirstToken(NamedTuple):
    """The distribution of an answer's first token, in short."""

    mass: float | None
    """P(it is a level), in [0, 1]; None where the standard has no levels or nobody tells."""
    likeliest: tuple[tuple[str, float | None], ...]
    """Tokens as text with their probabilities (None: unknown), likeliest first, `COUNT` at most."""


def listed(likeliest: Iterable[tuple[str, float | None]]) -> str:
    """Tokens for a sentence: quoted, control characters escaped, with their probabilities."""
    return ", ".join(repr(text) if share is None else f"{text!r} {share:.2g}" for text, share in likeliest)


def off_the_scale(who: str, first: FirstToken) -> str | None:
    """A sentence about a model that does not answer on the scale; None for one that does."""
    if first.mass is None or first.mass >= LEAST_MASS:
        return None
    return (
        f"{who} rarely answers by a level: {first.mass:.2g} of its answer to a built-in picture is one; "
        f"likeliest are {listed(first.likeliest)} (`zeroiqa models check` shows more)."
    )
