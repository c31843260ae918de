"""Words of others without our secrets: no part of a key that is worth having is ever shown."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from urllib.parse import quote, unquote

_PART = 8
"""Characters of a secret that are never shown together."""
_LONGEST = 8192
"""Characters of a text that are looked at; nobody is shown more of a foreign one."""
_MASK = "[key]"
_USER = re.compile(r"(?<=://)[^\s/?#@]+@")
_QUERY = re.compile(r"(?<=://)([^\s?#\"'<>]*)\?[^\s\"'<>]+")
_ESCAPE = re.compile(r"\\(?:u00|x)([0-9a-fA-F]{2})")
_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def without_secrets(text: str, secrets: Sequence[str]) -> str:
    """A text, cut to what a message can use, in which nothing of a secret is left.

    Each run of characters that is 8 or more of a secret becomes "[key]", in upper or lower case, as it is, in
    base64, hexadecimal or percent signs; a shorter secret counts where it stands alone. User, password and
    query of an address are taken for secrets of others. Where a secret is written in another way (letter by
    letter, backwards, with escapes), nothing of the text is shown.
    """
    text = _QUERY.sub(rf"\1?{_MASK}", _USER.sub(f"{_MASK}@", text[:_LONGEST]))
    for secret in filter(None, secrets):
        if len(secret) < _PART:
            text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(secret)}(?![A-Za-z0-9])", _MASK, text)
        else:
            text = _masked(text, _parts(secret))
    if any(_is_spelled(text, secret) for secret in secrets):
        return f"words that spell the key: {_MASK}"
    return text


def holds_secret(text: str, secrets: Sequence[str]) -> bool:
    """Whether 8 characters or more of a secret are in a text; a shorter secret is a word like any other."""
    return any(len(secret) >= _PART and _found(text, _parts(secret)) for secret in secrets)


def _masked(text: str, parts: frozenset[str]) -> str:
    shown, end = "", 0
    for start, stop in _found(text, parts):
        shown, end = f"{shown}{text[end:start]}{_MASK}", stop
    return shown + text[end:]


def _found(text: str, parts: frozenset[str]) -> list[tuple[int, int]]:
    """Where parts stand; those that touch are one."""
    spans: list[tuple[int, int]] = []
    for at, run in enumerate(_runs(text)):
        if run in parts:
            begins = spans.pop()[0] if spans and spans[-1][1] >= at else at
            spans.append((begins, at + _PART))
    return spans


def _is_spelled(text: str, secret: str) -> bool:
    """Whether a part of a secret is in a text once that is read in another way."""
    if len(secret) < _PART:
        return False
    decoded = (unquote(text), html.unescape(text), _ESCAPE.sub(lambda code: chr(int(code[1], 16)), text))
    if any(_found(reading, _parts(secret)) for reading in decoded if reading != text):
        return True
    letters, bare = _letters(text), frozenset(_runs(_letters(secret)))
    return any(run in bare for reading in (letters, letters[::-1]) for run in _runs(reading))


@lru_cache(maxsize=16)
def _parts(secret: str) -> frozenset[str]:
    """All runs of 8 characters of the ways in which a secret is written."""
    data = secret.encode()
    forms = {secret, quote(secret, safe=""), data.hex()}
    for before in range(3):  # bytes that are encoded together with the secret, in front of it
        whole = bytes(before) + data
        inner = slice((8 * before + 5) // 6, 8 * len(whole) // 6)
        forms |= {encode(whole).decode()[inner] for encode in (base64.b64encode, base64.urlsafe_b64encode)}
    return frozenset(run for form in forms for run in _runs(form))


def _runs(text: str) -> Iterator[str]:
    lower = text.translate(_LOWER)
    return (lower[at : at + _PART] for at in range(len(lower) - _PART + 1))


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text))
