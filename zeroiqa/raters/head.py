"""A fine-tuned head in a rater's place, so that runs, tables and comparisons treat it like any other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zeroiqa.errors import ImageError, UserError
from zeroiqa.heads.predictions import Prediction
from zeroiqa.heads.registry import find_head
from zeroiqa.raters.able import advice
from zeroiqa.types import Image, Rating
from zeroiqa.weights.options import ModelOptions

if TYPE_CHECKING:
    from zeroiqa.standards import Standard
    from zeroiqa.types import View


class HeadRater:
    """Rates views by a head: the score on the scale of its ratings, or the probability of yes.

    The image's text prompt is what correspondence is rated with; for questions it is the question.

    Args:
        name: "NAME:DIMENSION:FOLDER", the folder that of the head's weights.
        options: How to load and run them.

    Raises:
        UserError: there is no such head or dimension, or no folder is named.
    """

    def __init__(self, name: str, options: ModelOptions = ModelOptions()) -> None:  # noqa: B008 -- frozen
        found = find_head(name)
        if not found.folder:
            raise UserError(
                f"The head {name} lacks its weights, which {found.entry.weights}; write "
                f"{found.label}:FOLDER, the folder of a checkpoint."
            )
        self._name, self._aspect = found.label, found.dimension.aspect
        folder = Path(found.folder).expanduser()
        self._model = found.entry.load_model(found.dimension.name, folder, options)

    @property
    def id(self) -> str:
        """Dimension and weights.

        Raises:
            UserError: the folder holds no checkpoint.
        """
        return f"head {self._model.id}"

    @property
    def images_per_call(self) -> int:
        """How many images' views are worth one call of `rate`."""
        return self._model.images_per_call

    def check(self, standard: Standard) -> None:
        """Raise `UserError` unless the standard asks of one image what the head was trained for."""
        if standard.aspect != self._aspect:
            raise UserError(
                f"The head {self._name} rates {self._aspect}, but the standard {standard.name} has the "
                f"aspect {standard.aspect}; choose a standard for {self._aspect}, or else: "
                f"{advice(standard.aspect)}."
            )
        if standard.comparison is not None:
            raise UserError(
                f"The head {self._name} looks at one image, but the standard {standard.name} shows two in "
                "one prompt; choose another standard or a chat model."
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
        predictions = self._model.predict(images, [view.prompt for view in views])
        return [[self._rating(prediction)] * len(standards) for prediction in predictions]

    def _rating(self, prediction: Prediction) -> Rating:
        value = prediction.yes if prediction.score is None else prediction.score
        if value is None or not math.isfinite(value):
            raise ImageError(f"The head {self._name} gave {value}, which is no score.")
        logprobs = tuple(math.log(share) if share > 0 else -math.inf for share in prediction.levels)
        return Rating(logprobs, mass=1.0, value=value)
