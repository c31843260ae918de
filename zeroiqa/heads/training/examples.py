"""What a stage learns from each rated question: an answer in words, and a number to compare with."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from zeroiqa.errors import ImageError, UserError, printable
from zeroiqa.guards.limits import cores
from zeroiqa.guards.together import image_errors
from zeroiqa.heads.folds import Folds
from zeroiqa.heads.levels import LEVEL_WORDS, level_in, level_of, levels_of
from zeroiqa.heads.questions import CORRESPONDENCE, CORRESPONDENCE_IS, QUALITY_IS
from zeroiqa.heads.ratings import RatedQuestion
from zeroiqa.images.decode import DecodePolicy
from zeroiqa.images.decoder import Decoder
from zeroiqa.images.ref import ImageRef

LEAST_VALIDATION = 3
"""Examples; a rank correlation of fewer says nothing."""


class Example(NamedTuple):
    """What is learnt from one rated question."""

    path: Path
    """File of the image."""
    question: str
    answer: str
    """In words; in stage 2 it is behind what is read and changes nothing."""
    target: float
    """The rating (stage 2), the rating or else the level (stage 1), 1 for yes and 0 for no (qa)."""


class Examples(NamedTuple):
    """All that a training uses."""

    train: list[Example]
    validation: list[Example]
    digest: str
    """Changes with any image's name, question, rating or answer, and with the folds."""


def check_images(examples: Examples, share: int = 0, shares: int = 1) -> None:
    """Decode every image once, or one of several shares: broken ones are better found now than after hours.

    Raises:
        UserError: some cannot be decoded.
    """
    paths = sorted({example.path for example in (*examples.train, *examples.validation)})[share::shares]
    decoder = Decoder()
    with ThreadPoolExecutor(cores()) as pool:
        wrong = [sentence for sentence in pool.map(lambda path: _mistake(path, decoder), paths) if sentence]
    if wrong:
        raise UserError(
            f"{len(wrong):,} of the {len(paths):,} images cannot be learnt from; leave them out. The first: "
            f"{wrong[0]}"
        )


def _mistake(path: Path, decoder: Decoder) -> str:
    try:
        with image_errors(str(path)):
            decoder.decode(ImageRef(str(path)), DecodePolicy())
    except ImageError as error:
        return str(error)
    return ""


def make_examples(stage: str, folds: Folds) -> Examples:
    """The examples of a stage, as models learn from them that answer in words or with a score.

    Args:
        stage: "1", level words; "2", scores; "qa", yes and no.
        folds: The rated questions.

    Raises:
        UserError: there is no such stage, a question lacks what it learns from, or the validation fold is
            too small.
    """
    makers = {"1": _level_examples, "2": _score_examples, "qa": _answer_examples}
    if stage not in makers:
        raise UserError(f"There is no stage {stage!r}; choose one of {', '.join(makers)}.")
    make = makers[stage]
    train, validation = make(folds.train, folds.train), make(folds.validation, folds.train)
    targets = {example.target for example in validation}
    if stage != "qa" and (len(validation) < LEAST_VALIDATION or len(targets) < 2):
        raise UserError(
            f"The validation fold has {len(validation):,} examples with {len(targets):,} different ratings; "
            f"at least {LEAST_VALIDATION} with 2 are needed to choose weights by."
        )
    return Examples(train, validation, digest_of(folds))


def digest_of(folds: Folds) -> str:
    """Names all that a training learns from and chooses on: a SHA-256, hex."""
    known = hashlib.sha256()
    for rated in (*folds.train, None, *folds.validation):
        parts = rated and (rated.image, rated.question, rated.mos, rated.answer)
        known.update(repr(parts).encode("utf-8", "backslashreplace"))
    return known.hexdigest()


def _score_examples(fold: Sequence[RatedQuestion], train: Sequence[RatedQuestion]) -> list[Example]:
    return [
        Example(rated.path, rated.question, _sentence(rated.question, 5), _rating(rated)) for rated in fold
    ]


def _level_examples(fold: Sequence[RatedQuestion], train: Sequence[RatedQuestion]) -> list[Example]:
    """Answers that name a level are kept as they are; others are made from the ratings."""
    if all(rated.answer and level_in(rated.answer) for rated in train):
        return [
            Example(rated.path, rated.question, rated.answer or "", _rating_or_level(rated)) for rated in fold
        ]
    ratings = [_rating(rated) for rated in train]
    levels_of(ratings)
    low, high = min(ratings), max(ratings)
    return [
        Example(
            rated.path,
            rated.question,
            _sentence(rated.question, level_of(_rating(rated), low, high)),
            _rating(rated),
        )
        for rated in fold
    ]


def _answer_examples(fold: Sequence[RatedQuestion], train: Sequence[RatedQuestion]) -> list[Example]:
    examples = []
    for rated in fold:
        answer = rated.answer or ""
        is_yes = "yes" in answer.lower()
        if not is_yes and "no" not in answer.lower():
            raise UserError(
                f"The answer about {printable(rated.image)} is {answer[:40]!r}; yes or no "
                "is needed to learn answers from."
            )
        examples.append(Example(rated.path, rated.question, answer, float(is_yes)))
    return examples


def _rating_or_level(rated: RatedQuestion) -> float:
    return float(level_in(rated.answer or "")) if rated.mos is None else rated.mos


def _rating(rated: RatedQuestion) -> float:
    if rated.mos is None:
        raise UserError(
            f"{printable(rated.image)} has no rating (mos), which this stage learns from; give one."
        )
    return rated.mos


def _sentence(question: str, level: int) -> str:
    start = CORRESPONDENCE_IS if _asks_for_match(question) else QUALITY_IS
    return f"{start} {LEVEL_WORDS[level - 1]}."


def _asks_for_match(question: str) -> bool:
    return question.startswith(CORRESPONDENCE.partition("{")[0].rstrip())
