"""Masks of a project as annotations."""

from __future__ import annotations

from pathlib import Path

from aotlab import InputError
from aotlab.sdk import Annotations, Region, VideoInfo, encode_runs
from aotlab_studio.document.document import Document


def read_project(folder: Path, video: VideoInfo) -> Annotations:
    """Return the shown masks of all frames with a result, as `Snapshot.describe_objects`.

    Raises:
        InputError: as `Document.read`, or the project is for a video of another size or length, or without a result.
    """
    document = Document.read(folder)
    now = document.snapshot
    size, count = now.size, now.count
    if size != video.size or video.length not in (None, count):
        name = Path(document.header.video.path).name
        raise InputError(f"made for {name} of {count} frames, {size[1]}×{size[0]}; give its video")
    class_names, attributes = now.describe_objects()
    annotations = Annotations(size, class_names=class_names)
    annotations.classes = now.classes
    for index in now.annotated_frames:
        labels, scores = now.labels(index), now.scores(index)
        annotations.frames[index] = [
            Region(object_id, encode_runs(labels == object_id), scores[object_id].confidence)
            for object_id in now.objects.ids
            if object_id in scores
        ]
    annotations.add_attributes(attributes)
    if not annotations.frames:
        raise InputError("holds no mask; draw or track an object first")
    return annotations
