"""The choice of who does the work of a run: this process, worker processes, or actors of a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import joblib

from zeroiqa.errors import UserError
from zeroiqa.raters import find_rater
from zeroiqa.runs.executors.local import LocalExecutor
from zeroiqa.runs.executors.placement import usable_gpus, uses_models
from zeroiqa.runs.executors.ray import RayExecutor, check_installed

if TYPE_CHECKING:
    from zeroiqa.runs.run import Run
    from zeroiqa.settings import Settings

_IMAGES_EACH = 64
"""Images that are worth starting one more process for."""


class Executor(Protocol):
    """Does the work of a run, and changes no result; see `LocalExecutor` and `RayExecutor`."""

    @property
    def description(self) -> str:
        """For people: "1 process"."""

    def execute(self, run: Run, shards: Sequence[int], *, on_images: Callable[[int], None]) -> Iterator[int]:
        """Do what is missing of the shards; yield the number of each one when all of it is committed.

        Args:
            run: The run.
            shards: Numbers in the plan, usually `pending(run)`.
            on_images: Told how many more images are done, once in each pass.

        Raises:
            UserError: the run cannot go on; what is committed stays.
        """


class ChoiceError(UserError):
    """A choice of the executor contradicts another one or is none; the command line calls it wrong usage."""


@dataclass(frozen=True)
class ExecutorChoice:
    """Who shall do the work, as users say it."""

    workers: int | str = "auto"
    """Processes on this machine: a number from 1 on, or auto; see `worker_count`."""
    ray: str | None = None
    """Address of a Ray cluster, or auto; None: this machine does the work."""
    gpus: int | None = None
    """Actors of the cluster, each with one GPU; None: one actor for each CPU."""

    def executor(self, images: int, settings: Settings) -> Executor:
        """Choose the executor.

        Args:
            images: How many there are; few are not worth many processes.
            settings: What needs GPUs, and which.

        Raises:
            ChoiceError: the choices contradict each other, or one is none.
            UserError: Ray is not installed.
        """
        if self.gpus is not None and self.gpus < 1:
            raise ChoiceError(f"--gpus is {self.gpus}; give a number from 1 on.")
        one_gpu = settings.device.startswith("cuda:")
        if self.ray is not None:
            if self.workers != "auto":
                raise ChoiceError("--workers is for this machine and --ray for a cluster; give one of them.")
            if one_gpu:
                raise ChoiceError(
                    f"--device {settings.device} is one GPU, but Ray gives each actor its own; leave it out."
                )
            check_installed()
            return RayExecutor(self.ray, self.gpus)
        if self.gpus is not None:
            raise ChoiceError("--gpus is for --ray; on this machine give --workers, one for each GPU.")
        count = worker_count(self.workers, images, settings)
        if count > 1 and one_gpu:
            raise ChoiceError(
                f"--device {settings.device} is one GPU, but each of {count} workers gets its own; leave "
                f"--device out, or set CUDA_VISIBLE_DEVICES to the GPUs to be used."
            )
        return LocalExecutor(count)


def worker_count(workers: int | str, images: int, settings: Settings) -> int:
    """How many processes a choice of workers means.

    Auto: one for each GPU where models are loaded, else one for each core; no more than the images can keep
    busy. A server that is asked is kept busy by one process, and more would break its limit.

    Args:
        workers: A number from 1 on, also as text, or auto.
        images: How many there are.
        settings: What needs GPUs or servers.

    Raises:
        ChoiceError: it is neither.
    """
    if workers == "auto":
        if any(find_rater(name).is_server for name in settings.raters):
            return 1
        if uses_models(settings):
            return max(1, min(len(usable_gpus(settings)), images // _IMAGES_EACH))
        return max(1, min(int(joblib.cpu_count()), images // _IMAGES_EACH))
    text = str(workers)
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise ChoiceError(f"Invalid value for --workers: {workers!r} is neither a number from 1 on nor auto.")
