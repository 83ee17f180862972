"""Cache of recently used items, bounded in bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Cached = TypeVar("Cached")


class RecentCache(Generic[Cached]):
    """Cache that evicts the least recently used items. Thread-safe.

    Args:
        limit: maximum size in bytes.
        size_of: returns the size of an item in bytes.
    """

    def __init__(self, limit: int, size_of: Callable[[Cached], int]) -> None:
        self.limit, self._size_of = limit, size_of
        self.nbytes = 0
        self._items: OrderedDict[Hashable, Cached] = OrderedDict()
        self._lock = threading.Lock()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._items

    def get(self, key: Hashable) -> Cached | None:
        """Return an item; None if it is not cached."""
        with self._lock:
            if key in self._items:
                self._items.move_to_end(key)
            return self._items.get(key)

    def put(self, key: Hashable, item: Cached) -> None:
        """Store an item, unless it is larger than the limit."""
        self.drop(key)
        with self._lock:
            if self._size_of(item) > self.limit:
                return
            self._items[key] = item
            self.nbytes += self._size_of(item)
            while self.nbytes > self.limit:
                self.nbytes -= self._size_of(self._items.popitem(last=False)[1])

    def drop(self, key: Hashable) -> None:
        """Remove an item, if it is cached."""
        with self._lock:
            if key in self._items:
                self.nbytes -= self._size_of(self._items.pop(key))
