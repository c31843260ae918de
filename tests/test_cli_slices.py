"""Jobs that share nothing but a run folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.command import zeroiqa

ROOT = Path(__file__).parents[1]
CHOICES = ("--segmenter", "grid", "--rater", "fake", "--workers", "1")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)
    for number in range(9):
        Image.new("RGB", (40, 30), (25 * number, 90, 200)).save(tmp_path / f"{number:02}.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    return tmp_path


def test_slices_together_are_the_run(folder):
    planned = zeroiqa(folder, "score", "*.png", *CHOICES, "-o", "run", "--plan-only")
    assert planned.returncode == 0 and "10 images in 4 shards are planned in run" in planned.stderr
    assert not list((folder / "run").rglob("part-*"))
    first = zeroiqa(folder, "score", "-o", "run", "--shard", "0/2")
    assert first.returncode == 0 and "Slice 0/2 is done: 5 images, 0 with an error. 5 of" in first.stderr
    assert not (folder / "run/scores.csv").exists()
    early = zeroiqa(folder, "merge", "run")
    assert early.returncode == 1 and "5 of 10 images are not finished" in early.stderr
    last = zeroiqa(folder, "score", "*.png", *CHOICES, "-o", "run", "--shard", "1/2", "--format", "csv")
    assert last.returncode == 0 and len(last.stdout.splitlines()) == 1 + 5
    merged = zeroiqa(folder, "merge", "run")
    assert merged.returncode == 0 and "10 images, 1 with an error" in merged.stderr
    whole = zeroiqa(folder, "score", "*.png", *CHOICES, "-o", "whole")
    assert whole.returncode == 0
    assert (folder / "run/scores.csv").read_bytes() == (folder / "whole/scores.csv").read_bytes()


def test_two_jobs_with_the_same_slice_both_end_well_and_one_part_lands(folder):
    zeroiqa(folder, "score", "*.png", *CHOICES, "-o", "run", "--plan-only")
    jobs = [
        subprocess.Popen(
            [sys.executable, "-m", "zeroiqa", "score", "-o", "run", "--shard", "1/3"],
            cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL,
        )
        for _ in range(2)
    ]  # fmt: skip
    assert [job.wait(60) for job in jobs] == [0, 0]
    assert [path.name for path in (folder / "run/ratings/fake").iterdir()] == ["part-00001.parquet"]


def test_the_batch_file_scores_the_slice_of_its_task(folder):
    """As Slurm runs it, but for srun, which is the command itself here."""
    programs = folder / "programs"
    programs.mkdir()
    (programs / "srun").write_text('#!/bin/sh\nexec "$@"\n')
    (programs / "zeroiqa").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m zeroiqa "$@"\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    zeroiqa(folder, "score", "*.png", *CHOICES, "-o", "run", "--plan-only")
    for task in (1, 2):
        environment = os.environ | {
            "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT),
            "SLURM_ARRAY_TASK_ID": str(task), "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_COUNT": "2",
        }  # fmt: skip
        batch = ["bash", str(ROOT / "scripts/slurm_array.sbatch"), "run", "--workers", "1"]
        subprocess.run(batch, cwd=folder, env=environment, check=True, capture_output=True, timeout=60)
    assert (folder / "run/scores.csv").read_text().count("\n") == 11


def test_a_run_goes_on_without_its_images_being_named(folder):
    zeroiqa(folder, "score", "*.png", *CHOICES, "-o", "run", "--plan-only")
    done = zeroiqa(folder, "score", "-o", "run", "--device", "cpu")
    assert done.returncode == 0 and "10 images, 1 with an error" in done.stderr


def test_a_run_that_goes_on_in_another_folder_is_stopped_before_it_makes_errors(folder):
    zeroiqa(folder, "score", "*.png", *CHOICES, "-o", "run", "--plan-only")
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    done = zeroiqa(elsewhere, "score", "-o", str(folder / "run"))
    assert done.returncode == 1 and f"00.png is not found from here ({elsewhere})" in done.stderr
    assert not list((folder / "run").rglob("part-*"))


def test_images_are_added_to_a_run(folder):
    assert zeroiqa(folder, "score", "0[0-3].png", *CHOICES, "-o", "run").returncode == 0
    more = zeroiqa(folder, "score", "*.png", *CHOICES, "-o", "run", "--add")
    assert more.returncode == 0 and "6 images are new in run, which has 10 now" in more.stderr
    assert "10 images, 1 with an error" in more.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("score", "-o", "run", "--shard", "4/4"), 1, "I goes from 0 to 3"),
        (("score", "-o", "run", "--shard", "slurm"), 1, "needs a Slurm job array"),
        (("score",), 2, "Name the images"),
        (("score", "-o", "run", "--rater", "nss"), 2, "but --rater was given"),
        (("score", "-o", "run", "--preset", "fast"), 2, "but --preset was given"),
        (("score", "-o", "run", "--add"), 2, "need PATHS"),
        (("score", "-o", "nowhere"), 1, "nowhere does not exist"),
        (("merge", "run", "other"), 2, "Give one run; or several, and with -o"),
        (("merge", "nowhere"), 1, "nowhere does not exist"),
    ],
)
def test_a_mistake_is_one_sentence(folder, arguments, code, said):
    zeroiqa(folder, "score", "*.png", *CHOICES, "-o", "run", "--plan-only")
    done = zeroiqa(folder, *arguments)
    assert done.returncode == code and said in done.stderr and "Traceback" not in done.stderr
