"""`zeroiqa report`: a run to look at, as one file of HTML."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import click
from click.core import ParameterSource

from zeroiqa.cli.command import command
from zeroiqa.cli.messages import say
from zeroiqa.files.storage import Location, location


@command(
    examples=[
        ("report run -o report.html", "one file that needs no server"),
        ("report run other -o both.html", "two runs side by side"),
    ],
)
@click.argument("runs", type=location, nargs=-1, required=True, metavar="RUN [RUN_B]")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="The page. One that was made by this command is replaced, and nothing else.",
)
@click.option(
    "--regions",
    type=click.IntRange(min=0),
    help="Of a run without regions, make those of so many of the worst and of the best images; 0: none.  "
    "[default: 24 where that needs no weights]",
)
@click.option(
    "--group-by",
    "by",
    default="folder",
    show_default=True,
    metavar="GROUP",
    help="What images are grouped by: folder, FILE:COLUMN or re:EXPRESSION.",
)
@click.option("--opinions", type=click.Path(path_type=Path), help="Table of opinions, as `evaluate --mos`.")
@click.option("--root", type=click.Path(path_type=Path), help="Folder that paths in this table count from.")
@click.option("--aspect", default="quality", show_default=True, help="Which opinions and which scores.")
@click.option("--standard", help="Whose scores, where the run has several standards for the aspect.")
@click.option("--by-name", is_flag=True, help="Tell images of the table by their file names alone.")
def report(
    runs: tuple[Location, ...],
    output: Path,
    regions: int | None,
    by: str,
    opinions: Path | None,
    root: Path | None,
    aspect: str,
    standard: str | None,
    by_name: bool,
) -> None:
    """Make a page to look at RUN: its scores, pictures, regions and what they add to each score.

    The page is one file that works from the disk, without network. Given two runs of the same images, or of
    images that are pairs by name or text prompt, it shows the scores of both and their difference.
    """
    if len(runs) > 2:
        raise click.UsageError(f"A report is of one run or of two, found {len(runs)}.")
    if opinions is None and (root or standard or by_name):
        raise click.UsageError("--root, --standard and --by-name say how --opinions FILE is read; give it.")
    from zeroiqa.cli.progress import progress
    from zeroiqa.report.make import Choices, make_report
    from zeroiqa.report.opinions import OpinionTable
    from zeroiqa.runs.remarks import counted

    table = None if opinions is None else OpinionTable(opinions, root, aspect, standard, by_name)
    made = make_report(runs, output, Choices(regions, by, table, _command()), progress)
    for note in made.notes:
        say(note, err=True)
    say(f"Written: {output} ({counted(made.images)}, {made.bytes / 1e6:.1f} MB)", err=True)


def _command() -> str:
    """This command as it was given, without --regions, to be given again."""
    context = click.get_current_context()

    def words() -> Iterator[str]:
        yield from map(str, context.params["runs"])
        for option in context.command.params:
            name = str(option.name)
            if (
                name in ("runs", "regions", "quiet")
                or context.get_parameter_source(name) != ParameterSource.COMMANDLINE
            ):
                continue
            yield min(option.opts, key=len)
            yield from [] if context.params[name] is True else [str(context.params[name])]

    return shlex.join(("zeroiqa", "report", *words()))
