"""Workers on this machine: where they run, what they may kill, and what they cost when they are killed."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from scripts.soak_runs import WITHOUT_PANDAS
from tests.command import zeroiqa
from zeroiqa import runs
from zeroiqa.guards.child import without_interrupts
from zeroiqa.images.find import find_images
from zeroiqa.runs.executors import local
from zeroiqa.runs.executors.placement import Placement
from zeroiqa.settings import load_settings

ROOT = Path(__file__).parents[1]
KILLED = (
    "{}: the process that worked on it was killed, 3 times; leave it out, repair it, or try it "
    "again with --retry-errors."
)
SLOW = (
    "{} took longer than {} s to be read and decoded (--image-seconds); leave it out or repair it, or allow "
    "more time."
)
TRAP = f"""
{WITHOUT_PANDAS}
import ctypes, os, signal, sys, time

def spring(event, arguments):
    name = os.path.basename(str(arguments[0])) if event == "open" else ""
    if "-stuck" in name:
        time.sleep(1000)
    elif "killer" in name and "zeroiqa" not in sys.orig_argv:
        os.kill(os.getpid(), signal.SIGKILL)
    elif "-hang" in name and "zeroiqa" not in sys.orig_argv:
        ctypes.PyDLL(None).sleep(1000)

sys.addaudithook(spring)
"""
"""Kills the process that opens a file called killer, and hangs the one that opens a file called hang, with
Python's lock, unless it is the main one; a file called stuck hangs every thread that opens it."""


TRAP_FOR_RATERS = """
def watch(frame, event, argument):
    if event == "call" and frame.f_code.co_name == "_draw" and frame.f_locals["view"].image_size == (48, 65):
        os.kill(os.getpid(), signal.SIGKILL)

if "zeroiqa" not in sys.orig_argv:
    sys.setprofile(watch)
"""
"""Kills the process that rates a picture of an odd width, unless it is the main one."""


def make_images(folder, count, killers=(), hangs=()):
    folder.mkdir()
    random_pixels = np.random.default_rng(0)
    for number in range(count):
        name = f"{number:02}" + ("-killer" if number in killers else "-hang" if number in hangs else "")
        pixels = random_pixels.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")


def score(folder, *options, **variables):
    return subprocess.run(
        [sys.executable, "-m", "zeroiqa", "score", *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
    )


def rows(folder):
    with (folder / "scores.csv").open(newline="") as file:
        return {Path(row["path"]).stem: row for row in csv.DictReader(file)}


def soak(executor, kills, images):
    """The soak script for a short time; it prints its seed."""
    command = [sys.executable, str(ROOT / "scripts" / "soak_runs.py"), "--executor", executor]
    done = subprocess.run(
        [*command, "--kills", str(kills), "--images", str(images), "--hangs", "0"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    print(done.stderr)
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["problems"] == [] and sum(summary["kills"].values()) >= kills
    return summary["kills"]


@pytest.mark.slow
@pytest.mark.parametrize(("executor", "images"), [("process", 60), ("workers", 150)])
def test_random_kills_leave_every_image_with_exactly_one_row(executor, images):
    killed = soak(executor, 10, images)
    assert killed["driver"] > 0
    assert executor == "process" or killed["worker"] > 0


def trapped(folder, trap=TRAP):
    """The environment of processes for which there is a trap."""
    (folder / "trap").mkdir()
    (folder / "trap" / "sitecustomize.py").write_text(trap)
    return {"PYTHONPATH": f"{folder / 'trap'}:{ROOT}"}


@pytest.mark.slow
def test_images_that_kill_or_hang_their_process_are_the_only_error_rows(tmp_path):
    killers, hangs = (2,), (12,)  # in shards of two and of eight
    make_images(tmp_path / "images", 20, hangs=hangs)
    for number in killers:
        Image.new("RGB", (65, 48)).save(tmp_path / "images" / f"{number:02}.png")
    options = ("images", "--rater", "fake", "--segmenter", "grid", "--lambda", "1")
    variables = trapped(tmp_path, TRAP + TRAP_FOR_RATERS)
    done = score(tmp_path, *options, "-o", "run", "--workers", "2", "--image-seconds", "1.5", **variables)
    assert done.returncode == 0, done.stderr
    assert "20 images, 2 with an error" in done.stderr
    assert zeroiqa(tmp_path, "score", *options, "-o", "whole", "--workers", "1").returncode == 0
    found, whole = rows(tmp_path / "run"), rows(tmp_path / "whole")
    assert {name: row["error"] for name, row in found.items() if row["error"]} == {
        **{f"{n:02}": KILLED.format(f"images/{n:02}.png") for n in killers},
        **{f"{n:02}-hang": SLOW.format(f"images/{n:02}-hang.png", 1.5) for n in hangs},
    }
    assert all(found[name] == whole[name] for name in found if not found[name]["error"])
    assert not list((tmp_path / "run").rglob(".zeroiqa-*"))


def test_one_process_leaves_a_file_behind_that_cannot_be_read_and_scores_the_others(tmp_path):
    make_images(tmp_path / "images", 5)
    (tmp_path / "images" / "02.png").rename(tmp_path / "images" / "02-stuck.png")
    options = ("images", "--rater", "fake", "--segmenter", "grid", "--image-seconds", "1")
    done = score(tmp_path, *options, "-o", "run", "--workers", "1", **trapped(tmp_path))
    assert done.returncode == 0, done.stderr
    found = rows(tmp_path / "run")
    assert [name for name, row in found.items() if row["status"] == "ok"] == ["00", "01", "03", "04"]
    assert found["02-stuck"]["error"] == SLOW.format("images/02-stuck.png", 1)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_images(tmp_path / "images", 7)
    settings = load_settings("embedded", {"segmenter": "grid", "raters": ["fake"]})
    return runs.open_run(tmp_path / "run", settings, find_images(["images"]), preset="embedded")


def test_worker_sees_only_its_gpu_from_its_start(run, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    pool = local._pool(run, Placement("GPU-abc", (), 3))
    try:
        assert pool.submit(os.getenv, "CUDA_VISIBLE_DEVICES").result() == "GPU-abc"
        assert pool.submit(os.getenv, "OMP_NUM_THREADS").result() == "3"
        assert "torch" not in pool.submit(sys_modules).result()
    finally:
        pool.shutdown(kill_workers=True)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"


def living_in_session(session):
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.cmdline())
    return found


def sys_modules():
    return set(sys.modules)


def test_workers_hear_no_interrupt_and_work_in_the_folder_of_the_run(run):
    pool = local._pool(run, Placement(None, (), 1))
    try:
        with without_interrupts():
            worker = pool.submit(os.getpid)
        os.kill(worker.result(), signal.SIGINT)
        assert pool.submit(os.getcwd).result() == str(Path.cwd())
    finally:
        pool.shutdown(kill_workers=True)


def test_worker_killed_while_idle_is_replaced_and_costs_nothing(run):
    shards = local.LocalExecutor(2).execute(run, runs.pending(run), on_images=lambda _: None)
    first = next(shards)
    workers = [p for p in psutil.Process().children() if any("LokyProcess" in word for word in p.cmdline())]
    assert workers
    for worker in workers:
        worker.kill()
    assert sorted([first, *shards]) == [0, 1, 2]
    assert not runs.pending(run)


def test_nothing_of_the_workers_is_left_when_the_consumer_leaves(run):
    shards = local.LocalExecutor(2).execute(run, runs.pending(run), on_images=lambda _: None)
    next(shards)
    shards.close()
    assert not [p for p in psutil.Process().children() if any("LokyProcess" in word for word in p.cmdline())]
    assert not list(run.folder.rglob(".zeroiqa-*"))


def test_interrupted_command_leaves_no_process(tmp_path):
    make_images(tmp_path / "images", 200)
    process = subprocess.Popen(
        [sys.executable, "-m", "zeroiqa", "score", "images", "-o", "run", "--workers", "2"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not list(tmp_path.rglob("part-*")):
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130
    assert said.splitlines()[-1].startswith("Stopped.") and "Traceback" not in said
    deadline = time.monotonic() + 10
    while living_in_session(process.pid):
        assert time.monotonic() < deadline, living_in_session(process.pid)
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--gpus", "2"], "--gpus is for --ray"),
        (["--workers", "2", "--ray", "auto"], "give one of them"),
        (["--workers", "2", "--device", "cuda:1"], "--device cuda:1 is one GPU, but each of 2 workers"),
        (["--ray", "auto", "--device", "cuda:1"], "Ray gives each actor its own"),
        (["--workers", "none"], "'none' is neither a number from 1 on nor auto"),
        (["--ray", "auto", "--gpus", "0"], "0 is not in the range"),
        (["--image-seconds", "nan"], "'nan' is not a number of seconds above 0, nor inf."),
    ],
)
def test_options_that_contradict_each_other_are_refused(tmp_path, options, sentence):
    make_images(tmp_path / "images", 2)
    done = zeroiqa(tmp_path, "score", "images", *options)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert not (tmp_path / "zeroiqa-runs").exists()
