"""`zeroiqa select`: choose images of a run, and print, copy, link or move them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from zeroiqa.cli.command import command
from zeroiqa.cli.messages import say
from zeroiqa.errors import UserError, printable
from zeroiqa.files.storage import Location, is_remote, location

if TYPE_CHECKING:
    from zeroiqa.curation.files import Transfer
    from zeroiqa.curation.log import Operation
    from zeroiqa.curation.selection import Chosen, Counts
    from zeroiqa.images.ref import ImageRef
    from zeroiqa.runs import Run

STYLES = ("paths", "table", "csv", "excel-csv", "json", "jsonl")


@command(
    examples=[
        ("select run --worst 5%", "paths of the worst twentieth"),
        ("select run --tag blurred --move bad", "move all blurred images into the folder bad"),
        ("select --undo bad", "take it back"),
    ],
    epilog="Exit codes: 0 done; 1 an error, or no image fits (as grep has it), or none could be taken, or "
    "--undo had to leave something; 2 wrong usage; 130 interrupted.",
)
@click.argument("run", type=location, required=False)
@click.option(
    "--worst",
    metavar="N|P%",
    help="So many images of those that are left, the worst first; a percentage is "
    "rounded up. Equal ones are in the order of the run.",
)
@click.option("--best", metavar="N|P%", help="The same, the best first.")
@click.option(
    "--doubtful",
    metavar="N|P%",
    help="The same, the most doubtful first: answers that hardly lie on the "
    "levels (mass below the run's threshold), then by the disagreement of the raters, then by the width of "
    "the answered distribution. Not of the embedded rater or a baseline alone, which says nothing of that.",
)
@click.option(
    "--below",
    type=float,
    metavar="S",
    help="The score is less than S: the column score, whatever --scale shows beside it.",
)
@click.option("--above", type=float, metavar="S", help="The score is more than S.")
@click.option(
    "--tag", "tags", multiple=True, help="The image has this tag, such as blurred; repeat: and this."
)
@click.option(
    "--where",
    multiple=True,
    metavar="CONDITION",
    help="A condition on the columns of scores.csv, width, "
    "height, tags and group, such as 'score < 3 and width > 1000': < <= > >= = !=, and, or, not, brackets, "
    "path like '*.png', 'blurred' in tags, mass is empty. An image that lacks a value is left out. Repeat: "
    "and this.",
)
@click.option(
    "--group-by",
    metavar="HOW",
    help="What a group is: folder, FILE:COLUMN of any table of images, or "
    "re:EXPRESSION, whose first group is looked for in the path.  [default: folder]",
)
@click.option("--per-group", is_flag=True, help="Take so many (--worst, --best, --doubtful) of each group.")
@click.option("-0", "--null", is_flag=True, help="End paths with a zero byte, for xargs -0.")
@click.option(
    "--format",
    "style",
    type=click.Choice(STYLES),
    help="Paths as the run has them, or rows as in scores.csv."
    "  [default: paths; with --copy and the like nothing]",
)
@click.option(
    "--copy", metavar="DIR", help="Copy the images there; also those in archives and object stores."
)
@click.option("--link", metavar="DIR", help="Make symbolic links to the images there.")
@click.option("--hard-link", metavar="DIR", help="Make hard links to the images there.")
@click.option(
    "--move",
    metavar="DIR",
    help="Move the images there. Side-cars (.xmp, .txt, raw files) stay where they are.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be copied, linked or moved, and do nothing.")
@click.option(
    "--undo", type=click.Path(path_type=Path), metavar="DIR|LOG", help="Take back what was copied, linked or "
    "moved into a folder, or what one of the logs in it tells of: unchanged copies and links are removed, "
    "files go back to where nothing is."
)  # fmt: skip
def select(run: Location | None, undo: Path | None, group_by: str | None, **options: Any) -> None:
    """Choose images of a run, and print their paths; or copy, link or move them into a folder.

    All conditions must be met; --worst, --best or --doubtful then takes the first of what is left. Paths are
    as the run has them: relative ones count from the folder in which it was made, and one that begins with -
    gets ./ before it. Without a rank they are in the order of the run.

    DIR keeps the subfolders that the images are in below the folder that all images of the run share. Nothing
    is ever overwritten. A log in DIR tells --undo what was done.
    """
    if undo is not None:
        _take_back(undo, run, group_by, options)
        return
    if run is None:
        raise click.UsageError("Missing argument 'RUN'.")
    printing, operation, folder = _wanted(options)
    _select(run, printing, operation, folder, group_by, options)


class _Printing(NamedTuple):
    style: str
    null: bool
    dry: bool


class _Held(NamedTuple):
    """What is kept of an image until it is its turn."""

    ref: ImageRef
    row: dict[str, Any]
    tags: tuple[str, ...]


def _wanted(options: dict[str, Any]) -> tuple[_Printing, Operation | None, str]:
    """How results are printed, and what is done with the images, where."""
    from zeroiqa.curation.log import OPERATIONS

    named = {each: options.pop(each.replace("-", "_")) for each in OPERATIONS}
    given = [(each, folder) for each, folder in named.items() if folder is not None]
    if len(given) > 1:
        raise click.UsageError(f"--{given[0][0]} and --{given[1][0]} exclude each other.")
    operation, folder = given[0] if given else (None, "")
    null, dry, style = options.pop("null"), options.pop("dry_run"), options.pop("style")
    if dry and operation is None:
        raise click.UsageError("--dry-run is of --copy, --link, --hard-link or --move.")
    if null and (style or "paths") != "paths":
        raise click.UsageError(f"--null is of paths, not of --format {style}.")
    if dry and style is not None:
        raise click.UsageError("--dry-run prints what would be done; leave --format out.")
    if operation and not folder:
        raise UserError(f"--{operation} names no folder; give one.")
    if is_remote(folder):
        raise UserError(f"--{operation} goes into folders on the disk, not to {printable(folder)}.")
    return _Printing(style or ("" if operation and not null else "paths"), null, dry), operation, folder


def _select(
    run: Location,
    printing: _Printing,
    operation: Operation | None,
    folder: str,
    group_by: str | None,
    options: dict[str, Any],
) -> None:
    from zeroiqa.curation.groups import FOLDER
    from zeroiqa.curation.select import load_where_it_lies, request_of
    from zeroiqa.curation.selection import Counts, choose
    from zeroiqa.runs import score_columns
    from zeroiqa.runs.remarks import lacking

    loaded = load_where_it_lies(run)
    request = request_of(loaded, group_by=group_by or FOLDER, **options)
    columns = [*request.shown.header(score_columns(loaded)), *(["group"] if group_by else [])]
    counts = Counts()

    def keep(chosen: Chosen) -> _Held:
        row = {} if printing.style in ("", "paths") else chosen.score.to_dict()
        row |= {"group": chosen.group} if group_by and row else {}
        return _Held(chosen.planned.ref, row, chosen.score.tags)

    chosen = choose(loaded, request, keep, counts)
    beside = request.shown.columns
    if operation is None:
        there = _There(loaded.ignore_times)
        _print(there.seen(chosen), printing, columns, beside)
        last = [*there.sentences(counts.chosen)]
        none_taken = False
    else:
        with _transferring(loaded, operation, folder, printing.dry) as transfer:
            taken = _taken(chosen, transfer)
            _print(taken, printing, columns, beside)
            for _ in taken:  # what is left where the reader of the output has gone
                pass
        last = [*transfer.sentences(), *_lies_inside(transfer)] if counts.chosen else []
        none_taken = not transfer.dry and not transfer.brought
    bounds = [f"--{name}" for name in ("below", "above") if options[name] is not None]
    for line in (
        *_remarks(counts, request.group, group_by),
        *_of_the_score(bounds, beside),
        *lacking(loaded),
        *last,
    ):
        say(line, err=True)
    if loaded.root and counts.chosen:
        say(f"Relative paths count from {loaded.root}, where the run was made.", err=True)
    _check_any(run, counts, none_taken, folder)


def _check_any(run: Location, counts: Counts, none_taken: bool, folder: str) -> None:
    """Raise UserError where nothing was chosen, or nothing of it could be taken."""
    if not counts.chosen:
        sys.stdout.flush()
        nothing = "has no image that fits" if counts.scored else "has no image that is scored"
        raise UserError(f"{printable(str(run))} {nothing}; nothing is chosen.")
    if none_taken:
        raise UserError(
            f"Of the images that were chosen none is in {printable(folder)}; the lines above say why."
        )


def _remarks(counts: Counts, group: Callable[..., str], group_by: str | None) -> Iterator[str]:
    from zeroiqa.curation.groups import unused_rows
    from zeroiqa.runs.remarks import counted

    yield counts.sentence()
    if group_by and counts.ungrouped:
        yield f"Without a group by {group_by}: {counted(counts.ungrouped)}; they are one without a name."
    if unused := unused_rows(group):
        yield f"Of no image of the run: {unused:,} row{'' if unused == 1 else 's'} of {group_by}."


def _of_the_score(bounds: list[str], beside: Sequence[str]) -> Iterator[str]:
    """A sentence, where a bound might be meant for what the tables show beside the score."""
    if bounds and beside:
        yield (
            f"{' and '.join(bounds)} {'is' if len(bounds) == 1 else 'are'} of the column score; --where "
            f"'{beside[0]} < ...' is of what is shown beside it."
        )


class _There:
    """Counts images that are not where they were scored, as they pass by."""

    def __init__(self, ignore_times: bool) -> None:
        self._ignore_times, self._moved = ignore_times, 0

    def seen(self, chosen: Iterator[_Held]) -> Iterator[_Held]:
        from zeroiqa.export.originals import state_of

        for held in chosen:
            self._moved += state_of(held.ref, ignore_times=self._ignore_times) == "moved"
            yield held

    def sentences(self, images: int) -> Iterator[str]:
        if self._moved:
            yield f"Not where they were scored: {self._moved:,} of these {images:,}."


@contextmanager
def _transferring(run: Run, operation: Operation, folder: str, dry: bool) -> Iterator[Transfer]:
    """Yield what takes images to the folder; says how far that is where it is interrupted."""
    from zeroiqa.curation.files import Transfer
    from zeroiqa.curation.places import shared_folder
    from zeroiqa.runs import plan

    places = (row.ref.archive or row.ref.path for row in plan.all_planned(run.folder))
    shared = shared_folder(places, run.root)
    with Transfer(operation, Path(folder), shared, run.settings.max_pixels, dry) as transfer:
        try:
            yield transfer
        except KeyboardInterrupt:
            say(f"{transfer.progress()}.", err=True)
            raise


def _taken(chosen: Iterator[_Held], transfer: Transfer) -> Iterator[_Held]:
    for held in chosen:
        step = transfer.take(held.ref)
        if transfer.dry:
            say(f"{step.plan}: {printable(step.source)} -> {printable(step.target)}")
        yield held


def _lies_inside(transfer: Transfer) -> Iterator[str]:
    from zeroiqa.curation.files import DONE
    from zeroiqa.curation.places import lies_in

    if transfer.counts[DONE[transfer.operation]] and lies_in(transfer.folder, transfer.shared):
        yield (
            f"{transfer.folder} lies in the folder of the images; scoring that again finds them there, too, "
            f"unless --exclude '{transfer.folder.name}/' leaves them out."
        )


def _print(chosen: Iterator[_Held], printing: _Printing, columns: list[str], beside: Sequence[str]) -> None:
    from zeroiqa.cli.output import write_records
    from zeroiqa.guards.console import is_lost, write_machine_readable

    if printing.style == "":
        for _ in chosen:
            pass
    elif printing.style == "paths":
        _print_paths(chosen, printing)
    elif printing.style == "table":
        say("  ".join(("score", *beside, "image")))
        for held in chosen:
            if is_lost(sys.stdout):
                break
            numbers = (_number(held.row.get(name), len(name)) for name in ("score", *beside))
            tags = f"  ({', '.join(held.tags)})" if held.tags else ""
            say(f"{'  '.join(numbers)}  {printable(held.ref.path)}{tags}")
    else:
        write_machine_readable()
        write_records((held.row for held in chosen), printing.style, columns, sys.stdout)


def _number(value: float | None, width: int) -> str:
    return ("-" if value is None else f"{value:.2f}").rjust(width)


def _print_paths(chosen: Iterator[_Held], printing: _Printing) -> None:
    """The paths themselves, byte by byte; on a terminal what it would obey is escaped."""
    from zeroiqa.guards.console import is_lost, write_machine_readable
    from zeroiqa.names import harmless

    write_machine_readable(errors="surrogateescape")
    broken = 0
    for held in chosen:
        if is_lost(sys.stdout):
            break
        path = f"./{held.ref.path}" if held.ref.path.startswith("-") else held.ref.path
        if printing.null:
            sys.stdout.write(f"{path}\0")
        elif "\n" in path or "\r" in path:
            broken += 1
        else:
            sys.stdout.write(f"{harmless(path) if sys.stdout.isatty() else path}\n")
    if broken:
        say(
            f"{broken:,} of the paths hold line breaks and are not printed, since they would be taken for "
            "several; --null prints them.",
            err=True,
        )


def _take_back(place: Path, run: Location | None, group_by: str | None, options: dict[str, Any]) -> None:
    from zeroiqa.curation.undo import undo

    if run is not None or group_by or any(value not in (None, (), False) for value in options.values()):
        raise click.UsageError("--undo stands alone: zeroiqa select --undo DIR.")
    undone = undo(place)
    if undone is None:
        say(f"{place} has no log of a selection, so nothing is to be taken back.", err=True)
        return
    for line in undone.sentences():
        say(line, err=True)
    if undone.kept:
        raise UserError(
            f"Not all of it could be taken back; {printable(str(undone.kept[0]))} stays, so that --undo can "
            "be given again."
        )
