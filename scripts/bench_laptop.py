"""Seconds that small models take for a photo on a processor, with random weights.

    python scripts/bench_laptop.py [MODEL ...] [--rounds 3] [--output results/bench/laptop.json]

Each model of at most 3 billion weights (all that have sizes in speed/geometries.toml, if none is named)
is measured in a process of its own, in float32 and in bfloat16: one photo of 9 megapixels is prepared
and goes through the model once, which is what a rating takes; the types take turns. No file of the model
is needed. What larger models would take is computed, from the matrix products that a view of theirs
needs and the speed that the largest measured model reached, and marked as such.
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
import json, resource, sys, time, torch
from zeroiqa.speed.benchmark import make_views
from zeroiqa.speed.flops import count_flops, read_geometry
from zeroiqa.speed.meter import Meter
from zeroiqa.speed.random_weights import load_random
from zeroiqa.standards import load_standard
from zeroiqa.weights.options import ModelOptions
loaded = load_random(sys.argv[1], ModelOptions(device="cpu", dtype=sys.argv[2]))
[photo] = make_views(1, side=3000)
texts = [part for part in load_standard("quality-word-7").fill(None) if isinstance(part, str)]
geometry = read_geometry(loaded.model.config)
with torch.no_grad(), Meter(loaded.model, geometry.vision.patch) as meter:
    begun = time.perf_counter()
    inputs = loaded.processor(text="<image>" + " ".join(texts), images=[photo.pixels], return_tensors="pt")
    loaded.model(**inputs.to(loaded.dtype), logits_to_keep=1)
    ended = time.perf_counter()
tflop = sum(count_flops(geometry, batch).total for batch in meter.counts()) / 1e12
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)
print(json.dumps({"seconds": ended - begun, "tflop": tflop, "peak_gib": peak}))
"""


def measure(name: str, dtype: str) -> dict[str, Any]:
    """One process: one photo prepared and put through a model, and the memory that it took."""
    command = [sys.executable, "-c", MEASURE, name, dtype]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measured(name: str, rounds: int, types: list[str]) -> dict[str, Any]:
    """The types in turns; medians."""
    records: dict[str, list[dict[str, Any]]] = {dtype: [] for dtype in types}
    for _ in range(rounds):
        for dtype in types:
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


PRODUCT = """
import json, sys, time, torch
torch.set_num_threads(1)
best = {}
for name in sys.argv[1:] * 3:
    values = torch.randn(1024, 768).to(getattr(torch, name))
    layer = torch.nn.Linear(768, 3072).to(values.dtype)
    with torch.no_grad():
        layer(values)
        for _ in range(8):
            begun = time.perf_counter()
            layer(values)
            best[name] = min(best.get(name, 9.0), time.perf_counter() - begun)
print(json.dumps({name: round(2 * 1024 * 768 * 3072 / seconds / 1e9, 1) for name, seconds in best.items()}))
"""


def products() -> dict[str, float]:
    """GFLOP/s of one core at a matrix product of SigLIP's size, by type; the types take turns."""
    done = subprocess.run(
        [sys.executable, "-c", PRODUCT, *TYPES], stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    small = sorted((name for name, weights in WEIGHTS.items() if weights <= MOST), key=WEIGHTS.__getitem__)
    parser.add_argument("models", nargs="*", metavar="MODEL", choices=[[], *small], help=", ".join(small))
    parser.add_argument(
        "--types", nargs="+", choices=TYPES, default=list(TYPES), help="the others are left out"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("results/bench/laptop.json"))
    arguments = parser.parse_args()
    small = [name for name in small if name in arguments.models or not arguments.models]
    found = {name: measured(name, arguments.rounds, arguments.types) for name in small}
    largest = found[small[-1]]
    computed = {
        name: {
            dtype: {"seconds": round(card.tflop_per_view / largest[dtype]["TFLOP/s"], 1)}
            for dtype in arguments.types
        }
        | {"TFLOP of a view": card.tflop_per_view}
        for name, card in model_cards().items()
        if card.tflop_per_view is not None and name not in found
    }
    result = {
        "GFLOP/s of one core at a matrix product": products(),
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
