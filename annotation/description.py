"""Description of a session for a page that opens, as JSON can hold it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aotlab.annotation.session import Session
from aotlab.annotation.state import State
from aotlab.annotation.timeline import strips

OUTPUTS = {
    "masks": "masks: palette PNGs, one id per pixel",
    "objects": "objects: one folder of black and white PNGs per object",
    "report": "report.json: where objects are lost, and frames to check",
    "mattes": "mattes: one folder of grey PNGs per object, 8 bits",
    "mattes16": "mattes16: the same with 16 bits",
    "alpha": "alpha: frames as PNGs, cut out",
    "prores": "alpha.mov: ProRes 4444, cut out",
    "vp9": "alpha.webm: VP9, cut out",
    "overlay": "overlay.mp4: the video with masks and names drawn in",
    "coco": "coco.json: COCO, with track ids and confidence",
    "youtube_vis": "youtube_vis.json: YouTube-VIS",
    "mots": "mots.txt: MOTS",
    "cvat": "cvat.xml: CVAT for video, masks",
    "cvat_polygons": "cvat_polygons.xml: CVAT for video, tracks of polygons",
    "label_studio": "label_studio.json: Label Studio, predictions",
    "yolo": "yolo: YOLO segmentation",
}
"""What the page says of each of `engine.video.outputs.OUTPUTS`, which are known here without importing it"""


def describe(session: Session) -> dict[str, Any]:
    """What a page needs to know at its start, as JSON can hold it."""
    state = session.state
    with state.lock:
        return {
            "name": state.frames.name,
            "frames": state.frames.count,
            "size": list(state.frames.size),
            "live": session.live is not None,
            "rate": float(state.frames.rate),
            "objects": objects_of(state),
            "strips": {str(object_id): row for object_id, row in strips(state).items()},
            "revision": state.revision,
            "outputs": [{"name": name, "text": text} for name, text in OUTPUTS.items()],
            "tracker": session.choice.describe(),
            "history": list(state.history.titles),
            "job": session.job.report() if session.job is not None and session.job.alive else None,
        }


def objects_of(state: State) -> list[dict[str, Any]]:
    """All objects, as JSON can hold them."""
    return [asdict(item) for item in state.objects]
