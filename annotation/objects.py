"""The objects of a session: number, name, colour. Deleting and merging rename numbers where masks are read."""

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

    number: int
    """its id in masks"""
    name: str
    colour: str
    """#rrggbb"""
    hidden: bool = False
    """not drawn in the page"""
    locked: bool = False
    """its pixels are changed neither by painting nor by tracking"""


class ObjectTable:
    """All objects of a session in the order they were made; numbers are never used again."""

    def __init__(self) -> None:
        self._items: dict[int, Item] = {}
        self._renamed: dict[int, int] = {}  # number in files to the number that it stands for; 0: deleted
        self._last = 0

    def __contains__(self, number: object) -> bool:
        return number in self._items

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self._items.values())

    @property
    def numbers(self) -> tuple[int, ...]:
        """Ids of all objects."""
        return tuple(self._items)

    def get(self, number: int) -> Item:
        """The object of this id; raises `InputError` if there is none."""
        if number not in self._items:
            have = ", ".join(map(str, self._items)) or "none; add one first"
            raise InputError(f"object {number}: there is no such object; there are {have}")
        return self._items[number]

    def add(self, name: str | None = None, number: int | None = None) -> Item:
        """A new object; raises `InputError` where there are too many, or for an unusable name or number."""
        number = self._last + 1 if number is None else number
        if number in self._items or not 0 < number < 65536 or len(self._items) >= MOST_OBJECTS:
            raise InputError(
                f"object {number}: cannot be added; at most {MOST_OBJECTS} of 1 to 65535, each once"
            )
        self._last = max(self._last, number)
        colour = COLOURS[(number - 1) % len(COLOURS)]
        item = Item(number, checked_name(name or f"object {number}"), colour)
        self._items[number] = item
        return item

    def change(self, number: int, changes: Mapping[str, Any]) -> None:
        """Set name, colour, hidden or locked; raises `InputError` for anything else or unusable values."""
        item = self.get(number)
        for key, value in changes.items():
            if key == "name":
                checked_name(value)
            elif key == "colour":
                if not (isinstance(value, str) and COLOUR.fullmatch(value)):
                    raise InputError(f"colour {value!r}: expected #rrggbb, for example #ff8800")
            elif key not in ("hidden", "locked") or not isinstance(value, bool):
                raise InputError(f"object {number}: cannot set {key!r} to {value!r}")
        self._items[number] = replace(item, **changes)

    def rename(self, number: int, to: int) -> None:
        """Let an object's pixels count as those of another, or as background (0); it is gone from the list."""
        self.get(number)
        if to:
            self.get(to)
        del self._items[number]
        self._renamed = {old: to if new == number else new for old, new in self._renamed.items()}
        self._renamed[number] = to

    def resolve(self, number: int) -> int:
        """What a number in a file stands for; 0 for background."""
        return self._renamed.get(number, number)

    def resolve_ids(self, ids: np.ndarray) -> np.ndarray:
        """What the numbers H×W of a file stand for; the array itself where nothing was renamed."""
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
        self._items = {item.number: item for item in items}


def _checked(item: Item) -> Item:
    """An item that was read from a file; raises `ValueError` where a field of it cannot be."""
    _number(item.number)
    checked_name(item.name)
    if not (isinstance(item.colour, str) and COLOUR.fullmatch(item.colour)):
        raise ValueError(f"colour {str(item.colour)[:40]!r}")
    if not isinstance(item.hidden, bool) or not isinstance(item.locked, bool):
        raise ValueError(f"object {item.number} is hidden or locked in no known way")
    return item


def _number(value: Any) -> int:
    """A number of an object, or 0; raises `ValueError` for anything else."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 65536:
        raise ValueError(f"{str(value)[:40]} where the number of an object is expected")
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
