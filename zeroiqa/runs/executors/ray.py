"""Run shards on a Ray cluster: actors hold the models and commit the parts themselves."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import gettempdir
from typing import Any
from urllib.parse import urlsplit

from zeroiqa.errors import UserError
from zeroiqa.runs.executors.attempts import Task
from zeroiqa.runs.executors.local import in_passes
from zeroiqa.runs.executors.worker import Outcome, Worker
from zeroiqa.runs.executors.workers import run_pass
from zeroiqa.runs.passes import open_passes
from zeroiqa.runs.run import Run

_LOG = logging.getLogger(__name__)
_LOOK_SECONDS = 1.0
"""Between two looks for nodes that have joined."""
_KNOCK_SECONDS = 10.0
_PATIENCE_SECONDS = 60.0
"""Without any living actor, until that is said."""
_STORE_BYTES = 100 * 2**20
"""Object store of a cluster of our own: shard numbers go through it, pixels never do."""


def check_installed() -> None:
    """Raise `UserError` if Ray is not installed."""
    if find_spec("ray") is None:
        raise UserError("Ray is not installed, which --ray needs: pip install 'zeroiqa[ray]'.")


@dataclass(frozen=True)
class RayExecutor:
    """An `Executor` of actors on a Ray cluster."""

    address: str
    """Of the cluster; "auto" is the one of this machine (RAY_ADDRESS), else a new one."""
    gpus: int | None = None
    """Actors, which have a GPU each; None: an actor without one for each CPU."""

    @property
    def description(self) -> str:
        """For people."""
        gpus = f", {self.gpus} GPUs" if self.gpus else ""
        return f"actors of the Ray cluster {self.address}{gpus}"

    def execute(self, run: Run, shards: Sequence[int], *, on_images: Callable[[int], None]) -> Iterator[int]:
        """Do what is missing of the shards; yield the number of each one when all of it is committed.

        Nodes may come and go: actors are added as long as there is room for them, and one that is lost costs
        the shard that it was at, which is given to another one; see `Attempts`. The parts are the only state,
        so that this process may die, too: its actors end, and the next one goes on.

        Args:
            run: The run, in a folder that all nodes see under the same path, as they do the images.
            shards: Numbers in the plan, usually `pending(run)`.
            on_images: Told how many more images are done, once in each pass, shard by shard.

        Raises:
            UserError: the run cannot go on, or the cluster cannot be used; what is committed stays.
        """
        passes = open_passes(run, shards)
        if not passes:
            yield from shards
            return
        most = max(len(each.shards) for each in passes)
        with _cluster(self.address) as ray, closing(_Actors(ray, run, self.gpus, most)) as workers:
            yield from in_passes(shards, passes, lambda each: run_pass(run, each, workers, on_images))


class _Actor:
    """A `Worker` on a node of the cluster. It has no constructor, whose arguments Ray loses with a node."""

    _worker: Worker

    def greet(self, run: Run, folder: Path, gpu: bool) -> Outcome:
        """Make ready, at the start and after each restart."""
        from zeroiqa.images.opencv import cv2

        if not gpu:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""  # all actors of a node would take the same one
        cv2.setNumThreads(1)
        try:
            os.chdir(folder)
        except OSError as error:
            return Outcome(
                error=f"A node of the cluster does not see the current folder {folder} "
                f"({error.strerror}); start from a folder that all nodes share."
            )
        self._worker = Worker(run)
        return Outcome()

    def do(self, run: Run, folder: Path, gpu: bool, raters: tuple[str, ...], task: Task) -> Outcome:
        """Do a task; an actor that died while it was idle is a new one, and nobody knows."""
        if not hasattr(self, "_worker"):
            outcome = self.greet(run, folder, gpu)
            if outcome.error is not None:
                return outcome
        return self._worker.do(raters, task)


class _Actors:
    """`Workers` that are actors. Each is greeted when it starts or starts again; one that answers is idle."""

    def __init__(self, ray: Any, run: Run, gpus: int | None, most: int) -> None:
        if gpus is not None and not ray.cluster_resources().get("GPU"):
            raise UserError(
                f"The Ray cluster has no GPU, and --gpus {gpus} asks for some; leave it out to use the CPUs."
            )
        needs = {"num_cpus": 1} if gpus is None else {"num_gpus": 1}
        self._ray, self._gpus, self._most = ray, gpus, most
        self._actor = ray.remote(_Actor).options(**needs, max_restarts=-1, max_task_retries=0)
        self._greeting = (ray.put(run), Path.cwd(), gpus is not None)
        self._all: list[Any] = []
        self._idle: list[Any] = []
        self._answers: dict[Any, tuple[Any, Task | None]] = {}
        self._looked = -_LOOK_SECONDS
        self._living = time.monotonic()
        self._grow()

    @property
    def idle(self) -> int:
        return len(self._idle)

    @property
    def busy(self) -> int:
        return sum(task is not None for _, task in self._answers.values())

    def start(self, raters: tuple[str, ...], task: Task) -> None:
        actor = self._idle.pop(0)
        self._answers[actor.do.remote(*self._greeting, raters, task)] = (actor, task)

    def wait(self) -> list[tuple[Task, Outcome | None]]:
        happened = []
        ready, _ = self._ray.wait(list(self._answers), num_returns=1, timeout=_LOOK_SECONDS)
        for answer in ready:
            actor, task = self._answers.pop(answer)
            outcome = self._outcome(answer)
            if task is not None:
                happened.append((task, outcome))
            elif outcome is not None and outcome.error is not None:
                raise UserError(outcome.error)
            if outcome is not None:
                self._idle.append(actor)
            elif task is not None:
                self._greet(actor)
            else:
                self._all.remove(actor)
        self._grow()
        return happened

    def _outcome(self, answer: Any) -> Outcome | None:
        errors = self._ray.exceptions
        try:
            outcome: Outcome = self._ray.get(answer)
        except errors.RayTaskError:
            raise  # a fault of ours
        except errors.RayError as error:
            if getattr(error, "actor_init_failed", False):
                reason = str(error).strip().splitlines()[-1]
                raise UserError(
                    f"An actor cannot start on the Ray cluster ({reason}); all nodes need the same zeroiqa."
                ) from error
            return None
        return outcome

    def _grow(self) -> None:
        """Ask for one more actor for whatever has joined; what there is no room for waits."""
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        room = self._gpus or int(self._ray.cluster_resources().get("CPU", 0))
        while len(self._all) < min(room, self._most):
            actor = self._actor.remote()
            self._all.append(actor)
            self._greet(actor)
        if self.idle or self.busy:
            self._living = now
        elif now - self._living > _PATIENCE_SECONDS:
            self._living = now
            _LOG.warning("the Ray cluster has had no room for an actor for a minute; waiting for nodes.")

    def _greet(self, actor: Any) -> None:
        self._answers[actor.greet.options(max_task_retries=-1).remote(*self._greeting)] = (actor, None)

    def close(self) -> None:
        """End the actors: what they have not committed is not wanted any more."""
        for actor in self._all:
            self._ray.kill(actor)


@contextmanager
def _cluster(address: str) -> Iterator[Any]:
    """Yield Ray, connected; a connection that was there before is used, and stays."""
    check_installed()
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".*")  # or it prints about killed actors to stdout
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray: Any = import_module("ray")
    if ray.is_initialized():
        yield ray
        return
    _connect(ray, address)
    try:
        yield ray
    finally:
        ray.shutdown()


def _connect(ray: Any, address: str) -> None:
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS") or _noted() or "local"
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == "local":
        ray.init(address=address, include_dashboard=False, object_store_memory=_STORE_BYTES, **quiet)
        return
    try:
        _knock(address)
        ray.init(address=address, **quiet)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise UserError(
            f"The Ray cluster at {address} cannot be reached ({reason}); check the address, which looks like "
            "HOST:6379, or let --ray auto find or start a cluster."
        ) from error


def _noted() -> str | None:
    """The address of the cluster that was started here last (`ray start` notes it), if it still answers."""
    file = Path(os.environ.get("RAY_TMPDIR") or gettempdir(), "ray", "ray_current_cluster")
    try:
        address = file.read_text(encoding="utf-8").strip()
        _knock(address)
    except (OSError, ValueError):
        return None
    return address


def _knock(address: str) -> None:
    """Raise `OSError` or `ValueError` where nobody answers; Ray itself would wait for minutes."""
    parts = urlsplit(address if "://" in address else f"//{address}")
    if not parts.hostname or parts.port is None:
        raise ValueError("it is not of the form HOST:PORT")
    socket.create_connection((parts.hostname, parts.port), timeout=_KNOCK_SECONDS).close()
