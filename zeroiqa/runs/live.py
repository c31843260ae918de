"""How a run goes at this moment: what is done, how fast, by whom, and how long the rest takes.

Clocks of hosts may differ. So a worker's rate comes from its own seconds, and what was lately is decided by
its own clock; only whether it is still at work is asked of ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from zeroiqa.runs.events import Event, read_events
from zeroiqa.runs.passes import image_passes
from zeroiqa.runs.run import Run, RunStatus, status

LATELY = timedelta(minutes=5)
"""What counts for the rate of now; a worker that was not seen for longer, and for longer than two of its
shards take, is no longer at work."""
_AHEAD = timedelta(seconds=5)
"""How far a clock may run before ours without being mentioned."""


@dataclass(frozen=True)
class ActiveWorker:
    """One process that has worked on the run."""

    process: str
    """Host and number."""
    label: str
    """The device or task that it was given; may be empty."""
    shards: int
    images: int
    """Of its shards; those of a shard that it had in several passes count in each."""
    seconds: float
    """Of work."""
    rate: float | None
    """Images per second lately; None if that took no time."""
    last_seen: datetime
    """By its own clock, in UTC."""
    working: bool
    """Whether it was seen lately, or in the future."""


@dataclass(frozen=True)
class Live:
    """A run at one moment."""

    status: RunStatus
    planned: int
    """Images times passes."""
    done: int
    """Of them."""
    now: float | None
    """Images per second of the workers that are at work; None if there is none."""
    overall: float | None
    """Images per second of the time in which anybody was at work; None if there are no events."""
    workers: tuple[ActiveWorker, ...]
    """In the order in which they were seen last, the latest first."""
    clocks_differ: bool
    """Some worker was last seen in the future."""
    damaged: int
    """Lines of the log that could not be read."""
    versions: tuple[str, ...] = ()
    """Of zeroiqa, by which the work was done; sorted."""

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do but to write the scores."""
        return self.done == self.planned

    @property
    def seconds_left(self) -> float | None:
        """At the rate of now; None if nobody is at work."""
        if self.complete:
            return 0.0
        return (self.planned - self.done) / self.now if self.now else None


def look(run: Run, now: datetime) -> Live:
    """See how a run goes.

    Args:
        run: The run.
        now: By our clock, in UTC.

    Raises:
        UserError: a part that has no event is damaged.
    """
    log = read_events(run.folder)
    planned, done = image_passes(run, range(run.n_shards))
    workers = find_workers(log.found, now)
    rates = [worker.rate for worker in workers if worker.working and worker.rate]
    busy = busy_seconds(log.found)
    return Live(
        status=status(run, log),
        planned=planned,
        done=done,
        now=sum(rates) if rates else None,
        overall=sum(event.images for event in log.found) / busy if busy else None,
        workers=workers,
        clocks_differ=any(worker.last_seen > now + _AHEAD for worker in workers),
        damaged=log.damaged,
        versions=tuple(sorted({event.zeroiqa for event in log.found})),
    )


def find_workers(events: Iterable[Event], now: datetime) -> tuple[ActiveWorker, ...]:
    """The processes that the events come from, the latest seen first."""
    by_process = groupby(sorted(events, key=lambda event: (event.process, event.time)), _process)
    workers = (_worker(list(own), now) for _, own in by_process)
    return tuple(sorted(workers, key=lambda worker: worker.last_seen, reverse=True))


def busy_seconds(events: Iterable[Event]) -> float:
    """Seconds in which anybody was at work; never more than all have worked, whatever their clocks say."""
    spans = sorted((event.time.timestamp() - event.seconds, event.time.timestamp()) for event in events)
    total, end = 0.0, float("-inf")
    for start, stop in spans:
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return total


def _worker(own: Sequence[Event], now: datetime) -> ActiveWorker:
    last = own[-1]
    lately = [event for event in own if last.time - event.time < LATELY]
    seconds = sum(event.seconds for event in lately)
    patience = max(LATELY, timedelta(seconds=2 * max(event.seconds for event in lately)))
    return ActiveWorker(
        process=f"{last.host}-{last.pid}",
        label=last.worker,
        shards=len({event.shard for event in own}),
        images=sum(event.images for event in own),
        seconds=sum(event.seconds for event in own),
        rate=sum(event.images for event in lately) / seconds if seconds else None,
        last_seen=last.time,
        working=now - last.time <= patience,
    )


def _process(event: Event) -> tuple[str, int, str]:
    return event.process
