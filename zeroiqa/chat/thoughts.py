"""Thoughts: does a prompt end within one, and what closes it? Told by the text, whatever the model's name.

A model that begins with a thought has no level at the position that is read. Its template writes the
beginning ("<think>", "[THINK]", "<|channel|>analysis<|message|>") right where the answer should be.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_WORDS = (
    r"(?<![a-z])(?:(?:no|skip)[ _-]?)?"
    r"(?:think(?:ing)?|thoughts?|reason(?:ing|s)?|analysis|reflect(?:ion|ing)?|scratch[ _-]?pad|cot|rationale"
    r"|deliberat(?:e|ion)|plan(?:ning)?|monologue)(?![a-z])"
)
_THOUGHT = re.compile(_WORDS, re.IGNORECASE)
_TAG = re.compile(r"[<\[◁⟨{][^<>\[\]◁▷⟨⟩{}\s]{1,60}[>\]▷⟩}]")
_HEADER = re.compile(
    rf"(?P<tag>{_TAG.pattern})[ \t]*(?:\w+[ \t]+){{0,2}}?(?P<word>{_WORDS})(?:{_TAG.pattern})?", re.IGNORECASE
)
"""A name of a turn or a channel that is text between tags: <|channel|>analysis<|message|>."""
_LABEL = re.compile(rf"(?:^|[\s>\]])({_WORDS})[ \t]*:\s*$", re.IGNORECASE)
_ENDING = frozenset({"end", "close", "stop", "no", "skip", "off", "nothink", "nothinking"})
_AROUND = _ENDING | {"begin", "start", "open", "of", "on"}


@dataclass(frozen=True)
class Thought:
    """What a text says about thoughts."""

    opened: str | None
    """The beginning of a thought that the text does not end; None for none."""
    closed: bool
    """Whether the text ends a thought, or forbids one."""


def find_thought(text: str) -> Thought:
    """Look for thoughts in what a template writes after a question.

    Args:
        text: What follows the question, up to where the answer begins.
    """
    opened, closed, at = None, False, 0
    while found := _next(text, at):
        start, at, ends = found
        opened, closed = (None, True) if ends else (text[start:at], closed)
    if opened is None and (label := _LABEL.search(text)):
        opened = label[0].strip()
    return Thought(opened, closed)


def unpaired_tags(text: str) -> set[str]:
    """Tags such as <scratch> or [DRAFT] without their partner behind them, </scratch> or [/DRAFT]."""
    tags = [match[0] for match in _TAG.finditer(text)]
    return {
        tag
        for place, tag in enumerate(tags)
        if not _is_closing(tag) and not any(_are_partners(tag, later) for later in tags[place + 1 :])
    }


def closings(opened: str, known: Iterable[str]) -> list[str]:
    """What may end a thought.

    Args:
        opened: Its beginning, from `find_thought`.
        known: Texts that hold tags which the model knows: its template, its added tokens.

    Returns:
        Tags that belong to the beginning, each once, the one that is written most like it first.
    """
    tags = dict.fromkeys(match[0] for text in known for match in _TAG.finditer(text))
    first = _TAG.search(opened)
    partners = [
        tag for tag in tags if first is not None and tag not in opened and _are_partners(first[0], tag)
    ]
    return sorted(partners, key=lambda tag: len({*tag} ^ {*opened}))


def _next(text: str, at: int) -> tuple[int, int, bool] | None:
    """Start, end and kind (does it end a thought?) of the next mark of a thought."""
    tag = next((match for match in _TAG.finditer(text, at) if _THOUGHT.search(_plain(match[0]))), None)
    header = _HEADER.search(text, at)
    if header is not None and (tag is None or header.start() < tag.start()):
        if (end := _TAG.search(text, header.end())) is not None:  # whatever comes next ends it
            return header.start(), end.end(), True
        return header.start(), header.end(), False
    return None if tag is None else (tag.start(), tag.end(), _is_closing(tag[0]))


def _plain(tag: str) -> str:
    """A tag in letters that are written alike everywhere: some tokenizers have signs of their own."""
    return tag.replace("\u2581", "_").replace("\uff5c", "|").casefold()


def _words(tag: str) -> list[str]:
    return re.findall(r"[^\W\d_]+|\d+", _plain(tag))


def _is_closing(tag: str) -> bool:
    return "/" in tag or bool(_ENDING.intersection(_words(tag))) or re.match(r"<\w+\|>$", tag) is not None


def _are_partners(opening: str, closing: str) -> bool:
    cores = [[word for word in _words(tag) if word not in _AROUND] for tag in (opening, closing)]
    return not _is_closing(opening) and _is_closing(closing) and cores[0] == cores[1]
