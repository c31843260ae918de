"""Runs of an older version of the method: read as ever, never gone on with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Done
from zeroiqa.runs.identity import METHOD_VERSION, run_id_of
from zeroiqa.samples import folder

CAT, COFFEE, ROCKET = (str(folder() / name) for name in ("cat.jpg", "coffee.jpg", "rocket.png"))
FAKE = ("--segmenter", "grid", "--rater", "fake")


@pytest.fixture
def old_run(give: Callable[..., Done], tmp_path: Path) -> Path:
    """A finished run that says that version 1 began it."""
    assert give(tmp_path, "score", CAT, COFFEE, ROCKET, *FAKE, "--regions", "-o", "run").returncode == 0
    path = tmp_path / "run" / "run.json"
    record = json.loads(path.read_text("utf-8"))
    record["identity"]["method_version"] = 1
    record["run_id"] = run_id_of(record["identity"])
    path.write_text(json.dumps(record), "utf-8")
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [
        (CAT, COFFEE, ROCKET, *FAKE),
        (CAT, COFFEE, ROCKET, *FAKE, "--workers", "2"),
        (CAT, COFFEE, ROCKET, *FAKE, "--rater", "fake:2"),
        (str(folder() / "astronaut.jpg"), *FAKE, "--add"),
        (),
        ("--shard", "0/2"),
        ("--workers", "2"),
    ],
)
def test_going_on_with_an_older_version_is_refused_with_both_versions(give, old_run, arguments):
    files = {path: path.read_bytes() for path in (old_run / "run").rglob("*") if path.is_file()}
    done = give(old_run, "score", *arguments, "-o", "run")
    assert done.returncode != 0
    assert f"run was begun with version 1 of the method, and this is version {METHOD_VERSION}" in done.stderr
    assert "choose another folder with -o" in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2  # the preset's line may come first
    assert {path: path.read_bytes() for path in (old_run / "run").rglob("*") if path.is_file()} == files


def test_an_older_version_is_read_by_the_commands_that_compute_no_rating(give, old_run):
    (old_run / "mos.csv").write_text("image,mos\ncat.jpg,3\ncoffee.jpg,4\nrocket.png,1\n", "utf-8")
    assert "3 of 3" in give(old_run, "status", "run").stdout
    assert "cat.jpg" in give(old_run, "rescore", "run", "--lambda", "1").stdout
    assert give(old_run, "verify", "run").returncode == 0
    # the names alone: the images lie outside of the table's folder
    evaluated = give(old_run, "evaluate", "run", "--mos", "mos.csv", "--root", str(folder()))
    assert (evaluated.returncode, "SRCC" in evaluated.stdout) == (0, True), evaluated.stderr
