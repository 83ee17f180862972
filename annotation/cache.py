"""Cache of recently used items, bounded in bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Cached = TypeVar("Cached")


class RecentCache(Generic[Cached]):
    """Cache that evicts the least recently used items. Thread-safe."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        """maximum size in bytes"""
        self.nbytes = 0
        self._items: OrderedDict[Hashable, tuple[Cached, int]] = OrderedDict()
        self._lock = threading.Lock()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._items

    def get(self, key: Hashable) -> Cached | None:
        """Return an item; None if it is not cached."""
        with self._lock:
            found = self._items.get(key)
            if found is None:
                return None
            self._items.move_to_end(key)
            return found[0]

    def put(self, key: Hashable, item: Cached, nbytes: int) -> None:
        """Store an item of ``nbytes``, unless it is larger than the limit."""
        self.drop(key)
        with self._lock:
            if nbytes > self.limit:
                return
            self._items[key] = (item, nbytes)
            self.nbytes += nbytes
            while self.nbytes > self.limit:
                self.nbytes -= self._items.popitem(last=False)[1][1]

    def drop(self, key: Hashable) -> None:
        """Remove an item, if it is cached."""
        with self._lock:
            if key in self._items:
                self.nbytes -= self._items.pop(key)[1]
