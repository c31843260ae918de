"""A run that gets more raters: what it has is kept, and only their own ratings are made."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from zeroiqa import runs, samples
from zeroiqa.errors import UserError
from zeroiqa.images.find import find_images
from zeroiqa.runs.executors.local import LocalExecutor
from zeroiqa.settings import load_settings


@pytest.fixture(autouse=True)
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(samples.folder(), "photos", ignore=shutil.ignore_patterns("*.md", "*.py*", "__*"))


def begin(folder, *raters, **choices):
    settings = load_settings("embedded", {"segmenter": "grid", "raters": raters} | choices)
    return runs.open_run(Path(folder), settings, find_images(["photos"]), preset="embedded")


def work(run, workers=1):
    list(LocalExecutor(workers).execute(run, runs.pending(run), on_images=lambda _: None))
    runs.write_scores(run)
    return (run.folder / "scores.csv").read_bytes()


def parts(folder):
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in Path(folder).rglob("part-*")}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("raters", [("fake", "fake:2"), ("fake:2", "fake"), ("fake:2", "fake", "fake:3")])
def test_added_member_gives_the_scores_of_a_run_that_had_it_from_the_start(raters, workers):
    work(begin("run", "fake"))
    before = parts("run")
    run = begin("run", *raters)
    assert run.added == tuple(name for name in raters if name != "fake")
    assert runs.status(run).finished["ratings/fake"] == 3
    assert work(run, workers) == work(begin("whole", *raters))
    assert before.items() < parts("run").items()
    made = parts("run").keys() - before.keys()
    assert len(made) == 3 * len(run.added)
    assert not any("regions" in str(path) for path in made)


def test_unfinished_run_can_get_a_member_too():
    run = begin("run", "fake")
    shards = LocalExecutor(1).execute(run, runs.pending(run), on_images=lambda _: None)
    next(shards)
    shards.close()
    before = parts("run")
    assert work(begin("run", "fake", "fake:2")) == work(begin("whole", "fake", "fake:2"))
    assert before.items() < parts("run").items()


def test_same_members_again_add_nothing():
    work(begin("run", "fake"))
    work(begin("run", "fake", "fake:2"))
    record, before = Path("run/run.json").read_bytes(), parts("run")
    run = begin("run", "fake", "fake:2")
    assert (run.added, runs.pending(run)) == ((), [])
    work(run)
    assert (Path("run/run.json").read_bytes(), parts("run")) == (record, before)


def test_run_with_an_added_member_is_that_of_all_members_from_the_start():
    begin("run", "fake")
    run = begin("run", "fake", "fake:2")
    assert run.run_id == begin("whole", "fake", "fake:2").run_id
    assert runs.load_run(Path("run")).run_id == run.run_id
    assert json.loads(Path("run/run.json").read_text())["settings"]["raters"] == ["fake", "fake:2"]


def test_weights_may_come_with_the_members_they_are_for():
    begin("run", "fake", "fake:2", rater_weights=[1.0, 2.0])
    work(begin("run", "fake", "fake:2", "fake:3", rater_weights=[1.0, 2.0, 3.0]))
    assert runs.load_run(Path("run")).settings.rater_weights == (1.0, 2.0, 3.0)
    assert begin("run", "fake", "fake:2", "fake:3").settings.rater_weights == (1.0, 2.0, 3.0)


def test_process_that_knows_fewer_members_leaves_the_scores_to_the_one_that_knows_all():
    old = begin("run", "fake")
    scores = work(begin("run", "fake", "fake:2"))
    with pytest.raises(UserError, match="got more raters or images meanwhile"):
        work(old)
    assert Path("run/scores.csv").read_bytes() == scores
