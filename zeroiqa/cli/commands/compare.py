"""`zeroiqa compare`: methods beside each other, on one or several databases."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zeroiqa.cli.command import command
from zeroiqa.cli.execution import execution_options
from zeroiqa.cli.options import device_options, preset_option, raters_option, table_options
from zeroiqa.cli.output import print_report
from zeroiqa.files.storage import location

if TYPE_CHECKING:
    from zeroiqa.evaluation.sets import PairBy
    from zeroiqa.runs.executors.choice import ExecutorChoice


@command(
    examples=[
        ("compare A B", "two folders of images: means, paired win rate, test, largest differences"),
        (
            "compare A B --pair-by prompt --rater qwen2.5-vl-7b",
            "answers of two generators to the same prompts",
        ),
        ("compare run other --mos opinions.csv", "two methods on the same images, against opinions"),
    ]
)
@click.argument("runs", nargs=-1, metavar="[RUN|FOLDER]...")
@preset_option
@raters_option
@click.option("--pair-by", type=click.Choice(["name", "prompt", "none"]),
              help="What tells the pairs of two sets.  [default: whichever pairs more]")  # fmt: skip
@click.option("--top", type=click.IntRange(min=0), default=10, show_default=True,
              help="Of two sets: how many of the pairs that differ most are shown.")  # fmt: skip
@device_options
@execution_options
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
    runs: tuple[str, ...],
    preset: str | None,
    raters: tuple[str, ...],
    pair_by: PairBy | None,
    top: int,
    choice: ExecutorChoice,
    image_seconds: float,
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
    **placed: Any,
) -> None:
    """Compare two folders of images, or methods on databases.

    Two FOLDERs (or lists, patterns, archives, or runs), without --dataset and --mos: their images are scored
    by one method, each set in its default run folder, which resumes. Printed are mean scores with intervals,
    how often an image of the second set beats its pair in the first, with a paired test, histograms, and the
    pairs that differ most.

    Otherwise one table over methods and databases: SRCC, PLCC, and where each number comes from. The best of
    a column is marked, and the second best; the column p says whether a measured method differs from the best
    measured one (paired bootstrap of SRCC, Holm).

    Correlations are of scores that point upwards. Which scores of an --external method are better is said
    by --lower-is-better, else by a column of its file (lower_is_better: true or false; direction or better:
    lower or higher), else by an arrow in its name, else by `zeroiqa baselines`, which knows NIQE, BRISQUE and
    others in their usual spellings; else higher ones are taken to be better.
    """
    from zeroiqa.cli.progress import progress
    from zeroiqa.cli.running import tell
    from zeroiqa.cli.scored_set import scored_set
    from zeroiqa.evaluation.compare import compare as compared
    from zeroiqa.evaluation.compare_sets import compare_sets
    from zeroiqa.runs import load_run

    if not (names or tables or files or published) and len(runs) == 2:
        if ignored := [
            name
            for name, value in (("--members", members), ("--by-name", by_name), ("--lower-is-better", lower))
            if value
        ]:
            raise click.UsageError(f"{', '.join(ignored)} is of methods on databases, not of two sets.")
        method = {"preset": preset, "raters": raters, "baselines": baselines, "aspect": aspect, **placed}
        sets = [scored_set(each, choice, image_seconds, standards=standards, **method) for each in runs]
        compared_sets = compare_sets(
            *sets,
            aspect=aspect,
            standards=standards,
            pair_by=pair_by,
            resamples=1000 if resamples is None else resamples,
            top=top,
        )
        print_report(compared_sets.report(decimals), style)
        return
    if not (names or tables):
        raise click.UsageError(
            "Give two folders or runs, to compare their images; or at least one --dataset NAME=DIR or --mos "
            f"FILE, to compare methods{f': {len(runs)} are named' if runs else ''}."
        )
    if not (runs or baselines or files or published):
        raise click.UsageError("Give runs, --baseline NAME, --external FILE or --published.")
    loaded = [load_run(location(run)) for run in runs]
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
