"""Segmenters and raters by name: the names are data, and a module is imported only once it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from zeroiqa.errors import UserError


def resolve(kind: str, name: str, table: Mapping[str, str]) -> tuple[Callable[..., Any], str | None]:
    """What a name such as "grid:3x2" stands for.

    Args:
        kind: What the table holds, for the message: "segmenter", "rater".
        name: A name of the table, optionally followed by a colon and an argument.
        table: Name -> "module:attribute".

    Returns:
        The attribute, and the text after the first colon (None without a colon).

    Raises:
        UserError: The table has no such name.
    """
    key, colon, argument = name.partition(":")
    if key not in table:
        raise UserError(f"unknown {kind} {key!r}{_suggestion(key, table)} Known: {', '.join(table)}.")
    module, _, attribute = table[key].partition(":")
    return getattr(import_module(module), attribute), argument if colon else None


def _suggestion(key: str, table: Mapping[str, str]) -> str:
    nearest = get_close_matches(key, table, n=1)
    return f"; did you mean {nearest[0]!r}?" if nearest else "."
