"""`zeroiqa rescore`: other arithmetic on the ratings of a finished run; no model is loaded."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zeroiqa.cli.command import command
from zeroiqa.cli.messages import say
from zeroiqa.cli.options import arithmetic_options, format_option, given, scale_option
from zeroiqa.files.storage import Location, location

if TYPE_CHECKING:
    from zeroiqa.settings import Shown


@command(
    examples=[
        (
            "rescore run --lambda 1 -o scores.csv",
            "other arithmetic, into a table; no model is loaded",
        ),
    ],
)
@click.argument("run", type=location)
@arithmetic_options
@click.option(
    "--member", "members", multiple=True, help="Rater to keep in the ensemble; repeat.  [default: all]"
)
@scale_option
@click.option(
    "--calibration",
    type=click.Path(path_type=Path),
    help="File of `zeroiqa calibrate`: columns calibrated, calibrated_low, calibrated_high beside score.",
)
@click.option(
    "-o",
    "--output",
    type=location,
    help="Write every row to this file: .csv, .parquet, .json or .jsonl.",
)
@format_option
def rescore(
    run: Location,
    output: Location | None,
    style: str,
    scale: Shown | None,
    calibration: Path | None,
    **choices: Any,
) -> None:
    """Score a run again from its stored ratings: other readout, lambda, weighting or members.

    The run itself stays as it is.
    """
    from zeroiqa.cli.output import table, write_rows
    from zeroiqa.cli.requested import check_place, write_table
    from zeroiqa.files.tables import csv_writer
    from zeroiqa.runs import load_run, reaggregation, remarks
    from zeroiqa.runs.presentation import presentation, presented
    from zeroiqa.runs.remarks import lacking, led_alone

    if output is not None:
        check_place(output)
    loaded = load_run(run)
    aggregation = reaggregation(loaded, given(**choices))
    shown = presentation(loaded, aggregation, scale, _read(calibration))
    columns, results = presented(loaded, aggregation, shown)
    if output is not None:
        write_table(loaded, aggregation, output, style if style in csv_writer.STYLES else "", shown)
    if style == "table":
        for line in table(results):
            say(line)
    else:
        write_rows(results, style, columns, sys.stdout)
    about = (*lacking(loaded), *led_alone(loaded, aggregation), *remarks(loaded, aggregation))
    for line in (*shown.notes, *about):
        say(line, err=True)


def _read(calibration: Path | None) -> Any:
    from zeroiqa.calibration_file import read_calibration

    return None if calibration is None else read_calibration(calibration)
