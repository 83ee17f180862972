"""Strips of the timeline: a character per frame for every object."""

from __future__ import annotations

from aotlab.sdk import LostFlags
from aotlab_studio.document.snapshot import Snapshot

UNKNOWN, KEYFRAME, KEYFRAME_ABSENT, ABSENT, LOST = "-Ggal"
"""characters of a strip; ``0`` to ``9``: tracked with this tenth of confidence"""


def encode_frame(now: Snapshot, index: int) -> dict[int, str]:
    """Return the character of each object on one frame, without `LOST`, which depends on the frames before it."""
    drawn, codes = now.keyframe(index), dict.fromkeys(now.objects.ids, UNKNOWN)
    for object_id, score in now.scores(index).items():
        tracked = str(min(9, int(score.confidence * 10))) if score.area else ABSENT
        keyframe = KEYFRAME if drawn.get(object_id) else KEYFRAME_ABSENT
        codes[object_id] = keyframe if object_id in drawn else tracked
    return codes


def encode_strips(now: Snapshot) -> dict[int, str]:
    """Return the strip of each object; one unseen for some frames is lost, see `LostFlags`."""
    lost = LostFlags()
    rows = {object_id: [UNKNOWN] * now.count for object_id in now.objects.ids}
    for index in now.annotated_frames:
        codes, confidence = encode_frame(now, index), now.confidence(index)
        confidence |= {
            each: 1.0 for each, code in codes.items() if code in (UNKNOWN, KEYFRAME, KEYFRAME_ABSENT)
        }
        for object_id, is_lost in lost.update(confidence).items():
            rows[object_id][index] = LOST if is_lost else codes[object_id]
    return {object_id: "".join(row) for object_id, row in rows.items()}
