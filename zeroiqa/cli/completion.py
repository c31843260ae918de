"""What a shell completes: values of options and arguments by what they are, and paths as files.

click's own protocol does the rest: the shell runs the program with `_ZEROIQA_COMPLETE` set.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from contextlib import redirect_stderr
from typing import Any

import click
from click.shell_completion import CompletionItem, get_completion_class, shell_complete

from zeroiqa.files.storage import location

VARIABLE = "_ZEROIQA_COMPLETE"
SHELLS = ("bash", "zsh", "fish")

_KINDS = {
    "--rater": ("rater", "model"),
    "--baseline": ("baseline",),
    "--preset": ("preset",),
    "--standard": ("standard",),
    "--segmenter": ("segmenter",),
    "--granularity": ("granularity",),
    "--dataset": ("database",),
    "check NAME": ("model",),
    "pull NAME": ("model",),
    "standards NAME": ("standard",),
    "baselines NAME": ("baseline",),
    "datasets NAME": ("database",),
}
"""Option, or argument of a command -> the kinds of `zeroiqa.guesses` that it takes."""
_WORDS = {
    "--aspect": ("quality", "authenticity", "correspondence"),
    "--device": ("auto", "cpu", "cuda", "mps"),
    "--workers": ("auto",),
}


class Named(click.types.StringParamType):
    """A text, of which a shell is told the known ones; with a slash or a dot in it, it is a file."""

    def __init__(self, option: str) -> None:
        self._option = option

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The known names that begin as what is there; where none does, files."""
        begun = incomplete.lower()
        found = [CompletionItem(name) for name in _names(self._option) if name.lower().startswith(begun)]
        return found or [CompletionItem(incomplete, type="file")]


class PathLike(click.types.StringParamType):
    """A text that is a path, a pattern or an address; a shell completes files."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Whatever files there are."""
        return [CompletionItem(incomplete, type="file")]


class Located(click.ParamType[Any]):
    """A type whose values are made of paths; a shell completes files.

    Args:
        made: The type.
    """

    def __init__(self, made: click.ParamType[Any]) -> None:
        self.name, self._made = made.name, made

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As the type does it."""
        return self._made.convert(value, param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Whatever files there are."""
        return [CompletionItem(incomplete, type="file")]


def completed(command: str, params: Iterable[click.Parameter]) -> None:
    """Let the parameters of a command know what a shell completes, where their types do not."""
    for param in params:
        key = param.opts[0] if isinstance(param, click.Option) else f"{command} {str(param.name).upper()}"
        if isinstance(param.type, click.types.FuncParamType) and param.type.func is location:
            param.type = Located(param.type)
        elif type(param.type) is not click.types.StringParamType:
            continue
        elif key in _KINDS or key in _WORDS:
            param.type = Named(key)
        elif isinstance(param, click.Argument):
            param.type = PathLike()


def complete(command: click.Command, program: str) -> int:
    """Answer a shell that asks, and say nothing else, whatever the environment holds.

    Returns:
        The exit code.
    """
    try:
        with redirect_stderr(io.StringIO()):
            return shell_complete(command, {}, program, VARIABLE, os.environ[VARIABLE])
    except Exception:  # a word that is no number, a variable that is missing: no shell reads why
        return 1


def script(shell: str, program: str) -> str:
    """What a shell reads once to complete the program's words."""
    found = get_completion_class(shell)
    assert found is not None
    return found(click.Command(program), {}, program, VARIABLE).source().rstrip()


def _names(option: str) -> Iterator[str]:
    yield from _WORDS.get(option, ())
    wanted = _KINDS.get(option, ())
    if wanted:
        from zeroiqa.guesses import KINDS

        for kind in KINDS:
            if kind.name in wanted:
                yield from kind.names()
