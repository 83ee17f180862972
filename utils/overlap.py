"""Work that goes on beside the main thread: reading ahead, writing behind. Both hold a few items only."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(
    function: Callable[[Item], Result], items: Iterable[Item], depth: int = 4
) -> Generator[Result, None, None]:
    """``map`` whose next ``depth`` results are made in a thread while the caller works on one.

    An error of ``function`` is raised where its result would be.
    """
    pool = ThreadPoolExecutor(1)
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def behind(depth: int = 4) -> Iterator[Callable[..., None]]:
    """Yield ``later(function, *args)``, which has calls done in a thread, in order; ``depth`` of them may wait.

    An error of such a call is raised by one of the next `later`, at the latest at the end of the block, which waits
    for all of them. After an error, within the block or of a call, those that wait are dropped.
    """
    pool = ThreadPoolExecutor(1)
    waiting: deque[Future[Any]] = deque()

    def later(function: Callable[..., Any], *args: Any) -> None:
        if len(waiting) >= depth:
            waiting.popleft().result()
        waiting.append(pool.submit(function, *args))

    try:
        yield later
        while waiting:
            waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
