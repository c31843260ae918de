"""Measure what a run of many images costs beside the images themselves: planning, resuming, status.

    python scripts/bench_plan.py [--images 100000] [--output results/bench/plan.json]

Makes that many empty files in a temporary folder; as images they are errors, which is the cheapest way to
a run with all its parts. Every step is a process of its own; seconds and peak memory include its imports.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from zeroiqa.version import __version__

STEPS = {
    "plan": "list the images, plan the run",
    "work": "work on half of the shards (every image is an error)",
    "resume": "list the images, open the half-finished run, find what is left",
    "work_rest": "work on the other half",
    "status": "open the finished run, count scores and errors",
    "scores": "write scores.csv and scores.parquet",
}
LIBRARIES = ("numpy", "pyarrow", "opencv-python")


def main() -> None:
    """Run the steps one after another and write what they cost."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--output", type=Path, default=Path("results/bench/plan.json"))
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        print(json.dumps(measure(arguments.step, arguments.folder)))
        return
    with tempfile.TemporaryDirectory() as name:
        make_files(Path(name) / "images", arguments.images)
        steps = {step: {"what": what, **in_process(step, name)} for step, what in STEPS.items()}
    record = {
        "date": datetime.date.today().isoformat(),
        "command": f"python scripts/bench_plan.py --images {arguments.images}",
        "zeroiqa": __version__,
        "python": platform.python_version(),
        "libraries": {library: importlib.metadata.version(library) for library in LIBRARIES},
        "machine": {"system": platform.system(), "cpu": platform.machine(), "cores": os.cpu_count()},
        "images": arguments.images,
        "steps": steps,
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    for step, cost in steps.items():
        print(f"{step:<10} {cost['seconds']:6.2f} s  {cost['peak_megabytes']:6.1f} MB  {cost['what']}")


def make_files(folder: Path, count: int) -> None:
    """Empty files, a thousand to a folder."""
    for start in range(0, count, 1000):
        part = folder / f"{start // 1000:05}"
        part.mkdir(parents=True)
        for number in range(start, min(start + 1000, count)):
            (part / f"IMG_{number:08}.jpg").touch()


def in_process(step: str, folder: str) -> dict[str, float]:
    """Cost of one step in a fresh process."""
    command = [sys.executable, __file__, "--step", step, "--folder", folder]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def measure(step: str, folder: Path) -> dict[str, float]:
    """Do one step in this process; seconds, and the peak of its resident memory in megabytes."""
    import resource

    start = time.perf_counter()
    do(step, folder)
    seconds = time.perf_counter() - start
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    return {"seconds": round(seconds, 2), "peak_megabytes": round(peak, 1)}


def do(step: str, folder: Path) -> None:
    """One of `STEPS`."""
    from zeroiqa import runs

    run_folder = folder / "run"
    if step in ("status", "scores"):
        run = runs.load_run(run_folder)
        assert runs.status(run).errors == run.n_images if step == "status" else runs.write_scores(run) is None
        return

    from zeroiqa.images.find import find_images
    from zeroiqa.runs.naming import naming_of
    from zeroiqa.settings import load_settings

    settings = load_settings("embedded", {"segmenter": "grid", "raters": ["fake"]})
    images = [str(folder / "images")]
    sources, naming = find_images(images), naming_of(images)
    run = runs.open_run(run_folder, settings, sources, preset="embedded", naming=naming)
    left = runs.pending(run)
    if step.startswith("work"):
        from zeroiqa.runs.executors.local import LocalExecutor

        shards = left[: run.n_shards // 2] if step == "work" else left
        for _ in LocalExecutor(1).execute(run, shards, on_images=lambda _: None):
            pass


if __name__ == "__main__":
    main()
