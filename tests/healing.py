"""What tests of healing have in common: photos of which two have an error, the command, its tables."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from zeroiqa.cli import cli
from zeroiqa.runs import stages

HOW = ("--segmenter", "grid", "--rater", "fake", "--format", "csv")
NUMBER = 7


def photo(number):
    pixels = np.random.default_rng(number).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def broken(name):
    Path(name).write_bytes(b"no image")


@pytest.fixture
def photos(here):
    """Seven photos, in shards of 1, 2 and 4; number 4 is broken, and number 1 leads nowhere."""
    Path("photos").mkdir()
    for number in range(NUMBER):
        photo(number).save(f"photos/{number:02}.png")
    broken("photos/04.png")
    shutil.move("photos/01.png", "away.png")
    Path("photos/01.png").symlink_to("../mount/01.png")
    return here / "photos"


def mount():
    Path("mount").mkdir()
    shutil.move("away.png", "mount/01.png")


def give(*arguments, code=0):
    result = CliRunner().invoke(cli, [*map(str, arguments)])
    said = result.stderr + (f"{result.exception}" if result.exception else "")
    assert result.exit_code == code, said
    return said


def score(*more, code=0, run="run"):
    return give("score", "photos", "-o", run, *HOW, *more, code=code)


def rows(run="run"):
    with Path(run, "scores.csv").open(encoding="utf-8", newline="") as file:
        return {Path(row["path"]).stem: row for row in csv.DictReader(file)}


def statuses(run="run"):
    return {name: row["status"] for name, row in rows(run).items() if row["status"] != "ok"}


def parts(run="run"):
    return {
        str(path.relative_to(run)): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in Path(run).rglob("part-*")
    }


def same_as_new(run="run"):
    """Whether the scores are, byte for byte, those of a new run over the photos as they are now."""
    score(run="new")
    assert Path(run, "scores.csv").read_bytes() == Path("new", "scores.csv").read_bytes()
    assert Path(run, "scores.parquet").read_bytes() == Path("new", "scores.parquet").read_bytes()
    return True


@pytest.fixture
def rated(monkeypatch):
    """The names of the images that raters are shown, each time anew."""
    seen = []
    rate = stages.rate_images

    def noted(images, rater, method, *known):
        seen.extend(Path(image.name).stem for image, _ in images)
        return rate(images, rater, method, *known)

    monkeypatch.setattr(stages, "rate_images", noted)
    return seen
