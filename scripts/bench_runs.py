"""Measure what the machinery of runs costs beside decoding, segmenting and rating, and how it scales.

    python scripts/bench_runs.py [--images 1000000] [--output results/bench/runs.json]

1. overhead: on one core, a run with the fake rater and the grid segmenter beside a loop that only decodes the
   same files, in turn in one process; medians of the rounds.
2. scaling: the command with the embedded preset over photos of 1.7 megapixels, with one worker on one core
   and with two on two.
3. size: a list of that many paths is found, planned, opened again and, with parts that hold one small rating
   each, looked at and merged. Every step is a process of its own; its seconds and memory include imports.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from zeroiqa import runs
from zeroiqa.images.decode import decode
from zeroiqa.images.find import find_images
from zeroiqa.images.opencv import cv2
from zeroiqa.runs import parts as store
from zeroiqa.runs.executors.local import LocalExecutor
from zeroiqa.runs.identity import environment
from zeroiqa.runs.live import look
from zeroiqa.samples import folder as samples
from zeroiqa.settings import load_settings
from zeroiqa.types import Rating
from zeroiqa.version import __version__

FAKE = load_settings("embedded", {"segmenter": "grid", "raters": ["fake"], "lambda": 1.0})
WHOLE = load_settings("embedded", {"segmenter": "grid", "raters": ["fake"], "crop": "whole"})
LARGE = (1500, 1125)


def links(target: Path, source: Path, count: int) -> Path:
    """A folder of links to one file."""
    target.mkdir(parents=True)
    for number in range(count):
        (target / f"{number:06}{source.suffix}").symlink_to(source)
    return target


def overhead(count: int, rounds: int) -> dict[str, Any]:
    """Milliseconds an image, with and without the machinery; every figure of every round."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    found: dict[str, list[float]] = {"decoding alone": [], "run": []}
    with tempfile.TemporaryDirectory() as name:
        images = links(Path(name) / "images", samples() / "cat.jpg", count)
        for number in range(rounds):
            start = time.perf_counter()
            for source in find_images([str(images)]):
                decode(source.path)
            middle = time.perf_counter()
            sources = find_images([str(images)])
            run = runs.open_run(Path(name) / str(number), FAKE, sources, preset="embedded")
            for _ in LocalExecutor(1).execute(run, runs.pending(run), on_images=lambda _: None):
                pass
            runs.write_scores(run)
            end = time.perf_counter()
            found["decoding alone"].append(1e3 * (middle - start) / count)
            found["run"].append(1e3 * (end - middle) / count)
    pairs = list(zip(found["run"], found["decoding alone"], strict=True))
    extra = [run - alone for run, alone in pairs]
    return {
        "images": count,
        "milliseconds an image": {what: round(statistics.median(ms), 2) for what, ms in found.items()},
        "overhead, milliseconds an image": round(statistics.median(extra), 2),
        "by round": [round(each, 2) for each in extra],
        "run / decoding alone": round(
            statistics.median(found["run"]) / statistics.median(found["decoding alone"]), 2
        ),
        "target": "below 3 ms",
    }


def scaling(count: int, rounds: int) -> dict[str, Any]:
    """Images a second with one worker on one core and with two on two, in turn, once work has begun."""
    found: dict[str, list[float]] = {"1": [], "2": []}
    command_seconds: dict[str, list[float]] = {"1": [], "2": []}
    with tempfile.TemporaryDirectory() as name:
        pixels = cv2.imread(str(samples() / "coffee.jpg"))
        noise = np.random.default_rng(0).normal(0, 3, (LARGE[1], LARGE[0], 3))
        large = cv2.resize(pixels, LARGE, interpolation=cv2.INTER_CUBIC).astype(np.float32) + noise
        cv2.imwrite(f"{name}/large.jpg", np.clip(large, 0, 255).astype(np.uint8))
        images = links(Path(name) / "images", Path(name) / "large.jpg", count)
        cores = sorted(os.sched_getaffinity(0))
        for number in range(rounds):
            for workers, rates in found.items():
                run = Path(name) / f"{number}-{workers}"
                command = [sys.executable, "-m", "zeroiqa", "score", str(images), "-o", str(run)]
                os.sched_setaffinity(0, cores[: int(workers)])  # children inherit it
                start = time.perf_counter()
                subprocess.run([*command, "--workers", workers], check=True, capture_output=True)
                command_seconds[workers].append(time.perf_counter() - start)
                rates.append(look(runs.load_run(run), datetime.now(UTC)).overall or 0.0)
        os.sched_setaffinity(0, cores)
    ratios = [two / one for one, two in zip(found["1"], found["2"], strict=True)]
    return {
        "images": count,
        "megapixels": round(LARGE[0] * LARGE[1] / 1e6, 2),
        "images a second, by workers": {workers: [round(r, 2) for r in s] for workers, s in found.items()},
        "seconds of the command": {w: [round(each, 1) for each in s] for w, s in command_seconds.items()},
        "speedup": round(statistics.median(ratios), 2),
        "target": "at least 1.8",
    }


def find(base: Path) -> None:
    """Read the list and look at every file."""
    find_images([str(base / "list.txt")])


def plan(base: Path) -> None:
    """The same, and make the run."""
    runs.open_run(base / "run", WHOLE, find_images([str(base / "list.txt")]), preset="embedded")


def fill(base: Path) -> None:
    """Write all parts with one small rating for each image (not a part of the measurement)."""
    run = runs.load_run(base / "run")
    (name,), (standard,) = run.settings.raters, run.settings.standards
    rating = Rating(tuple(np.log(np.full(7, 1 / 7)).tolist()), 1.0)
    image = 0
    for shard, size in enumerate(run.shards):
        with store.new_ratings(run.folder, name, shard) as rate, store.new_regions(run.folder, shard) as add:
            for number in range(image, image + size):
                add(store.RegionsRow(number, (480, 640)))
                rate(store.RatingsRow(number, {standard: (rating,)}))
        image += size


def load(base: Path) -> None:
    """Open the run by its folder, see what is left."""
    assert runs.pending(runs.load_run(base / "run")) == []


def resume(base: Path) -> None:
    """Give the whole command again: find the images, open the run, see what is left."""
    sources = find_images([str(base / "list.txt")])
    assert runs.pending(runs.open_run(base / "run", WHOLE, sources, preset="embedded")) == []


def watch(base: Path) -> None:
    """What `zeroiqa status` looks at."""
    look(runs.load_run(base / "run"), datetime.now(UTC))


def merge(base: Path) -> None:
    """Write the scores of all."""
    runs.write_scores(runs.load_run(base / "run"))


STEPS: dict[str, Callable[[Path], None]] = {
    step.__name__: step for step in (find, plan, fill, load, resume, watch, merge)
}


def peak_megabytes() -> int:
    """Of this process alone; what getrusage says includes the process that it was started by."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def in_process(step: str, base: Path) -> dict[str, Any]:
    """Cost of one step in a fresh process."""
    start = time.perf_counter()
    command = [sys.executable, __file__, "--step", step, "--folder", str(base)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    seconds = time.perf_counter() - start
    what = (STEPS[step].__doc__ or "").strip()
    return {"what": what, "seconds": round(seconds, 1), "peak megabytes": json.loads(done.stdout)}


def size(count: int) -> dict[str, Any]:
    """Steps of a run of that many images."""
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        images = base / "images"
        for start in range(0, count, 1000):
            (images / f"{start // 1000:05}").mkdir(parents=True)
            for number in range(start, min(start + 1000, count)):
                (images / f"{start // 1000:05}" / f"{number:07}.jpg").touch()
        paths = (f"images/{number // 1000:05}/{number:07}.jpg\n" for number in range(count))
        (base / "list.txt").write_text("".join(paths))
        steps = {step: in_process(step, base) for step in STEPS}
    return {"images": count, "steps": steps, "target": "below 1000 MB, seconds to start"}


def main() -> None:
    """Measure everything, or one step for the measuring process."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=("overhead", "scaling", "size"), help="Measure this part again.")
    parser.add_argument("--output", type=Path, default=Path("results/bench/runs.json"))
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        STEPS[arguments.step](arguments.folder)
        print(peak_megabytes())
        return
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "size": lambda: size(arguments.images),
        "scaling": lambda: scaling(200, max(1, arguments.rounds // 2)),
        "overhead": lambda: overhead(1000, arguments.rounds),
    }
    there = arguments.only and arguments.output.is_file()
    record: dict[str, Any] = json.loads(arguments.output.read_text(encoding="utf-8")) if there else {}
    record |= {name: part() for name, part in parts.items() if arguments.only in (None, name)}
    record["manifest"] = {
        "script": "scripts/bench_runs.py",
        "date": datetime.now(UTC).date().isoformat(),
        "zeroiqa": __version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, shared",
        "environment": environment(FAKE),
    }
    text = json.dumps(record, indent=2)
    print(text)
    arguments.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
