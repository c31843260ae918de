"""A process that works for us and may die."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from zeroiqa.errors import ImageError
from zeroiqa.guards.budget import Budget, OverBudgetError
from zeroiqa.guards.child import Child, KilledError
from zeroiqa.guards.limits import memory
from zeroiqa.images.decode import decode

AGES = 600.0


@pytest.fixture(scope="module")
def child():
    return Child()


def keep_the_lock():
    ctypes.PyDLL(None).sleep(1000)


def raise_oddly():
    class OddError(Exception):
        def __init__(self, one, two):
            super().__init__(one)

    raise OddError("strange", 2)


def test_one_process_does_work_after_work(child):
    first = child(os.getpid, Budget(AGES))
    assert first != os.getpid()
    assert child(partial(print, "between the answers", flush=True), Budget(AGES)) is None
    with pytest.raises(ImageError, match="nowhere.png does not exist"):
        child(partial(decode, "nowhere.png"), Budget(AGES))
    with pytest.raises(MemoryError):
        child(partial(bytes, 1 << 60), Budget(AGES))
    with pytest.raises(RuntimeError, match="OddError: strange"):
        child(raise_oddly, Budget(AGES))
    os.kill(first, signal.SIGINT)  # as Ctrl-C does, which is for the main process
    assert child(os.getpid, Budget(AGES)) == first
    assert child(Path.cwd, Budget(AGES)) == Path.cwd()


def test_a_work_that_kills_the_process_costs_the_process(child):
    first = child(os.getpid, Budget(AGES))
    with pytest.raises(KilledError):
        child(os.abort, Budget(AGES))
    second = child(os.getpid, Budget(AGES))
    os.kill(second, signal.SIGKILL)  # with nothing to do
    with pytest.raises(KilledError):
        child(os.getpid, Budget(AGES))
    assert len({first, second, child(os.getpid, Budget(AGES))}) == 3


@pytest.mark.parametrize("work", [partial(time.sleep, 1000), keep_the_lock])
def test_a_work_over_its_budget_is_ended(child, work):
    first, budget = child(os.getpid, Budget(AGES)), Budget(0.3)
    with pytest.raises(OverBudgetError):
        child(work, budget)
    assert budget.left <= 0
    assert not psutil.pid_exists(first)


def test_waiting_for_the_process_and_for_its_start_costs_no_budget():
    child = Child()
    budgets = [Budget(1.5) for _ in range(6)]
    threads = [threading.Thread(target=child, args=(partial(time.sleep, 0.3), each)) for each in budgets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(each.left > 0 for each in budgets)  # whoever was the last one has waited for 1.5 seconds


@pytest.mark.skipif(os.name != "posix", reason="asks for signals")
def test_an_answer_that_nobody_waited_for_is_not_that_of_the_next_work(child):
    me = threading.main_thread().ident
    threading.Timer(0.2, signal.pthread_kill, (me, signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        child(partial(time.sleep, 1000), Budget(AGES))
    assert child(partial(len, b"next"), Budget(AGES)) == 4


def test_the_process_ends_with_its_object():
    child = Child()
    process = child(os.getpid, Budget(AGES))
    assert psutil.pid_exists(process)
    del child
    assert not psutil.pid_exists(process)


ORPHAN = """
import os, signal, time
from functools import partial
from zeroiqa.guards.budget import Budget
from zeroiqa.guards.child import Child
child = Child()
print(child(os.getpid, Budget(60.0)), flush=True)
child(partial(time.sleep, 1000), Budget(1000.0))
"""


@pytest.mark.skipif(os.name != "posix", reason="asks for signals")
def test_the_process_ends_with_the_one_that_it_works_for():
    parent = subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 30
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.skipif(sys.platform != "linux", reason="only there")
def test_the_process_gets_no_more_memory_than_the_container_has(child):
    import resource

    soft, _ = child(partial(resource.getrlimit, resource.RLIMIT_DATA), Budget(AGES))
    assert 0 < soft <= memory().limit + (1 << 30)
