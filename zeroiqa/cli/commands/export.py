"""`zeroiqa export`: the images of a run with their scores as files for other tools."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from zeroiqa.cli.command import Command, group
from zeroiqa.cli.messages import say, summarise
from zeroiqa.cli.options import with_options
from zeroiqa.cli.tables import TablesBack, column_prefix_option
from zeroiqa.errors import UserError, printable
from zeroiqa.files.storage import Location, location

if TYPE_CHECKING:
    from zeroiqa.export.images import Chosen, Exported, Format
    from zeroiqa.export.stars import Stars
    from zeroiqa.export.xmp import SideCarOptions, SideCars
    from zeroiqa.runs import Run
    from zeroiqa.runs.presentation import Presentation

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


@group()
def export() -> None:
    """The images of a run with their scores as files for other tools.

    Images that have an error are left out, with their count. Whatever is there already stays as it is.
    """


def _common(command: Decorated) -> Decorated:
    return with_options(
        command,
        click.argument("run", type=location),
        click.option(
            "--only",
            metavar="FILE|-",
            help="Take the images of this list alone, or of standard input, as `zeroiqa select` prints them.",
        ),
    )


def _to_folder(command: Decorated) -> Decorated:
    return click.option("-o", "--output", type=location, required=True, help="New or empty folder.")(command)


@export.command(
    cls=Command, examples=[("export coco run -o scores.json", "images, regions and their scores")]
)
@_common
@click.option("-o", "--output", type=location, required=True, help="New file, such as scores.json.")
def coco(run: Location, only: str | None, output: Location) -> None:
    """COCO annotations: images with their scores, regions with levels and contributions.

    Regions have the masks that the run has kept, else their boxes alone.
    """
    from zeroiqa.export.coco import to_coco

    opened = _opened(run, only)
    if output.exists():
        raise UserError(f"{printable(str(output))} exists; give a new file with -o.")
    found = _exported(opened, lambda: to_coco(output, opened.columns))
    summarise(f"{_images(found.images)} in {output}")


@export.command(cls=Command, examples=[("export fiftyone run -o dataset", "a dataset for the FiftyOne app")])
@_common
@_to_folder
@click.option("--copy", is_flag=True, help="Copy the images into data/, so that the folder can be moved.")
def fiftyone(run: Location, only: str | None, output: Location, copy: bool) -> None:
    """A FiftyOne dataset: scores, tags and reasons as fields of samples, regions as detections.

    `fiftyone.Dataset.from_dir(FOLDER, dataset_type=fiftyone.types.FiftyOneDataset)` loads it. The images stay
    where they are; members of archives are copied.
    """
    from zeroiqa.export.fiftyone import to_fiftyone

    opened, folder = _opened(run, only), _new_folder(output)
    found = _exported(opened, lambda: to_fiftyone(folder, opened.run, opened.columns, copy=copy), folder)
    summarise(f"{_images(found.images)} in {output}")


@export.command(
    cls=Command,
    examples=[
        (
            "export imagefolder run --only good.txt -o dataset",
            "what `zeroiqa select run --above 5 > good.txt` has chosen",
        )
    ],
)
@_common
@_to_folder
@click.option("--link", is_flag=True, help="Make symbolic links to the images in place of copies.")
def imagefolder(run: Location, only: str | None, output: Location, link: bool) -> None:
    """A Hugging Face image folder: train/ with copies of the images and metadata.jsonl.

    `datasets.load_dataset("imagefolder", data_dir=FOLDER)` loads it.
    """
    from zeroiqa.export.imagefolder import to_imagefolder

    opened, folder = _opened(run, only), _new_folder(output)
    to = to_imagefolder
    found = _exported(opened, lambda: to(folder, opened.columns, opened.run.n_images, link=link), folder)
    summarise(f"{_images(found.images)} in {output}")


@export.command(
    cls=Command,
    examples=[
        ("export tables run -o scored.csv", "the table that was scored, with all its columns and ours")
    ],
)
@click.argument("run", type=location)
@click.option(
    "-o", "--output", type=location, required=True, help="File for a single table, folder for several."
)
@column_prefix_option
def tables(run: Location, output: Location, column_prefix: str) -> None:
    """The tables that the images came from, with all their columns and the scores behind, row for row.

    Parquet with the files themselves or with paths, CSV and JSON Lines; a table comes back as what it is.
    """
    from zeroiqa.export.tables import tables_of_run
    from zeroiqa.runs import load_run

    opened = load_run(run)
    found, column = tables_of_run(opened)
    back = TablesBack(output, column_prefix, column, found)
    for sentence in back.write(opened):
        say(sentence, err=not sentence.startswith("Written"))


@export.command(
    cls=Command,
    examples=[("export xmp run --beside --dry-run", "how many side-cars would be written beside the photos")],
)
@_common
@click.option(
    "-o",
    "--output",
    type=location,
    help="New or empty folder; what is beside the photos is merged into the side-cars there.",
)
@click.option("--beside", is_flag=True, help="Write beside the photos, where other tools look for them.")
@click.option(
    "--naming",
    type=click.Choice(["full", "stem"]),
    default="full",
    show_default=True,
    help="photo.jpg.xmp (digiKam, darktable, immich), or photo.xmp (Lightroom, Capture One; immich).",
)
@click.option(
    "--stars",
    metavar="scale|percentile|A,B,C,D",
    default="scale",
    show_default=True,
    help="Five equal parts of the scale, a fifth of the run's images each, or the scores from which on an "
    "image has 2, 3, 4 and 5 stars.",
)
@click.option("--keywords", is_flag=True, help="Tags become keywords (dc:subject), too.")
@click.option("--overwrite-ratings", is_flag=True, help="Replace ratings that somebody else gave.")
@click.option("--dry-run", is_flag=True, help="Count what would be done.")
def xmp(run: Location, only: str | None, output: Location | None, beside: bool, **choices: Any) -> None:
    """XMP side-cars with ratings of 1 to 5 for Lightroom, digiKam, darktable and immich.

    A side-car that is there is merged: the rating and what zeroiqa has written change, all else stays as it
    is. A rating that somebody else gave stays, too.
    """
    from zeroiqa.curation.places import shared_folder
    from zeroiqa.export.xmp import SideCarOptions, SideCars, to_side_cars
    from zeroiqa.runs import plan

    if beside == (output is not None):
        raise click.UsageError("Give --beside, or a folder for the side-cars with -o.")
    opened = _opened(run, only)
    folder, shared = None, list[str]()
    if output is not None:
        folder = _new_folder(output)
        places = (row.ref.archive or row.ref.path for row in plan.all_planned(run))
        shared = shared_folder(places, opened.run.root)
    stars = _stars(opened.run, choices.pop("stars"))
    options, counts = SideCarOptions(stars, folder=folder, shared=shared, **choices), SideCars()
    found = _exported(opened, lambda: to_side_cars(options, counts), folder)
    _tell_side_cars(found, options, counts)


def _stars(run: Run, text: str) -> Stars:
    """The map that --stars asks for."""
    from zeroiqa.export.stars import BY_PERCENTILE, BY_SCALE, ByCuts, by_percentile, by_scale, read_cuts
    from zeroiqa.runs import iter_scores

    lower = run.lower_is_better
    if text == BY_PERCENTILE:
        scores = (each.score for each in iter_scores(run) if each.score is not None)
        return by_percentile(scores, lower_is_better=lower)
    if text == BY_SCALE:
        scales = run.scales(run.settings.aggregation)
        return by_scale(next(iter(scales.values())), lower_is_better=lower)
    return ByCuts(read_cuts(text), lower)


def _tell_side_cars(found: Exported, options: SideCarOptions, counts: SideCars) -> None:
    where = "beside the photos" if options.folder is None else f"in {options.folder}"
    would = " (nothing is written)" if options.dry_run else ""
    summarise(
        f"side-cars  {found.images} {where}: {counts.new} new, {counts.merged} merged, "
        f"{counts.same} unchanged{would}"
    )
    summarise(f"stars      {options.stars}")
    given = ", ".join(f"{counts.ratings[stars]} with {stars}" for stars in range(1, 6))
    summarise(f"photos     {given}")
    if counts.kept:
        say(f"Ratings of somebody else: {counts.kept} kept; --overwrite-ratings replaces them.", err=True)
    if counts.overwritten:
        say(f"Ratings of somebody else: {counts.overwritten} replaced.", err=True)
    if counts.first_left:
        say(f"Left as it is: {counts.first_left}.", err=True)
    if counts.others:
        naming = "stem" if options.naming == "full" else "full"
        say(
            f"Side-cars by the other naming: {counts.others}, left as they are (--naming {naming}).",
            err=True,
        )


class _Opened(NamedTuple):
    run: Run
    shown: Presentation
    columns: list[str]
    """Of its tables."""
    chosen: Chosen | None
    """What --only lists."""


def _opened(folder: Location, only: str | None) -> _Opened:
    from zeroiqa.curation.select import load_where_it_lies
    from zeroiqa.export.images import Chosen
    from zeroiqa.images import lists, standard_input
    from zeroiqa.runs import score_columns
    from zeroiqa.runs.presentation import presentation

    run = load_where_it_lies(folder)
    if not run.settings.raters:
        raise UserError(
            f"{folder} holds regions without ratings; its coco.json has them, and `zeroiqa score --crop mask "
            f"-o {folder}` with its settings rates them."
        )
    shown, chosen = presentation(run), None
    if only is not None:
        listed = standard_input.read_list(sys.stdin) if only == "-" else lists.read_list(only)
        chosen = Chosen({each.path for each in listed}, run)
    return _Opened(run, shown, shown.header(score_columns(run)), chosen)


def _exported(opened: _Opened, to: Format, folder: Path | None = None) -> Exported:
    from zeroiqa.cli.progress import progress
    from zeroiqa.export.images import export_images
    from zeroiqa.runs.remarks import lacking

    run, chosen = opened.run, opened.chosen
    with _told_incomplete(folder), progress(run.n_images, 0, doing="exporting") as advance:
        found = export_images(run, to, opened.shown, chosen, advance)
    for sentence in (*found.sentences(run), *lacking(run)):
        say(sentence, err=True)
    if chosen is not None and (unknown := chosen.unknown):
        say(f"Not in the run: {len(unknown)} of the list (first: {printable(unknown[0])}).", err=True)
    return found


@contextmanager
def _told_incomplete(folder: Path | None) -> Iterator[None]:
    """Say that a folder holds a part of an export, where one ends early: the next one refuses the folder."""
    try:
        yield
    except (UserError, KeyboardInterrupt):
        if folder is not None and _file_in(folder):
            say(f"{folder} holds a part of the export; empty it before the next one.", err=True)
        raise


def _file_in(folder: Path) -> Path | None:
    """A file in a folder, however deep; none of those that were ended while they were written."""
    return next((path for path in folder.rglob("[!.]*") if not path.is_dir()), None)


def _new_folder(folder: Location) -> Path:
    shown = printable(str(folder))
    if not isinstance(folder, Path):
        raise UserError(f"{shown} is in an object store; give a new or empty folder on a disk with -o.")
    if os.path.lexists(folder) and not folder.is_dir():  # a name that is too long is none
        raise UserError(f"{shown} is a file; give a new or empty folder with -o.")
    if there := _file_in(folder):
        raise UserError(
            f"{shown} holds other files, such as {printable(there.name)}; give a new or empty folder with -o."
        )
    return folder


def _images(count: int) -> str:
    return f"{count} image{'' if count == 1 else 's'}"
