"""The known names that a mistaken one may mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from zeroiqa.suggestions import alternatives, did_you_mean, did_you_mean_path, nearest

MODELS = ("qwen2-vl-2b", "smolvlm-500m", "qwen3-vl-4b", "internvl3-1b")


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("qwen", ["qwen2-vl-2b", "qwen3-vl-4b"]),
        ("QWEN3", ["qwen3-vl-4b"]),
        ("vl-", ["qwen2-vl-2b", "qwen3-vl-4b"]),
        ("smolvlm500", ["smolvlm-500m"]),
        ("vl", []),
        ("", []),
        ("piqe", []),
    ],
)
def test_names_that_begin_so_come_before_names_that_look_so(word: str, found: list[str]) -> None:
    assert nearest(word, MODELS) == found


def test_of_many_names_the_first_are_told() -> None:
    assert alternatives([]) == ""
    assert alternatives(["a"]) == "a"
    assert alternatives(["a", "b", "c"]) == "a, b or c"
    assert alternatives(map(str, range(30))) == "0, 1, 2, 3, 4, 5, 6, 7, 8 or 21 more"
    assert did_you_mean("qwen", MODELS) == "did you mean qwen2-vl-2b or qwen3-vl-4b? "
    assert did_you_mean("xyzzy", MODELS) == ""


def test_a_path_is_looked_for_where_it_goes_wrong(tmp_path: Path) -> None:
    (tmp_path / "photos" / "old").mkdir(parents=True)
    (tmp_path / "photos" / "old" / "cat.jpg").touch()
    assert did_you_mean_path(tmp_path / "photos" / "old" / "catt.jpg") == (
        f" Did you mean {tmp_path / 'photos' / 'old' / 'cat.jpg'}?"
    )
    assert did_you_mean_path(tmp_path / "fotos" / "old" / "cat.jpg") == (
        f" Did you mean {tmp_path / 'photos' / 'old' / 'cat.jpg'}?"
    )
    assert did_you_mean_path(tmp_path / "fotos" / "new") == f" Did you mean {tmp_path / 'photos'}?"
    assert did_you_mean_path(tmp_path / "xyzzy") == ""


@pytest.mark.parametrize("path", ["", ".", "/", "s3://bucket/photos", "a\0b", "n/o/t/h/e/r/e", "x" * 5000])
def test_no_path_is_too_odd(path: str) -> None:
    assert did_you_mean_path(path) == ""
