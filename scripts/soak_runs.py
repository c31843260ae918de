"""Kill the processes of runs at random, resume them, and see that every image has exactly one row.

python scripts/soak_runs.py --executor workers --minutes 10
python scripts/soak_runs.py --executor ray --kills 200 --images 2000
python scripts/soak_runs.py --executor namespaces --kills 0 --rounds 20

Each round makes a run in a new folder by `zeroiqa score` (fake raters, grid segmenter) while its workers,
the command itself and, with Ray, whole nodes of a cluster on this machine are killed. Some images hang what
opens them: a worker with Python's lock in its hands, the command itself without. Afterwards it has to equal a
run that nobody has disturbed, byte for byte. With `namespaces`, two whole commands work on one folder at
once, each in a PID namespace of its own, as containers with one host name do; both must end well. The summary
is printed as JSON; the exit code is 1 if anything was wrong. The same seed makes the same choices, but not at
the same moments.
"""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click
import numpy as np
import psutil
import pyarrow.parquet as pq
from PIL import Image

ROOT = Path(__file__).parents[1]
RATERS = ("--rater", "fake", "--rater", "fake:2")
STAGES = ("regions", "ratings/fake", "ratings/fake%3A2")
NAMESPACE = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child")
PATIENCE = 10.0
"""Seconds that a run may go on without a new part until something is killed nevertheless; longer than a
worker, and then its child, wait for an image that hangs."""
IMAGE_SECONDS = 2.0
WITHOUT_PANDAS = """
import sys

class WithoutPandas:
    @staticmethod
    def find_spec(name, *_):
        if name == "pandas":
            raise ImportError(name)

sys.meta_path.insert(0, WithoutPandas)
"""
"""pyarrow imports it where it is installed, which takes half of the start of each process."""
TRAP = f"""
{WITHOUT_PANDAS}
import ctypes, os, sys, time

def spring(event, arguments):
    if event == "open" and str(arguments[0]).endswith("-hang.png"):
        time.sleep(1000) if "zeroiqa" in sys.orig_argv else ctypes.PyDLL(None).sleep(1000)

sys.addaudithook(spring)
"""
NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}


@click.command()
@click.option("--executor", type=click.Choice(["process", "workers", "ray", "namespaces"]), default="workers")
@click.option("--images", default=300, show_default=True, help="Images of each round.")
@click.option("--kills", default=20, show_default=True, help="Processes to kill at least.")
@click.option("--rounds", "least", default=1, show_default=True, help="Runs to make at least.")
@click.option("--minutes", default=0.0, show_default=True, help="Go on for that long at least.")
@click.option("--hangs", default=2, show_default=True, help="Images that hang, besides.")
@click.option("--seed", type=int, help="Of all choices.  [default: a new one]")
def main(
    executor: str, images: int, kills: int, least: int, minutes: float, hangs: int, seed: int | None
) -> None:
    seed = random.SystemRandom().randrange(10**6) if seed is None else seed
    print(f"seed {seed}", file=sys.stderr)
    chance = random.Random(seed)
    start = time.monotonic()
    killed: Counter[str] = Counter()
    problems: list[str] = []
    rounds = 0
    with tempfile.TemporaryDirectory(prefix="soak-") as name, trap(Path(name)), arena(executor) as field:
        folder = Path(name)
        make_images(folder / "images", images, chance)
        for number in chance.sample(range(images - 1), hangs):
            path = folder / "images" / f"{number:05}.png"
            path.rename(path.with_name(f"{number:05}-hang.png"))
        finish(start_run(folder, "whole", ["--workers", "1"]))
        while rounds < least or killed.total() < kills or time.monotonic() - start < 60 * minutes:
            rounds += 1
            if executor == "namespaces":
                problems += together(folder, f"run-{rounds}", field, chance, killed, kills)
            else:
                problems += disturb(folder, f"run-{rounds}", field, chance, killed)
            if problems:
                break
        field.close()
    summary = {
        "executor": executor,
        "seed": seed,
        "rounds": rounds,
        "images": images,
        "hanging": hangs,
        "kills": dict(killed),
        "seconds": round(time.monotonic() - start, 1),
        "problems": problems,
    }
    print(json.dumps(summary))
    sys.exit(bool(problems))


class Arena:
    """Where a run works, and what there is to kill."""

    def __init__(self, options: list[str], marker: str | None, cluster: Any = None) -> None:
        self.options = options
        self._marker = marker
        self._cluster = cluster

    def kill_something(self, driver: subprocess.Popen[str], chance: random.Random) -> str | None:
        """Kill a worker, the driver, or a node; which kind it was, None if it was not there."""
        kinds = ["driver"] * 2
        if self._marker is not None:
            kinds += ["worker"] * 6
        if self._cluster is not None:
            kinds += ["node"]
        kind = chance.choice(kinds)
        if kind == "worker":
            workers = self._workers(driver)
            if not workers:
                return None
            chance.choice(workers).kill()
        elif kind == "node":
            nodes = sorted(self._cluster.worker_nodes, key=lambda node: str(node.unique_id))
            self._cluster.remove_node(chance.choice(nodes), allow_graceful=False)
            self._cluster.add_node(**NODE)
        elif chance.random() < 0.5 and self._cluster is None:
            os.killpg(driver.pid, signal.SIGKILL)
        else:
            driver.kill()
        return kind

    def _workers(self, driver: subprocess.Popen[str]) -> list[psutil.Process]:
        parent = psutil.Process(driver.pid if self._cluster is None else os.getpid())
        found = []
        with suppress(psutil.NoSuchProcess):
            for child in parent.children(recursive=True):
                with suppress(psutil.Error):
                    if any(str(self._marker) in word for word in child.cmdline()):
                        found.append(child)
        return sorted(found, key=lambda child: child.pid)

    def close(self) -> None:
        """Wait for what a killed driver has left to end by itself; it must not be at the folder any more."""
        deadline = time.monotonic() + 30
        while self._cluster is not None and time.monotonic() < deadline:
            if not any("ray::_Actor" in " ".join(child.cmdline()) for child in children()):
                return
            time.sleep(0.1)


def children() -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            child.cmdline()
            found.append(child)
    return found


@contextmanager
def trap(folder: Path) -> Iterator[None]:
    """All processes that are started inside the block have it."""
    (folder / "trap").mkdir()
    (folder / "trap" / "sitecustomize.py").write_text(TRAP)
    os.environ["PYTHONPATH"] = f"{folder / 'trap'}{os.pathsep}{ROOT}"
    yield


@contextmanager
def arena(executor: str) -> Iterator[Arena]:
    if executor in ("process", "namespaces"):
        yield Arena(["--workers", "1"], None)
    elif executor == "workers":
        yield Arena(["--workers", "2"], "LokyProcess")
    else:
        with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder:  # socket names must be short
            os.environ |= {
                "RAY_TMPDIR": folder,
                "RAY_USAGE_STATS_ENABLED": "0",
            }
            from ray.cluster_utils import Cluster

            head = {"num_cpus": 0, "object_store_memory": 80 * 2**20, "include_dashboard": False}
            cluster = Cluster(initialize_head=True, head_node_args=head)
            try:
                cluster.add_node(**NODE)
                cluster.add_node(**NODE)
                yield Arena(["--ray", cluster.address], "ray::_Actor", cluster)
            finally:
                cluster.shutdown()


def make_images(folder: Path, count: int, chance: random.Random) -> None:
    folder.mkdir()
    pixels = np.random.default_rng(chance.randrange(2**32))
    for number in range(count - 1):
        image = pixels.integers(0, 256, (128, 160, 3), dtype=np.uint8)
        Image.fromarray(image).save(folder / f"{number:05}.png", compress_level=1)
    (folder / "bad.png").write_bytes(b"no image")


def start_run(
    folder: Path, name: str, options: list[str], within: tuple[str, ...] = ()
) -> subprocess.Popen[str]:
    command = [*within, sys.executable, "-m", "zeroiqa", "score", "images", "-o", name, *RATERS]
    return subprocess.Popen(
        [*command, "--segmenter", "grid", "--lambda", "1", "--image-seconds", str(IMAGE_SECONDS), *options],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(run: subprocess.Popen[str]) -> None:
    _, said = run.communicate()
    if run.returncode:
        raise SystemExit(f"A run that nobody disturbed ended with {run.returncode}: {said}")


def parts(folder: Path) -> dict[str, tuple[int, int]]:
    """Of each part: the number of its file and when it was written, which never change."""
    found = {}
    for path in folder.rglob("part-*.parquet"):
        status = path.stat()
        found[str(path)] = (status.st_ino, status.st_mtime_ns)
    return found


def disturb(folder: Path, name: str, field: Arena, chance: random.Random, killed: Counter[str]) -> list[str]:
    """One run, killed again and again until it is finished; what was wrong with it."""
    run = start_run(folder, name, field.options)
    before: dict[str, tuple[int, int]] = {}
    try:
        while True:
            if not progress(folder / name, len(before), run):
                break
            time.sleep(chance.uniform(0, 0.3))
            kind = field.kill_something(run, chance)
            if kind is not None:
                killed[kind] += 1
            now = parts(folder / name)
            if not before.items() <= now.items():
                return [f"{name}: a part was written twice, or lost"]
            before = now
            if kind == "driver":
                run.communicate()
                run = start_run(folder, name, field.options)
        _, said = run.communicate()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    if run.returncode:
        return [f"{name} ended with {run.returncode}: {said}"]
    if not before.items() <= parts(folder / name).items():
        return [f"{name}: a part was written twice, or lost"]
    return wrong(folder / name, folder / "whole")


def together(
    folder: Path, name: str, field: Arena, chance: random.Random, killed: Counter[str], kills: int
) -> list[str]:
    """One run by two commands at once, which see each other's files and not each other's processes."""
    both = [start_run(folder, name, field.options, NAMESPACE) for _ in range(2)]
    if killed.total() < kills:  # a third one is killed while they work, and its files stay
        third = start_run(folder, name, field.options, NAMESPACE)
        progress(folder / name, 0, third)
        time.sleep(chance.uniform(0, 1))
        third.kill()
        third.communicate()
        killed["command"] += 1
    found = []
    for run in both:
        _, said = run.communicate()
        if run.returncode:
            found.append(f"{name} ended with {run.returncode}: {said}")
    return found or wrong(folder / name, folder / "whole")


def progress(folder: Path, before: int, run: subprocess.Popen[str]) -> bool:
    """Wait for a part that is new; False once the run has ended."""
    deadline = time.monotonic() + PATIENCE
    while run.poll() is None:
        if len(parts(folder)) > before or time.monotonic() > deadline:
            return True
        time.sleep(0.01)
    return False


def wrong(folder: Path, whole: Path) -> list[str]:
    """What distinguishes a finished run from one that nobody has disturbed."""
    found = []
    if (folder / "scores.csv").read_bytes() != (whole / "scores.csv").read_bytes():
        found.append(f"{folder.name}: scores.csv differs from the undisturbed run's")
    with (folder / "scores.csv").open(encoding="utf-8", newline="") as file:
        paths = [row["path"] for row in csv.DictReader(file)]
    if len(set(paths)) != len(paths):
        found.append(f"{folder.name}: an image has two rows in scores.csv")
    for stage in STAGES:
        numbers = [
            number
            for path in sorted((folder / stage).glob("part-*.parquet"))
            for number in pq.read_table(path, columns=["image"])["image"].to_pylist()
        ]
        if sorted(numbers) != list(range(len(paths))):
            found.append(f"{folder.name}: {stage} does not hold every image exactly once")
    left = [path.name for path in folder.rglob(".zeroiqa-*")]
    if left:
        found.append(f"{folder.name}: temporary files stay: {', '.join(left)}")
    return found


if __name__ == "__main__":
    main()
