"""Training of LMM4LMM on one's own ratings: from a checkpoint and a data set to a checkpoint."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import torch

from zeroiqa.errors import UserError, printable
from zeroiqa.heads.lmm4lmm.data import read_examples
from zeroiqa.heads.lmm4lmm.folds import divide
from zeroiqa.heads.lmm4lmm.training_export import export
from zeroiqa.heads.lmm4lmm.training_loop import Trainee, learn
from zeroiqa.heads.lmm4lmm.training_material import make_lessons
from zeroiqa.heads.lmm4lmm.training_options import Progress, Stage, TrainingOptions, TrainingResult
from zeroiqa.heads.lmm4lmm.training_start import load_start


def train(
    stage: Stage,
    start: Path,
    data: Path,
    output: Path,
    options: TrainingOptions,
    report: Callable[[Progress], None] = lambda progress: None,
) -> TrainingResult:
    """Train one stage and write a checkpoint with the best weights; after an interruption, resume it.

    The output is a checkpoint in the published layout, and `training.json`: settings and validations.

    Args:
        stage: See `Stage`.
        start: Folder of the checkpoint to start from, in the published layout: InternVL2.5 for stage 1 and
            for qa, the result of stage 1 for stage 2.
        data: See `zeroiqa.heads.lmm4lmm.data`.
        output: Folder of the result; new, or that of the same training, unfinished.
        options: See `TrainingOptions`.
        report: Called after every step, in every process.

    Raises:
        UserError: data, checkpoint or options do not fit; the output holds another training; the loss is no
            number, or no validation could tell the images apart.
    """
    if (output / "config.json").exists():
        raise UserError(f"{printable(str(output))} holds a finished training; name another folder.")
    lessons = make_lessons(stage, divide(read_examples(data), options.selection))

    def load(device: torch.device, dtype: torch.dtype) -> Trainee:
        return load_start(start, stage, device=device, dtype=dtype)

    state = output / "training"
    learnt = learn(stage, load, lessons, state, options, report)
    if learnt.is_main:
        record = {
            "settings": {**learnt.settings, "start": str(start)},
            "best": dataclasses.asdict(learnt.best),
            "history": [dataclasses.asdict(entry) for entry in learnt.history],
        }
        (output / "training.json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")
        export(learnt.trainee.model, stage, start, output)
        shutil.rmtree(state)
    return TrainingResult(output, learnt.best, learnt.history)
