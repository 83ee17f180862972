"""Frames to track: layers of requests and of corrections, and the spans of a layer in the order of tracking."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile

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
    object_ids = set(include_merged_ids(snapshot, {object_id}))
    has_result, has_own_result = snapshot.flag_tracked(), snapshot.flag_tracked(object_ids)
    for layer_id in snapshot.pending:  # what is going to be tracked will be outdated
        layer = snapshot.state.layers[layer_id]
        has_result[layer.first : layer.last + 1] = True
        has_own_result[layer.first : layer.last + 1] |= not object_ids.isdisjoint(layer.objects)
    passable = has_result.copy()
    passable[snapshot.keyframes] = True
    masks = {index: snapshot.keyframe(index) for index in snapshot.keyframes if index not in (frame, removed)}
    own_frames = [index for index, by_object in masks.items() if object_id in by_object]
    next_keyframe = min((index for index in own_frames if index > frame), default=snapshot.count)
    previous = max((index for index in own_frames if index < frame), default=-1)
    # after the keyframe: frames with results, up to the next keyframe of the object
    reachable = takewhile(passable.__getitem__, range(frame + 1, next_keyframe))
    last = max((index for index in reachable if has_result[index]), default=frame)
    # before it: all frames since its previous keyframe, or those with its results
    gap = slice(previous + 1, frame)
    fills_gap = previous >= 0 and masks[previous][object_id] and passable[gap].all() and has_result[gap].any()
    reachable_back = takewhile(has_own_result.__getitem__, range(frame - 1, previous, -1))
    first = previous + 1 if fills_gap else min(reachable_back, default=frame)
    if first == last == frame:
        return None
    return Layer(sorted(object_ids), first, last, frame, "correction", previous if fills_gap else None)


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
    spans = {"forward": [forward], "backward": [backward]}.get(layer.kind, [forward, backward])
    return [span for span in spans if span.forward or span.backward]


def _list_references(snapshot: Snapshot, first: int, last: int, start: int) -> list[int]:
    """Return the start and the frames of a range with drawn masks, if they show a mask."""
    keyframes = [index for index in snapshot.keyframes if first <= index <= last]
    return [index for index in sorted({*keyframes, start}) if snapshot.labels(index).any()]
