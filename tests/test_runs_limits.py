"""A limit on failures without the command line: it is parsed, counted, and stops the work of any executor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zeroiqa import runs
from zeroiqa.errors import UserError
from zeroiqa.images.find import find_images
from zeroiqa.raters import find_rater
from zeroiqa.runs import limits, passes
from zeroiqa.runs.executors.local import LocalExecutor
from zeroiqa.runs.limits import Failures, LimitedExecutor, parse_limit
from zeroiqa.settings import load_settings


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Of twelve images, of which every second is broken."""
    monkeypatch.chdir(tmp_path)
    Path("images").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    for number in range(12):
        path = Path("images", f"{number:02}.png")
        if number % 2:
            path.write_bytes(b"no image")
        else:
            Image.fromarray(pixels).save(path)
    settings = load_settings("embedded", {"segmenter": "grid", "raters": ["fake"]})
    return runs.open_run(Path("run"), settings, find_images(["images"]), preset="embedded")


def executed(run, limit):
    executor = LimitedExecutor(LocalExecutor(1), parse_limit(limit))
    assert executor.description == "1 process"
    return list(executor.execute(run, runs.pending(run), on_images=lambda _: None))


@pytest.mark.parametrize(
    ("given", "images"), [(0, 0), (5, 5), (" 7 ", 7), ("50%", 6), ("24%", 2), ("100%", 12)]
)
def test_a_limit_is_a_number_of_images_or_a_share_of_the_run(run, given, images):
    assert parse_limit(given).images(run) == images


@pytest.mark.parametrize("given", ["", -1, "-1", 1.5, "five", "101%", "nan%", "%", "-1%", "inf"])
def test_what_is_no_limit_is_refused(given):
    with pytest.raises(UserError, match="neither a number of images from 0 on nor a percentage"):
        parse_limit(given)


def test_as_many_as_allowed_stop_nothing(run):
    assert executed(run, 6) == list(range(run.n_shards))


def test_one_more_stops_the_work_and_keeps_what_is_finished(run):
    with pytest.raises(UserError, match="of 12 images have an error, more than --max-failures 2 allows"):
        executed(run, 2)
    kept = run.n_shards - len(runs.pending(run))
    assert 0 < kept < run.n_shards
    with pytest.raises(UserError, match="have an error"):  # what failed before counts
        executed(run, 0)
    assert run.n_shards - len(runs.pending(run)) == kept


def test_failures_of_the_first_of_several_passes_are_seen_before_the_last(run, monkeypatch):
    """Shards of an ensemble of models are finished in its last pass; that would be late."""
    executed(run, 6)
    failures = Failures(run, parse_limit(5), 0)
    failures.look_around()  # one pass: the finished shards say all
    heavy = find_rater("hf:model")
    monkeypatch.setattr(passes, "find_rater", lambda _: heavy)
    groups = passes.rater_groups(("fake", "fake:2"))
    monkeypatch.setattr(limits, "rater_groups", lambda _: groups)
    with pytest.raises(UserError, match="6 of 12 images have an error"):
        failures.look_around()
