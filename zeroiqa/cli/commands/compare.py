"""`zeroiqa compare`: methods beside each other, on one or several databases."""

from __future__ import annotations

from pathlib import Path

import click

from zeroiqa.cli.command import command
from zeroiqa.cli.options import table_options
from zeroiqa.cli.output import print_report
from zeroiqa.files.storage import Location, location


@command()
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
    from zeroiqa.cli.progress import progress
    from zeroiqa.cli.running import tell
    from zeroiqa.evaluation.compare import compare as compared
    from zeroiqa.runs import load_run

    loaded = [load_run(run) for run in runs]
    if not (names or tables):
        raise click.UsageError("Give at least one --dataset NAME=DIR or --mos FILE.")
    if not (runs or baselines or files or published):
        raise click.UsageError("Give runs, --baseline NAME, --external FILE or --published.")
    found = compared(
        loaded,
        datasets=map(_dataset, names),
        mos=map(_table, tables),
        aspect=aspect,
        standards=standards,
        by_name=by_name,
        members=members,
        baselines=baselines,
        published=published,
        external=files,
        lower_is_better=lower,
        resamples=resamples,
        track=progress,
        on_message=tell,
    )
    print_report(found.report(decimals), style)


def _dataset(text: str) -> tuple[str, Path | None]:
    """NAME, or NAME=DIR."""
    name, _, folder = text.partition("=")
    return name, Path(folder) if folder else None


def _table(text: str) -> tuple[Path, Path | None]:
    """The table FILE, or FILE=DIR where no file is called so."""
    file, _, folder = text.rpartition("=")
    if file and not Path(text).exists():
        return Path(file), Path(folder)
    return Path(text), None
