"""The fake rater: a citizen of the registry, deterministic everywhere, different where the input differs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from zeroiqa.errors import ImageError, UserError
from zeroiqa.raters import build_rater, rater_names
from zeroiqa.standards import load_standard, standard_names
from zeroiqa.types import View


def view(seed=0, size=(40, 30), prompt=None):
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    return View(pixels, None, size, prompt)


def rate(name, view, standard="quality-word-7"):
    return build_rater(name).rate([view], [load_standard(standard)])[0][0]


def gradient(size=(100, 80)):
    """A view that is the same on every platform and with every version of numpy."""
    height, width = size
    pixels = (np.arange(height * width * 3, dtype=np.uint32) % 251).astype(np.uint8).reshape(height, width, 3)
    return View(pixels, None, size, "a red boat")


def test_ratings_are_the_same_on_every_platform():
    rating = rate("fake", gradient())
    assert rating.logprobs == pytest.approx(
        (
            -1.724233057485343,
            -2.8749613472924667,
            -3.759606907733341,
            -6.571996953385795,
            -2.098337289528637,
            -0.831658852228504,
            -1.7004941154060849,
        ),
        abs=1e-12,
    )
    assert rating.mass == pytest.approx(0.97109375)


def test_ratings_are_distributions_for_every_standard_with_levels():
    rater = build_rater("fake")
    for name in standard_names():
        standard = load_standard(name)
        if standard.kind in ("float", "preference", "comparison"):
            continue
        rater.check(standard)
        rating = rater.rate([gradient()], [standard])[0][0]
        assert len(rating.logprobs) == standard.k
        assert math.fsum(map(math.exp, rating.logprobs)) == pytest.approx(1)
        assert 0 <= rating.mass <= 1


def test_the_answer_is_the_most_probable_level():
    answers = set()
    for seed in range(20):
        rating = rate("fake", view(seed))
        assert rating.answer == str(rating.logprobs.index(max(rating.logprobs)) + 1)
        answers.add(rating.answer)
    assert len(answers) > 3


def test_equal_views_get_equal_ratings():
    assert rate("fake", view()) == rate("fake", view())


def test_rating_does_not_depend_on_the_other_views_and_standards():
    views = [view(seed) for seed in range(4)]
    standards = [load_standard("quality-word-7"), load_standard("quality-word-5")]
    together = build_rater("fake").rate(views, standards)
    alone = [[build_rater("fake").rate([one], [standard])[0][0] for standard in standards] for one in views]
    assert together == alone


def test_crop_is_rated_like_its_copy():
    pixels = view(size=(50, 50)).pixels
    crop = pixels[10:40, 5:45]
    assert rate("fake", View(crop, None, (50, 50))) == rate("fake", View(crop.copy(), None, (50, 50)))


@pytest.mark.parametrize("other", [view(seed=1), view(size=(30, 40))])
def test_other_pixels_give_another_rating(other):
    assert rate("fake", other) != rate("fake", view())


def test_shape_counts_besides_the_bytes():
    flat = np.zeros((20, 30, 3), np.uint8)
    tall = np.zeros((30, 20, 3), np.uint8)
    assert rate("fake", View(flat, None, (20, 30))) != rate("fake", View(tall, None, (30, 20)))


def test_other_standard_gives_another_rating():
    assert rate("fake", view(), "quality-number-7") != rate("fake", view(), "quality-word-7")


def test_numbers_make_different_members():
    assert rate("fake:1", view()) != rate("fake:2", view())
    assert build_rater("fake:1").id != build_rater("fake:2").id
    assert build_rater("fake").id == build_rater("fake:0").id


def test_text_prompt_counts_for_correspondence_alone():
    boat, dog = view(prompt="a boat"), view(prompt="a dog")
    assert rate("fake", boat, "correspondence-word-7") != rate("fake", dog, "correspondence-word-7")
    assert rate("fake", boat, "quality-word-7") == rate("fake", dog, "quality-word-7")


def test_correspondence_without_a_text_prompt_is_an_error_of_the_image():
    with pytest.raises(ImageError, match="text prompt"):
        rate("fake", view(), "correspondence-word-7")


@pytest.mark.parametrize("standard", ["quality-float", "sep-iqa"])
def test_a_standard_without_levels_is_refused(standard):
    with pytest.raises(UserError, match=f"gives levels, but the standard {standard} asks for another number"):
        build_rater("fake").check(load_standard(standard))


@pytest.mark.parametrize("argument", ["", "x", "1.5"])
def test_argument_that_is_no_whole_number_is_refused(argument):
    with pytest.raises(UserError, match=f"whole number, found '{argument}'"):
        build_rater(f"fake:{argument}")


def test_unknown_rater_is_refused_with_the_nearest_name():
    with pytest.raises(UserError, match="'fke'; did you mean 'fake'"):
        build_rater("fke")


def test_raters_without_weights_can_be_built_and_differ():
    ids = [build_rater(name).id for name in ("nss", "fake", "fake:2")]
    assert len(set(ids)) == 3


@pytest.mark.parametrize(
    ("name", "near"), [("fakee", "fake"), ("qwen2.5-vl-7", "qwen2.5-vl-7b"), ("smolvlm_256m", "smolvlm-256m")]
)
def test_nearest_name_is_looked_for_among_embedded_raters_and_models(name, near):
    with pytest.raises(UserError, match=f"unknown rater '{name}'; did you mean '{near}'"):
        build_rater(name)
    assert near in rater_names()


def test_model_known_by_name_takes_no_argument():
    with pytest.raises(UserError, match="smolvlm-256m takes no argument, found '2'"):
        build_rater("smolvlm-256m:2")


@pytest.mark.parametrize("name", ["hf", "hf:"])
def test_model_without_a_place_is_refused(name):
    with pytest.raises(UserError, match="write hf:REPOSITORY or hf:FOLDER"):
        build_rater(name)
