"""A method by any of its names, in Python as on the command line."""

from __future__ import annotations

from typing import Any

import pytest

import zeroiqa
from zeroiqa.choices import chosen_settings
from zeroiqa.errors import UserError
from zeroiqa.samples import folder
from zeroiqa.settings import load_settings

PHOTO = folder() / "cat.jpg"


def test_a_preset_is_itself() -> None:
    assert chosen_settings("llm-iqa") == load_settings("llm-iqa")
    assert chosen_settings() == load_settings("embedded")


@pytest.mark.parametrize("name", ["qwen2.5-vl-7b", "nss", "fake:3", "hf:OWNER/NAME", "openai:http://x/v1#m"])
def test_a_rater_rates_alone_and_all_else_is_as_by_default(name: str) -> None:
    assert chosen_settings(name) == load_settings("embedded", {"raters": [name]})


def test_one_text_is_one_name_not_its_letters() -> None:
    settings = chosen_settings(overrides={"raters": "fake", "standards": "q-bench"})
    assert (settings.raters, settings.standards) == (("fake",), ("q-bench",))


def test_aspects_are_the_word_standards() -> None:
    assert chosen_settings(aspects="authenticity").standards == ("authenticity-word-7",)
    both = chosen_settings(aspects=["quality", "correspondence"]).standards
    assert both == ("quality-word-7", "correspondence-word-7")


def test_a_baseline_is_a_method_of_its_own() -> None:
    method = zeroiqa.load_method(baseline="piqe")
    result = zeroiqa.score(PHOTO, method=method)
    assert result.lower_is_better and result.score is not None
    assert zeroiqa.load_method("nss").settings == zeroiqa.load_method(raters="nss").settings


@pytest.mark.parametrize(
    ("name", "choices", "sentence"),
    [
        ("nss", {"overrides": {"raters": ["fake"]}}, "nss is a rater, and another one is named beside it"),
        ("embedded", {"baseline": "piqe", "overrides": {"raters": ["nss"]}}, "A baseline stands alone"),
        ("embedded", {"aspects": "beauty"}, "There is no aspect 'beauty'; known: quality, authenticity"),
        ("embedded", {"aspects": "quality", "overrides": {"standards": "q-bench"}}, "give one of both"),
        ("embeded", {}, "There is no preset 'embeded'; did you mean embedded?"),
        ("embedded", {"overrides": {"lamda": 1}}, "There is no setting lamda .* did you mean lam"),
    ],
)
def test_what_contradicts_itself_or_is_unknown_is_refused(
    name: str, choices: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        chosen_settings(name, **choices)


def test_a_name_of_another_kind_is_told() -> None:
    with pytest.raises(UserError, match="niqe is a baseline"):
        zeroiqa.load_method("niqe")
    with pytest.raises(UserError, match="FILE"):
        zeroiqa.load_method(baseline="niqe")
