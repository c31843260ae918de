"""Processor time of a first look at photos: `zeroiqa score FOLDER` beside cleanvision's default check.

    python scripts/bench_first_look.py FOLDER --cleanvision PYTHON [--output results/bench/first_look.json]

FOLDER holds photos; PYTHON is an interpreter of an environment that has cleanvision (which is under the AGPL,
and no part of this project). Both look at the same files: some photos as they are, and some enlarged to 12
megapixels, with fine noise so that they compress like photos. Each run is a process of its own, and all its
processes count, user and system time. One run is over N photos and one over 2 N: half of the difference is
what a photo costs, and the rest is the start. The two programs take turns; medians of several rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
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
from PIL import Image

import zeroiqa
from zeroiqa.images.decode import decode
from zeroiqa.images.opencv import cv2
from zeroiqa.runs.identity import environment
from zeroiqa.settings import load_settings

ENLARGED = 12_000_000
"""Pixels of the large photos."""
COUNTS = {"as they are": 128, "12 megapixels": 8}
"""N of either size; twice as many photos are needed."""
CHECK = """
import sys
from cleanvision import Imagelab
if __name__ == "__main__":
    Imagelab(data_path=sys.argv[1]).find_issues()
"""
VERSIONS = (
    "import importlib.metadata as m; print(*(m.version(n) for n in ('cleanvision', 'pillow', 'numpy')))"
)


def enlarged(path: Path, target: Path) -> None:
    """Write a JPEG of quality 92 and about 12 megapixels; the same photo gives the same bytes."""
    pixels = cv2.imread(str(path))
    scale = (ENLARGED / (pixels.shape[0] * pixels.shape[1])) ** 0.5
    large = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC).astype(np.float32)
    large += np.random.default_rng(0).normal(0, 3, large.shape).astype(np.float32)
    cv2.imwrite(str(target), np.clip(large, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 92])


def folders(photos: list[Path], scratch: Path) -> dict[str, tuple[Path, Path]]:
    """Of each size a folder of N photos and one of 2 N."""
    write: dict[str, Callable[[Path, Path], Any]] = {
        "as they are": shutil.copyfile,
        "12 megapixels": enlarged,
    }
    found = {}
    for size, count in COUNTS.items():
        few, many = scratch / f"{size} {count}", scratch / f"{size} {2 * count}"
        few.mkdir()
        many.mkdir()
        for index, photo in enumerate(photos[: 2 * count]):
            write[size](photo, many / f"{index:03}.jpg")
            if index < count:
                shutil.copyfile(many / f"{index:03}.jpg", few / f"{index:03}.jpg")
        found[size] = (few, many)
    return found


def seconds(command: list[str]) -> float:
    """User and system time of a command and of all processes that it has waited for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as cwd:
        subprocess.run(command, cwd=cwd, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def slope_and_start(command: Callable[[Path], list[str]], few: Path, many: Path, count: int) -> list[float]:
    """Milliseconds of a photo, and seconds of the start."""
    less, more = seconds(command(few)), seconds(command(many))
    return [1e3 * (more - less) / count, 2 * less - more]


def decoding(folder: Path) -> dict[str, float]:
    """Milliseconds that a photo takes to be decoded, by Pillow alone and under our policy, medians."""
    ways: dict[str, Callable[[Path], Any]] = {
        "Pillow": lambda path: Image.open(path).load(),
        "zeroiqa": decode,
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for path in sorted(folder.iterdir()):
        for name, work in ways.items():
            start = time.process_time()
            work(path)
            times[name].append(1e3 * (time.process_time() - start))
    return {name: round(statistics.median(found), 1) for name, found in times.items()}


def measure(photos: list[Path], python: str, rounds: int, scratch: Path) -> dict[str, Any]:
    """What each program takes for photos of each size."""
    programs: dict[str, Callable[[Path], list[str]]] = {
        "cleanvision": lambda folder: [python, "-c", CHECK, str(folder)],
        "zeroiqa": lambda folder: [sys.executable, "-m", "zeroiqa", "score", str(folder), "-o", "run"],
    }
    report = {}
    for size, (few, many) in folders(photos, scratch).items():
        found: dict[str, list[list[float]]] = {name: [] for name in programs}
        for turn in range(rounds):
            for name in sorted(programs, reverse=bool(turn % 2)):
                found[name].append(slope_and_start(programs[name], few, many, COUNTS[size]))
                print(size, name, found[name][-1], file=sys.stderr)
        one = Image.open(min(many.iterdir()))
        report[size] = {
            "size of the first": f"{one.width} x {one.height}",
            "photos": [COUNTS[size], 2 * COUNTS[size]],
            "milliseconds of a photo": {
                name: round(statistics.median(ms for ms, _ in rows), 1) for name, rows in found.items()
            },
            "of it decoding": decoding(few),
            "seconds of the start": {
                name: round(statistics.median(start for _, start in rows), 1) for name, rows in found.items()
            },
            "ratio of a photo": [
                round(ours / theirs, 2)
                for (ours, _), (theirs, _) in zip(found["zeroiqa"], found["cleanvision"], strict=True)
            ],
        }
    return report


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cleanvision", required=True, metavar="PYTHON")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("results/bench/first_look.json"))
    arguments = parser.parse_args()
    photos = sorted(arguments.folder.glob("*.jpg"))
    if len(photos) < 2 * max(COUNTS.values()):
        parser.error(
            f"{arguments.folder} has {len(photos)} JPEG files; {2 * max(COUNTS.values())} are needed."
        )
    with tempfile.TemporaryDirectory() as scratch:
        report = measure(photos, arguments.cleanvision, arguments.rounds, Path(scratch))
    versions = subprocess.run(
        [arguments.cleanvision, "-c", VERSIONS], check=True, capture_output=True, text=True
    ).stdout.split()
    report["manifest"] = {
        "script": "scripts/bench_first_look.py",
        "photos": "the first of the 600 development photos of BIQ2021, by name",
        "rounds": arguments.rounds,
        "date": datetime.now(UTC).date().isoformat(),
        "zeroiqa": zeroiqa.__version__,
        "cleanvision": dict(zip(("cleanvision", "pillow", "numpy"), versions, strict=True)),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, shared",
        "environment": environment(load_settings("embedded")),
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(report, indent=2) + "\n")
    print(arguments.output.read_text())


if __name__ == "__main__":
    main()
