"""Frames to track: layers of requests and of corrections, and the spans of a layer in the order of tracking."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import chain

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
    """Frames after a reference."""
    backward: range = range(0)
    """Frames before a reference, the nearest first."""
    references: tuple[int, ...] = ()
    """With both directions: frames by whose distance they are weighted, object by object."""
    start: int | None = None
    """Frame whose visible masks are all references; on other frames, only drawn masks are."""


def plan_request(
    snapshot: Snapshot, start: int, direction: Direction = "forward", first: int = 0, last: int | None = None
) -> Layer:
    """Return the layer of a person's request for all unlocked objects; raise `InputError` for unusable frames.

    Args:
        start: frame whose visible masks are the reference.
        direction: ``forward`` to ``last``, ``backward`` to ``first``, or ``both``: the whole range, also from its drawn
            masks.
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
    reference = references.pop(references.index(start) if start in references else 0)
    return Layer(snapshot.with_merged_ids(object_ids), first, last, reference, direction, references)


def plan_corrections(before: Snapshot, after: Snapshot, frames: Collection[int]) -> list[Layer]:
    """Return the layers that track each object again whose drawn mask an edit changes on one of some frames.

    An object is tracked from its new mask, or from the nearest one if its mask is removed. ``frames`` are in order.
    """
    is_tracked, layers = _flag_tracked(before), list[Layer]()
    if not is_tracked.any():
        return layers
    drawn = (side.drawn_masks(index) for side in (before, after) for index in frames)
    drawn_ids = {*chain.from_iterable(drawn)}
    for object_id in sorted({after.state.resolve(key) for key in drawn_ids} - {0}):
        old, new = (after.find_drawn_masks(object_id, side.state) for side in (before, after))
        references, drawn_frames = set[int](), [*new]
        for frame in frames:
            if frame in new and new[frame] != old.get(frame):
                references.add(frame)
            elif frame in old and frame not in new:
                place = bisect_left(drawn_frames, frame)
                earlier, later = drawn_frames[:place][-1:], drawn_frames[place : place + 1]
                is_absent = object_id in after.drawn_masks(frame)  # which tracking does not pass
                references.update(earlier + later if is_absent else earlier or later)
        layers += _plan_object(before, after, object_id, sorted(references), is_tracked)
    return layers


def _plan_object(
    before: Snapshot, after: Snapshot, object_id: int, references: Collection[int], is_tracked: np.ndarray
) -> Iterator[Layer]:
    """Yield the layers that track an object from its changed masks, on ``references``, if frames depend on them.

    Frames between two masks are tracked from both, by the layer of the later mask, if all are drawn or tracked.
    Otherwise, each mask is the start for the frames next to it: those before that show the object, those after that
    are tracked. ``is_tracked``, N bool, flags the frames that were tracked before the edit, or waited for it.
    """
    object_ids, drawn_masks = after.with_merged_ids([object_id]), after.state.drawn_masks
    object_frames = [-1, *(index for index in drawn_masks if object_id in drawn_masks[index]), after.count]
    shows_object, is_annotated = _flag_tracked(before, object_ids), is_tracked.copy()
    is_annotated[[*before.drawn_frames, *after.drawn_frames]] = True

    def is_tracked_from_both(previous: int, frame: int) -> bool:
        """Return whether the frames between two drawn frames of the object are tracked from both."""
        gap, is_drawn = slice(previous + 1, frame), previous >= 0 and bool(drawn_masks[previous][object_id])
        return is_drawn and bool(is_annotated[gap].all() and is_tracked[gap].any())

    for frame in references:
        place = bisect_left(object_frames, frame)
        previous, following = object_frames[place - 1], object_frames[place + 1]
        end = frame + 1 + _count_leading(is_annotated[frame + 1 : following])
        last = frame + int(np.flatnonzero(is_tracked[frame:end]).max(initial=0))
        if following in references and is_tracked_from_both(frame, following):
            last = frame
        if is_tracked_from_both(previous, frame):
            yield Layer(object_ids, previous + 1, last, frame, "correction", [previous])
        else:
            first = frame - _count_leading(shows_object[previous + 1 : frame][::-1])
            if first < last:
                yield Layer(object_ids, first, last, frame, "correction")


def _count_leading(flags: np.ndarray) -> int:
    """Return the number of true flags, N bool, before the first false one."""
    return len(flags) if flags.all() else int(flags.argmin())


def _flag_tracked(snapshot: Snapshot, layer_objects: Collection[int] | None = None) -> np.ndarray:
    """Flag the frames on which objects are tracked or wait for it, as `Snapshot.flag_tracked`."""
    is_tracked = snapshot.flag_tracked(layer_objects)
    for layer_id in snapshot.pending:  # what is going to be tracked will be outdated
        layer = snapshot.state.layers[layer_id]
        if layer_objects is None or not set(layer_objects).isdisjoint(layer.objects):
            is_tracked[layer.first : layer.last + 1] = True
    return is_tracked


def plan_spans(layer: Layer) -> list[Span]:
    """Return the spans of a layer in the order of tracking."""
    first, last, start, drawn_frames = layer.first, layer.last, layer.reference_frame, layer.drawn_frames
    references = tuple(sorted({start, *drawn_frames}))
    if layer.kind == "both" and drawn_frames:
        frames = range(references[0] + 1, last + 1), range(references[-1] - 1, first - 1, -1)
        return [Span(*frames, references, start)]
    backward = range(start - 1, first - 1, -1)
    before = Span(range(first, start), backward, references) if drawn_frames else Span(backward=backward)
    return [span for span in (Span(range(start + 1, last + 1)), before) if span.forward or span.backward]
