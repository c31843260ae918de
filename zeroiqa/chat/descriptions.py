"""Descriptions: what a model is asked for a sentence of its own, and what of its answer is kept."""

from __future__ import annotations

import hashlib
import json
import tomllib
from functools import cache
from importlib import resources
from typing import NamedTuple

from zeroiqa.chat.thoughts import find_thought
from zeroiqa.names import harmless
from zeroiqa.standards import FilledPrompt

MOST_TOKENS = 60
"""Of an answer; it is one short sentence that is asked for."""
_LONGEST = 400
"""Characters of a description: a token may be long, and a server may send whatever it likes."""
_ENDINGS = ">]}\u25b7\u27e9"
"""What tags end with."""


class Request(NamedTuple):
    """The question, and what stands for it in a run's identity."""

    prompt: FilledPrompt
    id: str
    """Version and hash of everything that reaches a model, and of how much of an answer is read."""


@cache
def request() -> Request:
    """What models are asked for; it is data, in descriptions.toml."""
    text = (resources.files("zeroiqa.chat") / "descriptions.toml").read_text(encoding="utf-8")
    read = tomllib.loads(text)
    content = json.dumps({**read, "tokens": MOST_TOKENS}, sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()
    return Request(FilledPrompt(read["system"], read["user"]), f"{read['version']}:{digest[:12]}")


def sentence_of(answer: str, *, cut: bool = False) -> str | None:
    """An answer as it is kept: one line, bounded, in which nothing is obeyed by a terminal.

    Args:
        answer: As the model wrote it; a thought before it is left out.
        cut: Whether it ended only because no more was allowed.

    Returns:
        The line, which ends in "..." where something is missing; None where nothing was said.
    """
    thought = find_thought(answer)
    if thought.opened is not None:
        return None
    if thought.closed:
        answer = answer[max(answer.rfind(ending) for ending in _ENDINGS) + 1 :]
    line = harmless(" ".join(answer.split()))
    if len(line) > _LONGEST:
        line, cut = line[:_LONGEST], True
    return f"{line.rstrip('. ')}..." if line and cut else line or None
