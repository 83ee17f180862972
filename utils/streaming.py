"""Pipeline of three threads: read ahead, track, write behind.

Reading and writing have a lower priority, so they run while tracking leaves a core idle.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from typing import Generic, TypeVar

from aotlab.utils.processes import lower_priority

Item = TypeVar("Item")
Result = TypeVar("Result")

READ_AHEAD, WRITE_BEHIND = 4, 2
"""largest number of items waiting to be tracked, and of results waiting to be written"""
HELPER_THREADS = 2
"""number of threads beside the one that tracks: one reads, one writes"""
POLL_SECONDS = 0.1
"""interval in seconds at which a waiting thread checks whether to stop"""


class StallError(TimeoutError):
    """No item came within the timeout."""


def stream(
    reader: ReadAhead[Item],
    track: Callable[[Iterator[Item]], Generator[Result, None, None]],
    write: Callable[[Result], None],
) -> Generator[Result, None, None]:
    """Yield every result of ``track`` while one thread writes it and another reads the next items.

    An error of any stage is raised after all earlier results are written. Closing the generator, or an interrupt, drops
    waiting results.

    Args:
        track: turns items into results, in the calling thread.
        write: writes each result, in order.

    Raises:
        StallError: no item came within the timeout.
        Exception: an error of reading, tracking or writing.
    """

    def write_after(earlier: Future[None] | None, result: Result) -> None:
        if earlier is not None:
            earlier.result()  # raises its error: after a failure, nothing is written
        write(result)

    waiting: deque[Future[None]] = deque()
    with ThreadPoolExecutor(1, "writer", lower_priority) as pool:
        try:
            with closing(iter(reader)) as items, closing(track(items)) as results:
                for result in results:
                    waiting.append(pool.submit(write_after, waiting[-1] if waiting else None, result))
                    if len(waiting) > WRITE_BEHIND + 1:
                        waiting.popleft().result()
                    yield result
            for future in waiting:
                future.result()
        except Exception:
            wait(waiting)
            raise
        except BaseException:  # closed or interrupted
            pool.shutdown(cancel_futures=True)
            raise


class ReadAhead(Generic[Item]):
    """Items of an iterable, read by a thread ahead of use; can be iterated once.

    Args:
        stop: flag that ends the iteration.
        timeout: seconds without an item before `StallError` is raised; None: no limit.
        must_keep: drop late items except those for which this is true; None: keep all.
    """

    def __init__(
        self,
        items: Iterable[Item],
        *,
        stop: threading.Event | None = None,
        timeout: float | None = None,
        must_keep: Callable[[Item], bool] | None = None,
    ) -> None:
        self.stop = stop
        self.dropped = 0
        """number of late items that were dropped"""
        self._timeout, self._must_keep = timeout, must_keep
        self._waiting: deque[Item] = deque()
        self._changed = threading.Condition()
        self._ended = self._closed = False
        self._error: BaseException | None = None
        # a daemon, as a reader stuck in a system call must not keep the program alive
        self._thread = threading.Thread(target=self._read, args=(items,), name="reader", daemon=True)

    def __iter__(self) -> Generator[Item, None, None]:
        """Yield the items in order; raise an error of reading in place of its item."""
        self._thread.start()
        try:
            while self._wait_for_item():
                with self._changed:
                    item = self._waiting.popleft()
                    self._changed.notify_all()
                yield item
            if self._error is not None and not self._is_stopped():
                raise self._error
        finally:
            with self._changed:
                self._closed = True
                self._changed.notify_all()
            self._thread.join(1.0)

    def _read(self, items: Iterable[Item]) -> None:
        lower_priority()
        try:
            for item in items:
                self._add(item)
                if self._closed:
                    break
        except BaseException as error:  # raised again where the items are taken
            self._error = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _add(self, item: Item) -> None:
        """Queue an item: wait for room, or drop an earlier one, which is late; never the newest."""
        with self._changed:
            if self._must_keep is None:
                self._changed.wait_for(lambda: self._closed or len(self._waiting) < READ_AHEAD)
            elif late := [index for index, old in enumerate(self._waiting) if not self._must_keep(old)]:
                del self._waiting[late[0]]
                self.dropped += 1
            self._waiting.append(item)
            self._changed.notify_all()

    def _wait_for_item(self) -> bool:
        """Return whether an item waits, false at the end or if stopped; raise `StallError` after the timeout."""
        start = time.monotonic()
        with self._changed:
            while not self._waiting and not self._ended and not self._is_stopped():
                if self._timeout is not None and time.monotonic() - start > self._timeout:
                    raise StallError
                self._changed.wait(POLL_SECONDS)  # a signal sets the flag without notice
            return bool(self._waiting) and not self._is_stopped()

    def _is_stopped(self) -> bool:
        return self.stop is not None and self.stop.is_set()
