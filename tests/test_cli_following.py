"""The same command follows what it names: images come, go, come back, and nothing is computed twice."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.following import (
    default_runs,
    parts,
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
from zeroiqa.images.find import find_images
from zeroiqa.runs import following, plan
from zeroiqa.runs.identity import run_id_of
from zeroiqa.runs.naming import naming_of

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
    assert "a.png" not in zeroiqa("rescore", "run", "--readout", "digit").stdout
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
    score("photos", "--exact", "--regions", "-o", "run")
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
