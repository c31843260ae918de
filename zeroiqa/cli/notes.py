"""Notes of a table that is printed in a format that has no place for them."""

from __future__ import annotations

from collections.abc import Iterable

import click

_WITHOUT_NOTES = ("csv",)


def say_notes(notes: Iterable[str], style: str) -> None:
    """Write each note to standard error where the format of standard output cannot hold it."""
    if style in _WITHOUT_NOTES:
        for note in notes:
            click.echo(note, err=True)
