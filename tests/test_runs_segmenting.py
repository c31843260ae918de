"""Segmenters that take several images at once, at work in a run."""

from __future__ import annotations

from pathlib import Path

import PIL.Image
import pytest

from zeroiqa import runs, samples
from zeroiqa.errors import ImageError, UserError
from zeroiqa.images.decode import decode
from zeroiqa.images.find import find_images
from zeroiqa.pipeline import score_together
from zeroiqa.runs import parts, resolved, stages
from zeroiqa.runs.executors.local import LocalExecutor
from zeroiqa.segmenters.grid import GridSegmenter
from zeroiqa.settings import load_settings

PHOTOS = 11
NAMES = ("cat.jpg", "rocket.png", "coffee.jpg", "astronaut.jpg")
LOOSE = "paper,points_per_side=4,pred_iou_thresh=0.3,stability_score_thresh=0.3"


@pytest.fixture(autouse=True)
def in_folder_of_photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for number in range(PHOTOS):
        with PIL.Image.open(samples.folder() / NAMES[number % len(NAMES)]) as photo:
            photo.convert("RGB").resize((40 + 3 * number, 50 - number)).save(f"photos/{number:02}.png")


class TogetherSegmenter(GridSegmenter):
    """A grid that takes several images at once, and cannot stand images of some widths."""

    def __init__(self, images_per_call, bad=(), error=ImageError):
        super().__init__("2x2")
        self.images_per_call, self.bad, self.error, self.calls = images_per_call, bad, error, []

    def segment_batch(self, images):
        self.calls.append(len(images))
        if any(image.size[1] in self.bad for image in images):
            raise self.error("too bad")
        return super().segment_batch(images)


def run_with(folder, segmenter, monkeypatch):
    """Regions of every image, or its error."""
    settings = load_settings("embedded", {"segmenter": "grid:2x2", "raters": ["fake"], "regions": True})
    with monkeypatch.context() as patched:
        patched.setattr(resolved, "new_segmenter", lambda *_: segmenter)
        run = runs.open_run(Path(folder), settings, find_images(["photos"]), preset="embedded")
        list(LocalExecutor(1).execute(run, runs.pending(run), on_images=lambda _: None))
    runs.write_scores(run)
    rows = [row for shard in range(run.n_shards) for row in parts.read_regions(run.folder, shard)]
    return [row.error or row.regions for row in rows]


@pytest.mark.parametrize("size", [2, 3, 8, 100])
def test_groups_of_any_size_give_the_same_regions_in_their_order(size, monkeypatch):
    alone = run_with("alone", TogetherSegmenter(1), monkeypatch)
    segmenter = TogetherSegmenter(size)
    assert run_with("together", segmenter, monkeypatch) == alone
    assert max(segmenter.calls) == min(size, PHOTOS) and sum(segmenter.calls) == PHOTOS
    assert Path("together/scores.csv").read_bytes() == Path("alone/scores.csv").read_bytes()


@pytest.mark.parametrize("error", [ImageError, ValueError, RuntimeError])
def test_an_image_that_fails_costs_its_neighbours_nothing(error, monkeypatch):
    alone = run_with("alone", TogetherSegmenter(1), monkeypatch)
    found = run_with("together", TogetherSegmenter(4, bad=(43, 61), error=error), monkeypatch)
    for number, (regions, wanted) in enumerate(zip(found, alone, strict=True)):
        if number in (1, 7):
            assert "too bad" in regions
        else:
            assert regions == wanted


def test_a_segmenter_that_is_unusable_stops_the_run_which_can_be_resumed(monkeypatch):
    broken = TogetherSegmenter(4, bad=(61,), error=UserError)
    with pytest.raises(UserError, match="too bad"):
        run_with("run", broken, monkeypatch)
    assert run_with("run", TogetherSegmenter(4), monkeypatch) == run_with(
        "alone", TogetherSegmenter(1), monkeypatch
    )


def test_sam2_in_a_run_gives_the_regions_of_one_image_after_the_other(tiny_sam2):
    pytest.importorskip("sam2")
    choices = {"segmenter": f"sam2:{tiny_sam2}", "granularity": LOOSE, "raters": ["fake"], "device": "cpu"}
    choices["regions"] = True
    settings = load_settings("embedded", choices)
    sources = find_images(["photos"])
    run = runs.open_run(Path("run"), settings, sources, preset="embedded")
    list(LocalExecutor(1).execute(run, runs.pending(run), on_images=lambda _: None))
    method = stages.method_of(run)
    assert method.segmenter is not None and method.segmenter.images_per_call > 1
    rows = [row for shard in range(run.n_shards) for row in parts.read_regions(run.folder, shard)]
    images = [decode(source.path, method.policy) for source in sources]
    assert [list(row.regions) for row in rows] == [method.segmenter.segment(image) for image in images]
    assert len({len(row.regions) for row in rows}) > 1
    together = score_together(images, method)
    assert [score.score for score in together] == [score.score for score in runs.iter_scores(run)]
