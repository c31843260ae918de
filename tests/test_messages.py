"""Warnings of the library on the command line."""

from __future__ import annotations

import logging
import os
import pickle
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

import zeroiqa.pipeline
from zeroiqa import runs, samples
from zeroiqa.cli import main
from zeroiqa.cli.messages import say, warnings_printed
from zeroiqa.images.find import find_images
from zeroiqa.raters.fake import FakeRater
from zeroiqa.runs.executors.attempts import Task
from zeroiqa.runs.executors.worker import Outcome, Worker
from zeroiqa.runs.executors.workers import run_pass
from zeroiqa.runs.passes import Pass
from zeroiqa.settings import load_settings

LOG = logging.getLogger("zeroiqa.raters.somewhere")


class Warner(FakeRater):
    """Warns of the same thing at each call."""

    def rate(self, views, standards):
        LOG.warning("The fast path of %s is left.", "fake")
        return super().rate(views, standards)


def test_each_warning_is_one_line_and_said_once(capsys):
    with warnings_printed():
        LOG.warning("The fast path\n of %s is left.", "A")
        LOG.warning("The fast path\n of %s is left.", "A")
        LOG.warning("The fast path\n of %s is left.", "B")
        LOG.info("Not worth a word.")
    logging.getLogger("elsewhere").info("nor this.")
    assert capsys.readouterr().err == (
        "Warning: The fast path of A is left.\nWarning: The fast path of B is left.\n"
    )


def test_no_name_is_obeyed_by_the_terminal(capsys):
    with warnings_printed():
        LOG.warning("The model \x1b[31m%s is left.", "\u202eA")
    say("run \x1b[2J\nsecond line\x9b1m")
    with pytest.raises(SystemExit):
        main(["--no\x1b[31mthing"])
    with pytest.raises(SystemExit):
        main(["status", "no\rrun\x07"])
    shown = capsys.readouterr()
    assert shown.out == "run \\x1b[2J\nsecond line\\x9b1m\n"
    assert not set(shown.err) & set("\x1b\r\x07\u202e")
    assert r"--no\x1b[31mthing" in shown.err and r"no\rrun\x07 does not exist" in shown.err


def test_lines_for_people_are_said_by_say_alone():
    """`click.echo` writes whatever is in a name; documents of JSON hold none of it."""
    folder = Path(zeroiqa.__file__).parent / "cli"
    wrong = {
        path.name: line.strip()
        for path in folder.glob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"click\.(secho|echo)\((?!json\.dumps)", line) and path.name != "messages.py"
    }
    assert wrong == {}


def test_warning_while_a_bar_is_shown_has_a_line_of_its_own():
    code = """
import logging
from zeroiqa.cli.messages import warnings_printed
from zeroiqa.cli.progress import progress
with warnings_printed(), progress(3, 0) as advance:
    advance(1)
    logging.getLogger("zeroiqa.raters.somewhere").warning("careful [bold]now[/bold].")
    advance(1)
"""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "TERM": "xterm"}
    with subprocess.Popen([sys.executable, "-c", code], stderr=theirs, env=environment) as process:
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
    before, _, after = shown.decode().partition("Warning: careful [bold]now[/bold].")
    assert re.search(r"\x1b\[2K(\x1b\[[0-9;]*m)*$", before)  # the bar is erased, and drawn again below
    assert re.match(r"(\x1b\[[0-9;]*m)*\r\n.*2/3", after)


@pytest.fixture
def run(tmp_path):
    settings = load_settings("embedded", {"segmenter": "grid", "raters": ["fake"]})
    return runs.open_run(tmp_path, settings, find_images([str(samples.folder())]), preset="embedded")


def test_worker_hands_its_warnings_over(run, monkeypatch, capfd):
    monkeypatch.setattr(zeroiqa.pipeline, "build_rater", lambda *_, **__: Warner())
    copy = pickle.loads(pickle.dumps(run))  # as another process gets it, with nothing built
    done = Worker(copy).do(("fake",), Task(1))  # shard 1 has two images
    assert done == Outcome(("The fast path of fake is left.",))
    assert capfd.readouterr().err == ""


class Careful:
    """One worker that is told to be careful at every shard, and does nothing else."""

    def __init__(self):
        self.tasks = []

    @property
    def idle(self):
        return 1 - self.busy

    @property
    def busy(self):
        return len(self.tasks)

    def start(self, raters, task):
        self.tasks.append(task)

    def wait(self):
        return [(self.tasks.pop(), Outcome(("careful.",)))]


def test_warnings_of_all_workers_are_said_once(run, capsys):
    with warnings_printed():
        assert list(run_pass(run, Pass(("fake",), (0, 1, 2)), Careful(), lambda _: None)) == [0, 1, 2]
    assert capsys.readouterr().err == "Warning: careful.\n"
