"""What tests of a command that follows its folders have in common: photos, the command, its tables."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner
from PIL import Image

from zeroiqa.cli import cli
from zeroiqa.errors import UserError

FAKE = ("--rater", "fake", "--segmenter", "grid", "--workers", "1")


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A current folder with photos/a.png, photos/b.png and photos/sub/c.png."""
    (tmp_path / "project/photos/sub").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project")
    for number, name in enumerate(("a", "b", "sub/c")):
        photo(f"photos/{name}.png", number)
    return tmp_path / "project"


def photo(path, number=9):
    Image.new("RGB", (40, 30), (20 * number, 90, 200)).save(path)


class Done(NamedTuple):
    stdout: str
    stderr: str


def zeroiqa(*arguments, code=0, stdin=None):
    done = CliRunner().invoke(cli, list(map(str, arguments)), input=stdin)
    if isinstance(done.exception, UserError):  # which the program turns into one sentence and the code 1
        done.exit_code, said = 1, str(done.exception)
    elif done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    else:
        said = done.stderr
    assert done.exit_code == code, done.output
    return Done(done.stdout, said)


def score(*arguments, **options):
    return zeroiqa("score", *arguments, *FAKE, **options)


def rows(folder="run", name="scores.csv"):
    """Path -> status and score."""
    text = (Path(folder) / name).read_text("utf-8")
    return {row["path"]: (row["status"], row["score"]) for row in csv.DictReader(io.StringIO(text))}


def statuses(folder="run"):
    return {path: status for path, (status, _) in rows(folder).items()}


def parts(folder="run"):
    return {path: path.stat().st_mtime_ns for path in Path(folder).rglob("part-*")}


def default_runs():
    return sorted(path.name for path in Path("zeroiqa-runs").iterdir())
