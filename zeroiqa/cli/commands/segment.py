"""`zeroiqa segment`: find the regions and show them, without rating anything."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zeroiqa.cli.execution import chosen_executor, execution_options, ignore_times_option
from zeroiqa.cli.healing import healing_options
from zeroiqa.cli.messages import say
from zeroiqa.cli.options import (
    device_options,
    given,
    image_options,
    segmenter_options,
    selection_options,
)
from zeroiqa.files.storage import Location, location

if TYPE_CHECKING:
    from zeroiqa.images.decoder import Decoder
    from zeroiqa.images.selection import Selection
    from zeroiqa.runs import Run
    from zeroiqa.runs.executors.choice import Executor, ExecutorChoice
    from zeroiqa.runs.plan import Planned
    from zeroiqa.runs.regions import RegionStatistics
    from zeroiqa.types import Region


LONGEST = 1024
"""Pixels of the longer side of an overlay; regions are looked at, not measured there."""
PAPER_MASKS = 7.22
"""Mean number of masks in a photo of SPAQ by the authors' setting (LLM-IQA, Implementation Details)."""


@click.command()
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
    help=f"Paint the regions over each image, at {LONGEST} pixels at most.",
)
def segment(
    paths: tuple[str, ...],
    output: Location,
    choice: ExecutorChoice,
    image_seconds: float,
    ignore_times: bool,
    retry_errors: bool,
    refresh: bool,
    overlays: bool,
    selection: Selection,
    **choices: Any,
) -> None:
    """Find the regions of images and show how finely they are cut; PATHS as for `zeroiqa score`.

    Writes regions.parquet (one row per region: box, area, kind), coco.json (COCO annotations with run-length
    codes of the masks) and overlays/ into the folder, and prints how many masks an image has. The same
    command resumes; `zeroiqa score --crop mask` with the same folder and settings rates the regions.
    """
    from zeroiqa.cli.requested import folder_only
    from zeroiqa.cli.running import tell
    from zeroiqa.images.find import find_images
    from zeroiqa.runs.begin import RunChoices, begin_run
    from zeroiqa.runs.healed import refuse_copies
    from zeroiqa.runs.naming import naming_of
    from zeroiqa.settings import load_segmentation_settings

    folder_only(output)
    settings = load_segmentation_settings(given(**choices))
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
    try:
        drawn = _segment(run, executor, overlays)
        found = _write(run)
    except KeyboardInterrupt:
        say(f"Stopped. {output} keeps what is finished; the same command goes on from there.", err=True)
        raise click.exceptions.Exit(130) from None
    _summarise(run, found, drawn)


def _segment(run: Run, executor: Executor, overlays: bool) -> int:
    """Do what is left of the run; the number of overlays that are there then."""
    from zeroiqa.images.decoder import Decoder

    drawn, decoder = 0, Decoder(run.image_seconds)
    for shard in _finished_shards(run, executor):
        if overlays:
            drawn += _draw(run, shard, decoder)
    return drawn


def _finished_shards(run: Run, executor: Executor) -> Iterator[int]:
    """Every shard, those first that an earlier command has finished."""
    from zeroiqa.cli.progress import progress
    from zeroiqa.runs import pending
    from zeroiqa.runs.work import finished_shards

    left = set(pending(run))
    yield from (shard for shard in range(run.n_shards) if shard not in left)
    yield from finished_shards(run, range(run.n_shards), executor, progress, doing="segmenting")


def _draw(run: Run, shard: int, decoder: Decoder) -> int:
    """Paint the overlays of a shard that are not there; how many are there then."""
    from zeroiqa.errors import ImageError
    from zeroiqa.files.atomic import created
    from zeroiqa.guards.together import image_errors
    from zeroiqa.images.decode import DecodePolicy, parse_colour
    from zeroiqa.report.overlay import labelled, overlay
    from zeroiqa.runs.regions import read_segmented

    policy = DecodePolicy(
        background=parse_colour(run.settings.background), max_pixels=run.settings.max_pixels
    )
    there = 0
    for planned, row in read_segmented(run, shard):
        revision = run.revisions.replaced(shard, planned.image)
        path = run.folder / "overlays" / _picture_name(planned, revision)
        if row.error is None and not path.exists():
            try:
                ref = planned.ref._replace(modified=None) if run.ignore_times else planned.ref
                with image_errors(ref.path):
                    image = decoder.decode(ref, policy)
                    masks = sum(region.kind == "object" for region in row.regions)
                    painted = overlay(image, row.regions, longest=LONGEST)
                    picture = labelled(painted, f"{masks} masks", _rest(row.regions))
            except ImageError as error:
                say(f"Warning: no overlay: {error}", err=True)
                continue
            with created(path) as file:
                picture.save(file, "JPEG", quality=88)
        there += row.error is None
    return there


def _rest(regions: Sequence[Region]) -> str:
    """What is to be said of a complement that weighs other than its area."""
    weighing = (region for region in regions if region.weight not in (None, region.area))
    return ", ".join(f"rest: area {each.area:.0%}, weight {each.weight:.0%}" for each in weighing)


def _picture_name(planned: Planned, revision: int) -> str:
    """Another file of the same name has a picture of its own, with the number of its revision."""
    stem = "".join(char if char.isalnum() or char in "-_" else "-" for char in Path(planned.ref.name).stem)
    return f"{planned.image:05d}-{stem[:80]}{f'-{revision:04d}' if revision else ''}.jpg"


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


def _summarise(run: Run, found: RegionStatistics, drawn: int) -> None:
    say(f"images   {found.images + found.errors}, {found.errors} with an error")
    if found.images:
        counts = list(found.masks.elements())
        regions = found.mean + found.complements / found.images
        say(
            f"masks    {found.mean:.2f} an image, from {min(counts)} to {max(counts)}, "
            f"median {statistics.median(counts):g}; the paper's setting: {PAPER_MASKS} on SPAQ"
        )
        say(f"regions  {regions:.2f} an image, the complements included")
    pictures = f", overlays/ ({drawn} picture{'s' if drawn > 1 else ''})" if drawn else ""
    say(f"written  regions.parquet, coco.json{pictures} in {run.folder}")
