"""Comparisons as data: what a file may say, and the one number that their answers make."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroiqa.comparison import Comparison, Degradation
from zeroiqa.errors import UserError
from zeroiqa.standards import Standard, load_standard

FILE = """
version = 1
aspect = "quality"
kind = "comparison"
after_image = " "
user = "Good or poor?"
weights = "weighted"
[levels]
2 = "Good"
1 = "Poor"
[weight]
user = "The same?"
yes = "Yes"
no = "No"
[degradations]
fog = 4
spatter = 3
"""
COPIES = (Degradation("fog", 4), Degradation("spatter", 3))
SHARES = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=4)


def load(folder: Path, text: str) -> Standard:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return load_standard(path)


def test_the_files_of_q_debias_say_what_its_authors_send() -> None:
    standard = load_standard("q-debias")
    level, weight = standard.fill(), standard.fill(weight=True)
    assert level.user == (
        "The visual quality of the first image is poor. "
        "How about the visual quality of the second image. Good or poor?"
    )
    assert weight.user == "Do these two images describe the same object? Yes or no"
    for filled in (level, weight):
        assert filled[:1] + filled[2:] == ("", " ", "", "", 2)  # no system turn, one space, no stem
    assert standard.levels == ("Poor", "Good") and standard.k == 0
    compared = standard.comparison
    assert compared is not None and compared.weight_words == ("Yes", "No") and compared.show == "whole"
    names = [(each.name, each.severity) for each in compared.degradations]
    assert names == [("zoom_blur", 3), ("spatter", 3), ("saturate", 3), ("fog", 4)]
    asked = {name: load_standard(name).prompts for name in ("q-debias", "q-debias-mean", "quality-word-7")}
    assert list(asked.values()) == [8, 4, 1]
    run, mean = (load_standard(f"q-debias-{name}").comparison for name in ("as-run", "mean"))
    assert run == Comparison(compared.degradations, "as-run", weight.user, ("Yes", "No"))
    assert mean == Comparison(compared.degradations)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("fog = 4", "fog = 3"),
        ("fog = 4\nspatter = 3", "spatter = 3\nfog = 4"),
        ("The same?", "One object?"),
        ('"Yes"', '"Yeah"'),
        ('weights = "weighted"', 'weights = "weighted"\nshow = "as-run"'),
        ('after_image = " "', ""),
    ],
)
def test_the_hash_changes_with_everything_that_moves_a_score(tmp_path: Path, old: str, new: str) -> None:
    before = load(tmp_path, FILE)
    assert before.comparison == Comparison(COPIES, "whole", "The same?", ("Yes", "No"))
    assert load(tmp_path, FILE.replace(old, new)).hash != before.hash


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "fog = 4",
            "mist = 4",
            "degradations.mist: this key is unknown; .*zoom_blur, spatter",
        ),
        ("spatter = 3", "spatter = 4", "degradations.spatter: found 4; give a whole number from 1 to 3"),
        ("fog = 4\nspatter = 3", "", "there is none; name some of zoom_blur"),
        ("[degradations]", "[others]", "others: this key is unknown"),
        ('1 = "Poor"', '1 = "Poor"\n3 = "Best"', "levels: found 3 of them; give two"),
        ('"weighted"', '"equal"', "weight: there is nothing to ask where weights are equal"),
        ('"weighted"', '"some"', "weights: found 'some'; choose one of weighted, equal"),
        ('no = "No"', 'no = "yes"', "weight.yes, no: they are the same word"),
        ('no = "No"', "", "weight.no: it is missing"),
        ('user = "The same?"', "", "weight.user: it is missing"),
        ("The same?", "The same {object}?", "weight.user: the placeholder {object} is unknown"),
        ('weights = "weighted"', 'weights = "weighted"\nshow = "half"', "show: found 'half'"),
        ('weights = "weighted"', 'weights = "weighted"\nanswer = "It is"', "answer: this key is unknown"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        load(tmp_path, FILE.replace(old, new))


def test_the_score_is_the_mean_weighted_by_the_softmax_of_the_weights() -> None:
    comparison = Comparison(COPIES)
    found = comparison.value([0.2, 0.8], [0.9, 0.1])
    first, second = math.exp(0.9), math.exp(0.1)
    assert found == pytest.approx((0.2 * first + 0.8 * second) / (first + second), rel=1e-12)
    assert comparison.value([0.2, 0.8], []) == pytest.approx(0.5) == comparison.value([0.2, 0.8], [0.3, 0.3])
    assert comparison.value([1.0, 0.0], [1.0, 0.0]) == pytest.approx(math.e / (math.e + 1))


@given(SHARES)
def test_the_score_is_between_the_least_and_the_largest_answer(pairs: list[tuple[float, float]]) -> None:
    good, weights = zip(*pairs, strict=True)
    assert min(good) - 1e-12 <= Comparison(COPIES).value(good, weights) <= max(good) + 1e-12
