"""What a standard of kind "comparison" shows and asks: a photo beside degraded copies of itself (Q-Debias).

Q-Debias (Pan et al., "A Plug-and-Play Inference-Time Debiasing Framework for Image Quality Assessment",
arXiv 2411.12791, AAAI 2026) puts a copy of known bad quality before the photo, so that the model judges the
photo and not what it shows. Each copy's answer weighs by how sure the model is that both show one object.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

Show: TypeAlias = Literal["whole", "as-run"]
"""Of the photo: all of it, or the two tiles that the authors' processor really sends of a second picture."""

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
    def passes(self) -> int:
        """How many prompts one view takes."""
        return len(self.degradations) * (2 if self.weight_question else 1)
