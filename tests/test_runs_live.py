"""How a run goes: rates, time left and workers, from events alone, whatever the clocks of the hosts say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from zeroiqa.runs.events import Event
from zeroiqa.runs.live import LATELY, Live, busy_seconds, find_workers

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


def event(ago, seconds=10.0, images=100, host="a", pid=1, shard=0, worker=""):
    """One that lies so many seconds before now."""
    time = NOW - timedelta(seconds=ago)
    return Event(time, host, pid, worker, shard, ("fake",), images, 0, seconds, "0", {})


def test_rate_of_a_worker_is_that_of_its_own_seconds():
    (worker,) = find_workers([event(0, shard=1), event(100, seconds=30, images=20)], NOW)
    assert (worker.shards, worker.images, worker.seconds, worker.rate) == (2, 120, 40, 3)


def test_rate_is_that_of_the_last_minutes_by_the_clock_of_the_worker():
    long_ago = 30 * LATELY.total_seconds()
    events = [event(long_ago + LATELY.total_seconds(), images=1), event(long_ago, images=500)]
    (worker,) = find_workers(events, NOW)
    assert worker.rate == 50
    assert not worker.working


def test_worker_with_long_shards_is_at_work_until_two_of_them_have_passed():
    (worker,) = find_workers([event(1900, seconds=1000)], NOW)
    assert worker.working
    (worker,) = find_workers([event(2100, seconds=1000)], NOW)
    assert not worker.working


def test_workers_are_told_apart_by_host_and_number_and_listed_by_when_they_were_seen():
    events = [event(5, host="b", worker="GPU 1"), event(3), event(9, pid=2), event(7)]
    found = [(worker.process, worker.label, worker.images) for worker in find_workers(events, NOW)]
    assert found == [("a-1", "", 200), ("b-1", "GPU 1", 100), ("a-2", "", 100)]


def test_clock_that_runs_ahead_gives_no_negative_rate_and_counts_as_at_work():
    (worker,) = find_workers([event(-7200), event(-7000, shard=1)], NOW)
    assert worker.working
    assert worker.rate == 10


def test_busy_time_is_that_in_which_anybody_works_and_gaps_are_left_out():
    side_by_side = [event(0, seconds=10), event(2, seconds=10, pid=2)]
    assert busy_seconds(side_by_side) == pytest.approx(12)
    assert busy_seconds([event(0, seconds=10), event(5000, seconds=10)]) == pytest.approx(20)
    assert busy_seconds([event(0, seconds=10), event(2, seconds=2)]) == pytest.approx(10)
    assert busy_seconds([]) == 0


@pytest.mark.parametrize("skew", [-1e6, -50, 0, 50, 1e6])
def test_busy_time_is_neither_negative_nor_more_than_all_have_worked(skew):
    events = [event(10 * n + skew * (n % 2), pid=n % 2, shard=n) for n in range(20)]
    assert 100 - 1e-3 <= busy_seconds(events) <= 200 + 1e-3


def test_work_that_took_no_time_has_no_rate():
    (worker,) = find_workers([event(0, seconds=0.0)], NOW)
    assert worker.rate is None


@pytest.mark.parametrize(
    ("done", "rate", "left"), [(40, 3.0, 20.0), (100, None, 0.0), (40, None, None), (100, 3.0, 0.0)]
)
def test_time_left_is_what_is_left_at_the_rate_of_now(done, rate, left):
    live = Live(None, 100, done, rate, 1.0, (), False, 0)
    assert live.seconds_left == left
