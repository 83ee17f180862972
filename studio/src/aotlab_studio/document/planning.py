"""Frames to track: layers of requests and of corrections, and the spans of a layer in the order of tracking."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection
from dataclasses import dataclass
from itertools import takewhile

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
    object_ids = {*snapshot.objects}.difference(snapshot.locked_ids)
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
    return Layer(include_merged_ids(snapshot, object_ids), first, last, references[0], direction)


def plan_correction(
    snapshot: Snapshot, frame: int, object_id: int, *, removed: int | None = None
) -> Layer | None:
    """Return the layer that tracks an object again from a changed keyframe; None if it outdates no frame.

    It covers frames with results, present or to come, up to the keyframes of the object before and after it; before
    it, only frames that have results of the object or are between two of its masks.

    Args:
        frame: the keyframe.
        removed: keyframe that is being removed.
    """
    object_ids = include_merged_ids(snapshot, {object_id})
    previous, following = _find_neighbors(snapshot, frame, object_id, removed)
    has_result = _flag_results(snapshot)
    passable = has_result.copy()
    passable[snapshot.keyframes] = True
    # after the keyframe: frames with results, up to the next keyframe of the object
    reachable = takewhile(passable.__getitem__, range(frame + 1, following))
    last = max((index for index in reachable if has_result[index]), default=frame)
    # before it: all frames since its previous keyframe, or those with its results
    gap = slice(previous + 1, frame)
    if (
        previous >= 0
        and snapshot.keyframe(previous)[object_id]
        and passable[gap].all()
        and has_result[gap].any()
    ):
        return Layer(object_ids, previous + 1, last, frame, "correction", previous)
    has_own_result = _flag_results(snapshot, object_ids)
    first = min(takewhile(has_own_result.__getitem__, range(frame - 1, previous, -1)), default=frame)
    return None if first == last == frame else Layer(object_ids, first, last, frame, "correction")


def _find_neighbors(snapshot: Snapshot, frame: int, object_id: int, removed: int | None) -> tuple[int, int]:
    """Return the keyframes of an object before and after a frame; -1 and the number of frames without one."""
    own_frames = (index for index in snapshot.keyframes if object_id in snapshot.keyframe(index))
    frames = [-1, *(index for index in own_frames if index not in (frame, removed)), snapshot.count]
    place = bisect_left(frames, frame)
    return frames[place - 1], frames[place]


def _flag_results(snapshot: Snapshot, layer_objects: Collection[int] | None = None) -> np.ndarray:
    """Return which frames have or will have results of objects, as `Snapshot.flag_tracked`."""
    has_result = snapshot.flag_tracked(layer_objects)
    for layer_id in snapshot.pending:  # what is going to be tracked will be outdated
        layer = snapshot.state.layers[layer_id]
        if layer_objects is None or not set(layer_objects).isdisjoint(layer.objects):
            has_result[layer.first : layer.last + 1] = True
    return has_result


def include_merged_ids(snapshot: Snapshot, object_ids: set[int]) -> list[int]:
    """Return the ids under which layers store objects: their own, and those of objects merged into them."""
    merged_ids = (key for key in snapshot.state.merged if snapshot.state.resolve(key) in object_ids)
    return sorted({*object_ids, *merged_ids})


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
