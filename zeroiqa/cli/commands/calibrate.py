"""`zeroiqa calibrate`: a monotone map from a run's scores to the scale of one's own labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zeroiqa.cli.command import command
from zeroiqa.cli.messages import say
from zeroiqa.cli.options import arithmetic_options, given
from zeroiqa.files.storage import Location, location

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zeroiqa.evaluation.calibrate import Calibrated


@command(
    examples=[
        ("calibrate run --labels mine.csv -o mine.json", "the scale of your own labels"),
        ("rescore run --calibration mine.json", "a column of calibrated scores"),
    ],
)
@click.argument("run", type=location)
@click.option("--labels", required=True, type=click.Path(path_type=Path), help="Table of images and labels.")
@click.option("--root", type=click.Path(path_type=Path), help="Folder of the table's images.")
@click.option("--aspect", default="quality", show_default=True, help="Which labels and which scores.")
@click.option("--standard", help="Whose scores, where the run has several standards for the aspect.")
@click.option("--by-name", is_flag=True, help="Tell images by their file names alone: the run's are copies.")
@click.option("--lower-is-better", is_flag=True, help="Of the labels, though no column is called dmos.")
@click.option(
    "--scale",
    metavar="LOW-HIGH",
    help="Of the labels, such as 1-5 or 0-100; or percentile.  [default: the least to the greatest label]",
)
@click.option(
    "--map",
    "kind",
    type=click.Choice(["auto", "isotonic", "logistic"]),
    default="auto",
    show_default=True,
    help="auto: logistic for fewer than 30 labels, else isotonic.",
)
@click.option(
    "--member", "members", multiple=True, help="Rater to keep in the ensemble; repeat.  [default: all]"
)
@arithmetic_options
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="File for `zeroiqa rescore --calibration`."
)
@click.option("--plot", type=click.Path(path_type=Path), help="Reliability plot, .png or .svg.")
@click.option("--format", "style", type=click.Choice(["table", "json"]), default="table", show_default=True,
              help="What to print: how reliable the map is, or the content of the file.")  # fmt: skip
def calibrate(
    run: Location,
    labels: Path,
    root: Path | None,
    aspect: str,
    standard: str | None,
    by_name: bool,
    lower_is_better: bool,
    scale: str | None,
    kind: str,
    output: Path | None,
    plot: Path | None,
    style: str,
    **choices: Any,
) -> None:
    """Map the scores of RUN to the scale of your own labels.

    About 30 of them are good, 10 are needed.

    The labels are a table with a column image and a column mos (or score; dmos where lower is better), read
    and matched as by `zeroiqa evaluate --mos`. The map never falls; each value has an interval that holds 9
    of 10 labels, and the error is told at labels that the map does not know. `zeroiqa rescore RUN
    --calibration FILE` shows its values beside the scores of this run, or of any other by the same raters and
    arithmetic.
    """
    from zeroiqa.calibration_file import text_of
    from zeroiqa.evaluation.calibrate import calibrate as calibrated
    from zeroiqa.files.atomic import replaced
    from zeroiqa.runs import load_run

    _check_files(labels, output, plot)
    found = calibrated(
        load_run(run),
        labels,
        root=root,
        aspect=aspect,
        standard=standard,
        by_name=by_name,
        lower_is_better=lower_is_better,
        scale=scale,
        kind=kind,
        **given(**choices),
    )
    if output is not None:
        with replaced(output) as file:
            file.write(text_of(found.calibration).encode())
    if plot is not None:
        from zeroiqa.report.reliability import reliability_plot

        with replaced(plot) as file:
            points, form = (found.scores, found.labels), plot.suffix.lower().removeprefix(".")
            reliability_plot(found.calibration, points, found.bins, file, form)
    if style == "json":
        click.echo(text_of(found.calibration), nl=False)
    else:
        for line in _lines(found):
            say(line)
    kept = [str(path) for path in (output, plot) if path is not None]
    written = (
        f"Written: {', '.join(kept)}" if kept else "Nothing is kept; -o calibration.json writes the map."
    )
    for line in (*found.notes, written):
        say(line, err=True)


def _check_files(labels: Path, output: Path | None, plot: Path | None) -> None:
    """Refuse to replace what is no calibration or plot.

    Raises:
        UserError: something else is there, or the plot has a suffix that is not written.
    """
    from zeroiqa.calibration_file import is_calibration
    from zeroiqa.errors import UserError, printable
    from zeroiqa.files.atomic import is_stream
    from zeroiqa.report.reliability import FORMATS, is_plot

    if output is not None and output == plot:
        raise UserError(f"{printable(str(output))} is named for the map and for the plot; give two names.")
    for path in filter(None, (output, plot)):
        if path.is_dir():
            raise UserError(f"{printable(str(path))} is a folder; give the name of a file.")
        if path.exists() and labels.exists() and path.samefile(labels):
            raise UserError(f"{printable(str(path))} holds the labels; give another name.")
    if output is not None and output.exists() and not is_stream(output) and not is_calibration(output):
        raise UserError(f"{printable(str(output))} exists and is no calibration; give another name with -o.")
    if plot is not None and plot.suffix.lower() not in FORMATS:
        raise UserError(f"{printable(str(plot))} is no name of a plot; give one that ends in .png or .svg.")
    if plot is not None and plot.exists() and not is_stream(plot) and not is_plot(plot):
        raise UserError(f"{printable(str(plot))} exists and is no plot; give another name with --plot.")


def _lines(found: Calibrated) -> Iterator[str]:
    from zeroiqa.files.tables.render import aligned

    made = found.calibration
    yield (
        f"{made.kind} map from {made.labels} labels to {made.scale}, for scores from "
        f"{made.knots[0].score:.2f} to {made.knots[-1].score:.2f}."
    )
    yield found.error
    rows = [("expected", "labels", "mean expected", "mean label")]
    for each in found.bins:
        span = f"{each.first:.2f} to {each.last:.2f}"
        rows.append((span, str(each.labels), f"{each.expected:.2f}", f"{each.label:.2f}"))
    yield from aligned(rows, right=(1, 2, 3))
