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

    @property
    def remark(self) -> str:
        """What is said of it: which of several values counts."""
        different = tuple(dict.fromkeys(self.values))
        name = self.option.opts[0]
        if len(different) == 1:
            return f"{name} was given {len(self.values)} times; once is enough."
        if self.option.secondary_opts:
            names = (name, self.option.secondary_opts[0])
            both, last = f"{name} and {names[1]} were given", names[not self.values[-1]]
        else:
            both, last = f"{name} was given {' and '.join(map(str, different))}", f"{name} {self.values[-1]}"
        return f"{both}; the last counts, {last}."


def doubled(command: click.Command, arguments: Sequence[str]) -> Iterator[str]:
    """Sentences on options that were given twice, of which the last counts: a line may end with a change.

    Args:
        command: The program, with its commands.
        arguments: Behind its name.
    """
    for each in find_doubled(click.Context(command), list(arguments)):
        yield f"Warning: {each.remark}"


def find_doubled(context: click.Context, arguments: list[str]) -> Iterator[Doubled]:
    """The options of a command, and of the subcommand that is called, that were given more than once.

    What click itself refuses is left to it.
    """
    command = context.command
    given, rest = _parsed(context, arguments)
    for option, values in given:
        if len(values) > 1:
            yield Doubled(option, tuple(values))
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
