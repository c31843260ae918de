"""`zeroiqa compare`: methods beside each other, on one or several databases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zeroiqa.cli.options import table_options
from zeroiqa.cli.output import print_report
from zeroiqa.errors import UserError
from zeroiqa.files.storage import Location, location

if TYPE_CHECKING:
    from zeroiqa.evaluation.datasets.read import Dataset
    from zeroiqa.evaluation.matching import Origin
    from zeroiqa.evaluation.methods import Method
    from zeroiqa.runs import Run


@click.command()
@click.argument("runs", nargs=-1, type=location)
@click.option(
    "--dataset", "names", multiple=True, metavar="NAME[=DIR]",
    help="A database and its folder; repeat. Without runs the name alone will do.",
)  # fmt: skip
@click.option("--mos", "tables", multiple=True, metavar="FILE[=DIR]",
              help="Table of images and opinions, and where its paths count from; repeat.")  # fmt: skip
@click.option("--aspect", default="quality", show_default=True, help="Which opinions and which scores.")
@click.option("--standard", "standards", multiple=True,
              help="Whose scores, where a run has several standards for the aspect; repeat.")  # fmt: skip
@click.option("--by-name", is_flag=True, help="Tell images by their file names alone: the runs' are copies.")
@click.option("--members", is_flag=True, help="Also each rater of an ensemble.")
@click.option("--baseline", "baselines", multiple=True,
              help="A name of `zeroiqa baselines`, scored now where it is not yet; repeat.")  # fmt: skip
@click.option("--published", is_flag=True, help="Also what papers print for these databases.")
@click.option("--external", "files", multiple=True, type=click.Path(path_type=Path),
              help="Table of another tool: paths, and a column of scores for each method, or columns "
              "method and score; repeat.")  # fmt: skip
@click.option("--lower-is-better", "lower", multiple=True, metavar="NAME",
              help="A method of these tables whose lower scores are better; repeat.")  # fmt: skip
@click.option("--resamples", type=click.IntRange(min=0),
              help="Of the bootstraps; 0 for neither intervals nor tests.  [default: 1000, more where many "
              "methods are tested]")  # fmt: skip
@table_options
def compare(
    runs: tuple[Location, ...],
    names: tuple[str, ...],
    tables: tuple[str, ...],
    aspect: str,
    standards: tuple[str, ...],
    by_name: bool,
    members: bool,
    baselines: tuple[str, ...],
    published: bool,
    files: tuple[Path, ...],
    lower: tuple[str, ...],
    resamples: int | None,
    style: str,
    decimals: int | None,
) -> None:
    """One table over methods and databases: SRCC, PLCC, and where each number comes from.

    The best of a column is marked, and the second best; the column p says whether a measured method differs
    from the best measured one (paired bootstrap of SRCC, Holm).

    Correlations are of scores that point upwards. Which scores of an --external method are better is said
    by --lower-is-better, else by a column of its file (lower_is_better: true or false; direction or better:
    lower or higher), else by an arrow in its name, else by `zeroiqa baselines`, which knows NIQE, BRISQUE and
    others in their usual spellings; else higher ones are taken to be better.
    """
    from zeroiqa.evaluation.comparison import compare as compared
    from zeroiqa.evaluation.external import read_externals
    from zeroiqa.evaluation.methods import published_methods
    from zeroiqa.evaluation.run_scores import check_standards, origin_of
    from zeroiqa.runs import load_run

    loaded = [load_run(run) for run in runs]
    check_standards(loaded, aspect, standards)
    methods = [method for run in loaded for method in _of_run(run, aspect, standards, members, by_name)]
    origins = [origin_of(run) for run in loaded] if tables or files else []
    methods += read_externals(files, lower, dict.fromkeys(each for own in origins for each in own.folders))
    needs_images = bool(methods or baselines)
    datasets = [_dataset(name, needs_images) for name in names] + [
        _opinions(each, origins) for each in tables
    ]
    if not datasets:
        raise click.UsageError("Give at least one --dataset NAME=DIR or --mos FILE.")
    methods += [_of_baseline(name, datasets, aspect) for name in baselines]
    if published:
        methods += published_methods([dataset.name for dataset in datasets], aspect)
    if not methods:
        raise click.UsageError("Give runs, --baseline NAME, --external FILE or --published.")
    resamples = resamples if needs_images else 0
    report = compared(methods, datasets, aspect, resamples=resamples, decimals=decimals)
    print_report(report, style)


def _of_run(run: Run, aspect: str, standards: tuple[str, ...], members: bool, by_name: bool) -> list[Method]:
    from zeroiqa.evaluation.methods import DOWNWARDS, UPWARDS, Method
    from zeroiqa.evaluation.run_scores import column_prefix, label_of, origin_of
    from zeroiqa.runs import read_column, remarks

    raters = run.settings.raters
    column = f"{column_prefix(run, label_of(run, aspect, standards))}score"
    name = run.folder.resolve().name if isinstance(run.folder, Path) else run.folder.name
    columns = {name: column}
    notes = tuple(f"{name}: {said}" for said in remarks(run))
    if members and len(raters) > 1:
        columns |= {f"{name}: {rater}": f"{column}_{rater}" for rater in raters}
    return [
        Method(
            row,
            f"measured here, {', '.join(raters)}",
            str(run.folder),
            tuple(read_column(run, own)),
            DOWNWARDS if run.lower_is_better else UPWARDS,
            origin=replace(origin_of(run, by_name=by_name), what=name),
            notes=notes,
        )
        for row, own in columns.items()
    ]


def _opinions(text: str, runs: Sequence[Origin]) -> Dataset:
    """The table FILE, or FILE=DIR where no file is called so."""
    from zeroiqa.evaluation.datasets.read import read_mos_file

    file, _, folder = text.rpartition("=")
    if file and not Path(text).exists():
        return read_mos_file(Path(file), Path(folder), runs=runs)
    return read_mos_file(Path(text), runs=runs)


def _of_baseline(name: str, datasets: list[Dataset], aspect: str) -> Method:
    """A baseline's scores of all the images, from a run of its own that resumes."""
    from zeroiqa.cli.progress import progress
    from zeroiqa.cli.running import tell
    from zeroiqa.evaluation.methods import DOWNWARDS, UPWARDS, Method
    from zeroiqa.evaluation.run_scores import origin_of
    from zeroiqa.images.find import images_at
    from zeroiqa.runs import read_column, remarks, write_scores
    from zeroiqa.runs.begin import begin_run, default_folder
    from zeroiqa.runs.executors.choice import ExecutorChoice
    from zeroiqa.runs.resolved import resolve
    from zeroiqa.runs.work import finished_shards
    from zeroiqa.settings import load_settings

    settings = load_settings(
        overrides={"raters": [f"baseline:{name}"], "standards": [f"{aspect}-word-7"], "crop": "whole"}
    )
    samples = {
        str(each.path): each for dataset in datasets for each in dataset.samples if aspect in each.scores
    }
    sources = images_at((path, each.prompt) for path, each in samples.items())
    resolved = resolve(settings)
    run = begin_run(default_folder(name, resolved, sources), resolved, sources, "compare", tell=tell)
    executor = ExecutorChoice().executor(len(sources), settings)
    for _ in finished_shards(run, range(run.n_shards), executor, progress, doing=name):
        pass
    write_scores(run)
    direction = DOWNWARDS if run.lower_is_better else UPWARDS
    return Method(
        name,
        "baseline, measured here",
        str(run.folder),
        tuple(read_column(run, "score")),
        direction,
        origin=replace(origin_of(run), what=name),
        notes=tuple(f"{name}: {said}" for said in (*run.warnings, *remarks(run))),
    )


def _dataset(text: str, needs_images: bool) -> Dataset:
    from zeroiqa.evaluation.datasets.read import Dataset, dataset_names, read_dataset

    name, _, folder = text.partition("=")
    if folder:
        return read_dataset(name, Path(folder))
    if needs_images:
        raise UserError(f"The folder of {name} is needed to compare scores; write --dataset {name}=DIR.")
    if name not in dataset_names():
        raise UserError(f"There is no dataset {name!r}; known: {', '.join(dataset_names())}.")
    return Dataset(name, (), {}, ())
