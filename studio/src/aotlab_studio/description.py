"""Description of a session for a page that opens."""

from __future__ import annotations

from aotlab import LostFlags, find_output, list_outputs
from aotlab_studio.protocol import Choice, Description
from aotlab_studio.session import Session
from aotlab_studio.state import State


def describe(session: Session) -> Description:
    """Return all that a page needs when it opens."""
    state, kinds = session.state, {name: find_output(name) for name in list_outputs()}
    with state.lock:
        return Description(
            name=state.frames.name,
            video=session.video_id,
            frames=state.frames.count,
            size=state.frames.size,
            rate=float(state.frames.rate),
            live=session.live is not None,
            objects=list(state.objects),
            strips=strips(state),
            revision=state.revision,
            outputs=[Choice(name, f"{kind.file_name}: {kind.description}") for name, kind in kinds.items()],
            tracker=session.choice.describe(),
            history=state.history.titles,
            job=session.job.report() if session.job is not None and session.job.alive else None,
        )


UNKNOWN, KEYFRAME, KEYFRAME_ABSENT, ABSENT, LOST = "-Ggal"
"""characters of a strip; ``0`` to ``9``: tracked with this tenth of confidence"""


def frame_codes(state: State, index: int) -> dict[int, str]:
    """Return the characters of all objects on one frame, without `LOST`."""
    described, scores, confidence = state.described(index), state.scores(index), state.confidence(index)
    codes = dict.fromkeys(state.objects.ids, UNKNOWN)
    for object_id in codes:
        score = scores.get(object_id)
        if object_id in described:
            codes[object_id] = KEYFRAME if confidence[object_id] else KEYFRAME_ABSENT
        elif score is not None:
            codes[object_id] = str(min(9, int(score.confidence * 10))) if score.area else ABSENT
    return codes


def strips(state: State) -> dict[int, str]:
    """Return a character per frame for every object; one unseen for some frames is lost, see `LostFlags`."""
    with state.lock:
        rows = {object_id: [UNKNOWN] * state.frames.count for object_id in state.objects.ids}
        lost = LostFlags()
        for index in sorted({*state.keyframes, *state.tracked_frames}):
            codes, confidence = frame_codes(state, index), state.confidence(index)
            confidence |= {
                each: 1.0 for each, code in codes.items() if code in (UNKNOWN, KEYFRAME, KEYFRAME_ABSENT)
            }
            for object_id, is_lost in lost.update(confidence).items():
                rows[object_id][index] = LOST if is_lost else codes[object_id]
    return {object_id: "".join(row) for object_id, row in rows.items()}
