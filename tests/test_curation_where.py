from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroiqa.curation.where import DEEPEST, LONGEST, parse
from zeroiqa.errors import UserError

COLUMNS = ("path", "score", "score_fake:2", "mass", "width", "height", "tags", "group", "status", "error")
ROW = {
    "path": "photos/2019/cat one.png",
    "score": 2.5,
    "score_fake:2": 4.0,
    "mass": None,
    "width": 1200,
    "height": 800,
    "tags": ("blurred", "low contrast"),
    "group": "photos/2019",
    "status": "ok",
    "error": None,
}


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("score < 3", True),
        ("score<3 and width>1000", True),
        ("SCORE < 3 AND width > 2000", False),
        ("width > 2000 or score < 3 and height = 800", True),
        ("(width > 2000 or score < 3) and height != 800", False),
        ("not score < 3", False),
        ("not not score < 3", True),
        ("2 <= score < 3", True),
        ("2 <= score < 2.5", False),
        ("score > -1e3", True),
        ("height < width", True),
        ("`score_fake:2` = 4", True),
        ("score_fake:2 == 4.0", True),
        ("'blurred' in tags", True),
        ("'noisy' not in tags", True),
        ("\"low contrast\" in tags", True),
        ("tags is empty", False),
        ("path like '*.png'", True),
        ("path like '*.jpg' or path like 'photos/*'", True),
        ("path not like '*.jpg'", True),
        ("path LIKE '*.PNG'", False),
        ("'2019' in path", True),
        ("status = 'ok'", True),
        ("group <> 'a'", True),
        ("mass > 0.5", None),
        ("not mass > 0.5", None),
        ("mass is empty", True),
        ("mass is not empty", False),
        ("mass > 0.5 or score < 3", True),
        ("mass > 0.5 and score > 3", False),
        ("mass > 0.5 and score < 3", None),
        ("error like '*'", None),
    ],
)  # fmt: skip
def test_conditions_mean_what_they_say(text: str, truth: bool | None) -> None:
    assert parse(text, COLUMNS)(ROW) is truth


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "Character 1 of the condition '' is the end, where a number, a text in quotes or a column"),
        ("score <", "Character 8 of the condition 'score <' is the end, where a number"),
        ("scor < 3", "is scor, which is no column: did you mean score? there are path, score,"),
        (
            "score < 3 width",
            "Character 11 of the condition 'score < 3 width' is width, where and, or, or the",
        ),
        ("score", "where a comparison is expected"),
        ("score < 'a'", "is <, though score is a number and a is a text"),
        ("tags = 'blurred'", "though tags is a list and blurred is a text; a list is asked by 'blurred' in"),
        ("tags = tags", "'blurred' in tags"),
        ("3 in path", "which looks for a text in tags"),
        ("score like '3*'", "is like, which compares texts with patterns, though score is a number."),
        ("tags like 'b*'", "though tags is a list; a list is asked by 'blurred' in tags."),
        ("path like path", "is path, where like expects a pattern in quotes such as '*.png'."),
        ("path like 3", "Character 11 of the condition 'path like 3' is 3, where like expects a pattern"),
        ("'blured' in tags", "is blured, which is no tag: did you mean blurred? the tags are blurred, noisy"),
        ("fog in tags", "; a text stands in quotes."),
        ("score < 1_000", "is 1_000, which is no part of a condition"),
        ("score < 1e999", "is 1e999, which is beyond all numbers"),
        ("score < 9**9", "is *, which is no part of a condition"),
        ("().__class__ = 1", "Character 3 of the condition '().__class__ = 1' is ., which is no part"),
        ("score.real = 1", "is score.real, which is no column"),
        ("len(path) > 3", "is len, which is no column"),
        ("path like 'a", "is ', whose second one is missing"),
        ("score is", "where empty is expected"),
        ("(score < 3", "where a closing bracket is expected"),
        ("\x1b[31m < 3", "is \\x1b, which is no part"),
        ("(" * (DEEPEST + 1), f"more than {DEEPEST} deep"),
        ("not " * (DEEPEST + 1) + "score < 3", f"more than {DEEPEST} deep"),
        ("1" * (LONGEST + 1), f"more than the {LONGEST:,} that are read"),
    ],
)
def test_what_is_no_condition_is_refused_with_its_place(text: str, sentence: str) -> None:
    with pytest.raises(UserError) as error:
        parse(text, COLUMNS)
    assert sentence in str(error.value)


PIECES = st.sampled_from(
    [*COLUMNS, "and", "or", "not", "in", "like", "is", "empty", "(", ")", "<", ">=", "==", "'", '"', "`",
     "'*'", "'[a'", "'[!]-a]*'", "1e9", "-3", ".", "**", "9" * 400, "\0", "\ud800", "__import__('os')"]
)  # fmt: skip


@given(st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=25).map(" ".join)))
def test_any_text_is_a_condition_or_a_sentence(text: str) -> None:
    with contextlib.suppress(UserError):
        assert parse(text, COLUMNS)(ROW) in (True, False, None)


NUMBERS = st.floats(-5, 5).map(lambda number: round(number, 2))
COMPARISONS = st.tuples(
    st.sampled_from(["score", "width"]), st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), NUMBERS
).map(lambda parts: f"{parts[0]} {parts[1]} {parts[2]}")
CONDITIONS = st.recursive(
    COMPARISONS,
    lambda inner: st.one_of(
        inner.map("not ({})".format), st.lists(inner, min_size=2, max_size=3).map(" and ".join),
        st.lists(inner, min_size=2, max_size=3).map(" or ".join), inner.map("({})".format),
    ),
    max_leaves=8,
)  # fmt: skip


@given(CONDITIONS, NUMBERS, NUMBERS)
def test_conditions_on_numbers_mean_what_python_means(text: str, score: float, width: float) -> None:
    row = {"score": score, "width": width}
    assert parse(text, COLUMNS)(row) is eval(text, {}, row)


def test_a_pattern_of_many_stars_is_quick() -> None:
    pattern = "*a" * 1000
    assert parse(f"path like '{pattern}b'", COLUMNS)({"path": "a" * 4000}) is False
