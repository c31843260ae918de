"""What bounds, budgets and checks cost a photo: the embedded preset in two versions, side by side in one run.

    git worktree add /tmp/before COMMIT
    python scripts/bench_guards.py /tmp/before results/bench/guards.json

Both versions score the same folders of photos of 1 megapixel by the whole command, in turn, round by round. A
photo's time is the processor time for many photos less that for few, over their difference: what a command
takes to start is not in it. The ratio is that of the medians, with the quartiles of the rounds' own ratios.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).parent))
from bench_embedded import SAMPLES, SIZES, enlarged

HERE = Path(__file__).parents[1]
FEW, MANY = 3, 33
WORKERS = ("1", "2")


def processor_seconds(tree: Path, folder: Path, workers: str) -> float:
    """Of a whole command and its workers."""
    with tempfile.TemporaryDirectory() as run:
        command = [sys.executable, "-m", "zeroiqa", "score", str(folder), "-o", f"{run}/run"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [*command, "--workers", workers, "--format", "csv"],
            check=True,
            env={**os.environ, "PYTHONPATH": str(tree)},
            cwd=run,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def photo_milliseconds(tree: Path, photos: Path, workers: str) -> float:
    few, many = (processor_seconds(tree, photos / str(number), workers) for number in (FEW, MANY))
    return 1e3 * (many - few) / (MANY - FEW)


def make_photos(folder: Path) -> None:
    for number in (FEW, MANY):
        (folder / str(number)).mkdir()
    photos = [enlarged(name, SIZES["1 MP"], folder).read_bytes() for name in SAMPLES]
    for number in (FEW, MANY):
        for place in range(number):
            (folder / str(number) / f"{place:03}.jpg").write_bytes(photos[place % len(photos)])


def measure(before: Path, photos: Path, workers: str, rounds: int) -> dict[str, object]:
    times: dict[str, list[float]] = {"before": [], "after": []}
    for turn in range(rounds):
        order = ("before", "after") if turn % 2 else ("after", "before")
        for version in order:
            tree = before if version == "before" else HERE
            times[version].append(photo_milliseconds(tree, photos, workers))
    ratios = [after / then for then, after in zip(times["before"], times["after"], strict=True)]
    low, _, high = statistics.quantiles(ratios, n=4)
    medians = {version: statistics.median(each) for version, each in times.items()}
    return {
        "ms of processor time per photo, before": round(medians["before"], 1),
        "ms of processor time per photo, after": round(medians["after"], 1),
        "ratio": round(medians["after"] / medians["before"], 3),
        "quartiles of the rounds' ratios": [round(low, 3), round(high, 3)],
    }


@click.command()
@click.argument("before", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--rounds", default=9, show_default=True)
def main(before: Path, target: Path, rounds: int) -> None:
    commit = subprocess.run(
        ["git", "-C", str(before), "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    with tempfile.TemporaryDirectory() as name:
        make_photos(Path(name))
        found: dict[str, object] = {
            f"workers {each}": measure(before, Path(name), each, rounds) for each in WORKERS
        }
    record = {
        **found,
        "before": commit,
        "rounds": rounds,
        "command": f"python scripts/bench_guards.py TREE {target} --rounds {rounds}",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }
    target.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
