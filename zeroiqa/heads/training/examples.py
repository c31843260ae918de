"""What each example teaches in a stage: its question, the answer in words, and the number it is judged by."""

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
from zeroiqa.heads.ratings import CORRESPONDENCE, Example
from zeroiqa.heads.training.options import Stage
from zeroiqa.images.decode import DecodePolicy
from zeroiqa.images.decoder import Decoder
from zeroiqa.images.ref import ImageRef

LEAST_VALIDATION = 3
"""Examples; a rank correlation of fewer says nothing."""


class Lesson(NamedTuple):
    """One example as a stage uses it."""

    path: Path
    """File of the image."""
    question: str
    answer: str
    """In words; in stage 2 it is behind what is read and changes nothing."""
    target: float
    """The rating (stage 2), the rating or else the level (stage 1), 1 for yes and 0 for no (qa)."""


class Lessons(NamedTuple):
    """All that a training uses."""

    train: list[Lesson]
    validation: list[Lesson]
    digest: str
    """Changes with any image's name, question, rating or answer, and with the folds."""


def check_images(lessons: Lessons, share: int = 0, shares: int = 1) -> None:
    """Decode every image once, or one of several shares: broken ones are better found now than after hours.

    Raises:
        UserError: some cannot be decoded.
    """
    paths = sorted({lesson.path for lesson in (*lessons.train, *lessons.validation)})[share::shares]
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


def make_lessons(stage: Stage, folds: Folds) -> Lessons:
    """What the examples teach in a stage.

    Raises:
        UserError: an example lacks what the stage learns from, or the validation fold is too small.
    """
    make = {"1": _level_lessons, "2": _score_lessons, "qa": _answer_lessons}[stage]
    train, validation = make(folds.train, folds.train), make(folds.validation, folds.train)
    targets = {lesson.target for lesson in validation}
    if stage != "qa" and (len(validation) < LEAST_VALIDATION or len(targets) < 2):
        raise UserError(
            f"The validation fold has {len(validation):,} examples with {len(targets):,} different ratings; "
            f"at least {LEAST_VALIDATION} with 2 are needed to choose weights by."
        )
    known = hashlib.sha256()
    for example in (*folds.train, None, *folds.validation):
        parts = example and (example.image, example.question, example.mos, example.answer)
        known.update(repr(parts).encode("utf-8", "backslashreplace"))
    return Lessons(train, validation, known.hexdigest())


def _score_lessons(examples: Sequence[Example], train: Sequence[Example]) -> list[Lesson]:
    return [
        Lesson(example.path, example.question, _sentence(example.question, 5), _rating(example))
        for example in examples
    ]


def _level_lessons(examples: Sequence[Example], train: Sequence[Example]) -> list[Lesson]:
    """Answers that name a level are kept as they are; others are made from the ratings."""
    if all(example.answer and level_in(example.answer) for example in train):
        return [
            Lesson(example.path, example.question, example.answer or "", _rating_or_level(example))
            for example in examples
        ]
    ratings = [_rating(example) for example in train]
    levels_of(ratings)
    low, high = min(ratings), max(ratings)
    return [
        Lesson(
            example.path,
            example.question,
            _sentence(example.question, level_of(_rating(example), low, high)),
            _rating(example),
        )
        for example in examples
    ]


def _answer_lessons(examples: Sequence[Example], train: Sequence[Example]) -> list[Lesson]:
    lessons = []
    for example in examples:
        said = (example.answer or "").lower()
        if "yes" not in said and "no" not in said:
            raise UserError(
                f"The answer about {printable(example.image)} is {(example.answer or '')[:40]!r}; yes or no "
                "is needed to learn answers from."
            )
        lessons.append(Lesson(example.path, example.question, example.answer or "", float("yes" in said)))
    return lessons


def _rating_or_level(example: Example) -> float:
    return float(level_in(example.answer or "")) if example.mos is None else example.mos


def _rating(example: Example) -> float:
    if example.mos is None:
        raise UserError(
            f"{printable(example.image)} has no rating (mos), which this stage learns from; give one."
        )
    return example.mos


def _sentence(question: str, level: int) -> str:
    about = (
        "correspondence of the image and its prompt" if _asks_for_match(question) else "quality of the image"
    )
    return f"The {about} is {LEVEL_WORDS[level - 1]}."


def _asks_for_match(question: str) -> bool:
    return question.startswith(CORRESPONDENCE.partition("{")[0].rstrip())
