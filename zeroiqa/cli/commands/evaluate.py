"""`zeroiqa evaluate`: how well a run's scores agree with people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zeroiqa.cli.messages import say
from zeroiqa.cli.options import arithmetic_options, given, normalized, table_options
from zeroiqa.cli.output import print_report
from zeroiqa.files.storage import Location, location

if TYPE_CHECKING:
    from zeroiqa.evaluation.agreement import Joined
    from zeroiqa.evaluation.datasets.origins import Origin
    from zeroiqa.evaluation.datasets.types import Dataset
    from zeroiqa.evaluation.records import Report
    from zeroiqa.runs import Run


FILES = {"json": "json", "markdown": "md", "latex": "tex", "csv": "csv"}


@click.command()
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
    from zeroiqa.evaluation.agreement import join, measure, measure_groups, pointing_up
    from zeroiqa.evaluation.agreement_report import agreement_report
    from zeroiqa.evaluation.run_scores import check_standards, label_of, origin_of, scores_of
    from zeroiqa.runs import load_run

    loaded = load_run(run)
    choices["normalize_areas"] = normalized(choices.pop("areas"))
    origin = origin_of(loaded, by_name=by_name)
    dataset = read_opinions(name, root, mos, split, [origin])
    chosen = [] if standard is None else [standard]
    check_standards([loaded], aspect, chosen)
    lower = loaded.lower_is_better
    arithmetic = given(**choices)
    scored = scores_of(loaded, label_of(loaded, aspect, chosen), arithmetic)
    joined = join(pointing_up(scored, lower), dataset, aspect, origin)
    found = measure(joined, resamples=resamples)
    report = agreement_report(
        found,
        measure_groups(joined, key) if key else None,
        key=key,
        method=run.resolve().name if isinstance(run, Path) else run.name,
        dataset=dataset,
        aspect=aspect,
        remarks=_remarks(loaded, arithmetic),
        protocol=f"measured here, {', '.join(loaded.settings.raters)}",
        source=str(loaded.folder),
        lower_is_better=lower,
        resamples=resamples,
        decimals=decimals,
    )
    print_report(report, style)
    if outliers and style == "table":
        _say_outliers(joined, outliers, lower)
    if output is not None:
        _write(output, report, joined, f"{run.name} on {dataset.name}", lower)


def read_opinions(
    name: str | None, root: Path | None, mos: Path | None, split: str | None, runs: Iterable[Origin] = ()
) -> Dataset:
    """The dataset that the options name; a table may name images as they were given to the runs.

    Raises:
        UserError: it cannot be read.
    """
    from zeroiqa.evaluation.datasets.read import read_dataset, read_mos_file

    if mos is not None and name is None:
        return read_mos_file(mos, root, runs=runs)
    if name is None or root is None or mos is not None:
        raise click.UsageError("Give --dataset NAME and --root DIR, or --mos FILE.")
    return read_dataset(name, root, split=split)


def _remarks(run: Run, arithmetic: Mapping[str, Any]) -> list[str]:
    from zeroiqa.runs import reaggregation, remarks

    return remarks(run, reaggregation(run, arithmetic) if arithmetic else None)


def _say_outliers(joined: Joined, count: int, lower: bool) -> None:
    """Scores and opinions as they are: in their own directions."""
    from zeroiqa.evaluation.agreement import outliers

    signs = (-1 if lower else 1, -1 if joined.turned else 1)
    say("\nlargest differences  score  opinion  ranked")
    for name, score, opinion, gap in outliers(joined, count):
        where = "too high" if (gap > 0) != lower else "too low"
        say(f"{name:<20} {signs[0] * score:6.2f}  {signs[1] * opinion:7.2f}  {abs(gap):.0%} {where}")


def _write(folder: Path, report: Report, joined: Joined, title: str, lower: bool) -> None:
    from zeroiqa.files.atomic import replaced
    from zeroiqa.report.scatter import scatter_plot

    names: Sequence[str] = ("scatter.png", *(f"evaluation.{suffix}" for suffix in FILES.values()))
    for style, suffix in FILES.items():
        with replaced(folder / f"evaluation.{suffix}") as file:
            file.write(report.text(style).encode())
    scores = -joined.scores if lower else joined.scores
    opinions = -joined.opinions if joined.turned else joined.opinions
    labels = (
        "score" + " (lower is better)" * lower,
        "opinion of people" + " (lower is better)" * joined.turned,
    )
    with replaced(folder / "scatter.png") as file:
        scatter_plot(scores, opinions, title, file, labels)
    say(f"Written to {folder}: {', '.join(names)}", err=True)
