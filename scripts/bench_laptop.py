"""Seconds that small models take for a photo on a processor, with random weights.

    python scripts/bench_laptop.py [MODEL ...] [--rounds 3] [--output results/bench/laptop.json]

Each model of at most 3 billion weights (all that have sizes in speed/geometries.toml, if none is named)
is measured in a process of its own, in bfloat16 and in float32, on one photo seen whole; the types take
turns. A process is `zeroiqa bench --random-weights`, which needs no file of the model; its peak memory
counts. What larger models would take is computed, from the matrix products that a view of theirs needs
and the speed that the largest measured model reached, and marked as such.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import zeroiqa
from zeroiqa.runs.identity import environment
from zeroiqa.settings import load_settings
from zeroiqa.speed.random_weights import WEIGHTS
from zeroiqa.weights.cards import model_cards

MOST = 3.0
"""Billions of weights of a model that is measured."""
TYPES = ("bfloat16", "float32")
MEASURE = """
import resource, subprocess, sys
done = subprocess.run([sys.executable, "-m", "zeroiqa", *sys.argv[1:]], capture_output=True, text=True)
sys.stderr.write(done.stderr)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
print(done.stdout)
sys.exit(done.returncode)
"""


def measure(name: str, dtype: str) -> dict[str, Any]:
    """One process: what `zeroiqa bench` says of a photo, and the memory that it took."""
    options = ["--random-weights", "--views", "1", "--rounds", "1", "--dtype", dtype, "--device", "cpu"]
    command = [sys.executable, "-c", MEASURE, "bench", "--rater", name, *options, "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    peak, record = done.stdout.split("\n", 1)
    return {**json.loads(record), "peak_gib": int(peak) / 2**20}


def measured(name: str, rounds: int) -> dict[str, Any]:
    """Both types in turns; medians."""
    records: dict[str, list[dict[str, Any]]] = {dtype: [] for dtype in TYPES}
    for _ in range(rounds):
        for dtype in TYPES:
            records[dtype].append(measure(name, dtype))
            print(name, dtype, f"{records[dtype][-1]['seconds'][0]:.1f} s", file=sys.stderr)
    return {
        dtype: {
            "seconds": round(statistics.median(each["seconds"][0] for each in found), 2),
            "all seconds": [round(each["seconds"][0], 2) for each in found],
            "peak GiB": round(max(each["peak_gib"] for each in found), 2),
            "TFLOP of a view": round(found[0]["tflop_per_view"], 3),
            "TFLOP/s": round(statistics.median(each["tflop_per_second"] for each in found), 4),
        }
        for dtype, found in records.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    small = sorted((name for name, weights in WEIGHTS.items() if weights <= MOST), key=WEIGHTS.__getitem__)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=", ".join(small))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("results/bench/laptop.json"))
    arguments = parser.parse_args()
    small = [name for name in small if name in arguments.models or not arguments.models]
    found = {name: measured(name, arguments.rounds) for name in small}
    largest = found[small[-1]]
    computed = {
        name: {
            dtype: {"seconds": round(card.tflop_per_view / largest[dtype]["TFLOP/s"], 1)} for dtype in TYPES
        }
        | {"TFLOP of a view": card.tflop_per_view}
        for name, card in model_cards().items()
        if card.tflop_per_view is not None and name not in found
    }
    result = {
        "measured": found,
        "computed, not measured": computed,
        "manifest": {
            "script": "scripts/bench_laptop.py",
            "rounds": arguments.rounds,
            "computed by": f"TFLOP of a view / TFLOP/s of {small[-1]}",
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "zeroiqa": zeroiqa.__version__,
            "processor": processor(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "libraries": environment(load_settings("small")),
        },
    }
    arguments.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def processor() -> str:
    """What the system calls it, and whether it multiplies bfloat16 itself."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    named = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")
    flags = next((line for line in lines if line.startswith("flags")), "")
    own = [flag for flag in ("avx512_bf16", "amx_bf16") if f" {flag}" in flags]
    return f"{named} ({', '.join(own) or 'no instructions for bfloat16'})"


if __name__ == "__main__":
    main()
