"""Time and memory of the embedded preset on one core, beside the primitives of OpenCV and scikit-image.

    python scripts/bench_embedded.py results/bench/embedded.json

For photos of 1 and 12 megapixels (the sample photos enlarged, with fine noise so that they compress like
photos): decoding, segmentation, rating of the whole image and of all regions; the medians of several rounds,
each stage beside the library primitive it is made of, in the same round. Then the whole command on a folder:
peak memory for few and for many images, and the time until the first row is printed.
"""

from __future__ import annotations

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

import zeroiqa
from zeroiqa.guards.heap import keep_freed_memory
from zeroiqa.images.decode import decode
from zeroiqa.images.opencv import cv2
from zeroiqa.pipeline import find_regions, rate_image
from zeroiqa.runs.identity import environment
from zeroiqa.samples import folder
from zeroiqa.settings import load_settings

SIZES = {"1 MP": (1155, 866), "12 MP": (4000, 3000)}
ROUNDS = 9
SAMPLES = ("astronaut.jpg", "coffee.jpg", "cat.jpg")


def enlarged(name: str, size: tuple[int, int], target: Path) -> Path:
    """A JPEG of quality 92 of the given width and height."""
    pixels = cv2.imread(str(folder() / name))
    noise = np.random.default_rng(0).normal(0, 3, (size[1], size[0], 3))
    large = cv2.resize(pixels, size, interpolation=cv2.INTER_CUBIC).astype(np.float32) + noise
    path = target / f"{size[0]}-{name}"
    cv2.imwrite(str(path), np.clip(large, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 92])
    return path


def milliseconds(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    result = work()
    return 1e3 * (time.process_time() - start), result


def measure(path: Path, method: zeroiqa.Method) -> dict[str, float]:
    """Processor time of every stage once, in milliseconds."""
    from skimage.segmentation import felzenszwalb

    rater = method.raters["nss"]
    times: dict[str, float] = {}
    times["opencv decode"], _ = milliseconds(lambda: cv2.imread(str(path)))
    times["decode"], image = milliseconds(lambda: decode(path, method.policy))
    times["segment"], regions = milliseconds(lambda: find_regions([image], method)[0])
    scale = (40_000 / (image.size[0] * image.size[1])) ** 0.5
    small = cv2.resize(image.pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    times["scikit-image felzenszwalb"], _ = milliseconds(lambda: felzenszwalb(small, scale=100, sigma=0.8))
    times["rate whole image and regions"], _ = milliseconds(lambda: rate_image(image, regions, rater, method))
    times["all"] = times["decode"] + times["segment"] + times["rate whole image and regions"]
    times["regions"] = len(regions)
    return times


def run_command(photos: list[Path], cwd: Path) -> dict[str, float]:
    """Peak memory of `zeroiqa score` and the seconds until its first row, in a process of its own."""
    command = [
        sys.executable,
        "-m",
        "zeroiqa",
        "score",
        "-",
        "--workers",
        "1",
        "--format",
        "jsonl",
        "-o",
        "run",
    ]
    code = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)\n"
    )
    start = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", code, *command],
        cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin and process.stdout and process.stderr
    process.stdin.write("\n".join(map(str, photos)))
    process.stdin.close()
    process.stdout.readline()
    first = time.monotonic() - start
    rows = 1 + len(process.stdout.readlines())
    assert rows == len(photos)
    peak = int(process.stderr.read().split()[-1]) / 1024
    return {"images": rows, "peak MiB": round(peak), "seconds to the first row": round(first, 2)}


def main(target: Path) -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one core, for the children too
    cv2.setNumThreads(1)
    keep_freed_memory()  # as the commands do
    method = zeroiqa.load_method(regions=True)
    report: dict[str, Any] = {"milliseconds of processor time, median": {}, "ratio": {}, "command": {}}
    with tempfile.TemporaryDirectory() as scratch:
        for label, size in SIZES.items():
            paths = [enlarged(name, size, Path(scratch)) for name in SAMPLES]
            measure(paths[0], method)  # imports and caches
            rounds = [measure(paths[i % len(paths)], method) for i in range(ROUNDS)]
            median = {key: statistics.median(each[key] for each in rounds) for key in rounds[0]}
            report["milliseconds of processor time, median"][label] = {
                k: round(v, 1) for k, v in median.items()
            }
            report["ratio"][label] = {
                "decode / opencv decode": round(median["decode"] / median["opencv decode"], 2),
                "segment / scikit-image felzenszwalb": round(
                    median["segment"] / median["scikit-image felzenszwalb"], 2
                ),
            }
            for count in (2, 20):
                photos = []
                for index in range(count):
                    photo = Path(scratch) / f"{label}-{count}-{index}.jpg"
                    photo.symlink_to(paths[index % len(paths)])
                    photos.append(photo)
                cwd = Path(scratch) / f"{label}-{count}"
                cwd.mkdir()
                report["command"][f"{count} photos of {label}"] = run_command(photos, cwd)
    report["manifest"] = {
        "script": "scripts/bench_embedded.py",
        "date": datetime.now(UTC).date().isoformat(),
        "zeroiqa": zeroiqa.__version__,
        "machine": f"{platform.machine()}, one core of {os.cpu_count()}, shared",
        "environment": environment(load_settings("embedded")),
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(report, indent=2) + "\n")
    print(target.read_text())


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results/bench/embedded.json"))
