"""Damages that files suffer: bytes flipped, cut, swapped; JSON with another value at any of its places."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

Place: TypeAlias = tuple[str | int, ...]
"""Keys and positions that lead to a value."""


def flipped(data: bytes, chance: random.Random) -> bytes:
    """One to eight bits turned over."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def cut(data: bytes, chance: random.Random) -> bytes:
    """The end, the beginning or a piece of the middle is missing."""
    begin, end = sorted(chance.randrange(len(data) + 1) for _ in range(2))
    return chance.choice([data[:end], data[begin:], data[:begin] + data[end:]])


def swapped(data: bytes, chance: random.Random) -> bytes:
    """Two pieces of the same length have changed places."""
    length = chance.randint(1, max(1, len(data) // 4))
    one = chance.randrange(max(1, len(data) - 2 * length))
    other = chance.randint(one + length, max(one + length, len(data) - length))
    first, second = data[one : one + length], data[other : other + length]
    return data[:one] + second + data[one + length : other] + first + data[other + length :]


BYTES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "bytes flipped": flipped,
    "bytes cut": cut,
    "bytes swapped": swapped,
}

VALUES = {
    "null": "null",
    "true": "true",
    "negative": "-1",
    "fraction": "0.5",
    "huge": "1" + "0" * 400,
    "infinite": "1e999",
    "NaN": "NaN",
    "no text": '""',
    "text": '"x"',
    "half a pair": '"\\ud800"',
    "NUL": '"a\\u0000b"',
    "long text": f'"{"x" * 1_000_000}"',
    "list": "[[]]",
    "object": '{"a": {}}',
    "deep": "[" * 100_000 + "]" * 100_000,
}
"""What is put in the place of a value, as JSON."""


def places(value: Any, here: Place = ()) -> Iterator[Place]:
    """The place of every value in parsed JSON, the whole first."""
    yield here
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*here, key))


def with_value(value: Any, place: Place, raw: str | None) -> bytes:
    """The JSON text with another value at a place; None removes it."""
    if not place:
        return (raw or "").encode()
    changed = copy.deepcopy(value)
    holder = changed
    for key in place[:-1]:
        holder = holder[key]
    if raw is None:
        del holder[place[-1]]
        return json.dumps(changed).encode()
    holder[place[-1]] = "the other value"
    return json.dumps(changed).replace('"the other value"', raw).encode()
