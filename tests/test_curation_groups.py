from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from zeroiqa.curation.groups import grouping
from zeroiqa.errors import UserError
from zeroiqa.results import ImageScore


def groups(by: str, *paths: str, folders: tuple[str, ...] = (".",)) -> list[str]:
    group: Callable[[ImageScore], str] = grouping(by, folders)
    return [group(ImageScore(path)) for path in paths]


def test_folders_are_what_precedes_the_name() -> None:
    paths = ("a.png", "x/a.png", "/a.png", "/x/y/a.png", "s3://b/x/a.png", "x.tar/in/a.png")
    assert groups("folder", *paths) == [".", "x", "/", "/x/y", "s3://b/x", "x.tar/in"]


def test_an_expression_groups_by_what_it_finds_first() -> None:
    assert groups("re:([^_/]+)_", "x/cat_1.png", "x/dog_1.png", "x/none.png") == ["cat", "dog", ""]
    assert groups("re:cat|dog", "x/cat_1.png", "x/none.png") == ["cat", ""]
    assert groups("re:(a)?b", "b") == [""]  # a group that takes no part


@pytest.mark.parametrize(
    ("named", "path", "group"),
    [
        ("photos/a.png", "photos/a.png", "one"),
        ("./photos/a.png", "photos/a.png", "one"),
        ("a.png", "photos/a.png", "one"),  # a bare name
        ("photos/a", "photos/a.png", "one"),  # without suffix
        ("/elsewhere/photos/a.png", "photos/a.png", "one"),  # another machine's
        ("/elsewhere/other/a.png", "photos/a.png", ""),
        (" photos/a.png ", "photos/a.png", "one"),
        ("s3://b/a.png", "s3://b/a.png", "one"),
        ("s3://b/a.png", "s3://c/a.png", ""),
        ("b.png", "photos/a.png", ""),
        ("photos/a\\nb.png", "photos/a\nb.png", "one"),  # as our own tables write it
    ],
)
def test_rows_of_a_table_name_images_as_opinions_do(here: Path, named: str, path: str, group: str) -> None:
    (here / "t.csv").write_text(f"image,scene\n{named},one\nother.png,two\n")
    assert groups("t.csv:scene", path) == [group]
    assert groups("t.csv:SCENE", path) == [group]


def test_paths_count_from_the_folder_of_the_run(here: Path) -> None:
    (here / "t.csv").write_text(f"path,scene\n{here}/run_here/a.png,one\n")
    assert groups("t.csv:scene", "a.png", folders=(str(here / "run_here"),)) == ["one"]


def test_a_row_of_a_file_that_is_there_means_no_other_image(here: Path) -> None:
    (here / "a.png").write_bytes(b"")
    (here / "t.csv").write_text("path,scene\na.png,one\n")
    assert groups("t.csv:scene", "a.png", "below/a.png") == ["one", ""]


@pytest.mark.parametrize(
    ("by", "text", "sentence"),
    [
        ("folders", "", "'folders' groups nothing; give folder, FILE:COLUMN or re:EXPRESSION."),
        (":", "", "groups nothing"),
        ("re:", "", "groups nothing"),
        ("re:(", "", "( is no regular expression"),
        ("none.csv:scene", "", "none.csv"),
        ("t.csv:scen", "path,scene\na.png,1\n", "t.csv has no column scen; its columns are path, scene."),
        ("t.csv:scene", "x,scene\na.png,1\n", "t.csv has no column of images"),
        ("t.csv:scene", "path,scene\na.png,1\na.png,2\n", "says both '1' and '2' of a.png"),
    ],
)
def test_what_groups_nothing_is_refused_in_a_sentence(here: Path, by: str, text: str, sentence: str) -> None:
    if text:
        (here / "t.csv").write_text(text)
    with pytest.raises(UserError) as error:
        grouping(by)
    assert sentence in str(error.value)


def test_a_row_that_fits_two_images_is_refused(here: Path) -> None:
    (here / "t.csv").write_text("path,scene\na.png,one\n")
    with pytest.raises(UserError, match=r"row that fits x/a\.png, too, by the end a\.png"):
        groups("t.csv:scene", "x/a.png", "x/a.png", "y/a.png")
    (here / "t.csv").write_text("path,scene\n/p/x/a.png,one\n/q/x/a.png,two\n")
    with pytest.raises(UserError, match=r"several rows, by the end x/a\.png"):
        groups("t.csv:scene", "x/a.png")
