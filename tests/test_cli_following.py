"""The same command follows what it names: images come, go, come back, and nothing is computed twice."""

from __future__ import annotations

import csv
import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from PIL import Image

from zeroiqa import runs
from zeroiqa.cli import cli, running
from zeroiqa.errors import UserError
from zeroiqa.inputs import find_images
from zeroiqa.runs import following, plan
from zeroiqa.runs.identity import run_id_of
from zeroiqa.runs.naming import naming_of

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


# what is named, however it is spelled


@pytest.mark.parametrize(
    "spelled", ["photos", "./photos", "photos/", "{cwd}/photos", "photos/sub/..", "{link}/photos"]
)
def test_a_folder_is_one_run_however_it_is_spelled(project, spelled):
    (project.parent / "link").symlink_to(project)
    score("photos")
    before = parts("zeroiqa-runs")
    again = score(spelled.format(cwd=project, link=project.parent / "link"))
    assert "Nothing was to do: 3 images, 0 with an error" in again.stderr
    assert len(default_runs()) == 1 and parts("zeroiqa-runs") == before
    photo("photos/new.png")
    score(spelled.format(cwd=project, link=project.parent / "link"))
    (run,) = Path("zeroiqa-runs").iterdir()
    assert list(rows(run)) == ["photos/a.png", "photos/b.png", "photos/sub/c.png", "photos/new.png"]


@pytest.mark.parametrize("first", ["./photos", "{cwd}/photos", "photos/"])
def test_new_images_are_called_as_the_run_calls_the_others(project, first):
    first = first.format(cwd=project)
    score(first, "-o", "run")
    photo("photos/new.png")
    Path("photos/deep/er").mkdir(parents=True)
    photo("photos/deep/er/new.png")
    score("photos", "-o", "run")
    stem = first.rstrip("/")
    assert {path.removeprefix(f"{stem}/") for path in rows()} == {
        "a.png", "b.png", "sub/c.png", "new.png", "deep/er/new.png",
    }  # fmt: skip


def test_a_run_is_the_same_from_another_folder(project, monkeypatch):
    score("photos", "-o", "run")
    Path("photos/broken.png").write_bytes(b"no image")
    monkeypatch.chdir("photos")
    assert "Nothing" not in score(".", "-o", "../run").stderr
    monkeypatch.chdir(project.parent)
    assert "Nothing was to do: 4 images" in score("project/photos", "-o", "project/run").stderr
    monkeypatch.chdir(project)
    assert statuses() == {
        "photos/a.png": "ok", "photos/b.png": "ok", "photos/sub/c.png": "ok", "photos/broken.png": "error",
    }  # fmt: skip
    assert "photos/broken.png is not an image" in score("photos", "-o", "run").stdout


@pytest.mark.parametrize("how", [shutil.move, shutil.copytree])
def test_a_project_that_is_moved_or_copied_keeps_its_run(project, monkeypatch, how):
    score("photos", "-o", "run")
    monkeypatch.chdir(project.parent)
    how("project", "elsewhere")
    monkeypatch.chdir("elsewhere")
    photo("photos/new.png")
    again = score("photos", "-o", "run", "--ignore-times")
    assert "1 image is new in run, which has 4 now" in again.stderr
    monkeypatch.chdir("..")
    assert "Nothing was to do" in score("elsewhere/photos", "-o", "elsewhere/run", "--ignore-times").stderr


def test_another_folder_of_the_same_name_is_another_one(project, monkeypatch):
    score("photos", "-o", "run")
    Path("other").mkdir()
    shutil.copytree("photos", "other/photos")
    monkeypatch.chdir("other")
    photo("photos/new.png")
    refused = score("photos", "-o", "../run", code=1)
    assert "those of photos there, other/photos here" in refused.stderr


def test_two_folders_are_a_set_and_one_in_the_other_counts_once():
    Path("more").mkdir()
    photo("more/d.png", 5)
    score("photos", "more", "photos/sub")
    assert "Nothing was to do: 4 images" in score("photos/sub", "more", "photos").stderr
    assert len(default_runs()) == 1
    assert (
        "those of more photos photos/sub there, photos here"
        in score("photos", "-o", Path("zeroiqa-runs") / default_runs()[0], code=1).stderr
    )


# images that come and go


def test_images_come_and_go_and_come_back():
    score("photos", "-o", "run")
    before, scores = parts(), rows()
    Path("photos/a.png").rename("kept.png")
    Path("photos/b.png").rename("photos/renamed.png")
    done = score("photos", "-o", "run")
    assert "1 image is new in run, which has 4 now; 2 images are gone" in done.stderr
    assert "4 images, 0 with an error, 2 gone" in done.stderr
    assert "a.png" not in done.stdout
    assert rows()["photos/a.png"] == ("gone", "") and statuses()["photos/sub/c.png"] == "ok"
    assert rows()["photos/renamed.png"] == scores["photos/b.png"]
    assert before.items() <= parts().items()
    assert "Nothing was to do: 4 images, 0 with an error, 2 gone" in score("photos", "-o", "run").stderr
    assert ", 2 gone" in zeroiqa("status", "run").stdout
    zeroiqa("verify", "run")
    Path("kept.png").rename("photos/a.png")
    assert "1 image is back" in score("photos", "-o", "run").stderr
    assert rows()["photos/a.png"] == scores["photos/a.png"]


def test_pruned_images_have_no_row_and_come_back():
    score("photos", "-o", "run")
    scores = rows()
    Path("photos/a.png").rename("kept.png")
    done = score("photos", "-o", "run", "--prune")
    assert list(rows()) == ["photos/b.png", "photos/sub/c.png"]
    assert "2 images, 0 with an error. Scores" in done.stderr
    assert pq.read_table("run/scores.parquet").num_rows == 2
    zeroiqa("verify", "run")
    Path("kept.png").rename("photos/a.png")
    score("photos", "-o", "run")
    assert rows() == scores


def test_an_image_that_is_gone_before_it_is_scored_is_scored_when_it_is_back():
    score("photos", "-o", "run", "--plan-only")
    Path("photos/a.png").rename("kept.png")
    assert "3 images, 0 with an error, 1 gone" in score("photos", "-o", "run", "--max-failures", "0").stderr
    assert statuses()["photos/a.png"] == "gone"
    Path("kept.png").rename("photos/a.png")
    score("photos", "-o", "run")
    assert set(statuses().values()) == {"ok"}


def test_an_empty_folder_is_refused_and_takes_nothing_away():
    score("photos", "-o", "run")
    shutil.move("photos", "away")
    assert "does not exist" in score("photos", "-o", "run", code=1).stderr
    Path("photos").mkdir()  # as where a disk is not mounted
    assert "holds no images" in score("photos", "-o", "run", code=1).stderr
    assert set(statuses().values()) == {"ok"}


def test_gone_images_count_nowhere(tmp_path):
    score("photos", "-o", "run")
    Path("photos/b.png").unlink()
    Path("photos/a.png").rename("kept.png")
    score("photos", "-o", "run")
    run = runs.load_run(Path("run"))
    assert [path for path, _ in runs.read_column(run, "score")] == ["photos/sub/c.png"]
    assert [path for path, _ in runs.read_rated(run, 1)] == ["photos/sub/c.png"]
    assert "a.png" not in zeroiqa("rescore", "run", "--lambda", "1").stdout
    zeroiqa("merge", "run", str(_other_run()), "-o", "both")
    assert list(rows("both")) == ["photos/sub/c.png", "x.png"]


def _other_run():
    photo("x.png")
    score("x.png", "-o", "x-run")
    return Path("x-run")


def test_a_pattern_and_an_archive_are_followed():
    score("photos/*.png", "-o", "run")
    photo("photos/new.png")
    Path("photos/a.png").unlink()
    score("./photos/*.png", "-o", "run")
    assert statuses() == {"photos/a.png": "gone", "photos/b.png": "ok", "photos/new.png": "ok"}
    _add_to_tar("b", "sub/c")
    score("x.tar", "-o", "tar-run")
    before = rows("tar-run")
    _add_to_tar("new")
    score("x.tar", "-o", "tar-run")
    assert list(rows("tar-run").items()) == [*before.items(), ("x.tar/new.png", rows()["photos/new.png"])]


def _add_to_tar(*names):
    with tarfile.open("x.tar", "a") as tar:
        for name in names:
            tar.add(f"photos/{name}.png", f"{name}.png")


def test_a_list_is_followed():
    Path("list.csv").write_text("path,prompt\nphotos/a.png,a\nphotos/b.png,b\n")
    score("list.csv", "-o", "run")
    Path("list.csv").write_text("path,prompt\nphotos/sub/c.png,c\nphotos/b.png,b\n")
    score("list.csv", "-o", "run")
    assert statuses() == {"photos/a.png": "gone", "photos/b.png": "ok", "photos/sub/c.png": "ok"}
    Path("photos/b.png").unlink()
    score("list.csv", "-o", "run")
    assert statuses()["photos/b.png"] == "gone"
    Path("list.csv").write_text("path,prompt\nphotos/sub/c.png,another\n")
    refused = score("list.csv", "-o", "run", code=1)
    assert "the prompt of photos/sub/c.png is 'c' there and 'another' here" in refused.stderr
    score("list.csv", "-o", "run", "--refresh")
    assert statuses()["photos/sub/c.png"] == "ok"


def test_sidecar_prompts_are_part_of_what_is_named():
    Path("photos/a.txt").write_text("a cat")
    score("photos", "-o", "run", "--sidecar-prompts")
    assert "'a cat' there and None here" in score("photos", "-o", "run", code=1).stderr
    Path("photos/a.txt").write_text("a dog")
    assert (
        "'a cat' there and 'a dog' here" in score("photos", "-o", "run", "--sidecar-prompts", code=1).stderr
    )


def test_a_file_that_came_after_the_folder_was_looked_at_is_not_gone(monkeypatch):
    """Of two commands at once, the one that plans may have seen more than the other."""
    sources = find_images(["photos"])
    photo("photos/new.png")
    score("photos", "-o", "run")
    naming = naming_of(["photos"])
    assert not any(following.look(Path("run"), naming, sources).counts)
    Path("photos/new.png").unlink()
    assert following.look(Path("run"), naming, sources).counts == (0, 1, 0)
    unreadable = PermissionError(13, "Permission denied")
    monkeypatch.setattr(following.os, "lstat", lambda path: (_ for _ in ()).throw(unreadable))
    assert not any(following.look(Path("run"), naming, sources).counts)


# exact sets


@pytest.mark.parametrize("arguments", [("photos", "--exact"), ("photos/a.png", "photos/b.png"), ("-",)])
def test_exact_images_are_no_others(arguments):
    stdin = "photos/a.png\nphotos/b.png\n"
    score(*arguments, "-o", "run", stdin=stdin)
    assert (
        "Nothing was to do" in score(*arguments, "-o", "run", stdin="./photos/b.png\nphotos/a.png\n").stderr
    )
    photo("photos/new.png")
    refused = score("photos", "-o", "run", code=1)
    assert "new.png only here" in refused.stderr and "--add" in refused.stderr
    assert "which has 4 now" in score("photos", "-o", "run", "--add").stderr


def test_exact_images_may_be_those_that_a_run_has():
    score("photos", "-o", "run")
    assert "Nothing was to do" in score("photos", "--exact", "-o", "run").stderr
    photo("photos/new.png")
    assert (
        "those of photos there, exact images here" in score("photos", "--exact", "-o", "run", code=1).stderr
    )
    assert "photos/a.png only there" in score("photos/b.png", "-o", "run", code=1).stderr


def test_other_places_are_added_and_the_first_command_goes_on():
    Path("more").mkdir()
    photo("more/d.png", 5)
    score("photos", "-o", "run")
    assert "those of photos there, more here" in score("more", "-o", "run", code=1).stderr
    score("more", "-o", "run", "--add")
    assert "Nothing was to do: 4 images, 0 with an error. Scores" in score("photos", "-o", "run").stderr
    photo("more/e.png", 6)
    Path("photos/a.png").unlink()
    score("more", "photos", "-o", "run")
    assert statuses()["more/e.png"] == "ok" and statuses()["photos/a.png"] == "gone"
    Path("more/d.png").unlink()
    score("more", "-o", "run", "--add")
    assert [path for path, status in statuses().items() if status == "gone"] == ["photos/a.png", "more/d.png"]


def test_a_run_of_an_older_version_is_one_of_exact_images():
    score("photos", "--exact", "-o", "run")
    record = json.loads(Path("run/run.json").read_text())
    old = {key: value for key, value in plan.first_inputs(Path("run")).items() if key != "set"}
    plan.write_tables(Path("run"), list(plan.read_tables(Path("run"))), old)
    record["identity"]["inputs"] = old
    record["identity"]["settings"] |= {"lambda": 0.0, "readout": "expected", "rater_weights": []}
    record |= {"format": 2, "run_id": run_id_of(record["identity"])}
    Path("run/run.json").write_text(json.dumps(record))
    assert "Nothing was to do: 3 images" in score("./photos", "-o", "run", "--lambda", "2").stderr
    photo("photos/new.png")
    assert "take in the new ones with --add" in score("photos", "-o", "run", code=1).stderr
    score("photos", "-o", "run", "--add")
    assert set(statuses().values()) == {"ok"} and len(statuses()) == 4
    zeroiqa("verify", "run")


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
            "--shard does a part of a plan"
            in score("photos", "-o", "run", "--shard", "0/2", option, code=2).stderr
        )


@pytest.mark.parametrize("style", ["table", "csv"])
def test_a_folder_that_grows_while_it_is_scored_ends_well(monkeypatch, style):
    """Another command takes the new images in meanwhile; both end well and agree."""
    really = running.finished_shards

    def with_another(run, shards, executor, doing="scoring"):
        shards = really(run, shards, executor, doing)
        yield next(shards)
        monkeypatch.setattr(running, "finished_shards", really)
        photo("photos/new.png")
        Path("photos/a.png").unlink()
        score("photos", "-o", "run")
        yield from shards

    monkeypatch.setattr(running, "finished_shards", with_another)
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
