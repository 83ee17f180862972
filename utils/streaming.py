"""Pipeline of three threads with bounded queues: read ahead, track, write behind.

Reading and writing have a lower priority, so they run while tracking leaves a core idle.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from types import TracebackType
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


class StallError(Exception):
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
    with WriteBehind(write) as writer, closing(iter(reader)) as items, closing(track(items)) as results:
        for result in results:
            writer.put(result)
            yield result


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
        self._items, self._timeout, self._must_keep = items, timeout, must_keep
        self._channel: BoundedQueue[Item] = BoundedQueue(READ_AHEAD if must_keep is None else 1)
        # a daemon, as a reader stuck in a system call must not keep the program alive
        self._thread = threading.Thread(target=self._read_frames, name="reader", daemon=True)

    @property
    def dropped(self) -> int:
        """Number of late items that were dropped."""
        return self._channel.dropped

    def __iter__(self) -> Generator[Item, None, None]:
        """Yield the items in order; raise an error of reading in place of its item."""
        self._thread.start()
        try:
            while (item := self._channel.take(self._timeout, self.stop)) is not None:
                yield item
        finally:
            self._channel.close()
            self._thread.join(1.0)

    def _read_frames(self) -> None:
        lower_priority()
        try:
            for item in self._items:
                more = (
                    self._channel.put(item)
                    if self._must_keep is None
                    else self._channel.put_newest(item, self._must_keep)
                )
                if not more:
                    break
            self._channel.end()
        except BaseException as error:  # raised again where the items are taken
            self._channel.end(error)


class WriteBehind(Generic[Result]):
    """Writes results in a thread, in order; a context manager that waits for them.

    If the block fails, waiting results are written and its error is raised; if it is interrupted, they are dropped.
    """

    def __init__(self, write: Callable[[Result], None]) -> None:
        self._write = write
        self._error: BaseException | None = None
        self._channel: BoundedQueue[Result] = BoundedQueue(WRITE_BEHIND)
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def __enter__(self) -> WriteBehind[Result]:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, Exception):
            self._channel.close()
        self._channel.end()
        try:
            self._thread.join()
        except BaseException:  # interrupted while it waits
            self._channel.close()
            self._thread.join()
            raise
        if error is None and self._error is not None:
            raise self._error

    def put(self, result: Result) -> None:
        """Queue a result; raise the error of an earlier one that could not be written."""
        if not self._channel.put(result) and self._error is not None:
            raise self._error

    def _run(self) -> None:
        lower_priority()
        try:
            while (result := self._channel.take()) is not None:
                self._write(result)
        except BaseException as error:  # raised again where results are added
            self._error = error
            self._channel.close()


class BoundedQueue(Generic[Item]):
    """Bounded queue between two threads, with the end and the error of its producer."""

    def __init__(self, capacity: int) -> None:
        self.dropped = 0
        """number of items dropped by `put_newest`"""
        self._capacity = capacity
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()
        self._ended = self._closed = False
        self._error: BaseException | None = None

    def put(self, item: Item) -> bool:
        """Add an item, waiting for room; return False if the queue is closed."""
        with self._changed:
            while len(self._items) >= self._capacity and not self._closed:
                self._changed.wait(POLL_SECONDS)
            return self._add(item)

    def put_newest(self, item: Item, must_keep: Callable[[Item], bool]) -> bool:
        """Add an item at once; a full queue drops its oldest item that may be dropped, or else this one."""
        with self._changed:
            if len(self._items) >= self._capacity:
                dropped = next((i for i, waiting in enumerate(self._items) if not must_keep(waiting)), None)
                if dropped is not None:
                    del self._items[dropped]
                    self.dropped += 1
                elif not must_keep(item):
                    self.dropped += 1
                    return not self._closed
            return self._add(item)

    def _add(self, item: Item) -> bool:
        if not self._closed:
            self._items.append(item)
            self._changed.notify_all()
        return not self._closed

    def end(self, error: BaseException | None = None) -> None:
        """End the queue; the consumer gets the waiting items, then ``error``."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def close(self) -> None:
        """Drop all items and refuse further ones."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()

    def take(self, timeout: float | None = None, stop: threading.Event | None = None) -> Item | None:
        """Return the oldest item; None at the end or if ``stop`` is set; `StallError` after ``timeout`` seconds."""
        start = time.monotonic()
        with self._changed:
            while not self._items and not self._ended:
                if stop is not None and stop.is_set():
                    return None
                if timeout is not None and time.monotonic() - start > timeout:
                    raise StallError
                self._changed.wait(POLL_SECONDS)
            if stop is not None and stop.is_set():
                return None
            if not self._items:
                if self._error is not None:
                    raise self._error
                return None
            self._changed.notify_all()
            return self._items.popleft()
