"""`zeroiqa status` on runs that are finished, under way, watched, and logged by clocks that differ."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from zeroiqa import runs
from zeroiqa.cli import cli
from zeroiqa.images.find import find_images
from zeroiqa.runs import parts
from zeroiqa.runs.events import FOLDER
from zeroiqa.runs.executors.local import LocalExecutor
from zeroiqa.settings import load_settings

ROOT = str(Path(__file__).parent.parent)


@pytest.fixture
def images(tmp_path):
    """Forty images, of which two are broken."""
    folder = tmp_path / "images"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (40, 24, 32, 3), dtype=np.uint8)
    for number, each in enumerate(pixels):
        Image.fromarray(each).save(folder / f"{number:02}.png")
    for name in ("05.png", "30.png"):
        (folder / name).write_bytes(b"no image")
    return folder


def begun(folder, images, shards=None, raters=("fake",)):
    settings = load_settings("embedded", {"segmenter": "grid", "raters": raters})
    run = runs.open_run(folder, settings, find_images([str(images)]), preset="embedded")
    list(LocalExecutor(1).execute(run, runs.pending(run)[:shards], on_images=lambda _: None))
    return run


def status(run, *arguments):
    done = CliRunner().invoke(cli, ["status", str(run.folder), *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def record(run, *arguments):
    return json.loads(status(run, "--format", "json", *arguments))


def shifted(run, seconds):
    """As if the host's clock had been so much later."""
    (path,) = (run.folder / FOLDER).iterdir()
    lines = []
    for line in path.read_text().splitlines():
        fields = json.loads(line)
        moved = datetime.fromisoformat(fields["time"]) + timedelta(seconds=seconds)
        lines.append(json.dumps({**fields, "time": moved.isoformat()}))
    path.write_text("\n".join(lines) + "\n")


def test_unfinished_run_says_what_is_done_how_fast_and_what_is_left(tmp_path, images):
    run = begun(tmp_path / "run", images, shards=5)
    said = status(run)
    assert "regions: 5 of 8 shards" in said
    assert "22 of 40 images scored, 1 with an error" in said
    assert "  1 x is not an image that can be read" in said
    assert re.search(r"speed [\d.]+ images/s now, [\d.]+ images/s over all; about \d+ s left", said)
    assert re.search(rf"-{os.getpid()} +5 +23 +[\d.]+  \d s ago", said)
    assert "17 images left; the command that started the run goes on with them" in said


def test_finished_run_is_complete(tmp_path, images):
    said = status(begun(tmp_path / "run", images))
    assert "38 of 40 images scored, 2 with an error" in said
    assert said.endswith("complete\n")


def test_record_has_the_same_numbers(tmp_path, images):
    found = record(begun(tmp_path / "run", images, shards=5))
    assert (found["images"], found["scored"], found["errors"], found["complete"]) == (40, 22, 1, False)
    assert found["finished"] == {"regions": 5, "ratings/fake": 5}
    assert found["images_per_second"] > 0 and found["seconds_left"] > 0
    (worker,) = found["workers"]
    assert (worker["shards"], worker["images"], worker["working"]) == (5, 23, True)
    assert sum(found["error_kinds"].values()) == 1


def test_errors_are_the_same_with_and_without_a_log(tmp_path, images):
    run = begun(tmp_path / "run", images)
    logged = runs.status(run)
    for path in (run.folder / FOLDER).iterdir():
        path.write_text(path.read_text().splitlines()[-1][:50])
    assert runs.status(run) == logged
    assert "1 damaged lines in events/ were left out" in status(run)


def test_parts_with_an_event_are_not_opened(tmp_path, images):
    """A million images have thousands of parts."""
    run = begun(tmp_path / "run", images)
    for stage in run.stages:
        parts.part_path(run.folder, stage, 2).write_bytes(b"")
    assert "2 with an error" in status(run)


@pytest.mark.parametrize("hours", [-5, 5])
def test_clocks_that_differ_give_no_negative_numbers(tmp_path, images, hours):
    run = begun(tmp_path / "run", images, shards=5)
    shifted(run, 3600 * hours)
    found = record(run)
    assert found["clocks_differ"] is (hours > 0)
    (worker,) = found["workers"]
    assert worker["images_per_second"] > 0 and found["images_per_second_over_all"] > 0
    assert found["seconds_left"] is None if hours < 0 else found["seconds_left"] > 0
    said = status(run)
    assert ("clocks differ" in said) is (hours > 0)
    assert ("nobody has been at work" in said) is (hours < 0)
    assert not re.search(r"-\d+(\.\d+)? (s|min|h|images)\b", said)


def test_cost_of_the_rest_comes_from_the_rate_of_now(tmp_path, images):
    run = begun(tmp_path / "run", images, shards=5)
    found = record(run, "--price", "3600", "--devices", "4")
    assert found["device_hours_left"] == pytest.approx(4 * found["seconds_left"] / 3600)
    assert found["cost_left"] == pytest.approx(4 * found["seconds_left"])
    assert "cost of the rest: " in status(run, "--price", "2")


def test_cost_is_unknown_before_enough_is_done(tmp_path, images):
    run = begun(tmp_path / "run", images, shards=2)
    assert record(run, "--price", "2")["cost_left"] is None
    assert "cost of the rest: unknown until 1 % is done" in status(run, "--price", "2")


def test_watching_in_a_pipe_ends_when_the_run_is_complete(tmp_path, images):
    run = begun(tmp_path / "run", images, shards=3)
    later = threading.Timer(0.5, begun, (run.folder, images))
    later.start()
    said = status(run, "--watch").splitlines()
    later.join()
    assert re.match(r"\d+/40 images, \d with an error", said[0])
    assert said[-1] == "complete"


def watched(run, **options):
    command = [sys.executable, "-m", "zeroiqa", "status", str(run.folder), "--watch"]
    environment = {**os.environ, "PYTHONPATH": ROOT, "TERM": "xterm", "COLUMNS": "100"}
    return subprocess.Popen(command, env=environment, **options)


def test_interrupted_watching_ends_quietly(tmp_path, images):
    run = begun(tmp_path / "run", images, shards=3)
    with watched(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().startswith("7/40 images")
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        assert process.stderr.read() == ""


def test_terminal_is_refreshed_in_place(tmp_path, images):
    run = begun(tmp_path / "run", images, shards=3)
    ours, theirs = pty.openpty()
    with watched(run, stdout=theirs) as process:
        os.close(theirs)
        shown = b""
        while b"images left" not in shown:
            shown += os.read(ours, 4096)
        begun(run.folder, images)
        with pytest.raises(OSError):  # the other end is closed
            while True:
                piece = os.read(ours, 4096)
                if not piece:
                    raise OSError
                shown += piece
        assert process.wait(10) == 0
    os.close(ours)
    assert b"\x1b[1A" in shown  # up a line
    assert b"complete" in shown


def test_ten_thousand_events_are_read_in_a_moment(tmp_path, images):
    run = begun(tmp_path / "run", images)
    (path,) = (run.folder / FOLDER).iterdir()
    path.write_text(path.read_text() * 1250)
    start = time.process_time()
    assert record(run)["workers"][0]["images"] == 1250 * 40
    assert time.process_time() - start < 5
