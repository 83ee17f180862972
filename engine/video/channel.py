"""A bounded queue between two threads, which hands on the end and the errors of the one that fills it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")

TICK = 0.1
"""Seconds after which a waiting thread looks whether it shall stop."""


class Channel(Generic[Item]):
    """One thread puts, another takes; at most ``room`` items wait in between."""

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
        """Add an item at once; where there is no room the oldest goes that need not be kept, perhaps this one."""
        with self._changed:
            if len(self._items) >= self._room:
                spare = next((i for i, waiting in enumerate(self._items) if not keep(waiting)), None)
                if spare is not None:
                    del self._items[spare]
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
            TimeoutError: none came for ``patience`` seconds.
        """
        start = time.monotonic()
        with self._changed:
            while not self._items and not self._ended:
                if stop is not None and stop.is_set():
                    return None
                if patience is not None and time.monotonic() - start > patience:
                    raise TimeoutError
                self._changed.wait(TICK)
            if stop is not None and stop.is_set():
                return None
            if not self._items:
                if self._error is not None:
                    raise self._error
                return None
            self._changed.notify_all()
            return self._items.popleft()
