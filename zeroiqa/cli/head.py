"""`zeroiqa head`: fine-tuned models to compare with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zeroiqa.cli.execution import Execution, execution_options
from zeroiqa.cli.failures import Limit, LimitType, within
from zeroiqa.cli.head_train import train_head
from zeroiqa.cli.options import device_options, format_option, given, image_options
from zeroiqa.cli.running import RUNS, carry_out, default_folder, opened_run
from zeroiqa.errors import UserError, printable
from zeroiqa.storage import Location, location

if TYPE_CHECKING:
    from zeroiqa.inputs import Source

HEADS = ("lmm4lmm:perception", "lmm4lmm:correspondence", "lmm4lmm:qa")
_TEXTS = {"lmm4lmm:correspondence": "prompts", "lmm4lmm:qa": "questions"}


@click.group()
def head() -> None:
    """Models that were fine-tuned on ratings, for comparison with the training-free score."""


head.add_command(train_head)


@head.command("score")
@click.argument("name", type=click.Choice(HEADS))
@click.argument("paths", nargs=-1, required=True)
@click.option("--weights", required=True, type=click.Path(path_type=Path), help="Folder of a checkpoint.")
@click.option("-o", "--output", type=location, help=f"Run folder.  [default: one under {RUNS}/]")
@click.option(
    "--prompts",
    type=click.Path(path_type=Path),
    help="For correspondence: a text file with a line for each image, in their order; or give the images "
    "by a list with a column prompt.",
)
@click.option("--questions", type=click.Path(path_type=Path), help="For qa: the same with questions.")
@device_options
@image_options
@execution_options
@click.option("--max-failures", type=LimitType(), help="Stop once more images than that have an error.")
@format_option
def score(
    name: str,
    paths: tuple[str, ...],
    weights: Path,
    output: Location | None,
    prompts: Path | None,
    questions: Path | None,
    execution: Execution,
    max_failures: Limit | None,
    style: str,
    **choices: Any,
) -> None:
    """Score images by LMM4LMM; PATHS as for `zeroiqa score`.

    perception is the quality, correspondence how well an image shows its text prompt, both on the scale of
    the ratings that the weights were trained on, higher is better; qa the probability that the answer to a
    question is yes. The whole image is looked at. The run folder is that of `zeroiqa score`, so the same
    command resumes, and `zeroiqa evaluate` and `compare` read it.
    """
    from zeroiqa.inputs import find_images
    from zeroiqa.raters.head import ASPECTS
    from zeroiqa.settings import load_settings

    wanted = _TEXTS.get(name)
    for option, file in (("prompts", prompts), ("questions", questions)):
        if file is not None and option != wanted:
            raise click.UsageError(f"{name} takes no --{option}.")
    aspect = next(about for dimension, about in ASPECTS.items() if name.endswith(f":{dimension}"))
    settings = load_settings(
        overrides={
            **given(**choices),
            "raters": [f"head:{name}:{weights}"],
            "standards": [f"{aspect}-word-7"],
            "crop": "whole",
        }
    )
    sources = find_images(paths, sys.stdin)
    file = prompts or questions
    if file is not None:
        sources = _with_texts(sources, file)
    executor = execution.executor(len(sources), settings)
    folder = output or default_folder(paths, settings, sources)
    run = opened_run(folder, settings, sources, name)
    for warning in run.warnings:
        click.echo(f"Warning: {warning}", err=True)
    carry_out(run, within(max_failures, executor), None, style)


def _with_texts(sources: list[Source], file: Path) -> list[Source]:
    """The images with the lines of a file, which are stripped as the published code does it."""
    shown = printable(str(file))
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{shown} cannot be read ({error}); name a text file in UTF-8.") from error
    while lines and not lines[-1].strip():
        lines.pop()
    if len(lines) != len(sources):
        raise UserError(
            f"{shown} has {len(lines)} lines for {len(sources)} images; one line for each image is needed, "
            "in the order in which the images are found."
        )
    return [source._replace(prompt=line.strip() or None) for source, line in zip(sources, lines, strict=True)]
