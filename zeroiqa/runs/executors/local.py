"""Run shards on this machine: in this process, or in worker processes (joblib's loky)."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from logging.handlers import BufferingHandler
from pathlib import Path
from typing import TYPE_CHECKING

from zeroiqa.errors import UserError
from zeroiqa.runs.passes import Pass, open_passes, release_memory
from zeroiqa.runs.run import Run, pending, tidy
from zeroiqa.runs.stages import method_of, run_shard, run_shards

if TYPE_CHECKING:
    from zeroiqa.pipeline import Method

_LOG = logging.getLogger(__name__)
_ROUNDS = 3
"""Times that workers may die in a row without finishing a shard."""
_IDLE_SECONDS = 10
"""Workers that have nothing to do end themselves, also when the main process was killed."""


def execute(
    run: Run, shards: Sequence[int], *, workers: int, on_images: Callable[[int], None]
) -> Iterator[int]:
    """Do what is missing of the shards; yield the number of each one when all of it is committed.

    Scores are the same for any number of workers, and so is the order of the passes: an ensemble of models
    needs the memory of its largest member only. A killed worker costs the shards that were in work, which
    are given to new ones.

    Args:
        run: The run.
        shards: Numbers in the plan, usually `pending(run)`.
        workers: Processes; 1 is this process, and the order is that of `shards`.
        on_images: Told how many more images are done, once in each pass: one by one in this process, else
            per shard.

    Raises:
        UserError: the run cannot go on; what is committed stays.
    """
    passes = open_passes(run, shards)
    left = Counter(shard for each in passes for shard in each.shards)
    yield from (shard for shard in shards if shard not in left)
    for each in passes:
        if workers > 1:
            finished = _in_workers(run, each, workers, on_images)
        else:
            finished = _in_process(run, each, on_images)
        for shard in finished:
            left[shard] -= 1
            if left[shard] == 0:
                yield shard


def _in_process(run: Run, work: Pass, on_images: Callable[[int], None]) -> Iterator[int]:
    method = method_of(run, work.raters)
    yield from run_shards(run, method, work.shards, on_images)
    del method
    release_memory()


def _in_workers(run: Run, work: Pass, workers: int, on_images: Callable[[int], None]) -> Iterator[int]:
    left = list(work.shards)
    failures = 0
    while left:
        before = len(left)
        try:
            for shard, warnings in _submit(run, work.raters, tuple(left), workers):
                for warning in warnings:
                    _LOG.warning("%s", warning)
                left.remove(shard)
                on_images(run.shards[shard])
                yield shard
        except BrokenProcessPool:
            tidy(run)
            open_shards = set(pending(run, work.raters))
            for shard in [shard for shard in left if shard not in open_shards]:  # committed, but not reported
                left.remove(shard)
                on_images(run.shards[shard])
                yield shard
            left = left[workers:] + left[:workers]  # those in work come last: one image may kill its workers
            failures = failures + 1 if len(left) == before else 0
            if failures == _ROUNDS:
                raise _given_up(run, left) from None


def _submit(
    run: Run, raters: tuple[str, ...], shards: Sequence[int], workers: int
) -> Iterator[tuple[int, list[str]]]:
    from joblib import Parallel, delayed, parallel_config

    with parallel_config(
        "loky",
        n_jobs=workers,
        inner_max_num_threads=1,  # of BLAS and OpenMP: the processes are the parallelism
        idle_worker_timeout=_IDLE_SECONDS,
        initializer=_start_worker,
    ):
        # One killed worker would lose a list of results as a whole. A task is one shard, never several.
        pool = Parallel(return_as="generator_unordered", batch_size=1)
    tasks = (delayed(_work)(run, raters, shard, os.getpid(), Path.cwd()) for shard in shards)
    finished: Iterator[tuple[int, list[str]]] = pool(tasks)
    return finished


def _start_worker() -> None:
    from zeroiqa.opencv import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the main process ends the workers
    cv2.setNumThreads(1)


def _work(
    run: Run, raters: tuple[str, ...], shard: int, main_process: int, current_folder: Path
) -> tuple[int, list[str]]:
    """Do a shard in a worker; its number, and what was warned of, which is for the main process to say."""

    def still_wanted(_: int) -> None:
        if os.name == "posix" and os.getppid() != main_process:
            os._exit(1)  # the main process was killed; a resumed run may be at this shard already

    os.chdir(current_folder)  # joblib lends workers that an earlier run has started
    logger, heard = logging.getLogger("zeroiqa"), BufferingHandler(sys.maxsize)
    heard.setLevel(logging.WARNING)
    logger.addHandler(heard)
    try:
        run_shard(run, _held_method(run, raters), shard, still_wanted)
    finally:
        logger.removeHandler(heard)
    return shard, [record.getMessage() for record in heard.buffer]


_held: list[tuple[Run, tuple[str, ...], Method]] = []
"""Lives in the worker processes, which get one shard after another: weights are loaded once for each pass."""


def _held_method(run: Run, raters: tuple[str, ...]) -> Method:
    if not (_held and _held[0][:2] == (run, raters)):
        if _held:
            _held.clear()
            release_memory()
        _held.append((run, raters, method_of(run, raters)))
    return _held[0][2]


def _given_up(run: Run, left: Sequence[int]) -> UserError:
    named = ", ".join(map(str, left[:5])) + (", ..." if len(left) > 5 else "")
    return UserError(
        f"Worker processes were killed {_ROUNDS} times in a row, perhaps for want of memory; {len(left)} of "
        f"{run.n_shards} shards are left ({named}). Run the same command again with fewer workers."
    )
