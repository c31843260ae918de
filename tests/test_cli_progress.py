"""Progress: a live bar on a terminal, plain lines elsewhere."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from zeroiqa.cli import progress
from zeroiqa.samples import folder


def test_a_terminal_shows_a_bar_with_rate_and_time_left(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "zeroiqa", "score", str(folder()), "--workers", "1"]
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
    assert b"7/7" in shown


def test_a_pipe_gets_plain_lines_with_rate_and_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 0.0)
    with progress.progress(total=10, done=4) as advance:
        advance(2)
        advance(4)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("6/10 images, ")
    assert line.endswith(" left")


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
