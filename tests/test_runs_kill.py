from __future__ import annotations

import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
KILLER = [sys.executable, str(ROOT / "tests" / "killer.py")]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}
STAGES = ("regions", "ratings/fake", "ratings/fake%3A2")


def start(folder, images, workers, **options):
    """A run in a session of its own, so that Ctrl-C can reach it and its workers and nothing else."""
    return subprocess.Popen(
        [*KILLER, "run", str(folder), str(images), str(workers)],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def finish(folder, images, workers=1):
    process = start(folder, images, workers)
    _, said = process.communicate()
    assert process.returncode == 0, said


def parts(folder):
    found = ((path, path.stat()) for path in folder.rglob("part-*.parquet"))
    return {path.relative_to(folder): (status.st_ino, status.st_mtime_ns) for path, status in found}


def wait_for_parts(folder, count, process):
    while len(list((folder / STAGES[-1]).glob("part-*"))) < count and process.poll() is None:
        time.sleep(0.002)


def same_scores(folder, whole):
    return all(
        (folder / n).read_bytes() == (whole / n).read_bytes() for n in ("scores.csv", "scores.parquet")
    )


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    random_pixels = np.random.default_rng(0)
    for number in range(120):
        pixels = random_pixels.integers(0, 256, (64, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
    (folder / "bad.png").write_bytes(b"no image")
    return folder


@pytest.fixture(scope="module")
def large_images(tmp_path_factory):
    """Decoding takes nearly all of the time: Python drops an interrupt that comes in some destructors."""
    folder = tmp_path_factory.mktemp("large")
    random_pixels = np.random.default_rng(0)
    for number in range(24):
        pixels = random_pixels.integers(0, 256, (600, 600, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png", compress_level=1)
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory, images):
    """A run that nobody has interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    finish(folder, images)
    return folder


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(("what", "moments"), [("every", 40), ("extend", 20), ("heal", 20)])
def test_kill_before_any_file_operation_costs_no_finished_part_and_changes_no_score(
    tmp_path, images, what, moments
):
    few = tmp_path / "few"
    few.mkdir()
    for name in ("000.png", "bad.png"):
        shutil.copy(images / name, few)
    if what == "heal":
        shutil.copy(images / "001.png", few / "bad.png")
    ended = subprocess.run(
        [*KILLER, what, str(tmp_path), str(few)], env=ENVIRONMENT, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) > moments  # as many were tried


@pytest.mark.parametrize(("workers", "kills", "step"), [(1, 10, 1), (2, 4, 3)])
def test_run_killed_again_and_again_equals_an_uninterrupted_one(
    tmp_path, images, whole, workers, kills, step
):
    moments = random.Random(workers)
    before = {}
    for kill in range(kills):
        process = start(tmp_path, images, workers)
        wait_for_parts(tmp_path, kill * step, process)
        time.sleep(moments.uniform(0, 0.02))
        process.kill() if kill % 2 else os.killpg(process.pid, signal.SIGKILL)
        process.wait()  # its workers may live on for a moment
        process.stderr.close()
        assert before.items() <= parts(tmp_path).items()
        before = parts(tmp_path)
    finish(tmp_path, images, workers)
    assert before.items() <= parts(tmp_path).items()
    assert same_scores(tmp_path, whole)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to find the workers")
def test_killed_worker_is_replaced(tmp_path, images, whole):
    process = start(tmp_path, images, workers=2)
    wait_for_parts(tmp_path, 3, process)
    before = parts(tmp_path)
    os.kill(workers_of(process.pid)[0], signal.SIGKILL)
    _, said = process.communicate()
    assert process.returncode == 0, said
    assert before.items() <= parts(tmp_path).items()
    assert same_scores(tmp_path, whole)
    assert not list(tmp_path.rglob(".zeroiqa-*"))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to find the workers")
def test_workers_that_are_killed_every_time_end_the_run_in_one_sentence(tmp_path, images, whole):
    process = start(tmp_path, images, workers=2)
    while process.poll() is None:
        for worker in workers_of(process.pid):
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
    _, said = process.communicate()
    assert process.returncode == 1
    assert re.fullmatch(
        r"Worker processes were killed \d+ times in a row.* left \(.* fewer workers\.\n", said
    )
    finish(tmp_path, images)
    assert same_scores(tmp_path, whole)


@pytest.mark.parametrize("workers", [1, 2])
def test_interrupted_run_ends_quietly_and_can_be_resumed(tmp_path, large_images, workers):
    folder, whole = tmp_path / "run", tmp_path / "whole"
    process = start(folder, large_images, workers)
    wait_for_parts(folder, 2, process)
    time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate()
    assert (process.returncode, said) == (130, "")
    before = parts(folder)
    assert len(before) >= 2 * len(STAGES)
    assert not (folder / "scores.csv").exists()
    finish(folder, large_images, workers)
    finish(whole, large_images)
    assert before.items() <= parts(folder).items()
    assert same_scores(folder, whole)


def test_two_processes_in_one_folder_end_with_the_same_scores(tmp_path, images, whole):
    processes = [start(tmp_path, images, workers=1) for _ in range(2)]
    for process in processes:
        _, said = process.communicate()
        assert process.returncode == 0, said
    assert same_scores(tmp_path, whole)
    assert not list(tmp_path.rglob(".zeroiqa-*"))


def test_disk_that_fills_up_ends_the_run_in_one_sentence_and_loses_nothing(tmp_path, images, whole):
    begun = start(tmp_path, images, 1)
    wait_for_parts(tmp_path, 2, begun)
    begun.send_signal(signal.SIGINT)
    begun.communicate()
    process = start(
        tmp_path, images, 1, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, -1))
    )
    _, said = process.communicate()
    assert process.returncode == 1
    assert "The disk is full" in said and "free some space and run the same command again" in said
    assert said.count("\n") == 1
    before = parts(tmp_path)
    assert before
    assert not list(tmp_path.rglob(".zeroiqa-*"))
    finish(tmp_path, images)
    assert before.items() <= parts(tmp_path).items()
    assert same_scores(tmp_path, whole)


@pytest.mark.parametrize("workers", [1, 2])
def test_small_disk_ends_the_run_in_one_sentence_and_loses_nothing(tmp_path, images, whole, workers):
    small = tmp_path / "small"
    small.mkdir()
    mount = f"mount -t tmpfs -o size=200k none {small}"
    inside = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if not shutil.which("unshare") or subprocess.run([*inside, mount], capture_output=True).returncode:
        pytest.skip("this system does not let us mount a small disk")
    run = f"{' '.join(KILLER)} run {small}/run {images} {workers} >/dev/null"
    script = f"""
        {mount}
        {run}; echo "ended with $?" >&2
        ls {small}/run/regions | wc -l
        mount -o remount,size=10m {small}
        {run} && cp {small}/run/scores.* {tmp_path}
    """
    ended = subprocess.run([*inside, script], env=ENVIRONMENT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    said, status = ended.stderr.splitlines()
    assert said.startswith("The disk is full") and status == "ended with 1"
    assert int(ended.stdout) > 3
    assert same_scores(tmp_path, whole)


def workers_of(process):
    """The processes that were started by joblib in a session."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            session = int((folder / "stat").read_text().rpartition(")")[2].split()[3])
            command = (folder / "cmdline").read_text()
        except OSError:
            continue
        if session == process and "LokyProcess" in command:
            found.append(int(folder.name))
    return found
