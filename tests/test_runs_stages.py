from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zeroiqa import runs
from zeroiqa.errors import ImageError, UserError
from zeroiqa.images.find import find_images
from zeroiqa.images.ref import ImageRef
from zeroiqa.runs import parts
from zeroiqa.runs.stages import method_of, run_shard
from zeroiqa.settings import load_settings


class Counting:
    """A segmenter and rater that counts its calls and hands them on."""

    images_per_call = 1

    def __init__(self, real):
        self.real = real
        self.id = real.id
        self.calls = 0

    def segment(self, image):
        self.calls += 1
        return self.real.segment(image)

    def segment_batch(self, images):
        return [self.segment(image) for image in images]

    def rate(self, views, standards):
        self.calls += 1
        return self.real.rate(views, standards)


class Failing:
    """A segmenter and rater that fails."""

    id = "failing"
    images_per_call = 1

    def __init__(self, error):
        self.error = error

    def segment_batch(self, images):
        raise self.error

    def rate(self, views, standards):
        raise self.error


@pytest.fixture
def run(tmp_path, monkeypatch):
    """One shard of one image; two raters."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save("a.png")
    choices = {"segmenter": "grid", "raters": ("fake", "fake:2"), "regions": True}
    sources = find_images(["a.png"])
    return runs.open_run(Path("run"), load_settings("embedded", choices), sources, preset="embedded")


def work(run, *, segmenter=None, **raters):
    method = method_of(run)
    named = {name.replace("_", ":"): rater for name, rater in raters.items()}
    method = replace(
        method,
        segmenter=segmenter or method.segmenter,
        raters={name: named.get(name, r) for name, r in method.raters.items()},
    )
    reports = []
    run_shard(run, method, 0, reports.append)
    assert reports == [1]
    (result,) = runs.iter_scores(run)
    return result


def test_every_stage_sees_every_image_once(run):
    method = method_of(run)
    segmenter = Counting(method.segmenter)
    raters = {name: Counting(rater) for name, rater in method.raters.items()}
    for _ in range(2):
        run_shard(run, replace(method, segmenter=segmenter, raters=raters), 0, lambda _: None)
    assert segmenter.calls == 1
    assert [rater.calls for rater in raters.values()] == [1, 1]


def test_rater_that_was_interrupted_is_run_alone_on_the_stored_regions(run):
    before = work(run)
    parts.part_path(run.folder, parts.rating_stage("fake:2"), 0).unlink()
    never = Failing(UserError("must not be called"))
    assert work(run, segmenter=never, fake=never) == before


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ImageError("a.png: too dark to rate."), "a.png: too dark to rate."),
        (ValueError("bad\n  shape"), "a.png: could not be rated (ValueError: bad shape)."),
        (MemoryError(), "a.png: there is not enough memory for this image."),
        (ValueError("caf\udce9"), "a.png: could not be rated (ValueError: caf\\udce9)."),
    ],
)
@pytest.mark.parametrize("where", ["segmenter", "fake", "fake_2"])
def test_whatever_one_image_causes_is_its_error_row(run, where, error, said):
    result = work(run, **{where: Failing(error)})
    assert (result.status, result.error) == ("error", said)
    assert result.score is None


def test_first_rater_that_fails_gives_the_error(run):
    result = work(run, fake=Failing(ValueError("first")), fake_2=Failing(ValueError("second")))
    assert "first" in result.error


def test_unusable_rater_stops_the_run_and_leaves_no_part_behind(run):
    with pytest.raises(UserError, match="no weights"):
        work(run, fake_2=Failing(UserError("no weights")))
    assert list(run.folder.rglob("*part-*")) == []
    assert runs.pending(run) == [0]


def test_image_with_an_error_is_in_every_part_and_the_error_said_once(tmp_path, run):
    sources = [ImageRef("missing.jpg")]
    run = runs.open_run(tmp_path / "other", run.settings, sources, preset="embedded")
    result = work(run)
    (segmented,) = parts.read_regions(run.folder, 0)
    assert segmented.error == result.error is not None
    for rater in run.settings.raters:
        assert list(parts.read_ratings(run.folder, rater, 0)) == [parts.RatingsRow(0)]
