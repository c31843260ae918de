"""The benchmark of measures, small; and what was measured with it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_benchmark_runs_and_finds_what_scipy_finds(tmp_path):
    output = tmp_path / "metrics.json"
    command = ["--images", "300", "--methods", "3", "--resamples", "4", "--output", str(output)]
    subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "bench_metrics.py"), *command],
        check=True,
        stdout=subprocess.PIPE,
    )
    check(json.loads(output.read_text(encoding="utf-8")))


def test_the_measured_intervals_take_under_a_minute():
    record = json.loads((ROOT / "results" / "bench" / "metrics.json").read_text(encoding="utf-8"))
    assert (record["images"], record["methods"], record["resamples"]) == (50_000, 10, 1000)
    check(record)
    assert sum(cost["seconds"] for cost in record["bootstrap"].values()) < 60
    for name in ("srcc", "plcc"):
        cost = record["bootstrap"][name]
        assert cost["milliseconds each"] < cost["scipy, milliseconds each"] / 5


def check(record: dict) -> None:
    assert set(record["bootstrap"]) == {"srcc", "plcc", "krcc"}
    for cost in record["bootstrap"].values():
        assert cost["largest difference from scipy"] < 1e-12
