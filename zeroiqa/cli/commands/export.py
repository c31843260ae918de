"""`zeroiqa export`: the images of a run with their scores as files for other tools."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from zeroiqa.cli.messages import say
from zeroiqa.cli.options import with_options
from zeroiqa.errors import UserError, printable
from zeroiqa.files.storage import Location, location

if TYPE_CHECKING:
    from zeroiqa.export.images import Chosen, Exported, Format
    from zeroiqa.runs import Run

Command = TypeVar("Command", bound=Callable[..., Any])


@click.group()
def export() -> None:
    """The images of a run with their scores as files for other tools.

    Images that have an error are left out, with their count. Whatever is there already stays as it is.
    """


def _common(command: Command) -> Command:
    return with_options(
        command,
        click.argument("run", type=location),
        click.option(
            "--only",
            metavar="FILE|-",
            help="Take the images of this list alone, or of standard input, as `zeroiqa select` prints them.",
        ),
    )


def _to_folder(command: Command) -> Command:
    return click.option(
        "-o", "--output", type=click.Path(path_type=Path), required=True, help="New or empty folder."
    )(command)


@export.command()
@_common
@click.option("-o", "--output", type=location, required=True, help="New file, such as scores.json.")
def coco(run: Location, only: str | None, output: Location) -> None:
    """COCO annotations: images with their scores, regions with levels and contributions.

    Regions have the masks that the run has kept, else their boxes alone.
    """
    from zeroiqa.export.coco import to_coco
    from zeroiqa.runs import score_columns

    loaded, chosen = _opened(run, only)
    if output.exists():
        raise UserError(f"{printable(str(output))} exists; give the name of a new file with -o.")
    found = _exported(loaded, lambda: to_coco(output, score_columns(loaded)), chosen)
    say(f"{_images(found.images)} in {output}")


@export.command()
@_common
@_to_folder
@click.option("--link", is_flag=True, help="Make symbolic links to the images in place of copies.")
def imagefolder(run: Location, only: str | None, output: Path, link: bool) -> None:
    """A Hugging Face image folder: train/ with copies of the images and metadata.jsonl.

    `datasets.load_dataset("imagefolder", data_dir=FOLDER)` loads it.
    """
    from zeroiqa.export.imagefolder import to_imagefolder
    from zeroiqa.runs import score_columns

    loaded, chosen = _opened(run, only)
    _refuse_taken(output)
    columns = score_columns(loaded)
    found = _exported(loaded, lambda: to_imagefolder(output, columns, loaded.n_images, link=link), chosen)
    say(f"{_images(found.images)} in {output}")


def _opened(folder: Location, only: str | None) -> tuple[Run, Chosen | None]:
    from zeroiqa.export.images import Chosen
    from zeroiqa.export.originals import located
    from zeroiqa.images import lists, standard_input
    from zeroiqa.runs import load_run

    loaded = located(load_run(folder))
    if not loaded.settings.raters:
        raise UserError(
            f"{folder} holds regions without ratings; its coco.json has them, and `zeroiqa score --crop mask "
            f"-o {folder}` with its settings rates them."
        )
    if only is None:
        return loaded, None
    listed = standard_input.read_list(sys.stdin) if only == "-" else lists.read_list(only)
    return loaded, Chosen({each.path for each in listed})


def _exported(run: Run, to: Format, chosen: Chosen | None) -> Exported:
    from zeroiqa.cli.progress import progress
    from zeroiqa.export.images import export_images
    from zeroiqa.runs.remarks import lacking

    with progress(run.n_images, 0, doing="exporting") as advance:
        found = export_images(run, to, chosen, advance)
    for sentence in (*found.sentences(), *lacking(run)):
        say(sentence, err=True)
    if chosen is not None and (unknown := chosen.unknown):
        say(f"Not in the run: {len(unknown)} of the list (first: {unknown[0]}).", err=True)
    return found


def _refuse_taken(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{printable(str(folder))} is a file; give a new or empty folder with -o.")
    if folder.exists() and (there := next(iter(sorted(folder.iterdir())), None)):
        raise UserError(
            f"{printable(str(folder))} holds other files (first: {printable(there.name)}); give a new or empty "
            "folder with -o."
        )


def _images(count: int) -> str:
    return f"{count} image{'' if count == 1 else 's'}"
