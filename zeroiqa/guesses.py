"""What a name means that nothing of the asked kind has: who is called what, over all kinds that users name.

A baseline is no rater and a preset no baseline, but people need not know which is which. A refusal of one
kind becomes a sentence that says what the name is, and how it is written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from zeroiqa.baselines import catalogue
from zeroiqa.errors import UnknownNameError, UserError
from zeroiqa.evaluation.datasets.cards import dataset_cards
from zeroiqa.heads.registry import HEADS
from zeroiqa.presets import preset_names
from zeroiqa.raters import rater_names
from zeroiqa.segmenters import segmenter_names
from zeroiqa.segmenters.granularity import granularity_names
from zeroiqa.standards import standard_names
from zeroiqa.suggestions import alternatives, nearest
from zeroiqa.weights.cards import model_cards

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_ADDRESS = re.compile(r"https?://\S+")


class Kind(NamedTuple):
    """A kind of names."""

    name: str
    """As `UnknownNameError.kind` has it."""
    names: Callable[[], Iterable[str]]
    """All that have a name; imports no heavy package."""
    written: str
    """How one is asked for, its name in place of {}."""


KINDS = (
    Kind("rater", lambda: [name for name in rater_names() if name not in model_cards()], "--rater {}"),
    Kind("model", model_cards, "--rater {}"),
    Kind("baseline", catalogue, "--baseline {}"),
    Kind("preset", preset_names, "--preset {}"),
    Kind("standard", standard_names, "--standard {}"),
    Kind("segmenter", segmenter_names, "--segmenter {}"),
    Kind("granularity", granularity_names, "--granularity {}"),
    Kind("database", dataset_cards, "--dataset {}"),
    Kind("head", HEADS.keys, "--rater head:{}:DIMENSION:FOLDER"),
)
_SAME = {"rater": ("rater", "model"), "model": ("model", "rater")}
"""Kinds that one option takes."""


@contextmanager
def guessed() -> Iterator[None]:
    """Inside the block, or the function that this decorates, a refused name is looked for among all kinds.

    Raises:
        UserError: in place of the refusal, where another kind has the name or one like it.
    """
    try:
        yield
    except UnknownNameError as error:
        advice = advise(error.kind, error.name)
        if advice is None:
            raise
        raise UserError(f"There is no {error.kind} {error.name!r}: {advice}") from error


def advise(kind: str, name: str) -> str | None:
    """What to write instead of a name that nothing of a kind has; None where its own kind has the answer.

    Args:
        kind: What was asked for, see `Kind.name`.
        name: What it was called, perhaps with more after a colon.
    """
    key, colon, rest = name.partition(":")
    others = [each for each in KINDS if each.name not in _SAME.get(kind, (kind,))]
    own = [known for each in KINDS if each not in others for known in each.names()]
    near = nearest(key, own, most=3)
    if any(each.lower().startswith(key.lower()) for each in near):
        return None
    for other in others:
        found = {known.lower(): known for known in other.names()}.get(key.lower())
        if found is not None:
            return f"{found} is {_a(other.name)}; use {other.written.format(found + colon + rest)}."
    if kind in ("rater", "model"):
        remote = _elsewhere(name)
        if remote is not None:
            return remote
    if near:
        return None
    for other in others:
        found_near = nearest(key, other.names())
        if found_near:
            what = f"{other.name}s" if len(found_near) > 1 else other.name
            return f"did you mean the {what} {alternatives(found_near)}? Use {other.written.format('NAME')}."
    return None


def _elsewhere(name: str) -> str | None:
    """A model of the hub, of this disk or of a server without the word that says so."""
    if _ADDRESS.fullmatch(name):
        return f"a server is written --rater openai:{name}#MODEL."
    if Path(name).is_dir():
        return f"a folder with a model is written --rater hf:{name}."
    if _REPOSITORY.fullmatch(name):
        return f"a repository of the Hugging Face hub is written --rater hf:{name}."
    return None


def _a(word: str) -> str:
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"
