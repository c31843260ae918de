"""The known names that a mistaken one may mean."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, known: Iterable[str], *, most: int = 1) -> list[str]:
    """The known names that look most like a word, whatever their case; the likeliest first."""
    folded = {name.lower(): name for name in known}
    found = get_close_matches(word.lower(), folded, n=most, cutoff=0.6 if most == 1 else 0.5)
    return [folded[name] for name in found]


def did_you_mean(word: str, known: Iterable[str], *, most: int = 1) -> str:
    """The same as a question and a blank: "did you mean grid? "; empty where nothing looks like the word."""
    found = nearest(word, known, most=most)
    return f"did you mean {' or '.join(found)}? " if found else ""
