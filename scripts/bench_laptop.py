"""Seconds that small models take for a photo on a processor, with random weights.

    python scripts/bench_laptop.py [MODEL ...] [--rounds 3] [--output results/bench/laptop.json]

Each model of at most 3 billion weights (all that have sizes in speed/geometries.toml, if none is named)
is measured in a process of its own, in bfloat16 and in float32, on the first photo that it rates, of 9
megapixels and seen whole; the types take turns. No file of the model is needed. What larger models would
take is computed, from the matrix products that a view of theirs needs and the speed that the largest
measured model reached, and marked as such.
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
TYPES = ("float32", "bfloat16")
MEASURE = """
import json, resource, sys, time
from zeroiqa.raters.chat import ChatRater
from zeroiqa.speed.benchmark import make_views
from zeroiqa.speed.meter import Meter
from zeroiqa.speed.flops import count_flops, read_geometry
from zeroiqa.speed.random_weights import load_random
from zeroiqa.standards import load_standard
from zeroiqa.weights.options import ModelOptions
loaded = load_random(sys.argv[1], ModelOptions(device="cpu", dtype=sys.argv[2]))
rater, standard = ChatRater.of(loaded), load_standard("quality-word-7")
[photo] = make_views(1, side=3000)
geometry = read_geometry(loaded.model.config)
with Meter(loaded.model, geometry.vision.patch) as meter:
    begun = time.perf_counter()
    rater.rate([photo], [standard])
    seconds = time.perf_counter() - begun
tflop = sum(count_flops(geometry, batch).total for batch in meter.counts()) / 1e12
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)
print(json.dumps({"seconds": seconds, "tflop": tflop, "peak_gib": peak}))
"""


def measure(name: str, dtype: str) -> dict[str, Any]:
    """One process: the first photo that a new model rates, and the memory that it took."""
    command = [sys.executable, "-c", MEASURE, name, dtype]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measured(name: str, rounds: int) -> dict[str, Any]:
    """Both types in turns; medians."""
    records: dict[str, list[dict[str, Any]]] = {dtype: [] for dtype in TYPES}
    for _ in range(rounds):
        for dtype in TYPES:
            records[dtype].append(measure(name, dtype))
            print(name, dtype, f"{records[dtype][-1]['seconds']:.1f} s", file=sys.stderr)
    return {
        dtype: {
            "seconds": round(statistics.median(each["seconds"] for each in found), 1),
            "all seconds": [round(each["seconds"], 1) for each in found],
            "peak GiB": round(max(each["peak_gib"] for each in found), 2),
            "TFLOP of a view": round(found[0]["tflop"], 2),
            "TFLOP/s": round(statistics.median(each["tflop"] / each["seconds"] for each in found), 4),
        }
        for dtype, found in records.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    small = sorted((name for name, weights in WEIGHTS.items() if weights <= MOST), key=WEIGHTS.__getitem__)
    parser.add_argument("models", nargs="*", metavar="MODEL", choices=[[], *small], help=", ".join(small))
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
    known = Path("/proc/cpuinfo")
    if not known.exists():
        return platform.processor() or platform.machine()
    lines = known.read_text(encoding="utf-8").splitlines()
    named = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")
    flags = next((line for line in lines if line.startswith("flags")), "")
    own = [flag for flag in ("avx512_bf16", "amx_bf16") if f" {flag}" in flags]
    return f"{named} ({', '.join(own) or 'no instructions for bfloat16'})"


if __name__ == "__main__":
    main()
