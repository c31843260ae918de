"""Raters by name: what is known of one, and how it is built."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from zeroiqa.errors import UserError
from zeroiqa.raters.builtin import builtin_raters
from zeroiqa.raters.entry import RaterEntry
from zeroiqa.registry import Registry
from zeroiqa.weights.options import ModelOptions

if TYPE_CHECKING:
    from zeroiqa.types import Rater


def rater_names() -> tuple[str, ...]:
    """The names that `build_rater` knows, those of installed packages last."""
    return _registry().keys()


def find_rater(name: str) -> RaterEntry:
    """What the rater of a name declares of itself; the text after the colon is not checked.

    Raises:
        UserError: the name is unknown.
    """
    entry, argument = _registry().find(name)
    if entry.for_argument is None:
        return entry
    with _registry().code_of(name, "cannot be looked up"):
        return entry.for_argument(argument or "")


def check_rater(name: str) -> None:
    """Refuse a name, or the text after its colon, as far as it can be told without reading anything.

    Raises:
        UserError: the rater is unknown, or does not take the text.
    """
    entry, argument = _registry().find(name)
    if entry.check is not None:
        with _registry().code_of(name, "cannot be looked up"):
            entry.check(argument)


def declared(name: str) -> RaterEntry:
    """As `find_rater`; what a caller hands in as an object, under any name, is one that rates by levels."""
    return find_rater(name) if name.partition(":")[0] in _registry() else RaterEntry(_not_by_name)


def build_rater(name: str, options: ModelOptions | None = None, *, digits_suffice: bool = False) -> Rater:
    """A rater by name. No weights are loaded, and no server is asked yet.

    Args:
        name: One of `rater_names()`, some of which take an argument after a colon ("fake:2",
            "hf:REPOSITORY_OR_FOLDER", "openai:http://HOST:PORT/v1#MODEL", "baseline:NAME",
            "head:NAME:DIMENSION:FOLDER").
        options: How to load and run weights; without effect on the embedded raters.
        digits_suffice: Whether only the most probable level counts, so that a server may rate which tells no
            other.

    Raises:
        UserError: the name is unknown, or the rater does not take the argument.
    """
    entry, argument = _registry().find(name)
    build = entry.build_for_digits if digits_suffice and entry.build_for_digits else entry.build
    with _registry().code_of(name, "cannot be built"):
        rater = build(argument, options or ModelOptions())
    described = ("descriptions",) if entry.describes else ()
    _registry().check_parts(name, rater, "id", "images_per_call", "check", "rate", *described)
    return rater


def offered_raters() -> Iterator[tuple[str, RaterEntry, str]]:
    """Name, entry and package of the raters that installed packages offer."""
    for name, entry in _registry().entries():
        package = _registry().origin(name)
        if package is not None:
            yield name, entry, package


def _not_by_name(argument: str | None, options: ModelOptions) -> Rater:
    raise UserError("This rater is an object of the caller's; it is not built by a name.")


@cache
def _registry() -> Registry[RaterEntry]:
    return Registry("rater", "zeroiqa.raters", RaterEntry, builtin_raters())
