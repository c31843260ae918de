"""Names that break tables, terminals and lines."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroiqa.errors import UserError
from zeroiqa.names import cell, harmless, json_text, meanings

BREAKING = "\0\t\n\r\x0b\x0c\x1b\x1c\x7f\x85\x9b\u2028\u2029\u202e\u2066\udce9"


@pytest.mark.parametrize("char", BREAKING)
def test_each_breaking_character_is_escaped_and_comes_back(char: str) -> None:
    name = f"a\\n{char}b"
    assert cell(name) == f"a\\\\n{ascii(char)[1:-1]}b"
    assert harmless(name) == f"a\\n{ascii(char)[1:-1]}b"
    assert name in meanings(cell(name))
    assert str(UserError(name)) == harmless(name)


@given(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(BREAKING + "\\nx0u'\"")))
def test_any_name_is_one_line_and_comes_back(name: str) -> None:
    for written in (cell(name), json_text({"path": name})):
        assert len(f"{written}.".splitlines()) == 1
        assert not set(written) & set(BREAKING)
    assert name in meanings(cell(name))
    assert name in meanings(f"'{cell(name)}")
    assert json.loads(json_text(name)) == name


def test_names_that_break_nothing_stay() -> None:
    for name in ("全角\u3000空白.jpg", "1\u202fPM.png", "👨\u200d👩.jpg", "C:\\new\\table.jpg", "'a.jpg"):
        assert cell(name) == harmless(name) == name == meanings(name)[0]


def test_lines_of_an_indented_document_stay() -> None:
    assert json_text({"a": "\u2028"}, indent=1) == '{\n "a": "\\u2028"\n}'
