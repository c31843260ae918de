"""The page itself: template, style and script of `page/`, and the data in them, in one file of HTML."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from typing import Any

from zeroiqa.names import json_text
from zeroiqa.version import __version__

MADE_BY = '<meta name="generator" content="zeroiqa report'
"""Stands near the beginning of every page that was made here."""
_HEAD_BYTES = 2048


def is_ours(head: bytes) -> bool:
    """Whether a file that begins so is a page that was made here, and so may be replaced."""
    return MADE_BY.encode() in head[:_HEAD_BYTES]


def embedded(value: Any) -> Any:
    """A value as JSON that stands inside of <script> and cannot end it: no "<", ">" or "&" is in it."""
    from markupsafe import Markup

    text = json_text(value)
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(text)  # all that HTML gives a meaning is escaped


def rendered(
    header: Mapping[str, Any], data: Mapping[str, Any], blocks: Iterable[tuple[str, Any]]
) -> Iterator[str]:
    """The page, piece by piece.

    Args:
        header: What the template shows itself.
        data: What the script shows: the table.
        blocks: Name and value of what the script looks up later, such as the pictures.
    """
    from jinja2 import Environment
    from markupsafe import Markup

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    style, script = _text("report.css"), _script()
    template = environment.from_string(_text("report.html.jinja"))
    return template.generate(
        **header,
        version=__version__,
        style=Markup(style),
        script=Markup(script),
        hashes={"style": _hash(style), "script": _hash(script)},
        data=embedded(data),
        blocks=((name, embedded(value)) for name, value in blocks),
    )


def _script() -> str:
    """One script, whose names are its own."""
    return '"use strict";\n(() => {\n' + _text("images.js") + _text("viewer.js") + "})();\n"


def _text(name: str) -> str:
    return (resources.files("zeroiqa.report") / "page" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """As a Content-Security-Policy names what may be used."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
