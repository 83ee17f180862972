"""Description of a session for a page that opens."""

from __future__ import annotations

from aotlab.annotation.protocol import Choice, Description
from aotlab.annotation.session import Session
from aotlab.annotation.timeline import strips
from aotlab.masks.exchange.names import WRITTEN

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
