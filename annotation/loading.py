"""Label maps of files as given masks of a video."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from aotlab.annotation.history import Change
from aotlab.annotation.objects import usable_name
from aotlab.annotation.state import State
from aotlab.utils.errors import InputError


def give_masks(
    state: State, masks: Mapping[int, np.ndarray], names: Mapping[int, str] | None = None
) -> list[int]:
    """Store label maps as given masks, in one step; unknown ids become new objects.

    Args:
        masks: H×W ids by frame.
        names: of new objects, by id.

    Returns:
        the object ids.

    Raises:
        InputError: no such frame, a map of another size, no object, or too many objects.
    """
    found = _ids_by_frame(state, masks)
    with state.step("load masks", min(masks)) as changes:
        before = state.objects.snapshot()
        try:
            object_ids = sorted({object_id for ids in found.values() for object_id in ids})
            numbered = {
                object_id: _usable(state, object_id, (names or {}).get(object_id)) for object_id in object_ids
            }
        except InputError:
            state.objects.restore(before)
            raise
        if state.objects.snapshot() != before:
            changes.append(state.save_objects(before))
        for index, labels in masks.items():
            own = {object_id: numbered[object_id] for object_id in found[index]}
            changes.append(_give_map(state, index, labels, own))
    return list(numbered.values())


def _ids_by_frame(state: State, masks: Mapping[int, np.ndarray]) -> dict[int, list[int]]:
    """Return the ids of each label map; raise `InputError` as `give_masks`."""
    height, width = state.frames.size
    found = {}
    for index, labels in masks.items():
        state.frames.check(index)
        if labels.shape != (height, width):
            raise InputError(
                f"mask: size {labels.shape[1]}×{labels.shape[0]} does not match the video ({width}×{height}); resize it"
            )
        found[index] = [int(object_id) for object_id in np.unique(labels) if object_id]
    if not any(found.values()):
        raise InputError("mask: contains no object; give ids above 0")
    return found


def _give_map(state: State, index: int, labels: np.ndarray, numbered: Mapping[int, int]) -> Change:
    """Store a label map with its ids renamed; locked objects keep their pixels."""
    ids = np.zeros_like(labels, dtype=np.uint16)
    for object_id, now in numbered.items():
        ids[labels == object_id] = now
    shown = state.labels(index)
    locked = [item.id for item in state.objects if item.locked]
    keep = np.isin(shown, locked) | ((ids == 0) & ~np.isin(shown, list(numbered.values())))
    merged = np.where(keep, shown, np.where(np.isin(ids, locked), 0, ids))
    taken = {int(other) for other in np.unique(shown[merged != shown]) if other}
    return state.give(index, merged, state.described(index) | taken | set(numbered.values()))


def _usable(state: State, object_id: int, name: str | None) -> int:
    """Return the object of an id in a file: the one of this id, or a new one."""
    if object_id in state.objects:
        return object_id
    free = state.objects.resolve(object_id) == object_id
    return state.objects.add(usable_name(name), object_id if free else None).id
