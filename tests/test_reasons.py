"""Reasons in their units, and tags by the thresholds of reasons.toml."""

from __future__ import annotations

import math
import re
import tomllib
from pathlib import Path

import pytest

from zeroiqa.reasons import MEASURES, REASONS, TAGS, reasons_of, tags_of

ROOT = Path(__file__).parents[1]
DATA = tomllib.loads((ROOT / "zeroiqa" / "reasons.toml").read_text(encoding="utf-8"))
GOOD = {
    "sharpness": 5.0,
    "noise": 0.5,
    "exposure": 0.0,
    "highlights": 0.0,
    "shadows": 0.0,
    "cast": 2.0,
    "contrast": 55.0,
    "compression": 1.0,
    "plain": 5.0,
}


def test_reasons_have_the_names_of_the_columns_in_their_order():
    assert list(REASONS) == list(GOOD)
    assert all(reason.name == name and reason.unit and reason.text for name, reason in REASONS.items())


def test_tags_have_their_spelling():
    assert TAGS == (
        "blurred", "noisy", "dark", "overexposed", "low contrast", "colour cast", "blocky", "uniform",
    )  # fmt: skip


def test_units_are_those_of_photographers():
    measures = dict.fromkeys(MEASURES, 0.0) | {"light": 0.18, "white": 0.125, "contrast": 51.5}
    found = reasons_of(measures)
    assert list(found) == list(REASONS)
    assert (found["exposure"], found["highlights"], found["contrast"]) == (0, 12.5, 51.5)
    assert reasons_of(measures | {"light": 0.72})["exposure"] == 2  # two doublings of 18 %
    assert reasons_of(measures | {"light": 0.0})["exposure"] == pytest.approx(
        -10.2, abs=0.1
    )  # black is finite


def test_sharpness_is_a_level_that_rises_with_the_measure_and_has_the_frequencies_of_the_score():
    levels = [reasons_of({"sharpness": value / 4})["sharpness"] for value in range(-12, 21)]
    assert levels == sorted(set(levels))
    assert 1 <= levels[0] < 1.01
    assert 6.9 < levels[-1] <= 7
    assert len(DATA["levels"]["cuts"]) == 6


def test_texture_is_no_noise_unless_it_is_stronger_than_textures_are():
    noises = [({"noise": 3.9, "colour_noise": 0.5}, 0.5), ({"noise": 9.0, "colour_noise": 0.5}, 5.0)]
    assert [reasons_of(measures)["noise"] for measures, _ in noises] == [noise for _, noise in noises]


def test_what_was_not_measured_gives_no_reason_and_no_tag():
    assert reasons_of({}) == {}
    assert reasons_of({"contrast": 5.0, "noise": 99.0, "a plugin's own": 1.0}) == {"contrast": 5.0}
    assert tags_of({}) == ()
    assert tags_of({"contrast": 5.0}) == ("low contrast",)


@pytest.mark.parametrize("tag", TAGS)
def test_tag_begins_at_its_threshold(tag):
    for limit in DATA["tags"][tag]["when"]:
        beyond = math.copysign(0.001, limit["severe"] - limit["starts"])
        assert tags_of(GOOD | {limit["reason"]: limit["starts"]}) == (tag,)
        assert tags_of(GOOD | {limit["reason"]: limit["starts"] - beyond}) == ()
        assert tags_of(GOOD | {limit["reason"]: limit["severe"]}) == (tag,)


def test_a_good_image_has_no_tag():
    assert tags_of(GOOD) == ()


def test_the_worst_tag_comes_first_and_there_are_three_at_most():
    some = GOOD | {"sharpness": 1.9, "noise": 30.0, "compression": 3.0}
    assert tags_of(some) == ("noisy", "blocky", "blurred")
    assert tags_of(some | {"cast": 40.0}) == ("noisy", "colour cast", "blocky")


def test_tag_with_two_reasons_is_given_once_by_the_worse_one():
    assert tags_of(GOOD | {"highlights": 50.0, "exposure": 2.3}) == ("overexposed",)


@pytest.mark.parametrize(
    ("values", "tags"),
    [
        ({"plain": 100.0, "contrast": 0.0, "sharpness": 1.0, "cast": 60.0, "compression": 5.0}, {"uniform"}),
        ({"plain": 100.0, "contrast": 0.0, "exposure": -10.2}, {"uniform", "dark"}),
        ({"exposure": -5.0, "contrast": 8.0}, {"dark"}),
        ({"highlights": 60.0, "contrast": 8.0}, {"overexposed"}),
        ({"noise": 30.0, "sharpness": 1.0}, {"noisy", "blurred"}),
    ],
    ids=["one colour", "a black frame", "dark", "washed out", "noise is not sharpness"],
)
def test_tags_that_mean_nothing_beside_another_are_hidden(values, tags):
    assert set(tags_of(GOOD | values)) == tags


def test_every_reason_but_shadows_gives_a_tag_and_thresholds_name_nothing_else():
    limits = [limit for tag in DATA["tags"].values() for limit in tag["when"]]
    assert {limit["reason"] for limit in limits} == set(REASONS) - {"shadows"}
    assert all(limit["starts"] != limit["severe"] for limit in limits)
    assert {hidden for tag in DATA["tags"].values() for hidden in tag.get("hides", ())} <= set(TAGS)


def test_the_guide_has_every_reason_and_every_threshold():
    guide = (ROOT / "docs" / "embedded.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in guide.splitlines()]
    for reason in REASONS.values():
        assert [f"`{reason.name}`", reason.unit, reason.text] in rows
    for name, tag in DATA["tags"].items():
        limits = [
            f"`{each['reason']}` {'≥' if each['severe'] > each['starts'] else '≤'} {each['starts']:g} "
            f"{REASONS[each['reason']].unit}"
            for each in tag["when"]
        ]
        assert [f"`{name}`", " or ".join(limits), ", ".join(tag.get("hides", ())) or "–"] in rows
    assert not re.findall(r"\| `[a-z ]+` \| `(?!" + "|".join(REASONS) + ")", guide)
