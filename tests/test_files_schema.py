"""Shapes of parsed files: the first wrong value is named by its place."""

from __future__ import annotations

import pytest

from zeroiqa.files.schema import NUMBER, TEXT, WHOLE, ListOf, MapOf, Record, first_wrong, one_of, perhaps

SHAPE = Record(
    {"name": TEXT, "counts": ListOf(WHOLE), "raters": MapOf(Record({"mass": NUMBER}))},
    optional={"kind": one_of("word", "sentence"), "note": perhaps(TEXT)},
)
RIGHT = {"name": "a", "counts": [0, 7], "raters": {"fake": {"mass": 0.5}}, "later": object()}


@pytest.mark.parametrize("more", [{}, {"kind": "word", "note": None}, {"name": "photo\udcff.jpg"}])
def test_what_fits_is_taken(more):
    assert first_wrong(RIGHT | more, SHAPE) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": 1}, "name is 1, not a text"),
        ({"name": "\ud800"}, r"name is '\ud800', not a text"),
        ({"name": "a\0b"}, r"name is 'a\x00b', not a text"),
        ({"name": None}, "name is None, not a text"),
        ({"counts": {}}, "counts is an object of 0, not a list"),
        ({"counts": [1, -1]}, "counts[1] is -1, not a whole number from 0 on"),
        ({"counts": [True]}, "counts[0] is True, not a whole number from 0 on"),
        ({"counts": [10**5000]}, "counts[0] is a number of hundreds of digits, not a whole number from 0 on"),
        ({"raters": []}, "raters is a list of 0, not an object"),
        ({"raters": {"fake": {}}}, "raters.fake.mass is missing"),
        ({"raters": {"fake": {"mass": float("nan")}}}, "raters.fake.mass is nan, not a finite number"),
        ({"raters": {"\0": {"mass": 1}}}, r"raters.\x00 is '\x00', not a text"),
        ({"kind": ["word"]}, "kind is a list of 1, not one of word, sentence"),
        ({"note": 0}, "note is 0, not a text or null"),
    ],
)
def test_the_first_wrong_value_is_named_by_its_place(change, said):
    assert first_wrong(RIGHT | change, SHAPE) == said


@pytest.mark.parametrize("value", [None, [], 3, "x"])
def test_something_else_altogether_is_said(value):
    assert str(first_wrong(value, SHAPE)).startswith("all of it is ")
