"""How much of what a rater answers lies on the levels: counted for an image, added up, and said."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import pytest

from zeroiqa.aggregate import NO_SCALE, Aggregation, Scale
from zeroiqa.answers import (
    LATER_COUNTS,
    Answers,
    answers_of,
    check_kinds,
    count_answers,
    image_warnings,
    limit_of,
    run_warnings,
    scale_of,
)
from zeroiqa.errors import UserError
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


def said(answer: str | None, value: float | None = None) -> Rating:
    return Rating((0.0, float("-inf")), 0.9, value, answer)


def test_answers_that_are_no_number_are_counted_and_said_where_they_count() -> None:
    ratings = (said("Good"), said("7"), said("10"), said(None), None, said("x", 4.0), said("0"))
    found = count_answers("fake", "word", ratings, USUAL)
    assert (found.no_numbers, found.no_number_regions, found.regions) == (1, 1, 6)
    label = {"quality-word-7": "quality"}
    for readout, count in (("greedy", 1), ("digit", 0), ("expected", 0)):
        lines = [*image_warnings("fake", "", found, readout)]
        lines += run_warnings({("fake", "quality-word-7"): found + found}, label, readout)
        assert sum("no number and counts as 1" in line for line in lines) == count
        text = "2 of 2 images and 2 of 12 regions are answered by no number (fake) and count as 1."
        assert lines.count(text) == count
    only_regions = count_answers("fake", "word", (said("1"), said("The")), USUAL)
    (line,) = image_warnings("fake", "sharpness", only_regions, "greedy")
    assert line == "fake: the answer under sharpness for 1 of 1 regions is no number and counts as 1"
    assert count_answers("fake", "next-word", ratings, USUAL).no_numbers == 0


def test_stored_counts_of_before_there_were_answers_have_none_of_them() -> None:
    stored = vars(count_answers("fake", "word", (said("Good"),), USUAL))
    assert answers_of(stored).no_numbers == 1
    older = {name: value for name, value in stored.items() if name not in LATER_COUNTS}
    assert (answers_of(older).no_numbers, answers_of(older).images) == (0, 1)


@pytest.mark.parametrize(
    ("kind", "taken"),
    [
        ("word", True),
        ("number", True),
        ("sentence", True),
        ("float", False),
        ("next-word", False),
        ("preference", False),
    ],
)
def test_greedy_is_a_readout_of_kinds_that_are_answered_by_a_digit(kind: Kind, taken: bool) -> None:
    check_kinds("digit", {"a": "word", "b": kind})
    with nullcontext() if taken else pytest.raises(UserError, match=f"the standard b .kind {kind}. asks for"):
        check_kinds("greedy", {"a": "word", "b": kind})


@pytest.mark.parametrize(
    ("raters", "kind", "k", "scale"),
    [
        (["fake", "nss"], "word", 5, Scale(1, 5)),
        (["fake"], "preference", 0, NO_SCALE),
        (["fake"], "comparison", 0, Scale(0, 1)),
        (["baseline:piqe"], "word", 7, NO_SCALE),
        (["head:lmm4lmm:perception:x"], "word", 7, NO_SCALE),
    ],
)
def test_numbers_of_a_unit_of_their_own_have_no_scale(
    raters: list[str], kind: Kind, k: int, scale: Scale
) -> None:
    assert scale_of(raters, kind, k, USUAL) == scale


def test_images_without_prompt_are_said_once_for_all_raters() -> None:
    some = Answers(0.5, images=7, unasked=3, smallest=0.9)
    found = {(rater, "correspondence-word-7"): some for rater in ("fake", "fake:2")}
    assert list(run_warnings(found, {"correspondence-word-7": "correspondence"})) == [
        "3 of 10 images have no text prompt, and so no score of correspondence."
    ]
