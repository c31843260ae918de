"""Lines for people: what the commands say, and the warnings that the package logs."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from zeroiqa.names import harmless

_QUIET = "zeroiqa.quiet"
"""Where click's context holds whether the command is quiet."""
_LOUD = ("Error: ", "Warning: ")


class _Printer(logging.Handler):
    """Prints each warning once, to what is standard error just then: a live bar puts itself in its place."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._printed: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        message = " ".join(record.getMessage().split())
        if message not in self._printed:
            self._printed.add(message)
            print(f"Warning: {harmless(message)}", file=sys.stderr)  # click.echo writes across a live bar


def quiet() -> click.Option:
    """The option that every command has; what it says is asked for by `is_quiet`."""
    return click.Option(
        ["-q", "--quiet"],
        is_flag=True,
        expose_value=False,
        callback=lambda context, _, quiet: context.meta.__setitem__(_QUIET, quiet),
        help="Say errors and warnings only: no progress, no remarks, no summary of what files hold.",
    )


def is_quiet() -> bool:
    """Whether the command that runs was asked to be quiet."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_QUIET))


def say(text: str, *, err: bool = False) -> None:
    """Print lines for people; the terminal obeys no name in them.

    Args:
        text: The lines.
        err: Print to standard error; a quiet command prints there what begins with "Error: " or "Warning: ".
    """
    if err and is_quiet() and not text.startswith(_LOUD):
        return
    click.echo("\n".join(map(harmless, text.split("\n"))), err=err)


def summarise(text: str) -> None:
    """Print to standard output what a file holds, too; a quiet command prints nothing."""
    if not is_quiet():
        say(text)


@contextmanager
def warnings_printed() -> Iterator[None]:
    """Inside the block, each warning of the package becomes one line, once."""
    logger, printer = logging.getLogger("zeroiqa"), _Printer()
    logger.addHandler(printer)
    try:
        yield
    finally:
        logger.removeHandler(printer)
