"""Frames to track: layers of requests and of corrections, and the spans of a layer in the order of tracking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aotlab import InputError
from aotlab_studio.document.log import Direction, Layer
from aotlab_studio.document.snapshot import Snapshot
from aotlab_studio.video import require_frame


@dataclass(frozen=True)
class TrackRequest:
    """Frames and objects to track."""

    start: int
    """frame whose masks are the reference"""
    direction: Direction = "forward"
    """``forward`` to ``last``, ``backward`` to ``first``, or ``both``: the whole range, merged between keyframes"""
    first: int = 0
    last: int | None = None
    """last frame; None: the video's"""
    object_ids: Sequence[int] | None = None
    """objects to write; None: all that are not locked"""


@dataclass(frozen=True)
class Span:
    """Frames tracked from one reference, or from two and merged.

    ``Span(10, None, 10, 30)``: forward from frame 10 to 30. ``Span(10, 30, 10, 30, (10, 30))``: from both ends, merged.
    """

    forward_from: int | None
    """first reference frame, tracked forward to ``last``"""
    backward_from: int | None
    """last reference frame, tracked backward to ``first``"""
    first: int
    last: int
    keyframes: tuple[int, ...] = ()
    """reference frames; with both directions, they weight the merge of each object"""

    @property
    def num_frames(self) -> int:
        """Number of frames to pass through the tracker."""
        forward = 0 if self.forward_from is None else self.last - self.forward_from
        return forward + (0 if self.backward_from is None else self.backward_from - self.first)


def plan_request(now: Snapshot, request: TrackRequest) -> Layer:
    """Return the layer of a request; raise `InputError` for frames or objects that it cannot be for."""
    first, last = max(request.first, now.clip[0]), now.clip[1] if request.last is None else request.last
    for index in (request.start, request.first, last):
        require_frame(index, now.count)
    if not first <= request.start <= last:
        raise InputError(
            f"range {first} to {last}: does not hold frame {request.start}, where tracking starts"
        )
    objects, start = now.objects, request.start
    wanted = objects.ids if request.object_ids is None else request.object_ids
    chosen = {objects.get(object_id).id for object_id in wanted}.difference(objects.locked)
    references = _list_references(now, first, last, start)
    if request.direction == "forward":
        references = [index for index in references if index >= start]
        first = references[0] + 1 if references else first
    elif request.direction == "backward":
        references = [index for index in references if index <= start][-1:]
        last = references[0] - 1 if references else last
    if not references:
        raise InputError(f"frame {start}: no mask to track; paint an object on it first")
    if first > last or (request.direction == "both" and first == last):
        raise InputError(f"frame {start}: no further frame in this direction; go to another frame")
    return Layer(list_layer_ids(now, chosen), first, last, references[0], request.direction)


def plan_correction(now: Snapshot, frame: int, object_id: int, *, removed: int | None = None) -> Layer | None:
    """Return the layer that replaces what a keyframe of an object outdates; None if there is nothing.

    It covers frames with results, present or to come, up to the keyframes of the object before and after it; before
    it, only frames that have results of the object or are between two of its masks.

    Args:
        frame: of the keyframe.
        removed: frame of a keyframe that is being removed.
    """
    has_result, has_own_result = np.zeros((2, now.count), bool)
    for stored_id, owner in now.owners.items():
        has_result |= owner > 0
        has_own_result |= (owner > 0) & (now.resolve(stored_id) == object_id)
    for layer_id in now.pending:  # what is going to be tracked will be outdated
        layer = now.state.layer(layer_id)
        has_result[layer.first : layer.last + 1] = True
        has_own_result[layer.first : layer.last + 1] |= any(
            now.resolve(stored_id) == object_id for stored_id in layer.objects
        )
    passable = has_result.copy()
    passable[now.keyframes] = True
    masks = {index: now.keyframe(index).get(object_id) for index in now.keyframes}
    keyframes_of_object = [
        index for index, digest in masks.items() if digest is not None and index not in (frame, removed)
    ]
    after = min((index for index in keyframes_of_object if index > frame), default=now.count)
    before = max((index for index in keyframes_of_object if index < frame), default=-1)
    last = frame
    while last + 1 < after and passable[last + 1]:
        last += 1
    while last > frame and not has_result[last]:
        last -= 1
    between = before >= 0 and bool(masks[before]) and bool(passable[before + 1 : frame].all())
    between = between and bool(has_result[before + 1 : frame].any())
    first = before + 1 if between else frame
    while not between and first - 1 > before and has_own_result[first - 1]:
        first -= 1
    if first == last == frame:
        return None
    objects = list_layer_ids(now, {object_id})
    return Layer(objects, first, last, frame, "correction", before if between else None)


def list_layer_ids(now: Snapshot, object_ids: set[int]) -> list[int]:
    """Return the ids in layers that mean these objects."""
    return sorted({*object_ids, *(each for each in now.state.merged if now.resolve(each) in object_ids)})


def plan_spans(snapshot: Snapshot, layer: Layer) -> list[Span]:
    """Return the spans of a layer in the order of tracking.

    Args:
        snapshot: the document at the layer's entry.
    """
    first, last, start = layer.first, layer.last, layer.start
    if layer.kind == "forward":
        spans = [Span(start, None, start, last)]
    elif layer.kind == "backward":
        spans = [Span(None, start, first, start)]
    elif layer.kind == "correction":
        before = layer.before
        left = Span(None, start, first, start)
        if before is not None:
            left = Span(before, start, before, start, (before, start))
        spans = [Span(start, None, start, last), left]
    else:
        references = _list_references(snapshot, first, last, start)
        spans = [Span(references[0], references[-1], first, last, tuple(references))]
        if len(references) == 1:
            spans = [Span(start, None, start, last), Span(None, start, first, start)]
    return [span for span in spans if span.num_frames]


def _list_references(snapshot: Snapshot, first: int, last: int, start: int) -> list[int]:
    """Return the frames of a range with drawn masks, and the start, of which a mask shows."""
    keyframes = [index for index in snapshot.keyframes if first <= index <= last]
    return [index for index in sorted({*keyframes, start}) if snapshot.labels(index).any()]
