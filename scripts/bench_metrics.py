"""Measure what measures cost: bootstrap intervals of many methods on many images, beside scipy.

    python scripts/bench_metrics.py [--images 50000] [--methods 10] [--resamples 1000]
                                    [--output results/bench/metrics.json]

Opinions and scores are made with a fixed seed; every second method answers with 7 digits, so that ties are
common. scipy computes the first resamples of the same draw, and its time is given for each resample; the
largest difference between the two says that both compute the same.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import stats

from zeroiqa.metrics.logistic import fit_logistic
from zeroiqa.metrics.measures import Metric, Values, bootstrap_values, krcc, pairwise_accuracy, plcc, srcc
from zeroiqa.version import __version__

SEED = 7
BESIDE = 10
"""Resamples that scipy computes, too."""
LIBRARIES = ("numpy", "scipy")
METRICS: dict[str, tuple[Metric, Callable[[Values, Values], float]]] = {
    "srcc": (srcc, lambda x, y: float(stats.spearmanr(x, y).statistic)),
    "plcc": (plcc, lambda x, y: float(stats.pearsonr(x, y).statistic)),
    "krcc": (krcc, lambda x, y: float(stats.kendalltau(x, y).statistic)),
}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--methods", type=int, default=10)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--output", type=Path, default=Path("results/bench/metrics.json"))
    arguments = parser.parse_args()
    y, methods = make_scores(arguments.images, arguments.methods)
    bootstrap = {name: measure_bootstrap(name, methods, y, arguments.resamples) for name in METRICS}
    record = {
        "date": datetime.date.today().isoformat(),
        "command": f"python scripts/bench_metrics.py --images {arguments.images} "
        f"--methods {arguments.methods} --resamples {arguments.resamples}",
        "zeroiqa": __version__,
        "python": platform.python_version(),
        "libraries": {library: importlib.metadata.version(library) for library in LIBRARIES},
        "machine": {"system": platform.system(), "cpu": platform.machine(), "cores": os.cpu_count()},
        "seed": SEED,
        "images": arguments.images,
        "methods": arguments.methods,
        "resamples": arguments.resamples,
        "bootstrap": bootstrap,
        "seconds, all methods, once": measure_once(methods, y),
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(json.dumps({key: record[key] for key in ("bootstrap", "seconds, all methods, once")}, indent=2))


def make_scores(images: int, methods: int) -> tuple[Values, list[Values]]:
    """Opinions with one decimal, and methods of different noise, every second in digits from 1 to 7."""
    rng = np.random.default_rng(SEED)
    y = np.clip(rng.normal(50, 15, images), 0, 100).round(1)
    found = []
    for method in range(methods):
        scores = 1 + 6 / (1 + np.exp(-(y - 50 + rng.normal(0, 5 + 3 * method, images)) / 20))
        found.append(scores.round() if method % 2 else scores)
    return y, found


def measure_bootstrap(name: str, methods: list[Values], y: Values, resamples: int) -> dict[str, float]:
    """Seconds for all resamples of all methods; milliseconds of one resample of one method and of scipy's."""
    metric, peer = METRICS[name]
    start = time.perf_counter()
    found = bootstrap_values(metric, methods, y, resamples, np.random.default_rng(SEED))
    seconds = time.perf_counter() - start
    rng, difference = np.random.default_rng(SEED), 0.0
    beside = min(BESIDE, resamples)
    start = time.perf_counter()
    for resample in range(beside):
        rows = rng.integers(len(y), size=len(y))
        for method, scores in enumerate(methods):
            value = peer(scores[rows], y[rows])
            difference = max(difference, abs(value - float(found[method, resample])))
    peer_seconds = time.perf_counter() - start
    return {
        "seconds": round(seconds, 2),
        "milliseconds each": round(1e3 * seconds / resamples / len(methods), 3),
        "scipy, milliseconds each": round(1e3 * peer_seconds / beside / len(methods), 3),
        "largest difference from scipy": difference,
    }


def measure_once(methods: list[Values], y: Values) -> dict[str, float]:
    """Seconds of what is computed once for each method."""
    tasks: dict[str, Callable[[Values], object]] = {
        "srcc, plcc, krcc": lambda x: (srcc(x, y), plcc(x, y), krcc(x, y)),
        "pairwise accuracy": lambda x: pairwise_accuracy(x, y),
        "4-parameter fit": lambda x: fit_logistic(x, y, 4),
        "5-parameter fit": lambda x: fit_logistic(x, y, 5),
    }
    seconds = {}
    for name, task in tasks.items():
        start = time.perf_counter()
        for scores in methods:
            task(scores)
        seconds[name] = round(time.perf_counter() - start, 2)
    return seconds


if __name__ == "__main__":
    main()
