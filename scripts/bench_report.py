"""Time, memory and size of a report of 2,000 images of 2 megapixels, and how soon a browser shows it.

    python scripts/bench_report.py results/bench/report.json

The images are the sample photos, enlarged, each cut elsewhere and with fine noise of its own, so that no two
are alike and none compresses better than a photo. The report is made by the command in a process of its own;
its memory is the largest sum over that process and its children. The browser is Chromium, headless, with the
page on the disk: interactive is when the script has drawn the first images and listens, complete is when all
is read.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import psutil

import zeroiqa
from zeroiqa.images.opencv import cv2
from zeroiqa.runs.identity import environment
from zeroiqa.samples import folder
from zeroiqa.settings import load_settings

SIZE = (1632, 1224)
SAMPLES = ("astronaut.jpg", "coffee.jpg", "cat.jpg", "astronaut_dark_noisy.jpg", "cat_blurred.jpg")
LOOK_SECONDS = 0.05
OPENINGS = 5


@cache
def grain() -> np.ndarray[Any, np.dtype[np.int8]]:
    """Fine noise, larger than a photo, of which each has a part of its own."""
    random = np.random.default_rng(0)
    return (random.standard_normal((SIZE[1] + 256, SIZE[0] + 256, 3), np.float32) * 3).astype(np.int8)


def photo(number: int, target: Path) -> None:
    """One JPEG of quality 92."""
    random = np.random.default_rng(number)
    pixels = cv2.imread(str(folder() / SAMPLES[number % len(SAMPLES)]))
    height, width = pixels.shape[:2]
    share = random.uniform(0.6, 1.0)
    top, left = (int(random.uniform(0, 1 - share) * side) for side in (height, width))
    cut = pixels[top : top + int(share * height), left : left + int(share * width)]
    large = cv2.resize(cut, SIZE, interpolation=cv2.INTER_CUBIC)
    y, x = random.integers(0, 256, 2)
    noise = grain()[y : y + SIZE[1], x : x + SIZE[0]]
    noisy = cv2.add(large, noise, dtype=cv2.CV_8U)
    cv2.imwrite(str(target / f"photo-{number:05d}.jpg"), noisy, [cv2.IMWRITE_JPEG_QUALITY, 92])


def measured(arguments: list[str], cwd: Path) -> dict[str, float]:
    """Seconds, those of processors, and the peak of resident memory with all children, in MiB."""
    start, before, peak = time.monotonic(), os.times(), 0
    process = psutil.Popen(arguments, cwd=cwd)
    while process.poll() is None:
        total = 0
        for each in (process, *children_of(process)):
            try:
                total += each.memory_info().rss
            except psutil.Error:
                continue
        peak = max(peak, total)
        time.sleep(LOOK_SECONDS)
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed")
    after = os.times()
    spent = after.children_user - before.children_user + after.children_system - before.children_system
    return {
        "seconds": round(time.monotonic() - start, 1),
        "processor seconds": round(spent, 1),
        "peak MiB": round(peak / 2**20),
    }


def children_of(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def shown(page: Path) -> dict[str, Any]:
    """Milliseconds until a browser shows the page; the medians of several openings."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.browser import started

    times: dict[str, list[float]] = {"interactive": [], "complete": []}
    with started() as browser:
        for _ in range(OPENINGS):
            browser.get(page.as_uri())
            times["interactive"].append(
                browser.execute_script("return performance.getEntriesByName('interactive')[0].startTime")
            )
            times["complete"].append(
                browser.execute_script("return performance.getEntriesByType('navigation')[0].domComplete")
            )
        version = browser.capabilities["browserVersion"]
    return {
        **{f"ms until {what}": round(float(np.median(each))) for what, each in times.items()},
        "openings": OPENINGS,
        "browser": f"Chromium {version}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", type=Path)
    parser.add_argument("--images", type=int, default=2000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        photos = scratch / "photos"
        photos.mkdir()
        with ProcessPoolExecutor() as pool:
            list(pool.map(photo, range(given.images), [photos] * given.images, chunksize=20))
        command = [sys.executable, "-m", "zeroiqa"]
        subprocess.run(
            [*command, "score", "photos", "-o", "run"], cwd=scratch, check=True, stdout=subprocess.DEVNULL
        )
        report: dict[str, Any] = {"images": given.images, "pixels of each": SIZE[0] * SIZE[1]}
        report["command"] = measured([*command, "report", "run"], scratch)
        report["HTML MB"] = round((scratch / "report.html").stat().st_size / 1e6, 1)
        report["page"] = shown(scratch / "report.html")
    report["manifest"] = {
        "script": "scripts/bench_report.py",
        "date": datetime.now(UTC).date().isoformat(),
        "zeroiqa": zeroiqa.__version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, shared",
        "environment": environment(load_settings("embedded")),
    }
    given.target.parent.mkdir(parents=True, exist_ok=True)
    given.target.write_text(json.dumps(report, indent=2) + "\n")
    print(given.target.read_text())


if __name__ == "__main__":
    main()
