"""Masks of a project as annotations."""

from __future__ import annotations

from pathlib import Path

from aotlab import InputError
from aotlab.sdk import Annotations, Region, VideoInfo, encode_runs
from aotlab_studio.document.document import Document


def read_project(folder: Path, video: VideoInfo) -> Annotations:
    """Return the shown masks of all frames with a result, with the objects' names as class names.

    Raises:
        InputError: as `Document.read`, or the project is for a video of another size or length, or without a result.
    """
    document = Document.read(folder)
    size, count = document.size, document.count
    if size != video.size or video.length not in (None, count):
        name = Path(document.header.video.path).name
        raise InputError(f"made for {name} of {count} frames, {size[1]}×{size[0]}; give its video")
    annotations = Annotations(size, class_names={item.id: item.name for item in document.objects})
    annotations.classes = document.classes
    for index in sorted({*document.keyframes, *document.tracked_frames}):
        labels, confidence = document.labels(index), document.confidence(index)
        present = document.list_described(index) | document.scores(index).keys()
        annotations.frames[index] = [
            Region(object_id, encode_runs(labels == object_id), confidence[object_id])
            for object_id in confidence
            if object_id in present
        ]
    annotations.add_attributes(document.attributes)
    if not annotations.frames:
        raise InputError("holds no mask; draw or track an object first")
    return annotations
