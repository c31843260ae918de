from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.command import zeroiqa

COUNT = 12


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos/, and their run in run/."""
    base = tmp_path_factory.mktemp("base")
    random = np.random.default_rng(0)
    for number in range(COUNT):
        place = base / "photos" / "ab"[number % 2] / f"{number:02}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (24, 32 + number, 3), dtype=np.uint8)).save(place)
    (base / "photos" / "bad.png").write_bytes(b"no image")
    done = zeroiqa(
        base, "score", "photos", "-o", "run", "--segmenter", "grid", "--rater", "fake:1", "--rater", "fake:2",
        "--readout", "expected", "--format", "csv",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return base


@pytest.fixture(scope="module")
def scores(base: Path) -> dict[str, float]:
    rows = csv.DictReader(io.StringIO((base / "run" / "scores.csv").read_text()))
    return {row["path"]: float(row["score"]) for row in rows if row["score"]}


def worst_first(scores: dict[str, float]) -> list[str]:
    return sorted(scores, key=lambda path: scores[path])


def test_paths_are_printed_by_their_rank_and_counted(base, scores) -> None:
    done = zeroiqa(base, "select", "run", "--worst", "3")
    assert done.stdout.splitlines() == worst_first(scores)[:3]
    assert done.stderr == "3 of 13 images; 1 left out for want of a score.\n"
    done = zeroiqa(base, "select", "run", "--best", "25%", "-0")
    assert done.stdout.split("\0")[:-1] == worst_first(scores)[::-1][:3]


def test_rows_are_those_of_the_table(base, scores) -> None:
    table = (base / "run" / "scores.csv").read_text().splitlines()
    rows = {line.split(",")[0]: line for line in table[1:]}
    done = zeroiqa(base, "select", "run", "--worst", "2", "--format", "csv")
    assert done.stdout.splitlines() == [table[0], *(rows[path] for path in worst_first(scores)[:2])]
    done = zeroiqa(base, "select", "run", "--worst", "2", "--group-by", "folder", "--format", "jsonl")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [record["path"] for record in records] == worst_first(scores)[:2]
    assert [record["group"] for record in records] == [str(Path(each["path"]).parent) for each in records]
    done = zeroiqa(base, "select", "run", "--worst", "2", "--format", "json")
    assert [record["score"] for record in json.loads(done.stdout)] == pytest.approx(
        sorted(scores.values())[:2]
    )
    done = zeroiqa(base, "select", "run", "--worst", "1", "--format", "table")
    first = worst_first(scores)[0]
    assert done.stdout == f"score  image\n{scores[first]:5.2f}  {first}\n"


def test_what_the_tables_show_beside_scores_is_chosen_by_and_written_too(base, scores, tmp_path) -> None:
    shutil.copytree(base / "photos", tmp_path / "photos")
    shutil.copytree(base / "run", tmp_path / "run")
    again = ("--segmenter", "grid", "--rater", "fake:1", "--rater", "fake:2", "--readout", "expected")
    done = zeroiqa(tmp_path, "score", "photos", "-o", "run", *again, "--scale", "percentile")
    assert done.returncode == 0, done.stderr
    table = (tmp_path / "run" / "scores.csv").read_text().splitlines()
    assert table[0].startswith("path,score,percentile,")
    best = worst_first(scores)[-1]
    asked = ("--where", "percentile > 95", "--format")
    done = zeroiqa(tmp_path, "select", "run", *asked, "csv")
    assert done.stdout.splitlines() == [table[0], *(line for line in table if line.startswith(f"{best},"))]
    assert json.loads(zeroiqa(tmp_path, "select", "run", *asked, "jsonl").stdout)["percentile"] > 95
    done = zeroiqa(tmp_path, "select", "run", "--below", "50", "--best", "1", "--format", "table")
    assert done.stdout.splitlines()[0] == "score  percentile  image"
    assert done.stdout.splitlines()[1] == f"{scores[best]:5.2f}       95.83  {best}"
    assert "--below is of the column score; --where 'percentile < ...' is of what is shown" in done.stderr


def test_conditions_are_met_together(base, scores) -> None:
    chosen = zeroiqa(
        base, "select", "run", "--above", "2", "--where", "width > 34", "--where", "'photos/a' in path"
    )
    assert chosen.stdout.splitlines() == [
        path for path in scores
        if scores[path] > 2 and int(Path(path).stem) > 2 and path.startswith("photos/a/")
    ]  # fmt: skip
    done = zeroiqa(base, "select", "run", "--where", "not score < 100 or status = 'error'")
    assert done.stdout == "photos/bad.png\n"
    assert zeroiqa(base, "select", "run", "--where", "not score < 100").returncode == 1


def test_groups_are_those_of_a_table_whose_strangers_are_counted(base, scores, tmp_path) -> None:
    table = tmp_path / "scenes.csv"
    table.write_text("image,scene\n00.png,x\n01.png,x\n02.png,y\nnone.png,y\n")
    done = zeroiqa(
        base, "select", "run", "--best", "1", "--per-group", "--group-by", f"{table}:scene", "--where",
        "group is not empty",
    )  # fmt: skip
    one = max(("photos/a/00.png", "photos/b/01.png"), key=lambda path: scores[path])
    assert done.stdout.splitlines() == [one, "photos/a/02.png"]
    assert f"Without a group by {table}:scene: 10 images; they are one without a name." in done.stderr
    assert f"Of no image of the run: 1 row of {table}:scene." in done.stderr


def test_nothing_that_fits_is_an_error_that_scripts_see(base) -> None:
    done = zeroiqa(base, "select", "run", "--below", "0", "--copy", "out")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Error: run has no image that fits; nothing is chosen." in done.stderr
    assert not (base / "out").exists()
    done = zeroiqa(base, "select", "run", "--below", "0", "--format", "json")
    assert (done.returncode, json.loads(done.stdout)) == (1, [])


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ([], 2, "Missing argument 'RUN'"),
        (["run"], 1, "No images are asked for"),
        (["photos", "--worst", "1"], 1, "photos has no run.json, so it is no run"),
        (["run", "--worst", "x"], 1, "'x' is neither a number of images from 1 on nor a percentage"),
        (["run", "--worst", "1", "--best", "1"], 1, "Both the worst and the best"),
        (["run", "--worst", "1", "--copy", "x", "--move", "y"], 2, "--copy and --move exclude each other"),
        (["run", "--worst", "1", "--dry-run"], 2, "--dry-run is of --copy"),
        (["run", "--worst", "1", "-0", "--format", "csv"], 2, "--null is of paths"),
        (["run", "--worst", "1", "--copy", "x", "--dry-run", "--format", "csv"], 2, "leave --format out"),
        (["run", "--worst", "1", "--move", ""], 1, "--move names no folder"),
        (["run", "--worst", "1", "--copy", "s3://b/x"], 1, "--copy goes into folders on the disk"),
        (["run", "--worst", "1", "--copy", "run/run.json"], 1, "run.json is no folder"),
        (["run", "--worst", "1", "--move", "run"], 1, "run is the folder of a run; name another one."),
        (["run", "--undo", "x"], 2, "--undo stands alone"),
        (["--undo", "x", "--worst", "1"], 2, "--undo stands alone"),
        (["--undo", "run/run.json"], 1, "is no log of `zeroiqa select`"),
        (["--undo", "nowhere"], 0, "nowhere has no log of a selection, so nothing is to be taken back."),
    ],
)
def test_mistakes_are_one_sentence(base, arguments, code, sentence) -> None:
    done = zeroiqa(base, "select", *arguments)
    assert done.returncode == code
    assert sentence in done.stderr and done.stdout == ""


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_images_are_moved_and_come_back(base, scores) -> None:
    before = tree(base)
    done = zeroiqa(base, "select", "run", "--worst", "4", "--move", "out", "--dry-run")
    assert done.stdout.splitlines()[0].startswith(f"move: {worst_first(scores)[0]} -> out/")
    assert tree(base) == before
    done = zeroiqa(base, "select", "run", "--worst", "4", "--move", "out")
    assert (done.returncode, done.stdout) == (0, "")
    assert f"4 images moved; `zeroiqa select --undo {base}/out/zeroiqa-select-1.jsonl`" in done.stderr
    left = zeroiqa(base, "select", "run", "--worst", "5", "--copy", "other")
    assert "1 image copied" in left.stderr
    assert "4 left, which are not at their places any more" in left.stderr
    for folder in ("other", "out"):
        assert zeroiqa(base, "select", "--undo", folder).returncode == 0
    assert tree(base) == before
    inside = zeroiqa(base, "select", "run", "--worst", "1", "--link", "photos/worst")
    assert "--exclude 'worst/' leaves them out" in inside.stderr
    zeroiqa(base, "select", "--undo", "photos/worst")
    assert tree(base) == before


def test_from_another_folder_the_same_images_are_found(base, scores, tmp_path) -> None:
    done = zeroiqa(tmp_path, "select", base / "run", "--worst", "1", "--copy", "out", "--format", "paths")
    assert done.stdout == f"{worst_first(scores)[0]}\n"
    assert f"Relative paths count from {base}, where the run was made." in done.stderr
    assert len([path for path in (tmp_path / "out").rglob("*.png")]) == 1  # noqa: C416
    moved = tmp_path / "moved"
    shutil.copytree(base, moved)
    shutil.rmtree(moved / "photos" / "a")
    done = zeroiqa(moved, "select", "run", "--where", "score > 0", "--copy", "out")
    assert "6 images copied" in done.stderr and "6 left, which are not at their places" in done.stderr
    assert done.returncode == 0
    done = zeroiqa(moved, "select", "run", "--where", "score > 0")
    assert "Not where they were scored: 6 of these 12." in done.stderr
    shutil.rmtree(moved / "photos")
    done = zeroiqa(moved, "select", "run", "--where", "score > 0", "--copy", "other")
    assert done.returncode == 1 and "Error: Of the images that were chosen none is in other" in done.stderr


def test_a_run_that_is_not_finished_gives_what_is_there_and_says_so(base, tmp_path) -> None:
    run = tmp_path / "run"
    shutil.copytree(base / "run", run)
    for part in sorted((run / "ratings" / "fake%3A2").iterdir())[1:]:
        part.unlink()
    done = zeroiqa(base, "select", run, "--worst", "100%")
    assert len(done.stdout.splitlines()) == 1
    assert "12 of 13 images are not scored yet" in done.stderr
    shutil.rmtree(run / "ratings" / "fake%3A2")
    done = zeroiqa(base, "select", run, "--worst", "100%")
    assert done.returncode == 1 and "has no image that is scored" in done.stderr


def test_errors_alone_are_no_scores(base, tmp_path) -> None:
    done = zeroiqa(tmp_path, "score", base / "photos" / "bad.png", "-o", "run", "--rater", "fake")
    done = zeroiqa(tmp_path, "select", "run", "--worst", "5%")
    assert (done.returncode, done.stdout) == (1, "")
    assert "0 of 1 image; 1 left out for want of a score." in done.stderr
    assert "Error: run has no image that is scored; nothing is chosen." in done.stderr


def test_members_whose_names_lead_out_change_no_other_ones_places(base, tmp_path) -> None:
    with tarfile.open(tmp_path / "some.tar", "w") as archive:
        for name in ("../../../../out.png", "/abs.png", "in/one.png"):
            archive.add(base / "photos" / "a" / "00.png", name)
    zeroiqa(tmp_path, "score", "some.tar", "-o", "run", "--rater", "fake", "--crop", "whole")
    done = zeroiqa(tmp_path, "select", "run", "--above", "0", "--copy", "out")
    assert "1 left, whose names lead out of the folder" in done.stderr
    assert [path for path in tree(tmp_path / "out") if path.endswith(".png")] == [
        str(tmp_path / "out" / "some.tar" / name) for name in ("abs.png", "in/one.png")
    ]


def test_strange_names_are_printed_as_they_are_or_not_at_all(tmp_path) -> None:
    names = [b"-rf.png", b"new\nline.png", b"caf\xe9.png", "tücke.png".encode()]
    for number, name in enumerate(names):
        path = os.fsencode(tmp_path) + b"/" + name
        with open(path, "wb") as file:  # noqa: PTH123
            Image.new("RGB", (16, 16), (number, 0, 0)).save(file, "png")
    options = ("-o", "run", "--rater", "fake", "--segmenter", "grid", "--format", "csv")
    assert zeroiqa(tmp_path, "score", "*.png", *options).returncode == 0
    command = [sys.executable, "-m", "zeroiqa", "select", "run", "--above", "0"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True)
    assert sorted(done.stdout.split(b"\n")[:-1]) == sorted([b"./-rf.png", *names[2:]])
    assert b"1 of the paths hold line breaks and are not printed" in done.stderr
    for more in (["--format", "table"], ["--copy", "out", "--dry-run"]):
        done = subprocess.run([*command, *more], cwd=tmp_path, capture_output=True)
        assert len(done.stdout.splitlines()) == 4 + ("table" in more)  # one line each
        assert b"new\\nline.png" in done.stdout
    done = subprocess.run([*command, "-0"], cwd=tmp_path, capture_output=True)
    assert sorted(done.stdout.split(b"\0")[:-1]) == sorted([b"./-rf.png", *names[1:]])
    assert "4 images copied" in zeroiqa(tmp_path, "select", "run", "--above", "0", "--copy", "out").stderr
    assert {*os.listdir(os.fsencode(tmp_path / "out"))} > {*names}  # noqa: PTH208


def test_interrupted_it_says_what_is_done_and_how_that_is_taken_back(base, tmp_path) -> None:
    many = tmp_path / "photos"
    many.mkdir()
    for number in range(100):
        shutil.copy(base / "photos" / "a" / "00.png", many / f"{number:03}.png")
    zeroiqa(tmp_path, "score", "photos", "-o", "run", "--rater", "fake", "--crop", "whole", "--format", "csv")
    before = tree(many)
    process = subprocess.Popen(
        [sys.executable, "-m", "zeroiqa", "select", "run", "--above", "0", "--move", "out"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list((tmp_path / "out").glob("*.png")) and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130 and "images moved; `zeroiqa select --undo" in said, said
    assert "Interrupted." in said
    assert zeroiqa(tmp_path, "select", "--undo", "out").returncode == 0
    assert tree(many) == before and not (tmp_path / "out").exists()
