"""Heads on the command line: names, stages and help come from their entries, once they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

from zeroiqa.cli.command import Command


class LazyChoice(click.ParamType[str]):
    """One of some names that are looked up when a value or the help is asked for.

    Args:
        names: Looks them up.
    """

    name = "choice"

    def __init__(self, names: Callable[[], Sequence[str]]) -> None:
        self._names = names

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str | None:
        """All of them, as click shows choices."""
        return click.Choice(self._names()).get_metavar(param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Those that begin as what is there."""
        return click.Choice(self._names()).shell_complete(ctx, param, incomplete)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse what is none."""
        return str(click.Choice(self._names()).convert(value, param, ctx))


class CommandWithList(Command):
    """A command whose help ends with a list that is made when the help is asked for.

    Args:
        title: Of the list.
        rows: Makes it: terms with what they mean.
    """

    def __init__(
        self, *args: Any, title: str, rows: Callable[[], Sequence[tuple[str, str]]], **settings: Any
    ) -> None:
        super().__init__(*args, **settings)
        self._title, self._rows = title, rows

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list, and what stands behind it."""
        with formatter.section(self._title):
            formatter.write_dl(self._rows())
        super().format_epilog(ctx, formatter)


def scoring_names() -> tuple[str, ...]:
    """All heads as "NAME:DIMENSION"."""
    from zeroiqa.heads.registry import head_names

    return head_names()


def trainable_names() -> tuple[str, ...]:
    """The heads that can be trained here."""
    from zeroiqa.heads.registry import HEADS

    return tuple(key for key, entry in HEADS.entries() if entry.training)


def stage_names() -> tuple[str, ...]:
    """The stages of all heads, each once."""
    return tuple(dict.fromkeys(row[0].split()[-1] for row in stage_rows()))


def dimension_rows() -> list[tuple[str, str]]:
    """What each head says about images."""
    from zeroiqa.heads.registry import HEADS

    return [
        (f"{key}:{each.name}", f"{entry.title}: {each.help}")
        for key, entry in HEADS.entries()
        for each in entry.dimensions
    ]


def stage_rows() -> list[tuple[str, str]]:
    """What each stage of each head learns."""
    from zeroiqa.heads.registry import HEADS

    return [
        (f"{key} --stage {stage}", what)
        for key, entry in HEADS.entries()
        if entry.training
        for stage, what in entry.training.stages.items()
    ]
