"""The fast paths: ways of computing the same numbers as `generate` does for one view under one prompt.

Several views in one batch, positions given or left to the model, the vision encoder run once for several
prompts, the tokens before the image run once for all views, and what several prompts of a view begin with,
the image included, run once for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

PrefixUse: TypeAlias = Literal["off", "equal", "any"]
TrunkUse: TypeAlias = Literal["off", "text", "picture"]


@dataclass(frozen=True)
class Paths:
    """Which paths are in use."""

    forward: bool = False
    """One forward pass instead of `generate`."""
    batch: bool = False
    """Several views in one pass."""
    positions: bool = False
    """Positions are given (left padding otherwise moves numbers in bfloat16) or left to the model."""
    features: bool = False
    """The vision encoder runs once for all prompts."""
    prefix: PrefixUse = "off"
    """The tokens before the image run once; "equal": only where all rows of a batch are of one length."""
    full_rows: bool = True
    """Beside a prefix, further inputs of one value per token cover the whole row or only what is new."""
    cache: str = ""
    """The model's argument for the keys and values of the prefix."""
    trunk: TrunkUse = "off"
    """What a view's prompts begin with alike, its picture included, runs once; what follows is given as text
    alone, or with the picture again, which some models look at from every token."""


class PrefixPlan(NamedTuple):
    """How a prefix might be shared."""

    most: PrefixUse
    """The most that may be tried: windows, blocks and recurrent states see padding behind a prefix."""
    arguments: tuple[str, ...]
    """Names by which the model may take the cache, the likeliest first."""
