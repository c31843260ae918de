"""Renders chat templates in a process that may be killed; run as a program, it needs nothing but jinja2.

A chat template is a program of whoever published the model: a loop in it may run for ever, and an expression
may ask for all memory, also where it is only compiled. Jinja's sandbox bounds neither. Each line of standard
input is a request (JSON), each line of standard output its answer; see `zeroiqa.chat.rendering`.
"""

from __future__ import annotations

import json
import signal
import sys
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from typing import Any

import jinja2
import jinja2.ext
from jinja2 import meta, nodes
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

MOST_TEXT = 1 << 20
"""Characters that a template may write."""
MOST_MEMORY = 1 << 29
"""Bytes of address space that it may use, Python and jinja2 included."""


class TooLongError(Exception):
    """A text of more than `MOST_TEXT` characters."""


class Generation(jinja2.ext.Extension):
    """The tag of transformers around what an assistant says; here it changes nothing."""

    tags = {"generation"}  # noqa: RUF012 -- as jinja2 declares it

    def parse(self, parser: Parser) -> nodes.Node:
        """A block that is called and written down."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_said"), [], [], body).set_lineno(line)

    def _said(self, caller: Any) -> Any:
        return caller()


class Dictionary:
    """`dict` for templates, without what else a type gives access to."""

    def __call__(self, *pairs: Any, **fields: Any) -> dict[Any, Any]:
        """As dict."""
        return dict(*pairs, **fields)

    def fromkeys(self, *keys: Any) -> dict[Any, Any]:
        """As the method of dict."""
        return dict.fromkeys(*keys)


class GuardedNamespace(Namespace):
    """A namespace without names that begin with an underscore."""

    def __init__(*args: Any, **fields: Any) -> None:  # a field may be called self
        attributes = dict(*args[1:], **fields)
        for name in attributes:
            _check_name(name)
        Namespace.__init__(args[0], attributes)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_name(name)
        super().__setitem__(name, value)


def _check_name(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise jinja2.exceptions.SecurityError(f"a namespace cannot have the attribute {name!r}")


def environment() -> ImmutableSandboxedEnvironment:
    """What chat templates may rely on: the environment that transformers documents and renders them in."""
    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )

    def tojson(
        value: Any,
        ensure_ascii: bool = False,
        indent: Any = None,
        separators: Any = None,
        sort_keys: bool = False,
    ) -> str:
        return json.dumps(
            value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
        )

    def raise_exception(message: str) -> None:
        raise jinja2.exceptions.TemplateError(message)

    made.filters["tojson"] = tojson
    made.globals |= {
        "raise_exception": raise_exception,
        "strftime_now": lambda form: datetime.now().strftime(form),
        "dict": Dictionary(),
        "namespace": GuardedNamespace,
    }
    return made


_ENVIRONMENT = environment()


@lru_cache(maxsize=8)
def _compiled(source: str) -> jinja2.Template:
    return _ENVIRONMENT.from_string(source)


def render(source: str, variables: dict[str, Any]) -> str:
    """What a template writes.

    Raises:
        TooLongError: it writes more than `MOST_TEXT` characters.
    """
    parts, length = [], 0
    for part in _compiled(source).generate(variables):
        parts.append(part)
        length += len(part)
        if length > MOST_TEXT:
            raise TooLongError
    return "".join(parts)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """The text of a request with variables, the names of the variables of one without; or what goes wrong."""
    try:
        if "variables" in request:
            return {"found": render(request["source"], request["variables"])}
        return {"found": sorted(meta.find_undeclared_variables(_ENVIRONMENT.parse(request["source"])))}
    except Exception as error:  # of any kind: the template's own, jinja's, Python's
        return {"error": type(error).__name__, "message": str(error)[:1000]}


def main() -> None:
    """Answer until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who asks
    with suppress(ImportError, ValueError, OSError):  # not on Windows
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print("{}", flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
