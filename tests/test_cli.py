"""The command line: its output and its exit codes; in processes of their own where those matter."""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from tests.command import zeroiqa
from zeroiqa.samples import folder

FAKE = ("--rater", "fake", "--segmenter", "grid")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two samples and a broken file."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("cat.jpg", "coffee.jpg"):
        shutil.copy(folder() / name, photos)
    (photos / "broken.jpg").write_text("hello")
    return photos


def process(cwd: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "zeroiqa", *arguments]
    return subprocess.run(command, cwd=cwd, input=stdin, capture_output=True, text=True, env=environment())


def environment() -> dict[str, str]:
    root = str(Path(__file__).parent.parent)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}


def scores(text: str) -> dict[str, str]:
    return {Path(row["path"]).name: row["score"] for row in csv.DictReader(io.StringIO(text))}


def test_score_prints_a_table_and_says_where_the_run_is(photos: Path) -> None:
    done = process(photos.parent, "score", "photos")
    assert done.returncode == 0
    assert [line.split()[-1] for line in done.stdout.splitlines()[1:3]] == [
        "photos/coffee.jpg",
        "photos/cat.jpg",
    ]
    assert "error  photos/broken.jpg is not an image" in done.stdout
    assert "3 images, 1 with an error. Scores and ratings: zeroiqa-runs/photos-" in done.stderr
    assert "embedded: " in done.stderr
    assert len(list((photos.parent / "zeroiqa-runs").glob("photos-*/scores.csv"))) == 1


@pytest.mark.parametrize(
    ("given", "stem"), [("photos/*.jpg", "images"), ("photos", "photos"), ("photos/cat.jpg", "cat")]
)
def test_the_run_folder_is_named_after_what_was_given(photos: Path, given: str, stem: str) -> None:
    done = zeroiqa(photos.parent, "score", given, *FAKE)
    assert done.returncode == 0
    (folder,) = (photos.parent / "zeroiqa-runs").iterdir()
    assert folder.name.rpartition("-")[0] == stem


def test_the_same_command_again_computes_nothing_and_prints_the_same(photos: Path) -> None:
    first = zeroiqa(photos.parent, "score", "photos", *FAKE)
    parts = {path: path.stat().st_mtime_ns for path in photos.parent.rglob("part-*")}
    second = zeroiqa(photos.parent, "score", "photos", *FAKE)
    assert second.stdout == first.stdout
    assert {path: path.stat().st_mtime_ns for path in photos.parent.rglob("part-*")} == parts
    assert parts


@pytest.mark.parametrize("style", ["csv", "json", "jsonl"])
def test_every_format_holds_every_row_in_order(photos: Path, style: str) -> None:
    done = zeroiqa(photos.parent, "score", "photos", *FAKE, "-o", "run", "--format", style)
    stored = (photos.parent / "run" / "scores.csv").read_text()
    if style == "csv":
        assert done.stdout == stored
        return
    rows = json.loads(done.stdout) if style == "json" else list(map(json.loads, done.stdout.splitlines()))
    assert [row["path"] for row in rows] == ["photos/broken.jpg", "photos/cat.jpg", "photos/coffee.jpg"]
    assert [row["status"] for row in rows] == ["error", "ok", "ok"]
    assert len({frozenset(row) for row in rows}) == 1
    assert f"{rows[1]['score']:.6f}" == scores(stored)["cat.jpg"]


def test_paths_come_from_standard_input_and_rows_go_to_a_pipe(photos: Path) -> None:
    done = process(
        photos.parent, "score", "-", "--format", "jsonl", *FAKE, stdin="photos/cat.jpg\nphotos/coffee.jpg\n"
    )
    assert [json.loads(line)["path"] for line in done.stdout.splitlines()] == [
        "photos/cat.jpg",
        "photos/coffee.jpg",
    ]


def test_a_reader_that_goes_away_is_no_error(photos: Path) -> None:
    command = (
        f"{sys.executable} -m zeroiqa score photos --rater fake --segmenter grid --format jsonl | head -n 1"
    )
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        cwd=photos.parent, env=environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


def test_a_reader_that_goes_away_from_the_table_leaves_the_scores_there(photos: Path) -> None:
    command = f"{sys.executable} -m zeroiqa score photos -o run {' '.join(FAKE)} | true"
    done = subprocess.run(
        ["bash", "-c", command], cwd=photos.parent, env=environment(), capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr
    assert len((photos.parent / "run/scores.csv").read_text().splitlines()) == 1 + 3


def test_a_dry_run_says_what_would_be_done_and_does_nothing(photos: Path) -> None:
    done = zeroiqa(photos.parent, "score", "photos", "--dry-run")
    assert done.returncode == 0
    assert "images     3" in done.stdout
    assert "standard   quality-word-7" in done.stdout
    assert list(photos.parent.iterdir()) == [photos]


def test_rescore_equals_a_fresh_run_with_the_other_arithmetic(photos: Path) -> None:
    zeroiqa(photos.parent, "score", "photos", *FAKE, "-o", "a", "--regions")
    zeroiqa(photos.parent, "score", "photos", *FAKE, "-o", "b", "--lambda", "1", "--readout", "digit")
    again = zeroiqa(photos.parent, "rescore", "a", "--lambda", "1", "--readout", "digit", "--format", "csv")
    assert again.stdout == (photos.parent / "b" / "scores.csv").read_text()
    assert again.stdout != (photos.parent / "a" / "scores.csv").read_text()


def test_rescore_can_drop_and_weight_members_and_write_a_file(photos: Path) -> None:
    zeroiqa(photos.parent, "score", "photos", *FAKE, "--rater", "fake:2", "-o", "both")
    zeroiqa(photos.parent, "score", "photos", *FAKE, "-o", "one")
    done = zeroiqa(photos.parent, "rescore", "both", "--member", "fake", "-o", "again.csv")
    assert done.returncode == 0
    assert (photos.parent / "again.csv").read_text() == (photos.parent / "one" / "scores.csv").read_text()
    heavy = zeroiqa(
        photos.parent, "rescore", "both", "--rater-weight", "999999", "--rater-weight", "1", "--format", "csv"
    )
    one = scores((photos.parent / "one" / "scores.csv").read_text())
    assert float(scores(heavy.stdout)["cat.jpg"]) == pytest.approx(float(one["cat.jpg"]), abs=1e-4)


def test_status_counts_what_is_done_and_what_failed(photos: Path) -> None:
    zeroiqa(photos.parent, "score", "photos", *FAKE, "-o", "run")
    done = zeroiqa(photos.parent, "status", "run")
    assert "2 of 3 images scored, 1 with an error" in done.stdout
    assert "1 x is not an image" in done.stdout
    assert done.stdout.splitlines()[-1] == "complete"


def test_standards_lists_every_file_and_shows_one_as_sent() -> None:
    listed = zeroiqa(Path.cwd(), "standards").stdout
    assert "quality-word-7" in listed
    assert "correspondence-word-7" in listed
    shown = zeroiqa(Path.cwd(), "standards", "quality-word-7").stdout
    assert "7: Perfect, 6: Excellent, 5: Good, 4: Fair, 3: Bad, 2: Poor, 1: Very Bad." in shown
    assert (
        "a red bus"
        in zeroiqa(Path.cwd(), "standards", "correspondence-word-7", "--prompt", "a red bus").stdout
    )


def test_verify_finds_the_ratings_unchanged(photos: Path) -> None:
    done = zeroiqa(photos.parent, "verify", "photos", *FAKE)
    assert done.returncode == 0
    assert done.stdout.count("identical (2 ratings)") == 3
    assert "Left out: photos/broken.jpg" in done.stderr


def test_aspects_choose_the_word_standards_of_the_preset(photos: Path) -> None:
    spread = ["--aspect", "quality", "authenticity"]
    repeated = ["--aspect", "quality", "--aspect", "authenticity"]
    named = ["--standard", "quality-word-7", "--standard", "authenticity-word-7"]
    printed = {
        zeroiqa(photos.parent, "score", *each, "photos", *FAKE, "--format", "csv").stdout
        for each in (spread, repeated, named)
    }
    (table,) = printed
    assert "score,s_global" in table and "authenticity_score" in table


@pytest.mark.parametrize("preset", ["q-debias", "q-realign", "sep-iqa"])
def test_aspects_have_seven_levels_where_the_preset_has_other_answers(photos: Path, preset: str) -> None:
    """No level at all, or five, of which there is no word standard of authenticity."""
    done = zeroiqa(
        photos.parent, "score", "photos", "--preset", preset, "--rater", "fake", "--dry-run",
        "--aspect", "authenticity",
    )  # fmt: skip
    assert "authenticity-word-7, version 1" in done.stdout and not done.returncode, done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["score", "nowhere"], "nowhere does not exist"),
        (["score", "photos", "--rater", "fakr"], "did you mean 'fake'"),
        (["score", "photos", "--segmenter", "gird"], "did you mean 'grid'"),
        (["score", "photos", "--standard", "quality"], "There is no standard 'quality'"),
        (["score", "photos", "--preset", "embeded"], "did you mean embedded"),
        (["score", "photos", "--min-area", "2"], "min_area is 2.0"),
        (["score", "photos", "--lambda", "nan"], "lambda is nan"),
        (["score", "photos", "--background", "white"], "'white' is not a colour"),
        (["score", "photos", "--device", "gpu"], "device is 'gpu'"),
        (["score", "photos", "--rater", "hf:"], "write hf:REPOSITORY or hf:FOLDER"),
        (["score", "photos", "-o", "photos"], "holds other files (first: broken.jpg)"),
        (["rescore", "photos"], "so it is no run"),
        (["status", "nowhere"], "nowhere does not exist"),
        (["standards", "quality-word-8"], "did you mean quality-word"),
        (["verify", "photos/broken.jpg"], "None of the images can be decoded"),
    ],
)
def test_a_users_mistake_is_one_sentence_and_exit_code_one(
    photos: Path, arguments: Sequence[str], sentence: str
) -> None:
    done = zeroiqa(photos.parent, *arguments)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("Error: ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["score"],
        ["scores", "photos"],
        ["score", "photos", "--lambda", "much"],
        ["score", "photos", "--workers", "0"],
        ["score", "photos", "--aspect", "beauty"],
        ["score", "photos", "--aspect", "quality", "--standard", "quality-word-5"],
        ["score", "photos", "--dtype", "half"],
    ],
)
def test_wrong_usage_is_exit_code_two(photos: Path, arguments: Sequence[str]) -> None:
    assert zeroiqa(photos.parent, *arguments).returncode == 2


def test_other_settings_in_the_folder_of_a_run_are_refused_with_both_shown(photos: Path) -> None:
    zeroiqa(photos.parent, "score", "photos", *FAKE, "-o", "run")
    done = zeroiqa(photos.parent, "score", "photos", *FAKE, "-o", "run", "--min-area", "0.5")
    assert done.returncode == 1
    assert "min_area is" in done.stderr and "there and 0.5 here" in done.stderr


def test_ctrl_c_leaves_a_run_that_the_same_command_finishes(photos: Path) -> None:
    for copy in range(25):
        shutil.copy(folder() / "cat.jpg", photos / f"cat{copy}.jpg")
    command = [sys.executable, "-m", "zeroiqa", "score", "photos", "-o", "run", "--workers", "1"]
    running = subprocess.Popen(
        command, cwd=photos.parent, stderr=subprocess.PIPE, text=True, env=environment()
    )
    while not list(photos.parent.glob("run/ratings/nss/part-*")):
        assert running.poll() is None, "the run ended before it could be interrupted"
        time.sleep(0.01)
    for _ in range(3):  # Python drops an interrupt that comes in a destructor; a user presses again
        running.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            _, stderr = running.communicate(timeout=2)
            break
    assert running.returncode == 130
    assert "run keeps what is finished; the same command goes on from there" in stderr
    assert "Traceback" not in stderr
    assert zeroiqa(photos.parent, "status", "run").stdout.splitlines()[-1].endswith("goes on with them")
    finished = process(photos.parent, *command[3:])
    assert finished.returncode == 0
    assert zeroiqa(photos.parent, "status", "run").stdout.splitlines()[-1] == "complete"


def test_prompts_come_from_a_column_of_the_list(photos: Path) -> None:
    (photos.parent / "list.csv").write_text("path,prompt\nphotos/cat.jpg,a cat\nphotos/coffee.jpg,\n")
    done = zeroiqa(
        photos.parent, "score", "list.csv", *FAKE, "--standard", "correspondence-word-7", "--format", "jsonl"
    )
    cat, coffee = map(json.loads, done.stdout.splitlines())
    assert cat["status"] == "ok"
    assert "prompt" in coffee["error"]
