"""`zeroiqa ablate`: the paper's ablations, and some of ours, on one's own images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zeroiqa.cli.command import command
from zeroiqa.cli.messages import say
from zeroiqa.cli.options import device_options, given, preset_option, segmenter_options, table_options
from zeroiqa.cli.output import print_report

if TYPE_CHECKING:
    from zeroiqa.evaluation.ablations import AblationRow
    from zeroiqa.runs import Run
    from zeroiqa.settings import Settings
    from zeroiqa.types import Rater


@command(
    examples=[
        ("ablate --dataset spaq --root SPAQ --table 3 -o ablation", "one grid of the paper on a database"),
    ],
)
@click.option("--dataset", "name", help="A name of `zeroiqa datasets`; its folder is given by --root.")
@click.option("--root", type=click.Path(path_type=Path), help="Folder of the dataset.")
@click.option("--mos", type=click.Path(path_type=Path), help="Table of images and opinions, instead.")
@click.option("--split", help="Only this part of the dataset, such as test.")
@click.option(
    "--table", "tables", multiple=True, required=True, type=click.Choice(["3", "4", "5", "ours", "official"]),
    help="3: aggregation, crop, standard; 4: levels; 5: segmentation; ours: readout, lambda, areas; "
    "official: Dog-IQA's code beside the paper (formula, count term, complement, prompt, readout, lambda).",
)  # fmt: skip
@click.option(
    "--rater", "raters", multiple=True,
    help="As for `zeroiqa score`; repeat for rows of each, and the ensemble's row of Table 3.",
)  # fmt: skip
@preset_option
@segmenter_options
@device_options
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder of the runs; it resumes."
)
@click.option("--resamples", type=click.IntRange(min=0), default=1000, show_default=True,
              help="Of the intervals, which csv, json and jsonl have; 0 for none.")  # fmt: skip
@table_options
def ablate(
    name: str | None,
    root: Path | None,
    mos: Path | None,
    split: str | None,
    tables: tuple[str, ...],
    preset: str | None,
    output: Path,
    resamples: int,
    style: str,
    decimals: int | None,
    **choices: Any,
) -> None:
    """Run the grids of LLM-IQA's Tables 3, 4 and 5 (and others) on the images of a dataset.

    Every segmentation and rating that rows have in common is computed once; the runs stay in the folder, and
    other commands work on them. Published numbers of the same dataset stand beside the measured ones. Two
    rows differ in what their labels say, and in nothing else.
    """
    from zeroiqa.cli.commands.evaluate import check_opinions
    from zeroiqa.evaluation.ablation_report import FinishedTable, ablation_report
    from zeroiqa.evaluation.ablations import run_ablation
    from zeroiqa.evaluation.opinions import rated_images, read_opinions
    from zeroiqa.raters import build_rater
    from zeroiqa.runs import remarks
    from zeroiqa.settings import DEFAULT_PRESET, load_settings

    settings = load_settings(preset or DEFAULT_PRESET, given(**choices))
    check_opinions(name, root, mos)
    dataset = read_opinions(name, root, mos, split)
    dataset.scale("quality")
    sources = rated_images([dataset], "quality")
    raters = [build_rater(rater, settings.model_options) for rater in settings.raters]
    done = []
    for table in dict.fromkeys(tables):
        rows, left_out = _rows(table, settings, raters)
        with ExitStack() as stack:
            found = run_ablation(
                rows, settings, sources, output / f"table-{table}", output / "memory.sqlite", _progress(stack)
            )
        for run in found.runs.values():
            for line in (*run.warnings, *remarks(run)):
                say(f"Warning: {run.folder.name}: {line}", err=True)
        done.append(FinishedTable(table, rows, found, left_out))
    print_report(ablation_report(done, settings, dataset, resamples, decimals), style)


def _rows(table: str, settings: Settings, raters: Sequence[Rater]) -> tuple[list[AblationRow], list[str]]:
    """The rows of a table that all the raters can give, and sentences about the others."""
    from zeroiqa.errors import UserError
    from zeroiqa.evaluation import ablations
    from zeroiqa.standards import load_standard

    rows, left_out = [], ablations.left_out(table, settings)
    for row in ablations.table_rows(table, settings):
        try:
            for rater in raters:
                rater.check(load_standard(row.standard))
            rows.append(row)
        except UserError as error:
            left_out.append(f"Left out: {row.label}. {error}")
    return rows, left_out


def _progress(stack: ExitStack) -> Callable[[Run], Callable[[int], None]]:
    from zeroiqa.cli.progress import progress
    from zeroiqa.runs.passes import image_passes, images_left

    def begin(run: Run) -> Callable[[int], None]:
        stack.close()  # the bar of the run before
        shards = range(run.n_shards)
        return stack.enter_context(
            progress(*image_passes(run, shards), passes=images_left(run, shards), doing=run.folder.name)
        )

    return begin
