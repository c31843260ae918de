"""Where the work is done: in this process, in worker processes, or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Protocol

import click

from zeroiqa.cli.options import Command, with_options
from zeroiqa.guards.budget import IMAGE_SECONDS

if TYPE_CHECKING:
    from zeroiqa.runs import Run
    from zeroiqa.settings import Settings

_IMAGES_EACH = 64
"""Images that are worth starting one more process for."""


class Execute(Protocol):
    """Has what is missing of the shards done; see `zeroiqa.runs.executors.local.execute`."""

    def __call__(self, run: Run, shards: Sequence[int], *, on_images: Callable[[int], None]) -> Iterator[int]:
        """Yield the number of each shard when all of it is committed."""


@dataclass(frozen=True)
class Executor:
    """Who does the work."""

    execute: Execute
    description: str
    """For people: "1 process"."""


@dataclass(frozen=True)
class Execution:
    """What the command line says about where the work is done."""

    workers: str = "auto"
    ray: str | None = None
    gpus: int | None = None
    image_seconds: float = IMAGE_SECONDS

    def executor(self, images: int, settings: Settings) -> Executor:
        """Choose an executor.

        Args:
            images: How many there are; few are not worth many processes.
            settings: What needs GPUs, and which.

        Raises:
            click.UsageError: the options contradict each other.
            UserError: Ray is not installed.
        """
        if self.ray is not None:
            return self._on_ray(self.ray, settings)
        if self.gpus is not None:
            raise click.UsageError("--gpus is for --ray; on this machine give --workers, one for each GPU.")
        from zeroiqa.runs.executors import local

        count = worker_count(self.workers, images, settings)
        if count > 1 and settings.device.startswith("cuda:"):
            raise click.UsageError(
                f"--device {settings.device} is one GPU, but each of {count} workers gets its own; leave "
                f"--device out, or set CUDA_VISIBLE_DEVICES to the GPUs to be used."
            )
        execute = _within(self.image_seconds, partial(local.execute, workers=count))
        return Executor(execute, f"{count} process{'es' if count > 1 else ''}")

    def _on_ray(self, address: str, settings: Settings) -> Executor:
        if self.workers != "auto":
            raise click.UsageError("--workers is for this machine and --ray for a cluster; give one of them.")
        if settings.device.startswith("cuda:"):
            raise click.UsageError(
                f"--device {settings.device} is one GPU, but Ray gives each actor its own; leave it out."
            )
        from zeroiqa.runs.executors import ray

        ray.check_installed()
        return Executor(
            _within(self.image_seconds, partial(ray.execute, address=address, gpus=self.gpus)),
            f"actors of the Ray cluster {address}" + (f", {self.gpus} GPUs" if self.gpus else ""),
        )


def _within(image_seconds: float, execute: Execute) -> Execute:
    """The same for runs of which each image has that time to be read and decoded."""

    def executed(run: Run, shards: Sequence[int], *, on_images: Callable[[int], None]) -> Iterator[int]:
        return execute(replace(run, image_seconds=image_seconds), shards, on_images=on_images)

    return executed


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
    """Where the work is done; the command gets an `Execution` as `execution`."""

    @wraps(command)
    def bundled(
        *arguments: Any, workers: str, ray: str | None, gpus: int | None, image_seconds: float, **options: Any
    ) -> Any:
        return command(*arguments, execution=Execution(workers, ray, gpus, image_seconds), **options)

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
            show_default=f"{IMAGE_SECONDS:g}",
            help="How long reading and decoding one image may take; then it is an error. Models take their "
            "time. `inf` waits for ever.",
        ),
    )
    return decorated


ignore_times_option = click.option(
    "--ignore-times",
    is_flag=True,
    help="Take images of the planned size though their files were written again since: copied, or touched.",
)


def worker_count(workers: str, images: int, settings: Settings) -> int:
    """How many processes `--workers` asks for.

    Auto: one for each GPU where models are loaded, else one for each core; no more than the images can keep
    busy. A server that is asked is kept busy by one process, and more would break its limit.

    Raises:
        click.BadParameter: it is no number.
    """
    if workers == "auto":
        from zeroiqa.raters import find_rater
        from zeroiqa.runs.executors.places import usable_gpus, uses_models

        if any(find_rater(name).is_server for name in settings.raters):
            return 1
        if uses_models(settings):
            return max(1, min(len(usable_gpus(settings)), images // _IMAGES_EACH))
        import joblib

        return max(1, min(int(joblib.cpu_count()), images // _IMAGES_EACH))
    if workers.isdecimal() and int(workers) > 0:
        return int(workers)
    raise click.BadParameter(f"{workers!r} is neither a number from 1 on nor auto.", param_hint="--workers")
