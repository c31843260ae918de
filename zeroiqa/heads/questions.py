"""The questions that heads are asked in words, and how the answers begin: the wording of LMM4LMM's data."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol, TypeAlias, get_args

from zeroiqa.errors import ImageError
from zeroiqa.heads.levels import LEVEL_WORDS

Dimension: TypeAlias = Literal["perception", "correspondence", "qa"]
"""What is asked about: the quality, how well an image shows its text prompt, or a question of the user's."""
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)

PERCEPTION = "How would you rate the quality of this image?"
CORRESPONDENCE = "How would you rate the correspondence of this image and its prompt? prompt: {prompt}"
QUALITY_IS = "The quality of the image is"
CORRESPONDENCE_IS = "The correspondence of the image and its prompt is"
YES, NO = ("Yes", "yes"), ("No", "no")
"""Which case the published training used is not known, so both are counted."""


class Question(NamedTuple):
    """What a model is asked about one image."""

    text: str
    """The question, without a mark for the image."""
    answer_start: str
    """How the answer begins; it is put into the model's mouth. Empty where the model begins it."""


class AnswerVocabulary(Protocol):
    """Knows the tokens of the possible answers in one model's tokenizer."""

    def level_ids(self, answer_start: str = QUALITY_IS) -> list[int]:
        """The tokens of the five level words behind the beginning of an answer, from bad to excellent.

        Raises:
            UserError: a word is not a single token there.
        """

    def answer_ids(self) -> tuple[list[int], list[int]]:
        """The tokens that an answer of yes begins with, in either case, and those of no.

        Raises:
            UserError: they cannot be told apart.
        """


def question_of(dimension: Dimension, text: str | None, head: str) -> Question:
    """What is asked in a dimension.

    Args:
        dimension: What is asked about.
        text: The image's text prompt (correspondence) or the question (qa); stripped, else used as it is.
        head: Name of the head that asks, for messages.

    Raises:
        ImageError: the text is missing.
    """
    if dimension == "perception":
        return Question(PERCEPTION, answer_start(dimension))
    text = (text or "").strip()
    if not text:
        what = "text prompt" if dimension == "correspondence" else "question"
        raise ImageError(f"The image has no {what}, which {head}:{dimension} needs; give one for each image.")
    if dimension == "correspondence":
        text = CORRESPONDENCE.replace("{prompt}", text)
    return Question(text, answer_start(dimension))


def answer_start(dimension: Dimension) -> str:
    """How the answer begins in a dimension; empty for questions of the user's."""
    return {"perception": QUALITY_IS, "correspondence": CORRESPONDENCE_IS, "qa": ""}[dimension]


def before_level(answer: str) -> str:
    """What an answer says before the level that it ends with, "... is" of "... is good."; "" for others."""
    words = answer.removesuffix(".").split(" ")
    return " ".join(words[:-1]) if words[-1] in LEVEL_WORDS else ""
