"""Standards whose answer is begun for the model: what comes next is read (Q-Bench, Q-Align, SeP-IQA)."""

from __future__ import annotations

import pytest

from tests.test_standards import WORD, write
from zeroiqa.errors import UserError
from zeroiqa.standards import load_standard

NEXT_WORD = """
version = 1
aspect = "quality"
kind = "next-word"
user = "How good is it?"
answer = "It is"
[levels]
1 = "bad"
2 = "good"
"""
PREFERENCE = """
version = 1
aspect = "quality"
kind = "preference"
user = "How good is it?"
answer = "It is"
after_image = ""
candidates = 100
positive = "good fine"
negative = "bad poor"
"""


def test_q_bench_and_q_align_compare_next_words():
    bench, align = load_standard("q-bench"), load_standard("q-align")
    assert bench.fill()[:4] == ("", "Rate the quality of the image.", "\n", "The quality of the image is")
    assert bench.levels == ("poor", "good")
    assert align.levels == ("bad", "poor", "fair", "good", "excellent")
    assert align.fill().answer == "The quality of the image is"


def test_sep_iqa_asks_what_its_authors_ask():
    standard = load_standard("sep-iqa")
    assert standard.fill()[:4] == (
        "",
        "Taking into account the details and the rationality of the image, how would you rate the quality of "
        "this image?",
        "",
        "The quality of the image is very",
    )
    positive, negative = standard.positive.split(), standard.negative.split()
    assert (len(positive), len(negative), len(set(negative)), standard.candidates) == (27, 25, 24, 100)
    assert (positive[0], positive[-1], negative[0], negative[-1]) == (
        "perfect",
        "colorful",
        "bad",
        "insufficient",
    )


def test_sep_iqa_asks_for_aesthetics_with_words_of_its_own():
    standard = load_standard("sep-iaa")
    assert standard.fill().answer == "The image is"
    assert (len(standard.positive.split()), len(standard.negative.split())) == (23, 22)
    assert standard.positive.split().count("stunning") == 2


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("It is", "It was"),
        ('after_image = ""', 'after_image = "\\n"'),
        ("candidates = 100", "candidates = 99"),
        ("good fine", "good good fine"),
        ("bad poor", "poor bad"),
    ],
)
def test_hash_changes_with_everything_that_is_read(tmp_path, old, new):
    before = load_standard(write(tmp_path, PREFERENCE)).hash
    assert load_standard(write(tmp_path, PREFERENCE.replace(old, new))).hash != before


@pytest.mark.parametrize(
    ("text", "old", "new", "said"),
    [
        (NEXT_WORD, '"It is"', '"It is "', "key answer: .* ends with white space"),
        (NEXT_WORD, 'answer = "It is"', "", "key answer: it is missing"),
        (NEXT_WORD, 'answer = "It is"', 'answer = "It is"\nk = 3', "key k: this key is unknown"),
        (PREFERENCE, 'after_image = ""', 'after_image = "x"', "key after_image: found 'x'"),
        (PREFERENCE, "candidates = 100", "candidates = 0", "key candidates: found 0"),
        (PREFERENCE, '"bad poor"', '"fine  good"', "they hold the same words"),
        (PREFERENCE, 'positive = "good fine"', "", "key positive: it is missing"),
        (WORD, 'kind = "word"', 'kind = "word"\nanswer = "x"', "key answer: this key is unknown"),
    ],
)
def test_what_is_wrong_with_an_answer_that_is_begun_is_said(tmp_path, text, old, new, said):
    with pytest.raises(UserError, match=said):
        load_standard(write(tmp_path, text.replace(old, new)))
