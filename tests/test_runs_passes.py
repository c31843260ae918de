"""Ensembles of models: one in memory at a time, several images per call, and the same results as ever."""

from __future__ import annotations

import gc
import json
import threading
import weakref
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import zeroiqa.pipeline
from zeroiqa import runs
from zeroiqa.errors import ImageError, UserError
from zeroiqa.images.find import find_images
from zeroiqa.raters import build_rater
from zeroiqa.raters.fake import FakeRater
from zeroiqa.runs.executors.local import LocalExecutor
from zeroiqa.runs.passes import image_passes, rater_groups
from zeroiqa.settings import load_settings

N = 13
AT_ONCE = 3
VIEWS = 7  # of an image: itself, and six cells of the grid


class Weights:
    """What a model keeps in memory."""


class Log:
    """What the models of a test did."""

    def __init__(self):
        self.calls = []
        """(rater, views) of each call."""
        self.in_memory = weakref.WeakSet()
        self.most_in_memory = 0
        self.unusable = False


class Model:
    """A rater like fake, but with weights, and with an eye on how it is called."""

    images_per_call = AT_ONCE

    def __init__(self, name, log):
        self.real = FakeRater(name)
        self.name = name
        self.id = f"model {name}"
        self.log = log
        self.weights = None

    def check(self, standard):
        self.real.check(standard)

    def rate(self, views, standards):
        if self.weights is None:
            self.weights = Weights()
            self.weights.cycle = self.weights
            self.log.in_memory.add(self.weights)
        self.log.most_in_memory = max(self.log.most_in_memory, len(self.log.in_memory))
        self.log.calls.append((self.name, len(views)))
        if self.log.unusable:
            raise UserError("The device has gone.")
        if any((view.pixels == 0).all() for view in views):
            raise ImageError("too dark to rate.")
        return self.real.rate(views, standards)


@pytest.fixture
def log(monkeypatch):
    log = Log()

    def build(name, options=None, **choices):
        if name.startswith("hf:"):
            return Model(name.partition(":")[2], log)
        return build_rater(name, options, **choices)

    monkeypatch.setattr(zeroiqa.pipeline, "build_rater", build)
    return log


@pytest.fixture(autouse=True)
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    random_pixels = np.random.default_rng(0)
    for number in range(N):
        pixels = random_pixels.integers(1, 256, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(f"photos/{number:02}.png")


def begin(folder, *raters, **choices):
    choices = {"segmenter": "grid", "raters": raters, "lambda": 0.5} | choices
    return runs.open_run(
        Path(folder), load_settings("embedded", choices), find_images(["photos"]), preset="embedded"
    )


def finish(folder, *raters, **choices):
    run = begin(folder, *raters, **choices)
    list(LocalExecutor(1).execute(run, runs.pending(run), on_images=lambda _: None))
    return run


def scores(run):
    return [(result.score, result.disagreement, result.error) for result in runs.iter_scores(run)]


def test_raters_without_weights_share_the_pass_of_the_first_model():
    assert rater_groups(("nss", "hf:1", "fake:2", "hf:2", "qwen2.5-vl-7b")) == [
        ("nss", "fake:2", "hf:1"),
        ("hf:2",),
        ("qwen2.5-vl-7b",),
    ]
    assert rater_groups(("nss", "fake")) == [("nss", "fake")]


def test_models_score_like_raters_that_rate_image_by_image(log):
    models = finish("models", "hf:0", "fake:1", "hf:2")
    assert scores(models) == scores(finish("fakes", "fake:0", "fake:1", "fake:2"))


def test_one_model_is_in_memory_at_a_time_and_none_at_the_end(log):
    gc.disable()  # so that nothing but the run itself lets go of reference cycles
    try:
        finish("run", "hf:0", "hf:1", "hf:2")
    finally:
        gc.enable()
    assert log.most_in_memory == 1
    assert len(log.in_memory) == 0


def test_models_come_one_after_the_other_and_rate_several_images_per_call(log):
    finish("run", "hf:0", "hf:1")
    of_one = [1, 2, 3, 1, 3, 3]  # images of the shards 1, 2, 4 and 6 in calls of 3 at most
    assert log.calls == [(name, images * VIEWS) for name in "01" for images in of_one]


def test_versions_of_what_runs_models_are_noted_where_there_are_models(log):
    assert "torch" not in json.loads((begin("fakes", "fake").folder / "run.json").read_text())["environment"]
    begin("run", "fake")
    begin("run", "fake", "hf:0")
    noted = json.loads(Path("run/run.json").read_text())["environment"]
    assert noted["torch"] == version("torch") and noted["numpy"] == version("numpy")


def test_progress_counts_every_pass(log):
    run = begin("run", "hf:0", "fake", "hf:1")
    assert image_passes(run, range(run.n_shards)) == (2 * N, 0)
    reports = []
    shards = LocalExecutor(1).execute(run, runs.pending(run), on_images=reports.append)
    assert next(shards) == 0
    assert sum(reports) == N + 1  # the second model is at work: a shard is told of once it is done
    assert image_passes(run, range(run.n_shards)) == (2 * N, N + 1)
    assert list(shards) == [1, 2, 3]
    assert sum(reports) == 2 * N


def test_run_stopped_between_its_models_goes_on_with_what_is_missing(log):
    run = begin("run", "hf:0", "hf:1")
    shards = LocalExecutor(1).execute(run, runs.pending(run), on_images=lambda _: None)
    next(shards)
    shards.close()
    before = {path: path.stat().st_mtime_ns for path in Path("run").rglob("part-*")}
    log.calls.clear()
    finish("run", "hf:0", "hf:1")
    assert {name for name, _ in log.calls} == {"1"}
    assert before.items() <= {path: path.stat().st_mtime_ns for path in Path("run").rglob("part-*")}.items()
    assert scores(run) == scores(finish("fakes", "fake:0", "fake:1"))


def test_image_that_cannot_be_rated_is_the_only_error_of_its_call(log):
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save("photos/05.png")
    Path("photos/06.png").write_bytes(b"no image")
    results = list(runs.iter_scores(finish("run", "hf:0")))
    assert {Path(result.path).name: result.error for result in results if result.error} == {
        "05.png": "too dark to rate.",
        "06.png": "photos/06.png is not an image that can be read: it begins with b'no image'.",
    }
    assert [r.score for r in results if r.score] == [
        r.score for r in runs.iter_scores(finish("fakes", "fake:0")) if r.path[-6:-4] not in ("05", "06")
    ]


def test_unusable_model_is_asked_once_and_leaves_a_run_that_can_be_resumed(log):
    threads = threading.active_count()
    log.unusable = True
    with pytest.raises(UserError, match="The device has gone"):
        finish("run", "fake", "hf:0")
    assert len(log.calls) == 1
    assert not list(Path("run").rglob("part-*"))
    assert threading.active_count() == threads
    log.unusable = False
    assert scores(finish("run", "fake", "hf:0")) == scores(finish("fakes", "fake", "fake:0"))


def test_image_that_vanished_before_the_second_model_is_an_error_row(log):
    run = begin("run", "hf:0", "hf:1")
    shards = LocalExecutor(1).execute(run, runs.pending(run), on_images=lambda _: None)
    next(shards)
    shards.close()
    Path("photos/03.png").unlink()
    run = runs.load_run(Path("run"))
    list(LocalExecutor(1).execute(run, runs.pending(run), on_images=lambda _: None))
    errors = {Path(result.path).name for result in runs.iter_scores(run) if result.error}
    assert errors == {"03.png"}
