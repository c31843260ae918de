"""`zeroiqa ablate`: the paper's ablations, and some of ours, on one's own images."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zeroiqa.cli.options import device_options, given, segmenter_options

if TYPE_CHECKING:
    from zeroiqa.evaluation.ablations import Ablation, Row
    from zeroiqa.evaluation.datasets import Dataset
    from zeroiqa.evaluation.tables import Table
    from zeroiqa.runs import Run


@click.command()
@click.option("--dataset", "name", help="A name of `zeroiqa datasets`; its folder is given by --root.")
@click.option("--root", type=click.Path(path_type=Path), help="Folder of the dataset.")
@click.option("--mos", type=click.Path(path_type=Path), help="CSV file with images and opinions, instead.")
@click.option("--split", help="Only this part of the dataset, such as test.")
@click.option(
    "--table", "tables", multiple=True, required=True, type=click.Choice(["3", "4", "5", "ours"]),
    help="3: aggregation, crop, standard; 4: levels; 5: segmentation; ours: readout, lambda, areas.",
)  # fmt: skip
@click.option(
    "--rater", "raters", multiple=True, help="As for `zeroiqa score`; repeat for the ensemble's row."
)
@click.option("--preset", default="embedded", show_default=True, help="Name of a preset, or a TOML file.")
@segmenter_options
@device_options
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder of the runs; it resumes."
)
@click.option(
    "--format", "style", type=click.Choice(["table", "markdown", "latex", "csv", "json"]), default="table",
    show_default=True, help="What to print.",
)  # fmt: skip
def ablate(
    name: str | None,
    root: Path | None,
    mos: Path | None,
    split: str | None,
    tables: tuple[str, ...],
    preset: str,
    output: Path,
    style: str,
    **choices: Any,
) -> None:
    """Run the grids of LLM-IQA's Tables 3, 4 and 5 (and ours) on the images of a dataset.

    Every segmentation and rating that rows have in common is computed once; the runs stay in the folder, and
    other commands work on them. Published numbers of the same dataset stand beside the measured ones.
    """
    from zeroiqa.cli.evaluate import read_opinions
    from zeroiqa.errors import UserError
    from zeroiqa.evaluation.ablations import run_ablation, table_rows
    from zeroiqa.evaluation.tables import render
    from zeroiqa.inputs import Source
    from zeroiqa.raters import build_rater
    from zeroiqa.runs import remarks
    from zeroiqa.settings import load_settings
    from zeroiqa.standards import load_standard

    settings = load_settings(preset, given(**choices))
    dataset = read_opinions(name, root, mos, split)
    sources = [Source(str(each.path), each.path.stat().st_size, each.prompt) for each in dataset.samples]
    raters = [build_rater(rater, settings.model_options) for rater in settings.raters]
    for table in tables:
        rows, left_out = [], []
        for row in table_rows(table, settings):
            try:
                for rater in raters:
                    rater.check(load_standard(row.standard))
                rows.append(row)
            except UserError as error:
                left_out.append(f"Left out: {row.label}. {error}")
        with ExitStack() as stack:
            found = run_ablation(
                rows, settings, sources, output / f"table-{table}", output / "memory.sqlite", _progress(stack)
            )
        for run in found.runs.values():
            for line in (*run.warnings, *remarks(run)):
                click.echo(f"Warning: {run.folder.name}: {line}", err=True)
        made = _table(rows, found, dataset, table)
        click.echo(render(replace(made, notes=(*made.notes, *left_out)), style), nl=False)


def _progress(stack: ExitStack) -> Callable[[Run], Callable[[int], None]]:
    from zeroiqa.cli.progress import progress
    from zeroiqa.runs.passes import image_passes, rater_groups

    def begin(run: Run) -> Callable[[int], None]:
        stack.close()  # the bar of the run before
        passes = len(rater_groups(run.settings.raters))
        return stack.enter_context(
            progress(*image_passes(run, range(run.n_shards)), passes=passes, doing=run.folder.name)
        )

    return begin


def _table(rows: list[Row], found: Ablation, dataset: Dataset, table: str) -> Table:
    from zeroiqa.evaluation.ablations import common_arithmetic, published_row
    from zeroiqa.evaluation.agreement import join
    from zeroiqa.evaluation.metrics import plcc, srcc
    from zeroiqa.evaluation.tables import Table, cells, number
    from zeroiqa.runs import iter_scores, reaggregation

    lines = []
    images = 0
    for row in rows:
        run = found.runs[row.run]
        label = run.labels[row.standard]
        results = iter_scores(run, reaggregation(run, dict(common_arithmetic(row))))
        scored = ((each.path, each.scores[label].score if label in each.scores else None) for each in results)
        joined = join(scored, dataset, "quality")
        images = max(images, len(joined))
        said = published_row(table, row.published, dataset.name)
        measured = (srcc(joined.scores, joined.opinions), plcc(joined.scores, joined.opinions))
        lines.append((row.label, measured, said))
    notes = (
        f"{images} images of {dataset.name}; digits, lambda 1, normalised areas unless a row says otherwise.",
        f"{found.ratings.asked} ratings computed, {found.ratings.reused} shared; {found.segmentations.asked} "
        f"images segmented, {found.segmentations.reused} times shared.",
        *dataset.notes,
    )
    beside = any(said != (None, None) for _, _, said in lines)
    columns = ("row", "SRCC", "PLCC", *(("published SRCC", "published PLCC") if beside else ()))
    made = [
        cells(label, *map(number, (*measured, *(said if beside else ())))) for label, measured, said in lines
    ]
    return Table(columns, tuple(made), notes)
