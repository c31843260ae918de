"""`--max-failures`: a run stops once too much has failed, keeps what is finished, and goes on with more."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from zeroiqa import runs
from zeroiqa.cli import cli
from zeroiqa.cli.failures import LimitType
from zeroiqa.errors import UserError


@pytest.fixture
def images(tmp_path, monkeypatch):
    """Forty images, of which every fourth is broken."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "images"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    for number in range(40):
        if number % 4 == 3:
            (folder / f"{number:02}.png").write_bytes(b"no image")
        else:
            Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return folder


def score(*arguments):
    fixed = ("images", "-o", "run", "--rater", "fake", "--segmenter", "grid")
    return CliRunner().invoke(cli, ["score", *fixed, *arguments])


def parts():
    return {path: path.stat().st_mtime_ns for path in Path("run").rglob("part-*")}


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("limit", ["4", "10%", "11.9%"])
def test_run_stops_keeps_what_is_finished_and_goes_on_with_a_larger_value(images, workers, limit):
    result = score("--max-failures", limit, "--workers", workers)
    assert isinstance(result.exception, UserError)
    said = str(result.exception)
    assert f"of 40 images have an error, more than --max-failures {limit} allows" in said
    assert "what is finished is kept" in said
    kept = parts()
    assert 0 < len(kept) < 2 * 8
    assert not Path("run/scores.csv").exists()
    assert score("--max-failures", "10").exit_code == 0
    assert kept.items() <= parts().items()
    assert runs.status(runs.load_run(Path("run"))).errors == 10


def test_as_many_as_allowed_stop_nothing(images):
    assert score("--max-failures", "25%").exit_code == 0
    assert Path("run/scores.csv").exists()


def test_what_failed_before_counts_and_nothing_is_done(images):
    assert isinstance(score("--max-failures", "4").exception, UserError)
    kept = parts()
    result = score("--max-failures", "0")
    assert isinstance(result.exception, UserError)
    assert parts() == kept


@pytest.mark.parametrize("text", ["", "-1", "1.5", "five", "101%", "nan%", "%", "-1%"])
def test_what_is_no_number_is_refused(text):
    with pytest.raises(click.BadParameter, match="neither a number of images"):
        LimitType().convert(text, None, None)
