"""The work on a run that is open: do what is left, yield results early, write the scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from zeroiqa.runs.healed import refuse_copies
from zeroiqa.runs.latest import all_left
from zeroiqa.runs.limits import Limit, LimitedExecutor
from zeroiqa.runs.passes import image_passes, images_left
from zeroiqa.runs.remarks import conclusion, counted, remarks
from zeroiqa.runs.run import Run, caught_up, is_current, pending, status
from zeroiqa.runs.score_files import write_scores
from zeroiqa.runs.scores import read_scores

if TYPE_CHECKING:
    from zeroiqa.aggregate import Aggregation
    from zeroiqa.results import ImageScore
    from zeroiqa.runs.executors.choice import Executor
    from zeroiqa.runs.slices import Slice


class Track(Protocol):
    """Follows the progress of some shards, for instance with a bar."""

    def __call__(
        self, total: int, done: int, passes: Sequence[int], doing: str
    ) -> AbstractContextManager[Callable[[int], None]]:
        """Enter a function that is told how many more images have finished.

        Args:
            total: Images, counted once in each pass.
            done: Of them, finished before.
            passes: Images left to do in each pass over them: an ensemble of models has a pass for each.
            doing: One word for people.
        """


def finished_shards(
    run: Run, shards: Sequence[int], executor: Executor, track: Track, doing: str = "scoring"
) -> Iterator[int]:
    """Do what is left of the shards; yield the number of each one that this finishes.

    Raises:
        UserError: the run cannot go on; what is committed stays.
    """
    wanted = set(shards)
    left = [shard for shard in pending(run) if shard in wanted]
    total, done = image_passes(run, shards)
    with track(total, done, images_left(run, shards), doing) as advance:
        yield from executor.execute(run, left, on_images=advance)


def work_on(
    run: Run,
    executor: Executor,
    track: Track,
    *,
    slice: Slice | None = None,
    limit: Limit | None = None,
    aggregation: Aggregation | None = None,
) -> Work:
    """The work that is left of a run.

    Args:
        run: From `begin_run` or `resume_run`.
        executor: Who does it.
        track: Follows the progress.
        slice: The slice of the run to do; None: all of it.
        limit: How many images may fail before the work stops; None: all of them.
        aggregation: How the results are computed; None: the run's own way.

    Raises:
        UserError: all images have been copied since they were planned.
    """
    refuse_copies(run)
    return Work(
        run, executor if limit is None else LimitedExecutor(executor, limit), track, slice, aggregation
    )


@dataclass
class Work:
    """What is to be done of a run, which may grow meanwhile, since other commands follow its folders, too."""

    run: Run
    executor: Executor
    track: Track
    slice: Slice | None = None
    """The slice of the run that is done; None: all of it."""
    aggregation: Aggregation | None = None
    """By which the results are; None: the run's own."""
    written: bool = False
    """Whether scores.csv is there, with all that the run has."""

    def __post_init__(self) -> None:
        everything = range(self.run.n_shards)
        self.shards = list(everything) if self.slice is None else self.slice.of(everything)
        self._idle = self.slice is None and not any(self.run.followed) and not pending(self.run)

    def finish(self) -> None:
        """Do what is left, and write the scores once all of the run is done.

        Raises:
            UserError: the run cannot go on; what is committed stays.
        """
        for _ in finished_shards(self.run, self.shards, self.executor, self.track):
            pass
        self._complete()

    def results(self) -> Iterator[ImageScore]:
        """Do the same; yield results in plan order, each as early as its turn comes.

        Shards may finish in any order. What others have added meanwhile comes last.

        Raises:
            UserError: as `finish`.
        """
        yield from self._in_plan_order()
        begun = self.run.n_shards
        self._complete()
        for shard in range(begun, self.run.n_shards) if self.slice is None else ():
            yield from read_scores(self.run, shard, self.aggregation)

    def conclusion(self) -> Iterator[str]:
        """What is to be said when all is done: what the ratings are like, counts, and where they are."""
        run = self.run
        if self.written:
            *sentences, last = conclusion(run, self.aggregation)
            yield from sentences
            yield f"Nothing was to do: {last}" if self._idle else last
            return
        done = status(run, shards=self.shards, aggregation=self.aggregation)
        yield from remarks(run, self.aggregation, state=done)
        yield (
            f"Slice {self.slice} is done: {counted(run.count_images(self.shards))}, {done.errors} with an "
            f"error. {all_left(run)} of {run.n_images} images are left to other slices; when they are "
            f"done, `zeroiqa merge {run.folder}` writes the scores."
        )

    def _in_plan_order(self) -> Iterator[ImageScore]:
        left = set(pending(self.run)).intersection(self.shards)
        due = iter(self.shards)
        turn = next(due, None)

        def ready() -> Iterator[ImageScore]:
            nonlocal turn
            while turn is not None and turn not in left:
                yield from read_scores(self.run, turn, self.aggregation)
                turn = next(due, None)

        yield from ready()
        for shard in finished_shards(self.run, self.shards, self.executor, self.track):
            left.discard(shard)
            yield from ready()

    def _complete(self) -> None:
        """Do what others have added meanwhile, unless this is a slice, and write the scores of all."""
        while not self.written:
            self.run = caught_up(self.run)
            if self.slice is None:
                for _ in finished_shards(self.run, range(self.run.n_shards), self.executor, self.track):
                    pass
            elif pending(self.run):
                return
            write_scores(self.run)
            self.written = is_current(self.run)  # else others have grown it while it was written
