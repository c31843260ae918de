"""Memory of one process that loads LMM4LMM or trains it: what bench_lmm4lmm.py starts for each case.

    python scripts/bench_lmm4lmm_memory.py load FOLDER float32|bfloat16
    python scripts/bench_lmm4lmm_memory.py train FOLDER "with checkpointing"|"without checkpointing"

Prints one line of JSON. Memory is the greatest that the process had (VmHWM), so this is for Linux.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import peft  # noqa: F401 -- what training imports must not count
import torch
from accelerate import Accelerator  # noqa: F401
from PIL import Image as PilImage
from torch.nn.modules.module import register_module_forward_pre_hook

from zeroiqa.heads.folds import FoldChoice
from zeroiqa.heads.lmm4lmm.checkpoint import load_model
from zeroiqa.heads.lmm4lmm.trainable import RECIPE
from zeroiqa.heads.training.options import Progress, TrainingOptions
from zeroiqa.heads.training.train import train
from zeroiqa.speed.benchmark import make_views

BATCH = 4
LEARNT, CHOSEN_ON = 3 * BATCH, 3
PROMPT = "a photo of a small boat in a harbour at dawn"


class EnoughError(Exception):
    """Ends a training of which no more is wanted."""


def memory(name: str) -> float:
    """MiB of this process: VmRSS now, VmHWM at most."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1024


def load(folder: Path, dtype: str) -> dict[str, Any]:
    """What a load takes beside the model."""
    before = memory("VmRSS")
    start = time.process_time()
    model = load_model(folder, dtype=getattr(torch, dtype))
    seconds = time.process_time() - start
    size = sum(weight.nbytes for weight in model.parameters()) / 2**20
    files = [path.stat().st_size / 2**20 for path in folder.glob("*.safetensors")]
    return {
        "MiB of the model": round(size),
        "MiB of the largest file": round(max(files)),
        "files": len(files),
        "MiB at most beside the model": round(memory("VmHWM") - before - size),
        "MiB left beside the model": round(memory("VmRSS") - before - size),
        "processor seconds": round(seconds, 1),
    }


def write_ratings(folder: Path) -> Path:
    """Images with ratings: enough for three steps, and some to choose on."""
    rows = ["image,mos,prompt,split"]
    views = make_views(7 * (LEARNT + CHOSEN_ON), side=512)[::7]  # every seventh is a whole image
    for number, view in enumerate(views):
        PilImage.fromarray(view.pixels).save(folder / f"{number}.jpg")
        rows.append(f"{number}.jpg,{10 + 4 * number},{PROMPT},{'train' if number < LEARNT else 'test'}")
    (folder / "ratings.csv").write_text("\n".join(rows) + "\n", "utf-8")
    return folder / "ratings.csv"


def step(folder: Path, checkpointing: bool) -> dict[str, Any]:
    """What two steps of stage 2 take beside what is there before them, and the time of the second."""
    model = load_model(folder)
    size = sum(weight.nbytes for weight in model.parameters()) / 2**20
    del model
    options = TrainingOptions(
        epochs=1,
        batch_size=BATCH,
        selection=FoldChoice(select_on="test"),
        checkpointing=checkpointing,
        dtype="float32",
        device="cpu",
    )
    times: list[float] = []
    loaded: list[float] = []

    def before(_: torch.nn.Module, __: Any) -> None:
        if not loaded:  # the first step begins: what loading and importing took at most is not asked for
            Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
            loaded.append(memory("VmRSS"))

    def note(progress: Progress) -> None:
        times.append(time.process_time())
        if progress.step == 2:
            raise EnoughError

    with tempfile.TemporaryDirectory() as made:
        data = write_ratings(Path(made))
        hook = register_module_forward_pre_hook(before)
        with suppress(EnoughError):
            train(RECIPE, "2", folder, data, Path(made) / "trained", options, note)
        hook.remove()
    return {
        "MiB of the model": round(size),
        "MiB above the loaded model": round(memory("VmHWM") - loaded[0]),
        "processor seconds": round(times[1] - times[0], 1),
    }


def main() -> None:
    task, folder, how = sys.argv[1:]
    torch.set_num_threads(1)
    found = load(Path(folder), how) if task == "load" else step(Path(folder), how == "with checkpointing")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
