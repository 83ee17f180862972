"""Strips of the timeline: a character per frame for every object."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import chain

from aotlab.sdk import LostObjects
from aotlab_studio.document.scores import find_lost
from aotlab_studio.document.snapshot import Snapshot

UNKNOWN, KEYFRAME, KEYFRAME_ABSENT, ABSENT, LOST = "-Ggal"
"""characters of a strip; ``0`` to ``9``: tracked with this tenth of confidence"""


def encode_strips(snapshot: Snapshot) -> dict[int, str]:
    """Return the strip of each object; unseen on `LostObjects.FRAMES` or more annotated frames in a row, it is lost."""
    rows = {object_id: [UNKNOWN] * snapshot.count for object_id in snapshot.objects.ids}
    for index, codes in _encode(snapshot, snapshot.annotated_frames).items():
        for object_id, code in codes.items():
            rows[object_id][index] = code
    return {object_id: "".join(row) for object_id, row in rows.items()}


def encode_frame(snapshot: Snapshot, index: int) -> dict[int, str]:
    """Return the character of each object on one frame."""
    place = bisect_left(snapshot.annotated_frames, index)
    near = snapshot.annotated_frames[max(0, place + 1 - LostObjects.FRAMES) : place + LostObjects.FRAMES]
    return _encode(snapshot, near).get(index, dict.fromkeys(snapshot.objects.ids, UNKNOWN))


def _encode(snapshot: Snapshot, frames: Sequence[int]) -> dict[int, dict[int, str]]:
    """Return the characters of all objects on annotated frames in a row, whichever way they were tracked."""
    rows: dict[int, dict[int, str]] = {}
    seen: dict[int, dict[int, bool]] = {object_id: {} for object_id in snapshot.objects.ids}
    for index in frames:
        codes = rows[index] = dict.fromkeys(snapshot.objects.ids, UNKNOWN)
        scores, drawn = snapshot.scores(index), snapshot.keyframe(index)
        for object_id, score in scores.items():
            codes[object_id] = str(min(9, int(score.confidence * 10))) if score.area else ABSENT
        codes |= {each: KEYFRAME if digest else KEYFRAME_ABSENT for each, digest in drawn.items()}
        for object_id in codes:
            seen[object_id][index] = (
                object_id in drawn or object_id not in scores or scores[object_id].visible
            )
    for object_id, own in seen.items():
        for index in chain.from_iterable(find_lost(own)):
            rows[index][object_id] = LOST
    return rows
