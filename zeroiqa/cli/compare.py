"""`zeroiqa compare`: methods beside each other, on one or several databases."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zeroiqa.errors import UserError
from zeroiqa.storage import Location, location

if TYPE_CHECKING:
    from zeroiqa.evaluation.comparison import Method
    from zeroiqa.evaluation.datasets import Dataset


@click.command()
@click.argument("runs", nargs=-1, type=location)
@click.option(
    "--dataset", "names", multiple=True, metavar="NAME[=DIR]",
    help="A database and its folder; repeat. Without runs the name alone will do.",
)  # fmt: skip
@click.option("--mos", "tables", multiple=True, type=click.Path(path_type=Path),
              help="CSV file with images and opinions; repeat.")  # fmt: skip
@click.option("--aspect", default="quality", show_default=True, help="Which opinions.")
@click.option("--members", is_flag=True, help="Also each rater of an ensemble.")
@click.option("--baseline", "baselines", multiple=True,
              help="A name of `zeroiqa baselines`, scored now where it is not yet; repeat.")  # fmt: skip
@click.option("--published", is_flag=True, help="Also what papers print for these databases.")
@click.option("--external", "files", multiple=True, type=click.Path(path_type=Path),
              help="CSV file of another tool: paths, and a column of scores for each method.")  # fmt: skip
@click.option("--resamples", type=click.IntRange(min=0), default=1000, show_default=True,
              help="Of the paired bootstrap; 0 for no tests.")  # fmt: skip
@click.option(
    "--format", "style", type=click.Choice(["table", "markdown", "latex", "csv", "json"]), default="table",
    show_default=True, help="What to print.",
)  # fmt: skip
def compare(
    runs: tuple[Location, ...],
    names: tuple[str, ...],
    tables: tuple[Path, ...],
    aspect: str,
    members: bool,
    baselines: tuple[str, ...],
    published: bool,
    files: tuple[Path, ...],
    resamples: int,
    style: str,
) -> None:
    """One table over methods and databases: SRCC, PLCC, and where each number comes from.

    The best of a column is marked, and the second best; the column p says whether a measured method differs
    from the best measured one (paired bootstrap of SRCC, Holm).
    """
    from zeroiqa.evaluation.comparison import compare as table_of
    from zeroiqa.evaluation.comparison import published_methods, read_external
    from zeroiqa.evaluation.datasets import read_mos_file
    from zeroiqa.evaluation.tables import render

    methods = [method for run in runs for method in _of_run(run, aspect, members)]
    methods += [method for file in files for method in read_external(file)]
    needs_images = bool(methods or baselines)
    datasets = [_dataset(name, needs_images) for name in names] + [read_mos_file(path) for path in tables]
    if not datasets:
        raise click.UsageError("Give at least one --dataset NAME=DIR or --mos FILE.")
    methods += [_of_baseline(name, datasets, aspect) for name in baselines]
    if published:
        methods += published_methods([dataset.name for dataset in datasets], aspect)
    if not methods:
        raise click.UsageError("Give runs, --baseline NAME, --external FILE or --published.")
    made = table_of(methods, datasets, aspect, resamples=resamples if needs_images else 0)
    click.echo(render(made, style), nl=False)


def _of_run(run: Location, aspect: str, members: bool) -> list[Method]:
    from zeroiqa.evaluation.comparison import Method
    from zeroiqa.runs import load_run, read_column, remarks

    loaded = load_run(run)
    labels, raters = list(loaded.labels.values()), loaded.settings.raters
    prefix = f"{aspect}_" if aspect in labels[1:] else ""
    name = run.resolve().name if isinstance(run, Path) else run.name
    protocol = f"measured here, {', '.join(raters)}"
    notes = tuple(remarks(loaded))
    methods = [Method(name, protocol, tuple(read_column(loaded, f"{prefix}score")), notes=notes)]
    if members and len(raters) > 1:
        methods += [
            Method(f"{name}: {rater}", protocol, tuple(read_column(loaded, f"{prefix}score_{rater}")))
            for rater in raters
        ]
    return methods


def _of_baseline(name: str, datasets: list[Dataset], aspect: str) -> Method:
    """A baseline's scores of all the images, from a run of its own that resumes."""
    from zeroiqa.cli.execution import Execution
    from zeroiqa.cli.running import default_folder, finished_shards
    from zeroiqa.evaluation.comparison import Method
    from zeroiqa.inputs import Source
    from zeroiqa.runs import open_run, read_column, remarks, write_scores
    from zeroiqa.settings import load_settings

    settings = load_settings(
        overrides={"raters": [f"baseline:{name}"], "standards": [f"{aspect}-word-7"], "crop": "whole"}
    )
    samples = {str(each.path): each for dataset in datasets for each in dataset.samples}
    sources = [Source(path, each.path.stat().st_size, each.prompt) for path, each in samples.items()]
    run = open_run(default_folder((name,), settings, sources), settings, sources, preset="compare")
    executor = Execution().executor(len(sources), settings)
    for _ in finished_shards(run, range(run.n_shards), executor, doing=name):
        pass
    write_scores(run)
    notes = (*run.warnings, *remarks(run))
    return Method(name, "baseline, measured here", tuple(read_column(run, "score")), notes=notes)


def _dataset(text: str, needs_images: bool) -> Dataset:
    from zeroiqa.evaluation.datasets import Dataset, dataset_names, read_dataset

    name, _, folder = text.partition("=")
    if folder:
        return read_dataset(name, Path(folder))
    if needs_images:
        raise UserError(f"The folder of {name} is needed to compare scores; write --dataset {name}=DIR.")
    if name not in dataset_names():
        raise UserError(f"There is no dataset {name!r}; known: {', '.join(dataset_names())}.")
    return Dataset(name, (), {}, ())
