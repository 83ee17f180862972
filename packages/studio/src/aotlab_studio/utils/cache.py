"""Cache with bounded memory for the items that were used last."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Cached = TypeVar("Cached")


class LRUCache(Generic[Cached]):
    """Cache of items with a limited total size, which ``measure`` returns for each. Thread-safe."""

    def __init__(self, limit: int, measure: Callable[[Cached], int]) -> None:
        self.limit, self._measure = limit, lambda item: max(1, measure(item))
        self.size = 0
        self._items: OrderedDict[Hashable, Cached] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Cached | None:
        """Return an item; None if it is not cached."""
        with self._lock:
            if key in self._items:
                self._items.move_to_end(key)
            return self._items.get(key)

    def put(self, key: Hashable, item: Cached) -> None:
        """Store an item, unless it is larger than the limit."""
        size = self._measure(item)
        with self._lock:
            if key in self._items:
                self.size -= self._measure(self._items.pop(key))
            if size <= self.limit:
                self._items[key] = item
                self.size += size
            while self.size > self.limit:
                self.size -= self._measure(self._items.popitem(last=False)[1])

    def get_or_compute(self, key: Hashable, compute: Callable[[], Cached]) -> Cached:
        """Return an item. If it is not cached, compute and store it first."""
        item = self.get(key)
        if item is None:
            self.put(key, item := compute())
        return item
