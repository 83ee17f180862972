"""Strips of the timeline: one character per object and frame."""

from __future__ import annotations

from aotlab.annotation.state import State
from aotlab.engine.video.scores import LOST_AFTER, MIN_CONFIDENCE

UNKNOWN, GIVEN, GIVEN_ABSENT, ABSENT, LOST = "-Ggal"
"""characters of a strip; ``0`` to ``9``: tracked with this tenth of confidence"""


def frame_codes(state: State, index: int) -> dict[int, str]:
    """Return the characters of all objects on one frame, without `LOST`."""
    described, scores = state.described(index), state.scores(index)
    codes = dict.fromkeys(state.objects.ids, UNKNOWN)
    for object_id in codes:
        score = scores.get(object_id)
        if object_id in described:
            codes[object_id] = GIVEN if state.is_given_present(index, object_id) else GIVEN_ABSENT
        elif score is not None:
            codes[object_id] = str(min(9, int(score.confidence * 10))) if score.area else ABSENT
    return codes


def strips(state: State) -> dict[int, str]:
    """Return a character per frame for every object; one unseen for `LOST_AFTER` frames is lost."""
    with state.lock:
        rows = {object_id: [UNKNOWN] * state.frames.count for object_id in state.objects.ids}
        unseen = dict.fromkeys(rows, 0)
        for index in sorted({*state.given_frames, *state.tracked_frames}):
            scores = state.scores(index)
            for object_id, code in frame_codes(state, index).items():
                score = scores.get(object_id)
                seen = code in (GIVEN, GIVEN_ABSENT) or score is None
                seen = seen or bool(score and score.area and score.confidence >= MIN_CONFIDENCE)
                unseen[object_id] = 0 if seen else unseen[object_id] + 1
                rows[object_id][index] = LOST if unseen[object_id] >= LOST_AFTER else code
    return {object_id: "".join(row) for object_id, row in rows.items()}
