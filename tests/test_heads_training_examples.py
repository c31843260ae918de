"""What each example teaches in a stage, and which examples teach nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from zeroiqa.errors import UserError
from zeroiqa.heads.folds import Folds
from zeroiqa.heads.ratings import RatedQuestion
from zeroiqa.heads.training.examples import make_examples


def example(mos: float | None = 1.0, answer: str | None = None) -> RatedQuestion:
    return RatedQuestion("a.png", Path("a.png"), "How would you rate the quality of this image?", mos, answer)


@pytest.mark.parametrize(
    ("stage", "examples", "words"),
    [
        ("2", [example(None, "good")], "no rating"),
        ("qa", [example(answer="maybe")], "'maybe'; yes or no"),
        ("1", [example(2.0)] * 4, "ratings that differ"),
        ("2", [example(2.0)] * 4, "4 examples with 1 different ratings"),
        ("2", [example(1.0), example(2.0)], "2 examples with 2 different ratings"),
    ],
)
def test_examples_that_a_stage_cannot_learn_from_are_named(stage, examples, words):
    with pytest.raises(UserError, match=words):
        make_examples(stage, Folds(tuple(examples), tuple(examples)))


def test_levels_come_from_the_answers_or_else_from_the_ratings_learnt_from():
    rated = tuple(example(float(mos)) for mos in (0, 20, 21, 50, 100))
    said = tuple(example(50.0, f"The quality of the image is {word}.") for word in ("poor", "good"))
    match = RatedQuestion(
        "a.png",
        Path("a.png"),
        "How would you rate the correspondence of this image and its prompt? prompt: cat",
        100.0,
        None,
    )

    answers = [example.answer.split()[-1] for example in make_examples("1", Folds(rated, rated)).train]
    kept = make_examples("1", Folds(said, (*said, *rated[:2]))).train

    assert answers == ["bad.", "bad.", "poor.", "fair.", "excellent."]
    assert [example.answer for example in kept] == [example.answer for example in said]
    assert make_examples("2", Folds((match,), rated)).train[0].answer == (
        "The correspondence of the image and its prompt is excellent."
    )
