"""`zeroiqa completion`: the script by which a shell completes commands, options and their values."""

from __future__ import annotations

import click

from zeroiqa.cli.command import command
from zeroiqa.cli.completion import SHELLS, script


@command(
    examples=[
        ("completion bash", "the script for bash: append it to ~/.bashrc"),
        ("completion fish", "for fish: write it to ~/.config/fish/completions/zeroiqa.fish"),
    ]
)
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the script that lets a shell complete commands, options, names and files."""
    click.echo(script(shell, "zeroiqa"))
