"""Layers to track: for a person's request, and after an edit of drawn masks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator
from itertools import chain, pairwise, takewhile

import numpy as np

from aotlab import InputError
from aotlab_studio.document.log import Direction, Layer
from aotlab_studio.document.snapshot import Snapshot
from aotlab_studio.utils.video import require_frame


def plan_request(
    snapshot: Snapshot, start: int, direction: Direction = "forward", first: int = 0, last: int | None = None
) -> Layer:
    """Return the layer that tracks all unlocked objects from a frame; raise `InputError` for unusable frames.

    Args:
        start: frame to track from. If it shows no mask, the nearest drawn frame in the direction is used.
        direction: ``forward`` to ``last``, ``backward`` to ``first``, or ``both``: the whole range, from all its drawn
            masks.
        last: last frame of the range; None means the last editable one.
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
    return Layer(snapshot.expand_merged_ids(object_ids), first, last, reference, direction, references)


def plan_corrections(before: Snapshot, after: Snapshot, frames: Collection[int]) -> list[Layer]:
    """Return the layers that track objects again after an edit of their drawn masks on some frames, in order.

    An object is tracked from its new mask. If the edit removes its mask, it is tracked from the nearest other one.
    """
    is_tracked, layers = _find_tracked(before), list[Layer]()
    if not is_tracked.any():
        return layers
    drawn = (side.drawn_masks(index) for side in (before, after) for index in frames)
    for object_id in sorted({*map(after.state.resolve, chain.from_iterable(drawn))} - {0}):
        old, new = (after.find_drawn_masks(object_id, side.state) for side in (before, after))
        # two objects that the edit merges have each been tracked from their own masks only
        parts = [before.find_drawn_masks(key) for key in before.objects if after.state.resolve(key) == object_id]
        references, drawn_frames = set[int](), [*new]
        for frame in frames:
            if frame in new and (new[frame] != old.get(frame) or not all(frame in part for part in parts)):
                references.add(frame)
            elif frame in old and frame not in new:
                place = bisect_left(drawn_frames, frame)
                earlier, later = drawn_frames[:place][-1:], drawn_frames[place : place + 1]
                is_absent = object_id in after.drawn_masks(frame)  # tracking does not continue over this frame
                references.update(earlier + later if is_absent else earlier or later)
        layers += _plan_object(before, after, object_id, sorted(references), is_tracked)
    return layers


def _plan_object(
    before: Snapshot, after: Snapshot, object_id: int, references: Collection[int], is_tracked: np.ndarray
) -> Iterator[Layer]:
    """Yield the layers that track an object again from its changed masks on ``references``.

    A gap between two masks of the object is tracked from both, by the layer of the later mask, if every frame in the
    gap has masks. Otherwise, a layer reaches back over the tracked frames that show the object, and forward to the last
    tracked frame before one without masks. ``is_tracked``, N bool, flags the frames that were tracked before the edit,
    or waited for tracking.
    """
    object_ids, drawn_masks = after.expand_merged_ids([object_id]), after.state.drawn_masks
    shows_object, is_annotated = _find_tracked(before, object_ids), is_tracked.copy()
    shows_object[[*before.find_drawn_masks(object_id)]] = True
    is_annotated[[*before.drawn_frames, *after.drawn_frames]] = True
    frames = [index for index, masks in drawn_masks.items() if object_id in masks]
    gaps = [range(start + 1, end) for start, end in pairwise([-1, *frames, after.count])]
    merged_gaps = {
        gap
        for gap in gaps
        if gap.stop in references
        and drawn_masks.get(gap.start - 1, {}).get(object_id)
        and is_annotated[gap].all()
        and is_tracked[gap].any()
    }
    for frame, gap_before, gap_after in zip(frames, gaps, gaps[1:], strict=False):
        if frame not in references:
            continue
        annotated = takewhile(is_annotated.__getitem__, () if gap_after in merged_gaps else gap_after)
        last = max(filter(is_tracked.__getitem__, annotated), default=frame)
        first = min(takewhile(shows_object.__getitem__, reversed(gap_before)), default=frame)
        if gap_before in merged_gaps:
            yield Layer(object_ids, gap_before.start, last, frame, "correction", [gap_before.start - 1])
        elif first < last:
            yield Layer(object_ids, first, last, frame, "correction")


def _find_tracked(snapshot: Snapshot, layer_objects: Collection[int] | None = None) -> np.ndarray:
    """Flag the frames like `Snapshot.find_tracked`, and also pending frames."""
    is_tracked = snapshot.find_tracked(layer_objects)
    for layer_id, pending in snapshot.pending.items():
        if layer_objects is None or not set(layer_objects).isdisjoint(snapshot.state.layers[layer_id].objects):
            is_tracked |= pending
    return is_tracked
