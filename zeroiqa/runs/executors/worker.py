"""A worker, in a process of this machine or in an actor of a cluster: it holds the models of one run."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from logging.handlers import BufferingHandler
from typing import TYPE_CHECKING, NamedTuple

from zeroiqa.errors import UserError
from zeroiqa.guards.budget import Watchdog
from zeroiqa.images.decoder import Decoder
from zeroiqa.runs.executors.attempts import Task
from zeroiqa.runs.passes import release_memory
from zeroiqa.runs.run import Run
from zeroiqa.runs.stages import method_of, probe, probe_plain, run_shard

if TYPE_CHECKING:
    from zeroiqa.pipeline import Method


class Outcome(NamedTuple):
    """What a worker has to say about a task."""

    warnings: tuple[str, ...] = ()
    """Each once, in order; for the main process to print."""
    error: str | None = None
    """Why the run has to stop."""


class Worker:
    """Does one task after another; weights are loaded once for each pass.

    It ends its process when it reads and decodes one image for longer than the run allows.

    Args:
        run: The run.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._decoder = Decoder(run.image_seconds, Watchdog())
        self._held: tuple[tuple[str, ...], Method] | None = None

    def do(self, raters: tuple[str, ...], task: Task) -> Outcome:
        """Do a task with some of the run's raters."""
        with _heard() as warnings:
            try:
                decoder = self._decoder.careful() if task.careful else self._decoder
                self._do(replace(self._method(raters), decoder=decoder), task)
            except UserError as error:
                return Outcome(warnings(), str(error))
        return Outcome(warnings())

    def _do(self, method: Method, task: Task) -> None:
        if task.shard is None:
            probe_plain(method)
        elif task.images is None:
            run_shard(self._run, method, task.shard, lambda _: None, task.skip)
        else:
            probe(self._run, method, task.shard, task.images)

    def _method(self, raters: tuple[str, ...]) -> Method:
        if self._held is None or self._held[0] != raters:
            self._held = None
            release_memory(self._run.builder)
            self._held = (raters, method_of(self._run, raters))
        return self._held[1]


@contextmanager
def _heard() -> Iterator[Callable[[], tuple[str, ...]]]:
    """Inside the block, what the package warns of is kept; the function gives it."""
    logger, handler = logging.getLogger("zeroiqa"), BufferingHandler(sys.maxsize)
    handler.setLevel(logging.WARNING)
    logger.addHandler(handler)
    try:
        yield lambda: tuple(dict.fromkeys(record.getMessage() for record in handler.buffer))
    finally:
        logger.removeHandler(handler)
