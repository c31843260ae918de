"""The known names that a mistaken one may mean."""

from __future__ import annotations

import os
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

_LEAST = 3
"""Letters of a word that says something as the part of a name."""
_LISTED = 10
"""Names in one sentence, at most."""


def nearest(word: str, known: Iterable[str], *, most: int = 1) -> list[str]:
    """The known names that a word means, whatever its case; the likeliest first.

    The one that has one letter more; else those that begin with the word; else those that it is a part of;
    else those that look most like it, of which there are `most`.
    """
    folded = {name.lower(): name for name in known}
    begun = word.lower()
    if len(begun) >= _LEAST:
        for name in folded:
            if name[:-1] == begun:
                return [folded[name]]
        for found in (
            [name for name in folded if name.startswith(begun)],
            [name for name in folded if begun in name],
        ):
            if found:
                return [folded[name] for name in found]
    found = get_close_matches(begun, folded, n=most, cutoff=0.6 if most == 1 else 0.5)
    return [folded[name] for name in found]


def alternatives(names: Iterable[str]) -> str:
    """Names for a question: "a, b or c"; of many the first, and how many more there are."""
    listed = list(names)
    if len(listed) > _LISTED:
        listed = [*listed[: _LISTED - 1], f"{len(listed) - _LISTED + 1} more"]
    return " or ".join(([", ".join(listed[:-1])] if len(listed) > 1 else []) + listed[-1:])


def did_you_mean(word: str, known: Iterable[str], *, most: int = 1) -> str:
    """The same as a question and a blank: "did you mean grid? "; empty where nothing looks like the word."""
    found = nearest(word, known, most=most)
    return f"did you mean {alternatives(found)}? " if found else ""


def did_you_mean_path(path: str | os.PathLike[str]) -> str:
    """A blank and a question, for a path on this disk that does not exist: what lies there under a like name.

    The first part that does not exist is the mistaken one; its folder is looked at.
    """
    if "://" in os.fspath(path):
        return ""
    try:
        wrong = Path(path)
        while not wrong.parent.exists() and wrong.parent != wrong:
            wrong = wrong.parent
        names = sorted(entry.name for entry in os.scandir(wrong.parent))
    except (OSError, ValueError):
        return ""
    rest = Path(path).relative_to(wrong)
    near = [wrong.parent / name for name in nearest(wrong.name, names)]
    there = [str(each / rest if (each / rest).exists() else each) for each in near]
    return f" Did you mean {alternatives(there)}?" if there else ""
