"""The strips under the video: what is known of each object on each frame, one character a frame."""

from __future__ import annotations

from aotlab.annotation.state import State
from aotlab.engine.video.scores import LOST_AFTER, MIN_CONFIDENCE, Score

UNKNOWN, GIVEN, GIVEN_ABSENT, ABSENT, LOST = "-Ggal"
"""Characters of a strip; ``0`` to ``9`` is a tracked mask of this tenth of confidence."""


def frame_code(object_id: int, described: frozenset[int], present: bool, score: Score | None) -> str:
    """The character of one object on one frame, without what the frames before say."""
    if object_id in described:
        return GIVEN if present else GIVEN_ABSENT
    if score is None:
        return UNKNOWN
    return str(min(9, int(score.confidence * 10))) if score.area else ABSENT


def frame_codes(state: State, index: int) -> dict[int, str]:
    """The characters of all objects on one frame."""
    described, scores = state.described(index), state.scores(index)
    return {
        object_id: frame_code(
            object_id, described, state.is_given_present(index, object_id), scores.get(object_id)
        )
        for object_id in state.objects.ids
    }


def strips(state: State) -> dict[int, str]:
    """A character per frame for every object; an object that is unseen for long is lost."""
    with state.lock:
        object_ids = state.objects.ids
        rows = {object_id: [UNKNOWN] * state.frames.count for object_id in object_ids}
        unseen = dict.fromkeys(object_ids, 0)
        for index in sorted({*state.given_frames, *state.tracked_frames}):
            described, scores = state.described(index), state.scores(index)
            for object_id in object_ids:
                score = scores.get(object_id)
                code = frame_code(object_id, described, state.is_given_present(index, object_id), score)
                seen = object_id in described or (
                    score is not None and score.area and score.confidence >= MIN_CONFIDENCE
                )
                unseen[object_id] = 0 if seen or score is None else unseen[object_id] + 1
                rows[object_id][index] = LOST if unseen[object_id] >= LOST_AFTER else code
    return {object_id: "".join(row) for object_id, row in rows.items()}
