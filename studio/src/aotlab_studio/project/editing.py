"""Edits of masks and of the object list; each is one step of the history.

The page calls those in `actions.ACTIONS`; their parameters, in pixels of the frame, are the fields of its messages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import numpy as np
from msgspec import Meta

from aotlab import InputError
from aotlab_studio.project.history import Change, ChangeList
from aotlab_studio.project.objects import Item, ItemChanges
from aotlab_studio.project.painting import (
    MAX_RADIUS,
    draw_polygon,
    draw_stroke,
    fill_mask_holes,
    find_part,
    limit_to_prompt,
)
from aotlab_studio.project.state import State
from aotlab_studio.protocol import Suggestion

MAX_POINTS = 20_000
Coordinate = Annotated[float, Meta(ge=-1e5, le=1e5)]
Point = tuple[Coordinate, Coordinate]
Points = Annotated[list[Point], Meta(min_length=1, max_length=MAX_POINTS)]
Clicks = Annotated[list[Point], Meta(max_length=MAX_POINTS)]
Corners = Annotated[list[Point], Meta(min_length=3, max_length=MAX_POINTS)]
Radius = Annotated[float, Meta(ge=0.5, le=MAX_RADIUS)]
Box = tuple[Coordinate, Coordinate, Coordinate, Coordinate]

Edit = Callable[[np.ndarray], np.ndarray]
"""from the mask of an object, H×W bool, to its new mask"""
Correction = tuple[Points, bool]
"""points of clicks or of a scribble, and whether they are on the object"""


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


def edit_mask(
    state: State,
    frame: int,
    object_id: int | None,
    edit: Edit,
    title: str,
    *,
    require_change: bool = False,
) -> int:
    """Change the mask of one object on a frame. Other objects lose the pixels it gains, unless they are locked.

    Args:
        object_id: the object; None: a new object, added in the same step.
        edit: returns the new mask.
        require_change: refuse an edit that changes no pixel; otherwise, it makes a tracked mask a given one.

    Returns:
        the object id.

    Raises:
        InputError: no such frame, as `require_editable`, a new object without a pixel, or no change.
    """
    with state.lock:
        if object_id is not None:
            require_editable(state, object_id)
        shown = state.labels(frame)
        before = shown == object_id if object_id is not None else np.zeros(shown.shape, bool)
        after = edit(before) & ~np.isin(shown, state.objects.locked)
        if object_id is None and not after.any():
            raise InputError(f"{title}: covers no free pixel of the image; nothing was changed")
        described = state.list_described(frame)
        if (before == after).all():
            if require_change:
                raise InputError(f"{title}: changes no pixel of the object; nothing was changed")
            if object_id in described:
                return object_id
        with state.step(title, frame) as changes:
            if object_id is None:
                object_id = _add_object(state, changes, None)
            taken = {int(other) for other in np.unique(shown[after & ~before]) if other}
            labels = np.where(before, 0, shown)
            labels[after] = object_id
            changes.append(state.set_keyframe(frame, labels, described | taken | {object_id}))
    return object_id


def paint(
    state: State, frame: int, object_id: int | None, points: Points, radius: Radius, erase: bool = False
) -> int:
    """Draw with a round brush of ``radius`` pixels; as `edit_mask`."""
    area = draw_stroke(state.frames.size, points, radius)
    return _edit_area(state, frame, object_id, area, erase=erase, title="eraser" if erase else "brush")


def outline(state: State, frame: int, object_id: int | None, points: Corners, erase: bool = False) -> int:
    """Fill the inside of a polygon or lasso; as `edit_mask`."""
    return _edit_area(
        state, frame, object_id, draw_polygon(state.frames.size, points), erase=erase, title="outline"
    )


def fill_holes(state: State, frame: int, object_id: int) -> None:
    """Fill the holes of an object; raises `InputError` as `edit_mask`."""
    edit_mask(state, frame, object_id, fill_mask_holes, "fill holes", require_change=True)


def find_protected_pixels(
    state: State, frame: int, object_id: int | None, *, overwrite: bool = False
) -> np.ndarray:
    """Return the pixels H×W bool of other objects that no prompt may take: drawn on the frame, or locked.

    Args:
        object_id: the object of the prompt; None: a new one.
        overwrite: drawn pixels may be taken.
    """
    with state.lock:
        drawn = [] if overwrite else sorted(state.list_described(frame) - {object_id})
        return np.isin(state.labels(frame), [*drawn, *state.objects.locked])


def apply_suggestion(
    state: State,
    frame: int,
    object_id: int | None,
    mask: np.ndarray,
    *,
    extend: bool,
    correction: Correction | None,
    overwrite: bool = False,
) -> Suggestion:
    """Store the mask found for prompts, in one step; as `edit_mask`.

    Args:
        mask: H×W bool.
        extend: add to the object's mask instead of replacing it.
        correction: clicks or a scribble on a mask that is being corrected: only what is near them changes.
        overwrite: take pixels of other objects' given masks too; pixels of tracked masks are always taken.

    Raises:
        InputError: nothing was found, or nothing changes; the mask stays as it was.
    """
    with state.lock:
        shown = state.labels(frame)
        protected = find_protected_pixels(state, frame, object_id, overwrite=overwrite)
        mask = mask & ~protected
        if correction is None and not mask.any():
            if protected.any() and not overwrite:
                raise InputError(
                    "nothing found there but pixels of other objects, drawn or locked; nothing was changed. "
                    "Check “take drawn pixels” to take drawn ones"
                )
            raise InputError(
                "nothing found there; nothing was changed. Try a tighter box, a click, or the brush"
            )

    def edit(before: np.ndarray) -> np.ndarray:
        after = mask
        if correction is not None:
            after = limit_to_prompt(before, mask, correction[0], positive=correction[1])
        after = before | after if extend else after
        if not after.any():
            raise InputError("nothing would be left of the object; press M if it is not on this frame")
        if correction is not None and (after == before).all():
            raise InputError("nothing found at the click; nothing was changed. Use the brush or the eraser")
        return after

    with state.lock:
        object_id = edit_mask(state, frame, object_id, edit, "box and clicks")
        gained = state.labels(frame) == object_id
    taken = sorted(set(np.unique(shown[gained]).tolist()) - {0, object_id})
    return Suggestion(object_id, taken)


def clear(state: State, frame: int, object_id: int) -> None:
    """State that the object is not on this frame; raises `InputError` as `edit_mask`."""
    edit_mask(state, frame, object_id, np.zeros_like, "not here")


def remove_keyframe(state: State, frame: int) -> None:
    """Remove the given masks of a frame, so that tracked masks show again. Locked objects keep theirs."""
    state.frames.require_frame(frame)
    with state.step("remove given mask", frame) as changes:
        kept = state.list_described(frame).intersection(state.objects.locked)
        changes.append(state.set_keyframe(frame, state.keyframe_mask(frame), kept))


def split_object(state: State, frame: int, object_id: int, point: Point) -> int:
    """Make the part of an object's mask under a point, on this frame, a new object; return its id.

    Raises:
        InputError: as `edit_mask`, or the point is not on the object.
    """
    with state.lock:
        require_editable(state, object_id)
        piece = find_part(state.labels(frame) == object_id, point)
        return edit_mask(state, frame, None, lambda _: piece, "split object")


def reassign(state: State, frame: int, object_id: int, point: Point) -> int:
    """Give the part of another object's mask under a point to this object.

    Returns:
        the object that loses it.

    Raises:
        InputError: as `edit_mask`, or no other object is at the point.
    """
    with state.lock:
        item = require_editable(state, object_id)
        shown = state.labels(frame)
        x, y = (int(value) for value in point)
        inside = 0 <= y < shown.shape[0] and 0 <= x < shown.shape[1]
        other = int(shown[y, x]) if inside else 0
        if other in (0, object_id):
            raise InputError(f"reassign: click on a part of another object, which becomes {item.name}'s")
        require_editable(state, other)
        piece = find_part(shown == other, point)
        edit_mask(state, frame, object_id, lambda mask: mask | piece, "reassign part")
    return other


def add_object(state: State, name: str | None = None) -> int:
    """Add an object and return its id; raises `InputError` if there are too many or the name is unusable."""
    with state.step("new object") as changes:
        return _add_object(state, changes, name)


def change_object(state: State, object_id: int, changes: ItemChanges) -> None:
    """Set name, colour, hidden or locked; raises `InputError` for anything else."""
    with state.step("change object") as done, state.edit_objects(done) as objects:
        objects.change(object_id, changes)


def delete_object(state: State, object_id: int) -> None:
    """Remove an object from all frames; raises `InputError` for an unknown or locked one."""
    require_editable(state, object_id, seen=False)
    with state.step("delete object") as changes, state.edit_objects(changes) as objects:
        objects.remap(object_id, 0)


def merge_objects(state: State, object_id: int, into: int) -> None:
    """Make all pixels of one object another's; raises `InputError` for an unknown or locked one."""
    if object_id == into:
        raise InputError(f"object {object_id}: cannot be merged with itself; choose another one")
    for each in (object_id, into):
        require_editable(state, each, seen=False)
    pair = {object_id, into}
    with state.step("merge objects") as changes:
        for frame in state.keyframes:
            described = state.list_described(frame)
            if len(pair & described) == 1:  # its given mask would hide the tracked pixels of the other one
                changes.append(state.set_keyframe(frame, state.labels(frame), described | pair))
        with state.edit_objects(changes) as objects:
            objects.remap(object_id, into)


def drop_results(
    state: State, frame: int, last: int | None = None, object_ids: list[int] | None = None
) -> int:
    """Remove tracked masks from ``frame`` on, except those of locked objects; given masks stay.

    Args:
        last: last frame, included; None: the video's.
        object_ids: the objects; None: all.

    Returns:
        number of frames changed.

    Raises:
        InputError: no such object.
    """
    last = state.frames.count - 1 if last is None else last
    chosen = state.objects.ids if object_ids is None else object_ids
    removed_ids = {state.objects.get(object_id).id for object_id in chosen}.difference(state.objects.locked)
    with state.step("drop results", frame) as changes:
        for index in state.tracked_frames:
            if frame <= index <= last and state.scores(index).keys() & removed_ids:
                changes.append(_drop_objects(state, index, removed_ids))
        return len(changes)


def _drop_objects(state: State, index: int, removed_ids: set[int]) -> Change:
    """Remove objects from the tracked mask of a frame."""
    kept = {
        object_id: score for object_id, score in state.scores(index).items() if object_id not in removed_ids
    }
    if not kept:
        return state.change("tracked", index, None)
    labels = state.tracked_mask(index)
    labels = np.where(np.isin(labels, list(kept)), labels, 0)
    return state.set_tracked(index, labels, kept)


def _edit_area(
    state: State, frame: int, object_id: int | None, area: np.ndarray, *, erase: bool, title: str
) -> int:
    def edit(mask: np.ndarray) -> np.ndarray:
        return mask & ~area if erase else mask | area

    return edit_mask(state, frame, object_id, edit, title, require_change=True)


def _add_object(state: State, changes: ChangeList, name: str | None) -> int:
    with state.edit_objects(changes) as objects:
        return objects.add(name).id
