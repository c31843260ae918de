"""A fine-tuned head in a rater's place, so that runs, tables and comparisons treat it like any other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zeroiqa.errors import ImageError, UserError
from zeroiqa.heads.lmm4lmm.conversation import DIMENSIONS, Dimension
from zeroiqa.heads.lmm4lmm.head import Head
from zeroiqa.heads.predictions import Judged
from zeroiqa.types import Image, Rating
from zeroiqa.weights.options import ModelOptions

if TYPE_CHECKING:
    from zeroiqa.standards import Aspect, Standard
    from zeroiqa.types import View

ASPECTS: dict[Dimension, Aspect] = {
    "perception": "quality",
    "correspondence": "correspondence",
    "qa": "correspondence",
}
"""Dimension of LMM4LMM -> what its number is about."""


class HeadRater:
    """Rates views by LMM4LMM: the score on the scale of its ratings, or the probability of yes.

    The image's text prompt is what correspondence is rated with; for qa it is the question.

    Args:
        name: "lmm4lmm:DIMENSION:FOLDER", the folder that of a checkpoint.
        options: How its weights are loaded and run.

    Raises:
        UserError: there is no such head or dimension, or no folder is named.
    """

    def __init__(self, name: str, options: ModelOptions = ModelOptions()) -> None:  # noqa: B008 -- frozen
        family, _, rest = name.partition(":")
        dimension, _, folder = rest.partition(":")
        known = next((each for each in DIMENSIONS if each == dimension), None)
        if family != "lmm4lmm" or known is None:
            raise UserError(
                f"There is no head {name!r}; write head:lmm4lmm:DIMENSION:FOLDER, DIMENSION one of "
                f"{', '.join(DIMENSIONS)}."
            )
        if not folder:
            raise UserError(
                f"The head {name} lacks its weights, which come with no licence and are not downloaded "
                f"unasked; write {family}:{dimension}:FOLDER, the folder of a checkpoint."
            )
        self._name = f"{family}:{dimension}"
        self._dimension = known
        self._head = Head(self._dimension, Path(folder).expanduser(), options)

    @property
    def id(self) -> str:
        """Dimension and weights.

        Raises:
            UserError: the folder holds no checkpoint.
        """
        return f"head {self._head.id}"

    @property
    def images_per_call(self) -> int:
        """How many images' views are worth one call of `rate`."""
        return self._head.images_per_call

    def check(self, standard: Standard) -> None:
        """Raise `UserError` unless the standard asks for the aspect that the head was trained for."""
        aspect = ASPECTS[self._dimension]
        if standard.aspect != aspect:
            raise UserError(
                f"The head {self._name} rates {aspect}, but the standard {standard.name} has the aspect "
                f"{standard.aspect}; choose a standard for {aspect} or another head."
            )

    def rate(self, views: Sequence[View], standards: Sequence[Standard]) -> list[list[Rating | None]]:
        """Ratings indexed [view][standard]: the number of the view, and with a score the five levels.

        Raises:
            ImageError: a prompt or question is missing.
            UserError: the checkpoint cannot be loaded or used.
        """
        for standard in standards:
            self.check(standard)
        if not (views and standards):
            return [[] for _ in views]
        images = [Image(view.pixels, "view", view.prompt) for view in views]
        texts = [view.prompt for view in views]
        asked = {"questions": texts} if self._dimension == "qa" else {}
        return [[self._rating(judged)] * len(standards) for judged in self._head.score(images, **asked)]

    def _rating(self, judged: Judged) -> Rating:
        value = judged.yes if judged.score is None else judged.score
        if value is None or not math.isfinite(value):
            raise ImageError(f"The head {self._name} gave {value}, which is no score.")
        logprobs = tuple(math.log(share) if share > 0 else -math.inf for share in judged.levels)
        return Rating(logprobs, mass=1.0, value=value)
