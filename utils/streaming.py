"""Pipeline of three threads: read ahead, track, write behind."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

READ_AHEAD, WRITE_BEHIND = 4, 2
"""Largest number of items waiting to be tracked, and of results waiting to be written."""
HELPER_THREADS = 2
"""Number of threads beside the one that tracks: one reads, one writes."""
POLL_SECONDS = 0.1
"""Interval in seconds at which a waiting thread checks whether to stop."""


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
    with ThreadPoolExecutor(1, "writer") as pool:
        try:
            with closing(iter(reader)) as items, closing(track(items)) as results:
                for result in results:
                    waiting.append(pool.submit(write_after, waiting[-1] if waiting else None, result))
                    if len(waiting) > WRITE_BEHIND + 1:
                        waiting.popleft().result()
                    yield result
            for future in waiting:
                future.result()
        except BaseException as error:
            is_interrupt = not isinstance(error, Exception)  # or the generator was closed
            pool.shutdown(cancel_futures=is_interrupt)
            raise


class ReadAhead(Generic[Item]):
    """Items of an iterable, read by a thread ahead of use; can be iterated once.

    Args:
        stop: flag that ends the iteration.
        timeout: seconds without an item before `StallError` is raised; None: no limit.
        must_keep: returns whether an item is needed even if it is late; other late items are dropped. None: all items
            are kept.
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
        """Number of late items that were dropped."""
        self._timeout, self._must_keep = timeout, must_keep
        self._waiting = deque[Item]()
        self._changed = threading.Condition()  # guards the waiting items and both flags
        self._closed = self._ended = False
        self._error: BaseException | None = None
        # a daemon, as a reader stuck in a system call must not keep the program alive
        self._thread = threading.Thread(target=self._read, args=(items,), name="reader", daemon=True)

    def __iter__(self) -> Generator[Item, None, None]:
        """Yield the items in order; raise an error of reading in place of its item."""
        self._thread.start()
        try:
            while True:
                with self._changed:
                    self._wait_for_item()
                    if self._is_stopped() or not self._waiting:
                        break
                    item = self._waiting.popleft()
                    self._changed.notify()
                yield item
            if self._error is not None and not self._is_stopped():
                raise self._error
        finally:
            with self._changed:
                self._closed = True
                self._changed.notify()
            self._thread.join(1.0)

    def _read(self, items: Iterable[Item]) -> None:
        try:
            for item in items:
                with self._changed:
                    self._make_room()
                    if self._closed:
                        return
                    self._waiting.append(item)
                    self._changed.notify()
        except BaseException as error:  # raised again where the items are taken
            self._error = error
        with self._changed:
            self._ended = True
            self._changed.notify()

    def _make_room(self) -> None:
        """Drop the oldest waiting item that is not needed, or wait until there is room if all items are kept."""
        must_keep = self._must_keep
        if must_keep is None:
            self._changed.wait_for(lambda: self._closed or len(self._waiting) < READ_AHEAD)
        elif (index := next((i for i, item in enumerate(self._waiting) if not must_keep(item)), None)) is not None:
            del self._waiting[index]
            self.dropped += 1

    def _wait_for_item(self) -> None:
        """Return if there is an item, after the last one, or if stopped; raise `StallError` after the timeout."""
        start = time.monotonic()
        while not (self._waiting or self._ended or self._is_stopped()):
            if self._timeout is not None and time.monotonic() - start > self._timeout:
                raise StallError
            self._changed.wait(POLL_SECONDS)  # a signal sets the flag without notice

    def _is_stopped(self) -> bool:
        return self.stop is not None and self.stop.is_set()
