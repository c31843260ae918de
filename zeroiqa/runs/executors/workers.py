"""One pass over the shards of a run by workers, wherever they are."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from zeroiqa.errors import UserError, printable
from zeroiqa.runs.executors.attempts import Attempts, Task
from zeroiqa.runs.executors.worker import Outcome
from zeroiqa.runs.latest import count_left
from zeroiqa.runs.passes import Pass
from zeroiqa.runs.plan import planned
from zeroiqa.runs.run import Run

_LOG = logging.getLogger(__name__)


class Workers(Protocol):
    """Workers, each with at most one task, so that it is known what a killed one was at."""

    @property
    def idle(self) -> int:
        """Workers that can be given a task."""

    @property
    def busy(self) -> int:
        """Workers that have one."""

    def start(self, raters: tuple[str, ...], task: Task) -> None:
        """Give a task to an idle worker."""

    def wait(self) -> Sequence[tuple[Task, Outcome | None]]:
        """Wait until something has happened: tasks with their outcome, None where the worker was killed."""


def run_pass(run: Run, work: Pass, workers: Workers, on_images: Callable[[int], None]) -> Iterator[int]:
    """Have a pass done; yield the number of each shard that is committed, and tell of its images.

    Raises:
        UserError: the run cannot go on; what is committed stays.
    """

    def images_of(shard: int) -> dict[int, str]:
        return {row.image: printable(row.ref.path) for row in planned(run.folder, shard)}

    def give() -> None:
        while workers.idle and (task := attempts.next()) is not None:
            workers.start(work.raters, task)

    images = {shard: count_left(run, shard, work.raters) for shard in work.shards}
    attempts = Attempts(work.shards, images_of)
    give()
    while attempts.left or workers.busy:
        finished = []
        for task, outcome in workers.wait():
            if outcome is None:
                attempts.died(task)
                continue
            for warning in outcome.warnings:
                _LOG.warning("%s", warning)
            if outcome.error is not None:
                raise UserError(outcome.error)
            finished.append(attempts.finished(task))
        give()  # before whoever takes the shards keeps us waiting
        for shard in finished:
            if shard is not None:
                on_images(images[shard])
                yield shard
