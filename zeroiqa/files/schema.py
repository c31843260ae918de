"""Describe as data what a parsed file must look like, and find the first place where it does not."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from zeroiqa.files.damage import shortened

_LONGEST_TEXT = 1 << 16
_LARGEST = 2**63


@dataclass(frozen=True)
class Plain:
    """One value."""

    words: str
    """What it is, for a message."""
    fits: Callable[[Any], bool]


@dataclass(frozen=True)
class ListOf:
    """A list whose items are all alike."""

    item: Shape


@dataclass(frozen=True)
class MapOf:
    """An object with any keys, whose values are all alike."""

    value: Shape


@dataclass(frozen=True)
class Record:
    """An object with known keys; others, of later versions, are not looked at."""

    fields: Mapping[str, Shape]
    optional: Mapping[str, Shape] = field(default_factory=dict)
    """Those that older versions did not write."""


Shape: TypeAlias = Plain | ListOf | MapOf | Record


def _is_text(value: Any) -> bool:
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT or "\0" in value:
        return False
    try:
        os.fsencode(value)  # the escapes of a path that is no UTF-8 are right, other halves of pairs are not
    except UnicodeEncodeError:
        return False
    return True


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LARGEST


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf


TEXT = Plain("a text", _is_text)
WHOLE = Plain("a whole number from 0 on", _is_whole)
TRUTH = Plain("true or false", lambda value: isinstance(value, bool))
NUMBER = Plain("a finite number", _is_number)
ANYTHING = Plain("", lambda value: True)


def one_of(*values: str) -> Plain:
    """One of some texts."""
    return Plain(f"one of {', '.join(values)}", lambda value: isinstance(value, str) and value in values)


def perhaps(shape: Plain) -> Plain:
    """The same, or null."""
    return Plain(f"{shape.words} or null", lambda value: value is None or shape.fits(value))


def first_wrong(value: Any, shape: Shape, place: str = "") -> str | None:
    """The first value that does not fit, as a part of a sentence; None if all do.

    Args:
        value: Parsed JSON or TOML.
        shape: What it should be.
        place: Keys that lead to it, with dots between.
    """
    match shape:
        case Plain():
            return None if shape.fits(value) else _wrong(place, value, shape.words)
        case ListOf():
            if not isinstance(value, list):
                return _wrong(place, value, "a list")
            found = (first_wrong(item, shape.item, f"{place}[{i}]") for i, item in enumerate(value))
        case MapOf():
            if not isinstance(value, dict):
                return _wrong(place, value, "an object")
            keys = (first_wrong(key, TEXT, _joined(place, key)) for key in value)
            values = (first_wrong(item, shape.value, _joined(place, key)) for key, item in value.items())
            found = (wrong for pair in zip(keys, values, strict=True) for wrong in pair)
        case Record():
            if not isinstance(value, dict):
                return _wrong(place, value, "an object")
            if missing := next((key for key in shape.fields if key not in value), None):
                return f"{_joined(place, missing)} is missing"
            there = {**shape.fields, **{key: s for key, s in shape.optional.items() if key in value}}
            found = (first_wrong(value[key], each, _joined(place, key)) for key, each in there.items())
    return next((wrong for wrong in found if wrong is not None), None)


def numbers(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """All numbers in parsed JSON or YAML, each by the key that it is under, be it in lists."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from numbers(each, str(key))
    elif isinstance(value, list):
        for each in value:
            yield from numbers(each, name)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, value


def _joined(place: str, key: str) -> str:
    return shortened(f"{place}.{key}" if place else key)


def _wrong(place: str, value: Any, wanted: str) -> str:
    if isinstance(value, dict | list):
        found = f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    elif isinstance(value, int) and value.bit_length() > 99:
        found = "a number of hundreds of digits"
    else:
        found = shortened(repr(value))
    return f"{place or 'all of it'} is {found}, not {wanted}"
