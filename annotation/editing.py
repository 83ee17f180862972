"""What a person does to masks and objects, as one step of the history each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from aotlab.annotation.history import Change
from aotlab.annotation.objects import Item, usable_name
from aotlab.annotation.state import State
from aotlab.annotation.store import Labels, encode
from aotlab.engine.video.scores import measured
from aotlab.masks.painting import Point, filled, piece_at, polygon, stroke
from aotlab.utils.errors import InputError

Edit = Callable[[np.ndarray], np.ndarray]
"""From the mask of an object, H×W bool, to what it is to be."""


def edit_mask(state: State, index: int, number: int, edit: Edit, title: str) -> None:
    """Change the mask of one object on a frame; what it takes from others they lose, unless they are locked.

    Raises:
        InputError: there is no such frame or object, or it is locked.
    """
    item = state.objects.get(number)
    if item.locked:
        raise InputError(f"{item.name}: is locked; unlock it first")
    state.frames.check(index)
    with state.lock:
        shown = state.labels(index)
        before = shown == number
        after = edit(before)
        locked = [other.number for other in state.objects if other.locked]
        after = after & ~np.isin(shown, locked) if locked else after
        taken = {int(other) for other in np.unique(shown[after & ~before]) if other}
        described = state.described(index)
        if (before == after).all() and number in described:
            return
        labels = np.where(before, 0, shown)
        labels[after] = number
        change = state.give(index, labels, described | taken | {number})
        finish(state, title, [change], index)


def paint(
    state: State, index: int, number: int, points: list[Point], *, radius: float, erase: bool = False
) -> None:
    """Draw with a round brush of ``radius`` pixels; raises `InputError` as `edit_mask` and `stroke`."""
    area = stroke(state.frames.size, points, radius)
    _add(state, index, number, area, erase=erase, title="eraser" if erase else "brush")


def outline(state: State, index: int, number: int, points: list[Point], *, erase: bool = False) -> None:
    """Fill the inside of a polygon or lasso; raises `InputError` as `edit_mask`."""
    _add(state, index, number, polygon(state.frames.size, points), erase=erase, title="outline")


def fill_holes(state: State, index: int, number: int) -> None:
    """Fill what the object surrounds; raises `InputError` as `edit_mask`."""
    edit_mask(state, index, number, filled, "fill holes")


def set_mask(state: State, index: int, number: int, mask: np.ndarray, title: str) -> None:
    """Make this (H×W bool) the object's mask; raises `InputError` as `edit_mask`."""
    edit_mask(state, index, number, lambda _: mask, title)


def clear(state: State, index: int, number: int) -> None:
    """Say that the object is not on this frame; raises `InputError` as `edit_mask`."""
    edit_mask(state, index, number, np.zeros_like, "not here")


def take_back(state: State, index: int) -> None:
    """Remove all that was given on a frame; what was tracked there shows again."""
    state.frames.check(index)
    with state.lock:
        finish(state, "remove given mask", [state.change("given", index, None)], index)


def load_masks(
    state: State, masks: Mapping[int, np.ndarray], names: Mapping[int, str] | None = None
) -> list[int]:
    """Take the objects of label maps as given on their frames, in one step; unknown ids become new objects.

    Args:
        state: is given them.
        masks: H×W ids by frame.
        names: of new objects, by id.

    Returns:
        the objects' numbers.

    Raises:
        InputError: no such frame, another size than the frame's, no object, or too many.
    """
    found = _ids_by_frame(state, masks)
    with state.lock:
        before = state.objects.snapshot()
        try:
            numbers = sorted({number for ids in found.values() for number in ids})
            numbered = {number: _usable(state, number, (names or {}).get(number)) for number in numbers}
        except InputError:
            state.objects.restore(before)
            raise
        changes = [] if state.objects.snapshot() == before else [state.save_objects(before)]
        for index, labels in masks.items():
            own = {number: numbered[number] for number in found[index]}
            changes.append(_give_map(state, index, labels, own))
        finish(state, "load masks", changes, min(masks))
    return list(numbered.values())


def _ids_by_frame(state: State, masks: Mapping[int, np.ndarray]) -> dict[int, list[int]]:
    """The ids of each label map, if the maps can be this video's; raises `InputError` as `load_masks`."""
    height, width = state.frames.size
    found = {}
    for index, labels in masks.items():
        state.frames.check(index)
        if labels.shape != (height, width):
            raise InputError(
                f"mask: {labels.shape[1]}×{labels.shape[0]}, but the frame is {width}×{height}; give one of its size"
            )
        found[index] = [int(number) for number in np.unique(labels) if number]
    if not any(found.values()):
        raise InputError("mask: holds no object; give ids above 0 where objects are")
    return found


def _give_map(state: State, index: int, labels: np.ndarray, numbered: Mapping[int, int]) -> Change:
    """Give the objects of a label map on a frame, by the numbers that they have here; locked ones keep their pixels."""
    ids = np.zeros_like(labels, dtype=np.uint16)
    for number, now in numbered.items():
        ids[labels == number] = now
    shown = state.labels(index)
    locked = [item.number for item in state.objects if item.locked]
    keep = np.isin(shown, locked) | ((ids == 0) & ~np.isin(shown, list(numbered.values())))
    merged = np.where(keep, shown, np.where(np.isin(ids, locked), 0, ids))
    taken = {int(other) for other in np.unique(shown[merged != shown]) if other}
    return state.give(index, merged, state.described(index) | taken | set(numbered.values()))


def add_object(state: State, name: str | None = None) -> Item:
    """A new object; raises `InputError` where there are too many or the name cannot be one."""
    with state.lock:
        before = state.objects.snapshot()
        item = state.objects.add(name)
        finish(state, "new object", [state.save_objects(before)])
        return item


def change_object(state: State, number: int, changes: dict[str, Any]) -> None:
    """Set name, colour, hidden or locked; raises `InputError` for anything else."""
    with state.lock:
        before = state.objects.snapshot()
        state.objects.change(number, changes)
        if state.objects.snapshot() != before:
            finish(state, "change object", [state.save_objects(before)])


def delete_object(state: State, number: int) -> None:
    """Remove an object from all frames; raises `InputError` where there is none."""
    _rename(state, number, 0, "delete object")


def merge_objects(state: State, number: int, into: int) -> None:
    """Let one object's pixels on all frames be another's; raises `InputError` where there is no such object."""
    if number == into:
        raise InputError(f"object {number}: cannot be merged with itself; choose another one")
    _rename(state, number, into, "merge objects")


def drop_results(state: State, first: int, last: int, numbers: Sequence[int] | None = None) -> int:
    """Remove what was tracked on a range of frames, but of locked objects; what was given stays.

    Args:
        state: is changed.
        first: frame.
        last: frame, too.
        numbers: of the objects; None: all.

    Returns:
        on how many frames something was tracked.

    Raises:
        InputError: there is no such object.
    """
    chosen = {state.objects.get(number).number for number in numbers or ()}
    with state.lock:
        free = {item.number for item in state.objects if not item.locked}
        gone = free if numbers is None else free & chosen
        frames = [
            index
            for index in state.tracked_frames
            if first <= index <= last and state.scores(index).keys() & gone
        ]
        finish(state, "drop results", [_without(state, index, gone) for index in frames], first)
    return len(frames)


def _without(state: State, index: int, gone: set[int]) -> Change:
    """Remove objects from what was tracked on a frame."""
    kept = {number: score for number, score in state.scores(index).items() if number not in gone}
    if not kept:
        return state.change("tracked", index, None)
    labels = state.tracked(index)
    labels = np.where(np.isin(labels, list(kept)), labels, 0).astype(np.uint16)
    confidence = {number: score.confidence for number, score in kept.items()}
    differ = {number: score.disagreement for number, score in kept.items() if score.disagreement is not None}
    note = {"scores": measured(labels, sorted(kept), confidence, differ)}
    return state.change("tracked", index, encode(Labels(labels, note)))


def split_object(state: State, index: int, number: int, point: Point) -> Item:
    """Make the part of an object's mask under a point, on this frame, a new object of its own.

    Raises:
        InputError: the point is not on the object, or it is locked.
    """
    state.frames.check(index)
    with state.lock:
        if state.objects.get(number).locked:
            raise InputError(f"{state.objects.get(number).name}: is locked; unlock it first")
        shown = state.labels(index)
        piece = piece_at(shown == number, point)
        before = state.objects.snapshot()
        item = state.objects.add()
        labels = np.where(piece, item.number, shown)
        changes = [state.save_objects(before)]
        changes.append(state.give(index, labels, state.described(index) | {number, item.number}))
        finish(state, "split object", changes, index)
        return item


def finish(state: State, title: str, changes: list[Any], index: int | None = None) -> None:
    """Add a step to the history and tell the listeners."""
    state.history.add(title, [change for change in changes if change.before != change.after], index)
    state.emit("history", titles=state.history.titles)


def _add(state: State, index: int, number: int, area: np.ndarray, *, erase: bool, title: str) -> None:
    edit_mask(state, index, number, lambda mask: mask & ~area if erase else mask | area, title)


def _usable(state: State, number: int, name: str | None) -> int:
    """The object that a number in a file means: the one of this number, or a new one."""
    if number in state.objects:
        return number
    free = state.objects.resolve(number) == number
    return state.objects.add(usable_name(name), number if free else None).number


def _rename(state: State, number: int, to: int, title: str) -> None:
    with state.lock:
        before = state.objects.snapshot()
        state.objects.rename(number, to)
        finish(state, title, [state.save_objects(before)])
