"""Objects of a session: id, name, colour. Deleting and merging objects rename ids where masks are read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, TypedDict

import msgspec
import numpy as np
from msgspec import Meta

from aotlab import InputError

MAX_OBJECTS = 1000
NAME_LENGTH = 60
COLORS = (
    "#109898", "#ff9810", "#7010c0", "#981010", "#c0ffc0", "#c098ff", "#10ffff", "#c09870", "#404070", "#1010ff",
    "#e04010", "#704040", "#ffe070", "#e0ff10", "#9840c0", "#1070ff", "#ff4098", "#707040", "#9870c0", "#70c0e0",
)  # fmt: skip
"""colours of new objects, in turn; distinct for colour-blind people too, the first ones most"""


ObjectId = Annotated[int, Meta(ge=1, le=65535)]


@dataclass(frozen=True)
class Item:
    """One object."""

    id: ObjectId
    """object id in masks"""
    name: Annotated[str, Meta(max_length=NAME_LENGTH)]
    color: Annotated[str, Meta(pattern="^#[0-9a-f]{6}$")]
    """#rrggbb"""
    hidden: bool = False
    """not drawn in the page"""
    locked: bool = False
    """changed neither by painting nor by tracking"""


class ItemChanges(TypedDict, total=False):
    """New values of an object's fields."""

    name: str
    color: str
    hidden: bool
    locked: bool


@dataclass(frozen=True)
class Snapshot:
    """State of an `ObjectList`."""

    last: Annotated[int, Meta(ge=0, le=65535)]
    items: list[Item]
    renamed: dict[ObjectId, Annotated[int, Meta(ge=0, le=65535)]]


class ObjectList:
    """Objects of a session, oldest first. An id is never used again."""

    def __init__(self) -> None:
        self._items: dict[int, Item] = {}
        self._renamed: dict[int, int] = {}  # id in files to current id; 0: deleted
        self._last = 0

    def __contains__(self, object_id: object) -> bool:
        return object_id in self._items

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items.values())

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of all objects."""
        return tuple(self._items)

    @property
    def locked(self) -> list[int]:
        """Ids of locked objects."""
        return [item.id for item in self if item.locked]

    def get(self, object_id: int) -> Item:
        """Return an object; raise `InputError` for an unknown id."""
        if object_id not in self._items:
            have = ", ".join(map(str, self._items)) or "none; add one first"
            raise InputError(f"object {object_id}: no such object; there are {have}")
        return self._items[object_id]

    def add(self, name: str | None = None, object_id: int | None = None) -> Item:
        """Add an object; raise `InputError` if there are too many, or for an unusable name or id."""
        object_id = self._last + 1 if object_id is None else object_id
        if object_id in self._items or not 0 < object_id < 65536 or len(self._items) >= MAX_OBJECTS:
            raise InputError(
                f"object {object_id}: cannot be added; at most {MAX_OBJECTS} of 1 to 65535, each once"
            )
        item = _check_item(
            Item(object_id, name or f"object {object_id}", COLORS[(object_id - 1) % len(COLORS)])
        )
        self._last = max(self._last, object_id)
        self._items[object_id] = item
        return item

    def change(self, object_id: int, changes: ItemChanges) -> None:
        """Set name, colour, hidden or locked; raise `InputError` for unusable values."""
        self._items[object_id] = _check_item(replace(self.get(object_id), **changes))

    def remap(self, object_id: int, to: int) -> None:
        """Remove an object; its pixels become those of another object, or background (0)."""
        self.get(object_id)
        if to:
            self.get(to)
        del self._items[object_id]
        self._renamed = {old: to if new == object_id else new for old, new in self._renamed.items()}
        self._renamed[object_id] = to

    def resolve(self, object_id: int) -> int:
        """Return the current id for an id in a file; 0 for background."""
        return self._renamed.get(object_id, object_id)

    def resolve_ids(self, ids: np.ndarray) -> np.ndarray:
        """Return the current ids for ids H×W of a file; the same array if nothing was renamed."""
        if not self._renamed or not ids.size:
            return ids
        table = np.arange(max(int(ids.max()), *self._renamed) + 1, dtype=np.uint16)
        for old, new in self._renamed.items():
            table[old] = new
        return table[ids]

    def snapshot(self) -> bytes:
        """Return everything as JSON."""
        return msgspec.json.encode(Snapshot(self._last, list(self), self._renamed))

    def restore(self, content: bytes) -> None:
        """Return to a `snapshot`."""
        state = msgspec.json.decode(content, type=Snapshot)
        self._items = {item.id: item for item in state.items}
        self._renamed, self._last = state.renamed, state.last


def _check_item(item: Item) -> Item:
    """Return the object; raise `InputError` for an unusable field."""
    if not (item.name.strip() and item.name.isprintable() and len(item.name) <= NAME_LENGTH):
        raise InputError(f"name {item.name[:80]!r}: expected 1 to {NAME_LENGTH} printable characters")
    if not re.fullmatch("#[0-9a-f]{6}", item.color):
        raise InputError(f"colour {item.color[:80]!r}: expected #rrggbb, for example #ff8800")
    return item
