"""Training of LMM4LMM on one's own ratings: from a checkpoint and a data set to a checkpoint."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import torch

from zeroiqa.errors import UserError, printable
from zeroiqa.heads.backbone.trainable import load_chat_trainee
from zeroiqa.heads.backbone.weights import RECORD, is_learnt
from zeroiqa.heads.folds import divide
from zeroiqa.heads.lmm4lmm.trainable import load_published_trainee
from zeroiqa.heads.ratings import read_examples
from zeroiqa.heads.training.examples import check_images, make_lessons
from zeroiqa.heads.training.loop import learn
from zeroiqa.heads.training.options import Progress, Stage, TrainingOptions, TrainingResult
from zeroiqa.heads.training.trainable import Trainee


def train(
    stage: Stage,
    start: str | Path,
    data: Path,
    output: Path,
    options: TrainingOptions,
    report: Callable[[Progress], None] = lambda progress: None,
) -> TrainingResult:
    """Train one stage and write a checkpoint with the best weights; after an interruption, resume it.

    The output is a checkpoint in the published layout, or what was learnt on a chat model (see
    `zeroiqa.heads.backbone.weights`); and `training.json`: settings and validations.

    Args:
        stage: See `Stage`.
        start: Folder of the checkpoint to start from: InternVL2.5 in the published layout for stage 1 and
            for qa, the result of stage 1 for stage 2. Or, as a string, any chat model: hf:REPOSITORY,
            hf:FOLDER, or a name of the list.
        data: See `zeroiqa.heads.ratings`.
        output: Folder of the result; new, or that of the same training, unfinished.
        options: See `TrainingOptions`.
        report: Called after every step, in every process.

    Raises:
        UserError: data, checkpoint or options do not fit; the output holds another training; the loss is no
            number, or no validation could tell the images apart.
    """
    if any((output / name).exists() for name in ("config.json", RECORD)):
        raise UserError(f"{printable(str(output))} holds a finished training; name another folder.")
    lessons = make_lessons(stage, divide(read_examples(data), options.selection))

    def load(device: torch.device, dtype: torch.dtype) -> Trainee:
        if isinstance(start, str) or is_learnt(start):
            return load_chat_trainee(start, stage, device=device, dtype=dtype)
        return load_published_trainee(start, stage, device=device, dtype=dtype)

    state = output / "training"
    if not state.exists():
        check_images(lessons, int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))
    learnt = learn(stage, load, lessons, state, options, report)
    if learnt.is_main:
        record = {
            "start": str(start),
            "settings": learnt.settings,
            "best": dataclasses.asdict(learnt.best),
            "history": [dataclasses.asdict(entry) for entry in learnt.history],
        }
        (output / "training.json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")
        learnt.trainee.export(stage, output)
        shutil.rmtree(state)
    return TrainingResult(output, learnt.best, learnt.history)
