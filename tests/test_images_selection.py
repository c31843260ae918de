"""Patterns of --include and --exclude."""

from __future__ import annotations

import pytest

from zeroiqa.errors import UserError
from zeroiqa.images.selection import Selection


@pytest.mark.parametrize(
    ("pattern", "fitting", "others"),
    [
        ("*.png", "a.png x/a.png x.png/a.jpg", "a.png.jpg a.PNG png"),
        ("drafts", "drafts/a.jpg x/drafts/y/a.jpg drafts", "drafts2/a.jpg x/my-drafts"),
        ("drafts/", "drafts/a.jpg x/drafts/a.jpg", "drafts x/drafts"),
        ("2019/*/raw", "2019/x/raw/a.jpg 2019/x/raw", "x/2019/x/raw/a.jpg 2019/x/y/raw/a.jpg"),
        ("/a.jpg", "a.jpg", "x/a.jpg"),
        ("x/**", "x/a x/y/a", "x y/x/a"),
        ("**/b", "b x/b x/y/b b/a", "bc x/bc"),
        ("x/**/b", "x/b x/y/z/b", "xb x/bc"),
        ("[ab]?.jpg", "a1.jpg x/b2.jpg", "c1.jpg a.jpg"),
        ("[!a].jpg", "b.jpg", "a.jpg"),
        ("[]^].jpg", "].jpg ^.jpg", "a.jpg"),
        ("[x", "[x", "x"),
        ("a.b", "a.b", "axb"),
    ],
)
def test_pattern_fits_names_folders_and_paths(pattern: str, fitting: str, others: str) -> None:
    selection = Selection.of(exclude=[pattern])
    assert [path for path in fitting.split() if selection.wants(path)] == []
    assert [path for path in others.split() if not selection.wants(path)] == []
    assert [path for path in others.split() if Selection.of(include=[pattern]).wants(path)] == []


def test_exclude_is_stronger_than_include_and_folders_are_not_entered_in_vain() -> None:
    selection = Selection.of(["*.jpg"], ["old", "x/y/"])
    assert [selection.wants(path) for path in ("a.jpg", "a.png", "old/a.jpg")] == [True, False, False]
    assert [selection.enters(folder) for folder in ("x", "x/old", "x/y", "y")] == [True, False, False, True]


def test_equal_selections_are_equal_values() -> None:
    assert Selection.of(["b", "a", "b"]) == Selection.of(["a", "b"]) != Selection.of([], ["a", "b"])


@pytest.mark.parametrize("pattern", ["", "/", "[z-a]"])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(UserError, match="is no pattern of names"):
        Selection.of(exclude=[pattern])
