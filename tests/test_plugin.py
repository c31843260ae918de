"""A package of somebody else, built and installed as pip does it, and used from the command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from zeroiqa import samples

SOURCE = Path(__file__).parent / "plugin"
BROKEN = """
[zeroiqa.raters]
brokenrater = broken_iqa:RATER
nss = broken_iqa:RATER
"""
PROGRAM = """
import contextlib, io, json, sys
from zeroiqa.cli import main
done = []
for arguments in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as end:
            done.append((end.code, out.getvalue(), err.getvalue()))
print(json.dumps(done))
"""


class Done(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of installed packages with tiny-iqa in it."""
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(SOURCE, folder / "source")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    command = [*pip, "--no-deps", "--no-build-isolation", "--target", folder / "site", folder / "source"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "site"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in sorted(samples.folder().glob("*.jpg"))[:3]:
        shutil.copy(path, folder)
    return folder


def run(folder: Path, commands: Sequence[Sequence[str]], *sites: Path) -> list[Done]:
    """Commands one after the other in one process that sees some folders of installed packages."""
    path = os.pathsep.join([*map(str, sites), str(Path(__file__).parents[1])])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(commands),
        env={**os.environ, "PYTHONPATH": path},
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return [Done(*each) for each in json.loads(done.stdout)]


def test_it_rates_resumes_and_works_in_several_processes(site: Path, photos: Path) -> None:
    score = [
        "score",
        "photos",
        "--rater",
        "tinyrater",
        "--segmenter",
        "tinyhalves",
        "--regions",
        "--format",
        "csv",
    ]
    folder = photos.parent
    first, again, two, rated, dark = run(
        folder,
        [
            [*score, "-o", "one"],
            [*score, "-o", "one"],
            [*score, "-o", "two", "--workers", "2"],
            ["rescore", "one", "--readout", "expected", "--format", "csv"],
            ["score", "photos/cat.jpg", "--rater", "tinyrater:dark", "--segmenter", "grid"],
        ],
        site,
    )
    for done in (first, again, two, rated, dark):
        assert (done.code, "Traceback" in done.err) == (0, False), done.err
    assert first.out.count(",ok,") == 3 and first.out == again.out == two.out
    written = [json.loads((folder / name / "run.json").read_text())["identity"] for name in ("one", "two")]
    assert written[0] == written[1]
    assert written[0]["raters"] == {"tinyrater": "tinyrater 1 bright"}
    assert written[0]["segmenter"] == "tinyhalves 1"
    assert (folder / "one" / "scores.csv").read_bytes() == (folder / "two" / "scores.csv").read_bytes()


def test_its_baseline_and_head_are_scored_and_listed_like_others(site: Path, photos: Path) -> None:
    folder = photos.parent
    (folder / "weights").mkdir()
    (folder / "weights" / "factor.txt").write_text("0.5")
    score = ["score", "photos", "--format", "csv"]
    baseline, head, models, machine, listed, facts, help_text = run(
        folder,
        [
            [*score, "--baseline", "tinyfocus", "-o", "focus"],
            ["head", "score", "tinyhead:contrast", "photos", "--weights", "weights", "-o", "contrast"],
            ["models"],
            ["models", "--format", "json"],
            ["baselines"],
            ["baselines", "tinyfocus"],
            ["head", "score", "--help"],
        ],
        site,
    )
    for done in (baseline, head, models, machine, listed, facts, help_text):
        assert (done.code, "Traceback" in done.err) == (0, False), done.err
    run_json = json.loads((folder / "focus" / "run.json").read_text())
    assert run_json["identity"]["raters"] == {"baseline:tinyfocus": "baseline tinyfocus 1 lower-is-better"}
    assert baseline.out.count("lower") == 3
    contrast = json.loads((folder / "contrast" / "run.json").read_text())
    assert list(contrast["identity"]["raters"].values()) == ["head tinyhead 1 contrast 0.5"]
    assert (folder / "contrast" / "scores.csv").read_text().count(",ok,") == 3
    assert "tinyrater  tiny-iqa        mean brightness, for the tests" in models.out
    assert json.loads(machine.out)[-1]["package"] == "tiny-iqa"
    assert any(line.split()[:2] == ["tinyfocus", "tiny-iqa"] for line in listed.out.splitlines())
    assert "by tiny-iqa" in facts.out and "--rater baseline:tinyfocus" in facts.out
    assert "tinyhead:contrast" in help_text.out


def test_its_refusals_are_its_own_and_one_line_each(site: Path, photos: Path) -> None:
    from PIL import Image

    folder = photos.parent
    Image.new("RGB", (18, 18)).save(folder / "small.png")
    (folder / "nothing").mkdir()
    score, head = ["score", "photos", "--format", "csv"], ["head", "score", "-o", "a", "--weights", "nothing"]
    cases = [
        ([*score, "--rater", "tinyrater:x"], "The rater tinyrater takes dark or nothing, found 'x'."),
        ([*score, "--rater", "tinyratr"], "unknown rater 'tinyratr'; did you mean 'tinyrater'?"),
        (
            [*score, "--rater", "tinyrater", "--standard", "quality-float"],
            "answers by levels; choose another",
        ),
        (
            [*score, "--segmenter", "tinyhalves:2", "--regions"],
            "The segmenter tinyhalves takes nothing, found '2'.",
        ),
        ([*score, "--segmenter", "tinyhalves", "--granularity", "paper"], "does nothing for the segmenter"),
        ([*score, "--baseline", "tinyfocus:7"], "The baseline tinyfocus takes no argument, found '7'"),
        ([*head, "tinyhead:contrast", "photos"], "The folder nothing holds no factor.txt with a number."),
        ([*head, "tinyhead:size", "photos"], "'tinyhead:size' is not one of"),
        (["models", "check", "tinyrater"], "The rater tinyrater is no model"),
    ]
    found = run(folder, [arguments for arguments, _ in cases], site)
    for (arguments, sentence), done in zip(cases, found, strict=True):
        assert done.code in (1, 2), arguments
        assert "Traceback" not in done.err
        assert sentence in done.err.splitlines()[-1]  # and so on one line
    (image,) = run(folder, [["score", "small.png", "--rater", "tinyrater", "--format", "csv"]], site)
    assert "The rater tinyrater wants 20 pixels on each side." in image.out


def test_a_broken_package_is_one_sentence_and_replaces_nothing(
    site: Path, photos: Path, tmp_path: Path
) -> None:
    info = tmp_path / "broken" / "broken_iqa-2.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-iqa\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text(BROKEN)
    (tmp_path / "broken" / "broken_iqa.py").write_text("import nowhere_at_all\n")
    score = ["score", "photos", "--format", "csv", "--segmenter", "grid", "--rater"]
    embedded, broken, models, run_of_ours = run(
        photos.parent,
        [[*score, "nss"], [*score, "brokenrater"], ["models"], [*score, "tinyrater", "-o", "one"]],
        tmp_path / "broken",
        site,
    )
    sentence = (
        "The rater brokenrater of the package broken-iqa cannot be loaded (ModuleNotFoundError: No module "
        "named 'nowhere_at_all'); install broken-iqa again, or uninstall it."
    )
    assert (embedded.code, broken.code, models.code, run_of_ours.code) == (0, 1, 0, 0)
    assert embedded.err.count("The rater nss of the package broken-iqa is passed over") == 1
    assert broken.err == f"Error: {sentence}\n"
    assert sentence in models.err and "tinyrater" in models.out
    alone, status, evaluated = run(
        photos.parent, [[*score, "tinyrater", "-o", "one"], ["status", "one"], ["rescore", "one"]]
    )
    for done in (alone, status, evaluated):
        assert done.code == 1 and "rater 'tinyrater'" in done.err and "Traceback" not in done.err
