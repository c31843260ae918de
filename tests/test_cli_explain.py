"""`zeroiqa explain`: the sum behind a score, in lines, in JSON and as a picture; by options or from a run."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import PIL.Image
import pytest

import zeroiqa
from tests.conftest import Done
from tests.servers.process import ChatServer
from zeroiqa.chat.descriptions import request
from zeroiqa.cli import main
from zeroiqa.report.explained import bars
from zeroiqa.samples import folder
from zeroiqa.types import Rating

Give = Callable[..., Done]
BLOCKS = re.compile("[▁▂▃▄▅▆▇█]")


@pytest.fixture
def photos(here: Path) -> Path:
    """Two photos; the current folder."""
    (here / "photos").mkdir()
    for name in ("cat.jpg", "rocket.png"):
        shutil.copy(folder() / name, here / "photos" / name)
    return here


def added(text: str) -> list[float]:
    """The numbers of the column "adds", the score's own row last."""
    lines = text.splitlines()
    start = next(at for at, line in enumerate(lines) if " adds" in line)
    end = lines[start].index(" adds") + len(" adds")
    rows = []
    for line in lines[start + 1 :]:
        rows.append(float(line[:end].split()[-1]))
        if line.startswith("  score "):
            return rows
    raise AssertionError(text)


ENSEMBLE = ("--lambda", 1, "--readout", "digit", "--rater", "nss", "--rater", "fake")


@pytest.mark.parametrize("options", [(), ("--lambda", 1), ENSEMBLE])
def test_what_is_shown_adds_up_to_the_score_that_is_shown(
    photos: Path, give: Give, options: tuple[object, ...]
) -> None:
    done = give(photos, "explain", "photos/cat.jpg", *options)
    assert done.returncode == 0
    first, *_ = done.stdout.splitlines()
    score = float(re.match(r"photos/cat.jpg: (\d\.\d\d) \(from 1 to 7; 451 x 300 pixels\)", first)[1])  # type: ignore[index]
    *parts, total = added(done.stdout)
    assert len(parts) > 4 and total == score and sum(parts) == pytest.approx(score, abs=1e-9)
    assert ("At lambda 0 the regions do not count" in done.stdout) == (not options)
    assert (sum(parts[1:]) == 0) == (not options)
    plain = give(photos, "score", "photos/cat.jpg", *options, "--format", "json")
    assert json.loads(plain.stdout)[0]["score"] == pytest.approx(score, abs=0.005)


def test_json_has_every_number_and_regions_are_numbered_as_in_the_lines(photos: Path, give: Give) -> None:
    arguments = ("explain", "photos/rocket.png", "--lambda", 1, "--rater", "fake", "--rater", "nss")
    (record,) = json.loads(give(photos, *arguments, "--format", "json").stdout)
    shares = [record["whole"]["contributions"]["quality"]]
    shares += [region["contributions"]["quality"] for region in record["regions"]]
    assert sum(shares) == pytest.approx(record["score"], abs=1e-9)
    assert [region["number"] for region in record["regions"]] == list(range(1, len(record["regions"]) + 1))
    for view in (record["whole"], *record["regions"]):
        assert list(view["ratings"]["quality"]) == ["fake", "nss"]
        for rating in view["ratings"]["quality"].values():
            assert sum(rating["levels"]) == pytest.approx(1) and len(rating["levels"]) == 7
    text = give(photos, *arguments).stdout
    listed = re.findall(r"^  (\d+) (object|complement)", text, re.MULTILINE)
    assert listed == [(str(each["number"]), each["kind"]) for each in record["regions"]]
    assert "the raters disagree by" in text and re.search(r"rater 1 .* fake$", text, re.MULTILINE)


def test_signs_of_a_distribution_follow_its_probabilities() -> None:
    rating = Rating((-0.105, -2.5, -4.2, float("-inf"), -7.0), 1.0)
    assert bars(rating) == "█▁▁  "
    assert bars(rating, ascii_only=True) == "91..."
    assert bars(Rating((0.0,), 1.0), ascii_only=True) == "#" and bars(None) == ""


def test_a_terminal_that_cannot_show_blocks_gets_digits(
    photos: Path, give: Give, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert BLOCKS.search(give(photos, "explain", "photos/cat.jpg").stdout)
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="cp1252"))
    with pytest.raises(SystemExit):
        main(["explain", "photos/cat.jpg"])
    assert re.search(rb"3\.40 +[.\d#]{7}\r?$", written.getvalue(), re.MULTILINE)


def test_pictures_are_written_once_and_never_over_a_file(photos: Path, give: Give) -> None:
    one = ("explain", "photos/cat.jpg", "-o", "cat.png")
    assert "Written: cat.png" in give(photos, *one).stderr
    with PIL.Image.open(photos / "cat.png") as picture:
        assert picture.format == "PNG"
    before = (photos / "cat.png").read_bytes()
    again = give(photos, *one)
    assert (again.returncode, again.stdout) == (1, "")
    assert "cat.png is there already; give another name with -o" in again.stderr
    assert (photos / "cat.png").read_bytes() == before
    several = give(photos, "explain", "photos", "-o", "cat2.png")
    assert "2 images have no room in cat2.png; name a folder with -o." in several.stderr
    assert give(photos, "explain", "photos", "-o", "out").returncode == 0
    assert sorted(path.name for path in (photos / "out").iterdir()) == ["cat.png", "rocket.png"]
    assert "is no name for a picture" in give(photos, "explain", "photos/cat.jpg", "-o", "cat.gif").stderr
    nowhere = give(photos, "explain", "photos/cat.jpg", "-o", "")
    assert (nowhere.returncode, nowhere.stdout) == (1, "") and "-o names no file" in nowhere.stderr


def test_a_broken_image_is_said_and_the_others_are_explained(photos: Path, give: Give) -> None:
    (photos / "photos" / "broken.jpg").write_text("hello")
    broken = shutil.copy(photos / "photos" / "broken.jpg", photos / "line\nbreak.jpg")
    named = give(photos, "explain", broken.name)
    assert named.stdout.startswith("line\\nbreak.jpg: error: ")
    alone = give(photos, "explain", "photos/broken.jpg", "-o", "out")
    assert alone.returncode == 1
    assert "photos/broken.jpg: error: photos/broken.jpg is not an image" in alone.stdout
    assert not (photos / "out").exists()
    both = give(photos, "explain", "photos/broken.jpg", "photos/cat.jpg", "-o", "out")
    assert both.returncode == 0 and "photos/cat.jpg: 3.40" in both.stdout
    assert [path.name for path in (photos / "out").iterdir()] == ["cat.png"]
    (error, scored) = json.loads(
        give(photos, "explain", "photos/broken.jpg", "photos/cat.jpg", "--format", "json").stdout
    )
    assert error["status"] == "error" and "whole" not in error and scored["status"] == "ok"


def test_an_image_without_the_first_score_has_the_others_and_no_picture(photos: Path, give: Give) -> None:
    standards = ("--standard", "correspondence-word-7", "--standard", "quality-word-7")
    done = give(photos, "explain", "photos/cat.jpg", "--rater", "fake", *standards, "-o", "cat.png")
    assert done.returncode == 0 and "photos/cat.jpg: no score of the first standard" in done.stdout
    assert added(done.stdout)[-1] > 0 and not (photos / "cat.png").exists()
    assert "no picture of photos/cat.jpg: it has no score of the first standard" in done.stderr


def test_images_of_a_run_are_explained_from_what_it_has_stored(photos: Path, give: Give) -> None:
    options = ("--lambda", 1, "--crop", "mask")
    assert give(photos, "score", "photos", "-o", "run", *options).returncode == 0
    fresh = give(photos, "explain", "photos/cat.jpg", *options, "-o", "fresh.png")
    (photos / "elsewhere").mkdir()
    for name, current in (
        ("photos/cat.jpg", photos),
        ("cat.jpg", photos),
        ("../photos/cat.jpg", photos / "elsewhere"),
    ):
        stored = give(current, "explain", name, "--run", photos / "run")
        assert stored.stdout == fresh.stdout, name
    drawn = give(photos, "explain", "cat.jpg", "--run", "run", "-o", "stored.png")
    assert drawn.returncode == 0
    assert (photos / "stored.png").read_bytes() == (photos / "fresh.png").read_bytes()
    other = give(photos, "explain", "cat.jpg", "--run", "run", "--lambda", 0)
    assert "photos/cat.jpg: 3.40" in other.stdout and "At lambda 0" in other.stdout


def test_what_a_run_cannot_explain_is_one_sentence(photos: Path, give: Give) -> None:
    assert give(photos, "score", "photos", "-o", "run").returncode == 0
    missing = give(photos, "explain", "photos/catt.jpg", "--run", "run")
    assert missing.returncode == 1 and missing.stderr.count("\n") == 1
    assert "run has no image photos/catt.jpg; did you mean cat.jpg? " in missing.stderr
    chosen = give(photos, "explain", "cat.jpg", "--run", "run", "--rater", "fake")
    assert chosen.returncode == 2 and "but --rater was given" in chosen.stderr
    lam = give(photos, "explain", "cat.jpg", "--run", "run", "--lambda", 1)
    assert lam.returncode == 1 and "has no regions" in lam.stderr
    bare = give(photos, "explain", "cat.jpg", "--run", "run")
    assert bare.returncode == 0 and "No region was rated" in bare.stdout
    (photos / "photos" / "cat.jpg").unlink()
    gone = give(photos, "explain", "cat.jpg", "--run", "run", "-o", "cat.png")
    assert gone.returncode == 0 and gone.stderr.count("no picture") == 1 and not (photos / "cat.png").exists()
    assert give(photos, "score", "photos", "-o", "planned", "--plan-only").returncode == 0
    early = give(photos, "explain", "rocket.png", "--run", "planned")
    assert early.returncode == 1
    assert "rocket.png is not scored yet: 1 of 1 images are not scored yet" in early.stderr


def test_two_images_of_one_name_are_told_apart(photos: Path, give: Give) -> None:
    (photos / "more" / "photos").mkdir(parents=True)
    shutil.copy(folder() / "cat.jpg", photos / "more" / "photos" / "cat.jpg")
    assert give(photos, "score", "photos", "more", "-o", "run").returncode == 0
    (photos / "empty").mkdir()
    unclear = give(photos / "empty", "explain", "cat.jpg", "--run", photos / "run")
    assert "has 2 images that end in cat.jpg, photos/cat.jpg and more/photos/cat.jpg" in unclear.stderr
    assert give(photos, "explain", "photos/cat.jpg", "--run", "run").stdout.startswith("photos/cat.jpg: ")


def test_a_model_describes_the_whole_image_in_its_own_words(
    photos: Path, give: Give, server: ChatServer
) -> None:
    server.script(sentence="The cat is\nsharp, \x1b[31mthe wall is not.")
    rater = ("--rater", f"openai:{server.url}")
    plain = give(photos, "score", "photos", "-o", "plain", *rater)
    assert plain.returncode == 0, plain.stderr
    refused = give(photos, "score", "photos", "-o", "plain", *rater, "--describe")
    assert refused.returncode == 1 and "describe is False there and True here" in refused.stderr
    assert give(photos, "score", "photos", "-o", "run", *rater, "--describe").returncode == 0
    described, bare = (list(zeroiqa.load_run(photos / name).scores()) for name in ("run", "plain"))
    said = "The cat is sharp, \\x1b[31mthe wall is not."
    assert [result.description for result in described] == [said, said]
    assert [result.description for result in bare] == [None, None]
    assert [result.scores for result in described] == [result.scores for result in bare]
    identities = [zeroiqa.load_run(photos / name).identity for name in ("run", "plain")]
    assert [each.get("description") for each in identities] == [request().id, None]
    assert [each["settings"].get("describe") for each in identities] == [True, None]
    with (photos / "run" / "scores.csv").open(newline="") as file:
        assert [row["description"] for row in csv.DictReader(file)] == [said, said]
    for arguments in (("cat.jpg", "--run", "run"), ("photos/cat.jpg", *rater, "--describe")):
        assert said in give(photos, "explain", *arguments).stdout
    bodies = [each.get("body", {}) for each in server.requests()]
    one = next(body for body in bodies if body.get("max_tokens") == 60)
    assert one["temperature"] == 0 and "logprobs" not in one


def test_an_empty_answer_is_no_description_and_is_counted(
    photos: Path, give: Give, server: ChatServer
) -> None:
    server.script(sentence=" \n ")
    done = give(photos, "score", "photos", "-o", "run", "--rater", f"openai:{server.url}", "--describe")
    assert done.returncode == 0
    assert "2 of 2 images have no description: the answer was empty" in done.stderr
    assert [result.description for result in zeroiqa.load_run(photos / "run").scores()] == [None, None]


@pytest.mark.parametrize("options", [(), ("--rater", "fake"), ("--baseline", "niqe:x")])
@pytest.mark.parametrize("command", ["score", "explain"])
def test_raters_that_write_nothing_are_not_asked_to(
    photos: Path, give: Give, command: str, options: tuple[str, ...]
) -> None:
    done = give(photos, command, "photos", "--describe", *options)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "writes text, so none can describe an image; leave --describe out, or choose" in done.stderr
