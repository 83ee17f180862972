"""Masks of a project as annotations."""

from __future__ import annotations

from pathlib import Path

from aotlab import InputError
from aotlab.sdk import Annotations, Region, VideoInfo, encode_runs
from aotlab_studio.project.state import State


def read_project(folder: Path, video: VideoInfo) -> Annotations:
    """Return the shown masks of all frames with a result, with the objects' names as class names.

    Raises:
        InputError: as `State`, or the project is for a video of another size or length, or without a result.
    """
    state = State(folder)
    try:
        size, count = state.frames.size, state.frames.count
        if size != video.size or video.length not in (None, count):
            raise InputError(
                f"made for {Path(state.frames.path).name} of {count} frames, {size[1]}×{size[0]}; give its video"
            )
        annotations = Annotations(size, class_names={item.id: item.name for item in state.objects})
        annotations.classes = state.project.classes
        for index in sorted({*state.keyframes, *state.tracked_frames}):
            labels, confidence = state.labels(index), state.confidence(index)
            present = state.list_described(index) | state.scores(index).keys()
            annotations.frames[index] = [
                Region(object_id, encode_runs(labels == object_id), confidence[object_id])
                for object_id in confidence
                if object_id in present
            ]
        annotations.add_attributes(state.project.attributes)
    finally:
        state.close()
    if not annotations.frames:
        raise InputError("holds no mask; draw or track an object first")
    return annotations
