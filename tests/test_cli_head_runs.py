"""Runs of a head are runs: judged, compared, cut into slices, killed, resumed, shared by workers."""

from __future__ import annotations

import csv
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import spearmanr

from tests.command import zeroiqa
from tests.tiny.lmm4lmm import write_lmm4lmm

ROOT = Path(__file__).parents[1]
IMAGES = 18
SHARDS = 5
PERCEPTION = ("head", "score", "lmm4lmm:perception", "photos", "--weights", "scores", "--device", "cpu")
RATER = "head:lmm4lmm:perception:scores"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Photos with opinions and prompts, a checkpoint, a run of its head and one of a rater."""
    base = tmp_path_factory.mktemp("runs")
    write_lmm4lmm(base / "scores")
    (base / "photos").mkdir()
    random = np.random.default_rng(0)
    for number in range(IMAGES):
        pixels = random.integers(0, 40 + 12 * number, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(base / "photos" / f"{number:02}.png")
    opinions = [f"photos/{n:02}.png,{n % 7 + n / 100}" for n in range(IMAGES)]
    (base / "opinions.csv").write_text("\n".join(["image,mos", *opinions]) + "\n")
    done = zeroiqa(base, *PERCEPTION, "-o", "whole")
    assert done.returncode == 0, done.stderr
    done = zeroiqa(base, "score", "photos", "--rater", "fake", "--segmenter", "grid:2x2", "-o", "fake")
    assert done.returncode == 0, done.stderr
    return base


@pytest.fixture
def here(folder, give):
    """Give a command in the folder and in this process: its exit code and what it printed."""
    return lambda *arguments: give(folder, *arguments)


def command_of(*arguments):
    return [sys.executable, "-m", "zeroiqa", *map(str, arguments)]


def environment():
    return os.environ | {"PYTHONPATH": str(ROOT)}


def table(text):
    rows = list(csv.DictReader(io.StringIO(text)))
    return {next(iter(row.values())): row for row in rows}


def scores(run):
    return [float(row["score"]) for row in table((run / "scores.csv").read_text()).values()]


def parts(run):
    return sorted(run.glob("ratings/*/part-*"))


def same_scores(run, folder):
    return (run / "scores.csv").read_bytes() == (folder / "whole/scores.csv").read_bytes()


def test_evaluate_correlates_the_scores_with_the_opinions(folder, here):
    code, out, _ = here("evaluate", "whole", "--mos", "opinions.csv", "--resamples", "50", "--format", "csv")
    expected = spearmanr(scores(folder / "whole"), [n % 7 + n / 100 for n in range(IMAGES)]).statistic
    assert len(set(scores(folder / "whole"))) > IMAGES / 2
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0 and float(rows[0]["value"]) == pytest.approx(expected)


def test_compare_sets_it_beside_a_rater_s_run(here):
    code, out, err = here(
        "compare", "whole", "fake", "--mos", "opinions.csv", "--resamples", "50", "--format", "csv"
    )
    assert code == 0, err
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(row["method"], row["measure"]) for row in rows[::2]] == [("whole", "SRCC"), ("fake", "SRCC")]
    assert (rows[0]["protocol"], rows[0]["better"]) == (f"measured here, {RATER}", "higher")


def test_other_arithmetic_and_checks_read_it(folder, here):
    code, out, _ = here("rescore", "whole", "--readout", "expected", "--format", "csv")
    rows = table(out)
    assert code == 0 and [float(row["score"]) for row in rows.values()] == scores(folder / "whole")
    assert {row[f"level_{RATER}"] for row in rows.values()} <= set("12345")
    code, out, _ = here("verify", "whole")
    assert code == 0, out


def test_slices_together_are_the_run(folder, here, tmp_path):
    run = tmp_path / "sliced"
    code, _, err = here(*PERCEPTION, "-o", run, "--plan-only")
    assert code == 0 and f"{IMAGES} images in {SHARDS} shards are planned" in err and not parts(run)
    code, _, err = here(*PERCEPTION, "-o", run, "--shard", "0/2")
    assert code == 0 and "Slice 0/2 is done" in err and len(parts(run)) == 3
    code, _, err = here("score", "-o", run, "--shard", "1/2")  # what `score` is told of goes on with a head
    assert code == 0, err
    (run / "scores.csv").unlink()
    assert here("merge", run)[0] == 0 and same_scores(run, folder)


def test_a_killed_run_goes_on_with_its_folder_alone(folder, here, tmp_path):
    run = tmp_path / "killed"
    process = subprocess.Popen(
        command_of(*PERCEPTION, "-o", run), cwd=folder, env=environment(), stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    ends = time.monotonic() + 60
    while not parts(run) and time.monotonic() < ends:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {part: part.stat().st_mtime_ns for part in parts(run)}
    assert 0 < len(kept) < SHARDS and not (run / "scores.csv").exists()
    code, _, err = here("head", "score", "-o", run)
    assert code == 0, err
    assert same_scores(run, folder)
    assert kept.items() <= {part: part.stat().st_mtime_ns for part in parts(run)}.items()


@pytest.mark.slow
def test_two_workers_give_the_scores_of_one(folder, tmp_path):
    command = command_of(*PERCEPTION, "-o", tmp_path / "shared", "--workers", "2")
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert same_scores(tmp_path / "shared", folder)


def test_images_are_added_with_their_prompts(folder, here, tmp_path):
    run = ("--weights", "scores", "--device", "cpu", "-o", tmp_path / "run")
    (tmp_path / "one.txt").write_text("a cat\n")
    (tmp_path / "two.txt").write_text("two dogs\n")
    begun = ("head", "score", "lmm4lmm:correspondence", "photos/00.png")
    assert here(*begun, *run, "--prompts", tmp_path / "one.txt")[0] == 0
    more = ("head", "score", "lmm4lmm:correspondence", "photos/01.png")
    code, _, err = here(*more, *run, "--prompts", tmp_path / "two.txt", "--add")
    assert code == 0 and "1 image is new" in err and "2 images, 0 with an error" in err


def test_a_dry_run_says_what_would_be_done_and_does_nothing(folder, here, tmp_path):
    code, out, err = here(*PERCEPTION, "-o", tmp_path / "run", "--dry-run")
    assert code == 0, err
    assert f"images     {IMAGES} " in out and "rater      head lmm4lmm perception " in out
    assert f"views      {IMAGES}, 1 an image (the whole)" in out and "Nothing was done" in out
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-o", "fake"), "fake holds ratings by fake, not by a head; `zeroiqa score -o fake` goes on"),
        (("lmm4lmm:qa", "-o", "whole"), f"whole holds ratings by {RATER}, not by lmm4lmm:qa"),
        (("-o", "nowhere"), "nowhere does not exist"),
        ((), "Name the images; or, with -o, the folder of a run"),
    ],
)
def test_a_run_that_is_no_head_s_does_not_go_on(here, arguments, said):
    code, out, err = here("head", "score", *arguments)
    assert code in (1, 2) and not out and said in err
