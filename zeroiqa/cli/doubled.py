"""Options given twice: click would take the last one without a word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any, NamedTuple

import click


class Doubled(NamedTuple):
    """An option that was given more often than it counts."""

    option: click.Option
    values: tuple[Any, ...]
    """As they were given, in their order."""
    context: click.Context
    """Of the command that it was given to."""

    @property
    def remark(self) -> str:
        """What is said where one value was given several times, which does no harm."""
        return f"{self.option.opts[0]} was given {len(self.values)} times; once is enough."

    @property
    def contradiction(self) -> str | None:
        """What is said where different values were given, of which only the last would count."""
        different = dict.fromkeys(self.values)
        if len(different) == 1:
            return None
        if self.option.secondary_opts:
            both = f"{self.option.opts[0]} and {self.option.secondary_opts[0]}"
            return f"{both} contradict each other; give one of them."
        shown = " and ".join(map(str, different))
        return f"{self.option.opts[0]} takes one value, and was given {shown}; give it once."


def check_doubled(command: click.Command, arguments: Sequence[str], program: str) -> Iterator[str]:
    """Remarks on options that were given twice with the same value.

    Args:
        command: The program, with its commands.
        arguments: Behind its name.
        program: Its name.

    Raises:
        click.UsageError: one was given different values.
    """
    for each in find_doubled(click.Context(command, info_name=program), list(arguments)):
        if each.contradiction is not None:
            raise click.UsageError(each.contradiction, each.context)
        yield each.remark


def find_doubled(context: click.Context, arguments: list[str]) -> Iterator[Doubled]:
    """The options of a command, and of the subcommand that is called, that were given more than once.

    What click itself refuses is left to it.
    """
    command = context.command
    given, rest = _parsed(context, arguments)
    for option, values in given:
        if len(values) > 1:
            yield Doubled(option, tuple(values), context)
    if isinstance(command, click.Group) and rest:
        try:
            name, subcommand, rest = command.resolve_command(context, rest)
        except click.ClickException:
            return
        if subcommand is not None:
            yield from find_doubled(click.Context(subcommand, context, name), rest)


def _parsed(
    context: click.Context, arguments: list[str]
) -> tuple[list[tuple[click.Option, list[Any]]], list[str]]:
    """The options that take one value, each with all that it was given; and what is left for a subcommand."""
    command = context.command
    context.allow_extra_args = context.allow_extra_args or command.allow_extra_args
    context.allow_interspersed_args = command.allow_interspersed_args
    options = [
        each
        for each in command.get_params(context)
        if isinstance(each, click.Option) and not each.multiple and not each.count
    ]
    parser = command.make_parser(context)
    for option in options:
        every = copy(option)
        every.multiple = True
        every.add_to_parser(parser, context)
    try:
        values, rest, _ = parser.parse_args(arguments)
    except click.ClickException:
        return [], []
    return [(option, values.get(option.name or "") or []) for option in options], rest
