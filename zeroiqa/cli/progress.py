"""Progress on standard error: a live bar on a terminal, a plain line now and then in a pipe or a log file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock

from zeroiqa.cli.messages import is_quiet, say
from zeroiqa.cli.pace import Passes

PLAIN_SECONDS = 10.0
"""Seconds between two plain lines."""


@contextmanager
def progress(
    total: int, done: int, passes: Sequence[int] = (), doing: str = "scoring"
) -> Iterator[Callable[[int], None]]:
    """Yield a function that is told how many more images have finished.

    The time left is told once it can be, see `Pace`; until then there is none.

    Args:
        total: Images in the run, counted once in each pass.
        done: Of them, finished before; they count for the bar but not for the pace.
        passes: Images left to do in each pass over the images, in their order; none: one pass of all.
        doing: What the bar says.
    """
    unit = "images" if len(passes) < 2 else f"images in {len(passes)} passes"
    paces = Passes(passes or [total - done])
    if is_quiet():
        yield lambda _: None
    elif sys.stderr.isatty():
        with _bar(total, done, paces, unit, doing) as advance:
            yield advance
    else:
        yield _plain(total, done, paces, unit)


@contextmanager
def _bar(total: int, done: int, paces: Passes, unit: str, doing: str) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
    from rich.text import Text

    lock = Lock()  # the bar is painted in a thread

    class _Pace(ProgressColumn):
        def render(self, task: Task) -> Text:
            with lock:
                return Text(", ".join(_told(paces)))

    columns = (TextColumn(doing), BarColumn(), MofNCompleteColumn(), TextColumn(unit), _Pace())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(doing, total=total, completed=done)

        def advance(count: int) -> None:
            with lock:
                paces.advance(count)
            bar.update(task, advance=count)

        yield advance


def _plain(total: int, done: int, paces: Passes, unit: str) -> Callable[[int], None]:
    last = time.monotonic()
    finished = done

    def advance(count: int) -> None:
        nonlocal finished, last
        finished += count
        paces.advance(count)
        now = time.monotonic()
        if now - last >= PLAIN_SECONDS and finished < total:
            last = now
            say(", ".join((f"{finished}/{total} {unit}", *_told(paces))), err=True)

    return advance


def _told(paces: Passes) -> Iterator[str]:
    """The pace and the time left, once they can be told; a bar and plain lines say the same."""
    rate, left = paces.pace.rate(), paces.pace.seconds_left()
    if rate is not None and left is not None:
        yield f"{rate:.{1 if rate >= 0.1 else 3}f} images/s"
        yield f"about {duration(left)} {paces.what_is_left}"


def duration(seconds: float) -> str:
    """Seconds for people: 8 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
