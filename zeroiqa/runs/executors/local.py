"""Run shards on this machine: in this process, or in worker processes (joblib's loky)."""

from __future__ import annotations

import os
import secrets
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zeroiqa.files.atomic import WRITER, remove_files_of
from zeroiqa.guards.budget import end_with
from zeroiqa.guards.child import without_interrupts
from zeroiqa.runs.executors.attempts import Task
from zeroiqa.runs.executors.placement import Placement, placements
from zeroiqa.runs.executors.worker import Outcome, Worker
from zeroiqa.runs.executors.workers import run_pass
from zeroiqa.runs.passes import Pass, open_passes, release_memory
from zeroiqa.runs.run import Run
from zeroiqa.runs.stages import method_of, run_shards

_START_SECONDS = 5.0
"""For a task to be on its way to its worker, at most."""


@dataclass(frozen=True)
class LocalExecutor:
    """An `Executor` of one or several processes on this machine."""

    workers: int
    """Processes; 1 is this process, and the order of the shards is the given one."""

    @property
    def description(self) -> str:
        """For people."""
        return f"{self.workers} process{'es' if self.workers > 1 else ''}"

    def execute(self, run: Run, shards: Sequence[int], *, on_images: Callable[[int], None]) -> Iterator[int]:
        """Do what is missing of the shards; yield the number of each one when all of it is committed.

        Scores are the same for any number of workers, and so is the order of the passes: an ensemble of
        models needs the memory of its largest member only. A killed worker costs the shard that it was at,
        which is given to a new one; see `Attempts`.

        Args:
            run: The run.
            shards: Numbers in the plan, usually `pending(run)`.
            on_images: Told how many more images are done, once in each pass: one by one in this process,
                else per shard.

        Raises:
            UserError: the run cannot go on; what is committed stays.
        """
        passes = open_passes(run, shards)
        if self.workers == 1 or not passes:
            yield from in_passes(shards, passes, lambda each: _in_process(run, each, on_images))
            return
        with closing(_Processes(run, placements(self.workers, run.settings))) as workers:
            yield from in_passes(shards, passes, lambda each: run_pass(run, each, workers, on_images))


def in_passes(
    shards: Sequence[int], passes: Sequence[Pass], work: Callable[[Pass], Iterator[int]]
) -> Iterator[int]:
    """Do pass after pass; yield each shard's number when the last pass that it needs is done.

    Args:
        shards: Their numbers; those that no pass has are finished.
        passes: From `open_passes`.
        work: Does a pass and yields the number of each shard that is done.
    """
    left = Counter(shard for each in passes for shard in each.shards)
    yield from (shard for shard in shards if shard not in left)
    for each in passes:
        for shard in work(each):
            left[shard] -= 1
            if left[shard] == 0:
                yield shard


def _in_process(run: Run, work: Pass, on_images: Callable[[int], None]) -> Iterator[int]:
    method = method_of(run, work.raters)
    yield from run_shards(run, method, work.shards, on_images)
    del method
    release_memory(run.builder)


@dataclass
class _Slot:
    """A placement and the one process that has it, if it lives: a pool of several breaks whole with each."""

    placement: Placement
    pool: Any = None
    writer: str = field(default_factory=lambda: secrets.token_hex(8))
    """Marks what the process leaves unfinished."""


class _Processes:
    """`Workers` that are processes of this machine, started when they are first needed."""

    def __init__(self, run: Run, placed: Sequence[Placement]) -> None:
        self._run = run
        self._slots = [_Slot(placement) for placement in placed]
        self._idle = list(self._slots)
        self._tasks: dict[Future[Outcome], tuple[_Slot, Task]] = {}

    @property
    def idle(self) -> int:
        return len(self._idle)

    @property
    def busy(self) -> int:
        return len(self._tasks)

    def start(self, raters: tuple[str, ...], task: Task) -> None:
        slot = self._idle.pop(0)
        while True:
            if slot.pool is None:
                slot.pool = _pool(self._run, slot.placement, slot.writer)
            try:
                with without_interrupts():  # the process that may be started here inherits it
                    future = slot.pool.submit(_do, raters, task)
            except BrokenProcessPool:  # it was killed with nothing to do
                self._end(slot)
                continue
            self._tasks[future] = (slot, task)
            return

    def wait(self) -> list[tuple[Task, Outcome | None]]:
        done, _ = wait(self._tasks, return_when=FIRST_COMPLETED)
        return [self._outcome(future) for future in done]

    def _outcome(self, future: Future[Outcome]) -> tuple[Task, Outcome | None]:
        slot, task = self._tasks.pop(future)
        self._idle.append(slot)
        try:
            return task, future.result()
        except BrokenProcessPool:
            self._end(slot)
            return task, None

    def close(self) -> None:
        """Kill the workers: what they have not committed is not wanted any more."""
        deadline = time.monotonic() + _START_SECONDS
        for future in self._tasks:  # loky's thread fails over a task that it has not yet passed on
            while not (future.running() or future.done()) and time.monotonic() < deadline:
                time.sleep(0.001)
        for slot in self._slots:
            self._end(slot)

    def _end(self, slot: _Slot) -> None:
        if slot.pool is not None:
            slot.pool.shutdown(wait=True, kill_workers=True)
            slot.pool = None
            remove_files_of(self._run.folder, slot.writer)


def _pool(run: Run, placement: Placement, writer: str = "") -> Any:
    from joblib.externals.loky import ProcessPoolExecutor

    return ProcessPoolExecutor(
        max_workers=1,
        env={**placement.environment, WRITER: writer},
        initializer=_start_worker,
        initargs=(run, placement, os.getpid(), Path.cwd()),
    )


_here: list[Worker] = []
"""In a worker process: the worker."""


def _start_worker(run: Run, placement: Placement, main_process: int, current_folder: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # for systems without masks
    threading.Thread(target=end_with, args=(main_process,), daemon=True).start()
    os.chdir(current_folder)
    placement.enter()
    _here.append(Worker(run))


def _do(raters: tuple[str, ...], task: Task) -> Outcome:
    return _here[0].do(raters, task)
