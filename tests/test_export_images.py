"""`zeroiqa export`: which images are exported, and what is said of the others; every format alike."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import zlib
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.command import Done, zeroiqa
from zeroiqa.export.imagefolder import to_imagefolder
from zeroiqa.runs import iter_scored, load_run

NAMES = ("a.png", "sub/a.png", "test.png", "odd [1] é;'\n.png")
FORMATS = ("coco", "fiftyone", "imagefolder", "xmp")


def picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (30, 40, 3), np.uint8)
    Image.fromarray(pixels).save(path)


def score(home: Path, *options: object) -> Done:
    settings = ("--rater", "fake", "--segmenter", "grid", "--lambda", 1, "--format", "csv")
    return zeroiqa(home, "score", "photos", "photos.tar", *settings, *options)


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos, an archive and their run, to be copied."""
    folder = tmp_path_factory.mktemp("scored")
    for seed, name in enumerate(NAMES):
        picture(folder / "photos" / name, seed)
    (folder / "photos/broken.png").write_bytes(b"no image")
    with tarfile.open(folder / "photos.tar", "w") as archive:
        archive.add(folder / "photos/a.png", "deep/a.png")
    assert score(folder, "-o", "run").returncode == 0
    assert score(folder, "-o", "half", "--shard", "1/2").returncode == 0
    zeroiqa(folder, "segment", "photos", "--segmenter", "grid", "-o", "regions", "--no-overlays")
    return folder


@pytest.fixture
def home(scored: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(scored, tmp_path / "home"))


def export(
    home: Path, kind: str, *options: object, run: str = "run", stdin: str = "", out: str = "out"
) -> Done:
    return zeroiqa(home, "export", kind, run, "-o", out, *options, stdin=stdin)


def exported(home: Path, kind: str) -> list[Any]:
    """What a format says of each image."""
    out = home / "out"
    if kind == "coco":
        return list(json.loads(out.read_text(encoding="utf-8"))["images"])
    if kind == "fiftyone":
        return list(json.loads((out / "samples.json").read_text(encoding="utf-8"))["samples"])
    if kind == "xmp":
        return sorted(out.rglob("*.xmp"))
    lines = (out / "train/metadata.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("kind", FORMATS)
def test_every_image_with_a_score_and_the_count_of_the_others(home: Path, kind: str) -> None:
    done = export(home, kind)
    assert (done.returncode, done.stderr) == (0, "Left out: 1 with an error.\n")
    assert len(exported(home, kind)) == 5
    again = export(home, kind)
    assert again.returncode == 1 and "give a" in again.stderr and "Traceback" not in again.stderr
    assert len(exported(home, kind)) == 5


@pytest.mark.parametrize("kind", FORMATS)
def test_a_list_of_paths_chooses(home: Path, kind: str) -> None:
    absolute = home / "photos/test.png"
    done = export(
        home,
        kind,
        "--only",
        "-",
        stdin=f"photos/a.png\0{absolute}\0./photos/test.png\0photos/broken.png\0no.png\0",
    )
    assert done.stderr == "Left out: 1 with an error.\nNot in the run: 1 of the list (first: no.png).\n"
    assert len(exported(home, kind)) == 2
    (home / "list.txt").write_text("no.png\n")
    done = export(home, kind, "--only", "list.txt", out="other")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "Error: None of the images of the list (first: no.png) is in run with a score;"
    )
    assert not (home / "other").exists()
    done = export(home, kind, "--only", "-", stdin="photos/a.png\0no\n.png\0", out="other")
    assert done.stderr.endswith("Not in the run: 1 of the list (first: no\\n.png).\n")


@pytest.mark.parametrize("kind", FORMATS)
def test_an_unfinished_run_gives_what_is_there(home: Path, kind: str) -> None:
    done = export(home, kind, run="half")
    assert done.returncode == 0
    assert "images are not scored yet; `zeroiqa score -o half` goes on with them." in done.stderr
    there = sum(each.score.score is not None for each in iter_scored(load_run(home / "half")))
    assert len(exported(home, kind)) == there > 0


@pytest.mark.parametrize("kind", FORMATS)
def test_without_a_score_there_is_nothing_to_export(home: Path, kind: str) -> None:
    done = export(home, kind, run="regions")
    assert done.returncode == 1 and done.stderr.startswith("Error: regions holds regions without ratings;")
    broken = zeroiqa(home, "score", "photos/broken.png", "-o", "broken", "--rater", "fake", "--format", "csv")
    done = export(home, kind, run="broken")
    assert broken.returncode == 0 and done.returncode == 1
    assert "Error: broken has no image to export: 1 with an error; `zeroiqa status broken`" in done.stderr
    assert not (home / "out").exists()


def test_images_that_moved_stay_in_lists_and_are_left_out_of_copies(home: Path) -> None:
    (home / "photos/a.png").unlink()
    assert "Not where they were scored: 1 of 5 images." in export(home, "coco").stderr
    assert "Not where they were scored: 1 of 5 images." in export(home, "fiftyone", out="fo").stderr
    done = export(home, "imagefolder", out="hf")
    assert "1 not where they were scored" in done.stderr and "4 images in hf" in done.stdout
    shutil.rmtree(home / "photos")
    (home / "photos.tar").unlink()
    done = export(home, "imagefolder", out="none")
    assert done.returncode == 1 and "has no image to export: 5 not where they were scored" in done.stderr
    assert done.stderr.endswith("; put the images back, or score them where they are.\n")
    assert not (home / "none" / "train").exists()
    picture(home / "photos/a.png", 0)  # what the attempt left behind is in nobody's way
    assert "1 image in none" in export(home, "imagefolder", out="none").stdout


@pytest.mark.parametrize("kind", [*FORMATS[1:]])
def test_folders_are_new_and_on_a_disk(home: Path, kind: str) -> None:
    (home / "file").touch()
    picture(home / "full/below/a.png", 1)
    for out, why in (
        ("file", "file is a file; give a new or empty folder with -o."),
        ("full", "full holds other files, such as a.png; give a new or empty folder with -o."),
        (
            "s3://bucket/x",
            "s3://bucket/x is in an object store; give a new or empty folder on a disk with -o.",
        ),
    ):
        done = export(home, kind, out=out)
        assert (done.returncode, done.stderr) == (1, f"Error: {why}\n")


def test_a_run_is_exported_from_another_folder(home: Path, tmp_path: Path) -> None:
    done = zeroiqa(tmp_path, "export", "imagefolder", "home/run", "-o", "out")
    assert "5 images in out" in done.stdout and "where they were" not in done.stderr


def test_coco_has_levels_and_contributions_that_add_up(home: Path) -> None:
    export(home, "coco")
    document = json.loads((home / "out").read_text(encoding="utf-8"))
    for image in document["images"]:
        shares = [each["contribution"] for each in document["annotations"] if each["image_id"] == image["id"]]
        assert len(shares) == 6 == image["n_regions"]
        assert image["score"] == pytest.approx((image["s_global"] + image["s_local"]) / 2)
        assert sum(shares) == pytest.approx(image["s_local"] / 2)
    assert all("segmentation" not in each and each["iscrowd"] == 0 for each in document["annotations"])
    assert all({"level", "bbox", "area"} <= set(each) for each in document["annotations"])


def test_masks_that_the_run_has_are_exported(home: Path) -> None:
    settings = ("--segmenter", "grid", "--crop", "mask", "--lambda", 1, "--rater", "fake", "--format", "csv")
    assert zeroiqa(home, "score", "photos", "-o", "masks", *settings).returncode == 0
    export(home, "coco", run="masks", out="out.json")
    document = json.loads((home / "out.json").read_text(encoding="utf-8"))
    assert all(sum(each["segmentation"]["counts"][1::2]) == each["area"] for each in document["annotations"])
    export(home, "fiftyone", run="masks")
    found = (each for sample in exported(home, "fiftyone") for each in sample["regions"]["detections"])
    for detection, annotation in zip(found, document["annotations"], strict=True):
        mask = np.load(BytesIO(zlib.decompress(b64decode(detection["mask"]["$binary"]["base64"]))))
        assert mask.dtype == bool and mask.sum() == annotation["area"] > 0
        assert list(reversed(mask.shape)) == annotation["bbox"][2:]


def test_a_fiftyone_dataset_declares_every_field_that_its_samples_have(home: Path) -> None:
    export(home, "fiftyone")
    metadata = json.loads((home / "out/metadata.json").read_text(encoding="utf-8"))
    fields = {each["name"]: each for each in metadata["sample_fields"]}
    detections = fields["regions"]["fields"][0]["fields"]
    ids = set()
    for sample in exported(home, "fiftyone"):
        named = {name for name in sample if not name.startswith("_")}
        assert named <= set(fields) and Path(sample["filepath"]).suffix == ".png"
        assert (home / "out" / sample["filepath"]).is_file()  # absolute, or below data/
        assert all(
            0 <= number <= 1 for each in sample["regions"]["detections"] for number in each["bounding_box"]
        )
        for each in sample["regions"]["detections"]:
            assert {name for name in each if not name.startswith("_")} - {"attributes"} <= {
                field["name"] for field in detections
            }
        ids |= {sample["_id"]["$oid"], *(each["_id"]["$oid"] for each in sample["regions"]["detections"])}
    assert len(ids) == 5 + 5 * 6 and all(len(each) == 24 and int(each, 16) for each in ids)
    assert not any(set(".$") & set(name) or name.startswith("_") for name in fields)


def test_an_image_folder_is_flat_and_teaches_its_columns_first(home: Path) -> None:
    export(home, "imagefolder")
    rows = exported(home, "imagefolder")
    files = {str(path.relative_to(home / "out/train")) for path in (home / "out").rglob("*.png")}
    assert files == {row["file_name"] for row in rows} and len(files) == 5
    assert not any("/" in name for name in files)  # "test" would be a split
    assert next(iter(rows[0])) == "file_name" and {tuple(row) for row in rows} == {tuple(rows[0])}
    originals = {row["path"]: (home / "out/train" / row["file_name"]).read_bytes() for row in rows}
    assert originals["photos/test.png"] == (home / "photos/test.png").read_bytes()
    assert originals["photos.tar/deep/a.png"] == (home / "photos/a.png").read_bytes()
    linked = export(home, "imagefolder", "--link", out="links")
    assert "5 images in links" in linked.stdout
    assert sum(path.is_symlink() for path in (home / "links").rglob("*.png")) == 4  # one is in an archive


def test_lines_that_are_the_first_to_have_a_value_come_first(tmp_path: Path, scored: Path) -> None:
    run = load_run(scored / "run")
    images = [each for each in iter_scored(run) if each.score.score is not None]

    def tagged() -> Iterator[Any]:
        for position, image in enumerate(images):
            ref = image.planned.ref._replace(root=str(scored))
            tags = ("blurred",) if position == len(images) - 1 else ()
            yield image._replace(
                planned=image.planned._replace(ref=ref), score=replace(image.score, tags=tags)
            )

    with to_imagefolder(tmp_path / "out", ["path", "score"], run.n_images) as add:
        assert [add(image) for image in tagged()] == [None] * 5
    lines = (tmp_path / "out/train/metadata.jsonl").read_text().splitlines()
    assert [bool(json.loads(line)["tags"]) for line in lines] == [False, True, False, False, False]


def test_regions_have_a_level_of_each_standard(home: Path) -> None:
    settings = ("--segmenter", "grid", "--lambda", 1, "--rater", "fake", "--format", "csv")
    standards = ("--standard", "quality-word-7", "--standard", "authenticity-word-7")
    done = zeroiqa(home, "score", "photos", "-o", "two", *settings, *standards)
    assert done.returncode == 0, done.stderr
    export(home, "fiftyone", run="two")
    metadata = json.loads((home / "out/metadata.json").read_text(encoding="utf-8"))
    detections = metadata["sample_fields"][-1]["fields"][0]["fields"]
    (said, *_), *_ = (sample["regions"]["detections"] for sample in exported(home, "fiftyone"))
    assert {"level", "contribution", "authenticity_level", "authenticity_contribution"} <= set(said)
    assert {name for name in said if name[0] != "_"} - {"attributes"} <= {each["name"] for each in detections}


@pytest.mark.skipif(os.name != "posix", reason="limits the size of files by the shell")
def test_what_ends_early_says_that_its_folder_holds_a_part(home: Path) -> None:
    Image.effect_noise((300, 300), 90).save(home / "photos/test.png")
    command = f"ulimit -f 50; exec {shlex.quote(sys.executable)} -m zeroiqa export imagefolder run -o out"
    done = subprocess.run(["bash", "-c", command], cwd=home, capture_output=True, text=True)
    assert done.returncode == 1 and "test.png could not be written" in done.stderr
    assert "out holds a part of the export; empty it before the next one." in done.stderr
    assert not (home / "out/train/metadata.jsonl").exists()
    assert "out holds other files" in export(home, "imagefolder").stderr
