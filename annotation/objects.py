"""The objects of a session: id, name, colour. Deleting and merging rename ids where masks are read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from aotlab.utils.errors import InputError
from aotlab.utils.own_files import Kind, reading_own

OBJECTS = Kind("list of objects", 1, "restore the file from a copy, or delete it")
MOST_OBJECTS = 1000
NAME_LENGTH = 60
COLOUR = re.compile("#[0-9a-f]{6}")
COLOURS = (
    "#109898", "#ff9810", "#7010c0", "#981010", "#c0ffc0", "#c098ff", "#10ffff", "#c09870", "#404070", "#1010ff",
    "#e04010", "#704040", "#ffe070", "#e0ff10", "#9840c0", "#1070ff", "#ff4098", "#707040", "#9870c0", "#70c0e0",
)  # fmt: skip
"""Given to new objects in turn; far from each other for colour-blind people too, the first ones most"""


@dataclass(frozen=True)
class Item:
    """One object."""

    id: int
    """object id in masks"""
    name: str
    colour: str
    """#rrggbb"""
    hidden: bool = False
    """not drawn in the page"""
    locked: bool = False
    """its pixels are changed neither by painting nor by tracking"""


class ObjectList:
    """All objects of a session in the order they were made; ids are never used again."""

    def __init__(self) -> None:
        self._items: dict[int, Item] = {}
        self._renamed: dict[int, int] = {}  # id in files to the id that it stands for; 0: deleted
        self._last = 0

    def __contains__(self, object_id: object) -> bool:
        return object_id in self._items

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self._items.values())

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of all objects."""
        return tuple(self._items)

    def get(self, object_id: int) -> Item:
        """The object of this id; raises `InputError` if there is none."""
        if object_id not in self._items:
            have = ", ".join(map(str, self._items)) or "none; add one first"
            raise InputError(f"object {object_id}: there is no such object; there are {have}")
        return self._items[object_id]

    def add(self, name: str | None = None, object_id: int | None = None) -> Item:
        """A new object; raises `InputError` where there are too many, or for an unusable name or id."""
        object_id = self._last + 1 if object_id is None else object_id
        if object_id in self._items or not 0 < object_id < 65536 or len(self._items) >= MOST_OBJECTS:
            raise InputError(
                f"object {object_id}: cannot be added; at most {MOST_OBJECTS} of 1 to 65535, each once"
            )
        self._last = max(self._last, object_id)
        colour = COLOURS[(object_id - 1) % len(COLOURS)]
        item = Item(object_id, checked_name(name or f"object {object_id}"), colour)
        self._items[object_id] = item
        return item

    def change(self, object_id: int, changes: Mapping[str, Any]) -> None:
        """Set name, colour, hidden or locked; raises `InputError` for anything else or unusable values."""
        item = self.get(object_id)
        for key, value in changes.items():
            if key == "name":
                checked_name(value)
            elif key == "colour":
                if not (isinstance(value, str) and COLOUR.fullmatch(value)):
                    raise InputError(f"colour {value!r}: expected #rrggbb, for example #ff8800")
            elif key not in ("hidden", "locked") or not isinstance(value, bool):
                raise InputError(f"object {object_id}: cannot set {key!r} to {value!r}")
        self._items[object_id] = replace(item, **changes)

    def rename(self, object_id: int, to: int) -> None:
        """Let an object's pixels count as those of another, or as background (0); it is gone from the list."""
        self.get(object_id)
        if to:
            self.get(to)
        del self._items[object_id]
        self._renamed = {old: to if new == object_id else new for old, new in self._renamed.items()}
        self._renamed[object_id] = to

    def resolve(self, object_id: int) -> int:
        """What an id in a file stands for; 0 for background."""
        return self._renamed.get(object_id, object_id)

    def resolve_ids(self, ids: np.ndarray) -> np.ndarray:
        """What the ids H×W of a file stand for; the array itself where nothing was renamed."""
        if not self._renamed or not ids.size:
            return ids
        table = np.arange(max(int(ids.max()), *self._renamed) + 1, dtype=np.uint16)
        for old, new in self._renamed.items():
            table[old] = new
        return table[ids]

    def snapshot(self) -> bytes:
        """All of it, as JSON."""
        return json.dumps(
            {
                "last": self._last,
                "items": [asdict(item) for item in self._items.values()],
                "renamed": {str(old): new for old, new in self._renamed.items()},
            }
        ).encode()

    def restore(self, content: bytes) -> None:
        """Become what `snapshot` wrote; raises `InputError` where it is something else."""
        with reading_own("project.json", OBJECTS):
            read = json.loads(content)
            items = [_checked(Item(**item)) for item in read["items"]]
            renamed = {_number(int(old)): _number(new) for old, new in read["renamed"].items()}
            last = _number(read["last"])
        self._renamed, self._last = renamed, last
        self._items = {item.id: item for item in items}


def _checked(item: Item) -> Item:
    """An item that was read from a file; raises `ValueError` where a field of it cannot be."""
    _number(item.id)
    checked_name(item.name)
    if not (isinstance(item.colour, str) and COLOUR.fullmatch(item.colour)):
        raise ValueError(f"colour {str(item.colour)[:40]!r}")
    if not isinstance(item.hidden, bool) or not isinstance(item.locked, bool):
        raise ValueError(f"object {item.id} is hidden or locked in no known way")
    return item


def _number(value: Any) -> int:
    """An object id, or 0; raises `ValueError` for anything else."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 65536:
        raise ValueError(f"{str(value)[:40]} where an object id is expected")
    return value


def checked_name(name: Any) -> str:
    """The name, if it can be one; raises `InputError` otherwise."""
    if not isinstance(name, str) or not name.strip() or len(name) > NAME_LENGTH or not name.isprintable():
        raise InputError(f"name {str(name)[:80]!r}: expected 1 to {NAME_LENGTH} printable characters")
    return name


def usable_name(text: str | None) -> str | None:
    """What can be a name of a text from a file; None where nothing is left."""
    kept = "".join(letter for letter in (text or "") if letter.isprintable()).strip()[:NAME_LENGTH]
    return kept or None
