"""What every command does that makes a run: open it, have its shards done, print and keep the results."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zeroiqa.cli.execution import Executor
from zeroiqa.cli.healing import healed, how_errors_heal
from zeroiqa.storage import Location

if TYPE_CHECKING:
    from zeroiqa.inputs import Source
    from zeroiqa.results import ImageScore
    from zeroiqa.runs import Run
    from zeroiqa.runs.slices import Slice
    from zeroiqa.settings import Settings

RUNS = Path("zeroiqa-runs")
"""Where runs go without -o: a folder for each set of images and settings, so that a command resumes."""


def opened_run(
    folder: Location,
    settings: Settings,
    sources: list[Source],
    preset: str,
    *,
    add: bool = False,
    ignore_times: bool = False,
    retry_errors: bool = False,
    refresh: bool = False,
    part: Slice | None = None,
) -> Run:
    """Create the run or open it again, and say what is new in it and what is computed again."""
    from zeroiqa.runs import open_run
    from zeroiqa.runs.record import NAME

    there = (folder / NAME).is_file()
    run = open_run(folder, settings, sources, preset=preset, add=add, refresh=refresh)
    run = replace(run, ignore_times=ignore_times)
    if there:
        shards = None if part is None else part.of(range(run.n_shards))
        run = healed(run, sources, retry_errors=retry_errors, refresh=refresh, shards=shards)
    if run.added:
        click.echo(f"{folder} gets ratings by {', '.join(run.added)}; what it has is kept.", err=True)
    if add:
        click.echo(f"{run.added_images} images are new in {folder}, which has {run.n_images} now.", err=True)
    return run


def default_folder(paths: tuple[str, ...], settings: Settings, sources: list[Source]) -> Path:
    """Where a run goes without -o."""
    from zeroiqa.runs import run_id

    first = "stdin" if paths[0] == "-" else Path(paths[0]).resolve().stem
    stem = "".join(char if char.isalnum() or char in "-_" else "-" for char in first)
    return RUNS / f"{stem[:40].strip('-') or 'images'}-{run_id(settings, sources)[:8]}"


def carry_out(run: Run, executor: Executor, part: Slice | None, style: str) -> None:
    """Do what is left of a run, or of a slice of it; print its results and write its scores."""
    from zeroiqa.cli.output import a_reader_that_may_leave, table, write_rows
    from zeroiqa.runs import iter_scores, score_columns
    from zeroiqa.runs.run import revised

    shards = list(range(run.n_shards)) if part is None else part.of(range(run.n_shards))
    try:
        if style == "table":
            for _ in finished_shards(run, shards, executor):
                pass
            run = revised(run)  # another command may have found something to compute again
            left = _write_scores(run, part)  # before anything is printed: its reader may leave
            with a_reader_that_may_leave():
                for line in table(iter_scores(run, shards=shards)):
                    click.echo(line)
        else:
            with a_reader_that_may_leave():
                write_rows(_in_plan_order(run, shards, executor), style, score_columns(run), sys.stdout)
            run = revised(run)
            left = _write_scores(run, part)
    except KeyboardInterrupt:
        click.echo(
            f"Stopped. {run.folder} keeps what is finished; the same command goes on from there.", err=True
        )
        raise click.exceptions.Exit(130) from None
    for line in _conclusion(run, part, shards, left):
        click.echo(line, err=True)


def _write_scores(run: Run, part: Slice | None) -> int:
    """Write the scores, unless other slices are not done; how many images those have left."""
    from zeroiqa.runs import write_scores
    from zeroiqa.runs.latest import all_left

    left = all_left(run)
    if part is None or not left:
        write_scores(run)
    return left


def _conclusion(run: Run, part: Slice | None, shards: list[int], left: int) -> Iterator[str]:
    from zeroiqa.runs import remarks, status

    if part is None or not left:
        yield from conclusion(run)
        return
    done = status(run, shards=shards)
    yield from remarks(run, state=done)
    yield (
        f"Slice {part} is done: {run.count_images(shards)} images, {done.errors} with an error. {left} of "
        f"{run.n_images} images are left to other slices; when they are done, `zeroiqa merge {run.folder}` "
        "writes the scores."
    )


def conclusion(run: Run) -> Iterator[str]:
    """What is said of a run whose scores are written."""
    from zeroiqa.runs import remarks, status

    done = status(run)
    yield from remarks(run, state=done)
    unreachable = f", {done.unreachable} of them unreachable" if done.unreachable else ""
    healing = f". {how_errors_heal(run)}" if done.errors else ""
    yield (
        f"{run.n_images} images, {done.errors} with an error{unreachable}. Scores and ratings: {run.folder}"
        f"{healing}"
    )


def _in_plan_order(run: Run, shards: list[int], executor: Executor) -> Iterator[ImageScore]:
    """Results as early as their turn comes, though shards may finish in any order."""
    from zeroiqa.runs import pending, read_scores

    left = set(pending(run)).intersection(shards)
    due = iter(shards)
    turn = next(due, None)

    def ready() -> Iterator[ImageScore]:
        nonlocal turn
        while turn is not None and turn not in left:
            yield from read_scores(run, turn)
            turn = next(due, None)

    yield from ready()
    for shard in finished_shards(run, shards, executor):
        left.discard(shard)
        yield from ready()


def finished_shards(
    run: Run, shards: Sequence[int], executor: Executor, doing: str = "scoring"
) -> Iterator[int]:
    """Do what is left of the shards, with progress; yield the number of each one that this finishes."""
    from zeroiqa.cli.progress import progress
    from zeroiqa.runs import pending
    from zeroiqa.runs.passes import image_passes, rater_groups

    wanted = set(shards)
    left = [shard for shard in pending(run) if shard in wanted]
    passes = len(rater_groups(run.settings.raters))
    with progress(*image_passes(run, shards), passes=passes, doing=doing) as advance:
        yield from executor.execute(run, left, on_images=advance)
