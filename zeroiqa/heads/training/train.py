"""Training of a head on one's own ratings: from a checkpoint and a data set to a checkpoint."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import torch

from zeroiqa.errors import UserError, printable
from zeroiqa.heads.folds import divide
from zeroiqa.heads.ratings import read_training_data
from zeroiqa.heads.training.examples import check_images
from zeroiqa.heads.training.loop import learn
from zeroiqa.heads.training.options import Progress, TrainingOptions, TrainingResult
from zeroiqa.heads.training.trainable import Recipe, Trainable

_COMPLETE = ("config.json", "head.json")
"""Written last: a folder with one of these is a finished head, or another model."""
_ADAPTER = "adapter_config.json"
"""Peft's: of another training, unless the writing of this one was interrupted."""


def train(
    recipe: Recipe,
    stage: str,
    start: str | Path,
    data: Path,
    output: Path,
    options: TrainingOptions,
    report: Callable[[Progress], None] = lambda progress: None,
) -> TrainingResult:
    """Train one stage and write a checkpoint with the best weights; after an interruption, resume it.

    The output is what the head writes, and `training.json`: settings and validations.

    Args:
        recipe: Of the head: `zeroiqa.heads.registry.HEADS.find(name)[0].training.load_recipe()`.
        stage: One of the head's.
        start: Folder of the checkpoint to start from. Or, as a string, any chat model (hf:REPOSITORY,
            hf:FOLDER, or a name of the list), if the head takes one.
        data: See `zeroiqa.heads.ratings`.
        output: Folder of the result; new, or that of the same training, unfinished.
        options: See `TrainingOptions`.
        report: Called after every step, in every process.

    Raises:
        UserError: data, checkpoint or options do not fit; the output holds another training; the loss is no
            number, or no validation could tell the images apart.
    """
    state = output / "training"
    marks = _COMPLETE if state.exists() else (*_COMPLETE, _ADAPTER)
    if any((output / name).exists() for name in marks):
        raise UserError(f"{printable(str(output))} holds a finished training; name another folder.")
    folds = divide(read_training_data(data), options.selection)
    examples = recipe.make_examples(stage, folds)
    if not state.exists():
        check_images(examples, int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))

    def load(device: torch.device, dtype: torch.dtype) -> Trainable:
        return recipe.load(start, stage, device=device, dtype=dtype)

    outcome = learn(stage, load, examples, state, options, report)
    if outcome.is_main:
        record = {
            "start": str(start),
            "settings": outcome.settings,
            "best": dataclasses.asdict(outcome.best),
            "history": [dataclasses.asdict(entry) for entry in outcome.history],
        }
        (output / "training.json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")
        outcome.trainable.export(output)
        shutil.rmtree(state)
    return TrainingResult(output, outcome.best, outcome.history)
