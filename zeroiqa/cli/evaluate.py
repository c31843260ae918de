"""`zeroiqa evaluate`: how well a run's scores agree with people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zeroiqa.cli.options import arithmetic_options, given, normalized
from zeroiqa.storage import Location, location

if TYPE_CHECKING:
    from zeroiqa.evaluation.agreement import Agreement, Joined
    from zeroiqa.evaluation.datasets import Dataset
    from zeroiqa.evaluation.tables import Table
    from zeroiqa.runs import Run


FILES = {"json": "json", "markdown": "md", "latex": "tex", "csv": "csv"}


@click.command()
@click.argument("run", type=location)
@click.option("--dataset", "name", help="A name of `zeroiqa datasets`; its folder is given by --root.")
@click.option("--root", type=click.Path(path_type=Path), help="Folder of the dataset.")
@click.option("--mos", type=click.Path(path_type=Path), help="CSV file with images and opinions, instead.")
@click.option("--aspect", default="quality", show_default=True, help="Which opinions.")
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
@click.option(
    "--format", "style", type=click.Choice(["table", "markdown", "latex", "csv", "json"]), default="table",
    show_default=True, help="What to print.",
)  # fmt: skip
def evaluate(
    run: Location,
    name: str | None,
    root: Path | None,
    mos: Path | None,
    aspect: str,
    split: str | None,
    key: str | None,
    resamples: int,
    outliers: int,
    output: Path | None,
    style: str,
    **choices: Any,
) -> None:
    """Compare the scores of RUN with the opinions of people on the same images.

    The opinions are those of a dataset (--dataset and --root) or of a CSV file (--mos) with a column image
    and a column mos, or dmos where lower is better. Other arithmetic (--lambda, --readout ...) needs no new
    run.
    """
    from zeroiqa.evaluation.agreement import join, measure, measure_groups
    from zeroiqa.evaluation.tables import render
    from zeroiqa.runs import load_run

    loaded = load_run(run)
    choices["normalize_areas"] = normalized(choices.pop("areas"))
    dataset = read_opinions(name, root, mos, split)
    arithmetic = given(**choices)
    joined = join(scored(loaded, aspect, arithmetic), dataset, aspect)
    joined = replace(joined, left_out=(*joined.left_out, *_remarks(loaded, arithmetic)))
    found = measure(joined, resamples=resamples)
    table = agreement_table(found, measure_groups(joined, key) if key else None)
    click.echo(render(table, style), nl=False)
    if outliers and style == "table":
        _say_outliers(joined, outliers)
    if output is not None:
        _write(output, table, joined, f"{run.name} on {dataset.name}")


def read_opinions(name: str | None, root: Path | None, mos: Path | None, split: str | None) -> Dataset:
    """The dataset that the options name.

    Raises:
        UserError: it cannot be read.
    """
    from zeroiqa.evaluation.datasets import read_dataset, read_mos_file

    if mos is not None and name is None:
        return read_mos_file(mos, root)
    if name is None or root is None or mos is not None:
        raise click.UsageError("Give --dataset NAME and --root DIR, or --mos FILE.")
    return read_dataset(name, root, split=split)


def scored(run: Run, aspect: str, arithmetic: Mapping[str, Any]) -> Iterable[tuple[str, float | None]]:
    """Path and score of a run's images: as written, or by other arithmetic.

    The scores are those of the aspect, where the run has several; a run of one standard has one score.
    """
    from zeroiqa.runs import iter_scores, read_column, reaggregation

    labels = list(run.labels.values())
    label = aspect if aspect in labels else labels[0]
    if not arithmetic:
        return read_column(run, "score" if label == labels[0] else f"{label}_score")
    results = iter_scores(run, reaggregation(run, arithmetic))
    return ((each.path, each.scores[label].score if label in each.scores else None) for each in results)


def _remarks(run: Run, arithmetic: Mapping[str, Any]) -> list[str]:
    from zeroiqa.runs import reaggregation, remarks

    return remarks(run, reaggregation(run, arithmetic) if arithmetic else None)


def agreement_table(found: Agreement, groups: Agreement | None = None) -> Table:
    """One row per measure; of groups one row per group."""
    from zeroiqa.evaluation.tables import Table, cells, number

    rows = []
    for name, value in found.measures.items():
        interval = found.intervals.get(name)
        low, high = (interval.low, interval.high) if interval is not None else (None, None)
        rows.append(cells(name, str(found.images), number(value), number(low), number(high)))
    for group, each in (groups.groups if groups else {}).items():
        for name in ("SRCC", "PLCC"):
            rows.append(cells(f"{name}, {group}", str(each.images), number(each.measures[name]), "-", "-"))
    notes = (groups or found).notes
    return Table(("measure", "images", "value", "95 % from", "to"), tuple(rows), tuple(notes))


def _say_outliers(joined: Joined, count: int) -> None:
    from zeroiqa.evaluation.agreement import outliers

    click.echo("\nlargest differences  score  opinion  ranked")
    for name, score, opinion, gap in outliers(joined, count):
        where = "too high" if gap > 0 else "too low"
        click.echo(f"{name:<20} {score:6.2f}  {opinion:7.2f}  {abs(gap):.0%} {where}")


def _write(folder: Path, table: Table, joined: Joined, title: str) -> None:
    from zeroiqa.evaluation.tables import render
    from zeroiqa.report.scatter import scatter_plot
    from zeroiqa.runs.files import replaced

    names: Sequence[str] = ("scatter.png", *(f"evaluation.{suffix}" for suffix in FILES.values()))
    for style, suffix in FILES.items():
        with replaced(folder / f"evaluation.{suffix}") as file:
            file.write(render(table, style).encode())
    with replaced(folder / "scatter.png") as file:
        scatter_plot(joined.scores, joined.opinions, title, file)
    click.echo(f"Written to {folder}: {', '.join(names)}", err=True)
