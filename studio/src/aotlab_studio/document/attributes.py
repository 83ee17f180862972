"""Attributes of objects: values that hold from a frame until the next one."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Any

from aotlab import InputError
from aotlab_studio.document.objects import NAME_LENGTH, is_same

Attributes = Mapping[str, Mapping[int, Any]]
"""Values of an object by name and by the frame from which each holds, ascending; None: no value from there on.

``{"sex": {0: "male"}, "pose": {0: "sitting", 8: "standing"}}``: the sex is constant; the object sits on frames 0 to 7.
Any value of JSON is stored; a schema states which ones are wanted.
"""
ALL_FRAMES = range(2**31)


def values_at(changes: Mapping[int, Any], frames: Iterable[int]) -> list[Any]:
    """Return the value of an attribute on each of the frames; None without one."""
    starts, values = [*changes], [None, *changes.values()]
    return [values[bisect_right(starts, frame)] for frame in frames]


def set_value(attributes: Attributes, name: str, value: Any, frame: int | None = None) -> Attributes:
    """Return attributes with a value that holds from a frame on, or on all frames if that is None.

    None as the value removes the one that holds on the frame, or all of them; then the value before it holds.
    """
    changes = {**attributes.get(name, {})} if frame is not None else {}
    if value is not None:
        changes[frame or 0] = value
    elif changes:
        changes.pop(max((start for start in changes if start <= (frame or 0)), default=-1), None)
    others = {key: values for key, values in attributes.items() if key != name}
    return others | ({name: dict(sorted(changes.items()))} if changes else {})


def merge_attributes(below: Attributes, above: Attributes, frames: range = ALL_FRAMES) -> Attributes:
    """Return the values of ``above`` on these frames, and those of ``below`` elsewhere and for names without a value.

    A constant that ``below`` lacks is taken for all frames.
    """
    merged = {**below}
    for name, changes in above.items():
        old = below.get(name, {})
        used = frames if old or [*changes] != [0] else ALL_FRAMES
        starts = sorted({used.start, used.stop, *old, *changes} - {ALL_FRAMES.stop})
        values = zip(starts, values_at(changes, starts), values_at(old, starts), strict=True)
        merged[name] = drop_repeated(
            {frame: value if frame in used and value is not None else before for frame, value, before in values}
        )
    return {name: changes for name, changes in merged.items() if changes}


def read_table(table: Mapping[int, Mapping[str, Any]]) -> Attributes:
    """Return the attributes of an object in a table of annotations: all its values, by the frame from which they hold.

    The name of the object, which annotation files store as the attribute ``name``, is left out.
    """
    names = dict.fromkeys(name for values in table.values() for name in values if name != "name")
    columns = {name: drop_repeated({frame: table[frame].get(name) for frame in sorted(table)}) for name in names}
    return {name: changes for name, changes in columns.items() if changes}


def write_table(attributes: Attributes) -> dict[int, Mapping[str, Any]]:
    """Return attributes as a table of annotations, which begins at frame 0; the opposite of `read_table`."""
    frames = sorted({0}.union(*attributes.values()))
    columns = {name: values_at(changes, frames) for name, changes in attributes.items()}
    return {
        frame: {name: column[row] for name, column in columns.items() if column[row] is not None}
        for row, frame in enumerate(frames)
    }


def drop_repeated(changes: Mapping[int, Any]) -> dict[int, Any]:
    """Return sorted changes without those to the value before."""
    values: Iterable[Any] = [None, *changes.values()]
    return {
        frame: value for (frame, value), before in zip(changes.items(), values, strict=False)
        if not is_same(value, before)
    }  # fmt: skip


def require_usable(name: str, value: object) -> None:
    """Raise `InputError` for a name or a value that a person must not type."""
    texts = (name, str(value))
    if name in ("", "name"):
        problem = "the name is taken" if name else "it has no name"
    elif isinstance(value, float) and not math.isfinite(value):
        problem = f"{value} is not a number"
    elif not all(text.isprintable() and len(text) <= NAME_LENGTH for text in texts):
        problem = f"name or value is longer than {NAME_LENGTH} characters, or not printable"
    else:
        return
    raise InputError(f"attribute {name[:80]!r}: {problem}; choose another text")
