"""The pace of images and the time left, told by a clock that the tests turn."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterable

import pytest

from zeroiqa.cli.pace import Pace, Passes
from zeroiqa.runs.plan import shard_sizes

Steps = list[tuple[float, int]]
"""When how many more images are done."""


def one_by_one(costs: Iterable[float], *, load: float = 0.0, at_once: int = 1) -> Steps:
    """What one process does, whose rater takes several images at once."""
    now, steps, costs = load, [], list(costs)
    for start in range(0, len(costs), at_once):
        group = costs[start : start + at_once]
        now += sum(group)
        steps += [(now, 1)] * len(group)
    return steps


def by_workers(costs: Iterable[float], count: int, *, load: float = 0.0) -> Steps:
    """What workers do that take shard after shard, and tell of it when a shard is done."""
    left, idle, steps = list(costs), [load] * count, []
    for size in shard_sizes(len(left)):
        now = heapq.heappop(idle) + sum(left[:size])
        del left[:size]
        steps.append((now, size))
        heapq.heappush(idle, now)
    return sorted(steps)


def told(steps: Steps, parts: int = 200) -> list[tuple[float, float]]:
    """(Share of the time, seconds left as told : as they are) whenever they are told, at even times."""
    now = 0.0
    pace = Pace(sum(count for _, count in steps), lambda: now)
    end, coming, found = steps[-1][0], list(steps), []
    for part in range(1, parts):
        moment = end * part / parts
        while coming and coming[0][0] <= moment:
            now, count = coming.pop(0)
            pace.advance(count)
        now = moment
        left = pace.seconds_left()
        if left is not None:
            found.append((part / parts, left / (end - moment)))
    return found


def uneven(count: int, mean: float, seed: int = 1) -> list[float]:
    source = random.Random(seed)
    return [mean * source.uniform(0.7, 1.3) for _ in range(count)]


KINDS: dict[str, tuple[Steps, float]] = {
    "even": (one_by_one([0.1] * 600), 0.1),
    "a model loads first": (one_by_one([0.1] * 600, load=20), 0.32),
    "slow first images": (one_by_one([1.0] * 10 + [0.1] * 590, load=20), 0.4),
    "batches": (one_by_one([0.1] * 600, load=5, at_once=16), 0.35),
    "uneven": (one_by_one(uneven(600, 0.1), load=5), 0.2),
    "slow": (one_by_one(uneven(200, 8.0), load=60), 0.2),
    "two workers": (by_workers(uneven(600, 0.1), 2, load=5), 0.35),
    "four workers": (by_workers(uneven(2000, 0.1), 4, load=5), 0.25),
    "sixteen workers": (by_workers(uneven(20_000, 0.1), 16, load=10), 0.2),
}
"""Kind of run -> its steps, and from which share of its time on the time left is told and right."""


@pytest.mark.parametrize("kind", KINDS)
def test_the_time_left_settles_within_a_tenth_of_the_truth(kind: str) -> None:
    steps, settled = KINDS[kind]
    ratios = [ratio for share, ratio in told(steps) if settled <= share <= 0.9]
    assert len(ratios) > 100
    assert min(ratios) > 0.9
    assert max(ratios) < 1.1


@pytest.mark.parametrize(
    "kind", ["even", "a model loads first", "slow first images", "batches", "two workers"]
)
def test_no_time_left_is_told_before_one_can_be(kind: str) -> None:
    steps, _ = KINDS[kind]
    early = [ratio for _, ratio in told(steps)]
    assert all(0.8 < ratio < 1.25 for ratio in early[:-20])


@pytest.mark.parametrize(("first", "then"), [(0.1, 0.2), (0.2, 0.1), (0.1, 0.5)])
def test_a_pace_that_changes_is_followed(first: float, then: float) -> None:
    steps = one_by_one([first] * 500 + [then] * 2000)
    changed = steps[499][0] / steps[-1][0]
    ratios = [ratio for share, ratio in told(steps) if 2.05 * changed <= share <= 0.9]
    assert ratios
    assert all(0.9 < ratio < 1.1 for ratio in ratios)


def test_the_time_left_falls_between_two_steps_and_then_waits() -> None:
    now = 0.0
    pace = Pace(1000, lambda: now)
    for step in range(12):
        now = 10.0 * step
        pace.advance(10)
    assert pace.rate() == pytest.approx(1.0)
    assert pace.seconds_left() == pytest.approx(880)
    now += 6.0
    assert pace.seconds_left() == pytest.approx(874)
    now += 60.0  # no longer than steps ever took: then the time left does not fall on
    assert pace.seconds_left() == pytest.approx(870)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_images_have_no_pace(count: int) -> None:
    now = 0.0
    pace = Pace(count, lambda: now)
    for _ in range(count):
        now += 60.0
        pace.advance(1)
    assert pace.rate() is None
    assert pace.seconds_left() is None
    assert pace.left == 0


def test_images_that_take_no_time_have_no_pace() -> None:
    pace = Pace(100, lambda: 5.0)
    for _ in range(50):
        pace.advance(1)
    assert pace.seconds_left() is None


def advancing(left: list[int], cost: Callable[[int], float]) -> list[tuple[int, str, float | None]]:
    """(Pass, what is left, seconds) after each image."""
    now, found = 0.0, []
    passes = Passes(left, lambda: now)
    for image in range(sum(left)):
        now += cost(image)
        passes.advance(1)
        found.append((passes.number, passes.what_is_left, passes.pace.seconds_left()))
    return found


def test_each_pass_of_an_ensemble_has_a_pace_of_its_own() -> None:
    found = advancing([100, 100], lambda image: 0.1 if image < 100 else 2.0)
    number, what, seconds = found[59]
    assert (number, what) == (1, "left in pass 1 of 2")
    assert seconds == pytest.approx(4.0)
    assert found[99] == (2, "left", None)  # the next model is not known yet
    number, what, seconds = found[149]
    assert (number, what) == (2, "left")
    assert seconds == pytest.approx(100.0)


def test_passes_that_were_done_before_are_none() -> None:
    found = advancing([0, 100], lambda _: 0.1)
    assert found[59] == (1, "left", pytest.approx(4.0))
    assert advancing([0, 0], lambda _: 0.1) == []


def test_a_shard_may_end_a_pass_and_images_may_be_more_than_were_planned() -> None:
    passes = Passes([3, 4], lambda: 0.0)
    passes.advance(5)
    assert (passes.number, passes.pace.left) == (2, 2)
    passes.advance(5)
    assert passes.pace.seconds_left() is None
