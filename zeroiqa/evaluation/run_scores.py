"""The scores of a run that opinions are compared with: those of one of its standards."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from zeroiqa.averaging import score_labels
from zeroiqa.errors import UserError, printable
from zeroiqa.evaluation.datasets.origins import Origin
from zeroiqa.files.storage import location
from zeroiqa.runs import Run, iter_scores, load_run, plan, read_column

_TRIED = 20
"""Images of a run that are looked for where it has moved with them."""

if TYPE_CHECKING:
    from zeroiqa.aggregate import Aggregation
    from zeroiqa.evaluation.matching import Scored
    from zeroiqa.evaluation.opinions import PathLike
    from zeroiqa.images.ref import ImageRef


def load(run: PathLike | Run) -> Run:
    """The run in a folder (on the disk, s3:// or gs://), or the run itself.

    Raises:
        UserError: the folder is no run, is damaged, or was written by a newer zeroiqa.
    """
    return run if isinstance(run, Run) else load_run(location(os.fspath(run)))


def name_of(run: Run) -> str:
    """The name of a run's folder."""
    return run.folder.resolve().name if isinstance(run.folder, Path) else run.folder.name


def label_of(
    run: Run, aspect: str, chosen: Collection[str] = (), aggregation: Aggregation | None = None
) -> str:
    """What the run calls the scores of an aspect: those of a standard, or the mean if all are of the aspect.

    Args:
        run: The run.
        aspect: Which opinions the scores are compared with.
        chosen: Names of standards, one of which decides where the run has several of the aspect.
        aggregation: Says whether there is a mean; the run's own if left out.

    Raises:
        UserError: the run has no standard of the aspect, or several of which not one is chosen.
    """
    aspects = {each["name"]: each["aspect"] for each in run.identity["standards"]}
    fitting = [name for name, about in aspects.items() if about == aspect]
    if not fitting:
        has = ", ".join(f"{name} ({about})" for name, about in aspects.items()) or "none"
        others = " or ".join(f"--aspect {about}" for about in dict.fromkeys(aspects.values()))
        raise UserError(
            f"{printable(str(run.folder))} has no scores for {aspect}; its standards: {has}; "
            f"give {others or 'another run'}, or score the images under a standard for {aspect}."
        )
    named = [name for name in fitting if name in chosen]
    leading = _leading(run, aggregation)
    if not named and len(fitting) == len(aspects) and leading not in run.labels.values():
        return leading
    if len(fitting) == 1:
        return run.labels[fitting[0]]
    if len(named) != 1:
        raise UserError(
            f"{printable(str(run.folder))} has {len(fitting)} standards for {aspect}, "
            f"{' and '.join(fitting)}; choose one with --standard."
        )
    return run.labels[named[0]]


def check_standards(runs: Iterable[Run], aspect: str, chosen: Collection[str]) -> None:
    """Raise UserError for a chosen standard of the aspect that none of the runs has."""
    there = {each["name"]: each["aspect"] for run in runs for each in run.identity["standards"]}
    for name in chosen:
        if there.get(name) != aspect:
            listed = ", ".join(f"{each} ({about})" for each, about in there.items()) or "none"
            raise UserError(f"No standard {name} for {aspect} is there to choose; there are: {listed}.")


def not_the_mean(run: Run, label: str, aggregation: Aggregation | None = None) -> tuple[str, ...]:
    """A sentence, where a run's score is a mean over several aspects, which no opinions are of."""
    aspects = dict.fromkeys(each["aspect"] for each in run.identity["standards"])
    if _leading(run, aggregation) in run.labels.values() or len(aspects) == 1:
        return ()
    return (
        f"The run's score is a mean over {' and '.join(aspects)}, which no opinions are of; these are the "
        f"scores of {label}.",
    )


def column_prefix(run: Run, label: str) -> str:
    """What the names of a label's columns in scores.parquet begin with."""
    return "" if label == _leading(run) else f"{label}_"


def _leading(run: Run, aggregation: Aggregation | None = None) -> str:
    """What the run calls its score: its first standard's label, or that of the mean."""
    return score_labels(run.labels.values(), aggregation or run.settings.aggregation)[0]


def scores_of(run: Run, label: str, aggregation: Aggregation | None) -> Iterable[Scored]:
    """Path and score of a run's images from `label_of`: as written, or by other arithmetic.

    Raises:
        UserError: the run is not finished.
    """
    if aggregation is None:
        return read_column(run, f"{column_prefix(run, label)}score")
    results = iter_scores(run, aggregation)
    return (
        (each.path, each.scores[label].score if label in each.scores else None)
        for each in results
        if not each.gone
    )


def origin_of(run: Run, *, by_name: bool = False) -> Origin:
    """Where the images of a run are, and how large they were.

    Args:
        run: The run.
        by_name: Its images are copies: their names alone count.
    """
    planned = list(map(run.revisions.planned, plan.all_planned(run.folder)))
    folders = [run.origin["cwd"]] if "cwd" in run.origin else []
    if isinstance(run.folder, Path) and "from_run" in run.origin:
        beside = run.folder.absolute() / run.origin["from_run"]  # moved or copied with the images
        if all(_is_there(beside, row.ref) for row in planned[:_TRIED]):
            folders.insert(0, str(beside))
    return Origin(
        folders=(*folders, str(Path.cwd())),
        by_name=by_name,
        files={row.ref.name: (row.ref.path, row.ref.bytes) for row in planned},
    )


def _is_there(beside: Path, ref: ImageRef) -> bool:
    """Whether an image of its size is in a folder; or the archive that it was in."""
    try:
        return (beside / ref.place).stat().st_size == ref.bytes or ref.archive is not None
    except OSError:
        return False
