"""The command line: registers the commands, each in its own file, and turns errors into exit codes."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

import click
from cloup import Section

from zeroiqa.cli.choices import choices_meant
from zeroiqa.cli.command import group
from zeroiqa.cli.commands.ablate import ablate
from zeroiqa.cli.commands.baselines import baselines
from zeroiqa.cli.commands.bench import bench
from zeroiqa.cli.commands.calibrate import calibrate
from zeroiqa.cli.commands.compare import compare
from zeroiqa.cli.commands.completion import completion
from zeroiqa.cli.commands.datasets import datasets
from zeroiqa.cli.commands.diff import diff
from zeroiqa.cli.commands.evaluate import evaluate
from zeroiqa.cli.commands.explain import explain
from zeroiqa.cli.commands.export import export
from zeroiqa.cli.commands.head import head
from zeroiqa.cli.commands.merge import merge
from zeroiqa.cli.commands.models import models
from zeroiqa.cli.commands.report import report
from zeroiqa.cli.commands.rescore import rescore
from zeroiqa.cli.commands.score import score
from zeroiqa.cli.commands.segment import segment
from zeroiqa.cli.commands.select import select
from zeroiqa.cli.commands.standards import standards
from zeroiqa.cli.commands.status import status
from zeroiqa.cli.commands.upper_bound import upper_bound
from zeroiqa.cli.commands.verify import verify
from zeroiqa.cli.completion import VARIABLE, complete
from zeroiqa.cli.doubled import doubled
from zeroiqa.cli.messages import say, warnings_printed
from zeroiqa.cli.options import spread_aspects
from zeroiqa.errors import UnknownNameError, UserError
from zeroiqa.guards import console
from zeroiqa.guards.budget import leave
from zeroiqa.version import __version__

PROGRAM = "zeroiqa"


@group(
    sections=[
        Section("Score images", [score, segment]),
        Section("See and choose", [report, explain, select, export]),
        Section("Work on a run", [status, rescore, merge, verify, diff]),
        Section("Agreement with people", [evaluate, compare, calibrate, ablate, upper_bound]),
        Section("What there is", [models, standards, baselines, datasets, head, bench, completion]),
    ],
    epilog="A folder that is called like a command is written ./report. Exit codes: 0 done (broken images "
    "are rows with an error), 1 an error said in one sentence, 2 wrong usage, 130 interrupted.",
)
@click.version_option(__version__, prog_name=PROGRAM)
def cli() -> None:
    """Judge the quality of images without a reference and without training: `zeroiqa score photos`."""


@contextmanager
def _guessed() -> Iterator[None]:
    """What a name means that is refused inside the block; who is called what is looked up only then."""
    try:
        yield
    except UnknownNameError:
        from zeroiqa.guesses import guessed

        with guessed():
            raise
    except click.BadParameter as error:
        raise click.BadParameter(choices_meant(error), error.ctx, error.param, error.param_hint) from error


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit.

    Args:
        arguments: In place of the process's own.
    """
    if arguments is None:
        console.take_over()
        console.begin()
    if VARIABLE in os.environ:
        sys.exit(complete(cli, PROGRAM))
    try:
        with warnings_printed(), _guessed():
            given = spread_aspects(sys.argv[1:] if arguments is None else arguments)
            for remark in doubled(cli, given):
                say(remark, err=True)
            code = cli.main(args=given, prog_name=PROGRAM, standalone_mode=False)
    except UserError as error:
        say(f"Error: {error}", err=True)
        code = 1
    except click.ClickException as error:
        text = io.StringIO()
        error.show(text)
        say(text.getvalue().rstrip("\n"), err=True)
        code = error.exit_code
    except OSError as error:
        say(f"Error: {error}.", err=True)
        code = 1
    except (KeyboardInterrupt, click.Abort):
        say("Interrupted.", err=True)
        code = console.INTERRUPTED
    code = console.finish(code if isinstance(code, int) else 0)
    if arguments is None:
        leave(code)
    sys.exit(code)
