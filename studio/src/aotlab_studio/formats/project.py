"""Masks of a project, to convert them or to track from them."""

from __future__ import annotations

from pathlib import Path

from aotlab import InputError, sdk
from aotlab_studio.document.document import Document


def read_project(folder: Path, video: sdk.VideoInfo) -> sdk.Annotations:
    """Return the shown masks of all frames with a result; raise `InputError` without one, or for another video."""
    document = Document.read(folder)
    snapshot = document.snapshot
    size, count = snapshot.size, snapshot.count
    if size != video.size or video.count_frames() not in (None, count):
        name = Path(document.header.video.path).name
        raise InputError(f"made for {name} of {count} frames, {size[1]}×{size[0]}; give its video")
    if not snapshot.annotated_frames:
        raise InputError("holds no mask; draw or track an object first")
    class_names, attributes = snapshot.describe_objects()
    annotations = sdk.Annotations(size, class_names=class_names)
    annotations.classes = {**snapshot.state.classes}
    for index in snapshot.annotated_frames:
        labels, scores = snapshot.labels(index), snapshot.scores(index)
        annotations.frames[index] = [
            sdk.Region(key, sdk.encode_rle(labels == key), scores[key].confidence)
            for key in snapshot.objects
            if key in scores
        ]
    annotations.add_attributes(attributes)
    return annotations
