"""The work on a run as commands do it: with progress, results and sentences on them printed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from zeroiqa.cli.messages import say
from zeroiqa.cli.requested import RequestedTable

if TYPE_CHECKING:
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
                    say(line)
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
    for line in (*shown.notes, *work.conclusion(), *kept):
        tell(line)
