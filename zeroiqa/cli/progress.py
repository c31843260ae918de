"""Progress on standard error: a live bar on a terminal, a plain line now and then in a pipe or a log file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from zeroiqa.cli.messages import say

PLAIN_SECONDS = 10.0
"""Seconds between two plain lines."""


@contextmanager
def progress(
    total: int, done: int, passes: int = 1, doing: str = "scoring"
) -> Iterator[Callable[[int], None]]:
    """Yield a function that is told how many more images have finished.

    Args:
        total: Images in the run, counted once in each pass.
        done: Of them, finished before; they count for the bar but not for the rate.
        passes: How often the run goes over the images.
        doing: What the bar says.
    """
    unit = "images" if passes == 1 else f"images in {passes} passes"
    if sys.stderr.isatty():
        with _bar(total, done, unit, doing) as advance:
            yield advance
    else:
        yield _plain(total, done, unit)


@contextmanager
def _bar(total: int, done: int, unit: str, doing: str) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    start, finished = time.monotonic(), 0
    columns = (
        TextColumn(doing),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(doing, total=total, completed=done, rate="")

        def advance(count: int) -> None:
            nonlocal finished
            finished += count
            rate = finished / max(time.monotonic() - start, 1e-9)
            bar.update(task, advance=count, rate=f"{rate:.1f} images/s")

        yield advance


def _plain(total: int, done: int, unit: str) -> Callable[[int], None]:
    start = last = time.monotonic()
    finished = 0

    def advance(count: int) -> None:
        nonlocal finished, last
        finished += count
        now = time.monotonic()
        if now - last >= PLAIN_SECONDS and done + finished < total:
            last = now
            rate = finished / (now - start)
            left = (total - done - finished) / rate
            say(
                f"{done + finished}/{total} {unit}, {rate:.1f} images/s, about {duration(left)} left",
                err=True,
            )

    return advance


def duration(seconds: float) -> str:
    """Seconds for people: 8 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
