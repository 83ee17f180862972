"""Layers to track: for a person's request, and after an edit of drawn masks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from functools import cache, partial
from itertools import chain

import numpy as np

from aotlab import InputError
from aotlab_studio.document.log import Direction, Layer
from aotlab_studio.document.snapshot import Snapshot
from aotlab_studio.utils.video import require_frame


def plan_request(
    snapshot: Snapshot,
    start: int,
    direction: Direction = "forward",
    first: int = 0,
    last: int | None = None,
    object_id: int | None = None,
) -> Layer:
    """Return the layer that tracks objects from a frame; raise `InputError` for unusable frames or a locked object.

    Args:
        start: frame to track from. If it shows no mask, the nearest drawn frame in the direction is used.
        direction: ``forward`` to ``last``, ``backward`` to ``first``, or ``both``: the whole range, from all its drawn
            masks.
        last: last frame of the range; None means the last editable one.
        object_id: the only object to track, so that all others keep their pixels; None: all unlocked objects.
    """
    last = snapshot.editable_range[1] if last is None else last
    for index in (start, first, last):
        require_frame(index, snapshot.count)
    first = max(first, snapshot.editable_range[0])
    if not first <= start <= last:
        raise InputError(f"range {first} to {last}: does not contain frame {start}, where tracking starts")
    chosen_ids = [*snapshot.objects] if object_id is None else [snapshot.find_object(object_id).id]
    object_ids = {*chosen_ids} - {*snapshot.locked_ids}
    if chosen_ids and not object_ids:
        names = "all objects are" if object_id is None else f"{snapshot.objects[object_id].name} is"
        raise InputError(f"tracking: {names} locked; unlock one first")
    frames = sorted({start, *(index for index in snapshot.drawn_frames if first <= index <= last)})
    references = [index for index in frames if np.isin(snapshot.labels(index), [*object_ids]).any()]
    if direction == "forward":
        references = [index for index in references if index >= start][:1]
        first = references[0] + 1 if references else first
    elif direction == "backward":
        references = [index for index in references if index <= start][-1:]
        last = references[0] - 1 if references else last
    if not references:
        raise InputError(f"frame {start}: no mask to track; draw an object on it first")
    if first > last or (direction == "both" and first == last):
        raise InputError(f"frame {start}: no further frame in this direction; go to another frame")
    if {*range(first, last + 1)}.issubset([*snapshot.frozen_frames, *references]):
        raise InputError(f"frame {start}: all frames to track are frozen; unfreeze one first")
    reference = references.pop(references.index(start) if start in references else 0)
    ids = snapshot.expand_merged_ids(object_ids)
    return Layer(ids, first, last, reference, direction, references, takes_from=None if object_id is None else [])


def plan_corrections(before: Snapshot, after: Snapshot, frames: Collection[int]) -> Iterator[Layer]:
    """Yield the layers that track objects again after an edit of their drawn masks on some frames, in order.

    An object is tracked from its new mask. If the edit removes its mask, it is tracked from the nearest other one.
    """
    is_tracked = _flag_tracked(before)
    if not is_tracked.any():
        return
    find_overlapped = cache(partial(find_overlapped_objects, before, after))
    drawn_ids = chain.from_iterable(snapshot.drawn_masks(index) for snapshot in (before, after) for index in frames)
    for object_id in sorted({*map(after.state.resolve, drawn_ids)} - {0}):
        references = _find_references(before, after, object_id, frames)
        yield from _plan_object(before, after, object_id, references, is_tracked, find_overlapped)


def _find_references(before: Snapshot, after: Snapshot, object_id: int, frames: Collection[int]) -> set[int]:
    """Return the frames of an object's new masks, and for each removed mask that of the nearest other one."""
    old, new = after.find_sources(object_id, before.sources), after.find_sources(object_id)
    # two objects that the edit merges have each been tracked from their own masks only
    parts = [before.find_sources(key) for key in before.objects if after.state.resolve(key) == object_id]
    references = set[int]()
    for frame in frames:
        if frame in new:
            if new[frame] != old.get(frame) or not all(frame in part for part in parts):
                references.add(frame)
        elif frame in old:
            earlier = [index for index in new if index < frame][-1:]
            later = [index for index in new if index > frame][:1]
            is_absent = object_id in after.drawn_masks(frame)  # tracking does not continue over this frame
            references.update(earlier + later if is_absent else earlier or later)
    return references


def _plan_object(
    before: Snapshot,
    after: Snapshot,
    object_id: int,
    references: Collection[int],
    is_tracked: np.ndarray,
    find_overlapped: Callable[[int], dict[int, list[int]]],
) -> Iterator[Layer]:
    """Yield the layers that track an object again from its changed masks on ``references``.

    For an object that was drawn (D) on frames 2 and 6 and tracked (t) on others, the layers are::

        frame                         0  1  2  3  4  5  6  7  8  9
        masks before the edit         -  t  D  t  t  t  D  t  t  -
        mask 2 drawn again               <--R----------             Layer(first=1, last=5, reference_frame=2)
        mask 6 drawn again                     <--------R----->     Layer(3, 8, 6, drawn_frames=[2])

    The gap before mask 6 is tracked from both masks, as all its frames have masks. ``is_tracked``, N bool, flags the
    frames that were tracked before the edit, or waited for tracking. ``find_overlapped`` is `find_overlapped_objects`
    of a frame.
    """
    object_ids, drawn_masks = after.expand_merged_ids([object_id]), after.state.drawn_masks
    shows_object = _flag_tracked(before, object_ids)
    shows_object[[*before.find_sources(object_id)]] = True
    is_annotated = is_tracked.copy()
    is_annotated[[*before.drawn_frames, *after.drawn_frames]] = True

    def is_tracked_from_both(start: int, end: int) -> bool:
        gap, is_present = slice(start + 1, end), drawn_masks.get(start, {}).get(object_id)
        return bool(end in references and is_present and is_annotated[gap].all() and is_tracked[gap].any())

    frames = [-1, *(index for index, masks in drawn_masks.items() if object_id in masks), after.count]
    for previous, frame, following in zip(frames, frames[1:], frames[2:], strict=False):
        if frame in references:
            is_next_merged = is_tracked_from_both(frame, following)
            takes_from = find_overlapped(frame).get(object_id, [])
            last = frame if is_next_merged else _reach_forward(frame, following, is_annotated, is_tracked)
            if is_tracked_from_both(previous, frame):
                yield Layer(object_ids, previous + 1, last, frame, "correction", [previous], takes_from=takes_from)
            elif (first := _reach_back(frame, previous, shows_object)) < last:
                yield Layer(object_ids, first, last, frame, "correction", takes_from=takes_from)


def find_overlapped_objects(before: Snapshot, after: Snapshot, frame: int) -> dict[int, list[int]]:
    """Return the objects that lose pixels to each drawn mask of a frame, by an edit or as it covers tracked masks."""
    losers = dict[int, list[int]]()
    with suppress(InputError):  # a damaged mask
        drawn, drawn_ids = after.drawn_labels(frame), after.drawn_masks(frame).keys()
        shown, tracked = before.labels(frame), before.tracked_labels(frame)
        tracked[np.isin(tracked, [*drawn_ids])] = 0
        for object_id in drawn_ids:
            covered = np.union1d(shown[drawn == object_id], tracked[drawn == object_id]).tolist()
            losers[object_id] = sorted({*map(after.state.resolve, covered)} - {0, object_id})
    return losers


def _reach_back(frame: int, previous: int, shows_object: np.ndarray) -> int:
    """Return the first frame after ``previous`` from which on all frames before ``frame`` show the object."""
    return next((index for index in range(frame, previous + 1, -1) if not shows_object[index - 1]), previous + 1)


def _reach_forward(frame: int, following: int, is_annotated: np.ndarray, is_tracked: np.ndarray) -> int:
    """Return the last tracked frame before ``following`` up to which all frames after ``frame`` have masks."""
    end = next((index for index in range(frame + 1, following) if not is_annotated[index]), following)
    return next((index for index in range(end - 1, frame, -1) if is_tracked[index]), frame)


def _flag_tracked(snapshot: Snapshot, layer_objects: Collection[int] | None = None) -> np.ndarray:
    """Flag the frames like `Snapshot.flag_tracked`, and also those that wait for tracking."""
    is_tracked = snapshot.flag_tracked(layer_objects)
    for waiting in snapshot.waiting.values():
        for key, flags in waiting.items():
            if layer_objects is None or key in layer_objects:
                is_tracked |= flags
    return is_tracked
