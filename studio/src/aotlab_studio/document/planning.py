"""Frames to track: layers of requests and of corrections, and the spans of a layer in the order of tracking."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import chain, takewhile

import numpy as np

from aotlab import InputError
from aotlab_studio.document.log import Direction, Layer
from aotlab_studio.document.snapshot import Snapshot
from aotlab_studio.video import require_frame


@dataclass(frozen=True)
class Span:
    """Frames tracked forward, backward, or in both directions and merged between the two references.

    ``Span(range(11, 31))``: from frame 10 to 30. ``Span(range(11, 31), range(29, 9, -1), (10, 30))``: between both.
    """

    forward: range = range(0)
    """frames after a reference"""
    backward: range = range(0)
    """frames before a reference, the nearest first"""
    references: tuple[int, ...] = ()
    """with both directions: frames by whose distance they are weighted, object by object"""


def plan_request(
    snapshot: Snapshot,
    start: int,
    direction: Direction = "forward",
    first: int = 0,
    last: int | None = None,
) -> Layer:
    """Return the layer of a person's request for all unlocked objects; raise `InputError` for unusable frames.

    Args:
        start: frame whose masks are the reference.
        direction: ``forward`` to ``last``, ``backward`` to ``first``, or ``both``: the whole range, merged between
            keyframes.
        last: last frame; None: the last editable one.
    """
    last = snapshot.editable_range[1] if last is None else last
    for index in (start, first, last):
        require_frame(index, snapshot.count)
    first = max(first, snapshot.editable_range[0])
    if not first <= start <= last:
        raise InputError(f"range {first} to {last}: does not contain frame {start}, where tracking starts")
    object_ids = snapshot.objects.keys() - snapshot.locked_ids
    if snapshot.objects and not object_ids:
        raise InputError("tracking: all objects are locked; unlock one first")
    references = _list_references(snapshot, first, last, start)
    if direction == "forward":
        references = [index for index in references if index >= start]
        first = references[0] + 1 if references else first
    elif direction == "backward":
        references = [index for index in references if index <= start][-1:]
        last = references[0] - 1 if references else last
    if not references:
        raise InputError(f"frame {start}: no mask to track; draw an object on it first")
    if first > last or (direction == "both" and first == last):
        raise InputError(f"frame {start}: no further frame in this direction; go to another frame")
    return Layer(snapshot.include_merged_ids(object_ids), first, last, references[0], direction)


def plan_corrections(before: Snapshot, after: Snapshot, frames: Collection[int]) -> list[Layer]:
    """Return the layers that track each object again whose drawn mask an edit changes on one of some frames.

    An object is tracked from its new mask, or from the nearest one if its mask is removed.
    """
    drawn_ids = {*chain.from_iterable(side.keyframe(index) for side in (before, after) for index in frames)}
    layers: list[Layer | None] = []
    for object_id in sorted({after.state.resolve(key) for key in drawn_ids} - {0}):
        then, now = (after.find_drawn_masks(object_id, side.state) for side in (before, after))
        references = set[int]()
        for frame in frames:
            if frame in now and now[frame] != then.get(frame):
                references.add(frame)
            elif frame in then and frame not in now:
                earlier = [index for index in now if index < frame][-1:]
                later = [index for index in now if index > frame][:1]
                is_absent = object_id in after.keyframe(frame)  # which tracking does not pass
                references.update(earlier + later if is_absent else earlier or later)
        layers += [_plan_correction(before, after, index, object_id) for index in sorted(references)]
    return [layer for layer in layers if layer is not None]


def _plan_correction(before: Snapshot, after: Snapshot, frame: int, object_id: int) -> Layer | None:
    """Return the layer that tracks an object from a keyframe; None if no frame depends on it.

    It covers frames with results, present or to come, up to the keyframes of the object before and after it; before
    it, only frames that have results of the object or are between two of its masks.

    Args:
        before: the document before the edit, whose results the edit keeps; its keyframes are passed too.
    """
    object_ids = after.include_merged_ids([object_id])
    own_frames = [index for index in after.keyframes if object_id in after.keyframe(index)]
    previous = max((index for index in own_frames if index < frame), default=-1)
    following = min((index for index in own_frames if index > frame), default=after.count)
    has_result = _flag_results(before)
    passable = has_result.copy()
    passable[[*before.keyframes, *after.keyframes]] = True
    # after the keyframe: frames with results, up to the next keyframe of the object
    reachable = takewhile(passable.__getitem__, range(frame + 1, following))
    last = max((index for index in reachable if has_result[index]), default=frame)
    # before it: all frames since its previous keyframe, or those with its results
    gap = slice(previous + 1, frame)
    if (
        previous >= 0
        and after.keyframe(previous)[object_id]
        and passable[gap].all()
        and has_result[gap].any()
    ):
        return Layer(object_ids, previous + 1, last, frame, "correction", previous)
    has_own_result = _flag_results(before, object_ids)
    first = min(takewhile(has_own_result.__getitem__, range(frame - 1, previous, -1)), default=frame)
    return None if first == last == frame else Layer(object_ids, first, last, frame, "correction")


def _flag_results(snapshot: Snapshot, layer_objects: Collection[int] | None = None) -> np.ndarray:
    """Return which frames have or will have results of objects, as `Snapshot.flag_tracked`."""
    has_result = snapshot.flag_tracked(layer_objects)
    for layer_id in snapshot.pending:  # what is going to be tracked will be outdated
        layer = snapshot.state.layers[layer_id]
        if layer_objects is None or not set(layer_objects).isdisjoint(layer.objects):
            has_result[layer.first : layer.last + 1] = True
    return has_result


def plan_spans(snapshot: Snapshot, layer: Layer) -> list[Span]:
    """Return the spans of a layer in the order of tracking.

    The snapshot is the document's at the layer's entry.
    """
    first, last, start, prior = layer.first, layer.last, layer.reference_frame, layer.previous_keyframe
    forward, backward = Span(range(start + 1, last + 1)), Span(backward=range(start - 1, first - 1, -1))
    if layer.kind == "both":
        references = _list_references(snapshot, first, last, start)
        if len(references) > 1:
            frames = range(references[0] + 1, last + 1), range(references[-1] - 1, first - 1, -1)
            return [Span(*frames, tuple(references))]
    elif layer.kind == "correction" and prior is not None:
        backward = Span(range(prior + 1, start + 1), range(start - 1, prior - 1, -1), (prior, start))
    return [span for span in (forward, backward) if span.forward or span.backward]


def _list_references(snapshot: Snapshot, first: int, last: int, start: int) -> list[int]:
    """Return the start and the frames of a range with drawn masks, if they show a mask."""
    keyframes = [index for index in snapshot.keyframes if first <= index <= last]
    return [index for index in sorted({*keyframes, start}) if snapshot.labels(index).any()]
