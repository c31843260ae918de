"""`zeroiqa segment`: find the regions and show them, without rating anything."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from zeroiqa.cli.command import command
from zeroiqa.cli.execution import chosen_executor, execution_options, ignore_times_option
from zeroiqa.cli.healing import healing_options
from zeroiqa.cli.messages import is_quiet, say, summarise
from zeroiqa.cli.options import (
    device_options,
    given,
    image_options,
    raters_option,
    segmenter_options,
    selection_options,
    standards_option,
)
from zeroiqa.cli.running import tell
from zeroiqa.errors import UserError
from zeroiqa.files.storage import Location, location

if TYPE_CHECKING:
    from zeroiqa.images.selection import Selection
    from zeroiqa.runs import Run
    from zeroiqa.runs.executors.choice import Executor, ExecutorChoice
    from zeroiqa.runs.regions import RegionStatistics
    from zeroiqa.settings import Settings


PAPER_MASKS = 7.22
"""Mean number of masks in a photo of SPAQ by the authors' setting (LLM-IQA, Implementation Details)."""


@command(
    examples=[
        ("segment photos -o cuts", "the regions of all images, painted over each"),
    ],
)
@click.argument("paths", nargs=-1, required=True)
@click.option("-o", "--output", type=location, required=True, help="Folder of the results.")
@segmenter_options
@device_options
@image_options
@selection_options
@execution_options
@healing_options
@ignore_times_option
@click.option(
    "--overlays/--no-overlays",
    default=True,
    show_default=True,
    help="Paint the regions over each image, at 1024 pixels at most.",
)
@click.option(
    "--levels",
    is_flag=True,
    help="Rate the regions, too, and write their levels, areas and shares of the score over each image.",
)
@raters_option
@standards_option
def segment(
    paths: tuple[str, ...],
    output: Location,
    choice: ExecutorChoice,
    image_seconds: float,
    ignore_times: bool,
    retry_errors: bool,
    refresh: bool,
    overlays: bool,
    levels: bool,
    selection: Selection,
    **choices: Any,
) -> None:
    """Find the regions of images and show how finely they are cut.

    PATHS as for `zeroiqa score`.

    Writes regions.parquet (one row per region: box, area, kind), coco.json (COCO annotations with run-length
    codes of the masks) and overlays/ into the folder, and prints how many masks an image has. The same
    command resumes. With --levels the regions are rated, too, as `zeroiqa score --crop mask --regions` does
    it in the same folder: by its own raters and standards if it has some, else by the embedded rater.
    """
    from zeroiqa.cli.requested import folder_only
    from zeroiqa.images.find import find_images
    from zeroiqa.runs.begin import RunChoices, begin_run
    from zeroiqa.runs.device import check_device
    from zeroiqa.runs.healed import refuse_copies
    from zeroiqa.runs.naming import naming_of

    folder_only(output)
    if levels and not overlays:
        raise click.UsageError("--levels writes on overlays; leave --no-overlays out.")
    settings = _settings(output, given(**choices), levels)
    if choice.ray is None:
        check_device(settings, tell)
    sources = find_images(paths, sys.stdin, selection=selection)
    executor = chosen_executor(choice, len(sources), settings)
    choices_of_run = RunChoices(
        ignore_times=ignore_times,
        retry_errors=retry_errors,
        refresh=refresh,
        image_seconds=image_seconds,
    )
    naming = naming_of(paths, selection=selection)
    run = begin_run(output, settings, sources, "segment", naming=naming, choices=choices_of_run, tell=tell)
    refuse_copies(run)
    if levels:
        say(f"The regions are rated by {', '.join(settings.raters)}, as by `zeroiqa score`.", err=True)
    try:
        drawn = _rate(run, executor) if levels else _segment(run, executor, overlays)
        found = _write(run)
    except KeyboardInterrupt:
        say(f"Stopped. {output} keeps what is finished; the same command goes on from there.", err=True)
        raise click.exceptions.Exit(130) from None
    _summarise(run, found, drawn, levels)


def _settings(output: Location, choices: dict[str, Any], levels: bool) -> Settings:
    """Without raters; for levels those of the run that is there, else what is asked for or the default.

    Raises:
        click.UsageError: raters or standards are named, and nothing shall be rated.
        UserError: the run that is there has no masks, or a setting is wrong.
    """
    from zeroiqa.runs import load_run
    from zeroiqa.runs.record import is_run
    from zeroiqa.settings import key_of, load_segmentation_settings, load_settings, settings_from_dict

    if not levels:
        if choices.keys() & {"raters", "standards"}:
            raise click.UsageError("--rater and --standard say who rates for --levels; give it, too.")
        return load_segmentation_settings(choices)
    own = load_run(output).settings if is_run(output) else None
    if own is None or not own.raters:
        return replace(load_settings(overrides=choices), crop="mask", regions=True)
    if own.crop != "mask" or not own.makes_regions:
        raise UserError(
            f"{output} holds a run without masks (crop {own.crop}), which coco.json is of; choose another "
            "folder with -o, or see its regions by `zeroiqa explain --run`."
        )
    changes = {key_of(name): value for name, value in choices.items()}
    return settings_from_dict({**own.to_dict(), **changes}, "the command")


def _rate(run: Run, executor: Executor) -> int:
    """Do what is left of the run, and write its scores; the number of overlays that are there then."""
    from zeroiqa.cli.progress import progress
    from zeroiqa.images.decoder import Decoder
    from zeroiqa.report.overlays import draw_overlays
    from zeroiqa.runs.work import work_on

    work = work_on(run, executor, progress)
    work.finish()
    for line in work.conclusion():
        tell(line)
    decoder = Decoder(run.image_seconds)
    return sum(draw_overlays(run, shard, decoder, levels=True, warn=tell) for shard in range(run.n_shards))


def _segment(run: Run, executor: Executor, overlays: bool) -> int:
    """Do what is left of the run; the number of overlays that are there then."""
    from zeroiqa.images.decoder import Decoder
    from zeroiqa.report.overlays import draw_overlays

    drawn, decoder = 0, Decoder(run.image_seconds)
    for shard in _finished_shards(run, executor):
        if overlays:
            drawn += draw_overlays(run, shard, decoder, levels=False, warn=tell)
    return drawn


def _finished_shards(run: Run, executor: Executor) -> Iterator[int]:
    """Every shard, those first that an earlier command has finished."""
    from zeroiqa.cli.progress import progress
    from zeroiqa.runs import pending
    from zeroiqa.runs.work import finished_shards

    left = set(pending(run))
    yield from (shard for shard in range(run.n_shards) if shard not in left)
    yield from finished_shards(run, range(run.n_shards), executor, progress, doing="segmenting")


def _write(run: Run) -> RegionStatistics:
    """Write regions.parquet and coco.json, and count."""
    from zeroiqa.export.coco import coco_file
    from zeroiqa.files.atomic import remove_leftovers
    from zeroiqa.runs.regions import RegionStatistics, read_segmented, region_table

    found = RegionStatistics()
    with (
        region_table(run.folder / "regions.parquet") as add_to_table,
        coco_file(run.folder / "coco.json") as add_to_coco,
    ):
        for shard in range(run.n_shards):
            for planned, row in read_segmented(run, shard):
                add_to_table(planned, row)
                if row.error is None and row.size is not None:
                    add_to_coco(planned.image, planned.ref.name, row.size, row.regions)
                found.add(row)
    remove_leftovers(run.folder, finished=True)
    return found


def _summarise(run: Run, found: RegionStatistics, drawn: int, levels: bool) -> None:
    from zeroiqa.report.overlays import overlay_folder

    summarise(f"images   {found.images + found.errors}, {found.errors} with an error")
    if found.errors and is_quiet():
        of = f"{found.errors} of {found.images + found.errors} images"
        say(f"Warning: no regions for {of}, which have an error.", err=True)
    if found.images:
        counts = list(found.masks.elements())
        regions = found.mean + found.complements / found.images
        summarise(
            f"masks    {found.mean:.2f} an image, from {min(counts)} to {max(counts)}, "
            f"median {statistics.median(counts):g}; the paper's setting: {PAPER_MASKS} on SPAQ"
        )
        summarise(f"regions  {regions:.2f} an image, the complements included")
    folder = overlay_folder(run, levels=levels).name
    pictures = f", {folder}/ ({drawn} picture{'s' if drawn > 1 else ''})" if drawn else ""
    summarise(f"written  regions.parquet, coco.json{pictures} in {run.folder}")
