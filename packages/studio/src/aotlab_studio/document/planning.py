"""The layer of a request to track."""

from __future__ import annotations

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
        object_id: the only object to track; None: all unlocked objects.
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
    if {*range(first, last + 1)}.issubset([*snapshot.checked_frames, *references]):
        raise InputError(f"frame {start}: all frames to track are marked as checked; remove a mark first")
    reference = references.pop(references.index(start) if start in references else 0)
    ids = snapshot.expand_merged_ids(object_ids)
    return Layer(ids, first, last, reference, direction, references)


def list_replaced_reshapes(snapshot: Snapshot, layer: Layer) -> list[int]:
    """Return the frames on which a new layer will replace reshaped masks."""
    frames = {*range(layer.first, layer.last + 1)} - {*snapshot.checked_frames}
    if not layer.tracks_reference:
        frames -= {layer.reference_frame}
    return [frame for frame in sorted(frames) if any(
        snapshot.state.layers[shown.layer_id].kind == "reshape" and {*shown.object_ids} & {*layer.objects}
        for shown in snapshot.list_shown_layers(frame)
    )]  # fmt: skip
