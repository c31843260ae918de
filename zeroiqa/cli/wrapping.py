"""How help is wrapped: between words alone, so that an option or a name can be copied whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import cloup
from cloup.styling import IStyle

Text = str | Callable[[int], str]

_HELD = "\u2011"  # a hyphen that no line ends with, as wide as the one that it stands for


class Formatter(cloup.HelpFormatter):
    """Writes help whose lines do not end within --an-option."""

    def write(self, string: str = "", *strings: str) -> None:
        """Write text that is wrapped."""
        super().write(*(each.replace(_HELD, "-") for each in (string, *strings)))

    def write_text(self, text: str, style: IStyle = str) -> None:
        """Wrap a text into paragraphs."""
        super().write_text(_held(text), style)

    def write_dl(
        self,
        rows: Iterable[tuple[str, Text]],
        col_max: int | None = None,
        col_spacing: int | None = None,
        col1_width: int | None = None,
    ) -> None:
        """Write terms with what they mean."""
        super().write_dl([(term, _wrapped(text)) for term, text in rows], col_max, col_spacing, col1_width)


class Context(cloup.Context):
    """What a command is called in; its help is written by `Formatter`."""

    formatter_class = Formatter


def _held(text: str) -> str:
    return text.replace("-", _HELD)


def _wrapped(text: Text) -> Text:
    return (lambda width: _held(text(width))) if callable(text) else _held(text)
