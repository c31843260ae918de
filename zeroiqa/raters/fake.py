"""A rater for tests, demos and dry runs: deterministic, instant, and of no meaning."""

from __future__ import annotations

import math
from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

from zeroiqa.errors import UserError
from zeroiqa.types import Rating, View

if TYPE_CHECKING:
    from zeroiqa.standards import Standard

_ROWS = 64  # rows of pixels that are hashed, evenly spread: a large photo costs about a millisecond


class FakeRater:
    """Draws each rating from a hash of the view, the standard and a number.

    Args:
        argument: The number, as text: "fake:1" and "fake:2" disagree like members of an ensemble. None is 0.

    Raises:
        UserError: the argument is not a whole number.
    """

    images_per_call = 1

    def __init__(self, argument: str | None = None) -> None:
        try:
            self._number = 0 if argument is None else int(argument)
        except ValueError:
            raise UserError(
                f"The rater fake takes a whole number, found {argument!r}; write fake or fake:2."
            ) from None

    @property
    def id(self) -> str:
        """Name, version of the drawing, and the number."""
        return f"fake 1 number={self._number}"

    def check(self, standard: Standard) -> None:
        """Raise `UserError` for a standard without levels."""
        if standard.kind in ("float", "preference", "comparison"):
            raise UserError(
                f"The rater fake gives levels, but the standard {standard.name} asks for another number; "
                "choose another standard."
            )

    def rate(self, views: Sequence[View], standards: Sequence[Standard]) -> list[list[Rating | None]]:
        """Ratings indexed [view][standard].

        Raises:
            ImageError: a standard needs the image's text prompt, and there is none.
        """
        return [[self._draw(view, standard) for standard in standards] for view in views]

    def _draw(self, view: View, standard: Standard) -> Rating:
        """P(level k) is proportional to the fourth power of a hashed byte: some levels stand out.

        The answer is the most probable level.
        """
        prompt = ""
        if standard.needs_prompt or standard.crops_differ:
            filled = standard.fill(view.prompt, crop=view.region is not None)
            prompt = repr(filled) if standard.crops_differ else filled.before_image + filled.user
        facts = f"{self._number} {standard.hash} {view.pixels.shape} {prompt}"
        step = max(1, len(view.pixels) // _ROWS)
        digest = blake2b(
            facts.encode(errors="backslashreplace") + view.pixels[::step].tobytes(), digest_size=10
        )
        *drawn, outside = digest.digest()
        weights = [(byte + 1) ** 4 for byte in drawn[: standard.k]]
        logprobs = tuple(math.log(weight / sum(weights)) for weight in weights)
        answer = str(1 + weights.index(max(weights)))
        return Rating(logprobs, mass=1 - outside / 2560, answer=answer)
