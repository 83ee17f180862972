"""Strips of the timeline: a character per frame for every object."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from aotlab.sdk import LostFlags
from aotlab_studio.document.snapshot import Snapshot

UNKNOWN, KEYFRAME, KEYFRAME_ABSENT, ABSENT, LOST = "-Ggal"
"""characters of a strip; ``0`` to ``9``: tracked with this tenth of confidence"""


def encode_strips(now: Snapshot) -> dict[int, str]:
    """Return the strip of each object; one unseen for some frames is lost, see `LostFlags`."""
    rows = {object_id: [UNKNOWN] * now.count for object_id in now.objects.ids}
    for index, codes in _encode(now, now.annotated_frames):
        for object_id, code in codes.items():
            rows[object_id][index] = code
    return {object_id: "".join(row) for object_id, row in rows.items()}


def encode_frame(now: Snapshot, index: int) -> dict[int, str]:
    """Return the character of each object on one frame."""
    end = bisect_right(now.annotated_frames, index)
    codes = dict(_encode(now, now.annotated_frames[max(0, end - LostFlags.FRAMES) : end]))
    return codes.get(index, dict.fromkeys(now.objects.ids, UNKNOWN))


def _encode(now: Snapshot, frames: Sequence[int]) -> Iterator[tuple[int, dict[int, str]]]:
    """Yield the characters of all objects on annotated frames in a row; none is lost before the first one."""
    flags = LostFlags()
    for index in frames:
        drawn = now.keyframe(index)
        codes = dict.fromkeys(now.objects.ids, UNKNOWN)
        confidence = dict.fromkeys(now.objects.ids, 0.0)
        for object_id, score in now.scores(index).items():
            confidence[object_id] = score.confidence
            codes[object_id] = str(min(9, int(score.confidence * 10))) if score.area else ABSENT
        codes |= {each: KEYFRAME if digest else KEYFRAME_ABSENT for each, digest in drawn.items()}
        confidence |= {each: 1.0 for each, code in codes.items() if each in drawn or code == UNKNOWN}
        lost = flags.update(confidence)
        yield index, {each: LOST if lost[each] else code for each, code in codes.items()}
