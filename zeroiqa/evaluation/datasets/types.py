"""What a read database is: images with the scores that people gave them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, NamedTuple

from zeroiqa.errors import UserError, printable


@dataclass(frozen=True)
class Scale:
    """The scale of one aspect's scores, as published."""

    low: float
    """The least score that the scale has; of a plain table, the least one found."""
    high: float
    """The greatest one."""
    direction: Literal[1, -1]
    """1: a higher score is better; -1: a lower one is."""
    kind: Literal["MOS", "DMOS"]
    """Mean opinion score, or differential mean opinion score (against the reference)."""


class AnsweredQuestion(NamedTuple):
    """A yes-or-no question about an image, and what people answered."""

    text: str | None
    """None where the file of the questions is missing."""
    yes: bool


@dataclass(frozen=True)
class Sample:
    """One image of a database."""

    name: str
    """As the score file names it."""
    path: Path
    """The image file."""
    scores: Mapping[str, float]
    """By aspect, as published: neither flipped nor scaled."""
    prompt: str | None = None
    """The text that the image was generated from."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """What it belongs to: model, distortion, level, reference, subset, style, task, split."""
    questions: tuple[AnsweredQuestion, ...] = ()
    """Answered questions: the one about the whole prompt first, then those about its parts."""


class LeftOut(NamedTuple):
    """Images or opinions of one kind that do not count."""

    one: str
    """What one of them is."""
    many: str
    """What several are."""
    names: tuple[str, ...]

    def __str__(self) -> str:
        """Their number and the first names."""
        what = self.one if len(self.names) == 1 else self.many
        return f"{len(self.names):,} {what} ({some(map(printable, self.names), 3)})"


def left_out_note(kinds: Iterable[LeftOut]) -> tuple[str, ...]:
    """One sentence, without its full stop, with the count of each kind; none where nothing is left out."""
    counted = [str(kind) for kind in kinds if kind.names]
    return (f"Left out: {'; '.join(counted)}",) if counted else ()


@dataclass(frozen=True)
class Dataset:
    """Images with the scores of people, and notes from reading them."""

    name: str
    """The key of the database, or the name of the plain table."""
    samples: tuple[Sample, ...]
    """In the order of the score file."""
    scales: Mapping[str, Scale]
    """By aspect."""
    notes: tuple[str, ...]
    """Sentences: what is missing or left out, which of several files or scales was used."""
    root: Path | None = None
    """The folder below which the images were looked for."""
    unlisted: tuple[Path, ...] = ()
    """Images below the root that a plain table does not name."""

    def scale(self, aspect: str) -> Scale:
        """The scale of an aspect.

        Raises:
            UserError: The scores have no such aspect.
        """
        if aspect not in self.scales:
            raise UserError(
                f"{self.name} has no scores for {aspect!r}; {suggestion(aspect, self.scales, 'it has')}."
            )
        return self.scales[aspect]


def suggestion(word: str, known: Iterable[str], they_are: str = "known are") -> str:
    """The nearest known word as a question, or all of them."""
    words = list(known)
    folded = {each.lower(): each for each in words}
    nearest = get_close_matches(word.lower(), folded, n=1)
    listed = f"{they_are} {', '.join(words)}"
    return f"did you mean {folded[nearest[0]]}? {listed[0].upper()}{listed[1:]}" if nearest else listed


def some(names: Iterable[str], limit: int = 5) -> str:
    """The first names of a list, and how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - limit:,} more" if len(listed) > limit else ""
    return ", ".join(listed[:limit]) + more
