"""Limit the time that reading and decoding one image may take.

Decoders of C cannot be interrupted, some of them keep Python's lock, and a read of a mount that hangs does
not come back. So what is over the budget is left behind (a thread) or ends with its process, by a timer of C
that needs no lock. What models take is not counted, nor what waits for its turn.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import TypeVar

from zeroiqa.errors import UserError

T = TypeVar("T")

IMAGE_SECONDS = 60.0
"""For one image, if nothing else is said."""
_NAME = "within a budget"
_WATCH_SECONDS = 0.2
"""Between two looks of a process for the one that it works for."""


class OverBudgetError(Exception):
    """Something took longer than its budget, and was ended or left behind."""


class Budget:
    """The time that is left for one image.

    Args:
        seconds: More than 0; `inf` does not end.

    Raises:
        UserError: it is anything else.
    """

    def __init__(self, seconds: float) -> None:
        if not seconds > 0:
            raise UserError(f"The seconds for one image are {seconds}; give more than 0, or inf.")
        self.left = seconds

    @contextmanager
    def spent(self) -> Iterator[float]:
        """Inside the block, time is spent; yields the seconds that are left, as many as a timer takes.

        Raises:
            OverBudgetError: nothing is left.
        """
        if self.left <= 0:
            raise OverBudgetError
        begun = time.monotonic()
        try:
            yield min(self.left, threading.TIMEOUT_MAX)
        finally:
            self.left -= time.monotonic() - begun


def unguarded(work: Callable[[], T], budget: Budget) -> T:
    """Do it, however long it takes."""
    with budget.spent():
        return work()


def left_behind(work: Callable[[], T], budget: Budget) -> T:
    """Do it in a thread, which is left alone when it takes longer: for a process that shall not end.

    Work that keeps Python's lock keeps us, too; such is for a `Child`. See `leave`.
    """
    done: Future[T] = Future()

    def do() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    with budget.spent() as seconds:
        threading.Thread(target=do, name=_NAME, daemon=True).start()
        try:
            return done.result(seconds)
        except TimeoutError:
            if done.done():  # it is the work's own error, or it has just been done
                return done.result()
            raise OverBudgetError from None


def leave(code: int) -> None:
    """End this process now if a thread was left behind: pyarrow waits in the end for reads of a store."""
    if any(thread.name == _NAME for thread in threading.enumerate()):
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


class Watchdog:
    """Ends this process when work takes too long, whatever it does: for workers, whose task is done again.

    The work is done in the caller's thread; several threads may work at once. There can be one in a process.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends: dict[object, float] = {}
        self._nowhere = os.open(os.devnull, os.O_WRONLY)
        """Where the timer says what it ends; needed as long as the process lives."""

    def __call__(self, work: Callable[[], T], budget: Budget) -> T:
        """What the work returns or raises."""
        with budget.spent() as seconds, self._watched(seconds):
            return work()

    @contextmanager
    def _watched(self, seconds: float) -> Iterator[None]:
        key = object()
        with self._lock:
            self._ends[key] = time.monotonic() + seconds
            self._set()
        try:
            yield
        finally:
            with self._lock:
                del self._ends[key]
                self._set()

    def _set(self) -> None:
        """Set the process's only timer to whatever ends first."""
        if not self._ends:
            faulthandler.cancel_dump_traceback_later()
            return
        left = max(min(self._ends.values()) - time.monotonic(), 1e-3)
        faulthandler.dump_traceback_later(min(left, threading.TIMEOUT_MAX), exit=True, file=self._nowhere)


def end_with(other: int) -> None:
    """End this process when another one has ended, the one that it works for; for a thread."""
    import psutil

    while os.getppid() == other if os.name == "posix" else psutil.pid_exists(other):
        time.sleep(_WATCH_SECONDS)
    os._exit(1)
