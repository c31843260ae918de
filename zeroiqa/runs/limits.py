"""A limit on the images that may fail: a run that goes wrong stops before it has cost much."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zeroiqa.errors import UserError
from zeroiqa.runs.events import read_events
from zeroiqa.runs.findings import find
from zeroiqa.runs.passes import rater_groups
from zeroiqa.runs.run import Run, status

if TYPE_CHECKING:
    from zeroiqa.runs.executors.choice import Executor

SHARE_OF_TIME = 0.02
"""Of the time, how much may go into looking for failures of shards that are not wholly finished."""


@dataclass(frozen=True)
class Limit:
    """How many images may fail."""

    text: str
    """As given."""
    number: float
    """Images, or a share of all."""
    is_share: bool

    def images(self, run: Run) -> int:
        """The largest number of failures that stops nothing."""
        return math.floor(self.number * run.n_images + 1e-9) if self.is_share else int(self.number)


def parse_limit(given: int | str) -> Limit:
    """A limit from a number of images from 0 on ("20"), or a percentage of the run's images ("5%").

    Raises:
        UserError: it is neither.
    """
    text = str(given).strip()
    share = text.endswith("%")
    try:
        number = float(text[:-1]) / 100 if share else int(text)
    except ValueError:
        number = -1
    if not 0 <= number < math.inf or (share and number > 1):
        raise UserError(f"{text!r} is neither a number of images from 0 on nor a percentage (5%).")
    return Limit(text, number, share)


@dataclass(frozen=True)
class LimitedExecutor:
    """Another `Executor`, stopped once more images of the run than the limit allows have an error.

    Errors of finished shards are read from their parts, so that nothing depends on where the work is done.
    Where an ensemble goes over the images several times, those of a pass are seen by the events.
    """

    executor: Executor
    limit: Limit

    @property
    def description(self) -> str:
        """That of the other one."""
        return self.executor.description

    def execute(self, run: Run, shards: Sequence[int], *, on_images: Callable[[int], None]) -> Iterator[int]:
        """Do what is missing of the shards; see `Executor.execute`.

        Raises:
            UserError: too many images have an error, or the run cannot go on; what is committed stays.
        """
        others = set(range(run.n_shards)).difference(shards)
        failures = Failures(run, self.limit, status(run, shards=others).errors)
        failures.check(failures.count)

        def watched(count: int) -> None:
            on_images(count)
            failures.look_around()

        for shard in self.executor.execute(run, shards, on_images=watched):
            failures.add(shard)
            yield shard


@dataclass
class Failures:
    """The count of the images with an error while the work goes on."""

    run: Run
    limit: Limit
    count: int
    """Images with an error in finished shards, whoever has done them."""
    _next_look: float = 0.0

    def add(self, shard: int) -> None:
        """Count the failures of one more shard that is finished."""
        self.count += len(
            {
                image
                for stage in self.run.stages
                for image in find(self.run, stage, shard, without=self.run.revisions.gone).errors
            }
        )
        self.check(self.count)

    def look_around(self) -> None:
        """Where a shard is finished only after other passes, see now and then what the events say."""
        start = time.monotonic()
        if start < self._next_look or len(rater_groups(self.run.settings.raters)) == 1:
            return
        revisions, parts = self.run.revisions, read_events(self.run.folder).parts()
        failed = {
            image
            for part, event in parts.items()
            if part.generation == revisions.generation(part.shard)
            for images in event.errors.values()
            for image in images
            if image not in revisions.gone
        }
        self.check(len(failed))
        now = time.monotonic()
        self._next_look = now + max(1.0, (now - start) / SHARE_OF_TIME)

    def check(self, failures: int) -> None:
        """Raise `UserError` if that is too many."""
        if failures > self.limit.images(self.run):
            raise UserError(
                f"{failures} of {self.run.n_images} images have an error, more than --max-failures "
                f"{self.limit.text} allows; what is finished is kept, `zeroiqa status {self.run.folder}` "
                "says what went wrong, and the same command with a larger value goes on."
            )
