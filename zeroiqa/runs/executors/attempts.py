"""What becomes of a shard whose worker was killed: it is tried again, then searched for images that kill.

A worker that reads or decodes an image for too long ends itself, which is the same: the next one finds that
image, since it has a child decode. So only what kills by being segmented or rated has to be searched for.

Bookkeeping without processes, the same for all executors that have workers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from zeroiqa.errors import UserError
from zeroiqa.guards.child import KILLS, killer

_IN_A_ROW = 6
"""Workers that may be killed in a row before a plain picture has to show that one can live at all."""
_SEARCHES = 3
"""Searches of one shard that may find nobody to blame."""


@dataclass(frozen=True)
class Task:
    """What one worker is asked to do."""

    shard: int | None
    """None: to put a plain picture through everything, which loads all weights."""
    images: tuple[int, ...] | None = None
    """Numbers of images to try and to keep nothing of; None: the whole shard, to be committed."""
    skip: Mapping[int, str] = field(default_factory=dict)
    """Images that nobody shall touch, with the error of their rows."""
    deaths: int = 0
    """Workers that were killed by it."""

    @property
    def careful(self) -> bool:
        """Whether a worker has died of the shard: then a child decodes, which costs one image if it dies."""
        return self.deaths > 0 or self.images is not None or bool(self.skip)


@dataclass
class _Search:
    """One shard that has killed its workers."""

    skip: dict[int, str] = field(default_factory=dict)
    trials: int = 0
    """Tasks that are waiting or in work."""
    found: bool = False
    fruitless: int = 0
    """Earlier searches that found nobody to blame."""


class Attempts:
    """The tasks of some shards, in the order in which workers get them.

    A killed worker costs its own task only, which comes again when the others are done. A shard that has
    killed `KILLS` workers is halved until the images are found that kill alone, `KILLS` times; then it is
    done without them. When worker after worker is killed, a plain picture tells whether images are to blame.

    Args:
        shards: Their numbers.
        images_of: From a shard's number to its images: their numbers and, for messages, their names.
    """

    def __init__(self, shards: Iterable[int], images_of: Callable[[int], Mapping[int, str]]) -> None:
        self._left = dict.fromkeys(shards)
        self._fresh = iter(tuple(self._left))
        self._again: deque[Task] = deque()
        self._searches: dict[int, _Search] = {}
        self._images_of = images_of
        self._in_a_row = 0
        self._plain: Task | None = None
        self._plain_waits = False

    @property
    def left(self) -> int:
        """Shards that are not finished."""
        return len(self._left)

    def next(self) -> Task | None:
        """The task for a worker that is free; None while all that are left are in work."""
        if self._plain_waits:
            self._plain_waits = False
            return self._plain
        shard = next(self._fresh, None)
        if shard is not None:
            return Task(shard)
        return self._again.popleft() if self._again else None

    def finished(self, task: Task) -> int | None:
        """A worker has done a task; the shard's number if it is finished by that."""
        self._in_a_row = 0
        if task.shard is None:
            self._plain = None
        elif task.images is not None:
            self._tried(task.shard)
        else:
            self._left.pop(task.shard, None)
            self._searches.pop(task.shard, None)
            return task.shard
        return None

    def died(self, task: Task) -> None:
        """The worker that was at a task was killed.

        Raises:
            UserError: the work cannot go on.
        """
        self._in_a_row += 1
        again = replace(task, deaths=task.deaths + 1)
        if task.shard is None:
            if again.deaths == KILLS:
                raise UserError(self._hopeless())
            self._ask_for_plain(again)
        elif task.images is not None and len(task.images) > 1:
            self._halve(task.shard, task.images)
            self._tried(task.shard)
        elif again.deaths < KILLS:
            self._again.append(again)
        elif task.images is None:
            self._search(task.shard)
        else:
            self._blame(task.shard, task.images[0])
            self._tried(task.shard)
        if self._in_a_row >= _IN_A_ROW and self._plain is None:
            self._ask_for_plain(Task(None))

    def _ask_for_plain(self, task: Task) -> None:
        self._plain, self._plain_waits = task, True

    def _search(self, shard: int) -> None:
        search = self._searches.setdefault(shard, _Search())
        search.found = False
        images = tuple(image for image in self._images_of(shard) if image not in search.skip)
        if len(images) == 1:
            self._blame(shard, images[0])
        elif images:
            self._halve(shard, images)
        if not search.trials:
            self._searched(shard)

    def _halve(self, shard: int, images: tuple[int, ...]) -> None:
        half = len(images) // 2
        self._again.extend((Task(shard, images[:half]), Task(shard, images[half:])))
        self._searches[shard].trials += 2

    def _blame(self, shard: int, image: int) -> None:
        self._searches[shard].found = True
        self._searches[shard].skip[image] = killer(self._images_of(shard)[image])

    def _tried(self, shard: int) -> None:
        self._searches[shard].trials -= 1
        if self._searches[shard].trials == 0:
            self._searched(shard)

    def _searched(self, shard: int) -> None:
        search = self._searches[shard]
        search.fruitless = 0 if search.found else search.fruitless + 1
        if search.fruitless == _SEARCHES:
            raise UserError(
                f"Shard {shard} killed its worker {KILLS * _SEARCHES} times, and none of its images does so "
                "alone, so memory may be short; run the same command again with fewer workers."
            )
        self._again.append(Task(shard, skip=dict(search.skip)))

    def _hopeless(self) -> str:
        named = ", ".join(map(str, list(self._left)[:5])) + (", ..." if self.left > 5 else "")
        return (
            f"Worker processes were killed {self._in_a_row} times in a row, even by a plain picture, perhaps "
            f"for want of memory; {self.left} shards are left ({named}). Run the same command again with "
            "fewer workers."
        )
