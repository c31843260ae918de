"""Known answers: built-in views, records in the user's cache, and what a difference leads to."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

import pytest

from zeroiqa.chat.known_answer import (
    KnownAnswer,
    Result,
    built_in_views,
    cache_folder,
    check,
    enforce,
    shipped_answers,
    tolerance,
)
from zeroiqa.errors import ImageError, UserError
from zeroiqa.raters.chat import ChatRater
from zeroiqa.raters.fake import FakeRater
from zeroiqa.standards import Standard, load_standard
from zeroiqa.types import Rating, View

PIXELS = (
    "74700bde878fba41eec75210a38b173034c5e84ae0a40330dcf820a7a15190de",
    "bc2e7c5d42f98370f252bf03155b87d851a07b9e63156eaf2b3b1473310bbfc1",
    "73fd5a848a42a566187be38778873b439f1f677c30a232e8bf1b9967ea1886a0",
)

GIVEN = KnownAnswer("weights", "bfloat16", "question", (), (), "torch 2.16.0")


class Nudged:
    """All levels alike, but for some probability moved from level 1 to level 2."""

    def __init__(self, by: float, mass: float = 0.9) -> None:
        probabilities = [1 / 7 - by, 1 / 7 + by, *[1 / 7] * 5]
        self._rating = Rating(tuple(map(math.log, probabilities)), mass)

    def rate(self, views: Sequence[View], standards: Sequence[Standard]) -> list[list[Rating | None]]:
        return [[self._rating] * len(standards) for _ in views]


class Silent:
    """Names no level for any view."""

    def rate(self, views: Sequence[View], standards: Sequence[Standard]) -> list[list[Rating | None]]:
        return [[None] * len(standards) for _ in views]


class Broken:
    """What a model in float16 gives when it overflows."""

    def rate(self, views: Sequence[View], standards: Sequence[Standard]) -> list[list[Rating | None]]:
        return [[Rating((math.nan,) * 7, math.nan)] for _ in views]


class Failing:
    """Refuses every view."""

    def rate(self, views: Sequence[View], standards: Sequence[Standard]) -> list[list[Rating | None]]:
        raise ImageError("no numbers")


def as_shipped(path: Path) -> dict[tuple[str, str], KnownAnswer]:
    """A record of the user's cache, as it would stand in the package."""
    fields = json.loads(path.read_text())
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in fields.items())
    return shipped_answers(f"[[answer]]\n{lines}\n")


def test_views_are_the_same_bytes_everywhere() -> None:
    views = built_in_views()
    assert [view.pixels.shape for view in views] == [(224, 224, 3), (224, 224, 3), (192, 320, 3)]
    assert tuple(sha256(view.pixels.tobytes()).hexdigest() for view in views) == PIXELS


def test_first_load_records_and_the_next_is_the_same(tmp_path: Path) -> None:
    first = check(FakeRater(), "weights", "float32", tmp_path)
    assert (first.status, first.source) == ("recorded", str(tmp_path / "weights-float32.json"))
    again = check(FakeRater(), "weights", "float32", tmp_path)
    assert (again.status, again.difference) == ("same", 0.0)
    assert [path.name for path in tmp_path.iterdir()] == ["weights-float32.json"]


def test_answers_are_recorded_in_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert check(FakeRater(), "weights", "float32").source.startswith(str(tmp_path / "zeroiqa"))
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "zeroiqa" / "known-answers"


@pytest.mark.parametrize(
    ("dtype", "by", "status"),
    [
        ("float32", 0.0009, "same"),
        ("float32", 0.0011, "different"),
        ("bfloat16", 0.019, "same"),
        ("bfloat16", 0.021, "different"),
        ("float16", 0.019, "same"),
    ],
)
def test_rounding_is_tolerated_and_no_more(tmp_path: Path, dtype: str, by: float, status: str) -> None:
    check(Nudged(0.0), "weights", dtype, tmp_path)
    found = check(Nudged(by), "weights", dtype, tmp_path)
    assert (found.status, found.tolerance) == (status, tolerance(dtype))
    assert found.difference == pytest.approx(by, abs=1e-9)


def test_mass_outside_the_scale_is_compared_too(tmp_path: Path) -> None:
    check(Nudged(0.0), "weights", "float32", tmp_path)
    assert check(Nudged(0.0, mass=0.8), "weights", "float32", tmp_path).status == "different"


def test_level_that_is_no_longer_named_is_a_difference(tmp_path: Path) -> None:
    assert check(Silent(), "weights", "float32", tmp_path).status == "recorded"
    assert check(Silent(), "weights", "float32", tmp_path).status == "same"
    assert check(FakeRater(), "weights", "float32", tmp_path).difference == 1.0


def test_each_fingerprint_and_type_has_its_own_answer(tmp_path: Path) -> None:
    for fingerprint, dtype in [
        ("a", "float32"),
        ("b", "float32"),
        ("a", "bfloat16"),
        ("hf:o/m@1 x", "float32"),
    ]:
        assert check(FakeRater(), fingerprint, dtype, tmp_path).status == "recorded"
    assert (tmp_path / "hf_o_m_1_x-float32.json").is_file()


def test_answer_to_another_question_is_replaced(tmp_path: Path) -> None:
    check(FakeRater(), "weights", "float32", tmp_path)
    path = tmp_path / "weights-float32.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "question": "another"}))
    assert check(FakeRater("1"), "weights", "float32", tmp_path).status == "recorded"
    assert check(FakeRater("1"), "weights", "float32", tmp_path).status == "same"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"fingerprint": "weights"}', b"\xff"])
def test_record_that_cannot_be_read_is_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights-float32.json"
    path.write_bytes(content)
    assert check(FakeRater(), "weights", "float32", tmp_path).status == "recorded"
    assert check(FakeRater(), "weights", "float32", tmp_path).status == "same"


def test_cache_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    found = check(FakeRater(), "weights", "float32", tmp_path / "file")
    assert found.status == "not recorded"
    assert "cannot be written" in str(found)
    enforce(found, "m")


def test_record_is_kept_when_a_later_load_differs(tmp_path: Path) -> None:
    check(FakeRater(), "weights", "float32", tmp_path)
    before = (tmp_path / "weights-float32.json").read_bytes()
    assert check(FakeRater("1"), "weights", "float32", tmp_path).status == "different"
    assert (tmp_path / "weights-float32.json").read_bytes() == before


def test_answer_in_the_package_goes_before_the_users(tmp_path: Path) -> None:
    check(FakeRater("1"), "weights", "float32", tmp_path)
    shipped = as_shipped(tmp_path / "weights-float32.json")
    (tmp_path / "weights-float32.json").unlink()
    check(FakeRater(), "weights", "float32", tmp_path)
    found = check(FakeRater(), "weights", "float32", tmp_path, shipped)
    assert (found.status, found.source) == ("different", "the package")
    assert check(FakeRater("1"), "weights", "float32", tmp_path, shipped).status == "same"
    assert check(FakeRater(), "weights", "bfloat16", tmp_path, shipped).status == "recorded"


def test_answers_in_the_package_are_to_the_present_question(tmp_path: Path) -> None:
    check(FakeRater(), "weights", "float32", tmp_path)
    question = json.loads((tmp_path / "weights-float32.json").read_text())["question"]
    for answer in shipped_answers().values():
        assert answer.question == question


def test_difference_from_the_package_refuses_the_model() -> None:
    found = Result("different", 0.5, 0.02, "the package", "torch 2.15.0", GIVEN)
    with pytest.raises(
        UserError, match=r"model m .* the package.* 0\.500.*torch 2\.15\.0; now with torch 2\.16\.0"
    ):
        enforce(found, "m")


def test_difference_from_the_users_record_warns_and_names_both(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        enforce(Result("different", 0.5, 0.02, "/cache/w.json", "torch 2.15.0", GIVEN), "m")
    (record,) = caplog.records
    assert all(part in record.getMessage() for part in ("m", "/cache/w.json", "torch 2.15.0", "torch 2.16.0"))


def test_same_and_recorded_answers_are_silent(caplog: pytest.LogCaptureFixture) -> None:
    for status in ("same", "recorded"):
        enforce(Result(status, 0.0, 0.02, "/cache/w.json", "", GIVEN), "m")
    assert not caplog.records


def test_answer_that_is_no_number_is_refused_and_not_recorded(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no probability \(in float16\); use --dtype bfloat16"):
        check(Broken(), "weights", "float16", tmp_path)
    assert not list(tmp_path.iterdir())


def test_model_that_can_rate_no_view_is_refused_as_a_model(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot rate the built-in views in float16: no numbers") as caught:
        check(Failing(), "weights", "float16", tmp_path)
    assert not isinstance(caught.value, ImageError)


def differences(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What was warned of, but for the random answers."""
    return [record for record in caplog.records if "rarely answers by a level" not in record.getMessage()]


def test_model_compares_its_answers_when_it_is_loaded(
    tiny: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    standard = load_standard("quality-word-7")
    first = ChatRater(str(tiny("smolvlm"))).describe(standard)
    assert first["known_answer"].startswith("recorded in ")
    (path,) = cache_folder().iterdir()
    assert path.name == f"{first['fingerprint']}-float32.json"
    assert ChatRater(str(tiny("smolvlm"))).describe(standard)["known_answer"].startswith("same: ")
    assert not differences(caplog)
    path.write_text(json.dumps({**json.loads(path.read_text()), "mass": [0.5, 0.5, 0.5]}))
    rater = ChatRater(str(tiny("smolvlm")))
    assert rater.rate(built_in_views()[:1], [standard])[0][0] is not None
    (record,) = differences(caplog)
    assert str(tiny("smolvlm")) in record.getMessage() and str(path) in record.getMessage()


def test_model_that_differs_from_the_package_is_refused_again_and_again(
    tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    rater = ChatRater(str(tiny("smolvlm")))
    rater.describe(load_standard("quality-word-7"))
    (path,) = cache_folder().iterdir()
    path.write_text(json.dumps({**json.loads(path.read_text()), "mass": [0.5, 0.5, 0.5]}))
    shipped = as_shipped(path)
    monkeypatch.setattr("zeroiqa.chat.known_answer.shipped_answers", lambda: shipped)
    other = ChatRater(str(tiny("smolvlm")))
    for _ in range(2):
        with pytest.raises(UserError, match="known answer in the package"):
            other.rate(built_in_views()[:1], [load_standard("quality-word-7")])
