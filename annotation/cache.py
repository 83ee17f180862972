"""A cache that holds the most recently used items, up to a number of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class RecentCache(Generic[Item]):
    """The most recently used items; those that were not used for the longest time make room. Thread-safe."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        """bytes at most"""
        self.nbytes = 0
        self._items: OrderedDict[Hashable, tuple[Item, int]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._items

    def get(self, key: Hashable) -> Item | None:
        """The item of this key, or None."""
        with self._lock:
            found = self._items.get(key)
            if found is None:
                return None
            self._items.move_to_end(key)
            return found[0]

    def put(self, key: Hashable, item: Item, nbytes: int) -> None:
        """Keep an item of ``nbytes``; one that is larger than the limit is not kept."""
        self.drop(key)
        with self._lock:
            if nbytes > self.limit:
                return
            self._items[key] = (item, nbytes)
            self.nbytes += nbytes
            while self.nbytes > self.limit:
                self.nbytes -= self._items.popitem(last=False)[1][1]

    def drop(self, key: Hashable) -> None:
        """Keep this key's item no longer."""
        with self._lock:
            if key in self._items:
                self.nbytes -= self._items.pop(key)[1]
