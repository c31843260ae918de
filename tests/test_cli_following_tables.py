"""A command that follows its folders: slices and other processes, other arithmetic, tables of its own."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.following import (
    default_runs,
    photo,
    rows,
    score,
    statuses,
    zeroiqa,
)
from tests.following import (
    project as project,
)
from zeroiqa import runs
from zeroiqa.runs import work

# slices and other processes


def test_a_slice_leaves_the_plan_as_it_is():
    score("photos", "-o", "run", "--plan-only")
    photo("photos/new.png")
    Path("photos/b.png").rename("kept.png")
    before = sorted(path.name for path in Path("run").iterdir())
    done = score("photos", "-o", "run", "--shard", "0/2")
    assert "1 image is new since run was planned; 1 image is gone; a slice leaves the plan" in done.stderr
    assert {"plan-0001.parquet", "revision-0001.parquet"}.isdisjoint(
        path.name for path in Path("run").iterdir()
    )
    assert set(before) <= {path.name for path in Path("run").iterdir()}
    for option in ("--add", "--prune"):
        assert (
            "--shard does a slice of a plan"
            in score("photos", "-o", "run", "--shard", "0/2", option, code=2).stderr
        )


@pytest.mark.parametrize("style", ["table", "csv"])
def test_a_folder_that_grows_while_it_is_scored_ends_well(monkeypatch, style):
    """Another command takes the new images in meanwhile; both end well and agree."""
    really = work.finished_shards

    def with_another(run, shards, executor, track):
        shards = really(run, shards, executor, track)
        yield next(shards)
        monkeypatch.setattr(work, "finished_shards", really)
        photo("photos/new.png")
        Path("photos/a.png").unlink()
        score("photos", "-o", "run")
        yield from shards

    monkeypatch.setattr(work, "finished_shards", with_another)
    done = score("photos", "-o", "run", "--format", style)
    assert "4 images, 0 with an error, 1 gone" in done.stderr
    assert list(statuses().values()) == ["gone", "ok", "ok", "ok"]
    assert "photos/new.png" in done.stdout


# arithmetic


def test_other_arithmetic_is_the_same_run():
    score("photos")
    own = rows(Path("zeroiqa-runs") / default_runs()[0])
    done = score("photos", "--lambda", "1", "--format", "csv", "--save", "--areas", "literal")
    (run,) = Path("zeroiqa-runs").iterdir()
    assert "scores.csv stays by the run's own lambda 0" in done.stderr
    assert rows(run) == own
    fresh = score("photos", "--lambda", "1", "--areas", "literal", "-o", "fresh", "--format", "csv")
    assert fresh.stdout == done.stdout == (run / "scores-lambda-1-areas-literal.csv").read_text()
    assert "--save keeps" in score("photos", "-o", "fresh").stderr
    assert zeroiqa("verify", str(run)).stdout.splitlines()[-1].split() == ["other", "files", "none"]


def test_a_rater_that_comes_with_other_arithmetic_leaves_that_of_the_run():
    score("photos", "-o", "run")
    own = [row[1] for row in rows().values()]
    score("photos", "-o", "run", "--rater", "fake:2", "--lambda", "1")
    assert runs.load_run(Path("run")).settings.lam == 0
    assert [
        row["score_fake"] for row in csv.DictReader(io.StringIO(Path("run/scores.csv").read_text()))
    ] == own


def test_another_method_is_another_run():
    score("photos")
    zeroiqa("score", "photos", "--rater", "fake", "--segmenter", "grid:2x2")
    zeroiqa("score", "photos", "--baseline", "piqe")
    assert len(default_runs()) == 3


# -o FILE


@pytest.mark.parametrize("name", ["res.csv", "out/res.parquet", "res.json", "res.jsonl"])
def test_a_table_is_written_where_it_is_asked_for(name):
    score("photos", "-o", name, "--lambda", "1")
    (run,) = Path("zeroiqa-runs").iterdir()
    wanted = zeroiqa("rescore", str(run), "--lambda", "1", "--format", "json").stdout
    read = {
        ".csv": lambda text: [float(row["score"]) for row in csv.DictReader(io.StringIO(text))],
        ".json": lambda text: [row["score"] for row in json.loads(text)],
        ".jsonl": lambda text: [json.loads(line)["score"] for line in text.splitlines()],
    }
    found = (
        pq.read_table(name)["score"].to_pylist()
        if name.endswith("parquet")
        else read[Path(name).suffix](Path(name).read_text())
    )
    assert found == pytest.approx([row["score"] for row in json.loads(wanted)], abs=1e-6)
    Path(name).write_text("older")
    assert "Nothing was to do" in score("photos", "-o", name).stderr
    assert Path(name).read_bytes() != b"older" and len(default_runs()) == 1


def test_a_file_name_is_never_made_a_folder():
    Path("list.csv").write_text("path\nphotos/a.png\n")
    Path("old").mkdir()
    Path("old/res.csv").mkdir()
    said = {
        ("list.csv", "-o", "./list.csv"): "says which images to score",
        ("photos", "-o", "old/res.csv"): "is a folder, and a table is asked for",
        ("photos", "-o", "res.xlsx"): "tables are written as .csv, .parquet, .json, .jsonl",
    }
    for arguments, sentence in said.items():
        assert sentence in score(*arguments, code=1).stderr
    assert "shall hold all rows" in score("photos", "-o", "res.csv", "--shard", "0/2", code=2).stderr
    assert "give that of a folder" in zeroiqa("segment", "photos", "-o", "res.csv", code=1).stderr
    assert "give that of a folder" in zeroiqa("merge", "one", "two", "-o", "res.csv", code=1).stderr
    assert not Path("res.csv").exists() and not Path("zeroiqa-runs").exists()
    score("photos", "-o", "run")
    Path("run").rename("run.csv")  # older versions made such folders
    assert "Nothing was to do" in score("photos", "-o", "run.csv").stderr


# what would be done; regions


def test_a_dry_run_says_which_run_it_would_be():
    assert "exists" not in score("photos", "--dry-run").stdout
    score("photos")
    photo("photos/new.png")
    Path("photos/a.png").unlink()
    said = score("photos/", "--dry-run").stdout
    assert f"zeroiqa-runs/{default_runs()[0]} (exists: would be resumed; 1 new, 1 gone, 1 image left" in said
    assert "those of photos there" in score("photos/sub", "-o", Path("zeroiqa-runs") / default_runs()[0],
                                            "--dry-run", code=1).stderr  # fmt: skip


def test_segmentations_follow_too_and_are_rated_then():
    zeroiqa("segment", "photos", "-o", "run", "--segmenter", "grid", "--workers", "1")
    photo("photos/new.png")
    Path("photos/a.png").unlink()
    done = zeroiqa("segment", "./photos", "-o", "run", "--segmenter", "grid", "--workers", "1")
    assert "images   3, 0 with an error" in done.stdout
    assert set(pq.read_table("run/regions.parquet")["path"].to_pylist()) == {
        "photos/b.png", "photos/sub/c.png", "photos/new.png",
    }  # fmt: skip
    score("photos", "-o", "run", "--crop", "mask", "--lambda", "1")
    assert runs.load_run(Path("run")).settings.lam == 1
    assert list(statuses().values()) == ["gone", "ok", "ok", "ok"]
