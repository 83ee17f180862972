"""Timeline of a snapshot: a mark for each object and frame."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import chain

import aotlab_video
from aotlab_studio.document.scores import find_lost_runs
from aotlab_studio.document.snapshot import Snapshot

UNKNOWN, DRAWN, DRAWN_ABSENT, ABSENT, LOST = "-Ggal"
"""Marks. The digits 0 to 9 mean a tracked mask: tenths of its confidence to the power of four, as most are near 1."""


def mark_frames(snapshot: Snapshot) -> dict[int, str]:
    """Return the marks of each object, one character a frame. `find_lost_runs` decides where it is lost."""
    marks = _mark_neighbors(snapshot, snapshot.annotated_frames)
    unknown = dict.fromkeys(snapshot.objects, UNKNOWN)
    frames = [marks.get(index, unknown) for index in range(snapshot.count)]
    return {object_id: "".join(frame[object_id] for frame in frames) for object_id in snapshot.objects}


def mark_frame(snapshot: Snapshot, index: int) -> dict[int, str]:
    """Return the mark of each object on one frame."""
    frames, reach = snapshot.annotated_frames, aotlab_video.LostObjects.FRAMES
    place = bisect_left(frames, index)
    near = frames[max(0, place + 1 - reach) : place + reach]
    return _mark_neighbors(snapshot, near).get(index, dict.fromkeys(snapshot.objects, UNKNOWN))


def _mark_neighbors(snapshot: Snapshot, frames: Sequence[int]) -> dict[int, dict[int, str]]:
    """Return the marks of all objects on some annotated frames that follow each other."""
    rows: dict[int, dict[int, str]] = {}
    seen: dict[int, dict[int, bool]] = {object_id: {} for object_id in snapshot.objects}
    for index in frames:
        marks = rows[index] = dict.fromkeys(snapshot.objects, UNKNOWN)
        drawn_masks = snapshot.drawn_masks(index)
        scores = snapshot.scores(index) if snapshot.list_shown_layers(index) else {}  # drawn masks need none
        for object_id, score in scores.items():
            marks[object_id] = str(min(9, int(10 * score.confidence**4))) if score.area else ABSENT
        marks |= {key: DRAWN if digest else DRAWN_ABSENT for key, digest in drawn_masks.items()}
        for key in marks:
            seen[key][index] = key in drawn_masks or key not in scores or scores[key].visible
    for object_id, seen_on in seen.items():
        for index in chain.from_iterable(find_lost_runs(seen_on)):
            rows[index][object_id] = LOST
    return rows
