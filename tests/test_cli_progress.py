"""Progress: a live bar on a terminal, plain lines elsewhere."""

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from zeroiqa.cli import progress
from zeroiqa.samples import folder


def test_a_terminal_shows_a_bar_with_rate_and_time_left(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    images = tmp_path / "images"
    images.mkdir()
    for copy in range(80):
        shutil.copy(folder() / "coffee.jpg", images / f"{copy}.jpg")
    command = [sys.executable, "-m", "zeroiqa", "score", str(images), "--workers", "1"]
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parent.parent),
        "TERM": "xterm",
        "COLUMNS": "100",
    }
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            shown += piece
    os.close(ours)
    assert process.returncode == 0
    assert b"images/s" in shown
    assert b"left" in shown
    assert b"80/80" in shown


def test_a_pipe_gets_plain_lines_and_the_time_left_once_there_is_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    with progress.progress(total=1000, done=400) as advance:
        for _ in range(300):
            now += 0.5
            advance(1)
    first, second, *_, last = capsys.readouterr().err.splitlines()
    assert first == "420/1000 images, 2.0 images/s, about 4 min 50 s left"
    assert second == "440/1000 images, 2.0 images/s, about 4 min 40 s left"
    assert last == "700/1000 images, 2.0 images/s, about 2 min 30 s left"


def test_no_time_left_is_told_while_there_is_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 60.0  # a model was loaded
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    with progress.progress(total=100, done=0, passes=[50, 50]) as advance:
        for _ in range(4):
            now += 11.0
            advance(1)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"{done}/100 images in 2 passes" for done in (1, 2, 3, 4)]


def test_a_short_run_in_a_pipe_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress(total=3, done=0) as advance:
        advance(1)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.4, "59 s"), (60, "1 min 0 s"), (3599, "59 min 59 s"), (7500, "2 h 5 min")],
)
def test_durations_are_written_for_people(seconds: float, text: str) -> None:
    assert progress.duration(seconds) == text
