"""`zeroiqa segment`: what it writes and prints; the first test has a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pyarrow.parquet as pq
import pytest

from tests.command import Done, zeroiqa
from zeroiqa.samples import folder

ROOT = Path(__file__).parent.parent


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two samples, one of them lying on its side by its EXIF orientation, and a broken file."""
    photos = tmp_path / "photos"
    photos.mkdir()
    shutil.copy(folder() / "cat.jpg", photos)
    with PIL.Image.open(folder() / "coffee.jpg") as photo:
        exif = photo.getexif()
        exif[0x0112] = 6
        photo.save(photos / "a cup.jpg", exif=exif)
    (photos / "broken.jpg").write_text("hello")
    return photos


def segment(cwd: Path, *arguments: str) -> Done:
    return zeroiqa(cwd, "segment", *arguments)


def process(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "zeroiqa", "segment", *arguments]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        command, cwd=cwd, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )


def test_it_writes_the_regions_three_ways_and_prints_how_many(photos: Path) -> None:
    done = process(photos.parent, "photos", "-o", "out")
    assert done.returncode == 0, done.stderr
    out = photos.parent / "out"
    rows = pq.read_table(out / "regions.parquet").to_pylist()
    objects = [row for row in rows if row["kind"] == "object"]
    assert [row["path"] for row in rows if row["status"] == "error"] == ["photos/broken.jpg"]
    document = json.loads((out / "coco.json").read_text())
    assert len(document["annotations"]) == len(rows) - 1
    assert [image["file_name"] for image in document["images"]] == ["photos/a cup.jpg", "photos/cat.jpg"]
    for image in document["images"]:
        with PIL.Image.open(photos.parent / image["file_name"]) as photo:
            upright = photo.size if "cat" in image["file_name"] else photo.size[::-1]
        assert (image["width"], image["height"]) == upright
    pictures = sorted((out / "overlays").iterdir())
    assert [picture.name for picture in pictures] == ["00000-a-cup.jpg", "00002-cat.jpg"]
    with PIL.Image.open(pictures[0]) as picture:
        assert picture.size == (document["images"][0]["width"], document["images"][0]["height"])
    lines = done.stdout.splitlines()
    assert lines[0] == "images   3, 1 with an error"
    assert lines[1].startswith(f"masks    {len(objects) / 2:.2f} an image, from ")
    assert "7.22 on SPAQ" in lines[1]
    assert lines[-1] == "written  regions.parquet, coco.json, overlays/ (2 pictures) in out"


def test_the_same_command_again_makes_only_what_is_missing(photos: Path) -> None:
    arguments = ("photos", "-o", "out", "--segmenter", "grid")
    first = segment(photos.parent, *arguments)
    out = photos.parent / "out"
    coco = (out / "coco.json").read_bytes()
    (out / "overlays" / "00002-cat.jpg").unlink()
    (out / "coco.json").unlink()
    kept = {path: path.stat().st_mtime_ns for path in (*out.rglob("part-*"), *out.rglob("*.jpg"))}
    second = segment(photos.parent, *arguments)
    assert second.stdout == first.stdout
    assert (out / "overlays" / "00002-cat.jpg").exists()
    assert (out / "coco.json").read_bytes() == coco
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_overlays_can_be_left_out_and_shown_later(photos: Path) -> None:
    arguments = ("photos", "-o", "out", "--segmenter", "grid")
    assert "overlays" not in segment(photos.parent, *arguments, "--no-overlays").stdout
    assert not (photos.parent / "out" / "overlays").exists()
    assert "overlays/ (2 pictures)" in segment(photos.parent, *arguments).stdout


def test_a_large_photo_has_a_small_overlay(tmp_path: Path) -> None:
    PIL.Image.fromarray(np.zeros((1000, 3000, 3), np.uint8)).save(tmp_path / "wide.png")
    assert segment(tmp_path, "wide.png", "-o", "out", "--segmenter", "grid").returncode == 0
    with PIL.Image.open(tmp_path / "out" / "overlays" / "00000-wide.jpg") as picture:
        assert picture.size == (1024, 341)


def test_an_image_that_has_gone_has_no_overlay_and_loses_nothing(photos: Path) -> None:
    arguments = ("photos/cat.jpg", "photos/a cup.jpg", "-o", "out", "--segmenter", "grid")
    assert segment(photos.parent, *arguments, "--no-overlays").returncode == 0
    (photos / "cat.jpg").write_text("hello")
    done = segment(photos.parent, *arguments)
    assert done.returncode == 0
    assert "Warning: no overlay: photos/cat.jpg has changed: it has 5 bytes" in done.stderr
    assert "overlays/ (1 picture)" in done.stdout


def test_only_broken_images_have_no_mean(photos: Path) -> None:
    done = segment(photos.parent, "photos/broken.jpg", "-o", "out")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == "images   1, 1 with an error"
    assert "masks" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--min-area", "2"), "min_area is 2.0"),
        (("--granularity", "tinny"), "did you mean tiny"),
        (("--granularity", "paper,points_per_sid=3"), "points_per_side"),
        (("--granularity", "tiny", "--segmenter", "graph"), "leave one of the two out"),
        (("--segmenter", "sam2:missing.pt"), "missing.pt"),
        (("--segmenter", "sam2.1-tiny", "--offline"), "--offline forbids"),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_no_folder(
    photos: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = segment(photos.parent, "photos", "-o", "out", *arguments)
    assert done.returncode == 1
    assert said in done.stderr and done.stderr.count("\n") == 1
    assert not (photos.parent / "out").exists()


def test_the_least_area_in_pixels_and_the_weight_of_the_rest(photos: Path) -> None:
    """Cells of a grid do not overlap: what is left weighs what its area is."""
    rule = ("--min-area", "0", "--min-pixels", "30000", "--complement-rule", "remainder")
    for grid, masks in (("grid:2x2", 3), ("grid:9x9", 0)):
        out = photos.parent / grid
        done = segment(photos.parent, "photos/cat.jpg", "-o", str(out), "--segmenter", grid, *rule)
        assert done.returncode == 0, done.stderr
        rows = pq.read_table(out / "regions.parquet").to_pylist()
        rest = 0.25 if masks else 1.0
        assert [row["weight"] for row in rows] == [*([None] * masks), rest]
        annotations = json.loads((out / "coco.json").read_text())["annotations"]
        assert [each.get("weight") for each in annotations] == [*([None] * masks), rest]


def test_the_former_name_of_a_granularity_is_said_once(photos: Path, tiny_sam2: Path) -> None:
    loose = "points_per_side=2,pred_iou_thresh=0,stability_score_thresh=0"
    arguments = ("--segmenter", f"sam2:{tiny_sam2}", "--device", "cpu", "--no-overlays")
    done = segment(
        photos.parent, "photos/cat.jpg", "-o", "out", "--granularity", f"paper,{loose}", *arguments
    )
    assert done.returncode == 0
    assert done.stderr.count("The granularity paper is called default-16 now: its numbers are ours") == 1
    again = segment(
        photos.parent, "photos/cat.jpg", "-o", "out", "--granularity", f"default-16,{loose}", *arguments
    )
    assert (again.returncode, again.stdout) == (0, done.stdout)
    assert "paper" not in again.stderr


def test_another_granularity_needs_another_folder(photos: Path) -> None:
    assert segment(photos.parent, "photos", "-o", "out", "--segmenter", "grid").returncode == 0
    done = segment(photos.parent, "photos", "-o", "out", "--segmenter", "grid:2x2")
    assert done.returncode == 1
    assert "segmenter is grid there and grid:2x2 here; choose another folder with -o" in done.stderr


def test_sam2_with_a_granularity_of_ones_own(photos: Path, tiny_sam2: Path) -> None:
    pytest.importorskip("sam2")
    loose = "paper,points_per_side=4,pred_iou_thresh=0.3,stability_score_thresh=0.3"
    arguments = ("--segmenter", f"sam2:{tiny_sam2}", "--granularity", loose, "--device", "cpu")
    done = segment(photos.parent, "photos", "-o", "out", *arguments)
    assert done.returncode == 0, done.stderr
    document = json.loads((photos.parent / "out" / "coco.json").read_text())
    assert {each["category_id"] for each in document["annotations"]} == {1, 2}
    sizes = {image["id"]: [image["height"], image["width"]] for image in document["images"]}
    assert all(each["segmentation"]["size"] == sizes[each["image_id"]] for each in document["annotations"])


def test_overlays_carry_levels_where_they_are_asked_for(photos: Path, give: Callable[..., Done]) -> None:
    arguments = ("segment", "photos", "-o", "out", "--segmenter", "grid:2x2")
    plain = give(photos.parent, *arguments)
    assert plain.returncode == 0
    regions = {path: path.read_bytes() for path in (photos.parent / "out" / "regions").iterdir()}
    rated = give(photos.parent, *arguments, "--levels")
    assert rated.returncode == 0, rated.stderr
    assert "out gets ratings by nss; what it has is kept." in rated.stderr
    assert rated.stderr.count("The regions are rated by nss, as by `zeroiqa score`.") == 1
    assert {path: path.read_bytes() for path in regions} == regions
    (folder,) = (photos.parent / "out").glob("levels-*")
    assert f"{folder.name}/ (2 pictures) in out" in rated.stdout
    pictures = sorted(path.name for path in folder.iterdir())
    assert pictures == sorted(path.name for path in (photos.parent / "out" / "overlays").iterdir())
    kept = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    (folder / pictures[0]).unlink()
    again = give(photos.parent, *arguments, "--levels")
    assert again.stdout == rated.stdout
    assert folder.joinpath(pictures[1]).stat().st_mtime_ns == kept[folder / pictures[1]]
    more = give(photos.parent, *arguments, "--levels", "--rater", "nss", "--rater", "fake")
    assert "The regions are rated by nss, fake" in more.stderr
    assert len([*(photos.parent / "out").glob("levels-*")]) == 2, "other raters, other levels"
    own = give(photos.parent, *arguments, "--levels")
    assert (own.returncode, own.stdout) == (0, more.stdout), "the folder's own raters"


def test_levels_of_a_run_that_was_scored_are_its_own(photos: Path, give: Callable[..., Done]) -> None:
    scoring = ("photos", "-o", "out", "--segmenter", "grid:2x2", "--lambda", "1")
    assert give(photos.parent, "score", *scoring, "--crop", "mask", "--rater", "fake").returncode == 0
    scores = (photos.parent / "out" / "scores.csv").read_bytes()
    done = give(photos.parent, "segment", "photos", "-o", "out", "--levels")
    assert done.returncode == 0, done.stderr
    assert "rated by fake" in done.stderr and "(2 pictures)" in done.stdout
    assert (photos.parent / "out" / "scores.csv").read_bytes() == scores
    assert give(photos.parent, "score", *scoring[:1], "-o", "boxes", *scoring[3:]).returncode == 0
    refused = give(photos.parent, "segment", "photos", "-o", "boxes", "--levels")
    assert refused.returncode == 1 and "holds a run without masks (crop bbox)" in refused.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--rater", "fake"), "say who rates for --levels"),
        (("--levels", "--no-overlays"), "leave --no-overlays out"),
    ],
)
def test_levels_need_overlays_and_raters_need_levels(
    photos: Path, give: Callable[..., Done], options: tuple[str, ...], said: str
) -> None:
    done = give(photos.parent, "segment", "photos", "-o", "out", *options)
    assert done.returncode == 2 and said in done.stderr
    assert not (photos.parent / "out").exists()
