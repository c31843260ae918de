"""Raters by name; a module is imported only when its rater is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeroiqa.registry import resolve

if TYPE_CHECKING:
    from zeroiqa.types import Rater

_RATERS = {
    "nss": "zeroiqa.raters.nss:NssRater",
    "fake": "zeroiqa.raters.fake:FakeRater",
}


def rater_names() -> tuple[str, ...]:
    """The names that `build_rater` knows."""
    return tuple(_RATERS)


def build_rater(name: str) -> Rater:
    """A rater by name.

    Args:
        name: One of `rater_names()`, some of which take an argument after a colon ("fake:2").

    Raises:
        UserError: the name is unknown, or the rater does not take the argument.
    """
    build, argument = resolve("rater", name, _RATERS)
    rater: Rater = build(argument)
    return rater
