"""Do work that may hang, crash or take all memory in a child process, so that only the child ends."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, NamedTuple, TypeVar

from zeroiqa.guards.budget import Budget, OverBudgetError, Watchdog, end_with
from zeroiqa.guards.limits import memory

T = TypeVar("T")

_CODE = (
    "import sys; sys.path[:] = {path!r}; "
    "import zeroiqa.images.decode; "  # what nearly all work needs, before its time runs
    "from zeroiqa.guards.child import main; main({parent})"
)
_END_SECONDS = 30.0
"""For a process that was killed, at most."""

KILLS = 3
"""Processes that an image, or a shard of them, may kill before it is blamed; one may be killed by chance."""


class KilledError(Exception):
    """The process died of its work before its time was over, or could not be started."""


def killer(shown: str) -> str:
    """What is said of an image that has killed `KILLS` processes."""
    return (
        f"{shown}: the process that worked on it was killed, {KILLS} times; leave it out, repair it, or try "
        "it again with --retry-errors."
    )


class _Raised(NamedTuple):
    error: Exception


class Child:
    """One process for one work after another. It is started by the first one, and again after each death.

    It ends with this object, with the process that has made it, and with a work that is over its budget.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: _ChildProcess | None = None

    def __call__(self, work: Callable[[], T], budget: Budget) -> T:
        """What the work returns or raises. Other threads wait for their turn, which costs no budget.

        Args:
            work: It and what it returns can be pickled.
            budget: Starting the process costs nothing of it.

        Raises:
            OverBudgetError: it takes longer.
            KilledError: see there.
        """
        with self._lock:
            try:
                process, self._process = self._process or _ChildProcess(), None
                with budget.spent() as seconds:
                    result = process.answer((seconds, work))
            except (OSError, EOFError, pickle.UnpicklingError) as error:
                raise (KilledError if budget.left > 0 else OverBudgetError) from error
            self._process = process  # else it ends: its answer, if there is one, is for nobody
        if isinstance(result, _Raised):
            raise result.error
        return result  # type: ignore[no-any-return]  # what the work has returned


class _ChildProcess:
    """The process, which ends with this object."""

    def __init__(self) -> None:
        code = _CODE.format(path=sys.path, parent=os.getpid())
        with without_interrupts():  # Ctrl-C is for the main process, which ends the others
            process = subprocess.Popen(
                [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        weakref.finalize(self, _end, process)
        assert process.stdin is not None and process.stdout is not None
        self._questions, self._answers = process.stdin, process.stdout
        if not self._answers.read(1):
            raise EOFError

    def answer(self, question: object) -> Any:
        pickle.dump(question, self._questions, pickle.HIGHEST_PROTOCOL)
        self._questions.flush()
        return pickle.load(self._answers)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):
            assert pipe is not None
            pipe.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_END_SECONDS)


def main(parent: int) -> None:
    """In the child: do work after work, until the pipe is closed or the parent has ended.

    What libraries print must not get between the answers: standard output leads nowhere.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # for systems without masks
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    threading.Thread(target=end_with, args=(parent,), daemon=True).start()
    watchdog = Watchdog()
    answers.write(b"+")
    answers.flush()
    while _answered(sys.stdin.buffer, answers, watchdog):
        pass


def _answered(questions: IO[bytes], answers: IO[bytes], watchdog: Watchdog) -> bool:
    """Do one work; False if there is none any more."""
    try:
        seconds, work = pickle.load(questions)
    except EOFError:
        return False
    result: Any
    try:
        _limit_memory()
        result = watchdog(work, Budget(seconds))
    except Exception as error:
        result = _Raised(_portable(error))
    pickle.dump(result, answers, pickle.HIGHEST_PROTOCOL)
    answers.flush()
    return True


def _limit_memory() -> None:
    """What this container does not have is refused to us, a `MemoryError`; else all of it might be killed."""
    if sys.platform != "linux":
        return
    import resource

    import psutil

    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    allowed = psutil.Process().memory_info().data + memory().available
    allowed = allowed if most == resource.RLIM_INFINITY else min(allowed, most)
    resource.setrlimit(resource.RLIMIT_DATA, (allowed, most))


def _portable(error: Exception) -> Exception:
    """The error, or what can be said of one that does not survive pickling."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


@contextmanager
def without_interrupts() -> Iterator[None]:
    """What is started inside the block does not hear Ctrl-C, which reaches all processes at once."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
