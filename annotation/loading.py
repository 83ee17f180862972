"""Masks of files as given masks of a video."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from aotlab.annotation.history import Change
from aotlab.annotation.objects import usable_name
from aotlab.annotation.state import State
from aotlab.utils.errors import InputError


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
    with state.step("load masks", min(masks)) as changes:
        before = state.objects.snapshot()
        try:
            numbers = sorted({number for ids in found.values() for number in ids})
            numbered = {number: _usable(state, number, (names or {}).get(number)) for number in numbers}
        except InputError:
            state.objects.restore(before)
            raise
        if state.objects.snapshot() != before:
            changes.append(state.save_objects(before))
        for index, labels in masks.items():
            own = {number: numbered[number] for number in found[index]}
            changes.append(_give_map(state, index, labels, own))
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


def _usable(state: State, number: int, name: str | None) -> int:
    """The object that a number in a file means: the one of this number, or a new one."""
    if number in state.objects:
        return number
    free = state.objects.resolve(number) == number
    return state.objects.add(usable_name(name), number if free else None).number
