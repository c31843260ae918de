"""What a head says about an image, read from the numbers that its network gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from zeroiqa.heads.questions import AnswerVocabulary, Dimension, answer_start

if TYPE_CHECKING:
    import torch


class Prediction(NamedTuple):
    """What a head says about one image."""

    score: float | None
    """On the scale of the ratings (published: 0 to 100), higher is better; None from a head for questions."""
    levels: tuple[float, ...]
    """P(level | one of the five), from bad to excellent; empty from a head for questions."""
    yes: float | None
    """P(yes) / (P(yes) + P(no)), in [0, 1]; None from a head for scores."""


def predicted_ids(vocabulary: AnswerVocabulary, dimension: Dimension) -> list[list[int]]:
    """Token ids whose probabilities are wanted: of each level, from bad on, or of yes and of no.

    Raises:
        UserError: the tokenizer has no single token for each level, or does not tell yes and no apart.
    """
    if dimension == "qa":
        return [*vocabulary.answer_ids()]
    return [[level] for level in vocabulary.level_ids(answer_start(dimension))]


def read_predictions(
    dimension: Dimension, scores: torch.Tensor | None, logits: torch.Tensor, words: Sequence[Sequence[int]]
) -> list[Prediction]:
    """From what a network gives to the predictions for each image.

    Args:
        dimension: Of the head.
        scores: Shape (images,); None from a head for questions.
        logits: Of the tokens of all words, one after the other, shape (images, tokens).
        words: Token ids of each level, from bad on, or of yes and of no.
    """
    shares = logits.double().softmax(-1).cpu()
    if dimension == "qa":
        return [Prediction(None, (), float(row[: len(words[0])].sum())) for row in shares]
    assert scores is not None
    pairs = zip(scores.cpu(), shares, strict=True)
    return [Prediction(float(score), tuple(row.tolist()), None) for score, row in pairs]
