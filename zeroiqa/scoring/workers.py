"""Score images in worker processes: the same results in the same order, whatever happens to a worker."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from zeroiqa.errors import ImageError, UserError, printable
from zeroiqa.guards.budget import end_with
from zeroiqa.guards.child import without_interrupts
from zeroiqa.guards.together import image_errors
from zeroiqa.images.ref import ImageRef
from zeroiqa.pipeline import Method, build_method, score_together
from zeroiqa.results import ImageScore
from zeroiqa.runs.executors.choice import ExecutorChoice
from zeroiqa.runs.executors.placement import Placement, placements
from zeroiqa.settings import Settings
from zeroiqa.types import Image


class Waiting(NamedTuple):
    """An image file that is to be read."""

    name: str
    """What it is called in results."""
    ref: ImageRef


Given: TypeAlias = Waiting | Image | ImageScore
"""A file that is to be read, pixels, or the result of what could not be read."""

_WAITING = 2
"""Groups of images that wait for each worker, besides the one that it is at."""


def workers_of(workers: int | str, method: Method, images: int | None) -> int:
    """How many processes are meant.

    Args:
        workers: A number, or "auto".
        method: What they would do.
        images: How many there are; None if that is not known.

    Raises:
        UserError: it is no number above 0, or the method was not built from settings, as workers need.
    """
    if workers == 1:
        return 1
    settings = _settings_of(method)
    executor = ExecutorChoice(workers, None, None).executor(1_000_000 if images is None else images, settings)
    return int(getattr(executor, "workers", 1))


def score_in_workers(given: Iterable[Given], method: Method, workers: int) -> Iterator[ImageScore]:
    """The results of images in their order; only a few of them are held at a time.

    A worker that is killed takes no other image's result along: those that it may have been at are given to
    new ones, each alone, and the one that kills again is an error.

    Args:
        given: The images.
        method: From `load_method`; each worker builds its own.
        workers: How many processes.

    Raises:
        UserError: the method cannot go on, such as weights that are missing.
    """
    size = max(method.images_per_call, 1)
    with closing(_Pool(_settings_of(method), method, workers)) as pool:
        due: deque[tuple[list[Given], Future[list[ImageScore]]]] = deque()
        for group in groups(given, size):
            due.append((group, pool.submit(group)))
            while len(due) > workers * (1 + _WAITING):
                yield from _next(due, pool)
        while due:
            yield from _next(due, pool)


def _next(due: deque[tuple[list[Given], Future[list[ImageScore]]]], pool: _Pool) -> list[ImageScore]:
    """The results of the first group; where its worker was killed, all that wait are given out again."""
    group, future = due.popleft()
    try:
        return future.result()
    except BrokenProcessPool:
        pool.restart()
    found = [score for each in group for score in _alone(each, pool)]
    waiting = [group for group, _ in due]
    due.clear()
    due.extend((group, pool.submit(group)) for group in waiting)
    return found


def _alone(each: Given, pool: _Pool) -> list[ImageScore]:
    try:
        return pool.submit([each]).result()
    except BrokenProcessPool:
        pool.restart()
        name = each.path if isinstance(each, ImageScore) else each.name
        why = f"{printable(name)} ended the process that scored it; it may need more memory than there is."
        return [ImageScore(name, error=why)]


def groups(given: Iterable[Given], size: int) -> Iterator[list[Given]]:
    """Neighbours in lists of a size; the last one may be shorter."""
    group: list[Given] = []
    for each in given:
        group.append(each)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _settings_of(method: Method) -> Settings:
    settings = method.settings
    if settings is None or tuple(method.raters) != settings.raters:
        raise UserError(
            "Worker processes build the raters anew, which takes a method from load_method; give one."
        )
    return settings


class _Pool:
    """Worker processes that are started anew where one is killed.

    Args:
        settings: What each builds its method from.
        method: With the time that an image may take.
        workers: How many.
    """

    def __init__(self, settings: Settings, method: Method, workers: int) -> None:
        self._recipe = _Recipe(
            settings,
            method.decoder.seconds,
            {
                name: getattr(method, name)
                for name in ("policy", "standards", "crop", "aggregation", "describe")
            },
        )
        self._placed = placements(workers, settings)
        self._pools: list[Any] = []
        self._turn = 0

    def submit(self, group: Sequence[Given]) -> Future[list[ImageScore]]:
        """Give a group to the next worker."""
        if not self._pools:
            self._pools = [_started(self._recipe, each) for each in self._placed]
        self._turn = (self._turn + 1) % len(self._pools)
        with without_interrupts():  # the process that may be started here inherits it
            future: Future[list[ImageScore]] = self._pools[self._turn].submit(_score, group)
        return future

    def restart(self) -> None:
        """End all workers; new ones are started when they are needed."""
        for pool in self._pools:
            pool.shutdown(wait=True, kill_workers=True)
        self._pools = []

    close = restart


class _Recipe(NamedTuple):
    """What a worker builds its method from."""

    settings: Settings
    seconds: float
    """For one image."""
    parts: dict[str, Any]
    """Fields of the method, which the caller may have replaced."""


def _started(recipe: _Recipe, placement: Placement) -> Any:
    from joblib.externals.loky import ProcessPoolExecutor

    return ProcessPoolExecutor(
        max_workers=1,
        env=placement.environment,
        initializer=_begin,
        initargs=(recipe, placement, os.getpid(), Path.cwd()),
    )


_here: list[Method] = []
"""In a worker process: its method."""


def _begin(recipe: _Recipe, placement: Placement, main_process: int, folder: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # for systems without masks
    threading.Thread(target=end_with, args=(main_process,), daemon=True).start()
    os.chdir(folder)
    placement.enter()
    built = build_method(recipe.settings, image_seconds=recipe.seconds)
    _here.append(replace(built, **recipe.parts))


def _score(group: Sequence[Given]) -> list[ImageScore]:
    return score_group(group, _here[0])


def score_group(group: Sequence[Given], method: Method) -> list[ImageScore]:
    """The results of a group of images, those included that are results already."""
    decoded = [_decoded(each, method) for each in group]
    images = [each for each in decoded if isinstance(each, Image)]
    scores = iter(score_together(images, method) if images else ())
    return [next(scores) if isinstance(each, Image) else each for each in decoded]


def _decoded(given: Given, method: Method) -> Image | ImageScore:
    if not isinstance(given, Waiting):
        return given
    try:
        with image_errors(given.name):
            return method.decoder.decode(given.ref, method.policy, name=given.name)
    except ImageError as error:
        return ImageScore(given.name, error=str(error), cause=error.cause)
