"""Names as tables, terminals and lines of JSON can hold them: what breaks lines or is obeyed is escaped."""

from __future__ import annotations

import json
import re
from typing import Any

_UNSAFE = re.compile(
    "[\0-\x1f\x7f-\x9f"  # control characters: line breaks, tabs, escape sequences
    "\u2028\u2029"  # separators of lines and paragraphs
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # which turn the direction of what follows
    "\ud800-\udfff]"  # bytes outside UTF-8, as Python has them
)
_ESCAPE = re.compile(r"\\(?:([\\nrt])|x([0-9a-f]{2})|u([0-9a-f]{4}))")
_SHORT = {"\\": "\\", "n": "\n", "r": "\r", "t": "\t"}


def harmless(text: str) -> str:
    """A sentence in which such characters are escapes, as Python writes them; the rest stays."""
    return _UNSAFE.sub(_escape, text)


def escaped(text: str) -> str:
    """The text in valid UTF-8: bytes outside it, which Python has as surrogates, become escapes."""
    return text.encode(errors="backslashreplace").decode()


def cell(text: str) -> str:
    """A text for one cell of a table: as it is, or with escapes, and then each backslash twice."""
    return harmless(text.replace("\\", "\\\\")) if _UNSAFE.search(text) else text


def meanings(text: str) -> tuple[str, ...]:
    """What a cell may have been made of: of the text itself, or of what `cell` has escaped in it.

    The likelier comes first. Bytes outside UTF-8 may have been escaped before other characters were; and in a
    table for spreadsheets a single quote may stand before the text.
    """
    found = [text]
    for each in (text, text.removeprefix("'")):
        found += (each, once := _ESCAPE.sub(_meant, each), _ESCAPE.sub(_meant, once))
    return tuple(dict.fromkeys(found))


def json_text(value: Any, indent: int | None = None) -> str:
    """A document of JSON; the texts in it stay what they are, though no such character is in the document."""
    return _UNSAFE.sub(
        lambda found: found[0] if found[0] == "\n" else f"\\u{ord(found[0]):04x}",
        json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent),
    )


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def _meant(found: re.Match[str]) -> str:
    short, byte, unit = found.groups()
    return _SHORT[short] if short else chr(int(byte or unit, 16))
