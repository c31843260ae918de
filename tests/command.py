"""A command in this process, as its own process would run it: importing the libraries anew takes seconds.

What needs a process of its own starts one: signals, kills, broken streams, the state of a new interpreter.
"""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path
from typing import NamedTuple

import pytest


class Done(NamedTuple):
    """What came of a command; the names are those of a finished process."""

    returncode: int
    stdout: str
    stderr: str


def zeroiqa(folder: Path, *arguments: object, stdin: str = "", **variables: str) -> Done:
    """Give a command in a folder: its exit code, and what it prints.

    Args:
        folder: The current folder meanwhile.
        arguments: Behind the program's name.
        stdin: What it reads from standard input.
        variables: Of the environment, besides those of now.
    """
    from zeroiqa.cli import main

    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="\n") for _ in range(2))
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8"))
        for name, value in variables.items():
            patch.setenv(name, value)
        main([*map(str, arguments)])
    return Done(int(ended.value.code or 0), _text(out), _text(err))


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    return stream.buffer.getvalue().decode().replace("\r\n", "\n")  # type: ignore[attr-defined]
