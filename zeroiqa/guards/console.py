"""The process around a command: its streams, which may break, and Ctrl-C.

Nothing else of the package is imported here, so that it holds while the rest is loaded.
"""

from __future__ import annotations

import atexit
import errno
import io
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn, TextIO

INTERRUPTED = 130
GRACE = 3.0
"""Seconds that a command gets to end after Ctrl-C; who presses again then ends it at once."""


class _Output(io.FileIO):
    """A file descriptor that takes everything: what is lost when it breaks is said once, at the end."""

    lost: OSError | None = None

    def write(self, data: Any, /) -> int:
        if self.lost is None:
            try:
                return super().write(data)
            except OSError as error:
                self.lost = error
        return memoryview(data).nbytes


def take_over() -> None:
    """Let neither broken streams nor Ctrl-C end this process by a traceback.

    A stream that was closed when the process began takes everything, so that no file gets its number. What a
    stream cannot encode is written as escapes.
    """
    if isinstance(signal.getsignal(signal.SIGINT), _Interrupts):
        return
    for number in (0, 1, 2):
        _fill(number)
    sys.stdout = _wrapped(sys.stdout, 1)
    sys.stderr = _wrapped(sys.stderr, 2)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # else whoever began us wants no Ctrl-C
        signal.signal(signal.SIGINT, _Interrupts())
        sys.unraisablehook = _unraisable
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)  # the last that is done


def begin() -> None:
    """From now on there is something that Ctrl-C has to stop in an orderly way."""
    handler = signal.getsignal(signal.SIGINT)
    if isinstance(handler, _Interrupts):
        handler.ending = False


def _fill(number: int) -> None:
    try:
        os.fstat(number)
    except OSError:
        opened = os.open(os.devnull, os.O_RDWR)
        if opened != number:
            os.dup2(opened, number)
            os.close(opened)
        os.set_inheritable(number, True)


def _wrapped(stream: TextIO | None, number: int) -> TextIO:
    """The stream over an `_Output`; as it is where it is a Windows console or belongs to somebody else."""
    if stream is not None:
        if not _is_ours(stream, number):
            return stream
        stream.flush()
    encoding = getattr(stream, "encoding", None) or "utf-8"
    output = _Output(number, "wb", closefd=False)
    unbuffered = getattr(stream, "write_through", False)
    return io.TextIOWrapper(
        output if unbuffered else io.BufferedWriter(output),
        encoding="utf-8" if encoding.lower() in ("ascii", "us-ascii", "ansi_x3.4-1968") else encoding,
        errors="backslashreplace",
        line_buffering=getattr(stream, "line_buffering", False),
        write_through=unbuffered,
    )


def _is_ours(stream: TextIO, number: int) -> bool:
    return type(_raw(stream)) is io.FileIO and stream.fileno() == number


def _raw(stream: TextIO) -> Any:
    """What is below a stream; there is no buffer between where Python runs unbuffered."""
    buffer = getattr(stream, "buffer", None)
    return getattr(buffer, "raw", buffer)


def is_lost(stream: TextIO) -> bool:
    """Whether nobody reads any more what is written to a stream, or its disk is full."""
    return _loss(stream) is not None


def _loss(stream: TextIO) -> OSError | None:
    raw = _raw(stream)
    return raw.lost if isinstance(raw, _Output) else None


def write_machine_readable(errors: str = "backslashreplace") -> None:
    """Let standard output be UTF-8 with plain line breaks from now on, whatever the system prefers.

    Args:
        errors: What becomes of bytes outside UTF-8 in names; "surrogateescape" writes them as they are.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors=errors, newline="\n")


def shows_blocks() -> bool:
    """Whether standard output can show signs such as the blocks of bars."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"  # text in memory takes every sign
    if not encoding.lower().startswith("utf"):
        return False
    return os.environ.get("TERM") != "dumb" or not sys.stdout.isatty()


def finish(code: int) -> int:
    """The exit code; 1, with a sentence, if results were lost on their way, unless their reader left."""
    try:
        sys.stdout.flush()
        loss = _loss(sys.stdout)
        if loss is not None and loss.errno not in (errno.EPIPE, errno.EINVAL):  # EINVAL: a pipe on Windows
            print(
                f"Error: standard output could not be written: {loss.strerror or loss}; what is finished is "
                "kept.",
                file=sys.stderr,
            )
            code = code or 1
        sys.stderr.flush()
    finally:
        handler = signal.getsignal(signal.SIGINT)
        if isinstance(handler, _Interrupts):
            handler.ending = True
    return code


class _Interrupts:
    """What Ctrl-C does: it stops the command once; while that ends, others are not heard for a while."""

    def __init__(self) -> None:
        self.first: float | None = None
        self.ending = True
        """Whether nothing is left to stop but the process itself."""

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.first is None and not self.ending:
            self.first = time.monotonic()
            raise KeyboardInterrupt
        if self.ending or (self.first is not None and time.monotonic() - self.first > GRACE):
            leave()

    def again(self) -> None:
        """Stop the command anew: the first time was lost in a destructor, where Python drops exceptions."""
        self.first = None
        threading.Timer(0.01, _interrupt).start()


def _interrupt() -> None:
    if hasattr(signal, "pthread_kill"):  # which wakes the main thread where it waits
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        signal.raise_signal(signal.SIGINT)


def leave() -> NoReturn:
    """End this process here and now, as after Ctrl-C."""
    with suppress(OSError):
        os.write(2, b"Interrupted.\n")
    os._exit(INTERRUPTED)


def _unraisable(dropped: Any) -> None:
    handler = signal.getsignal(signal.SIGINT)
    if issubclass(dropped.exc_type, KeyboardInterrupt) and isinstance(handler, _Interrupts):
        handler.again()
    else:
        sys.__unraisablehook__(dropped)
