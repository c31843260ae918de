"""Several methods in one command: each baseline is a run of its own, for their units have no mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from zeroiqa.cli.method import settings_of
from zeroiqa.cli.requested import table_file
from zeroiqa.errors import UserError, printable
from zeroiqa.files.storage import Location

if TYPE_CHECKING:
    from zeroiqa.settings import Settings


def methods_of(preset: str, *, baselines: tuple[str, ...], **choices: Any) -> dict[str, Settings]:
    """Name -> settings of each baseline; or of the one method that is asked for, under any name.

    Raises:
        click.UsageError: options contradict each other.
        UserError: a name is unknown, or a value is out of its range.
    """
    if len(baselines) < 2:
        return {preset: settings_of(preset, baselines=baselines, **choices)}
    for name in baselines:
        if baselines.count(name) > 1:
            raise click.UsageError(f"--baseline {name} was given twice; name each once.")
    return {name: settings_of(preset, baselines=(name,), **choices) for name in baselines}


def places_of(names: Sequence[str], output: Location | None, style: str) -> dict[str, Location | None]:
    """Where each method's run goes: for several below the folder that is named, each by its name.

    Args:
        names: Of the methods.
        output: What -o says; None: each in the default folder.
        style: What --format says.

    Raises:
        click.UsageError: several shall be written to one table.
        UserError: the folder holds a run already.
    """
    if len(names) == 1:
        return {names[0]: output}
    several = f"{len(names)} baselines have one each"
    if style != "table":
        raise click.UsageError(
            f"--format {style} prints one table, and {several}; leave it out and read their scores.csv, or "
            "give a command for each."
        )
    if output is None:
        return dict.fromkeys(names)
    shown = printable(str(output))
    if table_file(output, ()) is not None:
        raise click.UsageError(f"{shown} takes one table, and {several}; name a folder with -o.")
    if (output / "run.json").is_file():
        raise UserError(f"{shown} holds one run, and {several}; name another folder with -o.")
    return {name: output / _folder_name(name) for name in names}


def _folder_name(name: str) -> str:
    """The name of a baseline, as a folder may be called: niqe:FILE.npz becomes niqe-FILE-npz."""
    return "".join(char if char.isalnum() or char in "-_+" else "-" for char in name)
