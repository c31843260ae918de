"""`zeroiqa head`: fine-tuned models to compare with."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zeroiqa.cli.command import group
from zeroiqa.cli.commands.head_names import CommandWithList, LazyChoice, dimension_rows, scoring_names
from zeroiqa.cli.commands.head_train import train_head
from zeroiqa.cli.job import Job, existing_run, job_options, output_option
from zeroiqa.cli.options import device_options, given, image_options, pickle_option, selection_options
from zeroiqa.errors import UserError
from zeroiqa.files.storage import Location

if TYPE_CHECKING:
    from zeroiqa.images.ref import ImageRef
    from zeroiqa.images.selection import Selection
    from zeroiqa.runs import Run
    from zeroiqa.settings import Settings


@group()
def head() -> None:
    """Models that were fine-tuned on ratings, for comparison with the training-free score."""


head.add_command(train_head)


@head.command(
    "score",
    cls=CommandWithList,
    title="Heads",
    rows=dimension_rows,
    examples=[
        (
            "head score lmm4lmm:perception photos --weights lmm4lmm -o run",
            "the perceived quality, into a run as `zeroiqa score` makes them",
        )
    ],
)
@click.argument("name", type=LazyChoice(scoring_names), required=False)
@click.argument("paths", nargs=-1)
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    help="Folder of a checkpoint, or one that `zeroiqa head train` wrote.",
)
@output_option
@click.option(
    "--prompts",
    type=click.Path(path_type=Path),
    help="For correspondence: a table with a column image and a column prompt, or a text file with a "
    "line for each image, in their order; or give the images by a list with a column prompt.",
)
@click.option("--questions", type=click.Path(path_type=Path), help="For qa: the same with questions.")
@click.option(
    "--sidecar-prompts", is_flag=True, help="Read photo.txt beside photo.png as its prompt or question."
)
@selection_options
@device_options
@pickle_option
@image_options
@job_options
def score(
    name: str | None,
    paths: tuple[str, ...],
    weights: Path | None,
    output: Location | None,
    prompts: Path | None,
    questions: Path | None,
    sidecar_prompts: bool,
    selection: Selection,
    job: Job,
    **choices: Any,
) -> None:
    """Score images by a fine-tuned model.

    PATHS as for `zeroiqa score`.

    Higher is better. The whole image is looked at. With a score comes the most probable of five levels, from
    1 (bad) to 5 (excellent), as a column of scores.csv; the parts of the run keep the probabilities of all.

    The run folder is that of `zeroiqa score`, so `zeroiqa evaluate`, `compare`, `merge` and `verify` read it.
    The same command resumes a run, and so does -o RUN without anything else.
    """
    from zeroiqa.images.find import find_images
    from zeroiqa.runs.naming import naming_of

    if name is None or not paths:
        texts = given(prompts=prompts, questions=questions, sidecar_prompts=sidecar_prompts or None)
        run, settings = existing_run(output, given(weights=weights, **texts, **asdict(selection), **choices))
        _check_head(run, name)
        if choices["device"] is not None:
            job.check_device([settings])
        job.go_on(run, settings)
        return
    if weights is None:
        raise click.UsageError("--weights is needed, the folder of a checkpoint.")
    _refuse_texts(name, {"prompts": prompts, "questions": questions, "sidecar-prompts": sidecar_prompts})
    settings = _settings(name, weights, choices)
    job.check_device([settings])
    sources = find_images(paths, sys.stdin, sidecar_prompts=sidecar_prompts, selection=selection)
    table = prompts or questions
    sources = _with_texts(sources, table, name)
    naming = naming_of(
        paths, selection=selection, sidecar_prompts=sidecar_prompts, texts=table, exact=job.exact
    )
    job.begin(paths, output, settings, sources, name, naming)


def _settings(name: str, weights: Path, choices: dict[str, Any]) -> Settings:
    from zeroiqa.heads.registry import find_head
    from zeroiqa.settings import load_settings

    aspect = find_head(name).dimension.aspect
    rater = {"raters": [f"head:{name}:{weights}"], "standards": [f"{aspect}-word-7"], "crop": "whole"}
    return load_settings(overrides={**given(**choices), **rater})


def _check_head(run: Run, name: str | None) -> None:
    """Refuse to go on with a run of something else than the command says."""
    wanted = "head:" if name is None else f"head:{name}:"
    if not any(rater.startswith(wanted) for rater in run.settings.raters):
        raise UserError(
            f"{run.folder} holds ratings by {', '.join(run.settings.raters)}, not by {name or 'a head'}; "
            f"`zeroiqa score -o {run.folder}` goes on with it."
        )


def _refuse_texts(name: str, chosen: dict[str, object]) -> None:
    """Raise `click.UsageError` for texts that the head does not read."""
    text = _text_of(name)
    reads = (text, "sidecar-prompts") if text else ()
    for option, value in chosen.items():
        if value and option not in reads:
            raise click.UsageError(f"{name} takes no --{option}.")


def _with_texts(sources: list[ImageRef], file: Path | None, name: str) -> list[ImageRef]:
    """The images with the texts that the head reads; each one without becomes a row with an error.

    Raises:
        UserError: the file does not fit, or no image has a text at all.
    """
    from zeroiqa.images.prompts import with_prompts

    if file is not None:
        sources = with_prompts(sources, file)
    option = _text_of(name)
    if option and not any(source.prompt for source in sources):
        raise UserError(
            f"{name} needs {option}, found none for {len(sources)} images; give --{option} FILE with a line "
            "for each image, a list with a column prompt, or --sidecar-prompts."
        )
    return sources


def _text_of(name: str) -> str | None:
    """The option that gives what the head reads beside each image."""
    from zeroiqa.heads.registry import find_head

    return find_head(name).dimension.text
