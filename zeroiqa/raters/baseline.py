"""A baseline in a rater's place, so that runs, tables and comparisons treat it like any other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from zeroiqa.baselines import PYIQA, find_measured, find_variant
from zeroiqa.baselines.measure import Measured, build_measure
from zeroiqa.errors import ImageError, UserError
from zeroiqa.raters.able import advice
from zeroiqa.raters.entry import LOWER_IS_BETTER
from zeroiqa.types import Rating
from zeroiqa.weights.options import ModelOptions

if TYPE_CHECKING:
    from zeroiqa.standards import Aspect, Standard
    from zeroiqa.types import View


class BaselineRater:
    """Rates views by a baseline; scores are the baseline's own, in its own direction.

    A rating is the same under every standard: a baseline knows one question only.

    Args:
        name: As for `zeroiqa.baselines.measure.build_measure`: "piqe", "niqe:FILE", "pyiqa:musiq".
        options: How weights are loaded and run.

    Raises:
        UserError: there is no such baseline, or it is computed elsewhere.
    """

    def __init__(self, name: str, options: ModelOptions = ModelOptions()) -> None:  # noqa: B008 -- frozen
        if not name:
            raise UserError("The rater baseline needs a name; write baseline:NAME (see `zeroiqa baselines`).")
        self._key, _, argument = name.partition(":")
        self._measure = build_measure(name, options)
        known = find_variant(argument) if self._key == PYIQA else find_measured(self._key)
        self._aspect: Aspect = known.aspect if known else "quality"
        self._version = known.version if known else 1

    @property
    def id(self) -> str:
        """Name, version and weights; and that lower is better, where it is.

        Ids without that are of runs whose numbers were turned before they were stored, so that higher is
        better in them, or of baselines for which it is.

        Raises:
            UserError: the weights are neither on this disk nor to be had.
        """
        known = f"baseline {self._key} {self._version} {self._measure.id}".rstrip()
        return f"{known} {LOWER_IS_BETTER}" if self._measure.direction < 0 else known

    @property
    def images_per_call(self) -> int:
        """How many images' views are worth one call of `rate`."""
        return self._measure.images_per_call

    def check(self, standard: Standard) -> None:
        """Raise `UserError` unless the standard asks of one image the aspect that the baseline measures."""
        if standard.aspect != self._aspect:
            raise UserError(
                f"The baseline {self._key} measures {self._aspect}, but the standard {standard.name} has the "
                f"aspect {standard.aspect}; choose a standard for {self._aspect}, or else: "
                f"{advice(standard.aspect)}."
            )
        if standard.comparison is not None:
            raise UserError(
                f"The baseline {self._key} looks at one image, but the standard {standard.name} shows two in "
                "one prompt; choose another standard or a chat model."
            )

    def rate(self, views: Sequence[View], standards: Sequence[Standard]) -> list[list[Rating | None]]:
        """Ratings indexed [view][standard]; each holds the one number of its view, None where there is none.

        Raises:
            ImageError: a view cannot be measured, its number is not finite, or its text prompt is missing.
            UserError: the weights cannot be loaded.
        """
        for standard in standards:
            self.check(standard)
        if not (views and standards):
            return [[] for _ in views]
        return [[self._rating(found)] * len(standards) for found in self._measure.measure(views)]

    def _rating(self, found: Measured | None) -> Rating | None:
        if found is None:
            return None
        if not math.isfinite(found.value):
            raise ImageError(f"The baseline {self._key} gave {found.value}, which is no score.")
        return Rating(logprobs=(), mass=found.mass, value=found.value + 0.0)  # never -0.0
