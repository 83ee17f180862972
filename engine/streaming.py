"""Read ahead, track, write behind: three stages in three threads, joined by bounded queues.

Nothing here knows where items come from or where results go: a video file, the folders of a benchmark and a
validation clip are each an iterable to read and a function that writes.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from types import TracebackType
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD, BEHIND = 4, 2
"""items that wait to be tracked, and results that wait to be written, at most"""
HELPERS = 2
"""threads beside the one that tracks: one reads, one writes"""
TICK = 0.1
"""seconds after which a waiting thread checks whether it should stop"""


class Stalled(Exception):  # noqa: N818
    """No item came for as long as the reader was to wait."""


def stream(
    reader: ReadAhead[Item],
    track: Callable[[Iterator[Item]], Generator[Result, None, None]],
    write: Callable[[Result], None],
) -> Generator[Result, None, None]:
    """Yield every result of ``track`` while a thread writes it and another reads the next items.

    An error of any stage is raised here once all results before it are written. Closing the generator, or an
    interrupt, drops the results that still wait.

    Args:
        reader: where items come from.
        track: turns the items into results, in the calling thread.
        write: takes each result, in order.

    Raises:
        Stalled: the reader waited too long.
        Exception: whatever reading, tracking or writing raised.
    """
    with (
        WriteBehind(write) as writer,
        closing(iter(reader)) as items,
        closing(track(items)) as results,
    ):
        for result in results:
            writer.put(result)
            yield result


class ReadAhead(Generic[Item]):
    """Items of an iterable, which a thread reads while the caller works on earlier ones; can be iterated once.

    Args:
        items: read in the thread.
        stop: ends the iteration when set.
        patience: seconds without an item after which `Stalled` is raised; None: wait forever.
        keep: drop items that there is no time for, except those for which this is true; None: keep all.
    """

    def __init__(
        self,
        items: Iterable[Item],
        *,
        stop: threading.Event | None = None,
        patience: float | None = None,
        keep: Callable[[Item], bool] | None = None,
    ) -> None:
        self.stop = stop
        self._items, self._patience, self._keep = items, patience, keep
        self._channel: Channel[Item] = Channel(AHEAD if keep is None else 1)
        # a reader that hangs in a system call must not keep the program alive
        self._thread = threading.Thread(target=self._read, name="reader", daemon=True)

    @property
    def dropped(self) -> int:
        """Number of items that there was no time for."""
        return self._channel.dropped

    def __iter__(self) -> Generator[Item, None, None]:
        """Yield the items in order; an error of reading is raised where its item would be."""
        self._thread.start()
        try:
            while (item := self._channel.take(self._patience, self.stop)) is not None:
                yield item
        finally:
            self._channel.close()
            self._thread.join(1.0)

    def _read(self) -> None:
        try:
            for item in self._items:
                more = (
                    self._channel.put(item)
                    if self._keep is None
                    else self._channel.put_newest(item, self._keep)
                )
                if not more:
                    break
            self._channel.end()
        except BaseException as error:  # raised again where the items are taken
            self._channel.end(error)


class WriteBehind(Generic[Result]):
    """Writes results in a thread, in order; a context manager that waits for them.

    Where the block fails, results that wait are still written and the block's error is the one raised; where it is
    interrupted, they are dropped.
    """

    def __init__(self, write: Callable[[Result], None]) -> None:
        self._write = write
        self._error: BaseException | None = None
        self._channel: Channel[Result] = Channel(BEHIND)
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
        """Hand over a result; raises the error of an earlier one that could not be written."""
        if not self._channel.put(result) and self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while (result := self._channel.take()) is not None:
                self._write(result)
        except BaseException as error:  # raised again where results are added
            self._error = error
            self._channel.close()


class Channel(Generic[Item]):
    """A bounded queue between two threads, which also carries the end and the error of the one that fills it."""

    def __init__(self, room: int) -> None:
        self.dropped = 0
        """items that `put_newest` threw away"""
        self._room = room
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()
        self._ended = self._closed = False
        self._error: BaseException | None = None

    def put(self, item: Item) -> bool:
        """Add an item, waiting for room; False if the other side wants no more."""
        with self._changed:
            while len(self._items) >= self._room and not self._closed:
                self._changed.wait(TICK)
            return self._add(item)

    def put_newest(self, item: Item, keep: Callable[[Item], bool]) -> bool:
        """Add an item at once; a full queue drops its oldest item that need not be kept, or else this one."""
        with self._changed:
            if len(self._items) >= self._room:
                dropped = next((i for i, waiting in enumerate(self._items) if not keep(waiting)), None)
                if dropped is not None:
                    del self._items[dropped]
                    self.dropped += 1
                elif not keep(item):
                    self.dropped += 1
                    return not self._closed
            return self._add(item)

    def _add(self, item: Item) -> bool:
        if not self._closed:
            self._items.append(item)
            self._changed.notify_all()
        return not self._closed

    def end(self, error: BaseException | None = None) -> None:
        """Nothing more comes; ``error`` is raised on the other side once it has taken what waits."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def close(self) -> None:
        """Nothing more is wanted."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()

    def take(self, patience: float | None = None, stop: threading.Event | None = None) -> Item | None:
        """The oldest item; None after the last one, or when ``stop`` is set.

        Raises:
            Stalled: none came for ``patience`` seconds.
        """
        start = time.monotonic()
        with self._changed:
            while not self._items and not self._ended:
                if stop is not None and stop.is_set():
                    return None
                if patience is not None and time.monotonic() - start > patience:
                    raise Stalled
                self._changed.wait(TICK)
            if stop is not None and stop.is_set():
                return None
            if not self._items:
                if self._error is not None:
                    raise self._error
                return None
            self._changed.notify_all()
            return self._items.popleft()
