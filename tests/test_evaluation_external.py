"""Scores of other tools: wide and long files, and who says which way they point."""

from __future__ import annotations

import pytest

from zeroiqa.errors import UserError
from zeroiqa.evaluation.external import read_external, read_externals


@pytest.fixture
def write(tmp_path):
    def written(text, name="tool.csv"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return written


def directions(path, *lower):
    return {method.name: method.direction.sign for method in read_external(path, lower)}


def test_a_wide_file_has_a_method_in_each_column(write):
    first, second = read_external(write("image,a,b\nx.png,1,2\ny.png,,3\n"))
    assert (first.name, first.scored) == ("a", (("x.png", 1.0), ("y.png", None)))
    assert (second.name, second.scored) == ("b", (("x.png", 2.0), ("y.png", 3.0)))
    assert first.source.endswith("tool.csv") and first.protocol == "external scores, tool.csv"


def test_a_long_file_has_a_method_in_each_row(write):
    text = "path,method,score,direction\nx.png,a,1,lower\nx.png,b,2,\ny.png,a,3,lower\n"
    first, second = read_external(write(text))
    assert (first.name, first.scored, first.direction.sign) == ("a", (("x.png", 1.0), ("y.png", 3.0)), -1)
    assert (second.name, second.scored, second.direction.sign) == ("b", (("x.png", 2.0),), None)


def test_the_only_column_is_called_as_its_file_where_it_says_no_more_than_score(write):
    assert directions(write("path,score\nx.png,1\n", "niqe.csv")) == {"niqe": -1}


USUAL = ("NIQE", "niqe", "IL-NIQE", "il_niqe", "BRISQUE", "brisque_matlab", "PIQE", "pyiqa:niqe")


@pytest.mark.parametrize("name", [*USUAL, "score_baseline:niqe", "niqe score", "anything ↓"])
def test_lower_is_better_by_the_usual_names(write, name):
    assert directions(write(f"path,{name}\nx.png,1\n")) == {name: -1}


@pytest.mark.parametrize(
    ("name", "sign"),
    [("MUSIQ", 1), ("CLIPIQA", 1), ("clip-iqa+", 1), ("anything", None), ("-NIQE turned", None)],
)
def test_others_point_upwards_or_nobody_says(write, name, sign):
    assert directions(write(f"path,{name}\nx.png,1\n")) == {name: sign}


@pytest.mark.parametrize(
    ("column", "word", "sign"),
    [
        ("lower_is_better", "True", -1),
        ("lower_is_better", "0", 1),
        ("lower_better", "yes", -1),
        ("higher_is_better", "false", -1),
        ("Direction", "lower is better", -1),
        ("direction", "+1", 1),
        ("better", "higher", 1),
        ("better", "", None),
    ],
)
def test_a_column_says_the_direction_of_its_file(write, column, word, sign):
    path = write(f"path,mine,{column}\nx.png,1,{word}\ny.png,2,{word}\n")
    assert directions(path) == {"mine": sign}
    assert directions(path, "MINE") == {"mine": -1}, "the option comes first"


def test_a_column_comes_before_the_name(write):
    assert directions(write("path,NIQE,better\nx.png,-4,higher\n")) == {"NIQE": 1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,a,direction\nx.png,1,sideways\n", "'sideways' in column direction; write lower or higher"),
        ("path,a,better\nx.png,1,lower\ny.png,1,higher\n", "of a in column better both that"),
        ("path,a\nx.png,good\ny.png,1\n", "'good' in line 2, column a"),
        ("path,a\nx.png,good\n", "needs a column path and a column of scores"),
        ("path,lower_is_better\nx.png,1\n", "needs a column path and a column of scores"),
        ("path,a,A\nx.png,1,2\n", "has columns of one name, a and A; leave one of them or rename"),
        ("path,image,a\nx.png,x,2\n", "2 columns of paths, path and image; leave one of them"),
        ("path,a\nx.png,1_0\ny.png,1\n", "'1_0' in line 2, column a"),
        ("", "is empty"),
    ],
)
def test_what_cannot_be_read_is_said_in_a_sentence(write, text, said):
    with pytest.raises(UserError, match=said):
        read_external(write(text))


def test_a_name_that_is_none_of_the_files_is_refused_with_those_that_are(write):
    paths = [write("path,a\nx.png,1\n"), write("path,b\nx.png,1\n", "other.csv")]
    assert [method.direction.sign for method in read_externals(paths, ["B"])] == [None, -1]
    with pytest.raises(UserError, match=r"no external method 'c'.* the files have a, b\."):
        read_externals(paths, ["b", "c"])
    with pytest.raises(UserError, match="give its scores by --external FILE"):
        read_externals([], ["a"])
