"""Edits that move pixels between objects or drop them: delete, merge, split, reassign, drop results."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aotlab.annotation.editing import require_editable
from aotlab.annotation.history import Change
from aotlab.annotation.objects import Item
from aotlab.annotation.state import State
from aotlab.annotation.store import Labels, encode
from aotlab.engine.video.scores import measured
from aotlab.masks.painting import Point, piece_at
from aotlab.utils.errors import InputError


def delete_object(state: State, object_id: int) -> None:
    """Remove an object from all frames; raises `InputError` for an unknown or locked one."""
    require_editable(state, object_id, seen=False)
    _rename(state, object_id, 0, "delete object")


def merge_objects(state: State, object_id: int, into: int) -> None:
    """Make all pixels of one object another's; raises `InputError` for an unknown or locked one."""
    if object_id == into:
        raise InputError(f"object {object_id}: cannot be merged with itself; choose another one")
    for each in (object_id, into):
        require_editable(state, each, seen=False)
    _rename(state, object_id, into, "merge objects")


def split_object(state: State, index: int, object_id: int, point: Point) -> Item:
    """Make the part of an object's mask under a point, on this frame, a new object.

    Raises:
        InputError: as `require_editable`, or the point is not on the object.
    """
    state.frames.check(index)
    with state.lock:
        require_editable(state, object_id)
        shown = state.labels(index)
        piece = piece_at(shown == object_id, point)
        with state.step("split object", index) as changes:
            changes.append(state.add_object(None))
            item = state.objects.get(state.objects.ids[-1])
            labels = np.where(piece, item.id, shown)
            changes.append(state.give(index, labels, state.described(index) | {object_id, item.id}))
    return item


def reassign(state: State, index: int, object_id: int, point: Point) -> int:
    """Give the part of another object's mask under a point to this object.

    Returns:
        the object that loses it.

    Raises:
        InputError: as `require_editable`, or no other object is at the point.
    """
    state.frames.check(index)
    with state.lock:
        item = require_editable(state, object_id)
        shown = state.labels(index)
        x, y = (int(value) for value in point)
        inside = 0 <= y < shown.shape[0] and 0 <= x < shown.shape[1]
        other = int(shown[y, x]) if inside else 0
        if other in (0, object_id):
            raise InputError(f"reassign: click on a part of another object, which becomes {item.name}'s")
        require_editable(state, other)
        labels = np.where(piece_at(shown == other, point), object_id, shown)
        with state.step("reassign part", index) as changes:
            changes.append(state.give(index, labels, state.described(index) | {object_id, other}))
    return other


def drop_results(state: State, first: int, last: int, object_ids: Sequence[int] | None = None) -> int:
    """Remove tracked masks on a range of frames, except those of locked objects; given masks stay.

    Args:
        last: last frame, included.
        object_ids: the objects; None: all.

    Returns:
        number of frames changed.

    Raises:
        InputError: no such object.
    """
    chosen = {state.objects.get(object_id).id for object_id in object_ids or ()}
    with state.lock:
        free = {item.id for item in state.objects if not item.locked}
        gone = free if object_ids is None else free & chosen
        frames = [
            index
            for index in state.tracked_frames
            if first <= index <= last and state.scores(index).keys() & gone
        ]
        with state.step("drop results", first) as changes:
            for index in frames:
                changes.append(_without(state, index, gone))
    return len(frames)


def _without(state: State, index: int, gone: set[int]) -> Change:
    """Remove objects from the tracked mask of a frame."""
    kept = {object_id: score for object_id, score in state.scores(index).items() if object_id not in gone}
    if not kept:
        return state.change("tracked", index, None)
    labels = state.tracked(index)
    labels = np.where(np.isin(labels, list(kept)), labels, 0).astype(np.uint16)
    confidence = {object_id: score.confidence for object_id, score in kept.items()}
    differ = {
        object_id: score.disagreement for object_id, score in kept.items() if score.disagreement is not None
    }
    signs = {object_id: (score.fragment, score.contact, score.flip) for object_id, score in kept.items()}
    note = {"scores": measured(labels, sorted(kept), confidence, differ, signs)}
    return state.change("tracked", index, encode(Labels(labels, note)))


def _rename(state: State, object_id: int, to: int, title: str) -> None:
    with state.step(title) as changes:
        before = state.objects.snapshot()
        state.objects.rename(object_id, to)
        changes.append(state.save_objects(before))
