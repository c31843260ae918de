"""`zeroiqa evaluate`: how well a run's scores agree with people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zeroiqa.cli.command import command
from zeroiqa.cli.messages import say
from zeroiqa.cli.options import arithmetic_options, given, table_options
from zeroiqa.cli.output import print_report
from zeroiqa.files.storage import Location, location

if TYPE_CHECKING:
    from zeroiqa.evaluation.evaluate import Evaluation
    from zeroiqa.evaluation.records import Report


FILES = {"json": "json", "markdown": "md", "latex": "tex", "csv": "csv"}


@command(
    examples=[
        ("evaluate run --mos opinions.csv", "SRCC, PLCC, KRCC and RMSE with intervals"),
    ],
)
@click.argument("run", type=location)
@click.option("--dataset", "name", help="A name of `zeroiqa datasets`; its folder is given by --root.")
@click.option("--root", type=click.Path(path_type=Path), help="Folder of the dataset, or of --mos' images.")
@click.option("--mos", type=click.Path(path_type=Path), help="Table of images and opinions, instead.")
@click.option("--aspect", default="quality", show_default=True, help="Which opinions and which scores.")
@click.option("--standard", help="Whose scores, where the run has several standards for the aspect.")
@click.option("--by-name", is_flag=True, help="Tell images by their file names alone: the run's are copies.")
@click.option("--split", help="Only this part of the dataset, such as test.")
@click.option("--group", "key", help="Also by group, such as model, distortion or subset.")
@click.option(
    "--member", "members", multiple=True, help="Rater to keep in the ensemble; repeat.  [default: all]"
)
@arithmetic_options
@click.option("--resamples", type=click.IntRange(min=0), default=1000, show_default=True,
              help="Of the bootstrap intervals; 0 for none.")  # fmt: skip
@click.option("--outliers", type=click.IntRange(min=0), default=5, show_default=True,
              help="How many of the images with the largest differences to list.")  # fmt: skip
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder for the table in every format and a scatter plot.",
)
@table_options
def evaluate(
    run: Location,
    name: str | None,
    root: Path | None,
    mos: Path | None,
    aspect: str,
    standard: str | None,
    by_name: bool,
    split: str | None,
    key: str | None,
    resamples: int,
    outliers: int,
    output: Path | None,
    style: str,
    decimals: int | None,
    **choices: Any,
) -> None:
    """Compare the scores of RUN with the opinions of people on the same images.

    The opinions are those of a dataset (--dataset and --root) or of a table (--mos: .csv, .xlsx, .json,
    .jsonl, .parquet) with a column image and a column mos, or dmos where lower is better. A path in it counts
    from --root (the table's folder, if not given), or is that of an image as RUN was given it; a bare name is
    the one image below --root that is called so. Other arithmetic (--lambda, --readout ...) needs no new run.
    """
    from zeroiqa.evaluation.evaluate import evaluate as evaluated
    from zeroiqa.runs import load_run

    loaded = load_run(run)
    check_opinions(name, root, mos)
    found = evaluated(
        loaded,
        mos=mos,
        dataset=name,
        root=root,
        split=split,
        aspect=aspect,
        standard=standard,
        by_name=by_name,
        group=key,
        resamples=resamples,
        **given(**choices),
    )
    report = found.report(decimals)
    print_report(report, style)
    if outliers and style == "table":
        _say_outliers(found, outliers)
    if output is not None:
        _write(output, found, report)


def check_opinions(name: str | None, root: Path | None, mos: Path | None) -> None:
    """Refuse options that do not name one table, or one database and its folder."""
    if (mos is None and (name is None or root is None)) or (mos is not None and name is not None):
        raise click.UsageError("Give --dataset NAME and --root DIR, or --mos FILE.")


def _say_outliers(found: Evaluation, count: int) -> None:
    say("\nlargest differences  score  opinion  ranked")
    for name, score, opinion, difference in found.outliers(count):
        where = "too high" if (difference > 0) != found.lower_is_better else "too low"
        say(f"{name:<20} {score:6.2f}  {opinion:7.2f}  {abs(difference):.0%} {where}")


def _write(folder: Path, found: Evaluation, report: Report) -> None:
    from zeroiqa.files.atomic import replaced
    from zeroiqa.report.scatter import scatter_plot

    names: Sequence[str] = ("scatter.png", *(f"evaluation.{suffix}" for suffix in FILES.values()))
    for style, suffix in FILES.items():
        with replaced(folder / f"evaluation.{suffix}") as file:
            file.write(report.text(style).encode())
    images, lower = found.images, found.lower_is_better
    scores = -images.scores if lower else images.scores
    opinions = -images.opinions if images.turned else images.opinions
    labels = (
        "score" + " (lower is better)" * lower,
        "opinion of people" + " (lower is better)" * images.turned,
    )
    with replaced(folder / "scatter.png") as file:
        scatter_plot(scores, opinions, f"{found.run} on {found.database}", file, labels)
    say(f"Written to {folder}: {', '.join(names)}", err=True)
