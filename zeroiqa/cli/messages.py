"""Lines for people: what the commands say, and the warnings that the package logs."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from zeroiqa.names import harmless


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


def say(text: str, *, err: bool = False) -> None:
    """Print lines for people; the terminal obeys no name in them."""
    click.echo("\n".join(map(harmless, text.split("\n"))), err=err)


@contextmanager
def warnings_printed() -> Iterator[None]:
    """Inside the block, each warning of the package becomes one line, once."""
    logger, printer = logging.getLogger("zeroiqa"), _Printer()
    logger.addHandler(printer)
    try:
        yield
    finally:
        logger.removeHandler(printer)
