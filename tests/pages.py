"""What people read: README.md and the guides in docs/."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = (README, *sorted((ROOT / "docs").glob("*.md")))
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_INDENTED = re.compile(r"^    (\S.*)$", re.MULTILINE)
_SPAN = re.compile(r"`([^`]+)`")


def code_of(text: str) -> list[str]:
    """What is written as code: lines of commands and of examples, and words between backticks."""
    lines = [
        line.removeprefix("$ ")
        for kind, body in _FENCED.findall(text)
        for line in body.splitlines()
        if kind == "sh" or (kind == "console" and line.startswith("$ "))
    ]
    prose = _FENCED.sub("", text)
    return [*lines, *_INDENTED.findall(prose), *(" ".join(span.split()) for span in _SPAN.findall(prose))]


def headings_of(text: str) -> set[str]:
    """The anchors of a page: its headings in small letters, without signs, with hyphens for blanks."""
    headings = re.findall(r"^#+ (.*)$", _FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
