"""Threads that read ahead of a loop, and write behind it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from typing_extensions import Self

Item = TypeVar("Item")

READ_AHEAD, WRITE_BEHIND = 4, 2
"""Largest number of items waiting to be tracked, and of results waiting to be written."""
HELPER_THREADS = 2
"""Number of threads beside the one that tracks: one reads, one writes."""
POLL_SECONDS = 0.1
"""Interval in seconds at which a waiting thread checks whether to stop."""


class StallError(TimeoutError):
    """No item came within the timeout."""


class WriteBehind(Generic[Item]):
    """Thread that writes items in the order of `put`, as a context manager.

    Leaving the block writes the waiting items, and raises an error of writing. After an interrupt they are dropped.

    Args:
        write: writes an item.
    """

    def __init__(self, write: Callable[[Item], None]) -> None:
        self._write, self._waiting = write, deque[Future[None]]()
        self._pool = ThreadPoolExecutor(1, "writer")

    def __enter__(self) -> Self:
        return self

    def put(self, item: Item) -> None:
        """Queue an item; wait while more than `WRITE_BEHIND` are waiting.

        Raises:
            Exception: an error of writing; nothing is written after it.
        """
        earlier = self._waiting[-1] if self._waiting else None
        self._waiting.append(self._pool.submit(self._write_after, earlier, item))
        if len(self._waiting) > WRITE_BEHIND + 1:
            self._waiting.popleft().result()

    def _write_after(self, earlier: Future[None] | None, item: Item) -> None:
        if earlier is not None:
            earlier.result()  # raises its error
        self._write(item)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        is_interrupt = kind is not None and not issubclass(kind, Exception)  # or a generator was closed
        self._pool.shutdown(cancel_futures=is_interrupt)
        for future in self._waiting if kind is None else ():
            future.result()


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
