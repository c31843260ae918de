"""What every command does that makes a run: open it, have its shards done, print and keep the results."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zeroiqa.cli.asked import Asked
from zeroiqa.cli.execution import Executor
from zeroiqa.cli.healing import healed, how_errors_heal
from zeroiqa.cli.messages import say
from zeroiqa.files.storage import Location

if TYPE_CHECKING:
    from zeroiqa.aggregate import Aggregation
    from zeroiqa.images.ref import ImageRef
    from zeroiqa.results import ImageScore
    from zeroiqa.runs import Run
    from zeroiqa.runs.naming import Naming
    from zeroiqa.runs.slices import Slice
    from zeroiqa.settings import Settings

RUNS = Path("zeroiqa-runs")
"""Where runs go without -o: a folder for what is named and the settings, so that a command resumes."""


def opened_run(
    folder: Location,
    settings: Settings,
    sources: Sequence[ImageRef],
    preset: str,
    *,
    naming: Naming | None = None,
    add: bool = False,
    ignore_times: bool = False,
    retry_errors: bool = False,
    refresh: bool = False,
    part: Slice | None = None,
) -> Run:
    """Create the run or open it again, and say what is new in it and what is computed again."""
    from zeroiqa.runs import open_run
    from zeroiqa.runs.following import from_its_root
    from zeroiqa.runs.record import NAME

    there = (folder / NAME).is_file()
    naming, sources, root = from_its_root(folder, naming, sources)
    run = open_run(
        folder,
        settings,
        sources,
        preset=preset,
        naming=naming,
        add=add,
        fixed=part is not None,
        refresh=refresh,
        root=root,
    )
    run = replace(run, ignore_times=ignore_times)
    if there:
        shards = None if part is None else part.of(range(run.n_shards))
        run = healed(run, sources, retry_errors=retry_errors, refresh=refresh, shards=shards)
    if run.added:
        say(f"{folder} gets ratings by {', '.join(run.added)}; what it has is kept.", err=True)
    if any(run.followed) or add:
        say(_news(run, add=add, fixed=part is not None), err=True)
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


def foreseen(
    folder: Location,
    settings: Settings,
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
    from zeroiqa.errors import UserError
    from zeroiqa.runs import load_run, run_id
    from zeroiqa.runs.following import from_its_root
    from zeroiqa.runs.latest import all_left
    from zeroiqa.runs.opening import preview
    from zeroiqa.runs.record import is_run

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
    left = all_left(load_run(folder)) + news.new
    said = [f"{number} {what}" for number, what in zip(news, news._fields, strict=True) if number]
    return f" (exists: would be resumed; {', '.join([*said, f'{counted(left)} left to do'])})"


def counted(number: int) -> str:
    """A number of images."""
    return f"{number} image{'' if number == 1 else 's'}"


def default_folder(
    paths: tuple[str, ...], settings: Settings, sources: Sequence[ImageRef], naming: Naming | None = None
) -> Path:
    """Where a run goes without -o."""
    from zeroiqa.runs import run_id

    first = paths[0] if naming is None else naming.names[0]
    first = "stdin" if first == "-" else Path(first).resolve().stem
    stem = "".join(char if char.isalnum() or char in "-_" else "-" for char in first)
    return RUNS / f"{stem[:40].strip('-') or 'images'}-{run_id(settings, sources, naming)[:8]}"


def carry_out(run: Run, executor: Executor, part: Slice | None, style: str, asked: Asked = Asked()) -> None:  # noqa: B008
    """Do what is left of a run, or of a slice of it; print its results and write its scores."""
    from zeroiqa.cli.output import table, write_rows
    from zeroiqa.runs import iter_scores, pending, score_columns

    shards = list(range(run.n_shards)) if part is None else part.of(range(run.n_shards))
    aggregation = asked.aggregation(run)  # refused before anything is computed
    idle = part is None and not any(run.followed) and not pending(run)
    work = _Work(run, executor, part, aggregation)
    try:
        if style == "table":
            for _ in finished_shards(run, shards, executor):
                pass
            work.complete()  # before anything is printed
            kept = asked.keep(work.run) if work.written else []
            for line in table(iter_scores(work.run, aggregation, None if part is None else shards)):
                say(line)
        else:
            results = work.rows(shards)
            write_rows(results, style, score_columns(run, aggregation), sys.stdout)
            for _ in results:  # nobody reads any more; the run is what counts
                pass
            kept = asked.keep(work.run) if work.written else []
    except KeyboardInterrupt:
        say(f"Stopped. {run.folder} keeps what is finished; the same command goes on from there.", err=True)
        raise click.exceptions.Exit(130) from None
    for line in (*_conclusion(work, shards, idle=idle), *kept):
        say(line, err=True)


@dataclass
class _Work:
    """A run that may grow while it is worked on, since other commands follow its folders, too."""

    run: Run
    executor: Executor
    part: Slice | None
    aggregation: Aggregation | None
    written: bool = False
    """Whether scores.csv is there, with all that the run has."""

    def complete(self) -> None:
        """Do what others have added meanwhile, unless this is a slice, and write the scores of all."""
        from zeroiqa.runs import pending, write_scores
        from zeroiqa.runs.run import caught_up, is_current

        while not self.written:
            self.run = caught_up(self.run)
            if self.part is None:
                for _ in finished_shards(self.run, range(self.run.n_shards), self.executor):
                    pass
            elif pending(self.run):
                return
            write_scores(self.run)
            self.written = is_current(self.run)  # else others have grown it while it was written

    def rows(self, shards: list[int]) -> Iterator[ImageScore]:
        """Results as early as their turn comes, those last that others have added meanwhile."""
        from zeroiqa.runs import read_scores

        yield from _in_plan_order(self.run, shards, self.executor, self.aggregation)
        begun = self.run.n_shards
        self.complete()
        for shard in range(begun, self.run.n_shards) if self.part is None else ():
            yield from read_scores(self.run, shard, self.aggregation)


def _conclusion(work: _Work, shards: list[int], *, idle: bool) -> Iterator[str]:
    from zeroiqa.runs import remarks, status
    from zeroiqa.runs.latest import all_left

    run = work.run
    if work.written:
        *said, last = conclusion(run)
        yield from said
        yield f"Nothing was to do: {last}" if idle else last
        return
    done = status(run, shards=shards)
    yield from remarks(run, state=done)
    yield (
        f"Slice {work.part} is done: {counted(run.count_images(shards))}, {done.errors} with an error. "
        f"{all_left(run)} of {run.n_images} images are left to other slices; when they are "
        f"done, `zeroiqa merge {run.folder}` writes the scores."
    )


def conclusion(run: Run) -> Iterator[str]:
    """What is said of a run whose scores are written."""
    from zeroiqa.runs import remarks, status

    done = status(run)
    yield from remarks(run, state=done)
    unreachable = f", {done.unreachable} of them unreachable" if done.unreachable else ""
    gone = f", {done.gone} gone" if done.gone else ""
    healing = f". {how_errors_heal(run)}" if done.errors else ""
    yield (
        f"{counted(done.images)}, {done.errors} with an error{unreachable}{gone}. Scores and ratings: "
        f"{run.folder}{healing}"
    )


def _in_plan_order(
    run: Run, shards: list[int], executor: Executor, aggregation: Aggregation | None
) -> Iterator[ImageScore]:
    """Results as early as their turn comes, though shards may finish in any order."""
    from zeroiqa.runs import pending, read_scores

    left = set(pending(run)).intersection(shards)
    due = iter(shards)
    turn = next(due, None)

    def ready() -> Iterator[ImageScore]:
        nonlocal turn
        while turn is not None and turn not in left:
            yield from read_scores(run, turn, aggregation)
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
