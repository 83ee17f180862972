"""Description of a session for a page that opens."""

from __future__ import annotations

from aotlab.engine.video.scores import LostFlags
from aotlab.masks.exchange.writing import WRITTEN
from aotlab_studio.protocol import Choice, Description
from aotlab_studio.session import Session
from aotlab_studio.state import State

OUTPUTS = {
    "masks": "masks: palette PNGs, one id per pixel",
    "objects": "objects: one folder of black and white PNGs per object",
    "review": "review.json: where objects are lost, and frames to check",
    "mattes": "mattes: one folder of grey PNGs per object, 8 bits",
    "mattes16": "mattes16: the same with 16 bits",
    "alpha": "alpha: frames as PNGs, cut out",
    "prores": "alpha.mov: ProRes 4444, cut out",
    "vp9": "alpha.webm: VP9, cut out",
    "overlay": "overlay.mp4: the video with masks and names drawn in",
    **{name: f"{file}: {text}" for name, (file, text) in WRITTEN.items()},
}
"""labels of `engine.video.outputs.OUTPUTS`, whose import would take seconds"""


def describe(session: Session) -> Description:
    """Return all that a page needs when it opens."""
    state = session.state
    with state.lock:
        return Description(
            name=state.frames.name,
            frames=state.frames.count,
            size=state.frames.size,
            rate=float(state.frames.rate),
            live=session.live is not None,
            objects=list(state.objects),
            strips=strips(state),
            revision=state.revision,
            outputs=[Choice(name, text) for name, text in OUTPUTS.items()],
            tracker=session.choice.describe(),
            history=state.history.titles,
            job=session.job.report() if session.job is not None and session.job.alive else None,
        )


UNKNOWN, GIVEN, GIVEN_ABSENT, ABSENT, LOST = "-Ggal"
"""characters of a strip; ``0`` to ``9``: tracked with this tenth of confidence"""


def frame_codes(state: State, index: int) -> dict[int, str]:
    """Return the characters of all objects on one frame, without `LOST`."""
    described, scores, confidence = state.described(index), state.scores(index), state.confidence(index)
    codes = dict.fromkeys(state.objects.ids, UNKNOWN)
    for object_id in codes:
        score = scores.get(object_id)
        if object_id in described:
            codes[object_id] = GIVEN if confidence[object_id] else GIVEN_ABSENT
        elif score is not None:
            codes[object_id] = str(min(9, int(score.confidence * 10))) if score.area else ABSENT
    return codes


def strips(state: State) -> dict[int, str]:
    """Return a character per frame for every object; one unseen for `LOST_AFTER` frames is lost."""
    with state.lock:
        rows = {object_id: [UNKNOWN] * state.frames.count for object_id in state.objects.ids}
        lost = LostFlags()
        for index in sorted({*state.given_frames, *state.tracked_frames}):
            codes, confidence = frame_codes(state, index), state.confidence(index)
            confidence |= {
                each: 1.0 for each, code in codes.items() if code in (UNKNOWN, GIVEN, GIVEN_ABSENT)
            }
            for object_id, is_lost in lost.update(confidence).items():
                rows[object_id][index] = LOST if is_lost else codes[object_id]
    return {object_id: "".join(row) for object_id, row in rows.items()}
