"""Speed of the chat rater's paths beside rating one view at a time by `generate`, all in one run.

    python scripts/bench_rater.py [--rounds 5] [--output results/bench/rater.json]

A Qwen2.5-VL of about 100 million random weights rates 32 crops of mixed size on one core of the CPU. Every
round runs every path once, in an order that changes from round to round; processor time is counted, so that
other work on the machine disturbs little, and the ratio of a path is the median of its ratios by round.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import zeroiqa
from zeroiqa.chat.loading import Loaded
from zeroiqa.raters.chat import ChatRater
from zeroiqa.speed.benchmark import make_views, watch
from zeroiqa.speed.random_weights import qwen2_5_vl, random_model
from zeroiqa.standards import load_standard
from zeroiqa.types import View

GEOMETRY: dict[str, Any] = {
    "text_config": {
        "hidden_size": 640,
        "intermediate_size": 2560,
        "num_hidden_layers": 14,
        "num_attention_heads": 10,
        "num_key_value_heads": 2,
        "vocab_size": 8000,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [8, 12, 12]},
    },
    "vision_config": {
        "depth": 6,
        "hidden_size": 256,
        "intermediate_size": 688,
        "num_heads": 4,
        "out_hidden_size": 640,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "window_size": 112,
        "fullatt_block_indexes": [2, 5],
    },
    "tie_word_embeddings": False,
}
VIEWS = 32
STANDARD = load_standard("quality-word-7")
TARGETS = {"default, float32": 1.8, "default, bfloat16": 4.0}
"""Views per second beside the reference; reported, not enforced."""


def build(dtype: torch.dtype, **switched: Any) -> ChatRater:
    """A rater of the model in `GEOMETRY`; the same weights each time."""
    config, processor = qwen2_5_vl(GEOMETRY)
    torch.manual_seed(0)
    cpu = torch.device("cpu")
    model = random_model(config, cpu, dtype)
    rater = ChatRater.of(Loaded("random", "qwen2_5_vl", model, processor, cpu, dtype, "random"))
    engine = rater.model.engine
    engine.paths = replace(engine.paths, **switched)
    return rater


def fast_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 itself."""
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return "avx512_bf16" in flags or "amx_bf16" in flags


def raters() -> dict[str, ChatRater]:
    """By the name of what is measured; the reference first."""
    full = torch.float32
    off = {"forward": False, "batch": False, "prefix": "off", "features": False}
    found = {
        "reference, float32": build(full, **off),
        "one by one in one pass, float32": build(full, **{**off, "forward": True}),
        "batches without prefix, float32": build(full, prefix="off"),
        "default, float32": build(full),
    }
    if fast_bfloat16():
        found["reference, bfloat16"] = build(torch.bfloat16, **off)
        found["default, bfloat16"] = build(torch.bfloat16)
    return found


def measure(built: dict[str, ChatRater], views: list[View], rounds: int) -> dict[str, list[float]]:
    """Processor seconds of every round; four views before it warm up."""
    times: dict[str, list[float]] = {name: [] for name in built}
    names = list(built)
    for rater in built.values():
        rater.rate(views[:4], [STANDARD])
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            start = time.process_time()
            built[name].rate(views, [STANDARD])
            times[name].append(time.process_time() - start)
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
    return times


def report(built: dict[str, ChatRater], views: list[View], times: dict[str, list[float]]) -> dict[str, Any]:
    """For every path its speed, its ratio to the reference, and where its time goes."""
    reference = times["reference, float32"]
    rows = {}
    for name, rater in built.items():
        ratios = [ours / theirs for theirs, ours in zip(times[name], reference, strict=True)]
        work = watch(rater, STANDARD, views)
        assert work is not None and work.tflop is not None
        rows[name] = {
            "views per second": round(len(views) / statistics.median(times[name]), 2),
            "ratio to the reference": round(statistics.median(ratios), 2),
            "ratios by round": [round(ratio, 2) for ratio in ratios],
            "target": TARGETS.get(name),
            "GFLOP per view": round(1e3 * work.tflop / len(views), 1),
            "share outside the forward": round(work.outside, 3),
            "share of padding": round(work.padding, 3),
        }
    return rows


def describe(rater: ChatRater, views: list[View]) -> dict[str, Any]:
    """Lengths of the prompts, and the part of them that comes before the image."""
    engine = rater.model.engine
    text = engine.template.text(STANDARD.fill())
    items = [engine.preprocessor.prepare(view.pixels, text) for view in views]
    lengths = [item.length for item in items]
    sides = [side for view in views for side in view.pixels.shape[:2]]
    return {
        "views": len(views),
        "sides in pixels": [min(sides), max(sides)],
        "tokens": {"fewest": min(lengths), "mean": statistics.mean(lengths), "most": max(lengths)},
        "tokens before the image": items[0].image_start,
        "their share": round(items[0].image_start / statistics.mean(lengths), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("results/bench/rater.json"))
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    built = raters()
    record: dict[str, Any] = {
        "model": "Qwen2.5-VL, random weights, millions of them: "
        f"{sum(weight.numel() for weight in built['default, float32'].loaded.model.parameters()) / 1e6:.1f}",
        "standard": STANDARD.name,
        "targets": "ratio of views per second to the reference in float32",
    }
    for label, side in (("crops of 256 pixels at most", 256), ("crops of 512 pixels at most", 512)):
        views = make_views(VIEWS, side=side)
        times = measure(built, views, arguments.rounds)
        record[label] = {
            **describe(built["default, float32"], views),
            "paths": report(built, views, times),
        }
    if not fast_bfloat16():
        record["bfloat16"] = "not measured: this CPU has neither avx512_bf16 nor amx_bf16"
    record["manifest"] = {
        "command": f"python scripts/bench_rater.py --rounds {arguments.rounds}",
        "date": datetime.now(UTC).date().isoformat(),
        "zeroiqa": zeroiqa.__version__,
        "machine": f"{platform.machine()}, one core of {os.cpu_count()}, shared; processor time",
        "libraries": {"python": platform.python_version()}
        | {name: version(name) for name in ("torch", "transformers", "torchvision", "numpy")},
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
