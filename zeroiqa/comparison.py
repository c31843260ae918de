"""What a standard of kind "comparison" shows and asks: a photo beside degraded copies of itself (Q-Debias).

Q-Debias (Pan et al., "A Plug-and-Play Inference-Time Debiasing Framework for Image Quality Assessment",
arXiv 2411.12791, AAAI 2026) puts a copy of known bad quality before the photo, so that the model judges the
photo and not what it shows. Each copy's answer weighs by how sure the model is that both show one object.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast, get_args

from zeroiqa.files.keys import Keys

Show: TypeAlias = Literal["whole", "as-run"]
"""Of the photo: all of it, or the two tiles that the authors' processor really sends of a second picture."""

COMPARISON_KEYS = ("show", "weights", "weight", "degradations")
"""Keys of a standard's file that only a comparison has."""

SEVERITIES: Mapping[str, tuple[int, ...]] = {
    "zoom_blur": (1, 2, 3, 4, 5),
    "spatter": (1, 2, 3),
    "saturate": (1, 2, 3),
    "fog": (1, 2, 3, 4, 5),
}
"""Degradations and their severities, those that `zeroiqa.degradations` computes."""


@dataclass(frozen=True)
class Degradation:
    """One degraded copy."""

    name: str
    """A key of `SEVERITIES`."""
    severity: int
    """As in imagecorruptions: 1 is the least."""


@dataclass(frozen=True)
class Comparison:
    """The pictures of a comparison, and the question that weighs its answers."""

    degradations: tuple[Degradation, ...]
    """One for each copy, in the order in which random numbers are drawn for them."""
    show: Show = "whole"
    weight_question: str = ""
    """Asked of each copy and the photo; empty where every copy's answer weighs the same."""
    weight_words: tuple[str, ...] = ()
    """The word for "the copy counts", then the other one; empty without the question."""

    @property
    def prompts(self) -> int:
        """How many prompts a view is asked by."""
        return len(self.degradations) * (2 if self.weight_question else 1)

    def value(self, good: Sequence[float], weights: Sequence[float]) -> float:
        """The mean of the copies' answers, weighted by the softmax of the weights.

        The weights are probabilities, and it is these whose exponentials count: no two differ by more than a
        factor of e.

        Args:
            good: For each copy the probability that the photo is good, of the two words; in [0, 1].
            weights: For each copy that of the first weight word, in [0, 1]; none where all weigh the same.

        Returns:
            In [0, 1], between the least and the largest of `good`.
        """
        shares = [math.exp(weight) for weight in weights] or [1.0] * len(good)
        return math.fsum(s * p for s, p in zip(shares, good, strict=True)) / math.fsum(shares)


def read_comparison(keys: Keys, levels: Sequence[str]) -> Comparison:
    """A comparison from a standard's file.

    Args:
        keys: Of the file.
        levels: Its words.

    Raises:
        UserError: a key is missing, unknown or wrong; the message names it.
    """
    if len(levels) != 2:
        raise keys.wrong(
            "levels", f"found {len(levels)} of them", "give two, 1 for low quality and 2 for high"
        )
    show = cast(Show, keys.choice("show", get_args(Show))) if "show" in keys.content else "whole"
    degradations = _read_degradations(keys.inner("degradations", "from the name of each to its severity"))
    if keys.choice("weights", ("weighted", "equal")) == "equal":
        if "weight" in keys.content:
            raise keys.wrong(
                "weight", "there is nothing to ask where weights are equal", 'leave it out, or say "weighted"'
            )
        return Comparison(degradations, show)
    asked = keys.inner("weight", "with the question user and the words yes and no")
    asked.refuse_unknown(("user", "yes", "no"), "this table")
    words = asked.words("yes"), asked.words("no")
    if words[0].casefold() == words[1].casefold():
        raise asked.wrong("yes, no", "they are the same word", "give opposites")
    return Comparison(degradations, show, asked.text("user"), words)


def _read_degradations(table: Keys) -> tuple[Degradation, ...]:
    if not table.content:
        raise table.wrong("*", "there is none", f"name some of {', '.join(SEVERITIES)}")
    table.refuse_unknown(tuple(SEVERITIES), "this table")
    limits = {name: (severities[0], severities[-1]) for name, severities in SEVERITIES.items()}
    return tuple(Degradation(name, table.integer(name, *limits[name])) for name in table.content)
