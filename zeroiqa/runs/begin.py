"""Begins a run, or goes on with one that is there: what a caller wants of it, and what the user is told."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from zeroiqa.errors import UserError, printable
from zeroiqa.files.storage import Location
from zeroiqa.guards.budget import IMAGE_SECONDS
from zeroiqa.runs.following import from_its_root, prune
from zeroiqa.runs.healed import healed
from zeroiqa.runs.identity import check_version
from zeroiqa.runs.latest import all_left
from zeroiqa.runs.naming import Naming
from zeroiqa.runs.opening import (
    going_on,
    is_same_but_for_regions,
    open_run,
    preview,
    run_id,
    with_regions,
)
from zeroiqa.runs.record import NAME, is_run
from zeroiqa.runs.remarks import counted
from zeroiqa.runs.resolved import Builder, resolve
from zeroiqa.runs.run import Run, caught_up, load_run, pending

if TYPE_CHECKING:
    from zeroiqa.images.ref import ImageRef
    from zeroiqa.runs.resolved import Resolved
    from zeroiqa.runs.slices import Slice
    from zeroiqa.settings import Settings

_LOG = logging.getLogger(__name__)

RUNS = Path("zeroiqa-runs")
"""Holds the runs that are given no folder: one for each name of images and settings, so that all resume."""


@dataclass(frozen=True)
class RunChoices:
    """What a caller wants of a run, whatever its images and settings are."""

    add: bool = False
    """Take in images of other places than the run is of."""
    prune: bool = False
    """Leave images that are gone out of all tables."""
    ignore_times: bool = False
    """Take an image of the planned size though its file was written again since."""
    retry_errors: bool = False
    """Try all images again that have an error."""
    refresh: bool = False
    """Score images again whose file or prompt has changed since."""
    slice: Slice | None = None
    """Do this slice of the run; None: all of it."""
    image_seconds: float = IMAGE_SECONDS
    """How long reading and decoding one image may take."""


def begin_run(
    folder: Location,
    settings: Settings | Resolved,
    sources: Sequence[ImageRef],
    preset: str,
    *,
    naming: Naming | None = None,
    choices: RunChoices = RunChoices(),
    tell: Callable[[str], None],
) -> Run:
    """Create a run, or open it again, and tell what is new in it and what is computed again.

    Args:
        folder: New, empty, or that run's folder.
        settings: How to score, or what that was resolved to.
        sources: The images, in the order of the results.
        preset: Where the settings came from; noted, not compared.
        naming: What led to the images; None: these images and no others.
        choices: What is wanted of the run.
        tell: Is given each sentence for the user.

    Raises:
        UserError: the folder holds another run or something else, or the run cannot go on.
    """
    fixed = choices.slice is not None
    there = (folder / NAME).is_file()
    naming, sources, root = from_its_root(folder, naming, sources)
    run = open_run(
        folder,
        settings,
        sources,
        preset=preset,
        naming=naming,
        add=choices.add,
        fixed=fixed,
        refresh=choices.refresh,
        root=root,
    )
    run = replace(run, ignore_times=choices.ignore_times, image_seconds=choices.image_seconds)
    if there:
        run = _healed(run, sources, choices, tell)
    for sentence in _additions(run):
        tell(sentence)
    if any(run.followed) or choices.add:
        tell(_news(run, add=choices.add, fixed=fixed))
    return _pruned(run, choices, tell)


def resume_run(
    run: Run,
    *,
    choices: RunChoices = RunChoices(),
    regions: bool = False,
    tell: Callable[[str], None],
) -> Run:
    """Go on with a run that is there, with its own images and settings.

    Args:
        run: From `load_run`; its settings may name another device.
        choices: What is wanted of the run; `add` needs images, and is not for this.
        regions: Whether it gets regions, if it has none.
        tell: Is given each sentence for the user.

    Raises:
        UserError: the run is one of another version of the method, or its images are not found from here.
    """
    check_version(run.folder, run.identity)
    segments = regions and not run.has_regions
    # all images would be tried again, and get the error that they are not found from here
    every = choices.retry_errors or segments
    refuse_elsewhere(run, range(run.n_shards) if every else pending(run)[:1])
    run = with_regions(run) if segments else replace(run, builder=Builder())
    for sentence in _additions(run):
        tell(sentence)
    run = replace(run, ignore_times=choices.ignore_times, image_seconds=choices.image_seconds)
    return _pruned(_healed(run, None, choices, tell), choices, tell)


def log_sentence(sentence: str) -> None:
    """Tell a sentence to the log, where nobody prints it."""
    warning = sentence.removeprefix("Warning: ")
    _LOG.log(logging.INFO if warning == sentence else logging.WARNING, "%s", warning)


def refuse_elsewhere(run: Run, shards: Iterable[int]) -> None:
    """Refuse to make an error row of every image because the current folder is another one.

    Raises:
        UserError: no image of the shards that has a relative path is found from here.
    """
    first = None
    for path in (image.ref.place for shard in shards for image in run.planned(shard)):
        if "://" in path or Path(path).is_absolute():
            continue
        if os.path.lexists(path):
            return
        first = first or path
    if first is not None:
        raise UserError(
            f"{printable(first)} is not found from here ({Path.cwd()}); give the command in the folder "
            f"in which {run.folder} was planned."
        )


def foreseen(
    folder: Location,
    settings: Settings | Resolved,
    sources: Sequence[ImageRef],
    naming: Naming | None,
    *,
    add: bool = False,
    refresh: bool = False,
) -> str:
    """What would become of the run that a folder holds; empty if it holds none. Nothing is written.

    Raises:
        UserError: the folder holds another run, or something else.
    """
    if not is_run(folder):
        return ""
    try:
        run_id(settings, sources, naming)
    except UserError:  # weights are not on this machine
        return " (exists: would be resumed)"
    naming, sources, root = from_its_root(folder, naming, sources)
    news = preview(folder, settings, sources, naming=naming, add=add, refresh=refresh, root=root)
    if news is None:
        return " (exists without a plan: would be planned)"
    run, wanted = load_run(folder), going_on(folder, settings).settings
    segments = wanted.makes_regions and not run.has_regions
    more = segments or not {*wanted.raters} <= {*run.settings.raters}
    left = (run.n_images if more else all_left(run)) + news.new
    counts = [f"{number} {what}" for number, what in zip(news, news._fields, strict=True) if number]
    counts += ["would get regions"] * segments
    return f" (exists: would be resumed; {', '.join([*counts, f'{counted(left)} left to do'])})"


def default_folder(
    first: str, settings: Settings | Resolved, sources: Sequence[ImageRef], naming: Naming | None = None
) -> Path:
    """Where a run goes that is given no folder: where it is already, with regions or without, or a new one.

    Args:
        first: The first name that a caller gives.
        settings: How to score, or what that was resolved to.
        sources: The images.
        naming: What led to the images; None: these images and no others.

    Raises:
        UserError: as `run_id`.
    """
    first = first if naming is None else naming.names[0]
    first = "stdin" if first == "-" else Path(first).resolve().stem
    stem = "".join(char if char.isalnum() or char in "-_" else "-" for char in first)
    stem, resolved = stem[:40].strip("-") or "images", resolve(settings)
    folder = RUNS / f"{stem}-{run_id(resolved, sources, naming)[:8]}"
    others = () if folder.exists() else sorted(RUNS.glob(f"{stem}-{'?' * 8}"))
    there = (each for each in others if is_same_but_for_regions(each, resolved, sources, naming))
    return next(there, folder)


def _additions(run: Run) -> Iterator[str]:
    """A line on what the run gets that it did not have."""
    added = ["regions and their ratings"] * run.gets_regions
    added += [f"ratings by {', '.join(run.added)}"] * bool(run.added)
    if added:
        yield f"{run.folder} gets {', and '.join(added)}; what it has is kept."


def _healed(
    run: Run, sources: Sequence[ImageRef] | None, choices: RunChoices, tell: Callable[[str], None]
) -> Run:
    shards = None if choices.slice is None else choices.slice.of(range(run.n_shards))
    return healed(
        run,
        sources,
        retry_errors=choices.retry_errors,
        refresh=choices.refresh,
        shards=shards,
        tell=tell,
    )


def _pruned(run: Run, choices: RunChoices, tell: Callable[[str], None]) -> Run:
    """The run without what is gone, if that is wanted; its warnings are told in any case."""
    if choices.prune:
        tell(f"{counted(prune(run.folder))} left out of the tables of {run.folder}.")
        run = caught_up(run)
    for warning in run.warnings:
        tell(f"Warning: {warning}")
    return run


def _news(run: Run, *, add: bool, fixed: bool) -> str:
    """One line on the images that have come and gone."""
    news, there = run.followed, run.folder
    parts = []
    if (news.new or add) and not fixed:
        parts.append(f"{_are(news.new)} new in {there}, which has {run.n_images} now")
    elif news.new:
        parts.append(f"{_are(news.new)} new since {there} was planned")
    if news.gone:
        parts.append(f"{_are(news.gone)} gone" + " (--prune leaves them out of the tables)" * (not fixed))
    if news.back:
        parts.append(f"{_are(news.back)} back")
    if fixed:
        parts.append(
            "a slice leaves the plan as it is, which others share; a command without --shard does not"
        )
    return f"{'; '.join(parts)}."


def _are(number: int) -> str:
    return f"{counted(number)} {'is' if number == 1 else 'are'}"
