"""Read numbers as people write them: plain decimal ones, and words for a missing one."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE | re.ASCII)
_WITH_COMMA = re.compile(r"[+-]?(\d+,\d*|,\d+)(e[+-]?\d+)?", re.IGNORECASE | re.ASCII)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)
"""One comma that may part thousands as well as decimals."""
_BLANK = frozenset(
    (
        "",
        "nan",
        "na",
        "n/a",
        "n.a.",
        "#n/a",
        "<na>",
        "none",
        "null",
        "nil",
        "-",
        "--",
        "\u2013",
        "\u2014",
        "?",
    )
)
_LONGEST = 400
"""Characters of a number; the longest exact double has fewer after its first digit that counts."""


def plain_number(text: str, *, decimal_comma: bool = False) -> float | None:
    """The finite number that a text is, or None.

    Digits 0 to 9 with one decimal point at most, perhaps a sign and an exponent, blanks around them: no _ or
    other sign between digits, no digits of other scripts, no per cent.

    Args:
        text: Of a cell or an option.
        decimal_comma: 2,5 is a number, too.
    """
    text = text.strip()
    if len(text) > _LONGEST:
        return None
    if decimal_comma and _WITH_COMMA.fullmatch(text):
        text = text.replace(",", ".")
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def is_blank(text: str) -> bool:
    """Whether a text stands for no value."""
    return text.strip().lower() in _BLANK


def has_comma(text: str) -> bool:
    """Whether a text is a number with a decimal comma, or one whose thousands a comma parts."""
    return _WITH_COMMA.fullmatch(text.strip()) is not None


def may_be_thousands(texts: Iterable[str]) -> bool:
    """Whether each comma of some numbers may part thousands as well as decimals."""
    return all(_THOUSANDS.fullmatch(text.strip()) for text in texts)
