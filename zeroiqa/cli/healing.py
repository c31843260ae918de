"""The options that score images again: those with an error, and those whose file has changed."""

from __future__ import annotations

import click

from zeroiqa.cli.options import Command, with_options


def healing_options(command: Command) -> Command:
    """The options `retry_errors` and `refresh`."""
    return with_options(
        command,
        click.option(
            "--retry-errors",
            is_flag=True,
            help="Try all images again that have an error; without, those whose file is another one or can "
            "be reached again.",
        ),
        click.option(
            "--refresh",
            is_flag=True,
            help="Score images again whose file (by its size or time) or prompt has changed since.",
        ),
    )
