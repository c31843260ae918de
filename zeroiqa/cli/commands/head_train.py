"""`zeroiqa head train`: train a fine-tuned model on one's own ratings."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zeroiqa.cli.command import command
from zeroiqa.cli.commands.head_names import (
    CommandWithList,
    LazyChoice,
    stage_names,
    stage_rows,
    trainable_names,
)
from zeroiqa.cli.messages import say
from zeroiqa.cli.options import given
from zeroiqa.cli.pace import Pace
from zeroiqa.cli.progress import PLAIN_SECONDS, duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from zeroiqa.heads.entry import TrainingEntry
    from zeroiqa.heads.training.options import Progress


@command(
    "train",
    cls=CommandWithList,
    title="Stages",
    rows=stage_rows,
    examples=[
        (
            "head train lmm4lmm --stage 2 --data mine.csv --start lmm4lmm -o mine",
            "go on from a checkpoint, with ratings of your own",
        )
    ],
)
@click.argument("name", type=LazyChoice(trainable_names))
@click.option("--stage", type=LazyChoice(stage_names), required=True, help="What is learnt: see below.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    required=True,
    help="Table (.csv, .xlsx ...) with image and mos or answer, perhaps prompt, question and split; or the "
    "published meta file (.json) or conversations (.jsonl).",
)
@click.option("--start", type=click.Path(path_type=Path), help="Folder of the checkpoint to start from.")
@click.option(
    "--backbone",
    help="In place of --start: any chat model, as raters are named (hf:REPOSITORY, hf:FOLDER, or a name of "
    "`zeroiqa models`).",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder of the new checkpoint."
)
@click.option("--epochs", type=click.IntRange(min=1), help="[default: those of the stage]")
@click.option("--batch-size", type=click.IntRange(min=1), help="Examples of a step.  [default: 8]")
@click.option("--learning-rate", type=click.FloatRange(min=0, min_open=True), help="[default: 1e-5]")
@click.option(
    "--validation",
    help="Which images the best weights are chosen by: fold:1 to fold:5, or share:0.1; never those of the "
    "test part.  [default: fold:1]",
)
@click.option(
    "--select-on-test",
    is_flag=True,
    help="Choose on the test part, as the published code does; its scores there are then too good.",
)
@click.option("--every", type=click.IntRange(min=1), help="Steps between validations.  [default: an epoch]")
@click.option(
    "--checkpointing/--no-checkpointing", default=None, help="Less memory, more time.  [default: on]"
)
@click.option("--device", help="auto, cpu or cuda.")
@click.option(
    "--dtype", type=click.Choice(["auto", "float32", "bfloat16", "float16"]), help="Of frozen weights."
)
@click.option("--seed", type=int, help="[default: 0]")
def train_head(
    name: str,
    stage: str,
    data: Path,
    start: Path | None,
    backbone: str | None,
    output: Path,
    validation: str | None,
    select_on_test: bool,
    **choices: Any,
) -> None:
    """Train a head on ratings (extra `train`); the same command resumes an interrupted training.

    Several GPUs: `torchrun --standalone --nproc-per-node N -m zeroiqa head train ...`. The result is a
    checkpoint for `zeroiqa head score`; training.json in it holds the settings and every validation. With
    --backbone it has only what was learnt, so that scoring needs the backbone's weights, too. Images are
    decoded once before the training begins: a broken one is named then.
    """
    from zeroiqa.heads.folds import FoldChoice
    from zeroiqa.heads.registry import HEADS
    from zeroiqa.heads.training.options import TrainingOptions
    from zeroiqa.heads.training.train import train
    from zeroiqa.weights.devices import find_device

    training = HEADS.find(name)[0].training
    assert training is not None  # or it is none of the choices
    _check_choices(name, training, stage, backbone)
    if choices["device"] is not None:
        find_device(choices["device"])  # before images are decoded and weights fetched
    first = start or backbone
    if first is None or (start and backbone):
        raise click.UsageError("Give one of --start FOLDER and --backbone hf:REPOSITORY.")
    speaks = os.environ.get("RANK", "0") == "0"  # one of the processes that torchrun starts
    chosen = given(rule=validation, seed=choices["seed"], select_on="test" if select_on_test else None)
    options = TrainingOptions(selection=FoldChoice(**chosen), **given(**choices))
    try:
        report = _reporter() if speaks else lambda progress: None
        result = train(training.load_recipe(), stage, first, data, output, options, report)
    except KeyboardInterrupt:
        say(f"Stopped. The same command resumes the training in {output}.", err=True)
        raise click.exceptions.Exit(130) from None
    if not speaks:
        return
    what = training.measures.get(stage, "SRCC")
    say(f"validation {what} {result.best.value:.3f} after {result.best.step} steps: {result.folder}")


def _check_choices(name: str, training: TrainingEntry, stage: str, backbone: str | None) -> None:
    """Raise `click.UsageError` for what the head has not."""
    if stage not in training.stages:
        raise click.UsageError(f"{name} has no stage {stage}; choose one of {', '.join(training.stages)}.")
    if backbone and not training.takes_backbone:
        raise click.UsageError(f"{name} takes no --backbone.")


def _reporter() -> Callable[[Progress], None]:
    """A line on standard error for each validation, and now and then between them."""
    last = time.monotonic()
    pace: Pace | None = None

    def report(progress: Progress) -> None:
        nonlocal last, pace
        now = time.monotonic()
        pace = pace or Pace(progress.steps - progress.step + 1)
        pace.advance(1)
        if progress.validation is None and now - last < PLAIN_SECONDS:
            return
        last = now
        found = "" if progress.validation is None else f", validation {progress.validation:.3f}"
        left = pace.seconds_left()
        about = "" if left is None else f", about {duration(left)} left"
        say(f"step {progress.step}/{progress.steps}, loss {progress.loss:.4g}{found}{about}", err=True)

    return report
