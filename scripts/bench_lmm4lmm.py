"""Speed and memory of LMM4LMM beside the published procedure, with random weights in the published layout.

    PYTHONPATH=. python scripts/bench_lmm4lmm.py [--rounds 3] [--part speed|memory]

1. speed: two models of about 50 million weights, float32, on one core. One has the published vocabulary of
   92,553 tokens, which takes three quarters of so small a model's weights; the other the published
   proportions, in which the vocabulary's two matrices are a tenth of all weights. Both see the published
   image: five tiles of 448 pixels, 1,280 tokens. Published procedure: one image at a time, the whole
   conversation with an answer, the logits of all its tokens. Every round runs every path once, in an order
   that changes; processor time is counted, and the ratio of a path is the median of its ratios by round.
2. training: one step of stage 2, a batch of four, with and without gradient checkpointing.
3. loading: a checkpoint in three files. Each of 2 and 3 is a process of its own (bench_lmm4lmm_memory.py).
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from transformers import LlamaModel
from transformers.models.internvl.modeling_internvl import InternVLVisionModel

import zeroiqa
from tests.tiny.lmm4lmm import lmm4lmm_config, write_lmm4lmm
from zeroiqa.chat.batching import TokenBudget
from zeroiqa.heads.lmm4lmm import picture
from zeroiqa.heads.lmm4lmm.checkpoint import load_model
from zeroiqa.heads.lmm4lmm.conversation import Conversation, load_conversation
from zeroiqa.heads.lmm4lmm.predictor import PublishedPredictor, load_published_predictor
from zeroiqa.heads.lmm4lmm.tokenizer import load_tokenizer
from zeroiqa.heads.questions import Dimension, question_of
from zeroiqa.speed.benchmark import make_views
from zeroiqa.types import Image
from zeroiqa.weights.options import ModelOptions

VOCABULARY = 92_553
TILE = {"patch_size": 14, "image_size": 448}
MODELS: dict[str, dict[str, Any]] = {
    "published vocabulary": lmm4lmm_config(
        VOCABULARY,
        vision={
            "hidden_size": 192,
            "intermediate_size": 768,
            "num_hidden_layers": 6,
            "num_attention_heads": 3,
            **TILE,
        },
        hidden_size=192,
        intermediate_size=672,
        num_hidden_layers=24,
        num_attention_heads=6,
        num_key_value_heads=2,
    ),
    "published proportions": lmm4lmm_config(
        4500,
        vision={
            "hidden_size": 192,
            "intermediate_size": 768,
            "num_hidden_layers": 4,
            "num_attention_heads": 3,
            **TILE,
        },
        hidden_size=512,
        intermediate_size=1792,
        num_hidden_layers=12,
        num_attention_heads=8,
        num_key_value_heads=2,
    ),
}
MEMORY = "published proportions"
"""Whose training and loading are measured."""
SIDES = (224, 336)
"""Of the tiles in training, in pixels: 320 and 720 image tokens. 448 would take some 20 GB without
checkpointing."""
ALLOCATORS = {
    "glibc as it is": {},
    "glibc gives back every block of 1 MiB": {"MALLOC_MMAP_THRESHOLD_": str(1 << 20)},
}
"""The second shows what the tensors need; the first also holds what it has not given back."""
IMAGES = 4
PROMPTS = (
    "a red cube",
    "two dogs and a cat play chess on the roof of a train that crosses a bridge",
    "an astronaut who rides a horse, in the style of a woodcut, with a very large moon over the hills",
    "four green apples in a glass bowl, and behind them a window with rain on it",
)
AGREEMENT = 1e-4
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Of mallopt, in malloc.h of glibc."""
REFERENCE = "published procedure"


def published(folder: Path, dimension: Dimension) -> Callable[[Sequence[Image]], list[float]]:
    """One image at a time: the whole conversation, the logits of all tokens, the fourth from the end read."""
    model = load_model(folder)
    conversation = load_conversation(folder, model)

    @torch.inference_mode()
    def score(image: Image) -> float:
        question, begun = question_of(dimension, image.prompt, "lmm4lmm")
        ids = torch.tensor([conversation.with_answer(question, f"{begun} excellent.").ids])
        pixels = picture.pixel_values(image.pixels)
        hidden = model.hidden_states(ids, pixels, torch.ones_like(ids), torch.ones(len(pixels)))
        model.language_model.lm_head(hidden).float()
        assert model.regression is not None
        return float(model.regression(hidden[:, -4]))

    return lambda images: [score(image) for image in images]


def paths(folder: Path, dimension: Dimension) -> dict[str, Callable[[Sequence[Image]], list[float]]]:
    """By name, what scores a list of images; the reference first."""
    alone = load_published_predictor(folder, dimension, ModelOptions(device="cpu", dtype="float32"))
    several = replace(alone, budget=TokenBudget(IMAGES * 2048))

    def scores(predictor: PublishedPredictor, images: Sequence[Image]) -> list[float]:
        questions = [question_of(dimension, image.prompt, "lmm4lmm") for image in images]
        return [each.score for each in predictor.predict(images, questions) if each.score is not None]

    return {
        REFERENCE: published(folder, dimension),
        "ours": lambda images: scores(alone, images),
        f"ours, batches of {IMAGES} as on a GPU": lambda images: scores(several, images),
        "the same, the allocator keeps its memory": lambda images: keeping(
            lambda some: scores(several, some), images
        ),
    }


def keeping(score: Callable[[Sequence[Image]], list[float]], images: Sequence[Image]) -> list[float]:
    """Score while glibc takes no memory from the system that it gives back at once.

    Activations of a batch are larger than its greatest threshold (32 MiB), so otherwise each of them is made
    of new pages, which the system fills with zeros.
    """
    library = ctypes.CDLL(None)
    library.mallopt(M_MMAP_MAX, 0)
    library.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    try:
        return score(images)
    finally:
        library.mallopt(M_MMAP_MAX, 65536)
        library.mallopt(M_TRIM_THRESHOLD, 64 << 20)
        library.malloc_trim(0)


@contextmanager
def watched(vocabulary: int) -> Iterator[dict[str, float]]:
    """Processor seconds by part, of what runs inside."""
    spent: dict[str, float] = defaultdict(float)
    begun: dict[int, float] = {}

    def part(module: torch.nn.Module) -> str | None:
        if isinstance(module, torch.nn.Linear):
            return "vocabulary" if module.out_features == vocabulary else None
        kinds = {InternVLVisionModel: "vision", LlamaModel: "language"}
        return kinds.get(type(module))

    def before(module: torch.nn.Module, _: Any) -> None:
        if part(module):
            begun[id(module)] = time.process_time()

    def after(module: torch.nn.Module, _: Any, __: Any) -> None:
        name = part(module)
        if name:
            spent[name] += time.process_time() - begun.pop(id(module))

    hooks = [register_module_forward_pre_hook(before), register_module_forward_hook(after)]
    start = time.process_time()
    try:
        yield spent
    finally:
        spent["all"] = time.process_time() - start
        for hook in hooks:
            hook.remove()


def shares(spent: dict[str, float]) -> dict[str, float]:
    """What part of the time each part takes; the rest is pictures, tokens, projector and regression."""
    known = {name: spent[name] for name in ("vision", "language", "vocabulary")}
    known["rest"] = spent["all"] - sum(known.values())
    return {name: round(seconds / spent["all"], 3) for name, seconds in known.items()}


def speed(folder: Path, config: dict[str, Any], dimension: Dimension, rounds: int) -> dict[str, Any]:
    """Every path's images per second, its ratio to the reference, and where its time goes."""
    views = make_views(7 * IMAGES, side=768)[::7]  # every seventh is a whole image
    images = [Image(view.pixels, str(number), PROMPTS[number]) for number, view in enumerate(views)]
    built = paths(folder, dimension)
    names = list(built)
    scores = {name: score(images[:1]) for name, score in built.items()}  # warms up
    times: dict[str, list[float]] = {name: [] for name in names}
    parts: dict[str, dict[str, float]] = {name: defaultdict(float) for name in names}
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            with watched(config["llm_config"]["vocab_size"]) as spent:
                scores[name] = built[name](images)
            times[name].append(spent["all"])
            for part, seconds in spent.items():
                parts[name][part] += seconds
        print(f"{dimension}: round {number + 1} of {rounds}", file=sys.stderr)
    apart = {
        name: max(abs(a - b) for a, b in zip(scores[REFERENCE], scores[name], strict=True)) for name in names
    }
    assert min(scores[REFERENCE]) > 0, "the last ReLU is closed: nothing is compared"
    assert max(apart.values()) < AGREEMENT, f"scores differ: {apart}"
    return {
        name: {
            "images per second": round(IMAGES / statistics.median(times[name]), 3),
            "ratio to the published procedure": round(statistics.median(ratios), 2),
            "ratios by round": [round(ratio, 2) for ratio in ratios],
            "shares of time": shares(parts[name]),
            "greatest difference of scores": apart[name],
        }
        for name in names
        for ratios in [[theirs / ours for theirs, ours in zip(times[REFERENCE], times[name], strict=True)]]
    }


def tokens(folder: Path, dimension: Dimension) -> dict[str, int]:
    """Of the prompts, as they are cut for us."""
    conversation = Conversation(load_tokenizer(folder), 256, str(folder))
    lengths = [len(conversation.prompt(question_of(dimension, prompt, "lmm4lmm"))) for prompt in PROMPTS]
    return {"fewest": min(lengths), "most": max(lengths), "of the image": 5 * 256}


def in_own_process(*arguments: str, **environment: str) -> dict[str, Any]:
    """What bench_lmm4lmm_memory.py measures."""
    script = Path(__file__).with_name("bench_lmm4lmm_memory.py")
    command = [sys.executable, str(script), *arguments]
    variables = {**os.environ, **environment}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=variables)
    print(done.stdout, file=sys.stderr)
    record: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return record


def steps(folder: Path, environment: dict[str, str]) -> dict[str, Any]:
    """A step with and without gradient checkpointing."""
    found: dict[str, Any] = {
        name: in_own_process("train", str(folder), name, **environment)
        for name in ("with checkpointing", "without checkpointing")
    }
    peaks = [part["MiB above the loaded model"] for part in found.values()]
    return {**found, "share of memory with checkpointing": round(peaks[0] / peaks[1], 2)}


def memory(workspace: Path) -> dict[str, Any]:
    """Training steps of two lengths, and loading from and to two types."""
    config = MODELS[MEMORY]
    training = {}
    for side in SIDES:
        sized = {**config, "vision_config": {**config["vision_config"], "image_size": side}}
        folder = workspace / f"side{side}"
        folder.mkdir()
        write_lmm4lmm(folder, config=sized)
        training[f"{5 * (side // 28) ** 2} image tokens"] = {
            allocator: steps(folder, environment) for allocator, environment in ALLOCATORS.items()
        }
    halved = workspace / "halved"
    halved.mkdir()
    write_lmm4lmm(halved, config=config, dtype=torch.bfloat16)
    whole = workspace / "whole"
    whole.mkdir()
    write_lmm4lmm(whole, config=config)
    folders = {"float32": whole, "bfloat16": halved}
    loading = {
        f"{held} to {wanted}": in_own_process("load", str(folder), wanted)
        for held, folder in folders.items()
        for wanted in folders
    }
    return {"training step of stage 2, four images, float32": training, "loading": loading}


def compare_speed(workspace: Path, rounds: int) -> dict[str, Any]:
    """Both models in both dimensions."""
    record: dict[str, Any] = {}
    dimensions: tuple[Dimension, ...] = ("perception", "correspondence")
    for label, config in MODELS.items():
        folder = workspace / label
        folder.mkdir()
        write_lmm4lmm(folder, config=config)
        weights = sum(weight.numel() for weight in load_model(folder).parameters())
        matrices = 2 * config["llm_config"]["vocab_size"] * config["llm_config"]["hidden_size"]
        record[label] = {
            "millions of weights": round(weights / 1e6, 1),
            "share of the vocabulary": round(matrices / weights, 2),
        }
        for dimension in dimensions:
            found = speed(folder, config, dimension, rounds)
            record[label][dimension] = {"tokens": tokens(folder, dimension), "paths": found}
            print(json.dumps(record[label][dimension], indent=1), file=sys.stderr)
    return record


def manifest() -> dict[str, Any]:
    """With what the figures were taken."""
    return {
        "command": "PYTHONPATH=. python " + " ".join(sys.argv),
        "date": datetime.now(UTC).date().isoformat(),
        "zeroiqa": zeroiqa.__version__,
        "machine": f"{platform.machine()}, one core of {os.cpu_count()}, shared; processor time",
        "libraries": {"python": platform.python_version()}
        | {name: version(name) for name in ("torch", "transformers", "safetensors", "peft", "numpy")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--part", choices=("speed", "memory"), help="only this one; the file keeps the other")
    parser.add_argument("--output", type=Path, default=Path("results/bench/lmm4lmm.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    output: Path = arguments.output
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as workspace:
        parts: dict[str, Callable[[], dict[str, Any]]] = {
            "speed": lambda: compare_speed(Path(workspace), arguments.rounds),
            "memory": lambda: memory(Path(workspace)),
        }
        for name in [arguments.part] if arguments.part else parts:
            found = {**parts[name](), "manifest": manifest()}
            record = json.loads(output.read_text(encoding="utf-8")) if output.exists() else {}
            output.write_text(json.dumps({**record, name: found}, indent=2) + "\n", encoding="utf-8")
    print(output.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
