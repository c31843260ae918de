"""`zeroiqa rescore`: other arithmetic on the ratings of a finished run; no model is loaded."""

from __future__ import annotations

import sys
from typing import Any

import click

from zeroiqa.cli.messages import say
from zeroiqa.cli.options import arithmetic_options, format_option, given
from zeroiqa.files.storage import Location, location


@click.command()
@click.argument("run", type=location)
@arithmetic_options
@click.option(
    "--member", "members", multiple=True, help="Rater to keep in the ensemble; repeat.  [default: all]"
)
@click.option(
    "-o",
    "--output",
    type=location,
    help="Write every row to this file: .csv, .parquet, .json or .jsonl.",
)
@format_option
def rescore(run: Location, output: Location | None, style: str, **choices: Any) -> None:
    """Score a run again from its stored ratings: other readout, lambda, weighting or members.

    The run itself stays as it is.
    """
    from zeroiqa.cli.output import table, write_rows
    from zeroiqa.cli.requested import write_table
    from zeroiqa.files.tables import csv_writer
    from zeroiqa.runs import iter_scores, load_run, reaggregation, remarks, score_columns
    from zeroiqa.runs.remarks import lacking, led_alone

    loaded = load_run(run)
    aggregation = reaggregation(loaded, given(**choices))
    columns = score_columns(loaded, aggregation)
    if output is not None:
        write_table(loaded, aggregation, output, style if style in csv_writer.STYLES else "")
    if style == "table":
        for line in table(iter_scores(loaded, aggregation)):
            say(line)
    else:
        write_rows(iter_scores(loaded, aggregation), style, columns, sys.stdout)
    for line in (*lacking(loaded), *led_alone(loaded, aggregation), *remarks(loaded, aggregation)):
        say(line, err=True)
