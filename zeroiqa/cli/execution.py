"""The options on who does the work of a run: this process, worker processes, or a Ray cluster."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from zeroiqa.cli.options import Command, with_options
from zeroiqa.guards.budget import IMAGE_SECONDS

if TYPE_CHECKING:
    from zeroiqa.runs.executors.choice import Executor, ExecutorChoice
    from zeroiqa.settings import Settings


def chosen_executor(choice: ExecutorChoice, images: int, settings: Settings) -> Executor:
    """The executor of the choice.

    Raises:
        click.UsageError: the options contradict each other, or one is none.
        UserError: Ray is not installed.
    """
    from zeroiqa.runs.executors.choice import ChoiceError

    try:
        return choice.executor(images, settings)
    except ChoiceError as error:
        raise click.UsageError(str(error)) from error


class _Seconds(click.ParamType[float]):
    """More than 0."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> float:
        try:
            seconds = float(value)
        except ValueError:
            seconds = 0.0
        if not seconds > 0:
            self.fail(f"{value!r} is not a number of seconds above 0, nor inf.", param, context)
        return seconds


def execution_options(command: Command) -> Command:
    """Who does the work; the command gets an `ExecutorChoice` as `choice`, and `image_seconds`."""

    @wraps(command)
    def bundled(*arguments: Any, workers: str, ray: str | None, gpus: int | None, **options: Any) -> Any:
        from zeroiqa.runs.executors.choice import ExecutorChoice

        return command(*arguments, choice=ExecutorChoice(workers, ray, gpus), **options)

    wrapped: Any = bundled
    decorated: Command = with_options(
        wrapped,
        click.option(
            "--workers",
            default="auto",
            show_default=True,
            help="Processes on this machine: a number, or auto (one for each GPU with models, else one "
            "for each core).",
        ),
        click.option(
            "--ray",
            metavar="auto|ADDRESS",
            help="Work on a Ray cluster: the one at this address, or auto (the one that runs here, else "
            "one is started). Its nodes must see the images, the run folder and the current folder under "
            "the same paths.",
        ),
        click.option(
            "--gpus",
            type=click.IntRange(min=1),
            help="With --ray: actors that each have one GPU; without, one actor for each CPU.",
        ),
        click.option(
            "--image-seconds",
            type=_Seconds(),
            default=IMAGE_SECONDS,
            help="How long reading and decoding one image may take; then it is an error. Models take their "
            "time. `inf` waits for ever.  [default: 60]",
        ),
    )
    return decorated


ignore_times_option = click.option(
    "--ignore-times",
    is_flag=True,
    help="Take images of the planned size though their files were written again since: copied, or touched.",
)
