"""How much of what a rater answers lies on the levels: counted for an image, added up, and said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from zeroiqa.aggregate import Aggregation
from zeroiqa.answers import Answers, answers_of, count_answers, image_warnings, limit_of, run_warnings
from zeroiqa.standards import Kind
from zeroiqa.types import Rating

VQASCORE = "baseline:vqascore:hf:somewhere"
USUAL = Aggregation()


def levels(mass: float) -> Rating:
    return Rating((0.0, float("-inf")), mass)


def number(mass: float = 1.0) -> Rating:
    return Rating((), mass, 4.0)


@pytest.mark.parametrize(
    ("rater", "kind", "limit"),
    [
        ("qwen2.5-vl-7b", "word", 0.5),
        ("openai:http://localhost/v1", "sentence", 0.5),
        ("fake", "number", 0.5),
        ("qwen2.5-vl-7b", "next-word", 0.001),
        (VQASCORE, "word", 0.001),
        ("qwen2.5-vl-7b", "comparison", 0.001),
        ("qwen2.5-vl-7b", "preference", None),
        ("qwen2.5-vl-7b", "float", None),
        ("nss", "word", None),
        ("head:lmm4lmm:perception:folder", "word", None),
        ("baseline:niqe", "word", None),
    ],
)
def test_what_is_low_depends_on_what_is_read(rater: str, kind: Kind, limit: float | None) -> None:
    assert limit_of(rater, kind, USUAL) == limit


@pytest.mark.parametrize(
    ("rater", "kind", "rating", "mass", "low"),
    [
        ("qwen2.5-vl-7b", "word", levels(1e-8), 1e-8, 1),
        ("qwen2.5-vl-7b", "word", levels(0.5), 0.5, 0),
        ("qwen2.5-vl-7b", "next-word", levels(0.002), 0.002, 0),
        ("qwen2.5-vl-7b", "next-word", levels(0.0002), 0.0002, 1),
        ("qwen2.5-vl-7b", "preference", number(0.1), 0.1, 0),
        ("qwen2.5-vl-7b", "comparison", number(0.0002), 0.0002, 1),
        (VQASCORE, "word", number(0.0001), 0.0001, 1),
        ("nss", "word", levels(1.0), None, 0),
        ("baseline:niqe", "word", number(), None, 0),
        ("head:lmm4lmm:perception:folder", "word", replace(levels(1.0), value=4.0), None, 0),
        ("openai:http://localhost/v1", "word", number(), None, 0),  # the digit alone, from its text
        ("qwen2.5-vl-7b", "float", number(), None, 0),
    ],
)
def test_a_mass_is_known_only_where_one_was_read(
    rater: str, kind: Kind, rating: Rating, mass: float | None, low: int
) -> None:
    found = count_answers(rater, kind, (rating,), USUAL)
    assert (found.images, found.smallest, found.low_images) == (1, mass, low)


def test_regions_are_counted_beside_the_whole_image() -> None:
    found = count_answers("fake", "word", (levels(0.9), levels(0.01), None, levels(0.8)), USUAL)
    assert found == Answers(0.5, 1, 0, 3, 1, 1, 0, 0.9, 0.01)
    assert list(image_warnings("fake", "", found)) == [
        "fake: less than 0.5 of the probability lies on the levels for 1 of 3 regions (smallest 0.01)",
        "fake: 1 of 3 regions got none of the levels and do not count",
    ]


def test_the_whole_image_is_named_with_its_rater_and_number() -> None:
    found = count_answers("qwen2.5-vl-7b", "word", (levels(1.2e-8),), USUAL)
    (said,) = image_warnings("qwen2.5-vl-7b", "authenticity", found)
    assert said.startswith("qwen2.5-vl-7b: 1.2e-08 of the probability lies on the levels of authenticity")
    generous = Aggregation(mass_threshold=0.0)
    assert not list(
        image_warnings("qwen2.5-vl-7b", "", count_answers("qwen2.5-vl-7b", "word", (levels(1e-8),), generous))
    )


def test_images_add_up_to_a_line_with_counts_and_what_to_do() -> None:
    images = [count_answers("smolvlm-500m", "word", (levels(10.0**-n), levels(0.9)), USUAL) for n in range(8)]
    total = sum(images[1:], images[0])
    assert answers_of({**vars(total), "later": 1}) == total
    (line,) = run_warnings({("smolvlm-500m", "quality-word-7"): total}, {"quality-word-7": "quality"})
    assert line == (
        "7 of 8 images: less than 0.5 of the probability lies on the levels (smallest 1e-07, smolvlm-500m), "
        "so that their scores mean little; `zeroiqa models check smolvlm-500m` shows what the model answers "
        "instead."
    )


@pytest.mark.parametrize("rater", ["fake", VQASCORE])
def test_no_command_is_named_that_would_refuse_the_rater(rater: str) -> None:
    low = Answers(0.5, images=1, low_images=1, smallest=0.1)
    (line,) = run_warnings({(rater, "quality-word-7"): low}, {"quality-word-7": "quality"})
    assert "models check" not in line


def test_another_standard_is_part_of_the_command() -> None:
    low = Answers(0.001, images=1, low_images=1, smallest=1e-9)
    labels = {"q-bench": "q-bench", "q-align": "q-align"}
    (line,) = run_warnings(
        {("internvl3-8b", "q-bench"): low, ("internvl3-8b", "q-align"): Answers(0.001)}, labels
    )
    assert "`zeroiqa models check internvl3-8b --standard q-bench`" in line
    assert "internvl3-8b, q-bench)" in line


def test_images_without_prompt_are_said_once_for_all_raters() -> None:
    some = Answers(0.5, images=7, unasked=3, smallest=0.9)
    found = {(rater, "correspondence-word-7"): some for rater in ("fake", "fake:2")}
    assert list(run_warnings(found, {"correspondence-word-7": "correspondence"})) == [
        "3 of 10 images have no text prompt, and so no score of correspondence."
    ]
