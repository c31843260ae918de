"""`zeroiqa verify`: what counts as the same rating, and for which rater."""

from __future__ import annotations

import math
from dataclasses import replace
from importlib import import_module

import pytest

from zeroiqa.settings import load_settings
from zeroiqa.types import Rating

verify = import_module("zeroiqa.cli.commands.verify")
RATING = Rating((math.log(0.25), math.log(0.75)), 0.9)
MOVED = Rating((math.log(0.25 + 3e-5), math.log(0.75 - 3e-5)), 0.9)
ALLOWED = {"fake": 0.0, "hf:model": 1e-4}


def said(capsys, rater, *ratings):
    reference = {("a.png", rater, "quality"): (RATING, RATING)}
    same = verify._same("order reversed", {("a.png", rater, "quality"): ratings}, reference, ALLOWED)
    return same, " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("rater", ALLOWED)
def test_equal_ratings_are_identical_for_every_rater(capsys, rater):
    assert said(capsys, rater, RATING, RATING) == (True, "order reversed identical (1 ratings)")


def test_probability_of_a_model_may_move_by_rounding_and_it_is_said_how_far(capsys):
    same, text = said(capsys, "hf:model", RATING, MOVED)
    assert same
    assert text == "order reversed equal but for rounding of at most 3.0e-05 (1 ratings)"


def test_rater_without_weights_may_not_move_at_all(capsys):
    same, text = said(capsys, "fake", RATING, MOVED)
    assert not same
    assert text == "order reversed 1 images differ, by up to 3.0e-05"
    assert not said(capsys, "fake", RATING, replace(RATING, mass=math.nextafter(0.9, 1)))[0]
    one_bit = replace(RATING, logprobs=(math.nextafter(RATING.logprobs[0], 0), RATING.logprobs[1]))
    assert not said(capsys, "fake", RATING, one_bit)[0]


@pytest.mark.parametrize(
    "other",
    [
        None,
        Rating((math.log(0.26), math.log(0.74)), 0.9),
        replace(RATING, mass=0.91),
        Rating((math.log(0.25), math.log(0.5), math.log(0.25)), 0.9),
        Rating((), 0.9, value=2.0),
    ],
)
def test_model_that_answers_otherwise_is_found_out(capsys, other):
    assert not said(capsys, "hf:model", RATING, other)[0]


def test_missing_ratings_are_found_out(capsys):
    assert not said(capsys, "hf:model", RATING)[0]
    assert not verify._same("2 worker processes", {}, {("a.png", "fake", "quality"): (RATING,)}, ALLOWED)


def test_numbers_are_compared_as_numbers():
    assert verify._difference((Rating((), 1.0, 4.0),), (Rating((), 1.0, 4.5),)) == 0.5
    assert verify._difference((None, Rating((), 1.0, 4.0)), (None, Rating((), 1.0, 4.0))) == 0


@pytest.mark.parametrize(("dtype", "limit"), [("auto", 1e-4), ("float32", 1e-4), ("bfloat16", 2e-2)])
def test_models_may_round_as_their_type_does(dtype, limit):
    pytest.importorskip("torch")
    settings = load_settings(overrides={"device": "cpu", "dtype": dtype})
    assert verify._rounding("hf:model", settings) == limit
    assert verify._rounding("nss", settings) == 0
