"""`zeroiqa score`: score images into a run folder that can be resumed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zeroiqa.cli.options import (
    ASPECTS,
    arithmetic_options,
    format_option,
    given,
    image_options,
    model_options,
    normalized,
    segmenter_options,
    worker_count,
    workers_option,
)

if TYPE_CHECKING:
    from zeroiqa.inputs import Source
    from zeroiqa.results import ImageScore
    from zeroiqa.runs import Run
    from zeroiqa.settings import Settings

RUNS = Path("zeroiqa-runs")
"""Where runs go without -o: a folder for each set of images and settings, so that a command resumes."""


@click.command()
@click.argument("paths", nargs=-1, required=True)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help=f"Run folder.  [default: one under {RUNS}/]"
)
@click.option("--preset", default="embedded", show_default=True, help="Name of a preset, or a TOML file.")
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
@workers_option
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@format_option
def score(
    paths: tuple[str, ...],
    output: Path | None,
    preset: str,
    baseline: str | None,
    aspects: tuple[str, ...],
    workers: str,
    sidecar_prompts: bool,
    dry_run: bool,
    style: str,
    **choices: Any,
) -> None:
    """Score images: files, folders, glob patterns, lists of paths (.txt, .csv), or - for standard input.

    Scores run from 1 to 7, higher is better. Results go into a run folder (scores.csv, scores.parquet, every
    rating); the same command resumes an interrupted run and computes nothing twice.
    """
    from zeroiqa.inputs import find_images
    from zeroiqa.settings import load_settings, preset_description

    choices["lambda"] = choices.pop("lam")
    choices["normalize_areas"] = normalized(choices.pop("areas"))
    if baseline is not None:
        choices |= _only_baseline(baseline, choices)
    if aspects:
        choices["standards"] = _word_standards(aspects, choices["standards"], preset)
    settings = load_settings(preset, given(**choices))
    if settings.raters == load_settings(preset).raters:
        click.echo(f"{preset}: {preset_description(preset)}", err=True)
    sources = find_images(paths, sys.stdin, sidecar_prompts=sidecar_prompts)
    count = worker_count(workers, len(sources), settings)
    folder = output or _default_folder(paths, settings, sources)
    if dry_run:
        _describe(folder, settings, sources, count)
    else:
        _run(folder, settings, sources, preset, count, style)


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


def _run(
    folder: Path, settings: Settings, sources: list[Source], preset: str, workers: int, style: str
) -> None:
    from zeroiqa.cli.output import a_reader_that_may_leave
    from zeroiqa.runs import open_run, status, write_scores

    run = open_run(folder, settings, sources, preset=preset)
    for warning in run.warnings:
        click.echo(f"Warning: {warning}", err=True)
    if run.added:
        click.echo(f"{folder} gets ratings by {', '.join(run.added)}; what it has is kept.", err=True)
    try:
        with a_reader_that_may_leave():
            _emit(run, workers, style)
        write_scores(run)
    except KeyboardInterrupt:
        click.echo(
            f"Stopped. {folder} keeps what is finished; the same command goes on from there.", err=True
        )
        raise click.exceptions.Exit(130) from None
    errors = status(run).errors
    click.echo(f"{run.n_images} images, {errors} with an error. Scores and ratings: {folder}", err=True)


def _emit(run: Run, workers: int, style: str) -> None:
    """Do what is left of the run and print its results, row by row where the format allows."""
    from zeroiqa.cli.output import table, write_rows
    from zeroiqa.runs import iter_scores, score_columns

    if style == "table":
        for _ in _finished_shards(run, workers):
            pass
        for line in table(iter_scores(run)):
            click.echo(line)
    else:
        write_rows(_in_plan_order(run, workers), style, score_columns(run), sys.stdout)


def _in_plan_order(run: Run, workers: int) -> Iterator[ImageScore]:
    """Results as early as their turn comes, though shards may finish in any order."""
    from zeroiqa.runs import pending, read_scores

    left = set(pending(run))
    due = iter(range(run.n_shards))
    turn = next(due, None)

    def ready() -> Iterator[ImageScore]:
        nonlocal turn
        while turn is not None and turn not in left:
            yield from read_scores(run, turn)
            turn = next(due, None)

    yield from ready()
    for shard in _finished_shards(run, workers):
        left.discard(shard)
        yield from ready()


def _finished_shards(run: Run, workers: int) -> Iterator[int]:
    from zeroiqa.cli.progress import progress
    from zeroiqa.runs import pending
    from zeroiqa.runs.executors.local import execute
    from zeroiqa.runs.passes import image_passes, rater_groups

    with progress(*image_passes(run), passes=len(rater_groups(run.settings.raters))) as advance:
        yield from execute(run, pending(run), workers=workers, on_images=advance)


def _describe(folder: Path, settings: Settings, sources: list[Source], workers: int) -> None:
    from zeroiqa.errors import printable
    from zeroiqa.pipeline import build_method

    method = build_method(settings)
    size = sum(source.bytes for source in sources)
    first, last = printable(sources[0].path), printable(sources[-1].path)
    lines = [
        f"images     {len(sources)} ({size / 1e6:.1f} MB), from {first} to {last}",
        f"run folder {folder}{' (exists: would be resumed)' if folder.exists() else ''}",
        f"decoding   {method.policy.id}",
        f"segmenter  {method.segmenter.id if method.segmenter else 'none, the whole image is the only view'}",
        *(f"rater      {rater.id}" for rater in method.raters.values()),
        *(f"standard   {standard.name}, version {standard.version}" for standard in method.standards),
        f"score      {settings.readout} readout, lambda {settings.lam:g}, weighting {settings.weighting}",
        f"workers    {workers}",
        "Nothing was done (--dry-run).",
    ]
    for line in lines:
        click.echo(line)


def _default_folder(paths: tuple[str, ...], settings: Settings, sources: list[Source]) -> Path:
    from zeroiqa.runs import run_id

    first = "stdin" if paths[0] == "-" else Path(paths[0]).resolve().stem
    stem = "".join(char if char.isalnum() or char in "-_" else "-" for char in first)
    return RUNS / f"{stem[:40].strip('-') or 'images'}-{run_id(settings, sources)[:8]}"
