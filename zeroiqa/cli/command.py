"""What all commands have in common: help in groups that ends with examples, and one way to be corrected."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from typing import Any

import click
import cloup

from zeroiqa.cli.completion import completed
from zeroiqa.cli.groups import grouped
from zeroiqa.cli.messages import quiet
from zeroiqa.cli.wrapping import Context
from zeroiqa.suggestions import did_you_mean, did_you_mean_path

_LONG = 160
"""Characters of a line that is still shown whole: `zeroiqa *.jpg` may name thousands of files."""


class Command(cloup.Command):
    """A command whose options stand in groups (`zeroiqa.cli.groups`) and whose help ends with examples.

    Args:
        *arguments: See `cloup.Command`.
        examples: Command lines without `zeroiqa`, each with what it does.
        params: Options and arguments.
        **settings: See `cloup.Command`.
    """

    context_class = Context

    def __init__(
        self,
        *arguments: Any,
        examples: Sequence[tuple[str, str]] = (),
        params: Sequence[click.Parameter] | None = None,
        **settings: Any,
    ) -> None:
        own: list[click.Parameter] = [*(params or ()), quiet()]
        super().__init__(*arguments, params=grouped(own), **settings)
        completed(self.name or "", self.params)
        self.examples = examples

    def get_short_help_str(self, limit: int = 0) -> str:  # never cut: the list wraps it
        """The whole first sentence of the help."""
        return _first_sentence(self)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, and what stands behind them."""
        if self.examples:
            with formatter.section("Examples"):
                for line, what in self.examples:
                    formatter.write(f"  zeroiqa {line}\n")
                    with formatter.indentation():
                        formatter.write_text(what)
        super().format_epilog(ctx, formatter)


class Group(cloup.Group):
    """A group that lists its commands in the order of use."""

    command_class = Command
    context_class = Context

    def get_short_help_str(self, limit: int = 0) -> str:
        """The whole first sentence of the help."""
        return _first_sentence(self)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Tell an option of a command that stands before the command."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            having = [name for name, each in self.commands.items() if _has_option(each, error.option_name)]
            if having:
                raise click.UsageError(
                    f"{error.option_name} is an option of commands; write it behind one, such as "
                    f"`{ctx.command_path} {having[0]} {error.option_name} ...`.",
                    ctx,
                ) from error
            raise

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is named first; where it is none, say what may be meant."""
        if args[0] in self.commands:
            return super().resolve_command(ctx, args)
        among = did_you_mean(args[0], self.commands) or f"the commands are {', '.join(self.commands)}."
        meant = (_images_meant(ctx, args) if ctx.parent is None else "") or f"; {among.strip()}"
        raise click.UsageError(f"{args[0] or shlex.quote('')} is no command{meant}", ctx)

    def invoke(self, ctx: click.Context) -> Any:
        """Where a command is misused and a folder is called like it, say how the folder is scored."""
        try:
            return super().invoke(ctx)
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            name = ctx.invoked_subcommand
            refused = isinstance(error, click.BadParameter) and not isinstance(error, click.MissingParameter)
            if refused or ctx.parent is not None or name is None or not os.path.isdir(name):  # noqa: PTH112
                raise
            raise click.UsageError(
                f"{error.format_message()} `{ctx.command_path} score ./{name}` scores the folder {name}.",
                error.ctx,
            ) from error


def command(name: str | None = None, **settings: Any) -> Callable[[Callable[..., Any]], Command]:
    """Make a function a `Command`, as `click.command` does."""
    return click.command(name, **{"cls": Command, **settings})


def group(name: str | None = None, **settings: Any) -> Callable[[Callable[..., Any]], Group]:
    """Make a function a `Group`, as `click.group` does."""
    return click.group(name, cls=Group, **settings)


def _first_sentence(command: click.Command) -> str:
    paragraph = " ".join((command.help or "").partition("\n\n")[0].split())
    return paragraph.partition(". ")[0].removesuffix(".")


def _has_option(command: click.Command, option: str) -> bool:
    return any(option in (*param.opts, *param.secondary_opts) for param in command.params)


def _images_meant(ctx: click.Context, words: Sequence[str]) -> str:
    """How words in the place of a command are scored, or that no such file is there; else empty."""
    name = words[0]
    if _leads_to_images(name):
        line = shlex.join([ctx.command_path, "score", *words])
        if len(line) > _LONG:
            line = f"{shlex.join([ctx.command_path, 'score', name])} ..."
        return f"; `{line}` scores it."
    if "/" in name or os.sep in name or os.path.splitext(name)[1]:  # noqa: PTH122
        near = did_you_mean_path(name) or f" `{ctx.command_path} score PATHS` scores images."
        return f", and no file or folder is called that.{near}"
    return ""


def _leads_to_images(word: str) -> bool:
    """Whether a word is a path, a pattern, an address or standard input: what `zeroiqa score` takes."""
    return word == "-" or os.path.lexists(word) or any(sign in word for sign in "*?[") or "://" in word
