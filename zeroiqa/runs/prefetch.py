"""Run work ahead in threads and give its results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from zeroiqa.guards.limits import cores

T = TypeVar("T")
U = TypeVar("U")
V = TypeVar("V")

_THREADS = 4
"""At most; no more than there are cores."""


@contextmanager
def ahead(
    items: Iterable[T],
    first: Callable[[T], U],
    second: Callable[[U], V],
    count: int,
    *,
    threads: int | None = None,
) -> Iterator[Iterator[V]]:
    """Yield an iterator over second(first(item)) in the order of the items.

    An exception comes up where its item's turn is. When the block ends, however it ends, all threads have.

    Args:
        items: Taken in the caller's thread.
        first: Run in several threads at once.
        second: Run in one thread of its own, item after item.
        count: How many items may be in work or finished before their turn; 0 works without threads.
        threads: How many call `first`; one for each core, up to 4, if left out.
    """
    if count == 0:
        yield (second(first(item)) for item in items)
        return
    with ThreadPoolExecutor(threads or min(_THREADS, cores())) as several, ThreadPoolExecutor(1) as one:
        waiting: deque[Future[V]] = deque()

        def start(item: T) -> None:
            begun = several.submit(first, item)
            waiting.append(one.submit(lambda: second(begun.result())))

        def results() -> Iterator[V]:
            for item in items:
                start(item)
                if len(waiting) > count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

        try:
            yield results()
        finally:
            one.shutdown(wait=False, cancel_futures=True)
            several.shutdown(wait=False, cancel_futures=True)
