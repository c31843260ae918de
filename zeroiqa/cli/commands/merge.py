"""`zeroiqa merge`: the scores of a run whose slices are done, or one run from several."""

from __future__ import annotations

import click

from zeroiqa.cli.command import command
from zeroiqa.cli.messages import say
from zeroiqa.files.storage import Location, location


@command(
    examples=[
        ("merge run", "once all slices are done"),
    ],
)
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=location)
@click.option("-o", "--output", type=location, help="New run folder, for several runs.")
def merge(runs: tuple[Location, ...], output: Location | None) -> None:
    """Write the scores of a run whose slices (`zeroiqa score --shard I/N`) are all done.

    With several runs of the same settings: copy them into the new run -o. An image that several have is taken
    from the first. Nothing is computed again.
    """
    from zeroiqa.cli.requested import folder_only
    from zeroiqa.runs import load_run, write_scores
    from zeroiqa.runs.merge import merge_runs
    from zeroiqa.runs.remarks import conclusion

    if (len(runs) > 1) != (output is not None):
        raise click.UsageError("Give one run; or several, and with -o a new folder for what they hold.")
    if output is None:
        run = load_run(runs[0])
    else:
        folder_only(output)
        run, repeated = merge_runs([load_run(folder) for folder in runs], output)
        if repeated:
            say(f"{repeated} images are in several runs and were taken from the first.", err=True)
    write_scores(run)
    for line in conclusion(run):
        say(line, err=True)
