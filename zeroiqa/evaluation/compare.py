"""Methods beside each other, on one or several databases: what `zeroiqa compare` prints, as an object."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from zeroiqa.errors import UserError
from zeroiqa.evaluation.comparison import Comparison, compare_methods
from zeroiqa.evaluation.datasets.cards import find_dataset
from zeroiqa.evaluation.datasets.origins import Origin
from zeroiqa.evaluation.datasets.read import read_dataset, read_mos_file
from zeroiqa.evaluation.datasets.types import Dataset
from zeroiqa.evaluation.external import read_externals
from zeroiqa.evaluation.methods import DOWNWARDS, UPWARDS, ComparedMethod, measured_by, published_methods
from zeroiqa.evaluation.opinions import PathLike, rated_images
from zeroiqa.evaluation.run_scores import (
    check_standards,
    column_prefix,
    label_of,
    load,
    name_of,
    not_the_mean,
    origin_of,
)
from zeroiqa.runs import Run, read_column, remarks

if TYPE_CHECKING:
    from zeroiqa.runs.work import Track

Name = TypeVar("Name", bound=PathLike)
InFolders: TypeAlias = Name | Mapping[Name, PathLike | None] | Iterable[Name | tuple[Name, PathLike | None]]
"""One name; or several, as a mapping to their folders (None: not given), or as names or pairs with these."""


def compare(
    runs: PathLike | Run | Iterable[PathLike | Run] = (),
    *,
    datasets: InFolders[str] = (),
    mos: InFolders[PathLike] = (),
    aspect: str = "quality",
    standards: Sequence[str] = (),
    by_name: bool = False,
    members: bool = False,
    baselines: Sequence[str] = (),
    published: bool = False,
    external: Sequence[PathLike] = (),
    lower_is_better: Sequence[str] = (),
    resamples: int | None = None,
    track: Track | None = None,
    on_message: Callable[[str], None] | None = None,
) -> Comparison:
    """Compare runs, baselines, other tools and published numbers by their agreement with people.

    Args:
        runs: Finished runs, or their folders (on the disk, s3:// or gs://).
        datasets: Published databases by names of `zeroiqa datasets`: name -> folder. Where published numbers
            alone are compared, names will do.
        mos: Tables of images and opinions: file -> folder from which its paths count; or files alone, from
            whose own folders they count.
        aspect: Which opinions and which scores: quality, authenticity or correspondence.
        standards: Whose scores, where a run has several standards for the aspect.
        by_name: Tell images by their file names alone, as those of the runs are copies.
        members: Also each rater of an ensemble.
        baselines: Names of `zeroiqa baselines`; each scores the images that have an opinion, once, in a run
            of its own below zeroiqa-runs/.
        published: Also what papers print for the databases.
        external: Tables of other tools: paths, and a column of scores for each method.
        lower_is_better: Methods of these tables whose lower scores are better.
        resamples: Of the bootstraps; 0 for neither intervals nor tests; None for 1,000, and more where many
            methods are tested.
        track: Follows the progress of each baseline, as `zeroiqa.runs.work.Track`.
        on_message: Is given each sentence that the command line prints about the run of a baseline; if left
            out, the logger of zeroiqa is.

    Returns:
        SRCC and PLCC of each method on each database, with intervals, and whether it differs from the best.

    Raises:
        UserError: nothing is named to compare, or to compare with; something cannot be read; or a method has
            no image in common with any database.

    Example:
        >>> import zeroiqa
        >>> found = zeroiqa.compare(["run"], mos="opinions.csv", external=["other.csv"])
        >>> found.methods
        ('run', 'other tool')
        >>> [record.measure for record in found.records if record.method == "run"]
        ['SRCC', 'PLCC']
    """
    loaded = [load(run) for run in ([runs] if isinstance(runs, str | os.PathLike | Run) else runs)]
    check_standards(loaded, aspect, standards)
    methods = [method for run in loaded for method in _of_run(run, aspect, standards, members, by_name)]
    named, tables = list(_pairs(datasets)), list(_pairs(mos))
    origins = [origin_of(run) for run in loaded] if tables or external else []
    folders = dict.fromkeys(folder for origin in origins for folder in origin.folders)
    methods += read_externals(list(map(Path, external)), lower_is_better, folders)
    needs_images = bool(methods or baselines)
    people = [_database(name, folder, needs_images) for name, folder in named]
    people += [
        read_mos_file(Path(table), None if root is None else Path(root), runs=origins)
        for table, root in tables
    ]
    if not people:
        raise UserError("There are no opinions to compare with; name a database or a table of opinions.")
    methods += [_of_baseline(name, people, aspect, track, on_message) for name in baselines]
    if published:
        methods += published_methods([each.name for each in people], aspect)
    if not methods:
        raise UserError("There is no method to compare; name runs, baselines, external or published scores.")
    return compare_methods(methods, people, aspect, resamples=resamples if needs_images else 0)


def _pairs(named: InFolders[Name]) -> Iterator[tuple[Name, PathLike | None]]:
    """Each name, and its folder or None."""
    if isinstance(named, Mapping):
        yield from named.items()
    elif isinstance(named, str | os.PathLike):
        yield named, None
    else:
        for each in named:
            yield each if isinstance(each, tuple) else (each, None)


def _of_run(
    run: Run, aspect: str, standards: Sequence[str], members: bool, by_name: bool
) -> Iterator[ComparedMethod]:
    """The scores of a run, and of each of its raters where these are wanted."""
    raters, name = run.settings.raters, name_of(run)
    label = label_of(run, aspect, standards)
    column = f"{column_prefix(run, label)}score"
    columns = {name: column}
    if members and len(raters) > 1:
        columns |= {f"{name}: {rater}": f"{column}_{rater}" for rater in raters}
    for row, own in columns.items():
        yield _method(
            row,
            measured_by(raters),
            run,
            own,
            replace(origin_of(run, by_name=by_name), what=name),
            tuple(f"{name}: {remark}" for remark in (*not_the_mean(run, label), *remarks(run))),
        )


def _of_baseline(
    name: str,
    datasets: Sequence[Dataset],
    aspect: str,
    track: Track | None,
    tell: Callable[[str], None] | None,
) -> ComparedMethod:
    from zeroiqa.evaluation.baseline_runs import run_baseline  # which imports what decodes images

    run = run_baseline(name, aspect, rated_images(datasets, aspect), track, tell)
    notes = tuple(f"{name}: {remark}" for remark in (*run.warnings, *remarks(run)))
    origin = replace(origin_of(run), what=name)
    return _method(name, "baseline, measured here", run, "score", origin, notes)


def _method(
    name: str, protocol: str, run: Run, column: str, origin: Origin, notes: tuple[str, ...]
) -> ComparedMethod:
    return ComparedMethod(
        name,
        protocol,
        str(run.folder),
        tuple(read_column(run, column)),
        DOWNWARDS if run.lower_is_better else UPWARDS,
        origin=origin,
        notes=notes,
    )


def _database(name: str, folder: PathLike | None, needs_images: bool) -> Dataset:
    """The database, without its images where none are needed."""
    if folder is not None:
        return read_dataset(name, Path(folder))
    if needs_images:
        raise UserError(f"The folder of {name} is needed to compare scores; write --dataset {name}=DIR.")
    return Dataset(find_dataset(name).name, (), {}, ())
