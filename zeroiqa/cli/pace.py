"""How fast images get done, and how long the rest takes: told once it can be, and from then on to the end.

What is done climbs in steps: an image, a batch, or the shard of a worker. The pace is the slope of the
straight line through the latest steps: those of the second half of the time since the first. So the time
before that step, in which models load, never counts, slow first images soon do not, and a pace that changes
is followed.

Images count alike, whatever their files weigh: raters see them at a size of their own, and photos of 28 times
the bytes took 1.8 times as long.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from itertools import pairwise
from typing import NamedTuple

_LEAST_SECONDS = 2.0
"""Before a pace is told, the line goes through as long a time, at least,"""
_LEAST_IMAGES = 8
"""as many images,"""
_LEAST_STEPS = 4
"""and as many of the highest steps and of the longest waits between two;"""
_ALIKE = 0.1
"""and the line through its later half alone is no steeper or flatter than by this share."""
_FINENESS = 256
"""Steps that are closer than this part of the whole time are one."""


class _Step(NamedTuple):
    time: float
    """Mean over its images."""
    before: int
    """Images that were done before it."""
    images: int

    @property
    def middle(self) -> float:
        return self.before + self.images / 2


class Pace:
    """The pace of one pass over images.

    Args:
        left: Images that are left to do.
        clock: Gives the time in seconds.
    """

    def __init__(self, left: int, clock: Callable[[], float] | None = None) -> None:
        self.left = left
        self._clock = clock or time.monotonic
        self._done = 0
        self._steps: deque[_Step] = deque()
        self._first = self._last = 0.0
        self._told = False

    def advance(self, count: int) -> None:
        """So many more images are done, now."""
        now = self._clock()
        if not self._steps:
            self._first = now
        self._add(now, count)
        self.left -= count
        self._done += count
        self._last = now
        while len(self._steps) > 1 and self._steps[0].time < self._ago(0.5):
            self._steps.popleft()

    def rate(self) -> float | None:
        """Images per second; None while there is too little to tell it from."""
        rate = _slope(self._steps)
        if rate is not None and not self._told:
            self._told = self._is_steady(rate)
        return rate if self._told else None

    def seconds_left(self) -> float | None:
        """Seconds that the rest takes from now on; None while there is too little to tell it from."""
        rate = self.rate()
        if rate is None:
            return None
        waited = min(self._clock() - self._last, self._longest_wait())
        return max(self.left / rate - waited, 0.0)

    def _add(self, now: float, count: int) -> None:
        last = self._steps[-1] if self._steps else None
        if last is None or now - last.time > (now - self._first) / _FINENESS:
            self._steps.append(_Step(now, self._done, count))
            return
        together = last.images + count
        mean = last.time + (now - last.time) * count / together if together else now
        self._steps[-1] = _Step(mean, last.before, together)

    def _is_steady(self, rate: float) -> bool:
        images = sum(step.images for step in self._steps)
        highest = max(step.images for step in self._steps)
        if images < max(_LEAST_IMAGES, _LEAST_STEPS * highest):
            return False
        if self._last - self._ago(0.5) < max(_LEAST_SECONDS, _LEAST_STEPS * self._longest_wait()):
            return False
        later = _slope([step for step in self._steps if step.time >= self._ago(0.25)])
        return later is not None and abs(later / rate - 1) <= _ALIKE

    def _ago(self, part: float) -> float:
        """The time since which this part of the whole time has gone by."""
        return self._last - part * (self._last - self._first)

    def _longest_wait(self) -> float:
        return max((later.time - earlier.time for earlier, later in pairwise(self._steps)), default=0.0)


class Passes:
    """The pace of several passes, one after the other: each is measured for itself, since each has its model.

    Args:
        left: Images that are left to do in each pass; those with nothing left are no passes.
        clock: As for `Pace`.
    """

    def __init__(self, left: Sequence[int], clock: Callable[[], float] | None = None) -> None:
        self._left = [count for count in left if count > 0] or [0]
        self._clock = clock
        self.number = 1
        """Of the pass that goes on."""
        self.pace = Pace(self._left[0], clock)
        """Of that pass."""

    def advance(self, count: int) -> None:
        """So many more images are done, now."""
        while count > self.pace.left and self.number < len(self._left):
            count -= self.pace.left
            self._begin_next()
        self.pace.advance(count)
        if not self.pace.left and self.number < len(self._left):
            self._begin_next()

    @property
    def what_is_left(self) -> str:
        """Of what the seconds are: "left", or "left in pass 1 of 2", since the next one may differ."""
        several = self.number < len(self._left)
        return f"left in pass {self.number} of {len(self._left)}" if several else "left"

    def _begin_next(self) -> None:
        self.number += 1
        self.pace = Pace(self._left[self.number - 1], self._clock)


def _slope(steps: Collection[_Step]) -> float | None:
    """Of the line of least squares through the images done over time; None where none rises."""
    images = sum(step.images for step in steps)
    if not images:
        return None
    time_mean = sum(step.images * step.time for step in steps) / images
    done_mean = sum(step.images * step.middle for step in steps) / images
    spread = sum(step.images * (step.time - time_mean) ** 2 for step in steps)
    both = sum(step.images * (step.time - time_mean) * (step.middle - done_mean) for step in steps)
    return both / spread if spread > 0 and both > 0 else None
