"""Chat templates are rendered in a process of their own, within bounds on time, memory and text.

Everything that transformers does around it stays as it is: only the compiled template that it would render is
another object, which asks that process. It is started once and costs each prompt less than a millisecond.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from zeroiqa.errors import UserError

MOST_SOURCE = 1 << 18
"""Characters of a template; the longest of known models have 20,000."""
_SECONDS = 10.0
"""For one rendering; the slowest of known templates takes a thousandth of it."""
_START_SECONDS = 120.0
_LONGEST_ANSWER = 1 << 24
_BREACHES = {
    "TooLongError": "writes more than a million characters",
    "MemoryError": "takes more than half a gigabyte of memory",
}
_PROGRAM = Path(__file__).with_name("rendering_process.py")
_LOCK = threading.RLock()
_LOG = logging.getLogger(__name__)


class UnboundedTemplateError(UserError):
    """A chat template that takes too long, or too much."""


def bounded(render: Callable[..., str], model: str) -> Callable[..., str]:
    """A processor's `apply_chat_template`, whose template is rendered within bounds.

    The returned function raises `UnboundedTemplateError` where the template breaks one of them.
    """

    def rendered(*args: Any, **choices: Any) -> str:
        try:
            with _aside():
                return render(*args, **choices)
        except UnboundedTemplateError as error:
            raise UnboundedTemplateError(
                f"The chat template of {model} {error}; choose another model, or correct its template."
            ) from None

    return rendered


def variables(source: str) -> frozenset[str]:
    """The names that a template does not define itself; empty for one that cannot be read.

    Raises:
        UnboundedTemplateError: reading it takes too long, or too much.
    """
    try:
        return frozenset(_process().ask({"source": source}))
    except UnboundedTemplateError:
        raise
    except Exception:  # what is wrong with it is said when it is rendered
        return frozenset()


@contextmanager
def _aside() -> Iterator[None]:
    """Have transformers render templates by the process while the block lasts; warn if it does not."""
    library: Any = import_module("transformers.utils.chat_template_utils")
    usual = getattr(library, "_compile_jinja_template", None)
    used = False

    def compiled(source: str) -> _Template:
        nonlocal used
        used = True
        return _Template(source, usual("").environment)  # type: ignore[misc]

    with _LOCK:
        if usual is not None:
            library._compile_jinja_template = compiled
        try:
            yield
        finally:
            if usual is not None:
                library._compile_jinja_template = usual
    if not used:
        _warn_of_no_bounds()


@cache
def _warn_of_no_bounds() -> None:
    _LOG.warning(
        "chat templates are rendered without bounds on time and output: this version of transformers, or "
        "the model's own processor, renders them itself."
    )


class _Template:
    """What transformers takes for a compiled template."""

    def __init__(self, source: str, harmless: Any) -> None:
        self._source, self._harmless = source, harmless

    @property
    def environment(self) -> _Template:
        """Where a template is parsed; that, too, may take long."""
        return self

    def parse(self, source: str) -> Any:
        """A template with the same undeclared variables, in which nothing is computed."""
        return self._harmless.parse("".join(f"{{{{ {name} }}}}" for name in sorted(variables(source))))

    def render(self, **given: Any) -> str:
        """The text."""
        return str(_process().ask({"source": self._source, "variables": given}))


class _Renderer:
    """`rendering_process`, running; started anew after a template has ended it."""

    def __init__(self) -> None:
        self._running: subprocess.Popen[bytes] | None = None
        self._owner = 0
        atexit.register(self.close)

    def ask(self, request: dict[str, Any]) -> Any:
        """What is found.

        Raises:
            UnboundedTemplateError: a bound is broken.
            Exception: of the name and the text of what goes wrong in the template.
        """
        if len(request["source"]) > MOST_SOURCE:
            raise UnboundedTemplateError(
                f"has {len(request['source']):,} characters, and more than {MOST_SOURCE:,} are not read"
            )
        line = json.dumps(request, default=str).encode() + b"\n"
        with _LOCK:
            process = self._started()
            answer = _exchanged(process, line, _SECONDS)
            if answer is None:
                self.close()
                raise UnboundedTemplateError(
                    f"takes longer than {_SECONDS:g} seconds, or ends the process that renders it"
                )
        if "found" in answer:
            return answer["found"]
        if answer["error"] in _BREACHES:
            raise UnboundedTemplateError(_BREACHES[answer["error"]])
        raise type(answer["error"], (Exception,), {})(answer["message"])

    def close(self) -> None:
        """End the process, if it is ours."""
        if self._running is not None and self._owner == os.getpid():
            self._running.kill()
            self._running.communicate()
        self._running = None

    def _started(self) -> subprocess.Popen[bytes]:
        if self._running is None or self._owner != os.getpid():
            pipe = subprocess.PIPE
            command = [sys.executable, "-P", str(_PROGRAM)]
            self._running = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
            self._owner = os.getpid()
            if _exchanged(self._running, b"", _START_SECONDS) is None:
                self.close()
                raise UserError(
                    "The process that renders chat templates does not start; see whether jinja2 is installed "
                    "and memory is left."
                )
        return self._running


@cache
def _process() -> _Renderer:
    return _Renderer()


def _exchanged(process: subprocess.Popen[bytes], line: bytes, seconds: float) -> dict[str, Any] | None:
    """The answer to a line; None where none comes in time, for then the process is killed."""
    assert process.stdin and process.stdout
    watch = threading.Timer(seconds, process.kill)
    watch.daemon = True
    watch.start()
    try:
        with suppress(OSError, ValueError):
            process.stdin.write(line)
            process.stdin.flush()
            found = json.loads(process.stdout.readline(_LONGEST_ANSWER))
            return found if isinstance(found, dict) else None
        return None
    finally:
        watch.cancel()
        watch.join()
