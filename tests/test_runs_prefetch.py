from __future__ import annotations

import threading
import time

import pytest

from zeroiqa.runs.prefetch import ahead


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = threading.active_count()
    yield
    assert threading.active_count() == before


@pytest.mark.parametrize("count", [0, 1, 4, 100])
def test_results_come_in_the_order_of_the_items(count):
    def slow_if_even(item):
        time.sleep(0 if item % 2 else 0.002)
        return item

    with ahead(range(40), slow_if_even, lambda item: -item, count) as results:
        assert list(results) == [-item for item in range(40)]


def test_no_more_items_are_taken_than_may_be_ahead():
    taken = []

    def items():
        for item in range(20):
            taken.append(item)
            yield item

    with ahead(items(), lambda item: item, lambda item: item, 3) as results:
        for item in results:
            assert len(taken) <= item + 1 + 3


def test_work_goes_on_while_the_results_are_used():
    done = threading.Event()

    def work(item):
        if item == 3:
            done.set()
        return item

    with ahead(range(10), work, lambda item: item, 5) as results:
        next(results)
        assert done.wait(10)


def test_second_step_has_one_thread_of_its_own_and_items_in_order():
    seen = []
    with ahead(
        range(30), lambda item: item, lambda item: seen.append((threading.get_ident(), item)), 8
    ) as results:
        list(results)
    assert [item for _, item in seen] == list(range(30))
    assert len({thread for thread, _ in seen} | {threading.get_ident()}) == 2


@pytest.mark.parametrize("count", [0, 4])
def test_exception_comes_up_at_its_items_turn(count):
    def fail_at_five(item):
        if item == 5:
            raise ValueError("five")
        return item

    seen = []
    with pytest.raises(ValueError, match="five"), ahead(range(10), fail_at_five, str, count) as results:
        seen.extend(results)
    assert seen == ["0", "1", "2", "3", "4"]


def test_interrupt_while_results_are_used_ends_all_threads():
    with pytest.raises(KeyboardInterrupt), ahead(range(100), lambda item: item, str, 6) as results:
        next(results)
        raise KeyboardInterrupt
