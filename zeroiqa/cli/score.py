"""`zeroiqa score`: score images into a run folder that can be resumed."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zeroiqa.cli.estimate import Spending, describe, estimate_options
from zeroiqa.cli.execution import Execution, execution_options
from zeroiqa.cli.failures import Limit, LimitType, within
from zeroiqa.cli.options import (
    ASPECTS,
    arithmetic_options,
    format_option,
    given,
    image_options,
    model_options,
    normalized,
    segmenter_options,
)
from zeroiqa.cli.running import RUNS, carry_out, default_folder, opened_run
from zeroiqa.storage import Location, location

if TYPE_CHECKING:
    from zeroiqa.runs import Run
    from zeroiqa.settings import Settings


@click.command()
@click.argument("paths", nargs=-1)
@click.option("-o", "--output", type=location, help=f"Run folder.  [default: one under {RUNS}/]")
@click.option("--preset", help="Name of a preset, or a TOML file.  [default: embedded]")
@segmenter_options
@click.option(
    "--rater",
    "raters",
    multiple=True,
    help="nss, fake[:SEED], a name of `zeroiqa models`, hf:REPOSITORY_OR_FOLDER, openai:URL#MODEL; repeat "
    "for an ensemble.",
)
@click.option(
    "--baseline",
    help="Instead of raters: a name of `zeroiqa baselines`, on the whole image, in a unit of its own.",
)
@click.option(
    "--aspect",
    "aspects",
    multiple=True,
    type=click.Choice(ASPECTS),
    help="What to judge, by the word standard with as many levels as the preset's; repeat for several.",
)
@click.option("--standard", "standards", multiple=True, help="Name or TOML file; repeat for several.")
@click.option(
    "--crop", type=click.Choice(["bbox", "mask", "whole"]), help="How a region is shown to the rater."
)
@arithmetic_options
@model_options
@image_options
@click.option("--sidecar-prompts", is_flag=True, help="Read photo.txt beside photo.png as its text prompt.")
@execution_options
@click.option(
    "--shard",
    metavar="I/N",
    help="Do slice I of N of the run, I from 0; `slurm` takes both from a job array. See `zeroiqa merge`.",
)
@click.option(
    "--max-failures",
    type=LimitType(),
    help="Stop once more images than that have an error; a number, or a share of all, such as 5%.",
)
@click.option("--add", is_flag=True, help="Take images into the run that it does not have yet.")
@click.option("--plan-only", is_flag=True, help="Make the run folder and its plan, and score nothing yet.")
@estimate_options
@format_option
def score(
    paths: tuple[str, ...],
    output: Location | None,
    preset: str | None,
    execution: Execution,
    sidecar_prompts: bool,
    shard: str | None,
    max_failures: Limit | None,
    add: bool,
    plan_only: bool,
    dry_run: bool,
    spending: Spending,
    style: str,
    **choices: Any,
) -> None:
    """Score images: files, folders, glob patterns, lists (.txt, .csv, .parquet), archives (.tar), all also
    on s3:// and gs://, or - for standard input.

    Scores run from 1 to 7, higher is better. Results go into a run folder (scores.csv, scores.parquet, every
    rating); the same command resumes an interrupted run and computes nothing twice. So does -o RUN without
    PATHS, with the run's own images and settings.
    """
    from zeroiqa.inputs import find_images
    from zeroiqa.runs.slices import parse_slice
    from zeroiqa.settings import DEFAULT_PRESET

    part = None if shard is None else parse_slice(shard, os.environ)
    if not paths:
        if add or sidecar_prompts or dry_run:
            raise click.UsageError("--add, --sidecar-prompts and --dry-run need PATHS, the images.")
        run = _existing_run(output, given(preset=preset, **choices))
        executor = execution.executor(run.n_images, run.settings)
    else:
        settings = _settings(preset or DEFAULT_PRESET, **choices)
        sources = find_images(paths, sys.stdin, sidecar_prompts=sidecar_prompts)
        executor = execution.executor(len(sources), settings)  # refuses before anything is written

        def folder() -> Location:
            return output or default_folder(paths, settings, sources)

        if dry_run:
            describe(folder, settings, sources, executor.description, spending)
            return
        run = opened_run(folder(), settings, sources, preset or DEFAULT_PRESET, add=add)
    for warning in run.warnings:
        click.echo(f"Warning: {warning}", err=True)
    if plan_only:
        click.echo(f"{run.n_images} images in {run.n_shards} shards are planned in {run.folder}.", err=True)
    else:
        carry_out(run, within(max_failures, executor), part, style)


def _settings(
    preset: str,
    *,
    baseline: str | None,
    aspects: tuple[str, ...],
    lam: float | None,
    areas: str | None,
    **choices: Any,
) -> Settings:
    from zeroiqa.settings import load_settings, preset_description

    choices |= {"lambda": lam, "normalize_areas": normalized(areas)}
    if baseline is not None:
        choices |= _only_baseline(baseline, choices)
    if aspects:
        choices["standards"] = _word_standards(aspects, choices["standards"], preset)
    settings = load_settings(preset, given(**choices))
    if settings.raters == load_settings(preset).raters:
        click.echo(f"{preset}: {preset_description(preset)}", err=True)
    return settings


def _existing_run(folder: Location | None, choices: dict[str, Any]) -> Run:
    """A run that goes on with its own images and settings, perhaps on another device."""
    from zeroiqa.runs import load_run
    from zeroiqa.runs.identity import PLACE_AND_PERMISSION

    if folder is None:
        raise click.UsageError("Name the images; or, with -o, the folder of a run that shall go on.")
    others = [
        option.opts[0]
        for option in click.get_current_context().command.params
        if option.name in choices and option.name not in PLACE_AND_PERMISSION
    ]
    if others:
        raise click.UsageError(
            f"{folder} goes on with its own settings, but {', '.join(others)} was given; leave that out, or "
            "name the images, too."
        )
    run = load_run(folder)
    _check_folder(run)
    return replace(run, settings=replace(run.settings, **choices))


def _check_folder(run: Run) -> None:
    """Refuse to make an error row of every image because the command is given in another folder."""
    from zeroiqa.errors import UserError, printable
    from zeroiqa.runs import pending
    from zeroiqa.runs.plan import planned

    left = pending(run)
    paths = [image.stored.place for image in planned(run.folder, left[0])] if left else []
    relative = [path for path in paths if "://" not in path and not Path(path).is_absolute()]
    if relative and not any(os.path.lexists(path) for path in relative):
        raise UserError(
            f"{printable(relative[0])} is not found from here ({Path.cwd()}); give the command in the folder "
            f"in which {run.folder} was planned."
        )


def _only_baseline(name: str, choices: dict[str, Any]) -> dict[str, Any]:
    """A run of a baseline alone: its unit is its own, so that no mean with raters or others exists."""
    if choices["raters"]:
        raise click.UsageError(
            "--baseline stands alone; make a run with --rater too, and `zeroiqa compare` them."
        )
    return {"raters": (f"baseline:{name}",), "crop": choices["crop"] or "whole"}


def _word_standards(aspects: tuple[str, ...], chosen: tuple[str, ...], preset: str) -> tuple[str, ...]:
    """The shipped standards of the aspects, with as many levels as the preset's first standard."""
    from zeroiqa.settings import load_settings
    from zeroiqa.standards import load_standard

    if chosen:
        raise click.UsageError(
            "--aspect chooses a standard for each aspect; give it or --standard, not both."
        )
    k = load_standard(load_settings(preset).standards[0]).k
    return tuple(f"{aspect}-word-{k}" for aspect in dict.fromkeys(aspects))
