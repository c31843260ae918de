"""Runs in Python: what the command line calls, with the same results and the same sentences."""

from __future__ import annotations

import doctest
import logging
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

import zeroiqa
from zeroiqa import api, samples
from zeroiqa.cli import cli
from zeroiqa.scoring import images, method

CHOICES = {"regions": True, "segmenter": "grid:2x1", "raters": ["fake"]}
OPTIONS = ("--regions", "--segmenter", "grid:2x1", "--rater", "fake")


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of three photos below the current one."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for name in ("cat.jpg", "cat_blurred.jpg", "coffee.jpg"):
        shutil.copy(samples.folder() / name, "photos")
    return Path("photos")


def test_the_examples_of_the_docstrings_hold() -> None:
    finder, with_examples = doctest.DocTestFinder(exclude_empty=True), set[str]()
    for module in (api, images, method):
        with_examples |= {each.name.rpartition(".")[2] for each in finder.find(module) if each.examples}
        assert doctest.testmod(module).failed == 0
    assert with_examples == {"run", "load_run", "score", "load_method"}


def test_a_run_in_python_is_that_of_the_command_line(photos: Path) -> None:
    """The same folder, the same bytes, the same sentences; and each goes on with what the other began."""
    done = CliRunner().invoke(cli, ["score", "photos", *OPTIONS, "-o", "by-command"])
    sentences: list[str] = []
    progress: list[zeroiqa.RunProgress] = []
    run = zeroiqa.run(
        photos, "by-python", on_message=sentences.append, on_progress=progress.append, workers=1, **CHOICES
    )
    assert (run.folder / "scores.csv").read_bytes() == Path("by-command/scores.csv").read_bytes()
    assert [line.replace("by-python", "by-command") for line in sentences] == [
        line for line in done.stderr.splitlines() if not line.startswith("embedded:")
    ]
    assert (progress[0], progress[-1]) == ((0, 3), (3, 3))
    assert zeroiqa.run(photos, **CHOICES).folder == zeroiqa.run(["photos/"], **CHOICES).folder
    again: list[str] = []
    assert zeroiqa.run(photos, "by-command", on_message=again.append, **CHOICES).run_id == run.run_id
    assert again[-1].startswith("Nothing was to do: 3 images, 0 with an error.")


def test_a_run_follows_its_folder_and_goes_on_by_itself(photos: Path) -> None:
    zeroiqa.run(photos, "run", **CHOICES)
    shutil.copy(samples.folder() / "rocket.png", photos)
    (photos / "cat.jpg").unlink()
    said: list[str] = []
    run = zeroiqa.run(photos, "run", on_message=said.append, **CHOICES)
    assert (run.followed.new, run.followed.gone) == (1, 1) and "1 image is new in run" in said[0]
    assert [result.status for result in run.scores()] == ["gone", "ok", "ok", "ok"]
    pruned = zeroiqa.run(None, "run", prune=True)
    assert pruned.status().images == len(list(pruned.scores())) == 3


def test_scores_of_a_loaded_run_are_computed_anew_without_a_model(photos: Path) -> None:
    zeroiqa.run(photos, "run", lam=1.0, **CHOICES)
    run = zeroiqa.load_run("run")
    whole = [result.s_global for result in run.scores()]
    assert [result.score for result in run.scores(lam=0)] == whole != [r.score for r in run.scores()]
    with pytest.raises(zeroiqa.UserError, match="no ratings by nss"):
        run.scores(members=["nss"])


def test_a_slice_and_a_limit_are_those_of_the_command_line(photos: Path) -> None:
    (photos / "broken.png").write_text("no image")
    said: list[str] = []
    with pytest.raises(zeroiqa.UserError, match="1 of 4 images have an error, more than --max-failures 0"):
        zeroiqa.run(photos, "run", max_failures=0, **CHOICES)
    half = zeroiqa.run(photos, "slices", shard="0/2", on_message=said.append, **CHOICES)
    assert said[-1].startswith("Slice 0/2 is done") and not (half.folder / "scores.csv").exists()
    zeroiqa.run(photos, "slices", shard="1/2", **CHOICES)
    assert (half.folder / "scores.csv").exists()


def test_sentences_are_logged_where_nobody_takes_them(photos: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "zeroiqa"):
        zeroiqa.run(photos, "run", **CHOICES)
    assert "3 images, 0 with an error. Scores and ratings: run" in caplog.messages


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ({"images": None}, "Name the images; or the folder of a run"),
        ({"images": None, "folder": "run", "crop": "mask"}, "with its own settings, but crop was given"),
        ({"images": "missing"}, "missing"),
        ({"images": "photos", "folder": "run", "raters": ["nss"]}, "raters"),
        ({"images": "photos", "workers": 0}, "neither a number from 1 on nor auto"),
        ({"images": "photos", "max_failures": "many"}, "neither a number of images"),
        ({"images": "photos", "shard": "3/2"}, "I goes from 0 to 1"),
    ],
)
def test_what_does_not_go_together_is_refused_in_a_sentence(
    photos: Path, call: dict[str, object], sentence: str
) -> None:
    zeroiqa.run(photos, "run", **CHOICES)
    before = sorted(Path().rglob("*"))
    with pytest.raises(zeroiqa.UserError, match=sentence):
        zeroiqa.run(**call)  # type: ignore[arg-type]
    assert sorted(Path().rglob("*")) == before
