"""`zeroiqa score`: score images into a run folder that can be resumed."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from zeroiqa.cli.job import Job, existing_run, job_options, output_option
from zeroiqa.cli.messages import say
from zeroiqa.cli.options import (
    ASPECTS,
    arithmetic_options,
    given,
    image_options,
    model_options,
    scale_option,
    segmenter_options,
    selection_options,
    setting,
)
from zeroiqa.files.storage import Location

if TYPE_CHECKING:
    from zeroiqa.images.selection import Selection
    from zeroiqa.settings import Settings


@click.command()
@click.argument("paths", nargs=-1)
@output_option
@click.option("--preset", help="Name of a preset, or a TOML file.  [default: embedded]")
@segmenter_options
@setting(
    "raters",
    "nss, fake[:SEED], a name of `zeroiqa models`, hf:REPOSITORY_OR_FOLDER, openai:URL#MODEL; repeat "
    "for an ensemble.",
    option="--rater",
)
@click.option(
    "--baseline",
    help="Instead of raters: a name of `zeroiqa baselines`, on the whole image; its unit is its own.",
)
@click.option(
    "--aspect",
    "aspects",
    multiple=True,
    type=click.Choice(ASPECTS),
    help="What to judge, by the word standard with as many levels as the preset's (else seven); repeat for "
    "several.",
)
@setting("standards", "Name or TOML file; repeat for several.", option="--standard")
@setting("crop", "How a region is shown to the rater.")
@setting("regions", "Find and rate regions though --lambda is 0, where they move no score.")
@setting("describe", "Also ask chat models for a sentence on each whole image; no score changes.")
@arithmetic_options
@scale_option
@model_options
@image_options
@selection_options
@click.option("--sidecar-prompts", is_flag=True, help="Read photo.txt beside photo.png as its text prompt.")
@job_options
def score(
    paths: tuple[str, ...],
    output: Location | None,
    preset: str | None,
    sidecar_prompts: bool,
    selection: Selection,
    job: Job,
    **choices: Any,
) -> None:
    """Score images: files, folders, glob patterns, lists (.txt, .csv, .xlsx ...), archives (.tar), all also
    on s3:// and gs://, or - for standard input (a list of paths, or one image).

    Scores run from 1 to 7 by most presets, higher is better. Results go into a run folder (scores.csv,
    scores.parquet, every rating); the same command resumes an interrupted run and computes nothing twice, but
    for images that had an error and are other files now or can be reached again. So does -o RUN without
    PATHS, with the run's own images and settings.

    The same command follows folders, patterns, lists and archives: images that are new there are scored,
    missing ones get the status gone. With other arithmetic (--lambda, --readout ...) it prints the table by
    that; scores.csv stays by the run's own.
    """
    from zeroiqa.images.find import find_images
    from zeroiqa.runs.naming import naming_of
    from zeroiqa.settings import DEFAULT_PRESET

    if paths:
        settings = _settings(preset or DEFAULT_PRESET, **choices)
        sources = find_images(paths, sys.stdin, sidecar_prompts=sidecar_prompts, selection=selection)
        naming = naming_of(paths, selection=selection, sidecar_prompts=sidecar_prompts, exact=job.exact)
        job.begin(paths, output, settings, sources, preset or DEFAULT_PRESET, naming)
    else:
        choices |= {"preset": preset, "sidecar_prompts": sidecar_prompts or None, **asdict(selection)}
        job.go_on(existing_run(output, given(**choices)))


def _settings(
    preset: str,
    *,
    baseline: str | None,
    aspects: tuple[str, ...],
    **choices: Any,
) -> Settings:
    from zeroiqa.settings import load_settings, preset_description

    if baseline is not None:
        choices |= _only_baseline(baseline, choices)
    if aspects:
        choices["standards"] = _word_standards(aspects, choices["standards"], preset)
    settings = load_settings(preset, given(**choices))
    if settings.raters == load_settings(preset).raters:
        say(f"{preset}: {preset_description(preset)}", err=True)
    return settings


def _only_baseline(name: str, choices: dict[str, Any]) -> dict[str, Any]:
    """A run of a baseline alone: its unit is its own, so that no mean with raters or others exists."""
    if choices["raters"]:
        raise click.UsageError(
            "--baseline stands alone; make a run with --rater too, and `zeroiqa compare` them."
        )
    return {"raters": (f"baseline:{name}",), "crop": choices["crop"] or "whole"}


def _word_standards(aspects: tuple[str, ...], chosen: tuple[str, ...], preset: str) -> tuple[str, ...]:
    """The shipped standards of the aspects, with as many levels as the preset's first; else with seven."""
    from zeroiqa.settings import load_settings
    from zeroiqa.standards import load_standard, standard_names

    if chosen:
        raise click.UsageError(
            "--aspect chooses a standard for each aspect; give it or --standard, not both."
        )
    k = load_standard(load_settings(preset).standards[0]).k
    named, seven = ([f"{aspect}-word-{each}" for aspect in dict.fromkeys(aspects)] for each in (k, 7))
    return tuple(named if set(named) <= set(standard_names()) else seven)
