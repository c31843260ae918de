"""The work on a run as commands do it: with progress, results and sentences on them printed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from zeroiqa.cli.messages import is_quiet, say, summarise
from zeroiqa.cli.requested import RequestedTable

if TYPE_CHECKING:
    from zeroiqa.runs import Run
    from zeroiqa.runs.work import Work


def tell(sentence: str) -> None:
    """Print a sentence about a run, beside the results."""
    say(sentence, err=True)


def carry_out(work: Work, style: str, requested: RequestedTable) -> None:
    """Do what is left of a run, or of a slice of it; print its results and write its scores."""
    from zeroiqa.cli.output import table, write_rows
    from zeroiqa.guards.heap import keep_freed_memory
    from zeroiqa.runs.presentation import presentation, presented

    keep_freed_memory()
    try:
        if style == "table" or work.run.settings.scale == "percentile":
            work.finish()  # before anything is printed
            kept = requested.keep(work.run) if work.written else []
            shown = presentation(work.run, work.aggregation)
            shards = None if work.slice is None else work.shards
            columns, results = presented(work.run, work.aggregation, shown, shards)
            if style == "table":
                for line in table(results):
                    summarise(line)
            else:
                write_rows(results, style, columns, sys.stdout)
        else:
            shown = presentation(work.run, work.aggregation)
            columns, _ = presented(work.run, work.aggregation, shown)
            results = shown.of(work.results())
            write_rows(results, style, columns, sys.stdout)
            for _ in results:  # nobody reads any more; the run is what counts
                pass
            kept = requested.keep(work.run) if work.written else []
    except KeyboardInterrupt:
        tell(f"Stopped. {work.run.folder} keeps what is finished; the same command goes on from there.")
        raise click.exceptions.Exit(130) from None
    if is_quiet():
        _warn_of_errors(work.run)
    for line in (*shown.notes, *work.conclusion(), *kept):
        tell(line)


def _warn_of_errors(run: Run) -> None:
    """What a quiet command says of images that have no score."""
    from zeroiqa.runs.remarks import counted
    from zeroiqa.runs.run import status

    found = status(run)
    if found.errors:
        of = f"{found.errors} of {counted(found.images)}"
        say(f"Warning: no score for {of}, which have an error; see scores.csv in {run.folder}.", err=True)
