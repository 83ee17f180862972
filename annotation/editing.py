"""Edits of masks and of the object list; each is one step of the history."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from aotlab.annotation.objects import Item, ItemChanges
from aotlab.annotation.state import State
from aotlab.masks.painting import Point, filled, near_click, polygon, stroke
from aotlab.utils.errors import InputError

Edit = Callable[[np.ndarray], np.ndarray]
"""from the mask of an object, H×W bool, to its new mask"""
Click = tuple[Point, bool]
"""point, and whether it is on the object"""


def require_editable(state: State, object_id: int, *, seen: bool = True) -> Item:
    """Return the object.

    Raises:
        InputError: no such object, it is locked, or (with ``seen``) it is hidden, so that nobody would see the change.
    """
    item = state.objects.get(object_id)
    if item.locked:
        raise InputError(f"{item.name}: is locked; unlock it first")
    if seen and item.hidden:
        raise InputError(f"{item.name}: is hidden; show it first")
    return item


def edit_mask(state: State, index: int, object_id: int | None, edit: Edit, title: str) -> int:
    """Change the mask of one object on a frame. Other objects lose the pixels it gains, unless they are locked.

    Args:
        object_id: the object; None: a new object, added in the same step.
        edit: returns the new mask.

    Returns:
        the object id.

    Raises:
        InputError: no such frame, as `require_editable`, or a new object without a pixel.
    """
    state.frames.check(index)
    with state.lock:
        if object_id is not None:
            require_editable(state, object_id)
        shown = state.labels(index)
        before = shown == object_id if object_id is not None else np.zeros(shown.shape, bool)
        after = edit(before) & ~np.isin(shown, [other.id for other in state.objects if other.locked])
        if object_id is None and not after.any():
            raise InputError(f"{title}: covers no free pixel of the image; nothing was changed")
        described = state.described(index)
        if object_id in described and (before == after).all():
            return object_id
        with state.step(title, index) as changes:
            if object_id is None:
                changes.append(state.add_object(None))
                object_id = state.objects.ids[-1]
            taken = {int(other) for other in np.unique(shown[after & ~before]) if other}
            labels = np.where(before, 0, shown)
            labels[after] = object_id
            changes.append(state.give(index, labels, described | taken | {object_id}))
    return object_id


def paint(
    state: State,
    index: int,
    object_id: int | None,
    points: list[Point],
    *,
    radius: float,
    erase: bool = False,
) -> int:
    """Draw with a round brush of ``radius`` pixels; as `edit_mask`. Raises `InputError` as `stroke`, too."""
    area = stroke(state.frames.size, points, radius)
    return _add(state, index, object_id, area, erase=erase, title="eraser" if erase else "brush")


def outline(
    state: State, index: int, object_id: int | None, points: list[Point], *, erase: bool = False
) -> int:
    """Fill the inside of a polygon or lasso; as `edit_mask`."""
    return _add(state, index, object_id, polygon(state.frames.size, points), erase=erase, title="outline")


def fill_holes(state: State, index: int, object_id: int) -> None:
    """Fill the holes of an object; raises `InputError` as `edit_mask`."""
    edit_mask(state, index, object_id, filled, "fill holes")


def suggested(
    state: State, index: int, object_id: int | None, found: np.ndarray, *, extend: bool, at: Click | None
) -> int:
    """Store the mask found for prompts, in one step; as `edit_mask`.

    Args:
        found: H×W bool.
        extend: add to the object's mask instead of replacing it.
        at: the newest click on a mask that is being corrected: only what is near it changes.

    Raises:
        InputError: nothing was found, or nothing changes; the mask stays as it was.
    """
    locked = [other.id for other in state.objects if other.locked]
    if at is None and not (found & ~np.isin(state.labels(index), locked)).any():
        raise InputError("nothing found there; nothing was changed. Try a tighter box, a click, or the brush")

    def edit(before: np.ndarray) -> np.ndarray:
        after = found if at is None else near_click(before, found, at[0], positive=at[1])
        after = before | after if extend else after
        if not after.any():
            raise InputError("nothing would be left of the object; press M if it is not on this frame")
        if at is not None and (after == before).all():
            raise InputError("nothing found at the click; nothing was changed. Use the brush or the eraser")
        return after

    return edit_mask(state, index, object_id, edit, "box and clicks")


def clear(state: State, index: int, object_id: int) -> None:
    """State that the object is not on this frame; raises `InputError` as `edit_mask`."""
    edit_mask(state, index, object_id, np.zeros_like, "not here")


def remove_given(state: State, index: int) -> None:
    """Remove the given masks of a frame, so that tracked masks show again. Locked objects keep theirs."""
    state.frames.check(index)
    with state.lock:
        kept = {item.id for item in state.objects if item.locked} & state.described(index)
        with state.step("remove given mask", index) as changes:
            changes.append(state.give(index, state.given(index), kept))


def add_object(state: State, name: str | None = None) -> Item:
    """Add an object; raises `InputError` if there are too many or the name is unusable."""
    with state.step("new object") as changes:
        changes.append(state.add_object(name))
    return state.objects.get(state.objects.ids[-1])


def change_object(state: State, object_id: int, changes: ItemChanges) -> None:
    """Set name, colour, hidden or locked; raises `InputError` for anything else."""
    with state.step("change object") as done:
        before = state.objects.snapshot()
        state.objects.change(object_id, changes)
        if state.objects.snapshot() != before:
            done.append(state.save_objects(before))


def _add(
    state: State, index: int, object_id: int | None, area: np.ndarray, *, erase: bool, title: str
) -> int:
    return edit_mask(state, index, object_id, lambda mask: mask & ~area if erase else mask | area, title)
