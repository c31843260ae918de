"""Work that takes too long: left behind, or ended with its process."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
import time

import pytest

from zeroiqa.errors import UserError
from zeroiqa.guards.budget import Budget, OverBudgetError, left_behind


@pytest.mark.parametrize("seconds", [0, -1, math.nan, -math.inf])
def test_a_budget_is_more_than_nothing(seconds):
    with pytest.raises(UserError, match=r"; give more than 0, or inf\."):
        Budget(seconds)


def test_only_work_spends_a_budget_and_what_is_spent_is_gone():
    budget = Budget(1000.0)
    with budget.spent() as left:
        assert left == 1000.0
        time.sleep(0.01)
    before = budget.left
    assert before < 1000.0 - 0.005
    time.sleep(0.01)
    assert budget.left == before
    budget.left = 0.0
    with pytest.raises(OverBudgetError), budget.spent():
        pass


@pytest.mark.parametrize("seconds", [60.0, math.inf])
def test_what_work_returns_and_raises_comes_up(seconds):
    assert left_behind(lambda: 7, Budget(seconds)) == 7
    for error in (ValueError("its own"), TimeoutError("its own")):

        def fail(error=error):
            raise error

        with pytest.raises(type(error), match="its own"):
            left_behind(fail, Budget(seconds))


def test_work_that_takes_too_long_is_left_behind():
    released, budget = threading.Event(), Budget(0.05)
    try:
        with pytest.raises(OverBudgetError):
            left_behind(released.wait, budget)
        assert budget.left <= 0
        assert left_behind(lambda: 7, Budget(60.0)) == 7
    finally:
        released.set()


WATCHED = """
import ctypes, math, sys, threading, time
from zeroiqa.guards.budget import Budget, Watchdog

watchdog = Watchdog()
long = threading.Thread(target=watchdog, args=(lambda: time.sleep(1.5), Budget(60.0)))
long.start()
for seconds in (1.0, math.inf, 1.0):  # each in its time; the timer goes back to the long one
    watchdog(lambda: time.sleep(0.01), Budget(seconds))
try:
    watchdog(lambda: 1 / 0, Budget(1.0))
except ZeroDivisionError:
    pass
long.join()
time.sleep(0.1)
print("alive", flush=True)
library = ctypes.PyDLL(None)  # whose functions keep Python's lock
threading.Thread(target=watchdog, args=(lambda: time.sleep(1000), Budget(2000.0)), daemon=True).start()
watchdog(lambda: library.sleep(1000), Budget(0.3))
print("still alive")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="its C library has no sleep")
def test_a_watchdog_ends_only_what_takes_too_long_even_if_it_keeps_pythons_lock():
    done = subprocess.run([sys.executable, "-c", WATCHED], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (1, "alive\n", "")
